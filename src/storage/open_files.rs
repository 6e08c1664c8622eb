//! Bounds how many files are open: the least recently used is closed when another one has to be opened.
//!
//! A [`FileHandle`] stands for a file whether or not it is open, and opens it when it is used. Using an open one takes
//! no lock. Closing never breaks a use: a thread holds the open file by reference count until its call is done, so
//! for that long there may be more files open than the bound, one for each thread at most.
//!
//! Syncs. `written` counts what was done to a file, after it was done; `synced` is the value that `written` had before
//! a sync that succeeded began. What was written is on the device when `synced` has reached it, so `sync_data` with
//! nothing to do is two loads, and one that finds another at work waits and takes its result. Syncs of one file go one
//! at a time: the system tells a write-back error to one of two callers only, and the other would take silence for
//! success. Files with unsynced writes are synced before they are closed. A writer that finds, after its write, that
//! its file was closed meanwhile, syncs it itself: the write may have come after that sync, and an error that happens
//! when no file is open may be told to nobody. A failed sync is final for its handle: every later one returns it.
//!
//! Locks, in the order in which they are taken: a handle's `opening` (held while a file is closed to make room and
//! while this one is opened, so its other users wait for the one that opens), then the list's (a few steps) or a
//! handle's `syncing` (held over its fsync alone, and nothing is taken under it).
//!
//! Invariants: `listed` plus `busy` is at most `open_max`; a handle whose file is open is listed, or somebody who counts
//! as busy is about to list or close it. A crash leaves what was not synced in doubt, as ever.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::slice::Slice;
use super::traits::{Access, Storage, StorageFile};
use crate::error::{Error, Result};
use crate::sync::{
    Acquire, Arc, ArcSwapOption, AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, OnceLock, Relaxed,
    Release, SeqCst, fence,
};

/// The open files of one broker.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    storage: Arc<dyn Storage>,
    open_max: usize,
    /// Goes up by two with each opening, which notes it in its handle; a use notes one more, so that it is later than
    /// the last opening and earlier than the next. Uses between two openings are not told apart: that is exact enough
    /// to choose by, and a use of a file that was used already writes to no memory that threads share.
    tick: AtomicU64,
    slots: Mutex<Slots>,
    /// Told when a slot is given back or a file is listed.
    slot_changed: Condvar,
}

#[derive(Debug, Default)]
struct Slots {
    /// The files that are open and may be closed by whoever takes them out of here.
    listed: Vec<Arc<State>>,
    /// How many files are being opened or closed.
    busy: usize,
    /// Whether no file is opened any more.
    is_shut: bool,
}

/// A file, open or not; shared by all threads that use it.
///
/// A file that is written has one handle, because a handle knows only of its own writes. Dropping it closes the file
/// without a sync: whoever drops it wants nothing more of it. The path is kept as it is: a file that is renamed needs
/// a new handle, and one that is removed can be used only for as long as it happens to stay open.
#[derive(Debug)]
pub(crate) struct FileHandle {
    files: Arc<OpenFiles>,
    state: Arc<State>,
}

type OpenFile = Arc<Box<dyn StorageFile>>;

#[derive(Debug)]
struct State {
    path: PathBuf,
    access: Access,
    open: ArcSwapOption<Box<dyn StorageFile>>,
    last_used: AtomicU64,
    /// Held by the thread that opens or closes this file on its users' behalf.
    opening: Mutex<()>,
    /// Whether the file is not opened any more. Changed under `opening`.
    is_retired: AtomicBool,
    written: AtomicU64,
    synced: AtomicU64,
    /// Held over an fsync of this file.
    syncing: Mutex<()>,
    /// Why a sync failed.
    failed: OnceLock<Arc<io::Error>>,
}

impl OpenFiles {
    /// Files of `storage`, of which at most `open_max` (1 at least) are open at one time.
    pub(crate) fn new(storage: Arc<dyn Storage>, open_max: usize) -> Arc<OpenFiles> {
        Arc::new(OpenFiles {
            storage,
            open_max: open_max.max(1),
            tick: AtomicU64::new(0),
            slots: Mutex::default(),
            slot_changed: Condvar::new(),
        })
    }

