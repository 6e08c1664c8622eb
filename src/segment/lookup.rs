//! Where a segment's indexes say that a batch stands: in memory while it is written to, in their files otherwise.

use super::entries::{OffsetEntry, TimeEntry, last_where};
use super::index_files::{entry_count, read_entry};
use super::log_segment::LogSegment;
use super::scan::DELTA_MAX;
use crate::error::Result;
use crate::offset::Offset;
use crate::record::BatchHeader;

/// A byte where a batch may stand, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) border: Border,
}

/// An offset at which a batch begins or ends, by which it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// The batch begins with this offset.
    Begins(Offset),
    /// The batch ends with the offset this far behind the segment's base.
    Ends(u32),
}

impl LogSegment {
    /// The start of the segment.
    pub(super) fn start(&self) -> Place {
        Place { position: 0, border: Border::Begins(self.base) }
    }

    /// The last place at or before the offset `delta` that the index knows, or the start.
    pub(super) fn indexed_place(&self, delta: u64) -> Place {
        let delta = u32::try_from(delta.min(DELTA_MAX)).unwrap_or(u32::MAX);
        // An index that cannot be read costs time, never an answer.
        let entry = self.offset_floor(delta).unwrap_or(None);
        entry.map_or(self.start(), |entry| Place {
            position: u64::from(entry.position),
            border: Border::Ends(entry.delta),
        })
    }

    /// Whether the batch with this header, which stands at `place`, is the one that is to be there.
    pub(super) fn is_at(&self, place: Place, found: &BatchHeader) -> bool {
        match place.border {
            Border::Begins(offset) => found.base_offset() == offset,
            Border::Ends(delta) => self.delta_of(found.last_offset()) == Some(delta),
        }
    }

    fn offset_floor(&self, delta: u32) -> Result<Option<OffsetEntry>> {
        let found = self.last_offset_where(|entry| entry.delta <= delta)?;
        Ok(found.map(|(_, entry)| entry))
    }

    /// The last entry of the offset index for which `is_at_or_before` holds, with its number.
    pub(super) fn last_offset_where(
        &self,
        is_at_or_before: impl Fn(OffsetEntry) -> bool,
    ) -> Result<Option<(usize, OffsetEntry)>> {
        last_where(self.offset_count()?, |i| self.offset_entry(i), is_at_or_before)
    }

    pub(super) fn offset_count(&self) -> Result<usize> {
        match self.index.load().as_ref() {
            Some(index) => Ok(index.offset_count()),
            None => entry_count::<OffsetEntry>(&self.offset_file),
        }
    }

    /// `None` where there is no such entry any more: the index was dropped for its file meanwhile.
    pub(super) fn offset_entry(&self, index: usize) -> Result<Option<OffsetEntry>> {
        match self.index.load().as_ref() {
            Some(memory) => Ok(memory.offset_entry(index)),
            None => read_entry(&self.offset_file, index),
        }
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
