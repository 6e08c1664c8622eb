//! The ids of idempotent producers: no two producers of a log directory ever have the same.
//!
//! They are taken from blocks of 1000, as in Kafka. That a block is taken is a record of the catalog, synced before the first
//! id of it is given away; what is left of a block when the broker ends is never used.

use super::catalog::Catalog;
use super::catalog_record::encode_producer_ids;
use crate::error::{Error, Result};
use crate::record::{Compression, Record};
use crate::sync::Mutex;

/// How many ids are taken at a time.
const BLOCK_IDS: i64 = 1000;

/// Ids that can be given away.
#[derive(Debug)]
pub(super) struct ProducerIds {
    /// Held only to take; never over the append.
    free: Mutex<Free>,
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
}

impl Free {
    fn take(&mut self) -> Option<i64> {
        let id = self.next;
        self.next += i64::from(id < self.end);
        (id < self.end).then_some(id)
    }
}

impl Catalog {
    /// An id that no other producer has or had.
    pub(crate) fn next_producer_id(&self) -> Result<i64> {
        let block = {
            let mut free = self.producer_ids.free.lock();
            if let Some(id) = free.take() {
                return Ok(id);
            }
            let block = free.block;
            free.block = block.checked_add(BLOCK_IDS).ok_or(Error::ProducerIdsExhausted)?;
            block
        };
        // Of several who come here at once, each takes a block; the largest record counts, in whatever order they stand.
        let (key, value) = encode_producer_ids(block + BLOCK_IDS);
        self.log.append(&[Record::new().key(&key).value(&value)], Compression::None)?;
        self.log.sync()?;
        let mut free = self.producer_ids.free.lock();
        if free.next == free.end {
            (free.next, free.end) = (block + 1, block + BLOCK_IDS);
        }
        Ok(block)
    }
}
