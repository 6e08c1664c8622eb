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

use super::entries::{OffsetEntry, TimeEntry, last_where};
use super::index::{IndexWriter, MemoryIndex};
use super::index_files::{self, SavedEntries, entry_count, read_entry};
use super::names::SegmentPaths;
use super::scan::{DELTA_MAX, Scan, ScannedBatch};
use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::RecordBatch;
use crate::storage::{Access, FileHandle, OpenFiles, Storage};
use crate::sync::{Acquire, Arc, ArcSwapOption, AtomicI64, AtomicU64, Mutex, Relaxed, Release};

/// The most that one read returns, unless a single batch is larger.
const READ_BYTES_MAX: usize = 16 << 20;
/// What a read fetches beyond the bytes that were asked for, to pass over what lies between the index entry and the
/// first wanted batch.
const SKIP_BYTES: usize = 8 << 10;
/// A largest timestamp that has not been looked up yet.
const UNKNOWN: i64 = i64::MIN;

/// Where a segment ends: the byte behind its last batch, and the offset behind its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    pub(crate) position: u64,
    pub(crate) offset: Offset,
}

/// What a walk over a segment found.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The index, complete up to `end`.
    pub(crate) writer: IndexWriter,
    /// Where the walk began.
    pub(crate) start: u64,
    /// Where the good batches end.
    pub(crate) end: SegmentEnd,
    /// How many batches were walked over.
    pub(crate) batches: u64,
    /// The leader epochs on the way, each with the first offset that was seen of it.
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// What is wrong with the batch at `end`, where it is not simply the end.
    pub(crate) bad: Option<Error>,
}

/// A segment; see the [module](self).
#[derive(Debug)]
pub(crate) struct LogSegment {
    base: Offset,
    paths: SegmentPaths,
    log: FileHandle,
    offset_file: FileHandle,
    time_file: FileHandle,
    /// The index while it is not, or not wholly, in its files.
    index: ArcSwapOption<MemoryIndex>,
    /// How much of `index` the files hold. Its holder alone writes the index files.
    saved: Mutex<SavedEntries>,
    end_position: AtomicU64,
    end_offset: AtomicU64,
    /// Milliseconds; −1 where no record has a timestamp, [`UNKNOWN`] until it is looked up.
    largest_timestamp: AtomicI64,
    /// Where the last read ended (delta in the high half, position in the low), because the next often starts there.
    last_read: AtomicU64,
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
        segment.largest_timestamp.store(-1, Relaxed);
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

    /// Makes what was written up to `end` visible. The writer's alone.
    pub(crate) fn publish(&self, end: SegmentEnd, largest: Option<Timestamp>) {
        self.largest_timestamp.store(largest.map_or(-1, Timestamp::as_millis), Relaxed);
        self.end_position.store(end.position, Release);
        self.end_offset.store(end.offset.into(), Release);
    }

