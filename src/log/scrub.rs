//! Checking a partition's sealed segments in the background: which there are, and what a finding means for its readers.

use super::partition_log::Log;
use crate::error::{Error, Result};
use crate::segment::{Finding, LogSegment, Piece, SegmentCheck};
use crate::sync::Arc;

/// What a piece of a check came to.
#[derive(Debug)]
pub(crate) struct Scrubbed {
    /// How many bytes it passed.
    pub(crate) bytes: u64,
    /// How many it read for that.
    pub(crate) read_bytes: u64,
    /// [`Error::DamagedBatch`], or [`Error::InvalidFile`] for an index.
    pub(crate) damage: Vec<Error>,
    /// Whether the segment is done.
    pub(crate) is_last: bool,
}

impl Log {
    /// The segments that are not appended to any more, oldest first.
    pub(crate) fn sealed_segments(&self) -> Vec<Arc<LogSegment>> {
        self.segments.load().sealed().map(Arc::clone).collect()
    }

    /// Checks a piece of one of them. `None`: it is not the log's any more, and what was found means nothing.
    pub(crate) fn scrub(&self, check: &mut SegmentCheck, bytes_max: u64) -> Option<Result<Scrubbed>> {
        let piece = check.check_piece(bytes_max);
        // Afterwards: the files are found by their names, which may be another topic's.
        let is_ours = self.check_open().is_ok()
            && self.segments.load().sealed().any(|segment| segment.base() == check.base());
        let scrubbed = |Piece { bytes, read_bytes, findings, is_last }| {
            let damage = findings.into_iter().map(|finding| self.damage(finding)).collect();
            Scrubbed { bytes, read_bytes, damage, is_last }
        };
        is_ours.then(|| piece.map(scrubbed))
    }

    fn damage(&self, Finding { offsets, error }: Finding) -> Error {
        match offsets {
            Some(offsets) => self.damaged_batch(offsets, error),
            None => error,
        }
    }
}
