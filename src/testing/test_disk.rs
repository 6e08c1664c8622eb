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
    /// The process that this handle belongs to; see [`restart`](TestDisk::restart).
    process: u64,
}

impl TestDisk {
    /// An empty disk on which nothing goes wrong.
    #[must_use]
    pub fn new() -> TestDisk {
        TestDisk::of(State::new())
    }

    fn of(state: State) -> TestDisk {
        TestDisk { state: Arc::new(Mutex::new(state)), process: 0 }
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

    /// Ends the process, and gives the disk to the next one: the same disk, with the calls and the faults that it had. Whatever still
    /// holds the old handle, a clone of it or a file gets `EIO` from each call from now on, as the dead do nothing more.
    ///
    /// For a piece of code that is run by [`EveryCrash`](crate::testing::EveryCrash) and has crashes of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use streamlog::testing::{Crash, TestDisk};
    /// use streamlog::{Access, Storage};
    ///
    /// let (disk, sums) = (TestDisk::new(), Path::new("sums"));
    /// disk.open(sums, Access::Create)?;
    /// let next = disk.restart(Crash::PowerCut);
    /// assert!(disk.stat(sums).is_err() && next.stat(sums).is_err());
    /// next.open(sums, Access::Create)?;
    /// assert_eq!(next.step_count(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn restart(&self, crash: Crash) -> TestDisk {
        let mut state = self.state();
        state.restart(crash);
        TestDisk { state: Arc::clone(&self.state), process: state.process }
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

    /// The state, for a call of this process; an error once it is over.
    fn living(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.process == self.process { Ok(state) } else { Err(no_answer()) }
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
        let mut state = self.living()?;
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
        let mut state = self.living()?;
        let is_new = state.find(path).is_err();
        state.pass(Call::CreateDir(path.to_path_buf()), is_new)?;
        state.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.living()?;
        state.pass(Call::List(directory.to_path_buf()), false)?;
        let node = state.find(directory)?;
        let seen = state.directory(node)?.seen.clone();
        Ok(seen.iter().map(|(name, &node)| state.describe(name, node)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        let mut state = self.living()?;
        state.pass(Call::Stat(path.to_path_buf()), false)?;
        let node = state.find(path)?;
        Ok(state.describe(path.file_name().unwrap_or(path.as_os_str()), node))
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut state = self.living()?;
        let can = state.can_rename(source, target);
        let is_step = matches!(can, Ok(true));
        state.pass(Call::Rename(source.to_path_buf(), target.to_path_buf()), is_step)?;
        if can? { state.rename(source, target) } else { Ok(()) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.living()?;
        let found = state.find(path).and_then(|node| state.file(node).map(drop));
        self.unlink(state, path, found)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.living()?;
        let found = state.find(path).and_then(|node| match state.directory(node)?.seen.is_empty() {
            true => Ok(()),
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
        });
        self.unlink(state, path, found)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.living()?;
        let found = state.find(directory);
        let verdict = state.ask(Call::SyncDir(directory.to_path_buf()), found.is_ok());
        match verdict {
            None => state.directory(found?).map(|directory| directory.sync()),
            Some(Kind::LyingSync) => found.map(drop),
            Some(kind) => Err(kind.error().unwrap_or_else(no_answer)),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        let mut state = self.living()?;
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
        if let Ok(mut state) = self.disk.living()
            && let Ok(file) = state.file(self.node)
        {
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
        let mut state = self.disk.living()?;
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
        let mut state = self.disk.living()?;
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
        let mut state = self.disk.living()?;
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
        let mut state = self.disk.living()?;
        let kind = state.ask(Call::Sync(self.path.clone()), true);
        let file = state.file(self.node)?;
        match kind {
            None => file.sync(),
            Some(Kind::LyingSync) => {}
            Some(kind) => {
                if kind.loses_unsynced() {
                    file.fail_sync();
                }
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::testing::Calls;

    fn path() -> &'static Path {
        Path::new("d/file")
    }

    /// A disk with an open file that has `old` on the device, and is named there.
    fn begin() -> (TestDisk, Box<dyn StorageFile>) {
        let disk = TestDisk::new();
        disk.put(path(), "old").unwrap();
        let file = disk.open(path(), Access::Write).unwrap();
        (disk, file)
    }

    fn write(file: &dyn StorageFile, position: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_at(position, &[IoSlice::new(bytes)])
    }

    /// What the next process finds in the file.
    fn left(disk: &TestDisk, crash: Crash) -> Vec<u8> {
        disk.after(crash).files().remove(path()).unwrap()
    }

    /// Every disk that so many seeds leave.
    fn leavings(disk: &TestDisk, crash: fn(u64) -> Crash) -> Vec<BTreeMap<PathBuf, Vec<u8>>> {
        (0..300).map(|seed| disk.after(crash(seed)).files()).collect()
    }

    fn torn(seed: u64) -> Crash {
        Crash::Torn { seed }
    }

    fn reordered(seed: u64) -> Crash {
        Crash::Reordered { seed }
    }

    #[test]
    fn a_kill_keeps_what_was_written_and_a_power_cut_what_was_synced() {
        let (disk, file) = begin();
        write(&*file, 0, b"new").unwrap();
        assert_eq!((left(&disk, Crash::Kill), left(&disk, Crash::PowerCut)), (b"new".into(), b"old".into()));
        file.sync_data().unwrap();
        for crash in [Crash::Kill, Crash::PowerCut, torn(1), reordered(1)] {
            assert_eq!(left(&disk, crash), b"new", "{crash:?}");
        }
        assert_eq!(left(&disk.after(Crash::PowerCut), Crash::PowerCut), b"new");
    }

    #[test]
    fn a_page_cache_that_outlives_its_process_still_goes_with_the_power() {
        let (disk, file) = begin();
        write(&*file, 0, b"new").unwrap();
        assert_eq!(left(&disk.after(Crash::Kill), Crash::PowerCut), b"old");
    }

    #[test]
    fn a_name_survives_once_its_directory_is_synced() {
        let disk = TestDisk::new();
        let (directory, other) = (Path::new("d"), Path::new("d/other"));
        disk.create_dir(directory).unwrap();
        let file = disk.open(path(), Access::Create).unwrap();
        write(&*file, 0, b"new").unwrap();
        file.sync_data().unwrap();
        let names = |crash| disk.after(crash).files().into_keys().collect::<Vec<_>>();
        disk.sync_dir(directory).unwrap();
        assert!(names(Crash::PowerCut).is_empty(), "the directory has no name");
        disk.sync_dir(Path::new("")).unwrap();
        assert_eq!(names(Crash::PowerCut), [path()]);
        disk.rename(path(), other).unwrap();
        assert_eq!((names(Crash::PowerCut), names(Crash::Kill)), (vec![path().into()], vec![other.into()]));
        disk.sync_dir(directory).unwrap();
        disk.remove_file(other).unwrap();
        assert_eq!((names(Crash::PowerCut), names(Crash::Kill)), (vec![other.into()], vec![]));
    }

    #[test]
    fn a_rename_is_made_whole_or_not_at_all() {
        let (disk, _file) = begin();
        disk.put("d/new", "new").unwrap();
        disk.rename(Path::new("d/new"), path()).unwrap();
        for crash in [torn, reordered] {
            let found = leavings(&disk, crash);
            assert!(found.iter().all(|files| files.contains_key(path())));
            assert!(found.iter().any(|files| files[path()] == b"old" && files.len() == 2));
            assert!(found.iter().any(|files| files[path()] == b"new" && files.len() == 1));
        }
    }

    #[test]
    fn a_torn_write_ends_at_a_sector_and_has_all_that_was_written_before_it() {
        let (disk, file) = begin();
        write(&*file, 100, &[1; 1000]).unwrap();
        write(&*file, 1100, &[2; 1000]).unwrap();
        let mut lengths: Vec<usize> = leavings(&disk, torn).iter().map(|files| files[path()].len()).collect();
        for files in leavings(&disk, torn) {
            let bytes = &files[path()];
            assert_eq!(bytes[..3], *b"old");
            let is_whole = |at: usize| bytes[at] == if at < 1100 { 1 } else { 2 };
            assert!((100..bytes.len()).all(is_whole));
        }
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, [3, 512, 1024, 1100, 1536, 2048, 2100]);
    }

    #[test]
    fn a_reordered_disk_has_any_sectors_and_any_length() {
        let (disk, file) = begin();
        write(&*file, 0, &[1; 512]).unwrap();
        write(&*file, 512, &[2; 512]).unwrap();
        let found = leavings(&disk, reordered);
        let is = |want: &dyn Fn(&[u8]) -> bool| found.iter().any(|files| want(&files[path()]));
        assert!(is(&|bytes| bytes == b"old"), "nothing");
        assert!(is(&|bytes| bytes.len() == 1024 && bytes[0] == 1 && bytes[512] == 2), "all");
        assert!(
            is(&|bytes| bytes.len() == 1024 && bytes[..3] == *b"old" && bytes[512] == 2),
            "the second alone"
        );
        assert!(is(&|bytes| bytes.len() == 1024 && bytes[600..].iter().all(|&byte| byte == 0)), "the length");
        assert!(is(&|bytes| bytes.len() == 512 && bytes[0] == 1), "the first alone");
    }

    #[test]
    fn a_seed_leaves_the_same_each_time() {
        let (disk, file) = begin();
        (0..20).for_each(|at| write(&*file, at * 700, &[7; 900]).unwrap());
        for crash in [torn, reordered] {
            assert_eq!(leavings(&disk, crash), leavings(&disk, crash));
            let distinct: std::collections::BTreeSet<_> = leavings(&disk, crash).into_iter().collect();
            assert!(distinct.len() > 20, "{}", distinct.len());
        }
    }

    #[test]
    fn what_a_failed_sync_was_to_write_is_never_written_by_another() {
        let (disk, file) = begin();
        write(&*file, 0, b"new").unwrap();
        disk.inject(Fault::io().on(Calls::Syncs).at_call(disk.call_count() + 1));
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        assert_eq!((left(&disk, Crash::Kill), left(&disk, Crash::PowerCut)), (b"new".into(), b"old".into()));
        let next = disk.after(Crash::Kill);
        next.open(path(), Access::Write).unwrap().sync_data().unwrap();
        assert_eq!(left(&next, Crash::PowerCut), b"old", "not by the next process either");
        write(&*file, 0, b"New").unwrap();
        file.sync_data().unwrap();
        assert_eq!(left(&disk, Crash::PowerCut), b"New", "what is written again is");
    }

    #[test]
    fn a_sync_that_was_not_made_loses_nothing() {
        for fault in [Fault::power_cut(), Fault::interrupted()] {
            let (disk, file) = begin();
            write(&*file, 0, b"new").unwrap();
            let first = disk.call_count() + 1;
            disk.inject(fault.clone().on(Calls::Syncs).at_call(first));
            assert!(file.sync_data().is_err());
            let next = disk.after(Crash::Kill);
            next.open(path(), Access::Write).unwrap().sync_data().unwrap();
            assert_eq!(left(&next, Crash::PowerCut), b"new", "{fault}");
        }
        let (disk, file) = begin();
        (0..40).for_each(|at| write(&*file, at, b"n").unwrap());
        disk.inject(Fault::power_cut());
        assert!(file.sync_data().is_err() && file.sync_data().is_err());
        let is_prefix =
            |bytes: &[u8]| !bytes.iter().skip_while(|&&byte| byte == b'n').any(|&byte| byte == b'n');
        assert!(leavings(&disk, torn).iter().all(|files| is_prefix(&files[path()])));
    }

    #[test]
    fn a_lying_sync_writes_nothing_and_an_honest_one_makes_up_for_it() {
        let (disk, file) = begin();
        disk.inject(Fault::lying_sync().of("file"));
        write(&*file, 0, b"new").unwrap();
        file.sync_data().unwrap();
        assert_eq!(left(&disk, Crash::PowerCut), b"old");
        disk.heal();
        file.sync_data().unwrap();
        assert_eq!(left(&disk, Crash::PowerCut), b"new");
        disk.inject(Fault::lying_sync());
        disk.remove_file(path()).unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        assert_eq!(left(&disk, Crash::PowerCut), b"new");
    }

    #[test]
    fn every_kind_of_fault_leaves_of_a_write_what_it_says() {
        for (fault, kind, found) in [
            (Fault::full(), Some(ErrorKind::StorageFull), &b"old"[..]),
            (Fault::io(), None, b"old"),
            (Fault::short_write(), Some(ErrorKind::StorageFull), b"oab"),
            (Fault::late_write(), None, b"oabcd"),
            (Fault::interrupted(), Some(ErrorKind::Interrupted), b"old"),
            (Fault::power_cut(), None, b"old"),
        ] {
            let (disk, file) = begin();
            disk.inject(fault.clone());
            let error = write(&*file, 1, b"abcd").unwrap_err();
            assert_eq!(kind.is_none(), error.raw_os_error() == Some(5), "{fault}: {error}");
            assert!(kind.is_none_or(|kind| kind == error.kind()), "{fault}: {error}");
            assert_eq!(left(&disk, Crash::Kill), found, "{fault}");
            assert_eq!(disk.is_down(), fault == Fault::power_cut());
        }
    }

    #[test]
    fn a_fault_hits_what_it_says_and_nothing_else() {
        let hits = |fault: Fault| -> Vec<usize> {
            let (disk, file) = begin();
            disk.inject(fault);
            let results = [
                write(&*file, 0, b"x").err(),
                file.slice(0..1).err(),
                file.sync_data().err(),
                disk.sync_dir(Path::new("d")).err(),
                disk.remove_file(Path::new("d/none"))
                    .err()
                    .filter(|error| error.kind() != ErrorKind::NotFound),
                disk.rename(path(), Path::new("d/other")).err(),
                disk.stat(Path::new("d")).err(),
            ];
            results.iter().enumerate().filter_map(|(at, error)| error.as_ref().map(|_| at)).collect()
        };
        // The file was opened by the first call.
        assert_eq!(hits(Fault::io()), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(hits(Fault::full()), [0]);
        assert_eq!(hits(Fault::io().on(Calls::Reads)), [1, 6]);
        assert_eq!(hits(Fault::io().on(Calls::Syncs)), [2, 3]);
        assert_eq!(hits(Fault::io().on(Calls::Steps)), [0, 2, 3, 5]);
        assert_eq!(hits(Fault::io().of("file")), [0, 1, 2, 5]);
        assert_eq!(hits(Fault::io().of("other")), [5], "either name of a rename");
        assert_eq!(hits(Fault::io().at_call(3)), [1]);
        assert_eq!(hits(Fault::io().from_call(6)), [4, 5, 6]);
        assert_eq!(hits(Fault::io().at_step(3)), [3]);
        assert_eq!(hits(Fault::io().from_step(3)), [3, 4, 5, 6]);
        assert_eq!(hits(Fault::power_cut().at_step(2)), [2, 3, 4, 5, 6], "power does not come back");
        assert_eq!(hits(Fault::lying_sync()), [0; 0]);
    }

    #[test]
    fn flipped_bits_are_read_and_not_stored() {
        let (disk, file) = begin();
        disk.inject(Fault::flipped_bits(2, 0xff).of("file"));
        assert_eq!(file.slice(0..3).unwrap()[..], [b'o', b'l', !b'd']);
        assert_eq!(file.slice(0..2).unwrap()[..], *b"ol");
        disk.heal();
        assert_eq!(file.slice(0..3).unwrap()[..], *b"old");
        disk.inject(Fault::flipped_bit(9));
        let read = file.slice(0..3).unwrap();
        let flipped: u32 = read.iter().zip(b"old").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((flipped, &file.slice(0..3).unwrap()), (1, &read));
    }

    #[test]
    fn every_call_is_noted_and_what_changes_nothing_is_no_step() {
        let (disk, file) = begin();
        file.sync_data().unwrap();
        file.bytes().unwrap();
        write(&*file, 5, b"").unwrap();
        disk.create_dir(Path::new("d")).unwrap();
        assert!(disk.remove_dir(Path::new("d")).is_err());
        disk.inject(Fault::full());
        assert!(file.allocate(0..10).is_err());
        let file = path().to_path_buf();
        let calls = [
            Call::Open(file.clone()),
            Call::Sync(file.clone()),
            Call::Measure(file.clone()),
            Call::CreateDir("d".into()),
            Call::Remove("d".into()),
            Call::Allocate(file.clone(), 0..10),
        ];
        assert_eq!(disk.calls(), calls);
        assert_eq!(disk.steps(), [Call::Sync(file.clone()), Call::Allocate(file, 0..10)]);
        assert_eq!((disk.call_count(), disk.step_count()), (6, 2));
        assert_eq!(disk.after(Crash::Kill).call_count(), 0);
    }

    #[test]
    fn what_is_put_is_on_the_device_and_what_is_taken_is_not() {
        let disk = TestDisk::new();
        disk.put("/a/b/c", [1, 2]).unwrap();
        disk.put("/a/b/c", [3]).unwrap();
        disk.put("a", []).unwrap();
        let files = disk.after(Crash::PowerCut).files();
        assert_eq!(files, BTreeMap::from([("/a/b/c".into(), vec![3]), ("a".into(), vec![])]));
        assert_eq!(disk.put("/a/b", []).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(disk.put("a/b", []).unwrap_err().kind(), ErrorKind::NotADirectory);
        assert_eq!(disk.take("b").unwrap_err().kind(), ErrorKind::NotFound);
        disk.take("/a/b").unwrap();
        assert_eq!(disk.after(Crash::PowerCut).files().len(), 1);
        assert_eq!(disk.call_count(), 0);
    }

    #[test]
    fn a_file_that_memory_cannot_hold_is_refused() {
        let (_, file) = begin();
        for refusal in [file.set_bytes(1 << 40), file.allocate(0..1 << 40), file.zero(1 << 40..1 << 41)] {
            assert_eq!(refusal.unwrap_err().kind(), ErrorKind::StorageFull);
        }
    }

    #[test]
    fn a_process_that_is_over_does_nothing_more() {
        let (disk, file) = begin();
        let old = disk.lock(Path::new("d/lock")).unwrap();
        write(&*file, 0, b"new").unwrap();
        disk.inject(Fault::full().of("file").at_step(4));
        let next = disk.restart(Crash::Kill);
        assert!(
            write(&*file, 0, b"???").is_err()
                && file.sync_data().is_err()
                && disk.clone().list(path()).is_err()
        );
        let lock = next.lock(Path::new("d/lock")).unwrap();
        drop((old, file, disk));
        assert_eq!(next.lock(Path::new("d/lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(lock);
        assert_eq!((left(&next, Crash::Kill), next.step_count()), (b"new".into(), 2));
        let file = next.open(path(), Access::Write).unwrap();
        file.sync_data().unwrap();
        assert!(write(&*file, 0, b"New").is_err(), "the faults stay");
        assert_eq!(left(&next.restart(Crash::PowerCut), Crash::PowerCut), b"new");
    }

    #[test]
    fn a_file_moves_between_directories() {
        let (disk, _) = begin();
        disk.create_dir(Path::new("e")).unwrap();
        disk.rename(path(), Path::new("e/file")).unwrap();
        assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), [Path::new("e/file")]);
    }
}
