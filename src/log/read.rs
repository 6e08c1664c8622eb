//! Reading: whole batches by offset, and the first offset since a time. Waits for nobody.
//!
//! A read loads the end offset first and the list of segments after it, so the list holds everything below that end. What
//! it returns is either the records from the asked offset on, or an error that says which cannot be read: neither a gap nor
//! damage is ever passed over, but a read that begins behind it is none the worse for it.

use std::ops::Range;

use super::partition_log::Log;
use super::segments::SegmentList;
use crate::error::{Corruption, Error, Result};
use crate::offset::{Offset, Timestamp};
use crate::record::RecordBatch;
use crate::segment::{LogSegment, SegmentEnd, Span};
use crate::sync::Arc;

/// The most that one read returns, unless a single batch is larger.
const READ_BYTES_MAX: usize = 16 << 20;

impl Log {
    /// Whole batches from the one that holds `from`, in about `max_bytes`: at least one if there is any below the end.
    pub(crate) fn read(&self, from: Offset, max_bytes: usize) -> Result<Vec<RecordBatch>> {
        self.read_span(Span { from, upto: Offset::MAX, max_bytes, checks_crcs: true })
    }

    /// Whole batches of the span: at least one if there is any below its end and the log's.
    pub(crate) fn read_span(&self, span: Span) -> Result<Vec<RecordBatch>> {
        self.check_open()?;
        let read = self.read_open(span);
        self.check_exists()?;
        read
    }

    fn read_open(&self, span: Span) -> Result<Vec<RecordBatch>> {
        let (from, start, end) = (span.from, self.start(), self.end());
        if from < start || from > end {
            return Err(Error::OffsetOutOfRange { requested: from, start, end });
        }
        let upto = span.upto.min(end);
        if from >= upto {
            return Ok(Vec::new());
        }
        let max_bytes = span.max_bytes.min(READ_BYTES_MAX);
        let span = Span { upto, max_bytes, ..span };
        let segments = self.segments.load();
        let mut batches = self.read_segment(&segments, span, end, true)?;
        let mut bytes = size_of_all(&batches);
        while let Some(next) = batches.last().map(RecordBatch::next_offset)
            && next < upto
            && segments.holding(next).base() == next
        {
            // What is wrong further on is for the read that begins there to tell.
            let rest = Span { from: next, max_bytes: max_bytes.saturating_sub(bytes), ..span };
            let Ok(more) = self.read_segment(&segments, rest, end, false) else { break };
            if more.is_empty() {
                break;
            }
            bytes += size_of_all(&more);
            batches.extend(more);
        }
        self.counters.bytes_read.add(bytes as u64);
        Ok(batches)
    }

    /// What one segment has of a span, or an error where it should have its first offset and has not.
    fn read_segment(
        &self,
        segments: &SegmentList,
        span: Span,
        end: Offset,
        is_needed: bool,
    ) -> Result<Vec<RecordBatch>> {
        let from = span.from;
        let segment = segments.holding(from);
        // The log's end was loaded before; what begins below it ends by it.
        let is_active = Arc::ptr_eq(segment, segments.active());
        let ends_by = if is_active { end } else { segment.end().offset };
        let read = segment.read(span, ends_by, is_needed);
        // A read that is not needed is left out, whatever its error: there is no need to find out more.
        let mut batches = if is_needed { read.map_err(|error| self.damaged(segment, error))? } else { read? };
        let found = batches.first().map(RecordBatch::base_offset);
        let is_missing = found.map_or(is_needed, |found| found > from);
        if is_missing {
            return Err(Error::Corrupt {
                path: segment.paths().log.clone(),
                position: segment.end().position,
                offset: from,
                source: Corruption::MissingOffsets { from, to: found.unwrap_or(segment.end().offset) },
            });
        }
        match batches.iter().position(RecordBatch::is_lost) {
            Some(0) if is_needed => return Err(self.lost(&batches)),
            // It is for the read that begins there to tell.
            Some(lost) => batches.truncate(lost),
            None => {}
        }
        Ok(batches)
    }

    /// Says which records the first of `batches` stands for.
    fn lost(&self, batches: &[RecordBatch]) -> Error {
        let lost = batches.iter().take_while(|batch| batch.is_lost());
        let end = lost.last().map_or(Offset::MAX, RecordBatch::next_offset);
        let start = batches.first().map_or(end, RecordBatch::base_offset);
        let (topic, partition) = (self.name.topic().to_owned(), self.name.partition());
        Error::RecordsLost { topic, partition, offsets: start..end }
    }

    /// The error for damage in one of this log's segments, with all that cannot be read because of it.
    fn damaged(&self, segment: &LogSegment, error: Error) -> Error {
        let Error::Corrupt { position, offset: start, .. } = error else { return error };
        match segment.readable_behind(SegmentEnd { position, offset: start }) {
            Ok(SegmentEnd { offset: end, .. }) => self.damaged_batch(start..end.max(start), error),
            Err(unreadable) => unreadable,
        }
    }

    /// Says which of this log's offsets cannot be read because of `source`.
    pub(super) fn damaged_batch(&self, offsets: Range<Offset>, source: Error) -> Error {
        let (topic, partition) = (self.name.topic().to_owned(), self.name.partition());
        Error::DamagedBatch { topic, partition, offsets, source: Box::new(source) }
    }

    /// The first record at or after `time`, with its timestamp.
    pub(crate) fn offset_for_time(&self, time: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        self.check_open()?;
        let found = self.find_time(time);
        self.check_exists()?;
        found
    }

    fn find_time(&self, time: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        let end = self.end();
        for segment in self.segments.load().iter() {
            let damaged = |error| self.damaged(segment, error);
            if segment.largest_timestamp().map_err(damaged)?.is_none_or(|largest| largest < time) {
                continue;
            }
            if let Some(found) = segment.offset_for_time(time, end).map_err(damaged)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn size_of_all(batches: &[RecordBatch]) -> usize {
    batches.iter().map(|batch| batch.bytes().len()).sum()
}
