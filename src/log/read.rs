//! Reading: whole batches by offset, and the first offset since a time. Waits for nobody.
//!
//! A read loads the end offset first and the list of segments after it, so the list holds everything below that end. What
//! it returns is either the records from the asked offset on, or an error that says which are missing: a gap is never
//! passed over.

use super::partition_log::Log;
use crate::error::{Corruption, Error, Result};
use crate::offset::{Offset, Timestamp};
use crate::record::RecordBatch;

impl Log {
    /// Whole batches from the one that holds `from`, in about `max_bytes`: at least one if there is any below the end.
    pub(crate) fn read(&self, from: Offset, max_bytes: usize) -> Result<Vec<RecordBatch>> {
        self.check_open()?;
        let (start, end) = (self.start(), self.end());
        if from < start || from > end {
            return Err(Error::OffsetOutOfRange { requested: from, start, end });
        }
        if from == end {
            return Ok(Vec::new());
        }
        let segments = self.segments.load();
        let segment = segments.holding(from);
        let batches = segment.read(from, end, max_bytes)?;
        let found = batches.first().map_or(segment.end().offset, RecordBatch::base_offset);
        if batches.is_empty() || found > from {
            return Err(Error::Corrupt {
                path: segment.paths().log.clone(),
                position: segment.end().position,
                offset: from,
                source: Corruption::MissingOffsets { from, to: found },
            });
        }
        self.counters.bytes_read.add(batches.iter().map(|batch| batch.bytes().len() as u64).sum());
        Ok(batches)
    }

    /// The first record at or after `time`, with its timestamp.
    pub(crate) fn offset_for_time(&self, time: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        self.check_open()?;
        let end = self.end();
        for segment in self.segments.load().iter() {
            if segment.largest_timestamp()?.is_none_or(|largest| largest < time) {
                continue;
            }
            if let Some(found) = segment.offset_for_time(time, end)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
