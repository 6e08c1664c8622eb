//! The producer as a program holds it.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use super::accumulator::Accumulator;
use super::delivery::Delivery;
use super::router::Router;
use super::targets::Target;
use crate::acks::Acks;
use crate::broker::{Broker, EndsWithBroker};
use crate::clock::{block_until, deadline_after};
use crate::error::{Error, Result};
use crate::record::Record;
use crate::sync::{Acquire, Arc, AtomicBool, Release};

/// Sends records. Cheap to clone, and shared by threads: clones are the same producer. From
/// [`Broker::producer`](crate::Broker::producer).
///
/// Records of one thread for one partition keep their order. They are encoded at once into the open batch of their partition; a
/// batch that is full, has lingered, or is waited for is appended by whoever finds nobody appending: with no `linger` (the
/// default), a lone sender's record is readable when `send` returns, and many senders fill batches for each other.
///
/// Dropping the last handle appends what it holds, and does not wait for a sync; [`close`](Producer::close) does, and tells of
/// failures.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders").partitions(3))?;
/// let producer = broker.producer().build()?;
///
/// // One record, and where it went once it is safe.
/// let metadata = producer.send(Record::to("orders").key("alice").value("3 apples"))?.wait()?;
/// assert_eq!(metadata.offset.map(u64::from), Some(0));
///
/// // Many, of which only the end matters.
/// for number in 0..1000_u32 {
///     drop(producer.send(Record::to("orders").key("bob").value(&number.to_string()))?);
/// }
/// producer.flush()?;
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

/// What the clones of a producer are; the last of them ends it.
struct Inner {
    router: Arc<Router>,
    /// Keeps the broker open.
    broker: Broker,
    /// Whether it was closed, so that dropping it has nothing left to do.
    is_ended: AtomicBool,
}

impl Producer {
    pub(super) fn new(broker: Broker, router: Arc<Router>) -> Producer {
        Producer { inner: Arc::new(Inner { router, broker, is_ended: AtomicBool::new(false) }) }
    }

    /// Sends a record, which must name its topic. Its bytes are not needed any more when this returns.
    ///
    /// Waits up to [`max_block`](crate::ProducerBuilder::max_block) for room in the buffer, and for the disk where it is this
    /// thread's turn to append a batch. While somebody waits for room nothing lingers: what is held is appended.
    ///
    /// To know what became of this record, wait for the [`Delivery`]. To send many, drop theirs, `drop(producer.send(record)?)`,
    /// and [`flush`](Producer::flush) at the end, which tells of the first failure.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTopic`], [`Error::UnknownTopic`] unless topics are created automatically,
    /// [`Error::UnknownPartition`], [`Error::PartitionOffline`], [`Error::InvalidPartitioning`] and
    /// [`Error::PartitionerPanicked`] for a partitioner that does not do its work, [`Error::RecordTooLarge`],
    /// [`Error::FieldTooLarge`], [`Error::InvalidTimestamp`], [`Error::BufferFull`], [`Error::Closed`]. The record was
    /// not taken then. What goes wrong later is the [`Delivery`]'s.
    #[inline]
    pub fn send(&self, record: Record<'_>) -> Result<Delivery> {
        self.inner.router.with_target(&self.inner.broker, &record, |target| {
            let (accumulator, bytes) = self.prepare(target, &record)?;
            if !self.inner.router.core.budget.try_reserve(bytes) {
                self.wait_for_room(bytes)?;
            }
            self.add(target, accumulator, &record, bytes)
        })
    }

