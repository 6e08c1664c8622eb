//! Topics: describe, create, extend, alter and delete.

use super::handle::Admin;
use crate::broker::Topic;
use crate::error::{Error, Result};
use crate::log::{Log, TopicConfig};
use crate::offset::{Offset, PartitionId};
use crate::sync::Arc;
use crate::topic::{NewTopic, check_not_internal, is_internal};
use crate::uuid::Uuid;

/// A topic, as [`Admin::describe_topic`] tells of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its settings.
    pub config: TopicConfig,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition, as [`Admin::describe_topic`] tells of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number.
    pub partition: PartitionId,
    /// The first readable offset.
    pub start_offset: Offset,
    /// The next offset to be assigned.
    pub end_offset: Offset,
    /// Everything below is on the device.
    pub durable_offset: Offset,
    /// How many segments there are.
    pub segments: usize,
    /// Bytes of batches in them.
    pub bytes: u64,
    /// Why it is offline, if it is; then the numbers are 0.
    pub offline: Option<Arc<Error>>,
}

impl Admin {
    /// Creates a topic. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTopicName`], [`Error::TopicExists`], [`Error::TopicNameCollision`],
    /// [`Error::InvalidPartitionCount`], [`Error::InvalidConfig`], [`Error::InvalidFile`] where a directory of that name with
    /// records in it is there already, [`Error::PartitionOffline`] where a part of `__consumer_offsets` is, as it may hold what
    /// groups have committed of an earlier topic of that name, [`Error::ReadOnly`], [`Error::Closed`], [`Error::Poisoned`], also
    /// where such a part is, [`Error::Io`]. After an error the topic does not exist, and creating it can be tried again.
    ///
    /// Where a part of `__consumer_offsets` is lost for good, topics can be created by who opened in
    /// [`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage).
    pub fn create_topic(&self, topic: NewTopic) -> Result<Topic> {
        self.broker.shared.check_open()?;
        self.broker.shared.check_writable("create a topic")?;
        check_not_internal(&topic.name)?;
        let entry = self.broker.shared.create_topic(topic)?;
        Ok(Topic::new(&self.broker.shared, entry))
    }

