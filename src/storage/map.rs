//! A sealed file, mapped for reading: a read is a slice of the map and copies nothing.
//!
//! The only file in the crate with `unsafe` code. The file descriptor is closed as soon as the map stands, so that
//! mapped files do not count against the system's limit of open files; the map itself goes with its last slice.
//!
//! Invariants: a mapped file is never written, and the map has the length that the file had when it was opened. What
//! this process cannot prevent is another program that shortens the file, and a device that fails while a page is
//! read: touching such a page raises SIGBUS, which ends the process. docs/durability.md says so, and which setting
//! reads sealed files by position instead. A crash leaves nothing, because nothing is written.

#![expect(unsafe_code, reason = "a map is the only way to read sealed segments without copying them")]

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;

use memmap2::{Mmap, MmapOptions};

use super::bounds;
use super::slice::Slice;
use super::traits::StorageFile;

/// A file that is read through a map and cannot be written.
#[derive(Debug)]
pub(super) struct MappedFile {
    whole: Slice,
}

impl MappedFile {
    /// Maps the whole of a sealed file. The caller closes `file`; the map does not need it.
    pub(super) fn new(file: &File) -> io::Result<MappedFile> {
        let bytes = file.metadata()?.len();
        if bytes == 0 {
            // No system maps nothing.
            return Ok(MappedFile { whole: Slice::default() });
        }
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok(MappedFile { whole: Slice::from_owner(map(file, bytes)?) })
    }
}

impl StorageFile for MappedFile {
    fn write_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<()> {
        Err(read_only())
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        if bounds::length_of(&range)? == 0 {
            return Ok(Slice::default());
        }
        bounds::check_inside(&range, self.whole.len() as u64)?;
        let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        inside
            .and_then(|(start, end)| self.whole.slice(start..end))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.whole.len() as u64)
    }

    fn set_bytes(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn allocate(&self, _: Range<u64>) -> io::Result<()> {
        Err(read_only())
    }

    fn zero(&self, _: Range<u64>) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(read_only())
    }
}

fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: the bytes of a map must not change while they are borrowed. Only sealed files are opened with
    // `Access::Map`, and this crate never writes or shortens a sealed file: truncation makes a new file, and a file is
    // recycled only when no reader is left (the `log` floor keeps that). No other process of ours does either, because
    // one process holds a log directory, by lock (the `broker` floor keeps that). A foreign program that writes into
    // the directory breaks this, as it breaks the log itself; the header says what then happens.
    unsafe { MmapOptions::new().len(bytes).map(file) }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the file is mapped for reading")
}
