//! A storage for tests that notes what is called, counts what is open, and fails syncs when told to.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::slice::Slice;
use super::traits::{Access, Entry, Storage, StorageFile, StorageLock};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Relaxed};

/// A call that changes something, with the path that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Open(PathBuf),
    Close(PathBuf),
    Write(PathBuf),
    Sync(PathBuf),
    Rename(PathBuf),
    SyncDir(PathBuf),
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Debug, Clone)]
pub(crate) struct Recording<S> {
    storage: S,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Notes {
    /// What to do when a call is made, once.
    hook: Mutex<Option<(Call, Hook)>>,
    calls: Mutex<Vec<Call>>,
    fail_syncs: AtomicBool,
    open: AtomicUsize,
    open_most: AtomicUsize,
    syncing: AtomicUsize,
    syncing_most: AtomicUsize,
}

impl<S: Storage> Recording<S> {
    pub(crate) fn new(storage: S) -> Recording<S> {
        Recording { storage, notes: Arc::default() }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.notes.calls.lock().clone()
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        self.notes.fail_syncs.store(fail, Relaxed);
    }

    /// Runs `hook` in the middle of the next such call, before it reaches the storage.
    pub(crate) fn when(&self, call: Call, hook: impl FnOnce() + Send + 'static) {
        *self.notes.hook.lock() = Some((call, Box::new(hook)));
    }

    /// How many files are open, whoever holds them.
    pub(super) fn open(&self) -> usize {
        self.notes.open.load(Relaxed)
    }

    /// The most syncs that were under way at one time, of all files.
    pub(super) fn syncing_most(&self) -> usize {
        self.notes.syncing_most.load(Relaxed)
    }

    /// The most that were open at one time.
    pub(super) fn open_most(&self) -> usize {
        self.notes.open_most.load(Relaxed)
    }
}

impl Notes {
    fn note(&self, call: Call) {
        self.calls.lock().push(call.clone());
        let hook = self.hook.lock().take_if(|(expected, _)| *expected == call);
        if let Some((_, run)) = hook {
            run();
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("calls", &self.calls.lock()).finish_non_exhaustive()
    }
}

impl<S: Storage> Storage for Recording<S> {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let file = self.storage.open(path, access)?;
        self.notes.note(Call::Open(path.to_path_buf()));
        let open = self.notes.open.fetch_add(1, Relaxed) + 1;
        self.notes.open_most.fetch_max(open, Relaxed);
        Ok(Box::new(RecordingFile { file, path: path.to_path_buf(), notes: Arc::clone(&self.notes) }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.storage.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.storage.list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.storage.stat(path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.notes.note(Call::Rename(target.to_path_buf()));
        self.storage.rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.storage.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.storage.remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.notes.note(Call::SyncDir(directory.to_path_buf()));
        self.storage.sync_dir(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        self.storage.lock(path)
    }
}

#[derive(Debug)]
struct RecordingFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    notes: Arc<Notes>,
}

impl RecordingFile {
    fn wrote(&self) {
        self.notes.note(Call::Write(self.path.clone()));
    }
}

impl StorageFile for RecordingFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.wrote();
        self.file.write_at(position, parts)
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        self.file.slice(range)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.wrote();
        self.file.set_bytes(bytes)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.wrote();
        self.file.allocate(range)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.wrote();
        self.file.zero(range)
    }

    fn sync_data(&self) -> io::Result<()> {
        let syncing = self.notes.syncing.fetch_add(1, Relaxed) + 1;
        self.notes.syncing_most.fetch_max(syncing, Relaxed);
        self.notes.note(Call::Sync(self.path.clone()));
        // Gives others the chance to come in between.
        std::thread::yield_now();
        self.notes.syncing.fetch_sub(1, Relaxed);
        if self.notes.fail_syncs.load(Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.sync_data()
    }
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        self.notes.note(Call::Close(self.path.clone()));
        self.notes.open.fetch_sub(1, Relaxed);
    }
}
