//! A disk that can be broken: it tells the page cache from the device, loses power, and fails when told to.
//!
//! What is written is seen at once and is on the device after a sync, as with a real one. Each file has its bytes as
//! the processes see them, its bytes on the device, and the changes in between; each directory has the same of its
//! entries. After a failed sync the changes that it should have written are never written by a later one: the page
//! cache takes them for clean. [`Disk::after`] is the disk that the next process finds.
//!
//! Every call is counted. A plan says at which call the power goes, or which call fails and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use streamlog::{Access, Entry, EntryKind, Slice, Storage, StorageFile, StorageLock};

use super::calls::Call;

/// The unit in which a write tears.
const SECTOR_BYTES: usize = 512;

/// What is left for the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The process died: the page cache stays.
    Kill,
    /// The power went: only what was synced is there.
    PowerCut,
    /// The power went, and of what was not synced an arbitrary part is there: sectors of writes, lengths, and names, each
    /// for itself.
    TornPowerCut(u64),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk is full.
    Full,
    /// The disk does not answer.
    Io,
    /// A write writes its first half, then the disk is full.
    Short,
    /// A write writes all of it, and fails then.
    Late,
}

/// What goes wrong, by the number of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Nothing,
    /// At the change with this number, which is not made, the power goes: every call fails from then on.
    DieAtChange(u64),
    /// The call with this number fails.
    FailOnce(u64, Failure),
    /// Every call that changes something fails from the call with this number on.
    FailFrom(u64, Failure),
    /// Every change of the files whose path contains this fails.
    FailChangesOf(&'static str, Failure),
    /// Every sync of the files whose path contains this fails.
    FailSyncsOf(&'static str),
}

/// The disk; see the [module](self). Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    nodes: Vec<Node>,
    plan: Plan,
    is_down: bool,
    /// Calls so far, reads included.
    calls: u64,
    /// Changes so far.
    changes: u64,
    log: Vec<Call>,
}

#[derive(Clone)]
enum Node {
    Directory(Directory),
    File(File),
}

type Names = BTreeMap<OsString, usize>;

#[derive(Clone, Default)]
struct Directory {
    seen: Names,
    device: Names,
    unsynced: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Link(OsString, usize),
    Unlink(OsString),
    Rename(OsString, OsString, usize),
}

#[derive(Clone, Default)]
struct File {
    seen: Vec<u8>,
    device: Vec<u8>,
    unsynced: Vec<Change>,
    is_locked: bool,
}

#[derive(Clone)]
struct Change {
    what: What,
    /// A sync that should have written it failed.
    is_lost: bool,
}

#[derive(Clone)]
enum What {
    Write(usize, Vec<u8>),
    Resize(usize),
    /// Grows to this length, unless the file is as long.
    Grow(usize),
}

impl Disk {
    pub(crate) fn new() -> Disk {
        let root = Node::Directory(Directory::default());
        Disk::of(State {
            nodes: vec![root],
            plan: Plan::Nothing,
            is_down: false,
            calls: 0,
            changes: 0,
            log: Vec::new(),
        })
    }

    fn of(state: State) -> Disk {
        Disk { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on, this goes wrong.
    pub(crate) fn plan(&self, plan: Plan) {
        self.lock().plan = plan;
    }

    /// Calls and changes so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.calls, state.changes)
    }

    /// Whether the power has gone.
    pub(crate) fn is_down(&self) -> bool {
        self.lock().is_down
    }

    /// The changes and syncs so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    /// The disk as the next process finds it; nothing goes wrong on it.
    pub(crate) fn after(&self, after: After) -> Disk {
        let mut state = self.lock().clone();
        (state.plan, state.is_down, state.calls, state.changes) = (Plan::Nothing, false, 0, 0);
        state.log.clear();
        let mut random =
            fastrand::Rng::with_seed(if let After::TornPowerCut(seed) = after { seed } else { 0 });
        for node in &mut state.nodes {
            match (after, node) {
                (After::Kill, Node::File(file)) => file.is_locked = false,
                (After::Kill, Node::Directory(_)) => {}
                (After::PowerCut, Node::File(file)) => *file = File::of(file.device.clone()),
                (After::PowerCut, Node::Directory(directory)) => {
                    *directory = Directory::of(directory.device.clone());
                }
                (After::TornPowerCut(_), Node::File(file)) => *file = File::of(file.torn(&mut random)),
                (After::TornPowerCut(_), Node::Directory(directory)) => {
                    *directory = Directory::of(directory.torn(&mut random));
                }
            }
        }
        Disk::of(state)
    }

    /// Every file, by path.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let mut files = BTreeMap::new();
        let mut rest = vec![(PathBuf::new(), 0)];
        while let Some((path, node)) = rest.pop() {
            match &state.nodes[node] {
                Node::File(file) => drop(files.insert(path, file.seen.clone())),
                Node::Directory(inner) => {
                    rest.extend(inner.seen.iter().map(|(name, &node)| (path.join(name), node)));
                }
            }
        }
        files
    }

