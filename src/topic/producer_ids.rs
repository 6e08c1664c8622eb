//! The ids of idempotent producers: no two producers of a log directory ever have the same.
//!
//! They are taken from blocks of 1000, as in Kafka. That a block is taken is a record of the catalog, synced before the first
//! id of it is given away; what is left of a block when the broker ends is never used.

use crate::error::{Error, Result};
use crate::sync::Mutex;

/// How many ids are taken at a time.
const BLOCK_IDS: i64 = 1000;

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
        let start = free.block;
        let end = start.checked_add(BLOCK_IDS).ok_or(Error::ProducerIdsExhausted)?;
        free.block = end;
        Ok(Taken::Block { start, end })
    }

    /// Takes the first id of a block that was told of, and leaves the others to those who come. Where others came at the same
    /// time, theirs are used first, and these never.
    pub(super) fn take_first(&self, start: i64, end: i64) -> i64 {
        let mut free = self.free.lock();
        if free.next == free.end {
            (free.next, free.end) = (start + 1, end);
        }
        start
    }
}

impl Free {
    fn take(&mut self) -> Option<i64> {
        let id = self.next;
        self.next += i64::from(id < self.end);
        (id < self.end).then_some(id)
    }
}