    /// The storage that the files are in.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// How many files are open, those that are being opened or closed included.
    pub(crate) fn open_count(&self) -> usize {
        let slots = self.slots.lock();
        slots.listed.len() + slots.busy
    }

    /// A handle on an existing file, which is opened when it is first used. `Access::Create` means `Access::Write`
    /// here: a new file comes from [`create`](OpenFiles::create).
    pub(crate) fn handle(self: &Arc<Self>, path: PathBuf, access: Access) -> FileHandle {
        let state = Arc::new(State {
            path,
            access: if access == Access::Create { Access::Write } else { access },
            open: ArcSwapOption::empty(),
            last_used: AtomicU64::new(0),
            opening: Mutex::new(()),
            is_retired: AtomicBool::new(false),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            syncing: Mutex::new(()),
            failed: OnceLock::new(),
        });
        FileHandle { files: Arc::clone(self), state }
    }

    /// Creates a file and a handle on it, to write and read.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], with `AlreadyExists` where there is such a file.
    pub(crate) fn create(self: &Arc<Self>, path: PathBuf) -> Result<FileHandle> {
        let handle = self.handle(path, Access::Write);
        let opening = handle.state.opening.lock();
        handle.open_as(Access::Create, "create", &opening)?;
        drop(opening);
        Ok(handle)
    }

    /// Closes every file, and opens none from now on: another broker may own them. What has been read of them stays valid,
    /// and what was unsynced stays so.
    pub(crate) fn shut(&self) {
        let mut slots = self.slots.lock();
        slots.is_shut = true;
        let listed = std::mem::take(&mut slots.listed);
        drop(slots);
        for state in listed {
            // Without a sync there is nothing that can fail.
            let _ = state.close(false);
        }
    }

    /// Room for one more file, for which the least recently used one is closed if need be.
    fn slot(&self) -> Result<Slot<'_>> {
        let mut slots = self.slots.lock();
        loop {
            if slots.is_shut {
                return Err(Error::Closed);
            }
            if slots.listed.len() + slots.busy < self.open_max {
                slots.busy += 1;
                return Ok(Slot { files: self });
            }
            let oldest =
                slots.listed.iter().enumerate().min_by_key(|(_, state)| state.last_used.load(Relaxed));
            if let Some((index, _)) = oldest {
                let state = slots.listed.swap_remove(index);
                slots.busy += 1;
                let slot = Slot { files: self };
                drop(slots);
                // A failure is remembered in the handle, for those whom it concerns.
                let _ = state.close(true);
                return Ok(slot);
            }
            // All slots are in the hands of threads that open or close a file, which they do without waiting for
            // another slot.
            self.slot_changed.wait(&mut slots);
        }
    }

    /// Takes a file off the list, if it is there, to be closed by the caller.
    fn unlist(&self, state: &Arc<State>) -> Option<Slot<'_>> {
        let mut slots = self.slots.lock();
        let index = slots.listed.iter().position(|listed| Arc::ptr_eq(listed, state))?;
        slots.listed.swap_remove(index);
        slots.busy += 1;
        Some(Slot { files: self })
    }
}

/// The right to have one file open that is not listed; dropping it gives the room back.
#[derive(Debug)]
struct Slot<'files> {
    files: &'files OpenFiles,
}

impl Slot<'_> {
    /// Lists an open file in this slot, or closes it where files have been shut meanwhile.
    fn list(self, state: &Arc<State>) {
        let mut slots = self.files.slots.lock();
        if slots.is_shut {
            drop(slots);
            let _ = state.close(false);
            return;
        }
        slots.listed.push(Arc::clone(state));
        self.give_back(&mut slots);
        drop(slots);
        std::mem::forget(self);
    }

    fn give_back(&self, slots: &mut MutexGuard<'_, Slots>) {
        slots.busy -= 1;
        self.files.slot_changed.notify_one();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut slots = self.files.slots.lock();
        self.give_back(&mut slots);
    }
}

