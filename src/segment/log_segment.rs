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
use super::index::{IndexWriter, LargestTimestamp, MemoryIndex};
use super::index_files::{self, SavedEntries, entry_count, read_entry};
use super::names::SegmentPaths;
use super::scan::{DELTA_MAX, Scan, ScannedBatch};
use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::{BatchHeader, RecordBatch};
use crate::storage::{Access, FileHandle, OpenFiles, Storage};
use crate::sync::{Acquire, Arc, ArcSwapOption, AtomicI64, AtomicU64, Mutex, Relaxed, Release};

/// The most that one read returns, unless a single batch is larger.
const READ_BYTES_MAX: usize = 16 << 20;
/// What a read fetches beyond the bytes that were asked for, to pass over what lies between the index entry and the
/// first wanted batch.
const SKIP_BYTES: usize = 8 << 10;
/// A largest timestamp that has not been looked up yet.
const UNKNOWN: i64 = i64::MIN;
/// The largest timestamp of a segment without any.
const NONE: i64 = -1;

/// Where a segment ends: the byte behind its last batch, and the offset behind its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    pub(crate) position: u64,
    pub(crate) offset: Offset,
}

/// A byte where a batch may stand, with the delta of its last offset where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    position: u64,
    delta: Option<u32>,
}

impl Place {
    const START: Place = Place { position: 0, delta: None };
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
    /// Milliseconds; [`NONE`] where no record has a timestamp, [`UNKNOWN`] until it is looked up.
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

