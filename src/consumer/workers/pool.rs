//! One consumer whose records are processed on several threads.
//!
//! The consumer has a thread of its own that polls and never processes anything, so it takes part in rebalances however long a
//! record takes. It hands on what a poll returned, and polls for as many more as may be in flight; while that is none, it only
//! tends its membership, asleep. It commits what the lanes say is finished: in time, and when partitions are given up, which
//! the end is as well.

use std::error::Error as StdError;
use std::time::Duration;

use super::ending::{Ending, unless_later};
use super::handle::Workers;
use super::lanes::{Drained, Lanes};
use super::threads::{check_count, topics_of};
use crate::consumer::builder::ConsumerBuilder;
use crate::consumer::handle::Consumer;
use crate::consumer::rebalance::{Rebalance, RebalanceListener};
use crate::consumer::record::ConsumerRecord;
use crate::error::{Result, guarded};
use crate::offset::TopicPartition;
use crate::sync::Arc;

impl ConsumerBuilder {
    /// Makes one consumer that subscribes to `topics`, and `threads` threads that process its records one by one with `work`:
    /// records of a partition with the same key in order, and so those without one; records with different keys side by
    /// side. At least once.
    ///
    /// At most [`max_poll_records`](ConsumerBuilder::max_poll_records) records are polled and not finished. However long one of
    /// them takes, the consumer goes on polling, so [`max_poll_interval`](ConsumerBuilder::max_poll_interval) is kept, but for a
    /// rebalance that waits for the record: there the record must be finished within it, or the consumer is taken out of the
    /// group, and the record is processed by another as well.
    ///
    /// Committed is, for each partition, the offset below which everything is finished: at the
    /// [interval](ConsumerBuilder::auto_commit) or, without one, as soon as it is; and when partitions are given up. A rebalance waits
    /// for those of their records that are being processed, and drops those that are not begun; with an eager assignor, as the
    /// default is, each rebalance gives up all of them. What was finished behind a
    /// record that was not is processed again by whoever has the partition next.
    ///
    /// An error or a panic of `work` ends the pool: nothing more is begun, and nothing is committed of that record or what lies behind
    /// it in its partition. A program that can do without the record returns `Ok`. A poll that fails ends it too, once what was
    /// polled before is processed, unless it is stopped before that; damage does so each time that the pool is begun: [`Workers`] says
    /// how to go on behind it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for 0 `threads`;
    /// [`Error::WrongSubscription`](crate::Error::WrongSubscription) without topics; those of [`build`](ConsumerBuilder::build) and
    /// [`subscribe`](Consumer::subscribe); [`Error::Io`](crate::Error::Io) where a thread cannot be started. No thread is left
    /// running then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use streamlog::{AutoOffsetReset, Broker, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// let orders = broker.admin().create_topic(NewTopic::new("orders"))?.partition(0)?;
    /// for (name, order) in [("alice", "3 apples"), ("carol", "1 pear"), ("alice", "2 plums")] {
    ///     orders.append(&[Record::new().key(name).value(order)])?;
    /// }
    ///
    /// let (billed, bills) = mpsc::channel();
    /// let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    /// let workers = builder.worker_pool(2, ["orders"], move |record| {
    ///     Ok(billed.send((record.key().map(<[u8]>::to_vec), record.offset()))?)
    /// })?;
    /// let bills: Vec<_> = bills.iter().take(3).collect();
    /// let alices = bills.iter().filter(|(key, _)| key.as_deref() == Some(b"alice")).map(|&(_, offset)| offset);
    /// assert_eq!(alices.map(u64::from).collect::<Vec<_>>(), [0, 2]);
    ///
    /// workers.stop();
    /// workers.join()?;
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// let committed = broker.consumer().group("billing").build()?.committed([&partition])?;
    /// assert_eq!(committed[&partition].offset, 3);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn worker_pool<T: Into<String>>(
        mut self,
        threads: usize,
        topics: impl IntoIterator<Item = T>,
        work: impl Fn(ConsumerRecord<'_>) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    ) -> Result<Workers> {
        let topics = topics_of(topics)?;
        check_count("threads", threads)?;
        let interval = self.config.commits_by_itself().then_some(self.config.auto_commit_interval);
        let in_flight_max = self.config.max_poll_records;
        // Its positions say what was polled, not what is finished.
        self.config.enable_auto_commit = Some(false);
        let mut consumer = self.build()?;
        let waker = consumer.waker();
        let ending = Arc::new(Ending::new(vec![waker.clone()]));
        let lanes = Lanes::new(in_flight_max, interval.is_none(), waker, Arc::clone(&ending));
        let lanes = Arc::new(lanes);
        consumer.subscribe_with(topics, GivesUp(Arc::clone(&lanes)))?;

        let mut workers = Workers::new(ending);
        // First, because it is what ends the others.
        let poller = Poller::new(consumer, Arc::clone(&lanes), interval)?;
        workers.spawn("streamlog-poller".to_owned(), move || poller.run())?;
        let work = Arc::new(work);
        for number in 0..threads {
            let (lanes, work) = (Arc::clone(&lanes), Arc::clone(&work));
            workers.spawn(format!("streamlog-pool-{number}"), move || {
                let guarded_work = |record: ConsumerRecord<'_>| {
                    guarded(|| "the work of a worker pool".to_owned(), || work(record))?
                };
                lanes.run(guarded_work);
                Ok(())
            })?;
        }
        Ok(workers)
    }
}

