//! What a broker asked of its storage, call by call.

use std::ops::Range;
use std::path::PathBuf;

/// One call that changes something, or makes a change survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Create(PathBuf),
    CreateDir(PathBuf),
    Write(PathBuf, Range<u64>),
    Resize(PathBuf, u64),
    Allocate(PathBuf, Range<u64>),
    Zero(PathBuf, Range<u64>),
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}
