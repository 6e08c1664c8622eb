//! Groups out of the records that tell of them, in the order in which they were appended: the last one counts.
//!
//! Offsets that were committed in a transaction count once its marker says that it was committed. What a salvage could not
//! save is passed over, and so are kinds of records that Kafka has and we have not. Anything else that makes no sense
//! ends the replay with an error: an offset that is wrongly known would be worse than none.

use std::collections::HashMap;
use std::path::Path;

use super::cell::GroupData;
use super::change::Change;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::offset::Timestamp;
use crate::record::{ControlType, RecordBatch, RecordView};

/// How much of a log is read at a time.
const READ_BYTES: usize = 1 << 20;

/// The groups of one partition of `__consumer_offsets`.
pub(super) type Groups = HashMap<String, GroupData>;

/// Changes with their groups, in order.
type Changes = Vec<(String, Change)>;

/// Reads a partition from its start to its end. `is_here` tells whether a group belongs in it.
pub(super) fn replay(log: &Log, is_here: impl Fn(&str) -> bool, opened: Timestamp) -> Result<Groups> {
    let mut replaying = Replaying::default();
    let mut next = log.start();
    while next < log.end() {
        let batches = match log.read(next, READ_BYTES) {
            // A salvage has told of them. What they said of groups is not known any more.
            Err(Error::RecordsLost { offsets, .. }) => {
                next = offsets.end;
                continue;
            }
            read => read?,
        };
        for batch in &batches {
            replaying.take(log.path(), batch, &is_here, opened)?;
            next = batch.next_offset();
        }
    }
    let mut groups = replaying.groups;
    groups.retain(|_, data| !data.is_nothing());
    groups.values_mut().for_each(|data| data.opened = Some(opened));
    Ok(groups)
}

#[derive(Debug, Default)]
struct Replaying {
    groups: Groups,
    /// What open transactions have committed so far, by their producers.
    pending: HashMap<i64, Changes>,
}

impl Replaying {
    /// Takes in one batch of the log at `path`.
    fn take(
        &mut self,
        path: &Path,
        batch: &RecordBatch,
        is_here: impl Fn(&str) -> bool,
        opened: Timestamp,
    ) -> Result<()> {
        let producer = batch.producer_id().unwrap_or(-1);
        if batch.is_control() {
            let changes = self.pending.remove(&producer).unwrap_or_default();
            if batch.control_type()? == Some(ControlType::Commit) {
                self.apply(changes, opened);
            }
            return Ok(());
        }
        let changes = changes_of(path, batch, is_here)?;
        if batch.is_transactional() {
            self.pending.entry(producer).or_default().extend(changes);
        } else {
            self.apply(changes, opened);
        }
        Ok(())
    }

    fn apply(&mut self, changes: Changes, opened: Timestamp) {
        for (group, change) in changes {
            let data = self.groups.entry(group).or_insert_with_key(|group| GroupData::new(group));
            data.apply(change, opened);
        }
    }
}

fn changes_of(path: &Path, batch: &RecordBatch, is_here: impl Fn(&str) -> bool) -> Result<Changes> {
    let mut changes = Changes::new();
    for record in &batch.records()? {
        let change = change_of(&record, &is_here).map_err(|reason| Error::InvalidFile {
            path: path.to_path_buf(),
            reason: format!("the record at offset {} is not of a group: {reason}", record.offset()),
        })?;
        changes.extend(change);
    }
    Ok(changes)
}

fn change_of(
    record: &RecordView<'_>,
    is_here: impl Fn(&str) -> bool,
) -> Result<Option<(String, Change)>, String> {
    let change = Change::decode(record.key(), record.value())?;
    match &change {
        Some((group, _)) if !is_here(group) => Err(format!("group {group:?} belongs in another partition")),
        Some(_) | None => Ok(change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::committed::CommittedOffset;
    use crate::offset::{Offset, PartitionId, TopicPartition};
    use crate::record::{BatchBuilder, Compression, Record};

    /// The place of the CRC in a batch, and of the attributes behind it.
    const CRC_AT: usize = 17;
    const ATTRIBUTES_AT: usize = 21;

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition::new(topic, PartitionId::ZERO)
    }

    /// What a producer commits in a transaction.
    fn commit(producer: i64, topic: &str) -> RecordBatch {
        let offset = CommittedOffset {
            offset: Offset::from(1),
            leader_epoch: None,
            metadata: String::new(),
            committed_at: Timestamp::from_millis(0),
        };
        let (key, value) = Change::Offset(partition(topic), Some(offset)).encode("g");
        let mut builder = BatchBuilder::new(Compression::None).producer(producer, 0, 0).transactional(true);
        let record = Record::new().key(&key).value_opt(value.as_deref());
        builder.append(&record, Timestamp::from_millis(0)).unwrap();
        RecordBatch::decode(builder.build().unwrap().bytes()).unwrap()
    }

    /// How its transaction ends: 0 for an abort, 1 for a commit.
    fn marker(producer: i64, end: u8) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::None).producer(producer, 0, 0).transactional(true);
        let (key, value) = ([0, 0, 0, end], [0; 6]);
        builder.append(&Record::new().key(&key).value(&value), Timestamp::from_millis(0)).unwrap();
        let mut bytes = builder.build().unwrap().into_bytes();
        bytes[ATTRIBUTES_AT + 1] |= 0x20;
        let crc = crc_fast::crc32_iscsi(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        RecordBatch::decode(&bytes).unwrap()
    }

    #[test]
    fn what_a_transaction_commits_counts_once_it_is_committed() {
        let mut replaying = Replaying::default();
        let known = |replaying: &Replaying| {
            let offsets =
                replaying.groups.get("g").map(|data| data.offsets.all().keys().cloned().collect::<Vec<_>>());
            offsets.unwrap_or_default()
        };
        let mut take = |batch: RecordBatch| {
            replaying.take(Path::new("log"), &batch, |_| true, Timestamp::from_millis(0)).unwrap();
            known(&replaying)
        };
        assert_eq!(take(commit(1, "a")), []);
        assert_eq!(take(commit(2, "b")), []);
        assert_eq!(take(marker(2, 0)), [], "aborted");
        assert_eq!(take(marker(1, 1)), [partition("a")]);
        assert_eq!(take(marker(2, 1)), [partition("a")], "nothing is left of the aborted one");
    }

    #[test]
    fn a_group_is_there_for_as_long_as_it_has_offsets() {
        let mut data = GroupData::new("g");
        let committed = CommittedOffset {
            offset: Offset::from(1),
            leader_epoch: None,
            metadata: String::new(),
            committed_at: Timestamp::from_millis(0),
        };
        let opened = Timestamp::from_millis(0);
        data.apply(Change::Offset(partition("a"), Some(committed)), opened);
        data.apply(Change::Group(None), opened);
        assert!(data.classic.exists() && !data.is_nothing());
        data.apply(Change::Offset(partition("a"), None), opened);
        data.apply(Change::Group(None), opened);
        assert!(!data.classic.exists() && data.is_nothing());
    }
}
