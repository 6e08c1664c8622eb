//! What is asked of a storage, call by call.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One call of a [`TestDisk`](crate::testing::TestDisk), with the path and the bytes that it concerns.
///
/// # Examples
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
/// use streamlog::testing::{Call, TestDisk};
/// use streamlog::{Access, Storage};
///
/// let disk = TestDisk::new();
/// let file = disk.open(Path::new("sums"), Access::Create)?;
/// file.write_at(0, &[IoSlice::new(b"41")])?;
/// file.sync_data()?;
/// let calls = disk.calls();
/// assert_eq!(calls[1], Call::Write("sums".into(), 0..2));
/// assert_eq!(calls[2].path(), Path::new("sums"));
/// assert_eq!(calls[2].to_string(), "a sync of sums");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// An existing file is opened.
    Open(PathBuf),
    /// Bytes of a file are read.
    Read(PathBuf, Range<u64>),
    /// A file's length is asked for.
    Measure(PathBuf),
    /// A directory's entries are asked for.
    List(PathBuf),
    /// What stands at a path is asked for.
    Stat(PathBuf),
    /// A lock is taken.
    Lock(PathBuf),
    /// A file is created.
    Create(PathBuf),
    /// A directory is created.
    CreateDir(PathBuf),
    /// Bytes are written.
    Write(PathBuf, Range<u64>),
    /// A file is cut, or grown, to this length.
    Resize(PathBuf, u64),
    /// Space is set aside.
    Allocate(PathBuf, Range<u64>),
    /// Zeros are written.
    Zero(PathBuf, Range<u64>),
    /// A file is synced.
    Sync(PathBuf),
    /// A directory is synced.
    SyncDir(PathBuf),
    /// What has the first name gets the second.
    Rename(PathBuf, PathBuf),
    /// A file or an empty directory is removed.
    Remove(PathBuf),
}

impl Call {
    /// The path that it is about; of a rename, the old one.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Call::Open(path)
            | Call::Read(path, _)
            | Call::Measure(path)
            | Call::List(path)
            | Call::Stat(path)
            | Call::Lock(path)
            | Call::Create(path)
            | Call::CreateDir(path)
            | Call::Write(path, _)
            | Call::Resize(path, _)
            | Call::Allocate(path, _)
            | Call::Zero(path, _)
            | Call::Sync(path)
            | Call::SyncDir(path)
            | Call::Rename(path, _)
            | Call::Remove(path) => path,
        }
    }

    /// Whether the path, or either path of a rename, contains `part`.
    pub(super) fn concerns(&self, part: &str) -> bool {
        let has = |path: &Path| path.to_string_lossy().contains(part);
        has(self.path()) || matches!(self, Call::Rename(_, target) if has(target))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Call::Open(_) => "an open of",
            Call::Read(..) => "a read of",
            Call::Measure(_) => "a look at the length of",
            Call::List(_) => "a listing of",
            Call::Stat(_) => "a look at",
            Call::Lock(_) => "a lock of",
            Call::Create(_) => "a creation of",
            Call::CreateDir(_) => "a creation of the directory",
            Call::Write(..) => "a write of",
            Call::Resize(..) => "a resizing of",
            Call::Allocate(..) => "an allocation for",
            Call::Zero(..) => "zeros for",
            Call::Sync(_) => "a sync of",
            Call::SyncDir(_) => "a sync of the directory",
            Call::Rename(..) => "a renaming of",
            Call::Remove(_) => "a removal of",
        };
        write!(f, "{what} {}", self.path().display())?;
        match self {
            Call::Read(_, range)
            | Call::Write(_, range)
            | Call::Allocate(_, range)
            | Call::Zero(_, range) => {
                write!(f, ", bytes {}..{}", range.start, range.end)
            }
            Call::Resize(_, bytes) => write!(f, " to {bytes} bytes"),
            Call::Rename(_, target) => write!(f, " to {}", target.display()),
            _ => Ok(()),
        }
    }
}

/// Kinds of calls that a [`Fault`](crate::testing::Fault) can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Calls {
    /// Every call.
    All,
    /// What changes nothing: opening, reading, listing, looking.
    Reads,
    /// What takes space: creating, writing, resizing, allocating, zeroing.
    Writes,
    /// Syncs of files and directories.
    Syncs,
    /// What changes something or makes a change last: everything but reads, and but what changes nothing because it
    /// is refused or there already.
    Steps,
}

impl Calls {
    pub(super) fn have(self, call: &Call, is_step: bool) -> bool {
        match self {
            Calls::All => true,
            Calls::Reads => matches!(
                call,
                Call::Open(_) | Call::Read(..) | Call::Measure(_) | Call::List(_) | Call::Stat(_)
            ),
            Calls::Writes => {
                is_step
                    && matches!(
                        call,
                        Call::Create(_)
                            | Call::CreateDir(_)
                            | Call::Write(..)
                            | Call::Resize(..)
                            | Call::Allocate(..)
                            | Call::Zero(..)
                    )
            }
            Calls::Syncs => matches!(call, Call::Sync(_) | Call::SyncDir(_)),
            Calls::Steps => is_step,
        }
    }
}
