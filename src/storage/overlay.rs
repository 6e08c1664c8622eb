//! A storage whose changes stay in memory: what is read comes from the storage below, where nothing is ever changed.
//!
//! A file that is changed keeps its length, and the bytes that differ from those below; a write of what stands there already
//! costs nothing, and neither does a cut. What is renamed leads to where it lies below. So a whole recovery may be run over
//! a directory that another process writes to, or that may not be written to at all.
//!
//! The storage below may change meanwhile. The length of a file stays what it was when it was first opened for writing. What
//! is gone from its end since reads as zeros, as head room that is cut off did. And a directory may have been replaced by
//! another one of its name: a file in it is opened only while the directory's *witness*, a small file that says whose it is,
//! says what it said at first.
//!
//! Bounds: the bytes that differ, by a limit past which a write fails as on a full disk; and a few hundred bytes for each
//! name that is changed, and each directory that was looked into.
//!
//! Locks: the tree's, over looks at names below; then one file's, over reads of it below. A crash leaves nothing.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::extents::Budget;
use super::overlay_file::{Contents, OverlayFile, ReadFile};
use super::slice::Slice;
use super::traits::{Access, Entry, EntryKind, Storage, StorageFile, StorageLock};
use crate::sync::{Arc, Mutex};

/// How much of a witness is read.
const WITNESS_BYTES_MAX: u64 = 4096;

/// What an overlay is told of the files that it will see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverlayPolicy {
    /// The most bytes that may differ.
    pub(crate) limit_bytes: u64,
    /// The name of the file that says whose a directory is, where it has one.
    pub(crate) witness: &'static str,
    /// Files that are written and never read back: of them only the length is kept.
    pub(crate) is_write_only: fn(&Path) -> bool,
}

/// Changes over a storage that stays as it is; see the [module](self).
#[derive(Debug)]
pub(crate) struct Overlay {
    below: Arc<dyn Storage>,
    policy: OverlayPolicy,
    budget: Arc<Budget>,
    tree: Mutex<Tree>,
    /// What the witness of each directory below said at first; nothing where there was none.
    witnesses: Mutex<HashMap<PathBuf, Option<Slice>>>,
}

/// The names that were changed.
#[derive(Debug)]
struct Tree {
    relative: Directory,
    absolute: Directory,
}

/// A directory in which names were changed, or that is not where it is below.
#[derive(Debug)]
struct Directory {
    /// Where it lies below; nothing where it was made here.
    origin: Option<PathBuf>,
    changed: BTreeMap<OsString, Node>,
}

/// What stands under a changed name.
#[derive(Debug)]
enum Node {
    Gone,
    Directory(Directory),
    File(Arc<Contents>),
}

