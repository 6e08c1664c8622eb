//! The two indexes as files: read where they stand, saved when a checkpoint asks for it.
//!
//! A save writes only the entries that the file lacks, cuts what lies behind them, and syncs. Nothing depends on a save:
//! an index that is missing, short or wrong is made again from the log.

use std::io::{self, IoSlice};
use std::path::Path;

use super::entries::{Entry, OffsetEntry, TimeEntry};
use super::index::{IndexWriter, MemoryIndex};
use super::names::SegmentPaths;
use crate::error::{Error, Result};
use crate::record::BATCH_HEADER_BYTES;
use crate::storage::{Access, FileHandle, Slice, Storage};

/// Entries written at a time.
const CHUNK_ENTRIES: usize = 8 << 10;

/// How many entries of each index stand in the files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedEntries {
    pub(crate) offsets: usize,
    pub(crate) times: usize,
}

/// How many whole entries a file holds; none where there is no file.
pub(crate) fn entry_count<E: Entry>(file: &FileHandle) -> Result<usize> {
    match file.bytes() {
        Ok(bytes) => Ok(usize::try_from(bytes).unwrap_or(0) / E::BYTES),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// One entry of a file.
pub(crate) fn read_entry<E: Entry>(file: &FileHandle, index: usize) -> Result<Option<E>> {
    let position = (index * E::BYTES) as u64;
    Ok(E::read(&file.slice(position..position + E::BYTES as u64)?))
}

/// Takes over into `writer` the entries that name batches before byte `position_max` and offsets up to `delta_max`.
///
/// Reading stops at the first entry that is out of order, outside those bounds, or all zero where that cannot be.
/// Gives the last entry that was taken. Nothing is taken where there are no times at all: those of the batches that the
/// walk would pass over would be lost.
pub(crate) fn restore(
    offset_file: &FileHandle,
    time_file: &FileHandle,
    writer: &mut IndexWriter,
    position_max: u64,
    delta_max: u32,
) -> Result<Option<OffsetEntry>> {
    if entry_count::<TimeEntry>(time_file)? == 0 {
        return Ok(None);
    }
    let mut last = None;
    let batches_max = usize::try_from(position_max).unwrap_or(usize::MAX) / BATCH_HEADER_BYTES;
    for entry in read_entries::<OffsetEntry>(offset_file, batches_max)? {
        let inside =
            u64::from(entry.position) < position_max && entry.delta <= delta_max && entry.position > 0;
        if !inside || !writer.restore_offset(entry) {
            break;
        }
        last = Some(entry);
    }
    let time_delta_max = last.map_or(0, |entry| entry.delta);
    for entry in read_entries::<TimeEntry>(time_file, batches_max)? {
        if last.is_none() || entry.delta > time_delta_max || !writer.restore_time(entry) {
            break;
        }
    }
    Ok(last)
}

/// The entries of a file, though no more than there can be batches.
fn read_entries<E: Entry>(file: &FileHandle, count_max: usize) -> Result<impl Iterator<Item = E>> {
    let bytes = (entry_count::<E>(file)?.min(count_max) * E::BYTES) as u64;
    let slice = if bytes == 0 { Slice::default() } else { file.slice(0..bytes)? };
    let mut position = 0;
    Ok(std::iter::from_fn(move || {
        let entry = slice.get(position..position + E::BYTES)?;
        position += E::BYTES;
        E::read(entry)
    }))
}

/// Writes what the files lack of `index` behind the entries `saved`, and syncs both. New files need a sync of their
/// directory afterwards, which `true` asks for.
pub(crate) fn save(
    storage: &dyn Storage,
    paths: &SegmentPaths,
    index: &MemoryIndex,
    saved: &mut SavedEntries,
) -> Result<bool> {
    let (offsets, times) = (index.offset_count(), index.time_count());
    let new_offsets =
        save_one(storage, &paths.offset_index, saved.offsets, offsets, |i| index.offset_entry(i))?;
    saved.offsets = offsets;
    let new_times = save_one(storage, &paths.time_index, saved.times, times, |i| index.time_entry(i))?;
    saved.times = times;
    Ok(new_offsets || new_times)
}

fn save_one<E: Entry>(
    storage: &dyn Storage,
    path: &Path,
    saved: usize,
    count: usize,
    entry: impl Fn(usize) -> Option<E>,
) -> Result<bool> {
    let (file, is_new) = match storage.open(path, Access::Write) {
        Ok(file) => (file, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (storage.open(path, Access::Create).map_err(Error::io("create", path))?, true)
        }
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut next = if is_new { 0 } else { saved };
    while next < count {
        let until = count.min(next + CHUNK_ENTRIES);
        let mut bytes = Vec::with_capacity((until - next) * E::BYTES);
        (next..until).filter_map(&entry).for_each(|entry| entry.write(&mut bytes));
        file.write_at((next * E::BYTES) as u64, &[IoSlice::new(&bytes)]).map_err(Error::io("write", path))?;
        next = until;
    }
    file.set_bytes((count * E::BYTES) as u64).map_err(Error::io("truncate", path))?;
    file.sync_data().map_err(Error::io("sync", path))?;
    Ok(is_new)
}
