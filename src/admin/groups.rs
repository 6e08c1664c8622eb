//! Groups: list, describe, reset and delete.

use std::collections::BTreeMap;

use super::handle::Admin;
use crate::error::{Error, Result};
use crate::group::{Coordinator, GroupDescription, GroupListing, OffsetToCommit};
use crate::log::Log;
use crate::offset::{Offset, Timestamp, TopicPartition};
use crate::sync::Arc;

/// Where a group is to go on in a partition, for [`Admin::reset_group_offsets`]. What `kafka-consumer-groups --reset-offsets`
/// takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// At the first record that there is.
    Earliest,
    /// Behind the last one.
    Latest,
    /// At this offset, which must lie in the log, or be its end.
    Offset(Offset),
    /// At the first record with at least this timestamp; behind the last one where there is none.
    Time(Timestamp),
    /// So many offsets on from what is committed, or back, as far as the log goes. A partition without a committed offset is left
    /// out.
    Shift(i64),
}

impl Admin {
    /// All groups, by name. One whose partition of `__consumer_offsets` is offline is not among them.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; those of reading `__consumer_offsets`, the first time.
    pub fn list_groups(&self) -> Result<Vec<GroupListing>> {
        self.known_groups()?.map_or(Ok(Vec::new()), |groups| groups.list())
    }

    /// A group: its state, its members and what they are assigned, what it has committed and how far that is behind, and what its
    /// last rebalances were about.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`], [`Error::PartitionOffline`], [`Error::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{AutoOffsetReset, Broker, GroupState, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("3 apples")])?;
    /// let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    /// let mut consumer = builder.build()?;
    /// consumer.subscribe(["orders"])?;
    /// consumer.poll(Duration::from_secs(1))?;
    /// consumer.commit()?;
    /// orders.append(&[Record::new().value("1 pear")])?;
    ///
    /// let billing = broker.admin().describe_group("billing")?;
    /// assert_eq!((billing.state, billing.members.len()), (GroupState::Stable, 1));
    /// assert_eq!(billing.lag[&TopicPartition::new("orders", PartitionId::ZERO)], 1);
    /// for rebalance in &billing.rebalances {
    ///     println!("{rebalance}");
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        let mut description = self.groups(group)?.describe(group)?;
        for (partition, committed) in &description.committed {
            if let Ok(log) = self.partition_log(partition) {
                let lag = log.end().delta_from(committed.offset).unwrap_or(0);
                description.lag.insert(partition.clone(), lag);
            }
        }
        Ok(description)
    }

    /// Deletes a group without members, with everything it has committed. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`], [`Error::GroupNotEmpty`], [`Error::ReadOnly`], [`Error::PartitionOffline`],
    /// [`Error::Poisoned`], [`Error::Io`], [`Error::Closed`]. After an error the group is there as before, but after one of the
    /// sync it may be gone at the next open.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        self.broker.shared.check_writable("delete a group")?;
        self.groups(group)?.delete_group(group)?.wait()
    }

    /// Forgets what a group has committed in these partitions. It is durable when this returns. Kafka's
    /// `deleteConsumerGroupOffsets` (KIP-496).
    ///
    /// # Errors
    ///
    /// [`Error::GroupSubscribed`] where a member subscribes to one of the topics; as [`delete_group`](Admin::delete_group)
    /// otherwise. All of them are forgotten, or none.
    pub fn delete_group_offsets<'a>(
        &self,
        group: &str,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<()> {
        self.broker.shared.check_writable("delete offsets of a group")?;
        let partitions: Vec<TopicPartition> = partitions.into_iter().cloned().collect();
        self.groups(group)?.delete_offsets(group, &partitions)?.wait()
    }

    /// Has a group without members go on elsewhere in these partitions, and gives where. A group that there is not is begun. It is
    /// durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotEmpty`], [`Error::InvalidGroupId`], [`Error::UnknownTopic`], [`Error::UnknownPartition`],
    /// [`Error::OffsetOutOfRange`] for an offset outside the log; as [`delete_group`](Admin::delete_group) otherwise. All of them
    /// are set, or none; those of a topic that is deleted meanwhile go with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, OffsetSpec, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
    ///
    /// let (admin, partition) = (broker.admin(), TopicPartition::new("orders", PartitionId::ZERO));
    /// let reset = |to| admin.reset_group_offsets("billing", [&partition], to).map(|offsets| offsets[&partition]);
    /// assert_eq!(reset(OffsetSpec::Latest)?, 2);
    /// assert_eq!(reset(OffsetSpec::Shift(-1))?, 1);
    /// assert_eq!(reset(OffsetSpec::Earliest)?, 0);
    /// assert!(reset(OffsetSpec::Offset(3_u32.into())).is_err());
    /// admin.delete_group("billing")?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn reset_group_offsets<'a>(
        &self,
        group: &str,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
        to: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        self.broker.shared.check_writable("reset offsets of a group")?;
        let groups = self.broker.shared.coordinator()?;
        let mut offsets = BTreeMap::new();
        for partition in partitions {
            let log = self.partition_log(partition)?;
            if let Some(offset) = place(&groups, group, &log, to)? {
                offsets.insert(partition.clone(), (offset, log));
            }
        }
        let commit = |(partition, (offset, log)): (&TopicPartition, &(Offset, Arc<Log>))| OffsetToCommit {
            partition: partition.clone(),
            offset: *offset,
            // By it a reader finds out where a power cut takes what lies before the offset.
            leader_epoch: log.epoch_before(*offset),
            metadata: String::new(),
        };
        let is_there = |partition: &TopicPartition| {
            offsets.get(partition).is_some_and(|(_, log)| log.check_open().is_ok())
        };
        groups.reset(group, offsets.iter().map(commit).collect(), is_there)?.wait()?;
        Ok(offsets.into_iter().map(|(partition, (offset, _))| (partition, offset)).collect())
    }

    /// The coordinator, which knows of no group yet where there is none.
    fn groups(&self, group: &str) -> Result<Arc<Coordinator>> {
        self.known_groups()?.ok_or_else(|| Error::UnknownGroup { group: group.to_owned() })
    }

    fn known_groups(&self) -> Result<Option<Arc<Coordinator>>> {
        self.broker.shared.known_coordinator()
    }

    fn partition_log(&self, partition: &TopicPartition) -> Result<Arc<Log>> {
        let topic = self.broker.shared.catalog.topic(partition.topic())?;
        topic.log(partition.partition().into()).map(Arc::clone)
    }
}

/// Where in a partition the group is to go on; `None` for one that is left out.
fn place(groups: &Coordinator, group: &str, log: &Log, to: OffsetSpec) -> Result<Option<Offset>> {
    let (start, end) = (log.start(), log.end());
    Ok(Some(match to {
        OffsetSpec::Earliest => start,
        OffsetSpec::Latest => end,
        OffsetSpec::Offset(requested) if (start..=end).contains(&requested) => requested,
        OffsetSpec::Offset(requested) => return Err(Error::OffsetOutOfRange { requested, start, end }),
        OffsetSpec::Time(time) => log.offset_for_time(time)?.map_or(end, |(offset, _)| offset),
        OffsetSpec::Shift(by) => {
            let one = std::slice::from_ref(log.name());
            let committed = groups.committed(group, Some(one))?.remove(log.name());
            let Some(committed) = committed else { return Ok(None) };
            let shifted = committed.offset.to_i64().saturating_add(by).max(0);
            Offset::from_i64(shifted).unwrap_or_default().clamp(start, end)
        }
    }))
}
