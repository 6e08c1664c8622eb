//! The disk itself: a storage in memory that tells the page cache from the device.
//!
//! What is written is seen at once and is on the device after a sync, as with a real disk, and names are on the device after a
//! sync of their directory. Every call is counted and noted, and a fault may hit it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::Call;
use super::crash::Crash;
use super::directory::NameChange;
use super::fault::{Fault, Kind, no_answer};
use super::file::FileChange;
use super::state::State;
use crate::{Access, Entry, Slice, Storage, StorageFile, StorageLock};

/// The longest file that it takes: its bytes are in memory, zeros too.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A disk in memory that can lose its power, fill up, fail and lie. Clones are the same disk.
///
/// It keeps the promises of [`Storage`] and no others: what was not synced is gone after a power cut, or there in part, as
/// [`Crash`] says. It has no clock and no threads, so that what happens on it depends on the calls alone.
///
/// A file may have up to 1 GiB. The disk remembers every call, so its memory grows with them.
///
/// # Examples
///
/// A program that syncs its file and forgets the directory that the file's name is in:
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
/// use streamlog::testing::{Crash, Fault, TestDisk};
/// use streamlog::{Access, Storage};
///
/// let (disk, sums) = (TestDisk::new(), Path::new("results/sums"));
/// disk.create_dir(Path::new("results"))?;
/// disk.sync_dir(Path::new(""))?;
/// let file = disk.open(sums, Access::Create)?;
/// file.write_at(0, &[IoSlice::new(b"41")])?;
/// file.sync_data()?;
///
/// assert!(disk.after(Crash::Kill).files().contains_key(sums));
/// assert!(!disk.after(Crash::PowerCut).files().contains_key(sums));
/// disk.sync_dir(Path::new("results"))?;
/// assert!(disk.after(Crash::PowerCut).files().contains_key(sums));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TestDisk {
    state: Arc<Mutex<State>>,
}

impl TestDisk {
    /// An empty disk on which nothing goes wrong.
    #[must_use]
    pub fn new() -> TestDisk {
        TestDisk::of(State::new())
    }

    fn of(state: State) -> TestDisk {
        TestDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on, this goes wrong as well. Where several faults hit a call, the one that was injected first counts.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// From now on nothing goes wrong. What has is not undone, and power that is gone does not come back.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Whether the power has gone.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Every call so far, in order, those that failed too; until the power went.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().map(|(call, _)| call.clone()).collect()
    }

    /// The steps among the [calls](TestDisk::calls): those that changed something or made a change last.
    #[must_use]
    pub fn steps(&self) -> Vec<Call> {
        self.state().calls.iter().filter(|(_, is_step)| *is_step).map(|(call, _)| call.clone()).collect()
    }

    /// How many [calls](TestDisk::calls) there were: the number of the latest.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.state().calls.len() as u64
    }

    /// How many [steps](TestDisk::steps) there were: the number of the latest.
    #[must_use]
    pub fn step_count(&self) -> u64 {
        self.state().steps
    }

    /// The disk as the next process finds it if this one ended now. It is another disk, on which nothing goes wrong, nothing is
    /// locked, and nothing has been asked; this one stays as it is.
    #[must_use]
    pub fn after(&self, crash: Crash) -> TestDisk {
        TestDisk::of(self.state().after(crash))
    }

    /// Every file with its contents, as a process sees them. No call, and not counted.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().files().map(|(path, file)| (path, file.seen.clone())).collect()
    }

    /// Puts a file with these contents on the device, with the directories above it, in place of one that is there. No call, and not
    /// counted.
    ///
    /// # Errors
    ///
    /// `IsADirectory` where a directory has that name, `NotADirectory` where a file has that of one above it.
    pub fn put(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
        self.state().put(path.as_ref(), contents.as_ref())
    }

    /// Takes a file, or a directory with all that is in it, from the device. No call, and not counted.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is nothing.
    pub fn take(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.state().remove(path.as_ref())
    }

    /// Every call so far, each with what a fault needs to know of it.
    pub(super) fn noted(&self) -> Vec<(Call, bool)> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestDisk {
    fn default() -> TestDisk {
        TestDisk::new()
    }
}

impl fmt::Debug for TestDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("TestDisk")
            .field("is_down", &state.is_down)
            .field("faults", &state.faults)
            .field("steps", &state.steps)
            .finish_non_exhaustive()
    }
}