impl FileHandle {
    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.state.path
    }

    /// See [`StorageFile::write_at`].
    pub(crate) fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.change("write", |file| file.write_at(position, parts))
    }

    /// See [`StorageFile::slice`].
    pub(crate) fn slice(&self, range: Range<u64>) -> Result<Slice> {
        self.with("read", |file| file.slice(range))
    }

    /// See [`StorageFile::bytes`].
    pub(crate) fn bytes(&self) -> Result<u64> {
        self.with("measure", |file| file.bytes())
    }

    /// See [`StorageFile::set_bytes`].
    pub(crate) fn set_bytes(&self, bytes: u64) -> Result<()> {
        self.change("resize", |file| file.set_bytes(bytes))
    }

    /// See [`StorageFile::allocate`]; `false` where the file system cannot, and nothing has changed.
    pub(crate) fn allocate(&self, range: Range<u64>) -> Result<bool> {
        match self.change("allocate room in", |file| file.allocate(range)) {
            Ok(()) => Ok(true),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// See [`StorageFile::zero`].
    pub(crate) fn zero(&self, range: Range<u64>) -> Result<()> {
        self.change("zero", |file| file.zero(range))
    }

    /// Makes all that was written through this handle, before this call, survive a power cut; costs nothing where it
    /// does already.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. Once a sync has failed, every later one returns that failure.
    pub(crate) fn sync_data(&self) -> Result<()> {
        let state = &self.state;
        state.check_failed().map_err(Error::io("sync", &state.path))?;
        if !state.is_unsynced() {
            return Ok(());
        }
        self.with("sync", |file| state.sync_through(&***file))
    }

    /// Syncs what is unsynced and closes the file; the next use opens it again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the sync failed, now or before; the file is closed then as well.
    pub(crate) fn close(&self) -> Result<()> {
        // An opening under way in another thread is waited for, so that it is closed too.
        let opening = self.state.opening.lock();
        if let Some(slot) = self.files.unlist(&self.state) {
            let closed = self.state.close(true);
            drop(slot);
            closed.map_err(Error::io("sync", &self.state.path))?;
        }
        drop(opening);
        self.state.check_failed().map_err(Error::io("sync", &self.state.path))
    }

    /// Closes the file without a sync, for good: its name may be another file's from now on. A call that is under way goes on
    /// with the file it has; every later one fails as if there were none.
    pub(crate) fn retire(&self) {
        let opening = self.state.opening.lock();
        self.state.is_retired.store(true, Relaxed);
        if let Some(slot) = self.files.unlist(&self.state) {
            // Without a sync there is nothing that can fail.
            let _ = self.state.close(false);
            drop(slot);
        }
        drop(opening);
    }

    /// Calls `change` on the open file and counts it as written, even if it failed: it may have been done in part.
    /// Only what is not supported at all has changed nothing.
    fn change(
        &self,
        op: &'static str,
        change: impl FnOnce(&dyn StorageFile) -> io::Result<()>,
    ) -> Result<()> {
        self.with(op, |file| {
            let result = change(&***file);
            let changed = !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Unsupported);
            if changed {
                self.state.wrote_through(file);
            }
            result
        })
    }

    /// Calls `use_file` on the open file, which is opened first if need be.
    fn with<T>(&self, op: &'static str, use_file: impl FnOnce(&OpenFile) -> io::Result<T>) -> Result<T> {
        let tick = self.files.tick.load(Relaxed) + 1;
        if self.state.last_used.load(Relaxed) != tick {
            self.state.last_used.store(tick, Relaxed);
        }
        let open = self.state.open.load();
        let result = match open.as_ref() {
            Some(file) => use_file(file),
            None => use_file(&self.open()?),
        };
        result.map_err(Error::io(op, &self.state.path))
    }

    #[cold]
    fn open(&self) -> Result<OpenFile> {
        let opening = self.state.opening.lock();
        match self.state.open.load_full() {
            Some(file) => Ok(file),
            None if self.state.is_retired.load(Relaxed) => {
                Err(Error::io("open", &self.state.path)(io::ErrorKind::NotFound.into()))
            }
            None => self.open_as(self.state.access, "open", &opening),
        }
    }

    fn open_as(&self, access: Access, op: &'static str, _opening: &MutexGuard<'_, ()>) -> Result<OpenFile> {
        let state = &self.state;
        let slot = self.files.slot()?;
        let file = self.files.storage.open(&state.path, access).map_err(Error::io(op, &state.path))?;
        let file = Arc::new(file);
        state.last_used.store(self.files.tick.fetch_add(2, Relaxed) + 2, Relaxed);
        state.open.store(Some(Arc::clone(&file)));
        slot.list(state);
        Ok(file)
    }
}

