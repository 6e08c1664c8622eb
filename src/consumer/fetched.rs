//! What was fetched of one partition and not yet returned.
//!
//! Batches wait as they are stored, and are decoded one at a time when records of them are returned, so that what is held
//! decompressed is one batch, however much was fetched.
//!
//! Invariant: the batches follow each other, and records are taken off their front only.

use std::collections::VecDeque;

use crate::error::Result;
use crate::offset::{LeaderEpoch, Offset};
use crate::record::{BatchRecords, RecordBatch, TimestampType};

/// Batches in order, the first of them perhaps decoded.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    opened: Option<Opened>,
    batches: VecDeque<RecordBatch>,
    bytes: usize,
}

/// A batch of which records are being returned.
#[derive(Debug)]
struct Opened {
    front: Front,
    /// The offset behind the batch.
    end: Offset,
    bytes: usize,
}

/// Records of one batch.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) timestamp_type: TimestampType,
    pub(super) records: BatchRecords,
}

impl Fetched {
    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.opened.is_none() && self.batches.is_empty()
    }

    /// How much memory it takes: the batches as they are stored, but the decoded one as it is decoded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where to fetch on.
    pub(super) fn end(&self) -> Option<Offset> {
        let opened = self.opened.as_ref().map(|opened| opened.end);
        self.batches.back().map(RecordBatch::next_offset).or(opened)
    }

    /// Adds what was fetched there; gives its bytes.
    pub(super) fn extend(&mut self, batches: Vec<RecordBatch>) -> usize {
        let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
        self.batches.extend(batches);
        self.bytes += bytes;
        bytes
    }

    /// Takes records of the first batch that has any, at most `count`, off the front, and moves `position` behind all that
    /// it passes. `None`: there are none.
    ///
    /// # Errors
    ///
    /// Those of decoding. The batch, and all behind it, is forgotten then; `position` stands before it.
    pub(super) fn take(&mut self, count: usize, position: &mut Offset) -> Result<Option<Front>> {
        loop {
            if self.opened.is_none() && !self.open(position)? {
                return Ok(None);
            }
            let Some(opened) = &mut self.opened else { continue };
            let records = opened.front.records.split_to(count);
            let front = Front { records, ..opened.front };
            match opened.front.records.iter().next() {
                Some(next) => *position = next.offset(),
                None => {
                    *position = opened.end;
                    self.bytes -= opened.bytes;
                    self.opened = None;
                }
            }
            if !front.records.is_empty() {
                return Ok(Some(front));
            }
        }
    }

    /// Decodes the first batch, or steps over it where it is none of the user's; `false`: there is none.
    fn open(&mut self, position: &mut Offset) -> Result<bool> {
        let Some(batch) = self.batches.pop_front() else { return Ok(false) };
        self.bytes -= batch.bytes().len();
        let end = batch.next_offset();
        if batch.is_control() {
            *position = end;
            return Ok(true);
        }
        let records = batch.records().inspect_err(|_| *self = Fetched::default())?;
        let bytes = records.bytes().max(batch.bytes().len());
        self.bytes += bytes;
        let (leader_epoch, timestamp_type) = (batch.leader_epoch(), batch.timestamp_type());
        self.opened = Some(Opened { front: Front { leader_epoch, timestamp_type, records }, end, bytes });
        Ok(true)
    }
}
