//! Where a segment's indexes say that a batch stands: in memory while it is written to, in their files otherwise.

use super::entries::{OffsetEntry, TimeEntry, last_where};
use super::index_files::{entry_count, read_entry};
use super::log_segment::LogSegment;
use super::scan::DELTA_MAX;
use crate::error::Result;
use crate::offset::Offset;
use crate::record::BatchHeader;

/// A byte where a batch may stand, with the delta of its last offset where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) delta: Option<u32>,
}

impl Place {
    pub(super) const START: Place = Place { position: 0, delta: None };
}

impl LogSegment {
    /// The last place at or before the offset `delta` that the index knows, or the start.
    pub(super) fn indexed_place(&self, delta: u64) -> Place {
        let delta = u32::try_from(delta.min(DELTA_MAX)).unwrap_or(u32::MAX);
        // An index that cannot be read costs time, never an answer.
        let entry = self.offset_floor(delta).unwrap_or(None);
        entry.map_or(Place::START, |entry| Place {
            position: u64::from(entry.position),
            delta: Some(entry.delta),
        })
    }

    /// Whether `first` is the batch that the index has at `place`.
    pub(super) fn is_at(&self, place: Place, first: &BatchHeader) -> bool {
        place.delta.is_none_or(|delta| self.delta_of(first.last_offset()) == Some(delta))
    }

    pub(super) fn offset_floor(&self, delta: u32) -> Result<Option<OffsetEntry>> {
        let is_at_or_before = |entry: OffsetEntry| entry.delta <= delta;
        let found = match self.index.load().as_ref() {
            Some(index) => last_where(index.offset_count(), |i| Ok(index.offset_entry(i)), is_at_or_before),
            None => {
                let count = entry_count::<OffsetEntry>(&self.offset_file)?;
                last_where(count, |i| read_entry(&self.offset_file, i), is_at_or_before)
            }
        };
        Ok(found?.map(|(_, entry)| entry))
    }

    pub(super) fn time_count(&self) -> Result<usize> {
        match self.index.load().as_ref() {
            Some(index) => Ok(index.time_count()),
            None => entry_count::<TimeEntry>(&self.time_file),
        }
    }

    pub(super) fn time_entry(&self, index: usize) -> Result<Option<TimeEntry>> {
        match self.index.load().as_ref() {
            Some(memory) => Ok(memory.time_entry(index)),
            None => read_entry(&self.time_file, index),
        }
    }

    /// How far an offset lies behind the base, as the indexes hold it.
    pub(super) fn delta_of(&self, offset: Offset) -> Option<u32> {
        offset.delta_from(self.base).and_then(|delta| u32::try_from(delta).ok())
    }
}
