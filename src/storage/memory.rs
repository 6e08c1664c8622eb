//! A file system in this process's memory, with the promises of the disk.
//!
//! Open files survive rename and removal, a creation refuses what exists, a rename takes a directory's contents along,
//! a lock is exclusive. Only durability is missing: a sync does nothing and nothing survives the process.
//!
//! Names are compared as they are given: `.` is skipped and `..` is a name like any other, because the paths of
//! [`Storage`] are never resolved. `/` and the empty path exist from the start.
//!
//! Locks: the tree's, then one file's, each held for a few steps in memory.
//!
//! Invariants: a file's contents live as long as a name or an open file has them; what they take is counted until the
//! last slice of them is gone (see [`extents`](super::extents)).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Component, Path};

use super::bounds;
use super::extents::{Budget, Extents, assemble};
use super::slice::Slice;
use super::traits::{Access, Entry, EntryKind, Storage, StorageFile, StorageLock};
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Relaxed, Release};

/// Files in memory, gone with the last clone, open file and slice.
///
/// Clones share one file system. What counts against the limit are the bytes that were written, until they are
/// overwritten, cut, zeroed or removed and no [`Slice`] has them any more; names, and room that was only allocated,
/// count nothing.
///
/// # Examples
///
/// ```
/// use std::io::{ErrorKind, IoSlice};
/// use std::path::Path;
/// use streamlog::{Access, MemoryStorage, Storage};
///
/// let storage = MemoryStorage::with_limit(8);
/// let file = storage.open(Path::new("a"), Access::Create)?;
/// file.write_at(0, &[IoSlice::new(b"sixteen"), IoSlice::new(b"!")])?;
/// assert_eq!(storage.used_bytes(), 8);
///
/// let refused = file.write_at(8, &[IoSlice::new(b"?")]).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::StorageFull);
/// file.set_bytes(0)?;
/// assert_eq!(storage.used_bytes(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

struct Shared {
    budget: Arc<Budget>,
    tree: Mutex<Tree>,
}

#[derive(Default)]
struct Tree {
    relative: Directory,
    absolute: Directory,
}

type Directory = BTreeMap<OsString, Node>;

enum Node {
    Directory(Directory),
    File(Arc<Contents>),
}

/// What stands behind a file's name, and behind every open file of it.
struct Contents {
    budget: Arc<Budget>,
    extents: Mutex<Extents>,
    /// Whether a [`StorageLock`] on this file lives.
    locked: AtomicBool,
}

impl MemoryStorage {
    /// An empty file system without a limit.
    #[must_use]
    pub fn new() -> MemoryStorage {
        MemoryStorage::with_limit(u64::MAX)
    }

    /// An empty file system that takes at most `bytes` bytes of contents; past that a write fails with `StorageFull`
    /// and changes nothing.
    #[must_use]
    pub fn with_limit(bytes: u64) -> MemoryStorage {
        let budget = Arc::new(Budget::new(bytes));
        MemoryStorage { shared: Arc::new(Shared { budget, tree: Mutex::default() }) }
    }

    /// How much memory is in use for contents, in bytes, that of slices of removed files included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.budget.used_bytes()
    }

    fn new_file(&self) -> Arc<Contents> {
        Arc::new(Contents {
            budget: Arc::clone(&self.shared.budget),
            extents: Mutex::default(),
            locked: AtomicBool::new(false),
        })
    }
}

impl Default for MemoryStorage {
    fn default() -> MemoryStorage {
        MemoryStorage::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("used_bytes", &self.used_bytes())
            .field("limit_bytes", &self.shared.budget.limit_bytes())
            .finish_non_exhaustive()
    }
}

