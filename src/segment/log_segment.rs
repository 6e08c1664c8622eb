//! One segment as its partition sees it: the file, how far it is published, and what finds a batch in it.
//!
//! The segment that is appended to and those that are sealed are the same kind of thing; what differs is the way of
//! reading (by position while the file still grows, through a map afterwards) and where the index is: in memory while it
//! grows and until it is saved, in its files from then on.
//!
//! A roll does not change a segment: it puts a new, sealed one in its place, with the same files. Whoever still holds the
//! old one goes on reading through the old one's handle.
//!
//! Invariants: bytes before the published end are whole batches and never change; the file is never cut below that end;
//! an index entry is believed only when the batch it names agrees.

use std::path::Path;

use super::index::{LargestTimestamp, MemoryIndex};
use super::index_files::{self, SavedEntries};
use super::names::SegmentPaths;
use crate::error::Result;
use crate::offset::Offset;
use crate::storage::{Access, FileHandle, OpenFiles, Storage};
use crate::sync::{Acquire, Arc, ArcSwapOption, AtomicI64, AtomicU64, Mutex, Relaxed, Release, Weak};

/// A largest timestamp that has not been looked up yet.
pub(super) const UNKNOWN: i64 = i64::MIN;
/// The largest timestamp of a segment without any.
pub(super) const NONE: i64 = -1;

/// Where a segment ends: the byte behind its last batch, and the offset behind its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentEnd {
    pub(crate) position: u64,
    pub(crate) offset: Offset,
}

/// A segment; see the [module](self).
#[derive(Debug)]
pub(crate) struct LogSegment {
    pub(super) base: Offset,
    paths: SegmentPaths,
    pub(super) log: FileHandle,
    pub(super) offset_file: FileHandle,
    pub(super) time_file: FileHandle,
    /// The index while it is not, or not wholly, in its files.
    pub(super) index: ArcSwapOption<MemoryIndex>,
    /// How much of `index` the files hold. Its holder alone writes the index files.
    saved: Mutex<SavedEntries>,
    end_position: AtomicU64,
    end_offset: AtomicU64,
    /// Milliseconds; [`NONE`] where no record has a timestamp, [`UNKNOWN`] until it is looked up.
    pub(super) largest_timestamp: AtomicI64,
    /// What it was sealed from: its files are the same, and somebody may still hold it.
    growing: Weak<LogSegment>,
    /// Where the last read ended (delta in the high half, position in the low), because the next often starts there.
    pub(super) last_read: AtomicU64,
}

impl LogSegment {
    /// Opens the files of the segment in `dir` that begins at `base` and ends at `end`; nothing is read yet.
    pub(crate) fn open(
        files: &Arc<OpenFiles>,
        dir: &Path,
        base: Offset,
        end: SegmentEnd,
        access: Access,
    ) -> LogSegment {
        let paths = SegmentPaths::new(dir, base);
        let log = files.handle(paths.log.clone(), access);
        LogSegment::with_file(files, paths, base, end, log)
    }

    /// Creates the empty file of the segment in `dir` that begins at `base`.
    pub(crate) fn create(files: &Arc<OpenFiles>, dir: &Path, base: Offset) -> Result<LogSegment> {
        let paths = SegmentPaths::new(dir, base);
        let log = files.create(paths.log.clone())?;
        let segment =
            LogSegment::with_file(files, paths, base, SegmentEnd { position: 0, offset: base }, log);
        segment.largest_timestamp.store(NONE, Relaxed);
        Ok(segment)
    }

    /// The same segment, sealed: read with `access` from now on.
    pub(crate) fn sealed(&self, files: &Arc<OpenFiles>, access: Access) -> LogSegment {
        let log = files.handle(self.paths.log.clone(), access);
        let sealed = LogSegment::with_file(files, self.paths.clone(), self.base, self.end(), log);
        sealed.index.store(self.index.load_full());
        // Where a save is running, what it writes will be written again: a roll waits for no fsync.
        *sealed.saved.lock() = self.saved.try_lock().map(|saved| *saved).unwrap_or_default();
        sealed.largest_timestamp.store(self.largest_timestamp.load(Relaxed), Relaxed);
        sealed
    }