impl Storage for TestDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        let found = state.find(path);
        let node = if access == Access::Create {
            let parent = state.parent(path);
            let is_step = found.is_err() && parent.is_ok();
            state.pass(Call::Create(path.to_path_buf()), is_step)?;
            if found.is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (parent, name) = parent?;
            state.create(parent, name)?
        } else {
            state.pass(Call::Open(path.to_path_buf()), false)?;
            found?
        };
        state.file(node)?;
        Ok(Box::new(OpenFile { disk: self.clone(), path: path.to_path_buf(), node, access }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let is_new = state.find(path).is_err();
        state.pass(Call::CreateDir(path.to_path_buf()), is_new)?;
        state.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.pass(Call::List(directory.to_path_buf()), false)?;
        let node = state.find(directory)?;
        let seen = state.directory(node)?.seen.clone();
        Ok(seen.iter().map(|(name, &node)| state.describe(name, node)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        let mut state = self.state();
        state.pass(Call::Stat(path.to_path_buf()), false)?;
        let node = state.find(path)?;
        Ok(state.describe(path.file_name().unwrap_or(path.as_os_str()), node))
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut state = self.state();
        let can = state.can_rename(source, target);
        let is_step = matches!(can, Ok(true));
        state.pass(Call::Rename(source.to_path_buf(), target.to_path_buf()), is_step)?;
        if can? { state.rename(source, target) } else { Ok(()) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let found = state.find(path).and_then(|node| state.file(node).map(drop));
        self.unlink(state, path, found)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let found = state.find(path).and_then(|node| match state.directory(node)?.seen.is_empty() {
            true => Ok(()),
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
        });
        self.unlink(state, path, found)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let found = state.find(directory);
        let verdict = state.ask(Call::SyncDir(directory.to_path_buf()), found.is_ok());
        match verdict {
            None => state.directory(found?).map(|directory| directory.sync()),
            Some(Kind::LyingSync) => found.map(drop),
            Some(kind) => Err(kind.error().unwrap_or_else(no_answer)),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        let mut state = self.state();
        let found = state.find(path);
        state.pass(Call::Lock(path.to_path_buf()), found.is_err())?;
        let node = match found {
            Ok(node) => node,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (parent, name) = state.parent(path)?;
                state.create(parent, name)?
            }
            Err(error) => return Err(error),
        };
        if std::mem::replace(&mut state.file(node)?.is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(StorageLock::new(Held { disk: self.clone(), node }))
    }
}

impl TestDisk {
    /// Removes a name, where `found` has nothing against it.
    fn unlink(&self, mut state: MutexGuard<'_, State>, path: &Path, found: io::Result<()>) -> io::Result<()> {
        let call = Call::Remove(path.to_path_buf());
        state.pass(call, found.is_ok())?;
        found?;
        let (parent, name) = state.parent(path)?;
        state.directory(parent)?.change(NameChange::Unlink(name));
        Ok(())
    }
}

#[derive(Debug)]
struct Held {
    disk: TestDisk,
    node: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(file) = self.disk.state().file(self.node) {
            file.is_locked = false;
        }
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: TestDisk,
    /// As it was opened.
    path: PathBuf,
    node: usize,
    access: Access,
}

impl OpenFile {
    fn change(&self, call: Call, change: FileChange) -> io::Result<()> {
        if matches!(self.access, Access::Read | Access::Map) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut state = self.disk.state();
        let Some(kind) = state.ask(call, true) else { return state.change(self.node, change) };
        if let FileChange::Write(position, mut bytes) = change {
            bytes.truncate(kind.written(bytes.len()));
            if !bytes.is_empty() {
                state.change(self.node, FileChange::Write(position, bytes))?;
            }
        }
        Err(kind.error().unwrap_or_else(no_answer))
    }
}

impl StorageFile for OpenFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes = parts.iter().map(|part| &part[..]).collect::<Vec<_>>().concat();
        let range = position..position.saturating_add(bytes.len() as u64);
        let Some((start, _)) = place(&range)? else { return Ok(()) };
        self.change(Call::Write(self.path.clone(), range), FileChange::Write(start, bytes))
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        check(&range)?;
        let mut state = self.disk.state();
        let kind = state.ask(Call::Read(self.path.clone(), range.clone()), false);
        if let Some(error) = kind.and_then(Kind::error) {
            return Err(error);
        }
        if range.is_empty() {
            return Ok(Slice::default());
        }
        let seen = &state.file(self.node)?.seen;
        let bytes = match (usize::try_from(range.start), usize::try_from(range.end)) {
            (Ok(start), Ok(end)) => seen.get(start..end),
            _ => None,
        };
        let mut bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
        if let Some(kind) = kind {
            kind.flip(range.start, &mut bytes);
        }
        Ok(Slice::from(bytes))
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.pass(Call::Measure(self.path.clone()), false)?;
        Ok(state.file(self.node)?.seen.len() as u64)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let length = place(&(0..bytes))?.map_or(0, |(_, end)| end);
        self.change(Call::Resize(self.path.clone(), bytes), FileChange::Resize(length))
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        let Some((_, end)) = place(&range)? else { return Ok(()) };
        self.change(Call::Allocate(self.path.clone(), range), FileChange::Grow(end))
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let Some((start, end)) = place(&range)? else { return Ok(()) };
        self.change(Call::Zero(self.path.clone(), range), FileChange::Write(start, vec![0; end - start]))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.access == Access::Map {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut state = self.disk.state();
        let kind = state.ask(Call::Sync(self.path.clone()), true);
        let file = state.file(self.node)?;
        match kind {
            None => file.sync(),
            Some(Kind::LyingSync) => {}
            Some(kind) => {
                file.fail_sync();
                return Err(kind.error().unwrap_or_else(no_answer));
            }
        }
        Ok(())
    }
}

/// That a file can have such a range.
fn check(range: &Range<u64>) -> io::Result<()> {
    match range.start <= range.end && i64::try_from(range.end).is_ok() {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Where a range that is written begins and ends; `None` where it is empty.
fn place(range: &Range<u64>) -> io::Result<Option<(usize, usize)>> {
    check(range)?;
    if range.is_empty() {
        return Ok(None);
    }
    let fits = |number| usize::try_from(number).ok().filter(|_| number <= FILE_BYTES_MAX);
    match (fits(range.start), fits(range.end)) {
        (Some(start), Some(end)) => Ok(Some((start, end))),
        _ => Err(io::Error::new(io::ErrorKind::StorageFull, "a file of this disk has at most 1 GiB")),
    }
}