impl Drop for FileHandle {
    fn drop(&mut self) {
        if let Some(slot) = self.files.unlist(&self.state) {
            // Without a sync there is nothing that can fail.
            let _ = self.state.close(false);
            drop(slot);
        }
    }
}

impl State {
    fn is_unsynced(&self) -> bool {
        // `synced` first: what is written in between makes the answer "unsynced", which is never wrong.
        let synced = self.synced.load(Acquire);
        synced < self.written.load(Acquire)
    }

    /// Counts a change that was made through `file`.
    fn wrote_through(&self, file: &OpenFile) {
        self.written.fetch_add(1, Release);
        // Pairs with the fence in `close`: either this thread sees that its file was closed, or the closing one sees
        // the change and syncs it.
        fence(SeqCst);
        let is_current = self.open.load().as_ref().is_some_and(|open| Arc::ptr_eq(open, file));
        if !is_current {
            // The write has succeeded; a failed sync is remembered and is told to whoever asks for one.
            let _ = self.sync_through(&***file);
        }
    }

    /// Syncs all that was counted as written before, unless that is done already.
    fn sync_through(&self, file: &dyn StorageFile) -> io::Result<()> {
        let _syncing = self.syncing.lock();
        self.check_failed()?;
        if !self.is_unsynced() {
            return Ok(());
        }
        let written = self.written.load(Acquire);
        match file.sync_data() {
            Ok(()) => {
                self.synced.store(written, Release);
                Ok(())
            }
            Err(error) => {
                self.failed.get_or_init(|| Arc::new(error));
                self.check_failed()
            }
        }
    }

    /// Closes the file, synced if `sync` says so. Only for whoever has taken it off the list.
    fn close(&self, sync: bool) -> io::Result<()> {
        let Some(file) = self.open.swap(None) else { return Ok(()) };
        fence(SeqCst);
        if sync && self.is_unsynced() { self.sync_through(&**file) } else { Ok(()) }
    }

