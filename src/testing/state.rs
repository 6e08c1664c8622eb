//! What a disk holds and has been asked: files and directories by number, the calls so far, and the faults to come.
//!
//! A file or directory keeps its number whatever its name, so an open file is not disturbed by renames and removals.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::call::Call;
use super::crash::Crash;
use super::directory::{Directory, NameChange};
use super::fault::{Fault, Kind};
use super::file::{File, FileChange};
use crate::{Entry, EntryKind};

/// The directory that relative paths begin at, and the one of absolute paths.
const ROOTS: [(&str, usize); 2] = [("", 0), ("/", 1)];

#[derive(Debug)]
pub(super) struct State {
    nodes: Vec<Node>,
    pub(super) faults: Vec<Fault>,
    pub(super) is_down: bool,
    /// The number of the process that may use it.
    pub(super) process: u64,
    /// Every call so far, and whether it was a step.
    pub(super) calls: Vec<(Call, bool)>,
    pub(super) steps: u64,
}

#[derive(Debug)]
enum Node {
    Directory(Directory),
    File(File),
}

impl State {
    pub(super) fn new() -> State {
        State::of(ROOTS.map(|_| Node::Directory(Directory::default())).into())
    }

    fn of(nodes: Vec<Node>) -> State {
        State { nodes, faults: Vec::new(), is_down: false, process: 0, calls: Vec::new(), steps: 0 }
    }

    /// What the next process finds.
    pub(super) fn after(&self, crash: Crash) -> State {
        let seed = if let Crash::Torn { seed } | Crash::Reordered { seed } = crash { seed } else { 0 };
        let mut random = fastrand::Rng::with_seed(seed);
        let survive = |node: &Node| match node {
            Node::File(file) => Node::File(file.after(crash, &mut random)),
            Node::Directory(directory) => Node::Directory(directory.after(crash, &mut random)),
        };
        State::of(self.nodes.iter().map(survive).collect())
    }

    /// Goes on as the next process finds it.
    pub(super) fn restart(&mut self, crash: Crash) {
        self.nodes = self.after(crash).nodes;
        self.process += 1;
    }

    /// Counts a call, and says what is wrong with it. A step is one that changes something or makes a change last.
    pub(super) fn ask(&mut self, call: Call, is_step: bool) -> Option<Kind> {
        if self.is_down {
            return Some(Kind::PowerCut);
        }
        let number = self.calls.len() as u64 + 1;
        self.steps += u64::from(is_step);
        let kind = self.faults.iter().find_map(|fault| fault.hit(&call, is_step, number, self.steps));
        self.calls.push((call, is_step));
        self.is_down = kind == Some(Kind::PowerCut);
        kind
    }

    /// Counts a call that is made whole or not at all: an error where it is not.
    pub(super) fn pass(&mut self, call: Call, is_step: bool) -> io::Result<()> {
        self.ask(call, is_step).and_then(Kind::error).map_or(Ok(()), Err)
    }

    /// Every file there is, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (PathBuf, &File)> {
        let mut files = Vec::new();
        let mut rest: Vec<_> = ROOTS.iter().map(|&(root, node)| (PathBuf::from(root), node)).collect();
        while let Some((path, node)) = rest.pop() {
            match self.nodes.get(node) {
                Some(Node::File(file)) => files.push((path, file)),
                Some(Node::Directory(inner)) => {
                    rest.extend(inner.seen.iter().map(|(name, &node)| (path.join(name), node)));
                }
                None => {}
            }
        }
        files.into_iter()
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<usize> {
        names(path).try_fold(root(path), |node, name| match self.nodes.get(node) {
            Some(Node::Directory(directory)) => {
                directory.seen.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
            }
            _ => Err(io::ErrorKind::NotADirectory.into()),
        })
    }

    /// The directory that the last name of a path is in, and that name.
    pub(super) fn parent(&self, path: &Path) -> io::Result<(usize, OsString)> {
        let name = names(path).next_back().ok_or(io::ErrorKind::IsADirectory)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        match self.nodes.get(parent) {
            Some(Node::Directory(_)) => Ok((parent, name.to_os_string())),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn directory(&mut self, node: usize) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(node) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&mut self, node: usize) -> io::Result<&mut File> {
        match self.nodes.get_mut(node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// A new, empty file under this name.
    pub(super) fn create(&mut self, parent: usize, name: OsString) -> io::Result<usize> {
        let node = self.add(Node::File(File::default()));
        self.directory(parent)?.change(NameChange::Link(name, node));
        Ok(node)
    }

    /// The directory at a path, created with its parents.
    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut directory = root(path);
        for name in names(path) {
            directory = match self.directory(directory)?.seen.get(name) {
                Some(&known) => known,
                None => {
                    let made = self.add(Node::Directory(Directory::default()));
                    self.directory(directory)?.change(NameChange::Link(name.to_os_string(), made));
                    made
                }
            };
        }
        self.directory(directory).map(drop).map_err(|_| io::ErrorKind::AlreadyExists.into())
    }

    /// Puts a file with these bytes on the device, whatever was there, with the directories above it.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut directory, mut names) = (root(path), names(path).peekable());
        names.peek().ok_or(io::ErrorKind::IsADirectory)?;
        while let Some(name) = names.next() {
            let known = self.directory(directory)?.seen.get(name).copied();
            let is_file = names.peek().is_none();
            let node = match known {
                Some(known) if is_file => {
                    self.file(known)?.put(bytes);
                    known
                }
                Some(known) => self.directory(known).map(|_| known)?,
                None if is_file => self.add(Node::File(File::of(bytes.to_vec()))),
                None => self.add(Node::Directory(Directory::default())),
            };
            self.directory(directory)?.change_for_good(name, Some(node));
            directory = node;
        }
        Ok(())
    }

    /// Takes a file, or a directory with all that is in it, from the device.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let (parent, name) = self.parent(path)?;
        self.directory(parent)?.change_for_good(&name, None);
        Ok(())
    }

