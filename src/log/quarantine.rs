//! Where recovery puts what it cuts off or out, because it destroys nothing.
//!
//! The bytes are kept beside the log, in files that no log name matches: `<base>.log.<position>.quarantine` for the tail of
//! a segment, from that byte on, and `<base>.log.quarantine` for a whole segment. A number is added where the name is
//! taken. What is kept is synced before the log is cut.
//!
//! Of the head room behind a tail so much is kept that the last record is whole, which may end in zeros itself.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::{Access, FileHandle, Storage};

/// What the names of these files have in common.
const SUFFIX: &str = ".quarantine";
const CHUNK_BYTES: u64 = 1 << 20;
/// How many of the zeros at the end of a tail are kept: most records end in one of them, some in a value of zeros.
const ZEROS_MAX: u64 = 64 << 10;
/// How many quarantine files of one name are looked for before giving up.
const NAMES_MAX: usize = 1000;

/// Whether this is the path of a file that recovery put something into.
pub(crate) fn is_quarantine(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('.');
    name.ends_with(SUFFIX)
}

/// Copies what `log` holds from byte `start` on, without most of the zeros at its end; gives how many bytes are not those. `None`: there
/// are only zeros.
pub(crate) fn keep_tail(
    storage: &dyn Storage,
    log: &FileHandle,
    start: u64,
) -> Result<Option<(PathBuf, u64)>> {
    let bytes = log.bytes()?;
    let end = end_of_data(log, start, bytes)?;
    copy(storage, log, start..end, ZEROS_MAX.min(bytes.saturating_sub(end)))
}

/// Copies these bytes of `log`, and gives how many. `None`: there are only zeros.
pub(crate) fn keep(
    storage: &dyn Storage,
    log: &FileHandle,
    bytes: Range<u64>,
) -> Result<Option<(PathBuf, u64)>> {
    if end_of_data(log, bytes.start, bytes.end)? == bytes.start {
        Ok(None)
    } else {
        copy(storage, log, bytes, 0)
    }
}

/// Copies these bytes, if there are any, and puts so many zeros behind them, which need no space on most file systems.
fn copy(
    storage: &dyn Storage,
    log: &FileHandle,
    bytes: Range<u64>,
    zeros: u64,
) -> Result<Option<(PathBuf, u64)>> {
    let Range { start, end } = bytes;
    if start >= end {
        return Ok(None);
    }
    let (path, copy) = create(storage, log.path(), &format!(".{start}"))?;
    let mut position = start;
    while position < end {
        let chunk = log.slice(position..end.min(position + CHUNK_BYTES))?;
        copy.write_at(position - start, &[IoSlice::new(&chunk)]).map_err(Error::io("write", &path))?;
        position += chunk.len() as u64;
    }
    if zeros > 0 {
        copy.set_bytes(end - start + zeros).map_err(Error::io("write", &path))?;
    }
    copy.sync_data().map_err(Error::io("sync", &path))?;
    Ok(Some((path, end - start)))
}

/// Puts a whole segment file aside, synced. A file of zeros is removed, as there is nothing to keep.
pub(crate) fn keep_file(storage: &dyn Storage, log: &FileHandle) -> Result<Option<(PathBuf, u64)>> {
    let bytes = end_of_data(log, 0, log.bytes()?)?;
    log.close()?;
    if bytes == 0 {
        storage.remove_file(log.path()).map_err(Error::io("remove", log.path()))?;
        return Ok(None);
    }
    let (path, _) = create(storage, log.path(), "")?;
    let file = storage.open(log.path(), Access::Write).map_err(Error::io("open", log.path()))?;
    file.sync_data().map_err(Error::io("sync", log.path()))?;
    storage.rename(log.path(), &path).map_err(Error::io("rename", log.path()))?;
    Ok(Some((path, bytes)))
}

/// The byte behind the last one before `end` that is not zero, at least `start`.
fn end_of_data(log: &FileHandle, start: u64, mut end: u64) -> Result<u64> {
    while end > start {
        let chunk_start = start.max(end.saturating_sub(CHUNK_BYTES));
        let chunk = log.slice(chunk_start..end)?;
        if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
            return Ok(chunk_start + last as u64 + 1);
        }
        end = chunk_start;
    }
    Ok(start)
}

fn create(
    storage: &dyn Storage,
    log: &Path,
    part: &str,
) -> Result<(PathBuf, Box<dyn crate::storage::StorageFile>)> {
    let mut last = None;
    for number in 0..NAMES_MAX {
        let mut path = log.as_os_str().to_owned();
        path.push(part);
        path.push(if number == 0 { SUFFIX.to_owned() } else { format!("{SUFFIX}.{number}") });
        let path = PathBuf::from(path);
        match storage.open(&path, Access::Create) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some((path, error)),
            Err(error) => return Err(Error::io("create", &path)(error)),
        }
    }
    let (path, error) = last.expect("at least one name was tried");
    Err(Error::io("create", &path)(error))
}
