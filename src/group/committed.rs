//! The committed offsets of one group.
//!
//! A commit is decided on as a whole: one partition that is refused refuses it. What a record says is the only thing that changes
//! an offset, live and in a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::requests::OffsetToCommit;
use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use crate::record::fields::STRING_BYTES_MAX;

/// How far a group has got in a partition. Kafka's `OffsetAndMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// The leader epoch of the last record that was read, if it was told.
    pub leader_epoch: Option<LeaderEpoch>,
    /// A text of whoever committed it; often empty.
    pub metadata: String,
    /// When it was committed, on the wall's clock.
    pub committed_at: Timestamp,
}

/// Whose offsets may be forgotten, and since when the time runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expiry<'a> {
    /// The group has no members since then; none: it never had any, and each commit's own time counts.
    Empty(Option<Timestamp>),
    /// Members subscribe to these topics, which are kept.
    Active(&'a BTreeSet<String>),
    /// Nothing is forgotten.
    Never,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
}

impl Offsets {
    /// What a record says: the offset, or that there is none any more.
    pub(super) fn apply(&mut self, partition: TopicPartition, committed: Option<CommittedOffset>) {
        match committed {
            Some(committed) => drop(self.offsets.insert(partition, committed)),
            None => drop(self.offsets.remove(&partition)),
        }
    }

    pub(super) fn all(&self) -> &BTreeMap<TopicPartition, CommittedOffset> {
        &self.offsets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Those of `partitions` that have one; of all, where none are named.
    pub(super) fn of(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> BTreeMap<TopicPartition, CommittedOffset> {
        let Some(partitions) = partitions else { return self.offsets.clone() };
        let known = partitions.iter().filter_map(|partition| self.offsets.get_key_value(partition));
        known.map(|(partition, committed)| (partition.clone(), committed.clone())).collect()
    }

    /// The partitions whose offsets may be forgotten at `now`.
    pub(super) fn expired(
        &self,
        expiry: Expiry<'_>,
        opened: Option<Timestamp>,
        retention: Duration,
        now: Timestamp,
    ) -> Vec<TopicPartition> {
        let due = self.due(expiry, opened, retention).filter(|&(_, due)| due <= now);
        due.map(|(partition, _)| partition.clone()).collect()
    }

    /// When the first offset may be forgotten.
    pub(super) fn first_due(
        &self,
        expiry: Expiry<'_>,
        opened: Option<Timestamp>,
        retention: Duration,
    ) -> Option<Timestamp> {
        self.due(expiry, opened, retention).map(|(_, due)| due).min()
    }

    fn due<'a>(
        &'a self,
        expiry: Expiry<'a>,
        opened: Option<Timestamp>,
        retention: Duration,
    ) -> impl Iterator<Item = (&'a TopicPartition, Timestamp)> {
        self.offsets.iter().filter_map(move |(partition, committed)| {
            let base = match expiry {
                // Not before its own time is up, even if somebody without a membership committed it later.
                Expiry::Empty(since) => {
                    since.map_or(committed.committed_at, |at| at.max(committed.committed_at))
                }
                Expiry::Active(subscribed) if !subscribed.contains(partition.topic()) => {
                    committed.committed_at
                }
                Expiry::Active(_) | Expiry::Never => return None,
            };
            // While nobody had it open, nobody could have gone on.
            let base = opened.map_or(base, |opened| base.max(opened));
            Some((partition, base.saturating_add(retention)))
        })
    }
}

/// What a commit makes of the partitions that it names, or why it is refused.
pub(super) fn decide(
    offsets: Vec<OffsetToCommit>,
    metadata_max_bytes: usize,
    now: Timestamp,
) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
    let limit = metadata_max_bytes.min(STRING_BYTES_MAX);
    let decide = |OffsetToCommit { partition, offset, leader_epoch, metadata }| {
        let bytes = metadata.len();
        if bytes > limit {
            let (topic, partition) = (partition.topic().to_owned(), partition.partition());
            return Err(Error::OffsetMetadataTooLarge { topic, partition, bytes, limit });
        }
        if partition.topic().len() > STRING_BYTES_MAX {
            return Err(Error::UnknownTopic { topic: partition.topic().chars().take(249).collect() });
        }
        Ok((partition, CommittedOffset { offset, leader_epoch, metadata, committed_at: now }))
    };
    offsets.into_iter().map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::PartitionId;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition::new(topic, PartitionId::ZERO)
    }

    fn committed(day: u32) -> Offsets {
        let mut committed = Offsets::default();
        for topic in ["a", "b"] {
            let committed_at = Timestamp::from_millis(0).saturating_add(day * DAY);
            let offset = CommittedOffset {
                offset: Offset::ZERO,
                leader_epoch: None,
                metadata: String::new(),
                committed_at,
            };
            committed.apply(partition(topic), Some(offset));
        }
        committed
    }

    #[test]
    fn the_time_runs_from_when_the_group_became_empty() {
        let day = |day: u32| Timestamp::from_millis(0).saturating_add(day * DAY);
        let committed = committed(3);
        let expired = |expiry, now| committed.expired(expiry, None, 7 * DAY, day(now)).len();
        assert_eq!(
            (expired(Expiry::Empty(Some(day(5))), 11), expired(Expiry::Empty(Some(day(5))), 12)),
            (0, 2)
        );
        assert_eq!((expired(Expiry::Empty(None), 9), expired(Expiry::Empty(None), 10)), (0, 2));
        assert_eq!(expired(Expiry::Empty(Some(day(1))), 9), 0, "a commit from outside has its time too");
        assert_eq!(expired(Expiry::Never, 1000), 0);
        let subscribes = BTreeSet::from(["a".to_owned()]);
        assert_eq!(committed.expired(Expiry::Active(&subscribes), None, 7 * DAY, day(10)), [partition("b")]);
        assert_eq!(committed.first_due(Expiry::Active(&subscribes), None, 7 * DAY), Some(day(10)));
        let opened = committed.expired(Expiry::Empty(Some(day(5))), Some(day(20)), 7 * DAY, day(26));
        assert_eq!(opened, [], "no time before the open counts");
    }

    #[test]
    fn a_text_that_is_too_long_refuses_the_commit() {
        let commit = |bytes: usize| {
            let metadata = "m".repeat(bytes);
            let offset = OffsetToCommit {
                partition: partition("a"),
                offset: Offset::ZERO,
                leader_epoch: None,
                metadata,
            };
            decide(vec![offset], 4, Timestamp::from_millis(0))
        };
        assert!(commit(4).is_ok());
        assert!(matches!(commit(5), Err(Error::OffsetMetadataTooLarge { bytes: 5, limit: 4, .. })));
    }
}
