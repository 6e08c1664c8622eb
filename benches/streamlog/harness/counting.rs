//! The disk, with a list of the syncs that were asked of it.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use streamlog::{Access, DiskStorage, Entry, Slice, Storage, StorageFile, StorageLock};

/// What was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyncKind {
    File(PathBuf),
    Directory(PathBuf),
    /// A directory, where a name was made since the sync before, of whatever.
    NewName(PathBuf),
}

/// The disk; clones note into one list.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    disk: Arc<DiskStorage>,
    syncs: Arc<Mutex<Vec<SyncKind>>>,
    has_new_name: Arc<AtomicBool>,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    syncs: Arc<Mutex<Vec<SyncKind>>>,
    has_new_name: Arc<AtomicBool>,
}

impl Counting {
    pub(crate) fn new() -> Counting {
        Counting { disk: Arc::new(DiskStorage::new()), syncs: Arc::default(), has_new_name: Arc::default() }
    }

    /// What was synced so far, in order.
    pub(crate) fn syncs(&self) -> Vec<SyncKind> {
        self.syncs.lock().map(|syncs| syncs.clone()).unwrap_or_default()
    }
}

fn note(syncs: &Mutex<Vec<SyncKind>>, sync: SyncKind) {
    if let Ok(mut syncs) = syncs.lock() {
        syncs.push(sync);
    }
}

impl Storage for Counting {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.has_new_name.fetch_or(access == Access::Create, Relaxed);
        let has_new_name = Arc::clone(&self.has_new_name);
        let (file, path, syncs) =
            (self.disk.open(path, access)?, path.to_path_buf(), Arc::clone(&self.syncs));
        Ok(Box::new(CountingFile { file, path, syncs, has_new_name }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.has_new_name.store(true, Relaxed);
        self.disk.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.disk.stat(path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.has_new_name.store(true, Relaxed);
        self.disk.rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let has_new_name = self.has_new_name.swap(false, Relaxed);
        let kind = if has_new_name { SyncKind::NewName } else { SyncKind::Directory };
        note(&self.syncs, kind(directory.to_path_buf()));
        self.disk.sync_dir(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        self.disk.lock(path)
    }
}

impl StorageFile for CountingFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.file.write_at(position, parts)
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        self.file.slice(range)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.file.set_bytes(bytes)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.file.allocate(range)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.file.zero(range)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.has_new_name.store(false, Relaxed);
        note(&self.syncs, SyncKind::File(self.path.clone()));
        self.file.sync_data()
    }
}
