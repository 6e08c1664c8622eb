//! The disk, with a list of the syncs that were asked of it.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use streamlog::{Access, DiskStorage, Entry, Slice, Storage, StorageFile, StorageLock};

/// What was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyncKind {
    File(PathBuf),
    Directory(PathBuf),
}

/// The disk; clones note into one list.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    disk: Arc<DiskStorage>,
    syncs: Arc<Mutex<Vec<SyncKind>>>,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    syncs: Arc<Mutex<Vec<SyncKind>>>,
}

impl Counting {
    pub(crate) fn new() -> Counting {
        Counting { disk: Arc::new(DiskStorage::new()), syncs: Arc::default() }
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
        let (file, path, syncs) =
            (self.disk.open(path, access)?, path.to_path_buf(), Arc::clone(&self.syncs));
        Ok(Box::new(CountingFile { file, path, syncs }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.disk.stat(path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.disk.rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        note(&self.syncs, SyncKind::Directory(directory.to_path_buf()));
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
        note(&self.syncs, SyncKind::File(self.path.clone()));
        self.file.sync_data()
    }
}
