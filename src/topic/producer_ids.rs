//! The ids of idempotent producers: no two producers of a log directory ever have the same.
//!
//! They are taken from blocks of 1000, as in Kafka. That a block is taken is a record of the catalog, synced before the first
//! id of it is given away; what is left of a block when the broker ends is never used. The creation of a topic, which syncs the
//! catalog anyway, takes one along where no id is free: so the first producer waits for no sync of its own.

use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::sync::Mutex;

/// How many ids are taken at a time.
const BLOCK_IDS: i64 = 1000;
/// More than a record of the catalog can have told of: one, and those before it that a failing disk kept from being told.
const BLOCKS_MAX: i64 = 1000;

/// An id behind all that may have been given away, where the next of those that is known is `next`, and records below `lost` are lost.
pub(super) fn behind(next: i64, lost: Offset) -> i64 {
    next.max(lost.to_i64().saturating_mul(BLOCK_IDS).saturating_mul(BLOCKS_MAX))
}

/// Ids that can be given away.
#[derive(Debug)]
pub(super) struct ProducerIds {
    /// Held only to take and to give; never over the append that tells of a block.
    free: Mutex<Free>,
}

/// What [`ProducerIds::take`] gives.
#[derive(Debug)]
pub(super) enum Taken {
    Id(i64),
    Block { start: i64, end: i64 },
}

#[derive(Debug)]
struct Free {
    next: i64,
    end: i64,
    /// Where the next block begins.
    block: i64,
}

impl ProducerIds {
    /// Goes on behind what may have been given away before.
    pub(super) fn new(next: i64) -> ProducerIds {
        ProducerIds { free: Mutex::new(Free { next, end: next, block: next }) }
    }

    /// An id, or a block of ids that must first be told of, which nobody else gets.
    pub(super) fn take(&self) -> Result<Taken> {
        let mut free = self.free.lock();
        if let Some(id) = free.take() {
            return Ok(Taken::Id(id));
        }
        let (start, end) = free.take_block().ok_or(Error::ProducerIdsExhausted)?;
        Ok(Taken::Block { start, end })
    }

    /// The start and end of a block that must be told of and [given](Self::give), where no id is free: for who syncs the
    /// catalog anyway.
    pub(super) fn take_ahead(&self) -> Option<(i64, i64)> {
        let mut free = self.free.lock();
        if free.next == free.end { free.take_block() } else { None }
    }

    /// Takes the first id of a block that was told of, and leaves the others to those who come.
    pub(super) fn take_first(&self, start: i64, end: i64) -> i64 {
        self.give(start + 1, end);
        start
    }

    /// Leaves the ids of a block that was told of to those who come. Where others came at the same time, theirs are used first,
    /// and these never.
    pub(super) fn give(&self, start: i64, end: i64) {
        let mut free = self.free.lock();
        if free.next == free.end {
            (free.next, free.end) = (start, end);
        }
    }
}

impl Free {
    fn take(&mut self) -> Option<i64> {
        let id = self.next;
        self.next += i64::from(id < self.end);
        (id < self.end).then_some(id)
    }

    fn take_block(&mut self) -> Option<(i64, i64)> {
        let start = self.block;
        self.block = start.checked_add(BLOCK_IDS)?;
        Some((start, self.block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ids: &ProducerIds) -> i64 {
        match ids.take().unwrap() {
            Taken::Id(id) => id,
            Taken::Block { start, end } => ids.take_first(start, end),
        }
    }

    #[test]
    fn a_block_is_taken_ahead_only_where_no_id_is_free() {
        let ids = ProducerIds::new(5);
        let (start, end) = ids.take_ahead().unwrap();
        assert_eq!((start, end), (5, 1005));
        ids.give(start, end);
        assert_eq!(ids.take_ahead(), None);
        assert_eq!((id(&ids), id(&ids)), (5, 6));
    }

    #[test]
    fn a_block_that_was_never_told_of_is_not_given_away() {
        let ids = ProducerIds::new(0);
        assert_eq!(ids.take_ahead(), Some((0, 1000)));
        assert_eq!(id(&ids), 1000);
        // Told of after all, but others are free by now.
        ids.give(0, 1000);
        assert_eq!(id(&ids), 1001);
    }
}