    /// The same, to be retired together with the one that it was sealed from.
    pub(crate) fn retiring(mut self, growing: &Arc<LogSegment>) -> LogSegment {
        self.growing = Arc::downgrade(growing);
        self
    }

    /// A `.log` file that stands alone, to look into.
    pub(crate) fn open_alone(
        files: &Arc<OpenFiles>,
        log: FileHandle,
        base: Offset,
        end: SegmentEnd,
    ) -> LogSegment {
        let paths = SegmentPaths {
            log: log.path().to_path_buf(),
            offset_index: log.path().with_extension("index"),
            time_index: log.path().with_extension("timeindex"),
        };
        LogSegment::with_file(files, paths, base, end, log)
    }

    fn with_file(
        files: &Arc<OpenFiles>,
        paths: SegmentPaths,
        base: Offset,
        end: SegmentEnd,
        log: FileHandle,
    ) -> LogSegment {
        LogSegment {
            base,
            log,
            offset_file: files.handle(paths.offset_index.clone(), Access::Read),
            time_file: files.handle(paths.time_index.clone(), Access::Read),
            paths,
            index: ArcSwapOption::empty(),
            saved: Mutex::new(SavedEntries::default()),
            end_position: AtomicU64::new(end.position),
            end_offset: AtomicU64::new(end.offset.into()),
            largest_timestamp: AtomicI64::new(UNKNOWN),
            growing: Weak::new(),
            last_read: AtomicU64::new(0),
        }
    }

    /// The offset in the segment's name: no record in it has a lower one.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    pub(crate) fn paths(&self) -> &SegmentPaths {
        &self.paths
    }

    /// The `.log` file.
    pub(crate) fn log(&self) -> &FileHandle {
        &self.log
    }

    /// How far the segment is published. Position and offset are read one after the other.
    pub(crate) fn end(&self) -> SegmentEnd {
        let offset = Offset::try_from(self.end_offset.load(Acquire)).unwrap_or(Offset::MAX);
        SegmentEnd { position: self.end_position.load(Acquire), offset }
    }

    /// Ends the segment at `end`, where an open found that it does.
    pub(crate) fn end_at(&self, end: SegmentEnd) {
        self.end_position.store(end.position, Release);
        self.end_offset.store(end.offset.into(), Release);
    }

    /// Makes what was written up to `end` visible. The writer's alone.
    pub(crate) fn publish(&self, end: SegmentEnd, largest: Option<LargestTimestamp>) {
        self.largest_timestamp.store(largest.map_or(NONE, |largest| largest.timestamp.as_millis()), Relaxed);
        self.end_at(end);
    }

    /// Serves lookups from `index`, of which the files hold nothing that counts.
    pub(crate) fn set_index(&self, index: &Arc<MemoryIndex>) {
        *self.saved.lock() = SavedEntries::default();
        self.index.store(Some(Arc::clone(index)));
    }

    /// Writes what the index files lack, and syncs them. `true`: a file is new, and its directory needs a sync.
    pub(crate) fn save_index(&self, storage: &dyn Storage) -> Result<bool> {
        let mut saved = self.saved.lock();
        match self.index.load_full() {
            Some(index) => index_files::save(storage, &self.paths, &index, &mut saved),
            None => Ok(false),
        }
    }

    /// Closes the files for good, without a sync: their names may be others' from now on.
    pub(crate) fn retire(&self) {
        [&self.log, &self.offset_file, &self.time_file].into_iter().for_each(FileHandle::retire);
        if let Some(growing) = self.growing.upgrade() {
            growing.retire();
        }
    }

    /// Frees the index in memory; lookups use the files from now on. Only after it has been saved, and never while the
    /// segment is appended to.
    pub(crate) fn drop_index(&self) {
        if self.index.swap(None).is_none() {
            // It is in its files already, which readers may have open.
            return;
        }
        // The handles are read through only; a close of them has nothing to fail at.
        let _ = (self.offset_file.close(), self.time_file.close());
    }
}
