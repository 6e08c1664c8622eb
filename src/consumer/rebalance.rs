//! What a program is told when its partitions change, and what it may do then.

use std::fmt;

use super::offset_and_metadata::OffsetAndMetadata;
use crate::error::Result;
use crate::offset::{Offset, TopicPartition};

/// Is told which partitions a consumer of a group gets and loses. Kafka's `ConsumerRebalanceListener`.
///
/// Its methods are called inside [`poll`](super::Consumer::poll), [`close`](super::Consumer::close) and
/// [`unsubscribe`](super::Consumer::unsubscribe), by the consumer's own thread, and never where there is nothing to tell, but for
/// [`assigned`](RebalanceListener::assigned). An error or a panic of one is returned from that call, after the rest of the
/// rebalance has been done: the partitions are assigned all the same, and the next poll reads them from where they were
/// committed, or from where [`auto_offset_reset`](super::ConsumerBuilder::auto_offset_reset) says. So a program whose `assigned`
/// has failed must not poll on as if it had sought. A consumer that is dropped tells nobody.
///
/// # Examples
///
/// Positions that are kept outside, together with what was made of the records:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use streamlog::{
///     AutoOffsetReset, Broker, NewTopic, Offset, PartitionId, Rebalance, RebalanceListener, Record, Result,
///     TopicPartition,
/// };
///
/// type Positions = Arc<Mutex<BTreeMap<TopicPartition, Offset>>>;
///
/// struct KeptOutside(Positions);
///
/// impl RebalanceListener for KeptOutside {
///     fn assigned(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
///         for partition in partitions {
///             if let Some(&offset) = self.0.lock().unwrap().get(partition) {
///                 rebalance.seek(partition, offset)?;
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let orders = broker.topic("orders")?.partition(0)?;
/// orders.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
///
/// let positions = Positions::default();
/// positions.lock().unwrap().insert(TopicPartition::new("orders", PartitionId::ZERO), 1_u32.into());
/// let builder = broker.consumer().group("billing").auto_commit(None);
/// let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
/// consumer.subscribe_with(["orders"], KeptOutside(positions))?;
/// let records = consumer.poll(Duration::from_secs(1))?;
/// assert_eq!(records.iter().next().and_then(|record| record.value()), Some(&b"1 pear"[..]));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[expect(unused_variables, reason = "the names say what an implementation is given")]
pub trait RebalanceListener: Send + 'static {
    /// These partitions were added, and will be read from where they were committed, or from where this seeks to. With the eager
    /// protocol all of the new assignment; with the cooperative one what is new of it, and nothing where nothing is.
    ///
    /// # Errors
    ///
    /// Whatever it returns is returned from the poll.
    fn assigned(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// These partitions go to others: the last chance to commit what was made of them. They are still assigned, and nothing more
    /// is read of them.
    ///
    /// # Errors
    ///
    /// As [`assigned`](RebalanceListener::assigned).
    fn revoked(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// These partitions may have been others' for some time: the consumer did not poll within its `max_poll_interval`, or
    /// was fenced; or their topic was deleted. What is not committed can no longer be. Calls
    /// [`revoked`](RebalanceListener::revoked), if it does not say otherwise: a commit there fails then, and with it
    /// the poll, unless it was the topic that went.
    ///
    /// # Errors
    ///
    /// As [`assigned`](RebalanceListener::assigned).
    fn lost(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.revoked(rebalance, partitions)
    }
}

/// A listener that hears nothing.
#[derive(Debug)]
pub(super) struct NoListener;

impl RebalanceListener for NoListener {}

/// The consumer, as far as a [`RebalanceListener`] may use it.
pub struct Rebalance<'a> {
    consumer: &'a mut dyn Rebalancing,
}

/// What a consumer does for its listener: each as the consumer's method of the same name.
pub(super) trait Rebalancing: fmt::Debug {
    fn assignment(&self) -> Vec<TopicPartition>;
    fn commit(&mut self) -> Result<()>;
    fn commit_offsets(&mut self, offsets: Vec<(TopicPartition, OffsetAndMetadata)>) -> Result<()>;
    fn position(&mut self, partition: &TopicPartition) -> Result<Offset>;
    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()>;
    fn seek_to_beginning(&mut self, partitions: &[&TopicPartition]) -> Result<()>;
    fn seek_to_end(&mut self, partitions: &[&TopicPartition]) -> Result<()>;
    fn pause(&mut self, partitions: &[&TopicPartition]) -> Result<()>;
}

impl<'a> Rebalance<'a> {
    pub(super) fn new(consumer: &'a mut dyn Rebalancing) -> Rebalance<'a> {
        Rebalance { consumer }
    }

    /// The partitions that the consumer has now, those that are being revoked included.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.consumer.assignment()
    }

    /// As [`Consumer::commit`](super::Consumer::commit).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn commit(&mut self) -> Result<()> {
        self.consumer.commit()
    }

    /// As [`Consumer::commit_offsets`](super::Consumer::commit_offsets).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn commit_offsets<O: Into<OffsetAndMetadata>>(
        &mut self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        let offsets = offsets.into_iter().map(|(partition, offset)| (partition, offset.into()));
        self.consumer.commit_offsets(offsets.collect())
    }

    /// As [`Consumer::position`](super::Consumer::position).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn position(&mut self, partition: &TopicPartition) -> Result<Offset> {
        self.consumer.position(partition)
    }

    /// As [`Consumer::seek`](super::Consumer::seek).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        self.consumer.seek(partition, offset)
    }

    /// As [`Consumer::seek_to_beginning`](super::Consumer::seek_to_beginning).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn seek_to_beginning<'p>(
        &mut self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Result<()> {
        self.consumer.seek_to_beginning(&partitions.into_iter().collect::<Vec<_>>())
    }

    /// As [`Consumer::seek_to_end`](super::Consumer::seek_to_end).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn seek_to_end<'p>(
        &mut self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Result<()> {
        self.consumer.seek_to_end(&partitions.into_iter().collect::<Vec<_>>())
    }

    /// As [`Consumer::pause`](super::Consumer::pause).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pause<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<()> {
        self.consumer.pause(&partitions.into_iter().collect::<Vec<_>>())
    }
}

impl fmt::Debug for Rebalance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebalance").field("consumer", &self.consumer).finish()
    }
}
