//! Finding records by time: the first since a time, and the largest timestamp of all.
//!
//! The time index has no checksum, and what it leaves out cannot be seen in it. So an entry counts only if the batch that
//! it names has that timestamp, and the batches behind the last entry are looked at. What is looked at has its CRC checked,
//! and must reach to the segment's end: a search passes over nothing that it could not read.

use super::entries::{TimeEntry, last_where};
use super::index::LargestTimestamp;
use super::log_segment::{LogSegment, NONE, SegmentEnd, UNKNOWN};
use super::scan::{Scan, ScannedBatch};
use crate::error::{Corruption, Result};
use crate::offset::{Offset, Timestamp};
use crate::sync::Relaxed;

impl LogSegment {
    /// The first record with a timestamp of at least `time`, among those below `upto`.
    pub(crate) fn offset_for_time(
        &self,
        time: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        let entry = self.last_entry_before(time).unwrap_or(None);
        let behind = entry.and_then(|entry| self.end_of_named(entry).ok().flatten());
        self.first_since(behind.unwrap_or(self.beginning()), time, upto)
    }

    fn first_since(
        &self,
        start: SegmentEnd,
        time: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        let end = self.end();
        let mut scan = self.exact_scan(start, end);
        while let Some(ScannedBatch { batch, .. }) = scan.next()? {
            if batch.base_offset() >= upto {
                return Ok(None);
            }
            if batch.max_timestamp() < time || batch.is_control() {
                continue;
            }
            let records = batch.records()?;
            if let Some(record) = records.iter().find(|record| record.timestamp() >= time) {
                return Ok((record.offset() < upto).then(|| (record.offset(), record.timestamp())));
            }
        }
        check_reached(&scan, end)?;
        Ok(None)
    }

    /// Where the segment begins.
    fn beginning(&self) -> SegmentEnd {
        SegmentEnd { position: 0, offset: self.base }
    }

    /// The last entry of the time index below `time`. `None` also where the entry behind it shows that the order is broken.
    fn last_entry_before(&self, time: Timestamp) -> Result<Option<TimeEntry>> {
        let is_before = |entry: TimeEntry| entry.timestamp < time.as_millis();
        let count = self.time_count()?;
        let Some((index, entry)) = last_where(count, |i| self.time_entry(i), is_before)? else {
            return Ok(None);
        };
        let next = if index + 1 < count { self.time_entry(index + 1)? } else { None };
        let is_ordered = next.is_none_or(|next| next.timestamp > entry.timestamp && next.delta > entry.delta);
        Ok(is_ordered.then_some(entry))
    }

    /// Where the batch ends that a time index entry names, or `None` where that batch says otherwise.
    fn end_of_named(&self, entry: TimeEntry) -> Result<Option<SegmentEnd>> {
        let end = self.end().position;
        let position = self.indexed_place(u64::from(entry.delta)).position.min(end);
        let mut scan = Scan::new(&self.log, self.base, position..end, self.base).dense().with_crcs();
        let named = self.base.saturating_add(u64::from(entry.delta));
        scan.skip_before(named, true)?;
        let found = scan.next()?.map(|found| found.batch);
        let is_named = found.is_some_and(|batch| {
            batch.last_offset() == named && batch.max_timestamp().as_millis() == entry.timestamp
        });
        Ok(is_named.then(|| SegmentEnd { position: scan.position(), offset: scan.expected() }))
    }

    /// The largest timestamp in the segment, or `None` where no record has one. Looked up once.
    pub(crate) fn largest_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut millis = self.largest_timestamp.load(Relaxed);
        if millis == UNKNOWN {
            millis = self.find_largest()?.map_or(NONE, |largest| largest.timestamp.as_millis());
            // Only where it is still unknown: an append may have published a newer one meanwhile.
            let _ = self.largest_timestamp.compare_exchange(UNKNOWN, millis, Relaxed, Relaxed);
        }
        Ok((millis >= 0).then(|| Timestamp::from_millis(millis)))
    }

    fn find_largest(&self) -> Result<Option<LargestTimestamp>> {
        let last = self.time_count().unwrap_or(0).checked_sub(1);
        let last = last.and_then(|last| self.time_entry(last).ok().flatten());
        self.largest_since(last, self.end())
    }

    /// The largest timestamp before `end`: that of a time index entry, or of a batch behind the one that it names.
    ///
    /// The last entry alone would do, if it could be believed: but the index has no checksum, and may have lost its end.
    pub(super) fn largest_since(
        &self,
        entry: Option<TimeEntry>,
        end: SegmentEnd,
    ) -> Result<Option<LargestTimestamp>> {
        let behind = entry.and_then(|entry| Some((entry, self.end_of_named(entry).ok().flatten()?)));
        let (mut largest, start) = match behind {
            Some((TimeEntry { timestamp, delta }, start)) => {
                (Some(LargestTimestamp { timestamp: Timestamp::from_millis(timestamp), delta }), start)
            }
            None => (None, self.beginning()),
        };
        let mut scan = self.exact_scan(start, end);
        while let Some(ScannedBatch { batch, .. }) = scan.next()? {
            let timestamp = batch.max_timestamp();
            if timestamp.as_millis() >= 0
                && largest.is_none_or(|largest| timestamp > largest.timestamp)
                && let Some(delta) = self.delta_of(batch.last_offset())
            {
                largest = Some(LargestTimestamp { timestamp, delta });
            }
        }
        check_reached(&scan, end)?;
        Ok(largest)
    }

    /// The largest timestamp of the first batch, from which the segment's age counts. None where that batch is damaged:
    /// no reason to append nothing more.
    pub(crate) fn first_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut scan = Scan::new(&self.log, self.base, 0..self.end().position, self.base);
        let first = match scan.next() {
            Ok(first) => first.map(|found| found.batch.max_timestamp()),
            Err(error) if error.is_corruption() => None,
            Err(error) => return Err(error),
        };
        Ok(first.filter(|timestamp| timestamp.as_millis() >= 0))
    }
}

/// Refuses a walk that ended before the segment does: the rest is missing.
fn check_reached(scan: &Scan<'_>, end: SegmentEnd) -> Result<()> {
    if scan.expected() >= end.offset {
        return Ok(());
    }
    Err(scan.corrupt(Corruption::MissingOffsets { from: scan.expected(), to: end.offset }))
}
