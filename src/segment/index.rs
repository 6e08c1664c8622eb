//! A segment's two indexes in memory, while it is written to or until they have been saved.
//!
//! The offset index gets one entry per `index_interval_bytes` of log, the time index a pair at the same moments where the
//! largest timestamp has grown, as in Kafka (`index.interval.bytes`): so a lookup lands at or before the wanted batch
//! and the reader scans on. [`MemoryIndex`] is what readers see, lock-free; [`IndexWriter`] is the writer's side, which
//! decides when an entry is due.

use super::entries::{Entry, OffsetEntry, TimeEntry};
use super::growing::GrowingWords;
use crate::offset::{Offset, Timestamp};
use crate::record::BatchHeader;
use crate::sync::{Arc, AtomicBool, Relaxed};

/// Both indexes of one segment; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct MemoryIndex {
    /// One word an entry: delta in the high half, position in the low.
    offsets: GrowingWords,
    /// Two words an entry: timestamp, then delta.
    times: GrowingWords,
    /// Whether the next batch is to have an entry, due or not.
    is_entry_wanted: AtomicBool,
}

impl MemoryIndex {
    pub(crate) fn offset_count(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn offset_entry(&self, index: usize) -> Option<OffsetEntry> {
        let word = self.offsets.get(index)?;
        let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).ok();
        Some(OffsetEntry { delta: half(word >> 32)?, position: half(word)? })
    }

    pub(crate) fn time_count(&self) -> usize {
        self.times.len() / 2
    }

    pub(crate) fn time_entry(&self, index: usize) -> Option<TimeEntry> {
        let timestamp = self.times.get(2 * index)?.cast_signed();
        let delta = u32::try_from(self.times.get(2 * index + 1)?).ok()?;
        Some(TimeEntry { timestamp, delta })
    }

    /// Asks for an entry for the next batch that is written: what lies before it cannot be walked over, so that nothing else
    /// leads there.
    pub(crate) fn want_entry(&self) {
        self.is_entry_wanted.store(true, Relaxed);
    }

    fn push_offset(&self, entry: OffsetEntry) {
        self.offsets.push([(u64::from(entry.delta) << 32) | u64::from(entry.position)]);
    }

    fn push_time(&self, entry: TimeEntry) {
        self.times.push([entry.timestamp.cast_unsigned(), u64::from(entry.delta)]);
    }
}

/// The largest timestamp of a segment, and the last offset of the batch that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LargestTimestamp {
    pub(crate) timestamp: Timestamp,
    pub(crate) delta: u32,
}

/// Decides when an index entry is due, and makes it.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    index: Arc<MemoryIndex>,
    base: Offset,
    interval_bytes: u64,
    /// Bytes of log since the last entry.
    since_entry: u64,
    largest: Option<LargestTimestamp>,
}

impl IndexWriter {
    /// Starts an empty index for the segment that begins at `base`.
    pub(crate) fn new(base: Offset, interval_bytes: u32) -> IndexWriter {
        let index = Arc::new(MemoryIndex::default());
        let interval_bytes = u64::from(interval_bytes);
        IndexWriter { index, base, interval_bytes, since_entry: 0, largest: None }
    }

    /// Takes over entries that stand in files, in their order. Those that break the order are refused with `false`.
    pub(crate) fn restore_offset(&mut self, entry: OffsetEntry) -> bool {
        let last = self.index.offset_count().checked_sub(1).and_then(|last| self.index.offset_entry(last));
        let in_order = last.is_none_or(|last| last.delta < entry.delta && last.position < entry.position);
        if in_order {
            self.index.push_offset(entry);
        }
        in_order
    }

    /// As [`restore_offset`](Self::restore_offset), for the time index.
    pub(crate) fn restore_time(&mut self, entry: TimeEntry) -> bool {
        let in_order =
            self.last_time().is_none_or(|last| last.timestamp < entry.timestamp && last.delta <= entry.delta);
        if in_order {
            self.index.push_time(entry);
            self.largest = Some(LargestTimestamp {
                timestamp: Timestamp::from_millis(entry.timestamp),
                delta: entry.delta,
            });
        }
        in_order
    }

    /// Has the next batch get an entry: what stands in front of it cannot be walked over.
    pub(crate) fn want_entry(&mut self) {
        self.since_entry = self.interval_bytes.saturating_add(1);
    }

    /// Notes a batch that was written at `position`, and its entries where they are due.
    pub(crate) fn note(&mut self, batch: &BatchHeader, position: u64) {
        let Some(delta) = batch.last_offset().delta_from(self.base).and_then(|d| u32::try_from(d).ok())
        else {
            return;
        };
        let timestamp = batch.max_timestamp();
        if self.largest.is_none_or(|largest| timestamp > largest.timestamp) && timestamp.as_millis() >= 0 {
            self.largest = Some(LargestTimestamp { timestamp, delta });
        }
        let is_wanted = self.since_entry > 0 && self.index.is_entry_wanted.load(Relaxed);
        if (self.since_entry > self.interval_bytes || is_wanted)
            && let Ok(position) = u32::try_from(position)
        {
            self.index.push_offset(OffsetEntry { delta, position });
            self.note_time();
            self.since_entry = 0;
            self.index.is_entry_wanted.store(false, Relaxed);
        }
        self.since_entry += batch.total_bytes();
    }

    /// Adds the time entry for the largest timestamp so far, if it is not there: at intervals, at a roll, at a close.
    pub(crate) fn note_time(&mut self) {
        if let Some(LargestTimestamp { timestamp, delta }) = self.largest
            && self.last_time().is_none_or(|last| last.timestamp < timestamp.as_millis())
        {
            self.index.push_time(TimeEntry { timestamp: timestamp.as_millis(), delta });
        }
    }

    /// What readers look up in.
    pub(crate) fn index(&self) -> &Arc<MemoryIndex> {
        &self.index
    }

    /// The largest timestamp noted.
    pub(crate) fn largest(&self) -> Option<LargestTimestamp> {
        self.largest
    }

    /// Corrects the largest timestamp, where the walk that made this index did not see the whole segment.
    pub(crate) fn set_largest(&mut self, largest: Option<LargestTimestamp>) {
        self.largest = largest;
    }

    /// Whether either index has no room for another append: `bytes_max` is the size of each file
    /// (`segment.index.bytes`), and the time index keeps its last slot for the roll.
    pub(crate) fn is_full(&self, bytes_max: u32) -> bool {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        self.index.offset_count() >= bytes_max / OffsetEntry::BYTES
            || self.index.time_count() + 1 >= bytes_max / TimeEntry::BYTES
    }

    /// The last entry of the time index.
    pub(crate) fn last_time(&self) -> Option<TimeEntry> {
        self.index.time_count().checked_sub(1).and_then(|last| self.index.time_entry(last))
    }
}
