//! Several consumers of one group, each on a thread of its own.

use std::error::Error as StdError;
use std::time::Duration;

use super::ending::{Ending, Outcome, not_processed, unless_later};
use super::handle::Workers;
use crate::consumer::builder::ConsumerBuilder;
use crate::consumer::handle::Consumer;
use crate::consumer::records::Records;
use crate::error::{Error, Result, guarded};
use crate::sync::Arc;

impl ConsumerBuilder {
    /// Makes `count` consumers that subscribe to `topics`, each on a thread of its own that polls and has `work` process what
    /// the poll returned. At least once: what `work` has returned from is committed, at the
    /// [interval](ConsumerBuilder::auto_commit) or, without one, after each call, and when a consumer gives partitions up or
    /// ends; what it was at when the program died is processed again.
    ///
    /// A partition belongs to one consumer at a time, so its records are processed in order; with more consumers than
    /// partitions some have nothing to do. As the poll is not repeated before `work` has returned, that must be well within
    /// [`max_poll_interval`](ConsumerBuilder::max_poll_interval): a consumer that takes longer is taken out of the group, cannot
    /// commit, and joins again, and the same records are processed again and again without an error.
    /// [`max_poll_records`](ConsumerBuilder::max_poll_records) bounds what it is given.
    ///
    /// An error or a panic of `work`, and any other failure, ends all of them: the next one would only be given the same records.
    /// Of the records of that call nothing is committed. A program that can do without them returns `Ok`. Damage that a poll
    /// comes to ends them each time that they are begun: [`Workers`] says how to go on behind it.
    ///
    /// With a [`group_instance_id`](ConsumerBuilder::group_instance_id), each consumer's is that and its number: `id-0`, `id-1`.
    /// Kafka has no name for it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] for a `count` of 0; [`Error::WrongSubscription`] without topics; those of [`build`](ConsumerBuilder::build) and
    /// [`subscribe`](Consumer::subscribe); [`Error::Io`] where a thread cannot be started. No thread is left running then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use streamlog::{AutoOffsetReset, Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// let orders = broker.admin().create_topic(NewTopic::new("orders").partitions(4))?;
    /// for number in 0..4 {
    ///     orders.partition(number)?.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
    /// }
    ///
    /// let (billed, bills) = mpsc::channel();
    /// let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    /// let workers = builder.workers(2, ["orders"], move |records| {
    ///     for record in records {
    ///         billed.send((record.topic_partition().clone(), record.offset()))?;
    ///     }
    ///     Ok(())
    /// })?;
    /// // A rebalance that is under way may have some of them processed twice.
    /// let mut seen = std::collections::BTreeSet::new();
    /// while seen.len() < 8 {
    ///     seen.extend(bills.recv());
    /// }
    /// workers.stop();
    /// workers.join()?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn workers<T: Into<String>>(
        self,
        count: usize,
        topics: impl IntoIterator<Item = T>,
        work: impl Fn(&Records) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    ) -> Result<Workers> {
        let topics = topics_of(topics)?;
        check_count("workers", count)?;
        let mut consumers = Vec::new();
        for number in 0..count {
            let mut builder = self.clone();
            if let Some(id) = &mut builder.config.group_instance_id {
                *id = format!("{id}-{number}");
            }
            let mut consumer = builder.build()?;
            consumer.subscribe(topics.iter().cloned())?;
            consumers.push(consumer);
        }
        let ending = Arc::new(Ending::new(consumers.iter().map(Consumer::waker).collect()));
        let mut workers = Workers::new(Arc::clone(&ending));
        let work = Arc::new(work);
        for (number, consumer) in consumers.into_iter().enumerate() {
            let (ending, work) = (Arc::clone(&ending), Arc::clone(&work));
            workers.spawn(format!("streamlog-worker-{number}"), move || run(consumer, &ending, &*work))?;
        }
        Ok(workers)
    }
}

/// What a subscription of workers is to, which is something.
pub(super) fn topics_of<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> Result<Vec<String>> {
    let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
    if topics.is_empty() {
        return Err(Error::WrongSubscription { operation: "start workers", reason: "there are no topics" });
    }
    Ok(topics)
}

/// Refuses to work with nobody.
pub(super) fn check_count(setting: &'static str, count: usize) -> Result<()> {
    if count > 0 {
        return Ok(());
    }
    let (value, reason) = (count.to_string(), "must be 1 or more".to_owned());
    Err(Error::InvalidConfig { setting, value, reason })
}

/// What one thread does.
fn run(mut consumer: Consumer, ending: &Ending, work: &dyn Fn(&Records) -> Outcome) -> Result<()> {
    // Everybody knows that it is over before anybody is given what this one had.
    if let Err(error) = poll_and_work(&mut consumer, ending, work) {
        ending.fail(error);
    }
    // The position stands behind what is finished: where the consumer commits by itself, that is what it commits now.
    unless_later(consumer.close()).map(drop)
}

fn poll_and_work(consumer: &mut Consumer, ending: &Ending, work: &dyn Fn(&Records) -> Outcome) -> Result<()> {
    let commits_each = !consumer.config.commits_by_itself();
    while !ending.is_over() {
        let records = consumer.poll(Duration::MAX)?;
        let Some(first) = records.iter().next() else { continue };
        if ending.is_over() {
            put_back(consumer, &records);
            break;
        }
        let outcome = guarded(|| "the work of a worker".to_owned(), || work(&records));
        if let Err(source) = outcome.map_err(Into::into).and_then(|outcome| outcome) {
            put_back(consumer, &records);
            return Err(not_processed(first.topic_partition(), first.offset(), source));
        }
        if commits_each {
            unless_later(consumer.commit())?;
        }
    }
    Ok(())
}

/// Goes back to before these records, which were not processed.
fn put_back(consumer: &mut Consumer, records: &Records) {
    for (partition, mut records) in records.by_partition() {
        if let Some(first) = records.next() {
            // It is assigned, as it was just polled; where the consumer has ended, nothing is committed either.
            let _ = consumer.seek(partition, first.offset());
        }
    }
}
