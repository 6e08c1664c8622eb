//! Walks over the batches of a file, one after the other, and believes nothing that it reads.
//!
//! A walk goes from one position to another along the batches' length fields. Each batch must lie wholly inside, have a
//! header that can be, and begin at or after the offset that is expected there; its CRC is checked where that is asked
//! for. The first batch that does not is an [`Error::Corrupt`] with file, position and expected offset, and the walk stays
//! there.
//!
//! A log ends where every remaining byte is zero: that is head room, not damage. A length of zero with anything behind it
//! is a bad batch.
//!
//! Invariants: no buffer is larger than what the file really holds; no batch is looked for anywhere but behind the one
//! before, because a value may contain bytes that look like a batch.

use std::ops::Range;

use crate::error::{Corruption, Error, Result};
use crate::offset::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch};
use crate::storage::{FileHandle, Slice};

/// How much is read at a time, unless a batch is larger. Small enough that a check of it finds it in the cache.
pub(crate) const WINDOW_BYTES: usize = 256 << 10;
/// The largest distance of an offset from its segment's base, because indexes hold it in 31 bits.
pub(crate) const DELTA_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// A walk over batches; see the [module](self).
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    file: &'a FileHandle,
    base: Offset,
    position: u64,
    end: u64,
    expected: Offset,
    /// No batch ends behind this offset.
    ends_by: Offset,
    /// Whether a batch must begin exactly where the one before ended.
    dense: bool,
    passed_one: bool,
    crcs: bool,
    window_bytes: usize,
    window: Slice,
    window_start: u64,
    bytes_read: u64,
}

/// A batch, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct ScannedBatch {
    pub(crate) position: u64,
    pub(crate) batch: RecordBatch,
}

impl<'a> Scan<'a> {
    /// Walks over `range` of the segment that begins at `base`; the first batch must begin at `expected` or later.
    pub(crate) fn new(file: &'a FileHandle, base: Offset, range: Range<u64>, expected: Offset) -> Scan<'a> {
        Scan {
            file,
            base,
            position: range.start,
            end: range.end,
            expected,
            ends_by: Offset::MAX,
            dense: false,
            passed_one: false,
            crcs: false,
            window_bytes: WINDOW_BYTES,
            window: Slice::default(),
            window_start: range.start,
            bytes_read: 0,
        }
    }

    /// Demands that each batch begins where the one before it ended, and the first of a segment at its base offset: only
    /// compaction leaves gaps.
    pub(crate) fn dense(mut self) -> Scan<'a> {
        self.dense = true;
        self.passed_one = self.position == 0;
        self
    }

    /// Expects the next batch to begin here, where that is known better than when the walk began.
    pub(crate) fn expect(&mut self, offset: Offset) {
        self.expected = offset;
    }