    /// Whole batches from the one that holds `from` on, up to those that begin at `upto`, in about `max_bytes`: at
    /// least one batch if there is any. CRCs are checked.
    pub(crate) fn read(&self, from: Offset, upto: Offset, max_bytes: usize) -> Result<Vec<RecordBatch>> {
        for position in self.likely_positions(from) {
            match self.read_at(position, from, upto, max_bytes) {
                Ok(Some(batches)) => return Ok(batches),
                Err(error) if !error.is_corruption() => return Err(error),
                // Either the log is damaged, which the walk from the start will say, or the place was wrong.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(self.read_at(0, from, upto, max_bytes)?.unwrap_or_default())
    }

    /// Where the batch that holds `from` may stand, or one before it: where the last read ended, or what the index says.
    fn likely_positions(&self, from: Offset) -> impl Iterator<Item = u64> {
        let delta = from.delta_from(self.base).unwrap_or(0);
        let last_read = self.last_read.load(Relaxed);
        let hinted = (last_read >> 32 == delta).then_some(last_read & u64::from(u32::MAX));
        hinted
            .into_iter()
            .chain(std::iter::once_with(move || self.indexed_position(delta)))
            .filter(|&at| at > 0)
    }

    /// Reads from a position that may be wrong: `None` where the batch there begins after `from`, though not at the
    /// start of the segment.
    fn read_at(
        &self,
        position: u64,
        from: Offset,
        upto: Offset,
        max_bytes: usize,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let end = self.end().position;
        if position > end {
            return Ok(None);
        }
        let max_bytes = max_bytes.min(READ_BYTES_MAX);
        let mut scan = Scan::new(&self.log, self.base, position..end, self.base)
            .dense()
            .with_window(max_bytes.saturating_add(SKIP_BYTES));
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0;
        let mut is_first = true;
        while let Some(ScannedBatch { position: at, batch }) = scan.next()? {
            if is_first && position > 0 && batch.base_offset() > from {
                return Ok(None);
            }
            is_first = false;
            if batch.last_offset() < from {
                continue;
            }
            let size = batch.bytes().len();
            if batch.base_offset() >= upto || (bytes > 0 && bytes + size > max_bytes) {
                break;
            }
            batch.check_crc().map_err(|source| Error::Corrupt {
                path: self.log.path().to_path_buf(),
                position: at,
                offset: batch.base_offset(),
                source,
            })?;
            bytes += size;
            self.note_read(&batch, at);
            batches.push(batch.starting_at(from));
            if bytes >= max_bytes || !scan.is_buffered() {
                break;
            }
        }
        Ok(Some(batches))
    }

    /// Remembers where a read ended, for the one that goes on there.
    fn note_read(&self, batch: &RecordBatch, position: u64) {
        let delta = batch.next_offset().delta_from(self.base).and_then(|delta| u32::try_from(delta).ok());
        let position = u32::try_from(position + batch.bytes().len() as u64).ok();
        if let (Some(delta), Some(position)) = (delta, position) {
            self.last_read.store((u64::from(delta) << 32) | u64::from(position), Relaxed);
        }
    }

    /// The first record with a timestamp of at least `time`, among those below `upto`.
    pub(crate) fn offset_for_time(
        &self,
        time: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        let floor = self.time_floor(time.as_millis()).unwrap_or(None);
        let delta = floor.map_or(0, |entry| u64::from(entry.delta));
        match self.first_since(self.indexed_position(delta), time, upto) {
            // As for a read: where the index led to a wrong place, walk from the start.
            Err(error) if error.is_corruption() => self.first_since(0, time, upto),
            answer => answer,
        }
    }

    fn first_since(
        &self,
        position: u64,
        time: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        let end = self.end().position;
        let mut scan = Scan::new(&self.log, self.base, position.min(end)..end, self.base);
        while let Some(ScannedBatch { batch, .. }) = scan.next()? {
            if batch.base_offset() >= upto {
                break;
            }
            if batch.max_timestamp() < time || batch.is_control() {
                continue;
            }
            batch.check_crc().map_err(|source| scan.corrupt(source))?;
            let records = batch.records()?;
            if let Some(record) = records.iter().find(|record| record.timestamp() >= time) {
                return Ok((record.offset() < upto).then(|| (record.offset(), record.timestamp())));
            }
        }
        Ok(None)
    }

    /// The largest timestamp in the segment, or `None` where no record has one.
    pub(crate) fn largest_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut millis = self.largest_timestamp.load(Relaxed);
        if millis == UNKNOWN {
            let count = entry_count::<TimeEntry>(&self.time_file)?;
            let last = count.checked_sub(1).map(|last| read_entry::<TimeEntry>(&self.time_file, last));
            millis = last.transpose()?.flatten().map_or(-1, |entry| entry.timestamp);
            self.largest_timestamp.store(millis, Relaxed);
        }
        Ok((millis >= 0).then(|| Timestamp::from_millis(millis)))
    }

    /// The largest timestamp of the first batch, from which the segment's age counts.
    pub(crate) fn first_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut scan = Scan::new(&self.log, self.base, 0..self.end().position, self.base);
        let first = scan.next()?.map(|found| found.batch.max_timestamp());
        Ok(first.filter(|timestamp| timestamp.as_millis() >= 0))
    }

