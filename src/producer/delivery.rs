//! What a sender holds of a record that it sent.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::accumulator::Completion;
use super::completion::Placed;
use crate::acks::Acks;
use crate::clock::{block_until, deadline_after};
use crate::error::Result;
use crate::offset::{Offset, PartitionId, Timestamp};
use crate::sync::Arc;

/// A record that was sent, on its way into its partition. From [`Producer::send`](crate::Producer::send).
///
/// It can be waited for, awaited, or dropped: the record goes its way in any case. Waiting and awaiting close the batch that the
/// record is in, whatever `linger` says. With [`Acks::All`], waiting leads the sync, or joins one that is led; awaiting and
/// dropping leave it to the background.
///
/// A failure that nobody took, because the delivery was dropped, is told by [`Producer::flush`](crate::Producer::flush). So to
/// send many records, drop their deliveries, and flush at the end: `drop(producer.send(record)?)`, then `producer.flush()?`.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let producer = broker.producer().build()?;
///
/// let first = producer.send(Record::to("orders").value("3 apples"))?;
/// let second = producer.send(Record::to("orders").value("1 pear"))?;
/// assert_eq!(second.wait()?.offset.map(u64::from), Some(1));
/// assert_eq!(first.wait()?.offset.map(u64::from), Some(0));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[must_use = "a record is only known to be delivered once its delivery was waited for, or the producer flushed"]
pub struct Delivery {
    record: Sent,
}

/// What is known of a record when it is sent.
enum Sent {
    /// Nobody is told what becomes of it.
    Unacknowledged(RecordMetadata),
    Tracked {
        completion: Arc<Completion>,
        /// The record's place in its batch.
        index: u32,
        timestamp: Timestamp,
        /// Whether somebody was told what became of it.
        is_told: bool,
    },
}

/// What a delivered record got, and what was promised of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMetadata {
    /// The partition that was chosen.
    pub partition: PartitionId,
    /// Its offset there; nothing with [`Acks::None`], where nobody waits to learn it.
    pub offset: Option<Offset>,
    /// Its timestamp: the sender's, or the time of the append where the topic says so.
    pub timestamp: Timestamp,
    /// What it survives: see there.
    pub acks: Acks,
}

impl Delivery {
    pub(super) fn unacknowledged(partition: PartitionId, timestamp: Timestamp) -> Delivery {
        let metadata = RecordMetadata { partition, offset: None, timestamp, acks: Acks::None };
        Delivery { record: Sent::Unacknowledged(metadata) }
    }

    pub(super) fn tracked(completion: Arc<Completion>, index: u32, timestamp: Timestamp) -> Delivery {
        Delivery { record: Sent::Tracked { completion, index, timestamp, is_told: false } }
    }

    /// Returns once the record is delivered as the producer's [`Acks`] demand. At once with [`Acks::None`].
    ///
    /// It waits for the disk, however long an append or a sync takes. While the disk is full, the append is tried again until
    /// [`delivery_timeout`](crate::ProducerBuilder::delivery_timeout) is over, 120 s by default: so long this may block.
    /// [`wait_timeout`](Delivery::wait_timeout) has a bound of its own.
    ///
    /// # Errors
    ///
    /// [`Error::DeliveryFailed`](crate::Error::DeliveryFailed), with what kept the record's batch from being appended or
    /// synced.
    pub fn wait(mut self) -> Result<RecordMetadata> {
        let Sent::Tracked { completion, .. } = &self.record else { return self.told() };
        let accumulator = &completion.accumulator;
        let appended = block_until(accumulator.clock(), None, |context| {
            accumulator.hasten(completion);
            completion.poll_outcome(context).map(|outcome| outcome.as_ref().ok().copied())
        });
        if let Some(Some(placed)) = appended
            && accumulator.acks() == Acks::All
        {
            // Why it failed is what `told` finds.
            let _ = accumulator.sync_to(placed.end);
        }
        self.told()
    }

    /// As [`wait`](Delivery::wait), but for no longer than `timeout`: `None` then, and it can be waited for again. The sync is
    /// left to the background.
    ///
    /// # Errors
    ///
    /// As [`wait`](Delivery::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let producer = broker.producer().build()?;
    /// let mut delivery = producer.send(Record::to("orders").value("3 apples"))?;
    /// while delivery.wait_timeout(Duration::from_millis(100))?.is_none() {
    ///     println!("still waiting for the disk");
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<RecordMetadata>> {
        let Sent::Tracked { completion, .. } = &self.record else { return self.told().map(Some) };
        let completion = Arc::clone(completion);
        let clock = completion.accumulator.clock();
        let deadline = deadline_after(clock, timeout);
        match block_until(clock, deadline, |context| self.poll_settled(context)) {
            Some(()) => self.told().map(Some),
            None => Ok(None),
        }
    }

    /// Ready as soon as it is known what became of the record.
    fn poll_settled(&self, context: &mut Context<'_>) -> Poll<()> {
        let Sent::Tracked { completion, .. } = &self.record else { return Poll::Ready(()) };
        let accumulator = &completion.accumulator;
        accumulator.hasten(completion);
        match completion.poll_outcome(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) if accumulator.acks() != Acks::All => Poll::Ready(()),
            Poll::Ready(Ok(placed)) => accumulator.poll_secured(placed.end, context),
        }
    }

    /// What became of the record, once that is settled.
    fn told(&mut self) -> Result<RecordMetadata> {
        let (completion, index, timestamp) = match &mut self.record {
            Sent::Unacknowledged(metadata) => return Ok(*metadata),
            Sent::Tracked { completion, index, timestamp, is_told } => {
                *is_told = true;
                (&*completion, *index, *timestamp)
            }
        };
        let accumulator = &completion.accumulator;
        let outcome = completion.outcome().expect("a delivery is told of after it was waited for");
        let Placed { base, end, append_time } = match outcome {
            Ok(placed) => *placed,
            Err(error) => return Err(accumulator.failed(error)),
        };
        if accumulator.acks() == Acks::All {
            accumulator.check_secured(end)?;
        }
        Ok(RecordMetadata {
            partition: accumulator.partition(),
            offset: Some(base.saturating_add(index.into())),
            timestamp: append_time.unwrap_or(timestamp),
            acks: accumulator.acks(),
        })
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_settled(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(self.told()),
        }
    }
}

impl Drop for Delivery {
    #[inline]
    fn drop(&mut self) {
        if let Sent::Tracked { completion, is_told: false, .. } = &self.record {
            completion.abandon();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Delivery");
        match &self.record {
            Sent::Unacknowledged(metadata) => shown.field("partition", &metadata.partition),
            Sent::Tracked { completion, .. } => shown.field("partition", &completion.accumulator.partition()),
        };
        shown.finish_non_exhaustive()
    }
}