    /// As [`dense`](Scan::dense), and the first batch begins exactly where it is expected, wherever it stands.
    pub(crate) fn exact(mut self) -> Scan<'a> {
        self.dense = true;
        self.passed_one = true;
        self
    }

    /// Demands that every batch ends by this offset, which is where those behind the segment's begin.
    pub(crate) fn ending_by(mut self, offset: Offset) -> Scan<'a> {
        self.ends_by = offset;
        self
    }

    /// Checks each batch's CRC.
    pub(crate) fn with_crcs(mut self) -> Scan<'a> {
        self.crcs = true;
        self
    }

    /// Reads so much at a time, so that batches up to there share one slice.
    pub(crate) fn with_window(mut self, bytes: usize) -> Scan<'a> {
        self.window_bytes = bytes;
        self
    }

    /// Where the next batch starts; where the log ends, once there is none.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The lowest offset with which the next batch may begin: one past the last batch's.
    pub(crate) fn expected(&self) -> Offset {
        self.expected
    }

    /// How many bytes were read so far, whether there were batches in them or not.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Passes over the batches that end before `from`. Where `checks_crcs` says so, their CRCs are looked at: otherwise a
    /// damaged length could lead into a value, and to bytes there that are a perfect batch.
    pub(crate) fn skip_before(&mut self, from: Offset, checks_crcs: bool) -> Result<()> {
        while let Some(header) = self.next_header()?
            && header.last_offset() < from
        {
            if checks_crcs {
                let batch = RecordBatch::parse(self.peek_batch(&header)?);
                batch.and_then(|batch| batch.check_crc()).map_err(|source| self.corrupt(source))?;
            }
            self.pass(&header);
        }
        Ok(())
    }

    /// The next batch, or `None` where the log ends.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a bad batch, [`Error::Io`] where the file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<ScannedBatch>> {
        let Some(header) = self.next_header()? else { return Ok(None) };
        let batch = RecordBatch::parse(self.peek_batch(&header)?).map_err(|source| self.corrupt(source))?;
        if self.crcs {
            batch.check_crc().map_err(|source| self.corrupt(source))?;
        }
        let position = self.position;
        self.pass(&header);
        Ok(Some(ScannedBatch { position, batch }))
    }

    /// The header of the next batch, checked for its place, or `None` where the log ends.
    pub(crate) fn next_header(&mut self) -> Result<Option<BatchHeader>> {
        let left = self.end - self.position;
        if left < BATCH_HEADER_BYTES as u64 {
            return if self.rest_is_zero()? {
                Ok(None)
            } else {
                Err(self
                    .corrupt(Corruption::Truncated { needed: BATCH_HEADER_BYTES as u64, available: left }))
            };
        }
        let head = self.peek(BATCH_HEADER_BYTES)?;
        if BatchHeader::length_field(&head) == Some(0) {
            return if self.rest_is_zero()? { Ok(None) } else { Err(self.corrupt(Corruption::ZeroLength)) };
        }
        let header = BatchHeader::parse(&head).map_err(|source| self.corrupt(source))?;
        self.check_place(&header, left).map_err(|source| self.corrupt(source))?;
        Ok(Some(header))
    }

    /// What stands where the next batch should, whatever it is: as many bytes as a header has, or `None` where fewer are left.
    pub(super) fn head(&mut self) -> Result<Option<Slice>> {
        let is_whole = self.end - self.position >= BATCH_HEADER_BYTES as u64;
        if is_whole { self.peek(BATCH_HEADER_BYTES).map(Some) } else { Ok(None) }
    }

    /// The batch of so many bytes that stands here, whatever its place: `None` where it is none, or its CRC is wrong.
    pub(super) fn sound_batch(&mut self, bytes: u64) -> Result<Option<RecordBatch>> {
        let Some(bytes) = usize::try_from(bytes).ok().filter(|_| bytes <= self.end - self.position) else {
            return Ok(None);
        };
        let batch = RecordBatch::parse(self.peek(bytes)?).ok();
        Ok(batch.filter(|batch| batch.check_crc().is_ok()))
    }

    /// Passes over so many bytes, at most to the end.
    pub(super) fn pass_bytes(&mut self, bytes: u64) {
        self.position += bytes.min(self.end - self.position);
    }

    fn pass(&mut self, header: &BatchHeader) {
        self.position += header.total_bytes();
        self.expected = header.next_offset();
        self.passed_one = true;
    }

    /// Whether the next batch can be had without reading more of the file.
    pub(crate) fn is_buffered(&self) -> bool {
        let buffered = self.buffered();
        let length = BatchHeader::length_field(buffered).and_then(|length| usize::try_from(length).ok());
        length.is_some_and(|length| BatchHeader::LOG_OVERHEAD_BYTES + length <= buffered.len())
    }

    /// An error that says where the walk stands.
    pub(crate) fn corrupt(&self, source: Corruption) -> Error {
        let path = self.file.path().to_path_buf();
        Error::Corrupt { path, position: self.position, offset: self.expected, source }
    }

    /// Whether the header fits where it was found: inside the file, behind the batch before, near the base offset.
    fn check_place(&self, header: &BatchHeader, left: u64) -> Result<(), Corruption> {
        if header.total_bytes() > left {
            return Err(Corruption::Truncated { needed: header.total_bytes(), available: left });
        }
        if header.base_offset() < self.expected {
            let found = header.base_offset().to_i64();
            return Err(Corruption::OffsetOrder { expected: self.expected, found });
        }
        if self.dense && self.passed_one && header.base_offset() > self.expected {
            return Err(Corruption::MissingOffsets { from: self.expected, to: header.base_offset() });
        }
        if header.next_offset() > self.ends_by {
            return Err(Corruption::Field {
                field: "baseOffset + lastOffsetDelta",
                value: header.last_offset().to_i64(),
            });
        }
        if header.last_offset().delta_from(self.base).is_none_or(|delta| delta > DELTA_MAX) {
            let value = header.last_offset().to_i64();
            return Err(Corruption::Field { field: "baseOffset + lastOffsetDelta", value });
        }
        Ok(())
    }

    /// The whole of the next batch.
    fn peek_batch(&mut self, header: &BatchHeader) -> Result<Slice> {
        self.peek(usize::try_from(header.total_bytes()).expect("a batch's length is an i32"))
    }

    /// The next `bytes` bytes, which must lie before the end.
    fn peek(&mut self, bytes: usize) -> Result<Slice> {
        if self.buffered().len() < bytes {
            let window = (self.window_bytes.max(bytes) as u64).min(self.end - self.position);
            // The old window goes back to the pool first, so that a walk uses one buffer over and over.
            self.window = Slice::default();
            self.window = self.file.slice(self.position..self.position + window)?;
            self.window_start = self.position;
            self.bytes_read += window;
        }
        let start = self.window.len() - self.buffered().len();
        Ok(self.window.slice(start..start + bytes).expect("the window was just made to hold them"))
    }

    /// What is in memory from the current position on.
    fn buffered(&self) -> &[u8] {
        let passed = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        self.window.get(passed..).unwrap_or_default()
    }

    fn rest_is_zero(&mut self) -> Result<bool> {
        let mut position = self.position;
        while position < self.end {
            let chunk = self.file.slice(position..self.end.min(position + WINDOW_BYTES as u64))?;
            self.bytes_read += chunk.len() as u64;
            if chunk.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            position += chunk.len() as u64;
        }
        Ok(true)
    }
}
