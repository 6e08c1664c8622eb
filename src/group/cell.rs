//! A group's place among the others: its name, its lock, and what its lock guards.
//!
//! A place may be there before the group is, and after it: for those who wait for changes of it.

use std::time::Duration;

use super::change::Change;
use super::changes::GroupChanges;
use super::classic::ClassicGroup;
use super::committed::{Expiry, Offsets};
use super::config::GroupConfig;
use super::description::GroupState;
use crate::offset::{Timestamp, TopicPartition};
use crate::sync::{Arc, Mutex};

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: String,
    /// The number of its partition of `__consumer_offsets`.
    pub(super) partition: usize,
    pub(super) changes: Arc<GroupChanges>,
    /// Held over an append, never over a sync.
    pub(super) state: Mutex<GroupData>,
}

#[derive(Debug)]
pub(super) struct GroupData {
    pub(super) classic: ClassicGroup,
    pub(super) offsets: Offsets,
    /// When the group was read back, if it was: no time before counts against what it has committed.
    pub(super) opened: Option<Timestamp>,
    /// When the next timer of the group fires, if there is one.
    pub(super) timer: Option<Duration>,
}

impl GroupData {
    pub(super) fn new(group: &str) -> GroupData {
        GroupData {
            classic: ClassicGroup::new(group),
            offsets: Offsets::default(),
            opened: None,
            timer: None,
        }
    }

    /// What a record says. Of a group's members, only those who lived in another process: they are gone.
    pub(super) fn apply(&mut self, change: Change, opened: Timestamp) {
        match change {
            Change::Offset(partition, committed) => {
                if committed.is_some() {
                    self.classic.begin();
                }
                self.offsets.apply(partition, committed);
            }
            Change::Group(Some(record)) => self.classic.restore(record, opened),
            Change::Group(None) => {
                self.classic.delete();
                if !self.offsets.is_empty() {
                    // Whoever writes this forgets them first. Where that is lost, they count, and so the group is shown.
                    self.classic.begin();
                }
            }
        }
    }

    /// Whether there is nothing to be known of it.
    pub(super) fn is_nothing(&self) -> bool {
        !self.classic.exists() && self.offsets.is_empty()
    }

    /// Takes `due` for the time of the group's timer, if it is earlier than the one that there is: then it is to be scheduled.
    pub(super) fn arm(&mut self, due: Option<Duration>) -> Option<Duration> {
        let due = due.filter(|&due| self.timer.is_none_or(|timer| due < timer))?;
        self.timer = Some(due);
        Some(due)
    }

    /// What of it may be forgotten at `now`: offsets, and with the last of them the group.
    pub(super) fn expired(&self, config: &GroupConfig, now: Timestamp) -> Vec<Change> {
        let expired = self.offsets.expired(self.expiry(), self.opened, config.offsets_retention, now);
        let is_rest = expired.len() == self.offsets.all().len();
        let mut changes: Vec<Change> = expired.into_iter().map(forgotten).collect();
        let is_due = !changes.is_empty() || self.bare_due(config).is_some_and(|due| due <= now);
        if is_rest && is_due && self.classic.state() == GroupState::Empty {
            changes.push(Change::Group(None));
        }
        changes
    }

    /// What there is to be stored where these offsets are forgotten: with the last one, a group that never had members goes too. One
    /// that had is kept for as long as is usual.
    pub(super) fn forgetting(&self, partitions: impl Iterator<Item = TopicPartition>) -> Vec<Change> {
        let mut changes: Vec<Change> = partitions.map(forgotten).collect();
        let is_rest = !changes.is_empty() && changes.len() == self.offsets.all().len();
        if is_rest && self.classic.state() == GroupState::Empty && self.classic.since().is_none() {
            changes.push(Change::Group(None));
        }
        changes
    }

    /// When anything of it may be forgotten next.
    pub(super) fn first_due(&self, config: &GroupConfig) -> Option<Timestamp> {
        let offsets = self.offsets.first_due(self.expiry(), self.opened, config.offsets_retention);
        offsets.or_else(|| self.bare_due(config))
    }

    /// When a group without members and offsets may be forgotten.
    fn bare_due(&self, config: &GroupConfig) -> Option<Timestamp> {
        let is_bare = self.classic.state() == GroupState::Empty && self.offsets.is_empty();
        let since = self.classic.since().or(self.opened).filter(|_| is_bare)?;
        Some(since.saturating_add(config.retention_check_interval))
    }

    fn expiry(&self) -> Expiry<'_> {
        match self.classic.state() {
            GroupState::Empty => Expiry::Empty(self.classic.protocol_type().and(self.classic.since())),
            GroupState::Stable => self.classic.subscribed().map_or(Expiry::Never, Expiry::Active),
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Dead => {
                Expiry::Never
            }
        }
    }
}

/// That a partition has no committed offset any more.
pub(super) fn forgotten(partition: TopicPartition) -> Change {
    Change::Offset(partition, None)
}
