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
    /// What is left of it.
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
            let (records, opened) = match self.opened.take() {
                Some(mut opened) => (opened.front.records.split_to(count), opened),
                None => {
                    let Some(batch) = self.batches.pop_front() else { return Ok(None) };
                    self.bytes -= batch.bytes().len();
                    if batch.is_control() {
                        *position = batch.next_offset();
                        continue;
                    }
                    let (first, opened) =
                        Opened::new(&batch, count).inspect_err(|_| *self = Fetched::default())?;
                    self.bytes += opened.bytes;
                    (first, opened)
                }
            };
            let front = Front { records, ..opened.front };
            match opened.front.records.iter().next() {
                Some(next) => {
                    *position = next.offset();
                    self.opened = Some(opened);
                }
                None => {
                    *position = opened.end;
                    self.bytes -= opened.bytes;
                }
            }
            if !front.records.is_empty() {
                return Ok(Some(front));
            }
        }
    }
}

impl Opened {
    /// Decodes a batch: its first `count` records, and what is left of it.
    fn new(batch: &RecordBatch, count: usize) -> Result<(BatchRecords, Opened)> {
        let (first, records) = batch.records_in_two(count)?;
        let (leader_epoch, timestamp_type) = (batch.leader_epoch(), batch.timestamp_type());
        let bytes = records.bytes().max(batch.bytes().len());
        let front = Front { leader_epoch, timestamp_type, records };
        Ok((first, Opened { front, end: batch.next_offset(), bytes }))
    }
}
