//! Checking a sealed segment in the background, a piece at a time: every batch as a read would check it, and every index
//! entry against the batch that it names.
//!
//! It reads by position and through files of its own: under a map, a page that the disk cannot read ends the process, and
//! the files that are open for readers stay open for them. What it finds is told, and nothing is changed.

use std::ops::Range;

use super::index_check::{IndexCheck, IndexFault};
use super::log_segment::{LogSegment, SegmentEnd};
use crate::error::{Corruption, Error, Result};
use crate::offset::Offset;
use crate::storage::{Access, OpenFiles};
use crate::sync::Arc;

/// How much is read at a time, unless a batch is larger.
const WINDOW_BYTES: usize = 64 << 10;

/// A check of one segment; see the [module](self).
#[derive(Debug)]
pub(crate) struct SegmentCheck {
    segment: Arc<LogSegment>,
    end: SegmentEnd,
    next: SegmentEnd,
    /// None until the first piece, and while the index is not in its files.
    index: Option<IndexCheck<Arc<LogSegment>>>,
}

/// What is wrong in a segment.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What cannot be read because of it; none for an index, which readers can do without.
    pub(crate) offsets: Option<Range<Offset>>,
    /// [`Error::Corrupt`], or [`Error::InvalidFile`] for an index.
    pub(crate) error: Error,
}

/// What one piece came to.
#[derive(Debug)]
pub(crate) struct Piece {
    /// How many bytes of the segment it passed.
    pub(crate) bytes: u64,
    /// How many it read of the log for that: a batch that a window cuts in two is read again.
    pub(crate) read_bytes: u64,
    pub(crate) findings: Vec<Finding>,
    /// Whether it was the last.
    pub(crate) is_last: bool,
}

impl SegmentCheck {
    /// A check of this segment, which must be sealed. Its files are opened among `files` when the first piece is read.
    pub(crate) fn new(segment: &LogSegment, files: &Arc<OpenFiles>) -> SegmentCheck {
        let segment = Arc::new(segment.sealed(files, Access::Read));
        let (end, next) = (segment.end(), SegmentEnd { position: 0, offset: segment.base() });
        SegmentCheck { segment, end, next, index: None }
    }

    /// The offset in the segment's name.
    pub(crate) fn base(&self) -> Offset {
        self.segment.base()
    }

    /// Reads about so many bytes more: up to the end of a batch, or the first damage.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the segment cannot be read.
    pub(crate) fn check_piece(&mut self, bytes_max: u64) -> Result<Piece> {
        let SegmentCheck { segment, end, next, index } = self;
        let start = next.position;
        if start == 0 && segment.index.load().is_none() {
            *index = Some(IndexCheck::new(Arc::clone(segment)));
        }
        let mut findings = Vec::new();
        let window_bytes = usize::try_from(bytes_max).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
        let mut scan = segment.exact_scan(*next, *end).with_window(window_bytes);
        let bad = loop {
            let is_over = scan.bytes_read() >= bytes_max.max(1) && !scan.is_buffered();
            if is_over && scan.position() < end.position {
                break None;
            }
            match scan.next() {
                Ok(Some(found)) => index.iter_mut().for_each(|index| index.note(&found)),
                Ok(None) if scan.expected() < end.offset => {
                    let missing = Corruption::MissingOffsets { from: scan.expected(), to: end.offset };
                    break Some(scan.corrupt(missing));
                }
                Ok(None) => break None,
                Err(error) if error.is_corruption() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let read_bytes = scan.bytes_read();
        *next = SegmentEnd { position: scan.position(), offset: scan.expected() };
        if let Some(error) = bad {
            let behind = segment.readable_behind(*next)?;
            let bytes = next.position..behind.position;
            index.iter_mut().for_each(|index| index.skip(&bytes, behind.offset));
            findings.push(Finding { offsets: Some(next.offset..behind.offset.max(next.offset)), error });
            *next = behind;
        }
        let is_last = next.position >= end.position || next.offset >= end.offset;
        if is_last {
            let faults = index.take().map(|index| index.end(end.position));
            findings.extend(faults.into_iter().flatten().map(Finding::of_index));
        }
        Ok(Piece { bytes: next.position.saturating_sub(start), read_bytes, findings, is_last })
    }
}

impl Finding {
    fn of_index(IndexFault { path, position, reason }: IndexFault) -> Finding {
        let reason = format!("{reason}, at byte {position}");
        Finding { offsets: None, error: Error::InvalidFile { path, reason } }
    }
}
