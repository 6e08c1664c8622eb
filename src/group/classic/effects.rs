//! What a step of the state machine leads to, for whoever holds the group's lock to do once it does not hold it any more.

use std::time::Duration;

use super::super::reply::Promise;
use super::super::requests::Joined;
use crate::error::Result;
use crate::offset::Timestamp;

/// The time at which a step happens, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(in crate::group) struct Now {
    pub(in crate::group) monotonic: Duration,
    pub(in crate::group) wall: Timestamp,
}

/// The answer to a sync: a member's assignment, encoded.
pub(super) type Share = Result<Vec<u8>>;

/// What is left to do after a step.
#[derive(Debug, Default)]
#[must_use]
pub(in crate::group) struct Effects {
    joins: Vec<(Promise<Result<Joined>>, Result<Joined>)>,
    syncs: Vec<(Promise<Share>, Share)>,
    /// Whether members must hear of it.
    pub(in crate::group) is_changed: bool,
    /// Whether the last member is out, so that a record has to say so.
    pub(in crate::group) is_emptied: bool,
    /// Whether it has come to rest, so that other offsets may be forgotten than before.
    pub(in crate::group) is_settled: bool,
    /// The earliest of the deadlines that came up.
    pub(in crate::group) due: Option<Duration>,
}

impl Effects {
    pub(super) fn answer_join(&mut self, promise: Promise<Result<Joined>>, answer: Result<Joined>) {
        self.is_changed = true;
        self.joins.push((promise, answer));
    }

    pub(super) fn answer_sync(&mut self, promise: Promise<Share>, answer: Share) {
        self.is_changed = true;
        self.syncs.push((promise, answer));
    }

    pub(super) fn add_deadline(&mut self, deadline: Duration) {
        self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
    }

    /// Gives the answers. Without any lock, because whoever is woken does what it likes.
    pub(in crate::group) fn give_answers(self) {
        self.joins.into_iter().for_each(|(promise, answer)| promise.answer(answer));
        self.syncs.into_iter().for_each(|(promise, answer)| promise.answer(answer));
    }
}