    /// Whole batches from the one that holds `from` on, up to those that begin at `upto`, in about `max_bytes`: at
    /// least one batch if there is any. CRCs are checked.
    pub(crate) fn read(&self, from: Offset, upto: Offset, max_bytes: usize) -> Result<Vec<RecordBatch>> {
        for place in self.likely_places(from) {
            match self.read_at(place, from, upto, max_bytes) {
                Ok(Some(batches)) => return Ok(batches),
                Err(error) if !error.is_corruption() => return Err(error),
                // Either the log is damaged, which the walk from the start will say, or the place was wrong.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(self.read_at(Place::START, from, upto, max_bytes)?.unwrap_or_default())
    }

    /// Where the batch that holds `from` may stand, or one before it: where the last read ended, or what the index says.
    fn likely_places(&self, from: Offset) -> impl Iterator<Item = Place> {
        let delta = from.delta_from(self.base).unwrap_or(0);
        let last_read = self.last_read.load(Relaxed);
        let position = last_read & u64::from(u32::MAX);
        let hinted = (last_read >> 32 == delta).then_some(Place { position, delta: None });
        let indexed = std::iter::once_with(move || self.indexed_place(delta));
        hinted.into_iter().chain(indexed).filter(|place| place.position > 0)
    }

    /// Reads from a place that may be wrong: `None` where the batch there is not the one that the index named, or begins
    /// after `from` though not at the start of the segment.
    fn read_at(
        &self,
        place: Place,
        from: Offset,
        upto: Offset,
        max_bytes: usize,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let end = self.end().position;
        let max_bytes = max_bytes.min(READ_BYTES_MAX);
        let mut scan = Scan::new(&self.log, self.base, place.position.min(end)..end, self.base)
            .dense()
            .with_window(max_bytes.saturating_add(SKIP_BYTES));
        if place.position > 0 && !scan.next_header()?.is_some_and(|first| self.fits(place, &first, from)) {
            return Ok(None);
        }
        scan.skip_before(from)?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0;
        while let Some(ScannedBatch { position, batch }) = scan.next()? {
            let size = batch.bytes().len();
            if batch.base_offset() >= upto || (bytes > 0 && bytes + size > max_bytes) {
                break;
            }
            batch.check_crc().map_err(|source| Error::Corrupt {
                path: self.log.path().to_path_buf(),
                position,
                offset: batch.base_offset(),
                source,
            })?;
            bytes += size;
            self.note_read(&batch, position);
            batches.push(batch.starting_at(from));
            if bytes >= max_bytes || !scan.is_buffered() {
                break;
            }
        }
        Ok(Some(batches))
    }

    /// Whether `first`, which stands at `place`, can be what was to be there.
    fn fits(&self, place: Place, first: &BatchHeader, from: Offset) -> bool {
        self.is_at(place, first) && first.base_offset() <= from
    }

    /// Whether `first` is the batch that the index has at `place`.
    fn is_at(&self, place: Place, first: &BatchHeader) -> bool {
        place.delta.is_none_or(|delta| self.delta_of(first.last_offset()) == Some(delta))
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
        let entry = self.last_entry_before(time).unwrap_or(None);
        if let Some(entry) = entry
            && let Ok(Some(position)) = self.position_behind(entry)
        {
            return self.first_since(position, time, upto);
        }
        self.first_since(0, time, upto)
    }

    fn first_since(
        &self,
        position: u64,
        time: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        let mut scan = Scan::new(&self.log, self.base, position..self.end().position, self.base);
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

    /// The last entry of the time index below `time`. `None` also where the entry behind it shows that the order is broken.
    fn last_entry_before(&self, time: Timestamp) -> Result<Option<TimeEntry>> {
        let is_before = |entry: TimeEntry| entry.timestamp < time.as_millis();
        let count = self.time_count()?;
        let Some((index, entry)) = last_where(count, |i| self.time_entry(i), is_before)? else {
            return Ok(None);
        };
        let next = if index + 1 < count { self.time_entry(index + 1)? } else { None };
        let is_ordered = next.is_none_or(|next| next.timestamp > entry.timestamp && next.delta > entry.delta);
        Ok(is_ordered.then_some(entry))
    }

    /// The position behind the batch that a time index entry names, or `None` where that batch says otherwise.
    fn position_behind(&self, entry: TimeEntry) -> Result<Option<u64>> {
        let start = self.indexed_place(u64::from(entry.delta)).position;
        let mut scan = Scan::new(&self.log, self.base, start..self.end().position, self.base);
        let named = self.base.checked_add(u64::from(entry.delta)).unwrap_or(Offset::MAX);
        scan.skip_before(named)?;
        let found = scan.next()?.map(|found| found.batch);
        let is_named = found.is_some_and(|batch| {
            batch.last_offset() == named && batch.max_timestamp().as_millis() == entry.timestamp
        });
        Ok(is_named.then(|| scan.position()))
    }

    /// The largest timestamp in the segment, or `None` where no record has one. Looked up once.
    pub(crate) fn largest_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut millis = self.largest_timestamp.load(Relaxed);
        if millis == UNKNOWN {
            millis = self.find_largest()?.map_or(NONE, |largest| largest.timestamp.as_millis());
            // Only where it is still unknown: an append may have published a newer one meanwhile.
            let _ = self.largest_timestamp.compare_exchange(UNKNOWN, millis, Relaxed, Relaxed);
        }
        Ok((millis >= 0).then(|| Timestamp::from_millis(millis)))
    }

    fn find_largest(&self) -> Result<Option<LargestTimestamp>> {
        let last = self.time_count().unwrap_or(0).checked_sub(1);
        let last = last.and_then(|last| self.time_entry(last).ok().flatten());
        self.largest_since(last, self.end().position)
    }

    /// The largest timestamp before byte `end`: that of a time index entry, or of a batch behind the one that it names.
    ///
    /// The last entry alone would do, if it could be believed: but the index has no checksum, and may have lost its end.
    fn largest_since(&self, entry: Option<TimeEntry>, end: u64) -> Result<Option<LargestTimestamp>> {
        let behind = entry.and_then(|entry| Some((entry, self.position_behind(entry).ok().flatten()?)));
        let (mut largest, position) = match behind {
            Some((TimeEntry { timestamp, delta }, position)) => {
                (Some(LargestTimestamp { timestamp: Timestamp::from_millis(timestamp), delta }), position)
            }
            None => (None, 0),
        };
        let mut scan = Scan::new(&self.log, self.base, position.min(end)..end, self.base);
        while let Some(ScannedBatch { batch, .. }) = scan.next()? {
            let timestamp = batch.max_timestamp();
            if timestamp.as_millis() >= 0
                && largest.is_none_or(|largest| timestamp > largest.timestamp)
                && let Some(delta) = self.delta_of(batch.last_offset())
            {
                largest = Some(LargestTimestamp { timestamp, delta });
            }
        }
        Ok(largest)
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

    /// The last place at or before the offset `delta` that the index knows, or the start.
    fn indexed_place(&self, delta: u64) -> Place {
        let delta = u32::try_from(delta.min(DELTA_MAX)).unwrap_or(u32::MAX);
        // An index that cannot be read costs time, never an answer.
        let entry = self.offset_floor(delta).unwrap_or(None);
        entry.map_or(Place::START, |entry| Place {
            position: u64::from(entry.position),
            delta: Some(entry.delta),
        })
    }

    fn offset_floor(&self, delta: u32) -> Result<Option<OffsetEntry>> {
        let is_at_or_before = |entry: OffsetEntry| entry.delta <= delta;
        let found = match self.index.load().as_ref() {
            Some(index) => last_where(index.offset_count(), |i| Ok(index.offset_entry(i)), is_at_or_before),
            None => {
                let count = entry_count::<OffsetEntry>(&self.offset_file)?;
                last_where(count, |i| read_entry(&self.offset_file, i), is_at_or_before)
            }
        };
        Ok(found?.map(|(_, entry)| entry))
    }

    fn time_count(&self) -> Result<usize> {
        match self.index.load().as_ref() {
            Some(index) => Ok(index.time_count()),
            None => entry_count::<TimeEntry>(&self.time_file),
        }
    }

    fn time_entry(&self, index: usize) -> Result<Option<TimeEntry>> {
        match self.index.load().as_ref() {
            Some(memory) => Ok(memory.time_entry(index)),
            None => read_entry(&self.time_file, index),
        }
    }

    /// How far an offset lies behind the base, as the indexes hold it.
    fn delta_of(&self, offset: Offset) -> Option<u32> {
        offset.delta_from(self.base).and_then(|delta| u32::try_from(delta).ok())
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
            let first = scan.next_header().ok().flatten();
            if first.is_none_or(|first| self.delta_of(first.last_offset()) != Some(entry.delta)) {
                let nothing = SegmentEnd { position: 0, offset: self.base };
                return self.walk(nothing, crcs, interval_bytes);
            }
        }
        if start > 0 {
            let largest = self.largest_since(writer.last_time(), start)?;
            writer.set_largest(largest);
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

    /// Where the batches end, looked for from the last index entry on, and what is wrong with the batch there, where it is
    /// not simply the end.
    pub(crate) fn find_end(&self) -> Result<(SegmentEnd, Option<Error>)> {
        let place = self.indexed_place(DELTA_MAX);
        let end = self.end().position;
        let mut scan = Scan::new(&self.log, self.base, place.position.min(end)..end, self.base).dense();
        let first = scan.next_header();
        if place.position > 0
            && !first.is_ok_and(|first| first.is_some_and(|first| self.is_at(place, &first)))
        {
            scan = Scan::new(&self.log, self.base, 0..end, self.base).dense();
        }
        let bad = loop {
            match scan.skip_before(Offset::MAX) {
                // At the end, or at a batch that ends at the last offset of all.
                Ok(()) => match scan.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) if error.is_corruption() => break Some(error),
                    Err(error) => return Err(error),
                },
                Err(error) if error.is_corruption() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        Ok((SegmentEnd { position: scan.position(), offset: scan.expected() }, bad))
    }

    /// The position of the first batch that ends behind `offset`, or the segment's end.
    pub(crate) fn position_of(&self, offset: Offset) -> Result<u64> {
        let delta = offset.delta_from(self.base).unwrap_or(0);
        let mut scan = Scan::new(
            &self.log,
            self.base,
            self.indexed_place(delta).position..self.end().position,
            self.base,
        );
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