    /// As [`send`](Producer::send), but where there is no room in the buffer, even once what lingers has been appended, it fails at
    /// once.
    ///
    /// # Errors
    ///
    /// As [`send`](Producer::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, Error, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let producer = broker.producer().build()?;
    /// match producer.try_send(Record::to("orders").value("3 apples")) {
    ///     Ok(delivery) => println!("{:?}", delivery.wait()?),
    ///     Err(error @ Error::BufferFull { .. }) => println!("try later: {error}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery> {
        self.inner.router.with_target(&self.inner.broker, &record, |target| {
            let (accumulator, bytes) = self.prepare(target, &record)?;
            let router = &self.inner.router;
            if !router.core.budget.try_reserve(bytes) {
                router.drain_all();
                if !router.core.budget.try_reserve(bytes) {
                    return Err(self.full(bytes, Duration::ZERO));
                }
            }
            self.add(target, accumulator, &record, bytes)
        })
    }

    /// As [`send`](Producer::send), but the room in the buffer is awaited, for as long as it takes. Dropping the future sends
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`send`](Producer::send), without [`Error::BufferFull`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, Producer, Record, RecordMetadata, Result};
    ///
    /// async fn order(producer: &Producer) -> Result<RecordMetadata> {
    ///     producer.send_async(Record::to("orders").value("3 apples")).await?.await
    /// }
    /// # let broker = Broker::in_memory()?;
    /// # broker.admin().create_topic(NewTopic::new("orders"))?;
    /// # let producer = broker.producer().build()?;
    /// # let mut future = std::pin::pin!(order(&producer));
    /// # let waker = std::task::Waker::noop();
    /// # loop {
    /// #     if let std::task::Poll::Ready(sent) = future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
    /// #         break assert_eq!(sent?.offset.map(u64::from), Some(0));
    /// #     }
    /// # }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub async fn send_async(&self, record: Record<'_>) -> Result<Delivery> {
        let target =
            self.inner.router.with_target(&self.inner.broker, &record, |target| Ok(Arc::clone(target)))?;
        let (accumulator, bytes) = self.prepare(&target, &record)?;
        let router = &self.inner.router;
        if !router.core.budget.try_reserve(bytes) {
            poll_fn(|context| router.poll_reserve(bytes, context)).await?;
        }
        self.add(&target, accumulator, &record, bytes)
    }

    /// Appends everything that was sent before the call, and returns once it is delivered as [`Acks`] demand.
    ///
    /// It may block as long as [`Delivery::wait`]: while the disk is full, until
    /// [`delivery_timeout`](crate::ProducerBuilder::delivery_timeout) is over, 120 s by default.
    /// [`close`](Producer::close) takes a timeout.
    ///
    /// # Errors
    ///
    /// The first failure since the last flush that nobody took, because its [`Delivery`] was dropped:
    /// [`Error::DeliveryFailed`]. [`Error::Closed`] after the producer was closed.
    pub fn flush(&self) -> Result<()> {
        if self.inner.router.is_closed() {
            return Err(Error::Closed);
        }
        self.inner.settle(None).unwrap_or(Ok(()))
    }

    /// Closes the producer, for all its clones: nothing more can be sent, and what was sent is delivered as [`Acks`] demand.
    /// What has not been appended within `timeout` fails. Closing again is no error, whatever came of the first time.
    ///
    /// # Errors
    ///
    /// As [`flush`](Producer::flush), and [`Error::TimedOut`].
    pub fn close(&self, timeout: Duration) -> Result<()> {
        let (inner, router) = (&self.inner, &self.inner.router);
        if inner.is_ended.swap(true, Release) {
            return Ok(());
        }
        router.refuse_sends();
        let settled = inner.settle(deadline_after(&*router.core.background.clock, timeout));
        let source = router.core.trouble();
        router.end();
        inner.forget();
        settled.unwrap_or(Err(Error::TimedOut { operation: "closing a producer", timeout, source }))
    }

    /// How many bytes of records are held now; at most `buffer_bytes`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let producer = broker.producer().linger(Duration::from_secs(60)).build()?;
    /// drop(producer.send(Record::to("orders").value("3 apples"))?);
    /// assert!(producer.buffered_bytes() > 0);
    /// producer.close(Duration::from_secs(1))?;
    /// assert_eq!(producer.buffered_bytes(), 0);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.inner.router.core.budget.used()
    }

    /// The id that this producer's batches carry; none without idempotence.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.inner.router.core.identity.map(|identity| identity.id)
    }

    /// Where a record goes, and how much is to be reserved for it.
    #[inline]
    fn prepare<'a>(&self, target: &'a Target, record: &Record<'_>) -> Result<(&'a Arc<Accumulator>, usize)> {
        let core = &self.inner.router.core;
        // Before it waits for room: what is wrong with a partition is known now.
        let accumulator = self.inner.router.accumulator(target, record)?;
        let bytes = record.encoded_bytes_max();
        if bytes > core.config.max_request_bytes || bytes > core.budget.limit() {
            return Err(self.too_large(record, bytes));
        }
        Ok((accumulator, bytes))
    }

    #[cold]
    fn too_large(&self, record: &Record<'_>, bytes: usize) -> Error {
        let limit = self.inner.router.core.config.max_request_bytes;
        let (setting, limit) = if bytes > limit {
            ("max.request.size", limit)
        } else {
            ("buffer.memory", self.inner.router.core.budget.limit())
        };
        let topic = record.topic_name().unwrap_or_default().to_owned();
        Error::RecordTooLarge { topic, bytes: bytes as u64, setting, limit: limit as u64 }
    }

    #[inline]
    fn add(
        &self,
        target: &Target,
        accumulator: &Arc<Accumulator>,
        record: &Record<'_>,
        bytes: usize,
    ) -> Result<Delivery> {
        let core = &self.inner.router.core;
        let timestamp = record.own_timestamp().unwrap_or_else(|| core.background.clock.wall());
        let added = accumulator.add(record, timestamp, bytes)?;
        if record.partition_number().is_none() {
            target.note_sent(core, accumulator.partition(), bytes, added.has_closed);
        }
        let delivery = if core.config.acks == Acks::None {
            // Nobody will ask, so its failure is to be told elsewhere.
            added.completion.abandon();
            Delivery::unacknowledged(accumulator.partition(), timestamp)
        } else {
            Delivery::tracked(added.completion, added.index, timestamp)
        };
        if added.drains {
            accumulator.drain();
        }
        Ok(delivery)
    }

    #[cold]
    fn wait_for_room(&self, bytes: usize) -> Result<()> {
        let core = &self.inner.router.core;
        let clock = &*core.background.clock;
        let deadline = deadline_after(clock, core.config.max_block);
        let reserved = block_until(clock, deadline, |context| self.inner.router.poll_reserve(bytes, context));
        reserved.unwrap_or_else(|| Err(self.full(bytes, core.config.max_block)))
    }

    fn full(&self, bytes: usize, waited: Duration) -> Error {
        let core = &self.inner.router.core;
        let (bytes, limit) = (bytes as u64, core.budget.limit() as u64);
        Error::BufferFull { bytes, limit, waited, source: core.trouble() }
    }
}