/// Where a path leads.
enum Found<'a> {
    /// To this path below.
    Below(PathBuf),
    Directory(&'a Directory),
    File(&'a Arc<Contents>),
}

impl Overlay {
    /// Over what `below` has now, and will have.
    pub(crate) fn new(below: Arc<dyn Storage>, policy: OverlayPolicy) -> Overlay {
        let root = |path: &str| Directory::at(PathBuf::from(path));
        Overlay {
            below,
            policy,
            budget: Arc::new(Budget::new(policy.limit_bytes)),
            tree: Mutex::new(Tree { relative: root(""), absolute: root("/") }),
            witnesses: Mutex::default(),
        }
    }

    /// Opens a file below, to read, if its directory is still the one that it was.
    fn open_below(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let file = self.below.open(path, Access::Read)?;
        let Some(directory) = path.parent() else { return Ok(file) };
        // The file first: a directory that is another one by then has its own witness before it has any other file.
        let witness = if path.file_name() == Some(OsStr::new(self.policy.witness)) {
            Some(read_small(&*file)?)
        } else {
            match self.below.open(&directory.join(self.policy.witness), Access::Read) {
                Ok(witness) => Some(read_small(&*witness)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            }
        };
        let mut witnesses = self.witnesses.lock();
        match witnesses.get(directory) {
            Some(first) if *first != witness => {
                Err(io::Error::new(io::ErrorKind::NotFound, "its directory was replaced by another one"))
            }
            Some(_) => Ok(file),
            None => {
                witnesses.insert(directory.to_path_buf(), witness);
                Ok(file)
            }
        }
    }

    /// The contents of a file that is there, from now on with a length of its own.
    fn contents(&self, path: &Path) -> io::Result<Arc<Contents>> {
        let origin = match self.tree.lock().find(path)? {
            Found::File(contents) => return Ok(Arc::clone(contents)),
            Found::Directory(_) => return Err(io::ErrorKind::IsADirectory.into()),
            Found::Below(origin) => origin,
        };
        let bytes = self.open_below(&origin)?.bytes()?;
        let mut tree = self.tree.lock();
        let (parent, name) = tree.parent(&*self.below, path)?;
        let contents = || Node::File(self.of_file(Some(origin), path, bytes));
        match parent.changed.entry(name.to_os_string()).or_insert_with(contents) {
            Node::File(contents) => Ok(Arc::clone(contents)),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Node::Gone => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn of_file(&self, origin: Option<PathBuf>, path: &Path, bytes: u64) -> Arc<Contents> {
        Arc::new(Contents::new(origin, bytes, (self.policy.is_write_only)(path)))
    }

    fn file(&self, contents: Arc<Contents>, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let below = contents.origin().map(|origin| self.open_below(origin)).transpose()?;
        Ok(Box::new(OverlayFile::new(below, contents, access, &self.budget)))
    }
}

/// The beginning of a small file; one that is being replaced is the old one or the new one, whole.
fn read_small(file: &dyn StorageFile) -> io::Result<Slice> {
    file.slice(0..file.bytes()?.min(WITNESS_BYTES_MAX))
}

impl Storage for Overlay {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        match access {
            Access::Create => {
                let mut tree = self.tree.lock();
                if tree.kind(&*self.below, path)?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                let contents = self.of_file(None, path, 0);
                let (parent, name) = tree.parent(&*self.below, path)?;
                parent.changed.insert(name.to_os_string(), Node::File(Arc::clone(&contents)));
                drop(tree);
                self.file(contents, access)
            }
            Access::Write => self.file(self.contents(path)?, access),
            Access::Read | Access::Map => {
                let origin = match self.tree.lock().find(path)? {
                    Found::Below(origin) => Ok(origin),
                    Found::File(contents) => Err(Arc::clone(contents)),
                    Found::Directory(_) => return Err(io::ErrorKind::IsADirectory.into()),
                };
                match origin {
                    Ok(origin) => Ok(Box::new(ReadFile::new(self.open_below(&origin)?, access))),
                    Err(contents) => self.file(contents, access),
                }
            }
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let mut made = PathBuf::from(if path.has_root() { "/" } else { "" });
        let mut names = names(path).peekable();
        while let Some(name) = names.next() {
            made.push(name);
            match tree.kind(&*self.below, &made)? {
                Some(EntryKind::Directory) => {}
                Some(_) if names.peek().is_some() => return Err(io::ErrorKind::NotADirectory.into()),
                Some(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let (parent, name) = tree.parent(&*self.below, &made)?;
                    let new = Directory { origin: None, changed: BTreeMap::new() };
                    parent.changed.insert(name.to_os_string(), Node::Directory(new));
                }
            }
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.tree.lock().list(&*self.below, directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.tree.lock().stat(&*self.below, path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let moved = tree.stat(&*self.below, source)?;
        let same_root = source.has_root() == target.has_root();
        if same_root && names(source).eq(names(target)) {
            return Ok(());
        }
        let moves_directory = moved.kind == EntryKind::Directory;
        if moves_directory && same_root && names(target).take(names(source).count()).eq(names(source)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match tree.kind(&*self.below, target)? {
            Some(EntryKind::Directory) if !moves_directory => return Err(io::ErrorKind::IsADirectory.into()),
            Some(EntryKind::Directory) if !tree.list(&*self.below, target)?.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(EntryKind::Directory) | None => {}
            Some(_) if moves_directory => return Err(io::ErrorKind::NotADirectory.into()),
            Some(_) => {}
        }
        // Both parents before anything is moved: nothing can refuse from here on.
        tree.parent(&*self.below, target)?;
        let origin = match tree.find(source)? {
            Found::Below(origin) => Some(origin),
            Found::Directory(_) | Found::File(_) => None,
        };
        let (parent, name) = tree.parent(&*self.below, source)?;
        let node = match origin {
            Some(origin) if moves_directory => Node::Directory(Directory::at(origin)),
            Some(origin) => Node::File(self.of_file(Some(origin), target, moved.bytes)),
            None => parent.changed.remove(name).ok_or(io::ErrorKind::NotFound)?,
        };
        parent.hide(name);
        let (parent, name) = tree.parent(&*self.below, target)?;
        parent.changed.insert(name.to_os_string(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        if tree.stat(&*self.below, path)?.kind == EntryKind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (parent, name) = tree.parent(&*self.below, path)?;
        parent.hide(name);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        if !tree.list(&*self.below, path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = tree.parent(&*self.below, path)?;
        parent.hide(name);
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        match self.tree.lock().stat(&*self.below, directory)?.kind {
            EntryKind::Directory => Ok(()),
            EntryKind::File | EntryKind::Other => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Takes nothing: whoever holds the lock below is not disturbed, and neither is who holds this one.
    fn lock(&self, _: &Path) -> io::Result<StorageLock> {
        Ok(StorageLock::new(()))
    }

    fn is_network(&self, path: &Path) -> io::Result<bool> {
        self.below.is_network(path)
    }
}

impl Tree {
    fn root(&self, path: &Path) -> &Directory {
        if path.has_root() { &self.absolute } else { &self.relative }
    }

    /// Where a path leads, or might lead below; `NotFound` where something here says that it leads nowhere.
    fn find(&self, path: &Path) -> io::Result<Found<'_>> {
        let mut directory = self.root(path);
        let mut names = names(path);
        while let Some(name) = names.next() {
            match directory.changed.get(name) {
                Some(Node::Directory(inner)) => directory = inner,
                Some(Node::File(contents)) if names.next().is_none() => return Ok(Found::File(contents)),
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                Some(Node::Gone) => return Err(io::ErrorKind::NotFound.into()),
                None => {
                    let origin = directory.origin.as_ref().ok_or(io::ErrorKind::NotFound)?;
                    return Ok(Found::Below(names.fold(origin.join(name), |path, name| path.join(name))));
                }
            }
        }
        Ok(Found::Directory(directory))
    }

    fn stat(&self, below: &dyn Storage, path: &Path) -> io::Result<Entry> {
        let name = || names(path).next_back().unwrap_or(path.as_os_str()).to_os_string();
        match self.find(path)? {
            Found::Below(origin) => Ok(Entry { name: name(), ..below.stat(&origin)? }),
            Found::Directory(_) => Ok(Entry { name: name(), kind: EntryKind::Directory, bytes: 0 }),
            Found::File(contents) => Ok(file_entry(&name(), contents)),
        }
    }

    /// What stands at a path, if anything does.
    fn kind(&self, below: &dyn Storage, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.stat(below, path) {
            Ok(entry) => Ok(Some(entry.kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, below: &dyn Storage, path: &Path) -> io::Result<Vec<Entry>> {
        let directory = match self.find(path)? {
            Found::Below(origin) => return below.list(&origin),
            Found::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Found::Directory(directory) => directory,
        };
        let mut entries = match &directory.origin {
            Some(origin) if origin.as_os_str().is_empty() => below.list(Path::new("."))?,
            Some(origin) => below.list(origin)?,
            None => Vec::new(),
        };
        entries.retain(|entry| !directory.changed.contains_key(&entry.name));
        entries.extend(directory.changed.iter().filter_map(|(name, node)| match node {
            Node::Gone => None,
            Node::Directory(_) => Some(Entry { name: name.clone(), kind: EntryKind::Directory, bytes: 0 }),
            Node::File(contents) => Some(file_entry(name, contents)),
        }));
        Ok(entries)
    }

    /// The directory that the last name of `path` is in, to change names in it, and that name.
    fn parent<'path>(
        &mut self,
        below: &dyn Storage,
        path: &'path Path,
    ) -> io::Result<(&mut Directory, &'path OsStr)> {
        let mut parents = names(path);
        let last = parents.next_back().ok_or(io::ErrorKind::IsADirectory)?;
        let root = if path.has_root() { &mut self.absolute } else { &mut self.relative };
        let parent = parents.try_fold(root, |directory, name| {
            if !directory.changed.contains_key(name) {
                let origin = directory.origin.as_ref().ok_or(io::ErrorKind::NotFound)?.join(name);
                if below.stat(&origin)?.kind != EntryKind::Directory {
                    return Err(io::Error::from(io::ErrorKind::NotADirectory));
                }
                directory.changed.insert(name.to_os_string(), Node::Directory(Directory::at(origin)));
            }
            match directory.changed.get_mut(name) {
                Some(Node::Directory(inner)) => Ok(inner),
                Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
                Some(Node::Gone) | None => Err(io::ErrorKind::NotFound.into()),
            }
        })?;
        Ok((parent, last))
    }
}

impl Directory {
    /// The directory that lies here below, with nothing changed.
    fn at(origin: PathBuf) -> Directory {
        Directory { origin: Some(origin), changed: BTreeMap::new() }
    }

    /// Shows nothing under this name any more.
    fn hide(&mut self, name: &OsStr) {
        match self.origin {
            Some(_) => drop(self.changed.insert(name.to_os_string(), Node::Gone)),
            None => drop(self.changed.remove(name)),
        }
    }
}

fn file_entry(name: &OsStr, contents: &Contents) -> Entry {
    Entry { name: name.to_os_string(), kind: EntryKind::File, bytes: contents.bytes() }
}

/// The names on the way to `path`, from its root.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(component.as_os_str()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::storage::MemoryStorage;

    const POLICY: OverlayPolicy = OverlayPolicy {
        limit_bytes: 1 << 30,
        witness: "witness",
        is_write_only: |path| path.extension().is_some_and(|part| part == "aside"),
    };

    fn put(storage: &dyn Storage, path: &str, bytes: &[u8]) -> Box<dyn StorageFile> {
        let path = Path::new(path);
        let file = storage.open(path, Access::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
        file
    }

    fn overlay(below: &MemoryStorage, limit_bytes: u64) -> Overlay {
        Overlay::new(Arc::new(below.clone()), OverlayPolicy { limit_bytes, ..POLICY })
    }

    fn whole(storage: &dyn Storage, path: &Path) -> Vec<u8> {
        let file = storage.open(path, Access::Read).unwrap();
        file.slice(0..file.bytes().unwrap()).unwrap().to_vec()
    }

    /// Every name in a storage, with the bytes of files.
    fn tree(storage: &dyn Storage, root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        for entry in storage.list(root).unwrap() {
            let path = root.join(&entry.name);
            if entry.kind == EntryKind::Directory {
                found.extend(tree(storage, &path));
                found.insert(path, None);
            } else {
                assert_eq!(storage.stat(&path).unwrap(), entry);
                let bytes = whole(storage, &path);
                assert_eq!(bytes.len() as u64, entry.bytes);
                found.insert(path, Some(bytes));
            }
        }
        found
    }

    /// A small tree, the same each time.
    fn prepared() -> MemoryStorage {
        let storage = MemoryStorage::new();
        for directory in ["r/a/inner", "r/b"] {
            storage.create_dir(Path::new(directory)).unwrap();
        }
        for (number, name) in ["r/f", "r/a/f", "r/a/g", "r/a/inner/f", "r/b/g"].into_iter().enumerate() {
            let bytes: Vec<u8> = (0..100 + 30 * u8::try_from(number).unwrap()).collect();
            put(&storage, name, &bytes);
        }
        storage
    }

    /// One random change, the same on any storage in the same state.
    fn change(storage: &dyn Storage, random: &mut fastrand::Rng) -> Result<(), io::ErrorKind> {
        let mut name = || {
            let mut path = PathBuf::from("r");
            for _ in 0..random.usize(1..4) {
                path.push(["a", "b", "f", "g", "inner"][random.usize(..5)]);
            }
            path
        };
        let (path, other) = (name(), name());
        let (position, length) = (random.u64(..300), random.u64(1..80));
        let bytes = vec![random.u8(..3); usize::try_from(length).unwrap()];
        let kind = random.u8(..12);
        let file = |access| storage.open(&path, access).map_err(|error| error.kind());
        let done = match kind {
            0 => storage.rename(&path, &other),
            1 => storage.remove_file(&path),
            2 => storage.remove_dir(&path),
            3 => storage.create_dir(&path),
            4 => return file(Access::Create).map(drop),
            5 => file(Access::Write)?.set_bytes(position),
            6 => file(Access::Write)?.zero(position..position + length),
            7 => file(Access::Write)?.allocate(position..position + length),
            8 => {
                let file = file(Access::Write)?;
                let end = file.bytes().unwrap();
                let range = position.min(end)..(position + length).min(end);
                let same = file.slice(range.clone()).unwrap();
                file.write_at(range.start, &[IoSlice::new(&same)])
            }
            _ => file(Access::Write)?.write_at(position, &[IoSlice::new(&bytes), IoSlice::new(&[7, 7])]),
        };
        done.map_err(|error| error.kind())
    }

    #[test]
    fn random_changes_show_as_on_a_storage_of_its_own_and_leave_the_one_below() {
        for seed in 0..300 {
            let (below, model) = (prepared(), prepared());
            let before = tree(&below, Path::new("r"));
            let over = overlay(&below, 1 << 30);
            let mut random = fastrand::Rng::with_seed(seed);
            for step in 0..40 {
                let mut same = random.clone();
                let expected = change(&model, &mut random);
                // Which of several reasons is told is nobody's concern.
                let found = change(&over, &mut same);
                assert_eq!(
                    found.is_ok(),
                    expected.is_ok(),
                    "seed {seed}, step {step}: {found:?} {expected:?}"
                );
                assert_eq!(
                    tree(&over, Path::new("r")),
                    tree(&model, Path::new("r")),
                    "seed {seed}, step {step}"
                );
            }
            assert_eq!(tree(&below, Path::new("r")), before);
        }
    }

    #[test]
    fn what_stands_there_already_costs_nothing_and_the_rest_has_a_limit() {
        let below = MemoryStorage::new();
        let bytes: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        put(&below, "f", &bytes);
        let over = overlay(&below, 100);
        let file = over.open(Path::new("f"), Access::Write).unwrap();
        file.write_at(0, &[IoSlice::new(&bytes)]).unwrap();
        file.set_bytes(1 << 19).unwrap();
        file.zero((1 << 18)..(1 << 19)).unwrap();
        file.allocate(0..1 << 30).unwrap();
        assert_eq!(over.budget.used_bytes(), 0);
        let mut other = bytes[..1 << 18].to_vec();
        other[1000..1100].fill(255);
        file.write_at(0, &[IoSlice::new(&other)]).unwrap();
        assert_eq!(over.budget.used_bytes(), 100);
        assert_eq!(&file.slice(0..1 << 18).unwrap()[..], &other[..]);
        let refused = file.write_at(5, &[IoSlice::new(&[1])]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        over.remove_file(Path::new("f")).unwrap();
        drop(file);
        assert_eq!(over.budget.used_bytes(), 0, "what is removed is given back");
        assert_eq!(whole(&below, Path::new("f")), bytes);
    }

    #[test]
    fn of_what_is_never_read_back_only_the_length_is_kept() {
        let over = overlay(&MemoryStorage::new(), 10);
        let file = put(&over, "f.aside", &[7; 1000]);
        assert_eq!((file.bytes().unwrap(), over.budget.used_bytes()), (1000, 0));
        assert_eq!(file.slice(0..1).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_file_that_is_open_for_writing_stays_as_long_as_it_was() {
        let below = MemoryStorage::new();
        let file = put(&below, "f", b"batch\0\0\0");
        let over = overlay(&below, 10);
        let seen = over.open(Path::new("f"), Access::Write).unwrap();
        file.set_bytes(5).unwrap();
        assert_eq!(&seen.slice(0..8).unwrap()[..], b"batch\0\0\0", "head room that was cut off");
        file.write_at(5, &[IoSlice::new(b"es and more")]).unwrap();
        assert_eq!(seen.bytes().unwrap(), 8);
        seen.set_bytes(4).unwrap();
        assert_eq!(seen.slice(0..5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(whole(&over, Path::new("f")), b"batc");
        assert_eq!(whole(&below, Path::new("f")), b"batches and more");
    }

    #[test]
    fn a_directory_that_was_replaced_is_not_looked_into() {
        let below = MemoryStorage::new();
        let make = |witness: &[u8]| {
            below.create_dir(Path::new("d")).unwrap();
            put(&below, "d/witness", witness);
            put(&below, "d/f", witness);
        };
        make(b"first");
        let over = overlay(&below, 10);
        let open = |access| over.open(Path::new("d/f"), access);
        let held = open(Access::Read).unwrap();
        below.rename(Path::new("d"), Path::new("aside")).unwrap();
        assert_eq!(open(Access::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
        make(b"second");
        for access in [Access::Read, Access::Map, Access::Write] {
            let error = open(access).unwrap_err();
            assert!(error.to_string().contains("replaced"), "{error}");
        }
        assert_eq!(&held.slice(0..5).unwrap()[..], b"first", "what is open stays what it is");
        assert_eq!(whole(&overlay(&below, 10), Path::new("d/f")), b"second");
    }
}