    /// Gives a topic more partitions: `total` in all. They are empty, and durable when this returns. The partitions that there
    /// are, and handles on them, go on as before; a [`Topic`] that was asked for earlier does not know the new ones. Records
    /// with a key may go to another partition from now on.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`], [`Error::PartitionsNotAdded`] for a total that is not larger than what there is,
    /// [`Error::InvalidPartitionCount`] for one over 10,000, [`Error::PartitionOffline`] where the topic has a partition whose
    /// creation an open could not complete, and those of [`create_topic`](Admin::create_topic). After an error the topic is as
    /// before, and this can be tried again.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, Error, NewTopic};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.admin().create_partitions("orders", 3)?;
    /// assert_eq!(orders.partition_count(), 3);
    ///
    /// let error = broker.admin().create_partitions("orders", 2).unwrap_err();
    /// assert!(matches!(error, Error::PartitionsNotAdded { current: 3, requested: 2, .. }));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn create_partitions(&self, name: &str, total: u32) -> Result<Topic> {
        self.broker.shared.check_open()?;
        self.broker.shared.check_writable("add partitions")?;
        check_not_internal(name)?;
        let entry = self.broker.shared.catalog.create_partitions(name, total)?;
        Ok(Topic::new(&self.broker.shared, entry))
    }

    /// Deletes a topic with all that is in it. It stays deleted when this returns, whatever happens then. Handles on it fail
    /// with [`Error::UnknownTopic`]; what has been read stays valid. Another topic may have its name at once, and is empty.
    ///
    /// The files are removed in the background, or after the next open. What groups have committed of it goes too; where that
    /// cannot be written, it stays until another topic of its name is created, which first makes it good, or fails.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`], [`Error::TopicDeletionDisabled`], [`Error::InvalidTopicName`] for the catalog's own,
    /// [`Error::ReadOnly`], [`Error::Closed`], [`Error::Io`]. After an error the topic is there as before, but with [`Error::Poisoned`], which says
    /// that the catalog could not be synced: then the next open has the topic whole or not at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, Error, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// let first = broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let partition = first.partition(0)?;
    /// partition.append(&[Record::new().value("3 apples")])?;
    ///
    /// broker.admin().delete_topic("orders")?;
    /// assert!(matches!(partition.sync(), Err(Error::UnknownTopic { .. })));
    ///
    /// let second = broker.admin().create_topic(NewTopic::new("orders"))?;
    /// assert!(second.id() != first.id() && second.partition(0)?.log_end_offset() == 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.broker.shared.check_open()?;
        self.broker.shared.check_writable("delete a topic")?;
        check_not_internal(name)?;
        if !self.broker.shared.config.delete_topics {
            return Err(Error::TopicDeletionDisabled {
                topic: self.broker.shared.catalog.topic(name)?.name.clone(),
            });
        }
        self.broker.shared.delete_topic(name)
    }

    /// Changes a topic's settings: what `changes` sets becomes the topic's own, and a setting named in `reset`, by Kafka's
    /// name, goes back to the broker's default. Everything else stays. It is durable when this returns, and every append
    /// that begins from then on works by it; the segment that is being appended to keeps its jitter and the density of its index.
    ///
    /// A [`Topic`] taken before shows the settings from before; the one returned, and every one from
    /// [`Broker::topic`](crate::Broker::topic) from now on, shows the new ones. Appends through either go by the new ones.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`], [`Error::InvalidTopicName`] for the catalog's own, [`Error::UnknownSetting`] for a name in
    /// `reset` that is nobody's, [`Error::InvalidConfig`],
    /// [`Error::CodecDisabled`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Poisoned`], [`Error::Io`]. After an error nothing has changed,
    /// but where the disk refused, the next open may find the new settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, TopicConfig};
    ///
    /// let broker = Broker::in_memory()?;
    /// let admin = broker.admin();
    /// admin.create_topic(NewTopic::new("orders").config(TopicConfig::default().preallocate(true)))?;
    ///
    /// let changes = TopicConfig::default().segment_bytes(64 << 20);
    /// let orders = admin.alter_topic_config("orders", changes, &["preallocate"])?;
    /// assert_eq!(orders.config().overrides(), [("segment.bytes", "67108864".to_owned())]);
    ///
    /// // The same by Kafka's names.
    /// let changes = TopicConfig::from_properties([("flush.ms", "1000")])?;
    /// admin.alter_topic_config("orders", changes, &["segment.bytes"])?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn alter_topic_config(&self, name: &str, changes: TopicConfig, reset: &[&str]) -> Result<Topic> {
        self.broker.shared.check_open()?;
        self.broker.shared.check_writable("change a topic's settings")?;
        let entry = self.broker.shared.catalog.alter_config(name, changes, reset)?;
        Ok(Topic::new(&self.broker.shared, entry))
    }

    /// The names of all topics, sorted, but for the broker's own, as `__consumer_offsets`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn list_topics(&self) -> Result<Vec<String>> {
        self.broker.shared.check_open()?;
        let topics = self.broker.shared.catalog.topics();
        Ok(topics.keys().filter(|name| !is_internal(name)).cloned().collect())
    }

    /// What a topic is and how far its partitions are.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`], [`Error::Closed`].
    pub fn describe_topic(&self, name: &str) -> Result<TopicDescription> {
        self.broker.shared.check_open()?;
        let entry = self.broker.shared.catalog.topic(name)?;
        let partitions = (0_u32..).zip(&entry.partitions);
        let describe = |(number, log): (u32, &Result<Arc<Log>, Arc<Error>>)| {
            Ok(describe_partition(PartitionId::try_from(number)?, log))
        };
        let partitions = partitions.map(describe).collect::<Result<_>>()?;
        Ok(TopicDescription {
            name: entry.name.clone(),
            id: entry.id,
            config: entry.config.clone(),
            partitions,
        })
    }
}

fn describe_partition(partition: PartitionId, log: &Result<Arc<Log>, Arc<Error>>) -> PartitionDescription {
    match log {
        Ok(log) => {
            let segments = log.segment_list();
            PartitionDescription {
                partition,
                start_offset: log.start(),
                end_offset: log.end(),
                durable_offset: log.durable(),
                segments: segments.len(),
                bytes: segments.iter().map(|segment| segment.end().position).sum(),
                offline: None,
            }
        }
        Err(error) => PartitionDescription {
            partition,
            start_offset: Offset::ZERO,
            end_offset: Offset::ZERO,
            durable_offset: Offset::ZERO,
            segments: 0,
            bytes: 0,
            offline: Some(Arc::clone(error)),
        },
    }
}
