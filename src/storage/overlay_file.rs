//! The files of an overlay: one that is as below, and one with changes, which keeps its length and the bytes that differ.
//!
//! Invariant: before `kept`, what no block covers is as below; from it on, zeros. It never grows. A file that was cut below
//! reads as zeros from there.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bounds;
use super::extents::{Budget, Extents};
use super::pool::Buffer;
use super::slice::Slice;
use super::traits::{Access, StorageFile};
use crate::sync::{Arc, Mutex, MutexGuard};

/// How much of a write is compared at a time with what stands there.
const CHUNK_BYTES: usize = 64 << 10;

/// A file that was made here, opened for writing or renamed.
#[derive(Debug)]
pub(super) struct Contents {
    /// Where it lies below; nothing where it was made here.
    origin: Option<PathBuf>,
    is_write_only: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Before this byte, what no block covers is as below; from it on, zeros.
    kept: u64,
    /// What differs, and the length.
    extents: Extents,
}

impl Contents {
    /// Of a file of so many bytes, all of them as at `origin` below; where it has none, zeros.
    pub(super) fn new(origin: Option<PathBuf>, bytes: u64, is_write_only: bool) -> Contents {
        let mut extents = Extents::default();
        extents.grow_to(bytes);
        Contents { origin, is_write_only, state: Mutex::new(State { kept: bytes, extents }) }
    }

    pub(super) fn origin(&self) -> Option<&Path> {
        self.origin.as_deref()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().extents.bytes()
    }
}

/// An open file that is as below.
#[derive(Debug)]
pub(super) struct ReadFile {
    file: Box<dyn StorageFile>,
    access: Access,
}

impl ReadFile {
    pub(super) fn new(file: Box<dyn StorageFile>, access: Access) -> ReadFile {
        ReadFile { file, access }
    }
}

impl StorageFile for ReadFile {
    fn write_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<()> {
        Err(not_writable(self.access))
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        self.file.slice(range)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn set_bytes(&self, _: u64) -> io::Result<()> {
        Err(not_writable(self.access))
    }

    fn allocate(&self, _: Range<u64>) -> io::Result<()> {
        Err(not_writable(self.access))
    }

    fn zero(&self, _: Range<u64>) -> io::Result<()> {
        Err(not_writable(self.access))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.access == Access::Map { Err(not_writable(self.access)) } else { Ok(()) }
    }
}

fn not_writable(access: Access) -> io::Error {
    match access {
        Access::Map => io::Error::new(io::ErrorKind::Unsupported, "the file is mapped for reading"),
        _ => io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading"),
    }
}

/// An open file with changes.
#[derive(Debug)]
pub(super) struct OverlayFile {
    below: Option<Box<dyn StorageFile>>,
    contents: Arc<Contents>,
    access: Access,
    budget: Arc<Budget>,
}

impl OverlayFile {
    /// Over `below`, which is what the contents come from, if they come from anything.
    pub(super) fn new(
        below: Option<Box<dyn StorageFile>>,
        contents: Arc<Contents>,
        access: Access,
        budget: &Arc<Budget>,
    ) -> OverlayFile {
        OverlayFile { below, contents, access, budget: Arc::clone(budget) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.contents.state.lock()
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Create | Access::Write => Ok(()),
            Access::Read | Access::Map => Err(not_writable(self.access)),
        }
    }

    /// Fills `target` with what stands from byte `position` on; zeros where there is nothing.
    fn fill(&self, state: &State, position: u64, target: &mut [u8]) -> io::Result<()> {
        let end = position + target.len() as u64;
        let kept = state.kept.clamp(position, end);
        let mut filled = 0;
        if let (Some(below), true) = (&self.below, kept > position) {
            // What is gone below was head room, which other programs cut off.
            let there = below.bytes()?.clamp(position, kept);
            let head = below.slice(position..there)?;
            filled = head.len();
            target.get_mut(..filled).unwrap_or_default().copy_from_slice(&head);
        }
        target.get_mut(filled..).unwrap_or_default().fill(0);
        for (start, block) in state.extents.overlapping(&(position..end)) {
            let block_end = start + block.len() as u64;
            let (from, to) = (start.max(position), block_end.min(end));
            let source = block.get(index(from - start)..index(to - start)).unwrap_or_default();
            let place = index(from - position);
            target.get_mut(place..place + source.len()).unwrap_or_default().copy_from_slice(source);
        }
        Ok(())
    }

    /// Puts `bytes` at `position`, keeping those that differ from what stands there.
    fn put(&self, state: &mut State, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut current = Buffer::take(bytes.len());
        self.fill(state, position, current.as_mut())?;
        let is_other = |(new, old): (&u8, &u8)| new != old;
        let pairs = || bytes.iter().zip(current.as_ref());
        if let (Some(first), Some(last)) = (pairs().position(is_other), pairs().rposition(is_other)) {
            let part = bytes.get(first..=last).unwrap_or_default();
            let block = self.budget.block(part.len() as u64, std::iter::once(part))?;
            state.extents.insert(position + first as u64, block, &self.budget);
        }
        state.extents.grow_to(position + bytes.len() as u64);
        Ok(())
    }
}

impl StorageFile for OverlayFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.check_writable()?;
        bounds::end_of(position, parts.iter().map(|part| part.len() as u64).sum())?;
        let mut state = self.state();
        let mut position = position;
        for chunk in parts.iter().flat_map(|part| part.chunks(CHUNK_BYTES)) {
            if self.contents.is_write_only {
                state.extents.grow_to(position + chunk.len() as u64);
            } else {
                self.put(&mut state, position, chunk)?;
            }
            position += chunk.len() as u64;
        }
        Ok(())
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        let bytes = bounds::length_of(&range)?;
        if bytes == 0 {
            return Ok(Slice::default());
        }
        let state = self.state();
        bounds::check_inside(&range, state.extents.bytes())?;
        if self.contents.is_write_only {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "its contents were not kept"));
        }
        let mut buffer = Buffer::take(bounds::buffer_bytes(bytes)?);
        self.fill(&state, range.start, buffer.as_mut())?;
        Ok(buffer.freeze())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.state().extents.bytes())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        bounds::end_of(bytes, 0)?;
        let mut state = self.state();
        state.kept = state.kept.min(bytes);
        state.extents.set_bytes(bytes);
        Ok(())
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.check_writable()?;
        if bounds::length_of(&range)? > 0 {
            self.state().extents.grow_to(range.end);
        }
        Ok(())
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.check_writable()?;
        if bounds::length_of(&range)? == 0 {
            return Ok(());
        }
        let mut state = self.state();
        if range.end >= state.kept {
            state.kept = state.kept.min(range.start);
            state.extents.zero(range);
            return Ok(());
        }
        static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
        let mut position = range.start;
        while position < range.end {
            let bytes = index(range.end - position).min(CHUNK_BYTES);
            self.put(&mut state, position, ZEROS.get(..bytes).unwrap_or(&ZEROS))?;
            position += bytes as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.access == Access::Map { Err(not_writable(self.access)) } else { Ok(()) }
    }
}

/// A distance inside a buffer as an index.
fn index(distance: u64) -> usize {
    // Buffers are in memory; a distance outside them must not wrap into them.
    usize::try_from(distance).unwrap_or(usize::MAX)
}