impl Inner {
    /// Appends, and with [`Acks::All`] syncs, all that is held now. `None`: it took too long.
    fn settle(&self, deadline: Option<Duration>) -> Option<Result<()>> {
        let core = &self.router.core;
        let clock = &*core.background.clock;
        let targets = self.router.targets();
        // Before the open batches are closed: what others send from then on may linger, and is not waited for.
        let newest: Vec<_> = targets.accumulators().filter_map(|accumulator| accumulator.newest()).collect();
        self.router.drain_all();
        for newest in newest {
            block_until(clock, deadline, |context| newest.poll_outcome(context).map(drop))?;
        }
        if core.config.acks == Acks::All {
            targets.accumulators().for_each(|accumulator| accumulator.sync_appended());
        }
        Some(core.take_failure().map_or(Ok(()), Err))
    }

    fn forget(&self) {
        let held: Arc<dyn EndsWithBroker> = Arc::<Router>::clone(&self.router);
        self.broker.shared.forget(&held);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.is_ended.load(Acquire) {
            return;
        }
        self.router.refuse_sends();
        self.router.drain_all();
        // What is being tried again goes on in the background, and ends with the broker at the latest.
        if self.router.is_idle() {
            self.router.forget_targets();
            self.forget();
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("config", &self.inner.router.core.config).finish_non_exhaustive()
    }
}