    /// Puts these bytes into a file, durably, or removes it.
    pub(crate) fn put(&self, path: &Path, bytes: Option<&[u8]>) {
        let mut state = self.lock();
        let (parent, name) = state.parent(path).unwrap();
        let node = state.directory(parent).unwrap().seen.get(&name).copied();
        match (node, bytes) {
            (Some(node), Some(bytes)) => *state.file(node) = File::of(bytes.to_vec()),
            (None, Some(bytes)) => {
                state.nodes.push(Node::File(File::of(bytes.to_vec())));
                let node = state.nodes.len() - 1;
                let directory = state.directory(parent).unwrap();
                directory.seen.insert(name.clone(), node);
                directory.device.insert(name, node);
            }
            (_, None) => {
                let directory = state.directory(parent).unwrap();
                directory.seen.remove(&name);
                directory.device.remove(&name);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl State {
    /// Counts a call; an error where the plan says so.
    fn step(&mut self, call: Option<Call>) -> io::Result<()> {
        if self.is_down {
            return Err(error(Failure::Io));
        }
        self.calls += 1;
        let is_change = call.is_some();
        if is_change {
            self.changes += 1;
        }
        let failure = match self.plan {
            Plan::DieAtChange(number) if is_change && self.changes == number => {
                self.is_down = true;
                Some(Failure::Io)
            }
            Plan::FailOnce(number, failure) if self.calls == number => Some(failure),
            Plan::FailFrom(number, failure) if self.calls >= number && is_change => Some(failure),
            Plan::FailChangesOf(part, failure) => match &call {
                Some(
                    Call::Create(path)
                    | Call::Write(path, _)
                    | Call::Resize(path, _)
                    | Call::Allocate(path, _)
                    | Call::Zero(path, _),
                ) if path.to_string_lossy().contains(part) => Some(failure),
                _ => None,
            },
            Plan::FailSyncsOf(part) => match &call {
                Some(Call::Sync(path) | Call::SyncDir(path)) if path.to_string_lossy().contains(part) => {
                    Some(Failure::Io)
                }
                _ => None,
            },
            _ => None,
        };
        match failure {
            Some(failure) => Err(error(failure)),
            None => {
                self.log.extend(call);
                Ok(())
            }
        }
    }

    /// How much of these bytes the call writes that was just refused.
    fn written(&self, bytes: usize) -> usize {
        match self.plan {
            Plan::FailOnce(_, failure) | Plan::FailFrom(_, failure) | Plan::FailChangesOf(_, failure)
                if !self.is_down =>
            {
                match failure {
                    Failure::Short => bytes / 2,
                    Failure::Late => bytes,
                    Failure::Full | Failure::Io => 0,
                }
            }
            _ => 0,
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = 0;
        for name in names(path) {
            match &self.nodes[node] {
                Node::Directory(directory) => {
                    node = *directory.seen.get(name).ok_or(io::ErrorKind::NotFound)?;
                }
                Node::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        Ok(node)
    }

    fn parent(&self, path: &Path) -> io::Result<(usize, OsString)> {
        let name = names(path).next_back().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name.to_os_string()))
    }

    fn directory(&mut self, node: usize) -> io::Result<&mut Directory> {
        match &mut self.nodes[node] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, node: usize) -> &mut File {
        match &mut self.nodes[node] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("a directory was opened as a file"),
        }
    }

    fn link(&mut self, parent: usize, name: OsString, node: Node) -> io::Result<usize> {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.directory(parent)?.change(NameChange::Link(name, node));
        Ok(node)
    }

    fn describe(&self, name: &OsStr, node: usize) -> Entry {
        let (kind, bytes) = match &self.nodes[node] {
            Node::File(file) => (EntryKind::File, file.seen.len() as u64),
            Node::Directory(_) => (EntryKind::Directory, 0),
        };
        Entry { name: name.to_os_string(), kind, bytes }
    }
}

impl Directory {
    fn of(names: Names) -> Directory {
        Directory { seen: names.clone(), device: names, unsynced: Vec::new() }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    /// The entries on the device, with an arbitrary part of the changes: the first so many, or any.
    fn torn(&self, random: &mut fastrand::Rng) -> Names {
        let mut names = self.device.clone();
        let in_order = random.bool();
        let count = random.usize(0..=self.unsynced.len());
        for (number, change) in self.unsynced.iter().enumerate() {
            if if in_order { number < count } else { random.bool() } {
                change.apply(&mut names);
            }
        }
        names
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Link(name, node) => drop(names.insert(name.clone(), *node)),
            NameChange::Unlink(name) => drop(names.remove(name)),
            NameChange::Rename(source, target, node) => {
                names.remove(source);
                names.insert(target.clone(), *node);
            }
        }
    }
}

impl File {
    fn of(bytes: Vec<u8>) -> File {
        File { seen: bytes.clone(), device: bytes, unsynced: Vec::new(), is_locked: false }
    }

    fn change(&mut self, what: What) {
        what.apply(&mut self.seen);
        self.unsynced.push(Change { what, is_lost: false });
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change.what {
                What::Write(position, bytes) if change.is_lost => {
                    What::Grow(position + bytes.len()).apply(&mut self.device);
                }
                what => what.apply(&mut self.device),
            }
        }
    }

    /// The bytes on the device, with an arbitrary part of the changes: of each write some sectors, perhaps none, and of
    /// the lengths any.
    fn torn(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.device.clone();
        let mut lengths = vec![bytes.len()];
        let likely = random.u8(0..=100);
        for change in &self.unsynced {
            match &change.what {
                What::Write(position, written) => {
                    lengths.push(position + written.len());
                    let mut start = 0;
                    while start < written.len() {
                        let place = position + start;
                        let end = written.len().min(start + SECTOR_BYTES - place % SECTOR_BYTES);
                        if random.u8(..100) < likely {
                            What::Write(place, written[start..end].to_vec()).apply(&mut bytes);
                        }
                        start = end;
                    }
                }
                What::Resize(length) => {
                    lengths.push(*length);
                    if random.bool() {
                        What::Resize(*length).apply(&mut bytes);
                    }
                }
                What::Grow(length) => lengths.push(*length),
            }
        }
        if random.bool() {
            bytes.resize(bytes.len().max(lengths[random.usize(..lengths.len())]), 0);
        }
        // A length that was not yet written hides what was.
        if random.u8(..4) == 0 {
            bytes.truncate(self.device.len().max(lengths[random.usize(..lengths.len())]));
        }
        bytes
    }
}

impl What {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            What::Write(position, written) => {
                let end = position + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*position..end].copy_from_slice(written);
            }
            What::Resize(length) => bytes.resize(*length, 0),
            What::Grow(length) if bytes.len() < *length => bytes.resize(*length, 0),
            What::Grow(_) => {}
        }
    }
}

