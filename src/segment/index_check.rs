//! Index files held against the log, batch by batch, as it is gone over.
//!
//! Each entry must name a batch that there is: the offset index its position and last offset, the time index its last offset
//! and timestamp, which must be the largest so far. What an index leaves out is no fault: it is sparse, and may be behind.
//! Entries are read a window at a time. Where one is wrong, what follows it is not looked at any more.

use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use super::entries::{Entry, OffsetEntry, TimeEntry};
use super::log_segment::LogSegment;
use super::scan::ScannedBatch;
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::storage::FileHandle;

/// No index is larger: its positions are 31 bits, and Kafka counts its bytes in as many.
const INDEX_BYTES_MAX: u64 = i32::MAX.unsigned_abs() as u64;
/// How many entries are read at a time.
const WINDOW_ENTRIES: usize = 4096;

/// What is wrong with an index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexFault {
    pub(crate) path: PathBuf,
    /// The byte at which the entry stands.
    pub(crate) position: u64,
    pub(crate) reason: String,
}

/// The two index files of a segment, as far as they have been checked; see the [module](self).
#[derive(Debug)]
pub(crate) struct IndexCheck<S> {
    segment: S,
    offsets: Cursor<OffsetEntry>,
    times: Cursor<TimeEntry>,
    /// The largest timestamp so far.
    largest: i64,
}

/// The entries of one file, in order, up to the first that is wrong.
#[derive(Debug)]
struct Cursor<E> {
    bytes: u64,
    next: usize,
    window: Vec<E>,
    window_start: usize,
    fault: Option<String>,
}

impl<S: Deref<Target = LogSegment>> IndexCheck<S> {
    /// To hold the index files of `segment` against its batches. The file of either may be missing.
    pub(crate) fn new(segment: S) -> IndexCheck<S> {
        let (offsets, times) = (Cursor::new(&segment.offset_file), Cursor::new(&segment.time_file));
        IndexCheck { segment, offsets, times, largest: -1 }
    }

    /// Checks the entries that name this batch, or one before it.
    pub(crate) fn note(&mut self, found: &ScannedBatch) {
        let Some(delta) = self.segment.delta_of(found.batch.last_offset()) else { return };
        let timestamp = found.batch.max_timestamp().as_millis();
        self.largest = self.largest.max(timestamp);
        while let Some(entry) = self
            .offsets
            .peek(&self.segment.offset_file)
            .filter(|entry| u64::from(entry.position) <= found.position)
        {
            let is_right = u64::from(entry.position) == found.position && entry.delta == delta;
            self.offsets.pass(is_right, || format!("its entry of byte {} names no batch", entry.position));
        }
        while let Some(entry) = self.times.peek(&self.segment.time_file).filter(|entry| entry.delta <= delta)
        {
            let is_right = entry.delta == delta && entry.timestamp == timestamp && timestamp == self.largest;
            self.times.pass(is_right, || format!("its entry of the time {} names no batch", entry.timestamp));
        }
    }

    /// Passes over the entries of what cannot be read: these bytes, and the offsets before `next`.
    pub(crate) fn skip(&mut self, bytes: &Range<u64>, next: Offset) {
        while self
            .offsets
            .peek(&self.segment.offset_file)
            .is_some_and(|entry| u64::from(entry.position) < bytes.end)
        {
            self.offsets.pass(true, String::new);
        }
        let next = self.segment.delta_of(next).unwrap_or(u32::MAX);
        while self.times.peek(&self.segment.time_file).is_some_and(|entry| entry.delta < next) {
            self.times.pass(true, String::new);
        }
    }

    /// What is wrong with the files, now that all of the log has been gone over up to byte `end` of its file.
    pub(crate) fn end(mut self, end: u64) -> Vec<IndexFault> {
        // Entries of what has been appended meanwhile: they are not for this look.
        let is_newer = self.segment.log.bytes().is_ok_and(|bytes| bytes > end);
        if let Some(entry) = self.offsets.rest(&self.segment.offset_file)
            && !(is_newer && u64::from(entry.position) >= end)
        {
            self.offsets.fault.get_or_insert(format!("its entry of byte {} names no batch", entry.position));
        }
        if let Some(entry) = self.times.rest(&self.segment.time_file)
            && !is_newer
        {
            self.times
                .fault
                .get_or_insert(format!("its entry of the time {} names no batch", entry.timestamp));
        }
        let offsets = self.offsets.faults(&self.segment.offset_file);
        offsets.into_iter().chain(self.times.faults(&self.segment.time_file)).collect()
    }
}

impl<E: Entry> Cursor<E> {
    fn new(file: &FileHandle) -> Cursor<E> {
        let mut cursor = Cursor { bytes: 0, next: 0, window: Vec::new(), window_start: 0, fault: None };
        match file.bytes() {
            Ok(bytes) if bytes > INDEX_BYTES_MAX => {
                cursor.fault = Some(format!("it has {bytes} bytes, over the limit of {INDEX_BYTES_MAX}"));
            }
            Ok(bytes) => cursor.bytes = bytes,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => cursor.fault = Some(unreadable(&error)),
        }
        cursor
    }

    /// The next entry; none after the last, or after a fault.
    fn peek(&mut self, file: &FileHandle) -> Option<E> {
        if self.fault.is_some() {
            return None;
        }
        let count = usize::try_from(self.bytes).unwrap_or(usize::MAX) / E::BYTES;
        if self.next >= count {
            return None;
        }
        if self.window.get(self.next - self.window_start).is_none() {
            match self.read(file, count) {
                Ok(window) => (self.window, self.window_start) = (window, self.next),
                Err(error) => {
                    self.fault = Some(unreadable(&error));
                    return None;
                }
            }
        }
        self.window.get(self.next - self.window_start).copied()
    }

    fn read(&self, file: &FileHandle, count: usize) -> Result<Vec<E>> {
        let until = count.min(self.next + WINDOW_ENTRIES);
        let slice = file.slice((self.next * E::BYTES) as u64..(until * E::BYTES) as u64)?;
        Ok(slice.chunks_exact(E::BYTES).filter_map(E::read).collect())
    }

    fn pass(&mut self, is_right: bool, reason: impl FnOnce() -> String) {
        if is_right {
            self.next += 1;
        } else {
            self.fault = Some(reason());
        }
    }

    /// The first entry that is left, unless all that are left are zeros: room that Kafka sets aside.
    fn rest(&mut self, file: &FileHandle) -> Option<E> {
        let first = self.peek(file)?;
        loop {
            let entry = self.peek(file)?;
            let mut bytes = Vec::with_capacity(E::BYTES);
            entry.write(&mut bytes);
            if bytes.iter().any(|&byte| byte != 0) {
                return Some(first);
            }
            self.next += 1;
        }
    }

    fn faults(self, file: &FileHandle) -> Option<IndexFault> {
        let is_cut = !self.bytes.is_multiple_of(E::BYTES as u64);
        let reason = self.fault.or(is_cut.then(|| "it ends in the middle of an entry".to_owned()))?;
        let position = (self.next * E::BYTES) as u64;
        Some(IndexFault { path: Path::to_path_buf(file.path()), position, reason })
    }
}

fn unreadable(error: &Error) -> String {
    format!("it cannot be read: {}", crate::error::Chain(error))
}