/// Commits what is finished of partitions that are given up, and drops the rest.
struct GivesUp(Arc<Lanes>);

impl RebalanceListener for GivesUp {
    /// What could not be committed during the rebalance is now.
    fn assigned(&mut self, rebalance: &mut Rebalance<'_>, _: &[TopicPartition]) -> Result<()> {
        let finished = self.0.finished();
        if unless_later(rebalance.commit_offsets(finished.iter().cloned()))? {
            self.0.note_committed(&finished);
        }
        Ok(())
    }

    fn revoked(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        let finished = self.0.give_up(partitions);
        unless_later(rebalance.commit_offsets(finished)).map(drop)
    }

    fn lost(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.0.give_up(partitions);
        Ok(())
    }
}

/// The thread of the consumer.
struct Poller {
    consumer: Consumer,
    lanes: Arc<Lanes>,
    /// None: whenever anything is finished.
    interval: Option<Duration>,
    /// When to commit next, on the monotonic clock.
    commit_at: Duration,
    /// For which of these times it is woken already.
    wakes_at: Option<Duration>,
}

impl Poller {
    fn new(consumer: Consumer, lanes: Arc<Lanes>, interval: Option<Duration>) -> Result<Poller> {
        let now = consumer.shared()?.background.clock.monotonic();
        let commit_at = now.saturating_add(interval.unwrap_or_default());
        Ok(Poller { consumer, lanes, interval, commit_at, wakes_at: None })
    }

    fn run(mut self) -> Result<()> {
        let polled = self.poll();
        self.lanes.ending().stop();
        polled.and(self.consumer.close())
    }

    fn poll(&mut self) -> Result<()> {
        // Not told before what was polled in front of it is processed: who has the group go on behind it would pass that over.
        let mut failure = None;
        while !self.lanes.ending().is_over() {
            if let Some(error) = failure.take() {
                match self.lanes.drained() {
                    Drained::NotYet => failure = Some(error),
                    Drained::Finished => return Err(error),
                    // It is polled again, and what comes behind it fails again.
                    Drained::Dropped => {}
                }
            }
            let room = if failure.is_some() { 0 } else { self.lanes.room() };
            self.consumer.is_held = room == 0;
            self.consumer.config.max_poll_records = room;
            match self.consumer.poll(Duration::MAX) {
                Ok(records) => self.lanes.add(&records),
                Err(error) if failure.is_none() => {
                    self.lanes.drain();
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
            self.commit_in_time()?;
        }
        Ok(())
    }

    fn commit_in_time(&mut self) -> Result<()> {
        let Some(interval) = self.interval else { return self.commit() };
        let background = self.consumer.shared()?.background.clone();
        let now = background.clock.monotonic();
        if now >= self.commit_at {
            self.commit_at = now.saturating_add(interval);
            self.commit()?;
        }
        if self.wakes_at != Some(self.commit_at) && self.lanes.has_work() {
            let waker = self.consumer.waker();
            background.timers.schedule(self.commit_at, move || waker.wake());
            self.wakes_at = Some(self.commit_at);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let finished = self.lanes.finished();
        if !finished.is_empty() && unless_later(self.consumer.commit_offsets(finished.iter().cloned()))? {
            self.lanes.note_committed(&finished);
        }
        Ok(())
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.lanes.ending().stop();
        self.lanes.close();
    }
}
