//! A handle on one topic.

use std::fmt;

use super::partition::Partition;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::log::TopicConfig;
use crate::metrics::{PartitionMetrics, TopicMetrics};
use crate::offset::{PartitionId, TopicPartition};
use crate::sync::Arc;
use crate::topic::TopicEntry;
use crate::uuid::Uuid;

/// A topic of an open broker, as it was when it was asked for. Cheap to clone. From
/// [`Broker::topic`](crate::Broker::topic).
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders").partitions(3))?;
/// let orders = broker.topic("orders")?;
/// for partition in orders.partitions() {
///     let partition = partition?;
///     partition.append(&[Record::new().value("hello")])?;
///     assert_eq!(partition.log_end_offset(), 1);
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Topic {
    shared: Arc<Shared>,
    entry: Arc<TopicEntry>,
}

impl Topic {
    pub(crate) fn new(shared: &Arc<Shared>, entry: Arc<TopicEntry>) -> Topic {
        Topic { shared: Arc::clone(shared), entry }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its id, which tells it from an earlier topic of the same name.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.entry.id
    }

    /// How many partitions it has; they are numbered from 0.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.entry.partition_count()
    }

    /// Its settings, as they were when this handle was taken: the topic's own, and the broker's defaults for the rest.
    #[must_use]
    pub fn config(&self) -> &TopicConfig {
        &self.entry.config
    }

    /// One of its partitions.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPartition`](crate::Error::UnknownPartition),
    /// [`Error::PartitionOffline`](crate::Error::PartitionOffline), [`Error::Closed`](crate::Error::Closed), and
    /// [`Error::UnknownTopic`](crate::Error::UnknownTopic) once the topic has been deleted, whether or not there is another one
    /// of its name.
    pub fn partition(&self, number: u32) -> Result<Partition> {
        self.shared.check_open()?;
        if self.shared.catalog.topic(self.name())?.id != self.entry.id {
            return Err(Error::UnknownTopic { topic: self.name().to_owned() });
        }
        Ok(Partition::new(&self.shared, self.entry.log(number)?))
    }

    /// The names of all its partitions, by number: what a consumer of the whole topic is assigned.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic};
    ///
    /// let broker = Broker::in_memory()?;
    /// let orders = broker.admin().create_topic(NewTopic::new("orders").partitions(3))?;
    /// let mut consumer = broker.consumer().build()?;
    /// consumer.assign(orders.topic_partitions())?;
    /// assert_eq!(consumer.assignment().len(), 3);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let numbers = (0..self.partition_count()).filter_map(PartitionId::from_u32);
        numbers.map(|number| TopicPartition::new(self.name(), number))
    }

    /// All of its partitions, by number; an offline one is its error.
    pub fn partitions(&self) -> impl Iterator<Item = Result<Partition>> {
        (0..self.partition_count()).map(|number| self.partition(number))
    }

    /// What its partitions have taken since the broker was opened, and how evenly ([`TopicMetrics::skew`]).
    #[must_use]
    pub fn metrics(&self) -> TopicMetrics {
        let log = |number| self.entry.log(number).ok();
        let taken = |number| log(number).map(|log| PartitionMetrics::of(log.counters())).unwrap_or_default();
        TopicMetrics { partitions: (0..self.partition_count()).map(taken).collect() }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.name()).finish_non_exhaustive()
    }
}