    /// Gives what is at `source` the name `target`. The caller has seen that this makes sense.
    pub(super) fn rename(&mut self, source: &Path, target: &Path) -> io::Result<()> {
        let node = self.find(source)?;
        let ((parent, source), (other, target)) = (self.parent(source)?, self.parent(target)?);
        if parent == other {
            self.directory(parent)?.change(NameChange::Rename(source, target, node));
        } else {
            // Two directories have nothing that makes both changes at once.
            self.directory(other)?.change(NameChange::Link(target, node));
            self.directory(parent)?.change(NameChange::Unlink(source));
        }
        Ok(())
    }

    /// Whether what is at `source` may get the name `target`; `Ok(false)` where it has it.
    pub(super) fn can_rename(&mut self, source: &Path, target: &Path) -> io::Result<bool> {
        let node = self.find(source)?;
        let is_directory = self.directory(node).is_ok();
        if self.find(target).is_ok_and(|other| other == node) {
            return Ok(false);
        }
        let same_root = source.has_root() == target.has_root();
        if is_directory && same_root && names(target).take(names(source).count()).eq(names(source)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (parent, name) = self.parent(target)?;
        let Some(&replaced) = self.directory(parent)?.seen.get(&name) else { return Ok(true) };
        match (is_directory, self.directory(replaced).map(|inner| inner.seen.is_empty())) {
            (false, Ok(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (true, Err(_)) => Err(io::ErrorKind::NotADirectory.into()),
            (true, Ok(false)) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            _ => Ok(true),
        }
    }

    /// What a directory shows under `name`.
    pub(super) fn describe(&self, name: &OsStr, node: usize) -> Entry {
        let (kind, bytes) = match self.nodes.get(node) {
            Some(Node::File(file)) => (EntryKind::File, file.seen.len() as u64),
            _ => (EntryKind::Directory, 0),
        };
        Entry { name: name.to_os_string(), kind, bytes }
    }

    /// What the processes see of a file.
    pub(super) fn change(&mut self, node: usize, change: FileChange) -> io::Result<()> {
        self.file(node).map(|file| file.change(change))
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

fn root(path: &Path) -> usize {
    usize::from(path.has_root())
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(component.as_os_str()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::testing::{Crash, TestDisk};
    use crate::{Access, Storage};

    use super::*;

    fn left(disk: &TestDisk) -> BTreeMap<PathBuf, Vec<u8>> {
        disk.after(Crash::PowerCut).files()
    }

    #[test]
    fn what_is_put_is_on_the_device_whatever_was_changed_there_and_not_synced() {
        let path = Path::new("d/file");
        let expected = BTreeMap::from([(path.to_path_buf(), b"new".to_vec())]);
        let changes: [fn(&TestDisk, &Path); 4] = [
            |disk, path| disk.remove_file(path).unwrap(),
            |disk, path| drop((disk.remove_file(path), disk.open(path, Access::Create).unwrap())),
            |disk, path| disk.rename(path, Path::new("d/other")).unwrap(),
            |disk, path| {
                disk.put("d/other", "other").unwrap();
                disk.rename(Path::new("d/other"), path).unwrap();
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let disk = TestDisk::new();
            disk.put(path, "old").unwrap();
            change(&disk, path);
            disk.put(path, "new").unwrap();
            assert_eq!(left(&disk).get(path), expected.get(path), "{number}");
            disk.sync_dir(Path::new("d")).unwrap();
            assert_eq!(left(&disk), disk.files(), "{number}");
            assert_eq!(left(&disk).get(path), expected.get(path), "{number}");
        }
        let disk = TestDisk::new();
        disk.create_dir(Path::new("d")).unwrap();
        disk.put(path, "new").unwrap();
        assert_eq!(left(&disk), expected, "the directory is there as well");
    }

    #[test]
    fn what_is_taken_does_not_come_back_with_a_sync() {
        let disk = TestDisk::new();
        let path = Path::new("file");
        disk.open(path, Access::Create).unwrap();
        disk.take(path).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        assert!(left(&disk).is_empty() && disk.files().is_empty());
        disk.put("old", "1").unwrap();
        disk.rename(Path::new("old"), path).unwrap();
        disk.take(path).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        assert!(left(&disk).is_empty() && disk.files().is_empty());
    }

    #[test]
    fn a_root_is_no_file_and_a_lock_outlives_what_is_put() {
        let disk = TestDisk::new();
        for root in ["", "/", "."] {
            assert_eq!(disk.put(root, "1").unwrap_err().kind(), io::ErrorKind::IsADirectory, "{root:?}");
        }
        let path = Path::new("lock");
        let _held = disk.lock(path).unwrap();
        disk.put(path, "1").unwrap();
        assert_eq!(disk.lock(path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