    /// A walk over the whole segment, CRCs checked.
    pub(crate) fn scan(&self) -> Scan<'_> {
        Scan::new(&self.log, self.base, 0..self.end().position, self.base).with_crcs()
    }

    /// Where to start looking for the offset `delta` behind the base: at a batch at or before it, or at the start.
    fn indexed_position(&self, delta: u64) -> u64 {
        let delta = u32::try_from(delta.min(DELTA_MAX)).unwrap_or(u32::MAX);
        // An index that cannot be read costs time, never an answer.
        let entry = self.offset_floor(delta).unwrap_or(None);
        entry.map_or(0, |entry| u64::from(entry.position))
    }

    fn offset_floor(&self, delta: u32) -> Result<Option<OffsetEntry>> {
        if let Some(index) = self.index.load().as_ref() {
            return index.offset_floor(delta);
        }
        let count = entry_count::<OffsetEntry>(&self.offset_file)?;
        last_where(count, |i| read_entry(&self.offset_file, i), |entry: OffsetEntry| entry.delta <= delta)
    }

    fn time_floor(&self, timestamp: i64) -> Result<Option<TimeEntry>> {
        if let Some(index) = self.index.load().as_ref() {
            return index.time_floor(timestamp);
        }
        let count = entry_count::<TimeEntry>(&self.time_file)?;
        last_where(count, |i| read_entry(&self.time_file, i), |entry: TimeEntry| entry.timestamp <= timestamp)
    }

    /// Serves lookups from `index`, of which the files hold nothing that counts.
    pub(crate) fn set_index(&self, index: &Arc<MemoryIndex>) {
        *self.saved.lock() = SavedEntries::default();
        self.index.store(Some(Arc::clone(index)));
    }

    /// Walks over the segment from where its index files can be trusted, making the rest of the index on the way.
    ///
    /// Entries of batches that begin before byte `trusted.position` and end before offset `trusted.offset` are taken from
    /// the files; the last of them is checked against the batch that it names, and where it does not fit, or there is
    /// none, the walk is over everything. A bad batch ends it, and stands in the answer.
    pub(crate) fn walk(&self, trusted: SegmentEnd, crcs: bool, interval_bytes: u32) -> Result<Walk> {
        let delta_max = trusted.offset.delta_from(self.base).unwrap_or(0).min(DELTA_MAX + 1);
        let delta_max = delta_max.checked_sub(1).and_then(|delta| u32::try_from(delta).ok());
        let mut writer = IndexWriter::new(self.base, interval_bytes);
        let last = match delta_max {
            Some(delta_max) => {
                let (offsets, times) = (&self.offset_file, &self.time_file);
                // An index that cannot be read is made again.
                index_files::restore(offsets, times, &mut writer, trusted.position, delta_max).unwrap_or(None)
            }
            None => None,
        };
        let start = last.map_or(0, |entry| u64::from(entry.position));
        let mut scan = Scan::new(&self.log, self.base, start..self.end().position, self.base).dense();
        if crcs {
            scan = scan.with_crcs();
        }
        if let Some(entry) = last {
            let first = scan.peek_next();
            if !first.is_some_and(|first| entry_names(entry, self.base, &first)) {
                let nothing = SegmentEnd { position: 0, offset: self.base };
                return self.walk(nothing, crcs, interval_bytes);
            }
        }
        let (mut batches, mut epochs) = (0, Vec::new());
        let bad = loop {
            match scan.next() {
                Ok(Some(ScannedBatch { position, batch })) => {
                    writer.note(batch.header(), position);
                    batches += 1;
                    if let Some(epoch) = batch.leader_epoch()
                        && epochs.last().is_none_or(|&(last, _)| last != epoch)
                    {
                        epochs.push((epoch, batch.base_offset()));
                    }
                }
                Ok(None) => break None,
                Err(error) if error.is_corruption() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let end = SegmentEnd { position: scan.position(), offset: scan.expected() };
        Ok(Walk { writer, start, end, batches, epochs, bad })
    }

    /// The position of the first batch that ends behind `offset`, or the segment's end.
    pub(crate) fn position_of(&self, offset: Offset) -> Result<u64> {
        let delta = offset.delta_from(self.base).unwrap_or(0);
        let mut scan =
            Scan::new(&self.log, self.base, self.indexed_position(delta)..self.end().position, self.base);
        while let Some(ScannedBatch { position, batch }) = scan.next()? {
            if batch.next_offset() > offset {
                return Ok(position);
            }
        }
        Ok(scan.position())
    }

    /// Writes what the index files lack, and syncs them. `true`: a file is new, and its directory needs a sync.
    pub(crate) fn save_index(&self, storage: &dyn Storage) -> Result<bool> {
        let mut saved = self.saved.lock();
        match self.index.load_full() {
            Some(index) => index_files::save(storage, &self.paths, &index, &mut saved),
            None => Ok(false),
        }
    }

    /// Frees the index in memory; lookups use the files from now on. Only after it has been saved, and never while the
    /// segment is appended to.
    pub(crate) fn drop_index(&self) {
        self.index.store(None);
        // The handles are read through only; a close of them has nothing to fail at.
        let _ = (self.offset_file.close(), self.time_file.close());
    }
}

/// Whether an index entry could have been made for this batch, which stands where the entry says: an entry names the
/// last offset of its append, which may hold more than one batch.
pub(crate) fn entry_names(entry: OffsetEntry, base: Offset, batch: &RecordBatch) -> bool {
    batch.last_offset().delta_from(base).is_some_and(|delta| delta <= u64::from(entry.delta))
}
