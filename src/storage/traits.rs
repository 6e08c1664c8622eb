//! The only door to the disk: [`Storage`] is a file system, [`StorageFile`] an open file.
//!
//! Everything above speaks to these two traits, so a test can stand in for the disk: record what is called, fail what
//! it likes, forget what was never synced. What they promise stands with [`Storage`]; it is no more than a POSIX disk
//! promises, and less where disks differ.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use super::slice::Slice;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A new file, to write and read; an error where one exists. Only its owner may read it.
    Create,
    /// An existing file, to write and read.
    Write,
    /// An existing file, to read with positional reads; writing is an error.
    Read,
    /// An existing file that will not change any more, to read through a map where there is one. It may or
    /// may not show what is written to the file all the same. Writing and syncing are `Unsupported`.
    Map,
}

/// What a directory holds under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// A file's length; 0 for anything else.
    pub bytes: u64,
}

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a socket, a device: nothing of ours.
    Other,
}

/// A file system, as far as a log needs one.
///
/// What it promises, and no more:
///
/// - what was written is readable at once through every open file;
/// - it survives a power cut once [`StorageFile::sync_data`] has returned, and not before;
/// - a file's creation, rename or removal survives once [`sync_dir`](Storage::sync_dir) of its directory has returned;
/// - a rename replaces its target atomically;
/// - after a failed sync nobody knows what is on the device: the caller must not sync again and hope.
///
/// Paths are whatever the caller opened the broker with, joined with names; they are never resolved.
///
/// [`DiskStorage`](crate::DiskStorage) and [`MemoryStorage`](crate::MemoryStorage) are the two that exist; a test may
/// wrap either in its own.
///
/// # Examples
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
/// use streamlog::{Access, EntryKind, MemoryStorage, Storage};
///
/// let storage = MemoryStorage::new();
/// let (directory, name) = (Path::new("data"), Path::new("data/file"));
/// storage.create_dir(directory)?;
/// let file = storage.open(name, Access::Create)?;
/// file.allocate(0..4096)?;
/// file.write_at(0, &[IoSlice::new(b"3 apples")])?;
/// file.sync_data()?;
/// storage.sync_dir(directory)?;
///
/// assert_eq!(&file.slice(2..8)?[..], b"apples");
/// assert_eq!(storage.stat(name)?.kind, EntryKind::File);
/// assert_eq!(storage.list(directory)?.len(), 1);
/// assert!(!storage.is_network(directory)?);
/// storage.remove_file(name)?;
/// storage.remove_dir(directory)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Every method passes on what the system says. `NotFound`, `AlreadyExists`, `StorageFull` and `WouldBlock` (a lock
/// that is held) are told apart by the callers; everything else is passed up to the user with operation and path.
/// A call that a signal interrupted is made again by the storage: to the callers `Interrupted` is an error like any other.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods, above")]
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Opens or creates a file; `IsADirectory` or another error where a directory stands. What an open file shows does
    /// not depend on its name any more: it may be renamed, replaced or removed.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>>;

    /// Creates a directory for its owner alone, with its parents. No error where it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// What a directory holds, in no particular order. A link is [`EntryKind::Other`].
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// What stands at a path, or where it leads if it is a link; `NotFound` where nothing does.
    fn stat(&self, path: &Path) -> io::Result<Entry>;

    /// Moves a file, or a directory with its contents, atomically; a file, or an empty directory, at `target` is
    /// replaced by one of its kind.
    fn rename(&self, source: &Path, target: &Path) -> io::Result<()>;

    /// Removes a file. Open handles, maps and slices of it stay valid.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory survive a power cut.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Takes the lock at `path` (a file is made there) for as long as the answer lives, or fails with `WouldBlock`
    /// where another process, or another part of this one, has it. It vanishes with the process.
    fn lock(&self, path: &Path) -> io::Result<StorageLock>;

    /// Whether the path lies on a network file system, where locks and syncs may not mean what they say.
    fn is_network(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Ok(false)
    }
}

/// An open file; see [`Storage`] for what it promises.
///
/// An empty range is read, allocated and zeroed without effect, wherever it lies. One that is reversed, or that no file
/// can have, is `InvalidInput`; so is a read that would copy more than 4 GiB.
///
/// # Errors
///
/// Every method passes on what the system says.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods, above")]
pub trait StorageFile: fmt::Debug + Send + Sync {
    /// Writes all of `parts`, one behind the other, from byte `position` on; the file grows as needed and reads as
    /// zeros where nothing was written. After an error, any part of that range may or may not have been written.
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Reads exactly this range; `UnexpectedEof` where the file ends before.
    fn slice(&self, range: Range<u64>) -> io::Result<Slice>;

    /// The file's length in bytes.
    fn bytes(&self) -> io::Result<u64>;

    /// Cuts the file, or grows it with zeros for which no space is set aside.
    fn set_bytes(&self, bytes: u64) -> io::Result<()>;

    /// Sets space aside for this range, which keeps its contents and reads as zeros where nothing was written; the
    /// file grows to the range's end. `Unsupported` where the file system cannot: then nothing has changed.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;

    /// Writes zeros over this range; the file grows to the range's end.
    fn zero(&self, range: Range<u64>) -> io::Result<()>;

    /// Makes all that was written, and the file's length, survive a power cut. Once this has failed, the file's
    /// contents on the device are unknown.
    fn sync_data(&self) -> io::Result<()>;
}

/// A lock that [`Storage::lock`] gave; dropping it lets go.
#[derive(Debug)]
pub struct StorageLock {
    _guard: Box<dyn fmt::Debug + Send + Sync>,
}

impl StorageLock {
    /// Wraps whatever holds the lock for as long as it lives.
    pub fn new(guard: impl fmt::Debug + Send + Sync + 'static) -> StorageLock {
        StorageLock { _guard: Box::new(guard) }
    }
}
