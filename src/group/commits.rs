//! Committing offsets and asking for them; resetting and deleting them, and whole groups.
//!
//! A commit is decided, appended and applied under its group's lock, and synced by whoever asked, without it.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Cell, GroupData, forgotten};
use super::change::Change;
use super::classic::Now;
use super::committed::{self, CommittedOffset};
use super::coordinator::Coordinator;
use super::requests::{CommitRequest, OffsetToCommit};
use super::stored::Committed;
use crate::error::{Error, Result};
use crate::offset::{Offset, TopicPartition};
use crate::sync::Arc;

impl Coordinator {
    /// OffsetCommit: all of it or nothing, but for partitions that are not there any more. On return it is appended, and counts;
    /// not yet synced.
    ///
    /// `is_there` tells of a partition whether its topic is still the one that was read. It is asked under the group's lock: what is
    /// committed before a topic is gone is forgotten by its deletion, and nothing is committed of it after that.
    pub(crate) fn commit(
        &self,
        request: CommitRequest,
        is_there: impl Fn(&TopicPartition) -> bool,
    ) -> Result<Committed> {
        let CommitRequest { member, mut offsets } = request;
        let cell = self.cell(&member.group)?;
        self.act(&cell, |data, now, _| {
            data.classic.check_commit(&member, now)?;
            offsets.retain(|to_commit| is_there(&to_commit.partition));
            self.commit_offsets(&cell, data, offsets, now)
        })
    }

    /// What is committed in `partitions`, or in all. Where nothing is, there is none.
    pub(crate) fn committed(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let Some(cell) = self.find(group)? else { return Ok(BTreeMap::new()) };
        let committed = cell.state.lock().offsets.of(partitions);
        Ok(committed)
    }

    /// Sets offsets of a group without members, which is made if there is none. `is_there` as in a commit.
    pub(crate) fn reset(
        &self,
        group: &str,
        mut offsets: Vec<OffsetToCommit>,
        is_there: impl Fn(&TopicPartition) -> bool,
    ) -> Result<Committed> {
        let cell = self.cell(group)?;
        self.act(&cell, |data, now, _| {
            check_empty(&cell, data)?;
            offsets.retain(|to_commit| is_there(&to_commit.partition));
            self.commit_offsets(&cell, data, offsets, now)
        })
    }

    /// Deletes offsets of topics that no member subscribes to.
    pub(crate) fn delete_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<Committed> {
        let cell = self.existing(group)?;
        self.act(&cell, |data, now, effects| {
            check_exists(&cell, data)?;
            if data.classic.member_count() > 0 {
                let Some(subscribed) = data.classic.subscribed() else {
                    return check_empty(&cell, data).and(self.nothing(&cell));
                };
                if let Some(partition) =
                    partitions.iter().find(|partition| subscribed.contains(partition.topic()))
                {
                    let (group, topic) = (cell.name.clone(), partition.topic().to_owned());
                    return Err(Error::GroupSubscribed { group, topic });
                }
            }
            let known = partitions.iter().filter(|partition| data.offsets.all().contains_key(partition));
            // Each once, however often it was named.
            let known: BTreeSet<TopicPartition> = known.cloned().collect();
            let changes = data.forgetting(known.into_iter());
            let stored = self.store(&cell, data, changes, now)?;
            effects.is_changed = !data.classic.exists();
            Ok(stored)
        })
    }

    /// Deletes a group without members, with all of its offsets.
    pub(crate) fn delete_group(&self, group: &str) -> Result<Committed> {
        let cell = self.existing(group)?;
        self.act(&cell, |data, now, effects| {
            check_exists(&cell, data)?;
            check_empty(&cell, data)?;
            let mut changes: Vec<Change> = data.offsets.all().keys().cloned().map(forgotten).collect();
            changes.push(Change::Group(None));
            let stored = self.store(&cell, data, changes, now)?;
            effects.is_changed = true;
            Ok(stored)
        })
    }

    /// Makes sure that nothing is committed of a topic that is about to be created: what the deletion of one of its name left,
    /// and what was forgotten before and is not on the device. Refused where some groups cannot be read, as theirs would come
    /// back with the next open; unless the caller `gives_up` what cannot be read.
    pub(crate) fn topic_creating(&self, topic: &str, gives_up: bool) -> Result<()> {
        if !gives_up {
            self.check_online()?;
        }
        self.topic_deleted(topic)?;
        self.sync_all()
    }

    /// Deletes the offsets of a topic that was deleted, in all groups that can be read. It is durable when this returns, so that
    /// a power cut does not bring them back for another topic of that name. Where it fails, the others go on, and the first
    /// failure is told.
    pub(crate) fn topic_deleted(&self, topic: &str) -> Result<()> {
        self.check_open()?;
        let (mut result, mut stored) = (Ok(()), Vec::new());
        for cell in self.cells() {
            let deleted = self.act(&cell, |data, now, effects| {
                let offsets = data.offsets.all().keys().filter(|partition| partition.topic() == topic);
                let changes = data.forgetting(offsets.cloned());
                if changes.is_empty() {
                    return Ok(None);
                }
                let stored = self.store(&cell, data, changes, now)?;
                effects.is_changed = !data.classic.exists();
                Ok(Some(stored))
            });
            match deleted {
                Ok(deleted) => stored.extend(deleted),
                Err(error) => result = result.and(Err(error)),
            }
        }
        // Once all are appended, so that those of one log are one sync.
        stored.iter().rev().map(Committed::wait).fold(result, Result::and)
    }

    fn commit_offsets(
        &self,
        cell: &Cell,
        data: &mut GroupData,
        offsets: Vec<OffsetToCommit>,
        now: Now,
    ) -> Result<Committed> {
        let limit = self.config.offset_metadata_max_bytes;
        let decided = committed::decide(offsets, limit, now.wall)?;
        let changes = decided.into_iter().map(|(partition, offset)| Change::Offset(partition, Some(offset)));
        let stored = self.store(cell, data, changes.collect(), now)?;
        if data.classic.member_count() == 0 {
            self.look_at(now.wall.saturating_add(self.config.offsets_retention), now);
        }
        Ok(stored)
    }

    /// Appends changes, and then applies them.
    pub(super) fn store(
        &self,
        cell: &Cell,
        data: &mut GroupData,
        changes: Vec<Change>,
        now: Now,
    ) -> Result<Committed> {
        if changes.is_empty() {
            return self.nothing(cell);
        }
        let stored = self.append(cell, &changes, now)?;
        changes.into_iter().for_each(|change| data.apply(change, now.wall));
        Ok(stored)
    }

    /// There was nothing to be stored, and so there is nothing to wait for.
    fn nothing(&self, cell: &Cell) -> Result<Committed> {
        Ok(Committed { log: Arc::clone(self.log(cell.partition)?), end: Offset::ZERO })
    }

    /// The place of a group, which must have one.
    pub(super) fn existing(&self, group: &str) -> Result<Arc<Cell>> {
        self.find(group)?.ok_or_else(|| Error::UnknownGroup { group: group.to_owned() })
    }
}

pub(super) fn check_exists(cell: &Cell, data: &GroupData) -> Result<()> {
    if data.classic.exists() { Ok(()) } else { Err(Error::UnknownGroup { group: cell.name.clone() }) }
}

fn check_empty(cell: &Cell, data: &GroupData) -> Result<()> {
    match data.classic.member_count() {
        0 => Ok(()),
        members => Err(Error::GroupNotEmpty { group: cell.name.clone(), members }),
    }
}