fn error(failure: Failure) -> io::Error {
    match failure {
        Failure::Full | Failure::Short => io::Error::from(io::ErrorKind::StorageFull),
        Failure::Io | Failure::Late => io::Error::from_raw_os_error(5),
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

impl Storage for Disk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.lock();
        if access == Access::Create {
            state.step(Some(Call::Create(path.to_path_buf())))?;
            let (parent, name) = state.parent(path)?;
            if state.directory(parent)?.seen.contains_key(&name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.link(parent, name, Node::File(File::default()))?;
        } else {
            state.step(None)?;
        }
        let node = state.find(path)?;
        match state.nodes[node] {
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Node::File(_) => {
                Ok(Box::new(DiskFile { disk: self.clone(), path: path.to_path_buf(), node, access }))
            }
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step(Some(Call::CreateDir(path.to_path_buf())))?;
        let mut node = 0;
        for name in names(path) {
            let known = state.directory(node)?.seen.get(name).copied();
            node = match known {
                Some(known) => known,
                None => state.link(node, name.to_os_string(), Node::Directory(Directory::default()))?,
            };
        }
        state.directory(node).map(|_| ())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.lock();
        state.step(None)?;
        let node = state.find(directory)?;
        let seen = state.directory(node)?.seen.clone();
        Ok(seen.iter().map(|(name, &node)| state.describe(name, node)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        let mut state = self.lock();
        state.step(None)?;
        let node = state.find(path)?;
        Ok(state.describe(path.file_name().unwrap_or_default(), node))
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step(Some(Call::Rename(source.to_path_buf(), target.to_path_buf())))?;
        let node = state.find(source)?;
        let ((parent, source), (also, target)) = (state.parent(source)?, state.parent(target)?);
        assert_eq!(parent, also, "nothing is moved between directories");
        state.directory(parent)?.change(NameChange::Rename(source, target, node));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.find(path)?;
        state.step(Some(Call::Remove(path.to_path_buf())))?;
        let (parent, name) = state.parent(path)?;
        state.directory(parent)?.change(NameChange::Unlink(name));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.find(path)?;
        if !state.directory(node)?.seen.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.step(Some(Call::Remove(path.to_path_buf())))?;
        let (parent, name) = state.parent(path)?;
        state.directory(parent)?.change(NameChange::Unlink(name));
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step(Some(Call::SyncDir(directory.to_path_buf())))?;
        let node = state.find(directory)?;
        let directory = state.directory(node)?;
        let changes = std::mem::take(&mut directory.unsynced);
        changes.iter().for_each(|change| change.apply(&mut directory.device));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        if let Err(error) = self.stat(path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            self.open(path, Access::Create)?;
        }
        let mut state = Disk::lock(self);
        let node = state.find(path)?;
        if std::mem::replace(&mut state.file(node).is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(StorageLock::new(Held { disk: self.clone(), node }))
    }
}

#[derive(Debug)]
struct Held {
    disk: Disk,
    node: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.lock().file(self.node).is_locked = false;
    }
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    path: PathBuf,
    node: usize,
    access: Access,
}

impl DiskFile {
    fn change(&self, call: Call, what: What) -> io::Result<()> {
        if matches!(self.access, Access::Read | Access::Map) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut state = self.disk.lock();
        let result = state.step(Some(call));
        let file_change = match (&result, what) {
            (Ok(()), what) => what,
            (Err(_), What::Write(position, bytes)) if state.written(bytes.len()) > 0 => {
                What::Write(position, bytes[..state.written(bytes.len())].to_vec())
            }
            (Err(_), _) => return result,
        };
        state.file(self.node).change(file_change);
        result
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

impl StorageFile for DiskFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes = parts.iter().map(|part| &part[..]).collect::<Vec<_>>().concat();
        let range = position..position + bytes.len() as u64;
        self.change(Call::Write(self.path.clone(), range), What::Write(size(position), bytes))
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        let mut state = self.disk.lock();
        state.step(None)?;
        let bytes = state.file(self.node).seen.get(size(range.start)..size(range.end));
        Ok(Slice::from(bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()))
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.step(None)?;
        Ok(state.file(self.node).seen.len() as u64)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.change(Call::Resize(self.path.clone(), bytes), What::Resize(size(bytes)))
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.change(Call::Allocate(self.path.clone(), range.clone()), What::Grow(size(range.end)))
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let zeros = vec![0; size(range.end - range.start)];
        self.change(Call::Zero(self.path.clone(), range.clone()), What::Write(size(range.start), zeros))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.access == Access::Map {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut state = self.disk.lock();
        let result = state.step(Some(Call::Sync(self.path.clone())));
        let file = state.file(self.node);
        match result {
            Ok(()) => file.sync(),
            Err(_) => file.unsynced.iter_mut().for_each(|change| change.is_lost = true),
        }
        result
    }
}
