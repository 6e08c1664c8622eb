//! Files small enough to be written whole: checkpoints, metadata, properties.
//!
//! A new version is written beside the old one, synced, and renamed over it; then the directory is synced. So a crash
//! at any point leaves the old contents or the new ones, whole, and perhaps a left-over `<name>.tmp`, which nobody
//! reads and the next replacement removes.
//!
//! Invariants: one replacement of one path at a time (the caller sees to that); a reader never sees a part of one.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::traits::{Access, Storage};
use crate::error::{Error, Result};

/// The suffix of the version that is being written.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces, or creates, a whole file. On return the new contents survive a power cut.
///
/// # Errors
///
/// [`Error::Io`]: before the rename the old contents stand; after it, whether they or the new ones survive a power
/// cut is unknown.
pub(crate) fn replace(storage: &dyn Storage, path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    match storage.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary)(error));
        }
        _ => {}
    }
    let replaced = write(storage, &temporary, contents)
        .and_then(|()| storage.rename(&temporary, path).map_err(Error::io("replace", path)));
    if let Err(error) = replaced {
        // Gives a full disk its space back. Where even this fails, the next replacement tries again.
        let _ = storage.remove_file(&temporary);
        return Err(error);
    }
    let directory = directory_of(path);
    storage.sync_dir(directory).map_err(Error::io("sync", directory))
}

/// Reads a whole file of at most `limit_bytes`; `None` where there is none.
///
/// # Errors
///
/// [`Error::InvalidFile`] where it is longer, [`Error::Io`] where it cannot be read.
pub(crate) fn read(storage: &dyn Storage, path: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>> {
    let file = match storage.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let bytes = file.bytes().map_err(Error::io("measure", path))?;
    if bytes > limit_bytes {
        let reason = format!("{bytes} bytes, where at most {limit_bytes} are expected");
        return Err(Error::InvalidFile { path: path.to_path_buf(), reason });
    }
    let contents = file.slice(0..bytes).map_err(Error::io("read", path))?;
    Ok(Some(contents.to_vec()))
}

fn write(storage: &dyn Storage, path: &Path, contents: &[u8]) -> Result<()> {
    let file = storage.open(path, Access::Create).map_err(Error::io("create", path))?;
    file.write_at(0, &[IoSlice::new(contents)]).map_err(Error::io("write", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// The directory that a path's last name is in.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::recording::{Call, Recording};
    use crate::storage::{DiskStorage, MemoryStorage};

    fn path() -> &'static Path {
        Path::new("checkpoint")
    }

    #[test]
    fn a_file_is_created_replaced_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("checkpoint");
        let storage = DiskStorage::new();
        assert_eq!(read(&storage, &path, 100).unwrap(), None);
        for contents in [&b"0\n1\n"[..], b"", b"0\n2\n"] {
            replace(&storage, &path, contents).unwrap();
            assert_eq!(read(&storage, &path, 100).unwrap().unwrap(), contents);
        }
        assert_eq!(storage.list(root.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_file_over_the_limit_is_invalid_and_names_both_sizes() {
        let storage = MemoryStorage::new();
        replace(&storage, path(), b"12345").unwrap();
        assert!(read(&storage, path(), 5).unwrap().is_some());
        let error = read(&storage, path(), 4).unwrap_err();
        assert!(matches!(error, Error::InvalidFile { .. }));
        assert!(error.to_string().contains("5 bytes") && error.to_string().contains('4'), "{error}");
    }

    #[test]
    fn the_left_over_of_a_crash_is_neither_read_nor_in_the_way() {
        let storage = MemoryStorage::new();
        let left = storage.open(Path::new("checkpoint.tmp"), Access::Create).unwrap();
        left.write_at(0, &[IoSlice::new(b"half a checkpoint, longer than the next")]).unwrap();
        assert_eq!(read(&storage, path(), 100).unwrap(), None);
        replace(&storage, path(), b"whole").unwrap();
        assert_eq!(read(&storage, path(), 100).unwrap().unwrap(), b"whole");
        assert_eq!(storage.stat(Path::new("checkpoint.tmp")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_order_of_steps_survives_a_crash() {
        let recording = Recording::new(MemoryStorage::new());
        replace(&recording, path(), b"x").unwrap();
        let temporary = Path::new("checkpoint.tmp").to_path_buf();
        let expect = [
            Call::Open(temporary.clone()),
            Call::Write(temporary.clone()),
            Call::Sync(temporary.clone()),
            Call::Close(temporary),
            Call::Rename(path().to_path_buf()),
            Call::SyncDir(".".into()),
        ];
        assert_eq!(recording.calls(), expect);
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_contents_and_nothing_else() {
        let memory = MemoryStorage::with_limit(8);
        replace(&memory, path(), b"old").unwrap();
        assert!(replace(&memory, path(), b"too long").unwrap_err().is_storage_full());
        let recording = Recording::new(memory.clone());
        recording.fail_syncs(true);
        assert!(replace(&recording, path(), b"new").is_err());
        assert_eq!(read(&memory, path(), 100).unwrap().unwrap(), b"old");
        assert_eq!(memory.list(Path::new("")).unwrap().len(), 1);
    }
}