    /// The failure of an earlier sync, as often as it is asked for.
    fn check_failed(&self) -> io::Result<()> {
        let Some(error) = self.failed.get() else { return Ok(()) };
        Err(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), Arc::clone(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;
    use crate::storage::recording::{Call, Recording};

    /// An `OpenFiles` over a recorded storage in memory.
    fn setup(open_max: usize) -> (Arc<Recording<MemoryStorage>>, Arc<OpenFiles>) {
        let recording = Arc::new(Recording::new(MemoryStorage::new()));
        let files = OpenFiles::new(Arc::clone(&recording) as Arc<dyn Storage>, open_max);
        (recording, files)
    }

    fn create(files: &Arc<OpenFiles>, name: &str) -> FileHandle {
        files.create(PathBuf::from(name)).unwrap()
    }

    fn write(handle: &FileHandle, bytes: &[u8]) {
        handle.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }

    #[test]
    fn the_bound_is_kept_by_threads_that_use_many_files() {
        const THREADS: u8 = 4;
        let (recording, files) = setup(3);
        let handles: Vec<_> = (0..20).map(|index| create(&files, &index.to_string())).collect();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (files, handles) = (&files, &handles);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread.into());
                    for round in 0..500_u32 {
                        let handle = &handles[random.usize(..handles.len())];
                        let (place, bytes) = (u64::from(thread) * 4, round.to_be_bytes());
                        handle.write_at(place, &[IoSlice::new(&bytes)]).unwrap();
                        assert_eq!(handle.slice(place..place + 4).unwrap()[..], bytes);
                        if random.u8(..8) == 0 {
                            handle.sync_data().unwrap();
                        }
                        if random.u8(..16) == 0 {
                            handle.close().unwrap();
                        }
                        assert!(files.open_count() <= 3);
                    }
                });
            }
        });
        assert!(recording.open_most() <= 3 + usize::from(THREADS), "each thread may still hold one");
        assert!(recording.open() <= 3);
        handles.iter().for_each(|handle| handle.sync_data().unwrap());
        drop(handles);
        assert_eq!((recording.open(), files.open_count()), (0, 0));
    }

    #[test]
    fn the_least_recently_used_is_closed_first() {
        let (recording, files) = setup(2);
        let (a, b) = (create(&files, "a"), create(&files, "b"));
        a.bytes().unwrap();
        let c = create(&files, "c");
        assert_eq!(recording.calls().last(), Some(&Call::Open("c".into())));
        assert!(recording.calls().contains(&Call::Close("b".into())));
        assert!(!recording.calls().contains(&Call::Close("a".into())));
        for handle in [&a, &b, &c] {
            handle.bytes().unwrap();
        }
        assert_eq!(files.open_count(), 2);
    }

    #[test]
    fn what_is_unsynced_is_synced_before_it_is_closed_and_only_then() {
        let (recording, files) = setup(1);
        let a = create(&files, "a");
        write(&a, b"x");
        let b = create(&files, "b");
        let path = || PathBuf::from("a");
        let expect = [
            Call::Open(path()),
            Call::Write(path()),
            Call::Sync(path()),
            Call::Close(path()),
            Call::Open("b".into()),
        ];
        assert_eq!(recording.calls(), expect);
        a.sync_data().unwrap();
        assert_eq!(recording.calls(), expect, "nothing is left to sync, and nothing is opened for it");
        assert_eq!(&a.slice(0..1).unwrap()[..], b"x");
        b.bytes().unwrap();
        assert_eq!(recording.calls().iter().filter(|call| matches!(call, Call::Sync(_))).count(), 1);
    }

    #[test]
    fn a_write_whose_file_is_closed_meanwhile_is_synced_by_its_writer() {
        let (recording, files) = setup(1);
        let a = Arc::new(create(&files, "a"));
        let closing = Arc::clone(&a);
        recording.when(Call::Write("a".into()), move || closing.close().unwrap());
        write(&a, b"x");
        let calls = recording.calls();
        assert_eq!(calls[1..], [Call::Write("a".into()), Call::Sync("a".into()), Call::Close("a".into())]);
        a.sync_data().unwrap();
        assert_eq!(recording.calls(), calls);
    }

    #[test]
    fn a_write_during_a_sync_is_not_taken_for_synced() {
        let (recording, files) = setup(1);
        let a = Arc::new(create(&files, "a"));
        write(&a, b"x");
        let writing = Arc::clone(&a);
        recording.when(Call::Sync("a".into()), move || write(&writing, b"y"));
        let syncs = || recording.calls().iter().filter(|call| matches!(call, Call::Sync(_))).count();
        for expect in [1, 2, 2] {
            a.sync_data().unwrap();
            assert_eq!(syncs(), expect);
        }
    }

    #[test]
    fn a_failed_sync_is_final() {
        let (recording, files) = setup(1);
        let a = create(&files, "a");
        write(&a, b"x");
        recording.fail_syncs(true);
        let first = a.sync_data().unwrap_err();
        assert!(matches!(&first, Error::Io { op: "sync", source, .. } if source.raw_os_error() == Some(5)));
        recording.fail_syncs(false);
        let calls = recording.calls();
        assert_eq!(a.sync_data().unwrap_err().to_string(), first.to_string());
        assert_eq!(recording.calls(), calls, "the device is not asked again");
        assert_eq!(&a.slice(0..1).unwrap()[..], b"x", "reading goes on");
        assert!(a.close().is_err());
        write(&a, b"y");
        assert!(a.sync_data().is_err(), "nor after it was opened again");
    }

    #[test]
    fn a_sync_that_fails_while_room_is_made_is_told_to_the_file_it_concerns() {
        let (recording, files) = setup(1);
        let a = create(&files, "a");
        write(&a, b"x");
        recording.fail_syncs(true);
        let b = create(&files, "b");
        recording.fail_syncs(false);
        b.sync_data().unwrap();
        assert!(a.sync_data().is_err());
    }

    #[test]
    fn a_sync_beside_one_that_fails_fails_too() {
        for _ in 0..20 {
            let (recording, files) = setup(1);
            let a = Arc::new(create(&files, "a"));
            write(&a, b"x");
            recording.fail_syncs(true);
            let beside = Arc::new(Mutex::new(None));
            let (also, thread) = (Arc::clone(&a), Arc::clone(&beside));
            recording.when(Call::Sync("a".into()), move || {
                *thread.lock() = Some(std::thread::spawn(move || also.sync_data().is_err()));
            });
            assert!(a.sync_data().is_err());
            let thread = beside.lock().take().unwrap();
            assert!(thread.join().unwrap());
        }
    }

    #[test]
    fn syncs_of_one_file_go_one_at_a_time() {
        let (recording, files) = setup(1);
        let a = create(&files, "a");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        write(&a, b"x");
                        a.sync_data().unwrap();
                    }
                });
            }
        });
        assert_eq!(recording.syncing_most(), 1);
    }

    #[test]
    fn a_file_is_opened_once_for_all_who_wait_for_it() {
        let (recording, files) = setup(2);
        write(&create(&files, "a"), b"x");
        let a = files.handle(PathBuf::from("a"), Access::Read);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(&a.slice(0..1).unwrap()[..], b"x"));
            }
        });
        let opened = recording.calls().iter().filter(|call| matches!(call, Call::Open(_))).count();
        assert_eq!(opened, 2, "once to create, once to read");
    }

    #[test]
    fn a_failed_opening_gives_its_room_back() {
        let (_, files) = setup(1);
        let missing = files.handle(PathBuf::from("missing"), Access::Read);
        for _ in 0..3 {
            let error = missing.bytes().unwrap_err();
            assert_eq!(error.to_string(), "cannot open missing");
            assert_eq!(files.open_count(), 0);
        }
        let a = create(&files, "a");
        assert_eq!(files.create(a.path().to_path_buf()).unwrap_err().to_string(), "cannot create a");
    }

    #[test]
    fn what_cannot_be_allocated_is_no_failure_and_no_write() {
        let (recording, files) = setup(2);
        let a = create(&files, "a");
        assert!(a.allocate(0..100).unwrap());
        assert_eq!(a.bytes().unwrap(), 100);
        a.zero(100..200).unwrap();
        a.set_bytes(50).unwrap();
        assert_eq!(a.bytes().unwrap(), 50);
        a.sync_data().unwrap();
        // A mapped file stands for a file system that cannot.
        let mapped = files.handle(PathBuf::from("a"), Access::Map);
        assert!(!mapped.allocate(0..100).unwrap());
        let calls = recording.calls();
        mapped.sync_data().unwrap();
        assert_eq!(recording.calls(), calls);
    }

    #[test]
    fn dropping_a_handle_closes_its_file_without_a_sync() {
        let (recording, files) = setup(2);
        let a = create(&files, "a");
        write(&a, b"x");
        drop(a);
        assert_eq!((recording.open(), files.open_count()), (0, 0));
        assert!(!recording.calls().contains(&Call::Sync("a".into())));
    }
}
