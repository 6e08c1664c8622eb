//! Reading a segment by offset: whole batches, from the one that holds the wanted offset on.
//!
//! Where to begin is a guess, from where the last read ended or from the index, and is checked against the batch that
//! stands there. A guess that does not hold costs a walk from the start of the segment, never an answer.
//!
//! Damage before the wanted offset does not hide it: where the ordinary way fails, a slower one checks every CRC on it,
//! so that it knows which batch is the bad one, and goes on where the segment can be read again.

use super::log_segment::{LogSegment, SegmentEnd};
use super::lookup::{Border, Place};
use super::scan::{Scan, ScannedBatch};
use crate::error::{Corruption, Error, Result};
use crate::offset::Offset;
use crate::record::{BatchHeader, RecordBatch};
use crate::sync::Relaxed;

/// What a read fetches beyond the bytes that were asked for, to pass over what lies between the index entry and the
/// first wanted batch.
const SKIP_BYTES: usize = 8 << 10;

/// Which batches a read is to return.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// From the one that holds this offset on.
    pub(crate) from: Offset,
    /// Up to those that begin here.
    pub(crate) upto: Offset,
    /// In at most so many bytes.
    pub(crate) max_bytes: usize,
    /// Whether their CRCs are looked at.
    pub(crate) checks_crcs: bool,
}

impl LogSegment {
    /// Whole batches within the span's bytes, though at least one where `is_needed` says so. One that does not end by `ends_by`
    /// would hide what is there, and counts as damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. [`Error::Corrupt`] where `span.from` cannot be read, though the segment should have it: with the
    /// position and the expected offset of the first bad batch from which [`readable_behind`](Self::readable_behind) leads
    /// behind `span.from`.
    pub(crate) fn read(&self, span: Span, ends_by: Offset, is_needed: bool) -> Result<Vec<RecordBatch>> {
        for place in self.likely_places(span.from).chain([self.start()]) {
            match self.read_at(place, span, ends_by, is_needed) {
                Ok(Some(batches)) if !batches.is_empty() || !is_needed => return Ok(batches),
                Err(error) if !error.is_corruption() || !is_needed => return Err(error),
                // The place was wrong.
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return self.read_behind_damage(span, ends_by),
            }
        }
        Ok(Vec::new())
    }

    /// As [`read`](Self::read), where there is damage at or before `span.from`.
    #[cold]
    fn read_behind_damage(&self, span: Span, ends_by: Offset) -> Result<Vec<RecordBatch>> {
        let end = self.end();
        let mut start = self.sound_place_before(span.from)?;
        let mut scan = self.exact_scan(start, end).ending_by(ends_by);
        loop {
            let bad = match scan.next() {
                Ok(Some(ScannedBatch { position, batch })) if batch.next_offset() > span.from => {
                    let place = Place { position, border: Border::Begins(batch.base_offset()) };
                    return Ok(self.read_at(place, span, ends_by, true)?.unwrap_or_default());
                }
                Ok(Some(_)) => continue,
                Ok(None) => {
                    scan.corrupt(Corruption::MissingOffsets { from: scan.expected(), to: end.offset })
                }
                Err(error) if error.is_corruption() => error,
                Err(error) => return Err(error),
            };
            let behind =
                self.readable_behind(SegmentEnd { position: scan.position(), offset: scan.expected() })?;
            if behind.offset > span.from || behind.position <= start.position {
                return Err(bad);
            }
            start = behind;
            scan = self.exact_scan(start, end).ending_by(ends_by);
        }
    }

    /// A walk on which every batch is checked, and nothing is passed over.
    pub(super) fn exact_scan(&self, start: SegmentEnd, end: SegmentEnd) -> Scan<'_> {
        let range = start.position.min(end.position)..end.position;
        Scan::new(&self.log, self.base, range, start.offset).exact().with_crcs()
    }

    /// Where the batch that holds `from` may stand, or one before it: where the last read ended, or what the index says.
    fn likely_places(&self, from: Offset) -> impl Iterator<Item = Place> {
        let delta = from.delta_from(self.base).unwrap_or(0);
        let last_read = self.last_read.load(Relaxed);
        let position = last_read & u64::from(u32::MAX);
        let hinted = (last_read >> 32 == delta).then_some(Place { position, border: Border::Begins(from) });
        let indexed = std::iter::once_with(move || self.indexed_place(delta));
        hinted.into_iter().chain(indexed).filter(|place| place.position > 0)
    }

    /// Reads from a place that may be wrong: `None` where another batch stands there, or one that begins after `from`.
    fn read_at(
        &self,
        place: Place,
        span: Span,
        ends_by: Offset,
        is_needed: bool,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let Span { from, upto, max_bytes, checks_crcs } = span;
        let end = self.end().position;
        let mut scan = Scan::new(&self.log, self.base, place.position.min(end)..end, self.base)
            .dense()
            .ending_by(ends_by)
            .with_window(max_bytes.saturating_add(SKIP_BYTES));
        let fits = |first: BatchHeader| self.is_at(place, &first) && first.base_offset() <= from;
        if place.position > 0 && !scan.next_header()?.is_some_and(fits) {
            return Ok(None);
        }
        scan.skip_before(from, checks_crcs)?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0;
        loop {
            let ScannedBatch { position, batch } = match scan.next() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                // What is wrong further on is for the read that begins there to tell.
                Err(_) if !batches.is_empty() => break,
                Err(error) => return Err(error),
            };
            let size = batch.bytes().len();
            if batch.base_offset() >= upto || ((bytes > 0 || !is_needed) && bytes + size > max_bytes) {
                break;
            }
            match if checks_crcs { batch.check_crc() } else { Ok(()) } {
                Ok(()) => {}
                Err(_) if !batches.is_empty() => break,
                Err(source) => {
                    let (path, offset) = (self.log.path().to_path_buf(), batch.base_offset());
                    return Err(Error::Corrupt { path, position, offset, source });
                }
            }
            bytes += size;
            self.note_read(&batch, position);
            batches.push(batch.starting_at(from));
            if bytes >= max_bytes || !scan.is_buffered() {
                break;
            }
        }
        Ok(Some(batches))
    }

    /// Remembers where a read ended, for the one that goes on there.
    fn note_read(&self, batch: &RecordBatch, position: u64) {
        let delta = batch.next_offset().delta_from(self.base).and_then(|delta| u32::try_from(delta).ok());
        let position = u32::try_from(position + batch.bytes().len() as u64).ok();
        if let (Some(delta), Some(position)) = (delta, position) {
            self.last_read.store((u64::from(delta) << 32) | u64::from(position), Relaxed);
        }
    }
}