impl Storage for MemoryStorage {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut tree = self.shared.tree.lock();
        let (parent, name) = tree.parent(path)?.ok_or(io::ErrorKind::IsADirectory)?;
        let contents = match (parent.entry(name.to_os_string()), access) {
            (Slot::Occupied(_), Access::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Slot::Occupied(node), _) => node.get().file()?,
            (Slot::Vacant(free), Access::Create) => free.insert(Node::File(self.new_file())).file()?,
            (Slot::Vacant(_), _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemoryFile { contents, access }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.shared.tree.lock();
        let mut directory = tree.root(path);
        let mut names = names(path).peekable();
        while let Some(name) = names.next() {
            let node =
                directory.entry(name.to_os_string()).or_insert_with(|| Node::Directory(BTreeMap::new()));
            directory = match node {
                Node::Directory(inner) => inner,
                Node::File(_) if names.peek().is_some() => return Err(io::ErrorKind::NotADirectory.into()),
                Node::File(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            };
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut tree = self.shared.tree.lock();
        Ok(tree.directory(directory)?.iter().map(|(name, node)| node.describe(name)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        let mut tree = self.shared.tree.lock();
        let Some((parent, name)) = tree.parent(path)? else {
            let name = path.as_os_str().to_os_string();
            return Ok(Entry { name, kind: EntryKind::Directory, bytes: 0 });
        };
        Ok(parent.get(name).ok_or(io::ErrorKind::NotFound)?.describe(name))
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut tree = self.shared.tree.lock();
        let (parent, source_name) = tree.parent(source)?.ok_or(io::ErrorKind::InvalidInput)?;
        let moves_directory = match parent.get(source_name).ok_or(io::ErrorKind::NotFound)? {
            Node::Directory(_) => true,
            Node::File(_) => false,
        };
        let same_root = source.has_root() == target.has_root();
        if same_root && names(source).eq(names(target)) {
            return Ok(());
        }
        let inside = same_root && names(target).take(names(source).count()).eq(names(source));
        if moves_directory && inside {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (parent, target_name) = tree.parent(target)?.ok_or(io::ErrorKind::InvalidInput)?;
        match parent.get(target_name) {
            Some(Node::Directory(_)) if !moves_directory => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::Directory(inner)) if !inner.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(Node::File(_)) if moves_directory => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        // Nothing can refuse from here on.
        let node = tree.parent(source)?.and_then(|(parent, name)| parent.remove(name));
        if let (Some(node), Some((parent, name))) = (node, tree.parent(target)?) {
            parent.insert(name.to_os_string(), node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.shared.tree.lock();
        let (parent, name) = tree.parent(path)?.ok_or(io::ErrorKind::IsADirectory)?;
        parent.get(name).ok_or(io::ErrorKind::NotFound)?.file()?;
        parent.remove(name);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.shared.tree.lock();
        if !tree.directory(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = tree.parent(path)?.ok_or(io::ErrorKind::InvalidInput)?;
        parent.remove(name);
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.shared.tree.lock().directory(directory).map(|_| ())
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        let mut tree = self.shared.tree.lock();
        let (parent, name) = tree.parent(path)?.ok_or(io::ErrorKind::IsADirectory)?;
        let node = parent.entry(name.to_os_string()).or_insert_with(|| Node::File(self.new_file()));
        let contents = node.file()?;
        if contents.locked.swap(true, Acquire) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(StorageLock::new(MemoryLock { contents }))
    }
}

impl Tree {
    fn root(&mut self, path: &Path) -> &mut Directory {
        if path.has_root() { &mut self.absolute } else { &mut self.relative }
    }

    /// The directory at `path`.
    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        names(path).try_fold(self.root(path), |directory, name| match directory.get_mut(name) {
            Some(Node::Directory(inner)) => Ok(inner),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    /// The directory that the last name of `path` is in, and that name; `None` for a root.
    fn parent<'path>(&mut self, path: &'path Path) -> io::Result<Option<(&mut Directory, &'path OsStr)>> {
        let mut parents = names(path);
        let Some(name) = parents.next_back() else { return Ok(None) };
        let parent = parents.try_fold(self.root(path), |directory, name| match directory.get_mut(name) {
            Some(Node::Directory(inner)) => Ok(inner),
            Some(Node::File(_)) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
            None => Err(io::ErrorKind::NotFound.into()),
        })?;
        Ok(Some((parent, name)))
    }
}

impl Node {
    fn file(&self) -> io::Result<Arc<Contents>> {
        match self {
            Node::File(contents) => Ok(Arc::clone(contents)),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn describe(&self, name: &OsStr) -> Entry {
        let (kind, bytes) = match self {
            Node::File(contents) => (EntryKind::File, contents.extents.lock().bytes()),
            Node::Directory(_) => (EntryKind::Directory, 0),
        };
        Entry { name: name.to_os_string(), kind, bytes }
    }
}

/// The names on the way to `path`, from its root.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(component.as_os_str()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

/// An open file.
struct MemoryFile {
    contents: Arc<Contents>,
    access: Access,
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Create | Access::Write => Ok(()),
            Access::Read => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading"))
            }
            Access::Map => Err(io::Error::new(io::ErrorKind::Unsupported, "the file is mapped for reading")),
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile")
            .field("bytes", &self.contents.extents.lock().bytes())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl StorageFile for MemoryFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.check_writable()?;
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        bounds::end_of(position, bytes)?;
        if bytes > 0 {
            let budget = &self.contents.budget;
            let block = budget.block(bytes, parts.iter().map(|part| &part[..]))?;
            self.contents.extents.lock().insert(position, block, budget);
        }
        Ok(())
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        if bounds::length_of(&range)? == 0 {
            return Ok(Slice::default());
        }
        let extents = self.contents.extents.lock();
        bounds::check_inside(&range, extents.bytes())?;
        if let Some(shared) = extents.shared(&range) {
            return Ok(shared);
        }
        let blocks: Vec<_> =
            extents.overlapping(&range).map(|(position, block)| (position, block.clone())).collect();
        drop(extents);
        assemble(&range, &blocks)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.contents.extents.lock().bytes())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        bounds::end_of(bytes, 0)?;
        self.contents.extents.lock().set_bytes(bytes);
        Ok(())
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.check_writable()?;
        if bounds::length_of(&range)? > 0 {
            self.contents.extents.lock().grow_to(range.end);
        }
        Ok(())
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.check_writable()?;
        if bounds::length_of(&range)? > 0 {
            self.contents.extents.lock().zero(range);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.access {
            Access::Map => self.check_writable(),
            Access::Create | Access::Write | Access::Read => Ok(()),
        }
    }
}

/// Holds the lock on a file.
struct MemoryLock {
    contents: Arc<Contents>,
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.contents.locked.load(Relaxed);
        f.debug_struct("MemoryLock").field("locked", &locked).finish_non_exhaustive()
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.contents.locked.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(storage: &MemoryStorage, name: &str, bytes: &[u8]) -> Box<dyn StorageFile> {
        let file = storage.open(Path::new(name), Access::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
        file
    }

    #[test]
    fn a_write_over_the_limit_changes_nothing() {
        let storage = MemoryStorage::with_limit(10);
        let file = create(&storage, "a", b"12345678");
        for (position, bytes) in [(8, &b"abc"[..]), (0, b"abc"), (100, b"abc")] {
            let error = file.write_at(position, &[IoSlice::new(bytes)]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(file.bytes().unwrap(), 8);
        assert_eq!(&file.slice(0..8).unwrap()[..], b"12345678");
        file.write_at(8, &[IoSlice::new(b"90")]).unwrap();
        assert_eq!(storage.used_bytes(), 10);
    }

    #[test]
    fn memory_comes_back_with_the_last_name_handle_and_slice() {
        let storage = MemoryStorage::new();
        let file = create(&storage, "a", &[1; 1000]);
        let slice = file.slice(10..20).unwrap();
        storage.remove_file(Path::new("a")).unwrap();
        assert_eq!(storage.used_bytes(), 1000);
        drop(file);
        assert_eq!(storage.used_bytes(), 1000, "a reader still has a part of it");
        assert_eq!(slice[..], [1; 10]);
        drop(slice);
        assert_eq!(storage.used_bytes(), 0);
    }

    #[test]
    fn room_that_is_only_allocated_takes_no_memory() {
        let storage = MemoryStorage::with_limit(4);
        let file = create(&storage, "a", b"1234");
        file.allocate(0..1 << 20).unwrap();
        file.zero(4..1 << 20).unwrap();
        assert_eq!((file.bytes().unwrap(), storage.used_bytes()), (1 << 20, 4));
        file.zero(0..4).unwrap();
        assert_eq!(storage.used_bytes(), 0);
    }

    #[test]
    fn clones_share_the_files_and_separate_storages_do_not() {
        let storage = MemoryStorage::new();
        create(&storage, "a", b"x");
        assert!(storage.clone().stat(Path::new("a")).is_ok());
        assert!(MemoryStorage::new().stat(Path::new("a")).is_err());
    }

    #[test]
    fn a_name_is_relative_or_absolute_and_never_resolved() {
        let storage = MemoryStorage::new();
        create(&storage, "a", b"x");
        assert!(storage.stat(Path::new("./a")).is_ok());
        assert!(storage.stat(Path::new("/a")).is_err());
        assert!(storage.stat(Path::new("b/../a")).is_err());
        assert_eq!(storage.stat(Path::new("/")).unwrap().kind, EntryKind::Directory);
        assert!(storage.remove_dir(Path::new("/")).is_err());
        storage.create_dir(Path::new("/tmp/x")).unwrap();
        storage.rename(Path::new("a"), Path::new("/tmp/x/a")).unwrap();
        assert_eq!(storage.stat(Path::new("/tmp/x/a")).unwrap().bytes, 1);
    }
}
