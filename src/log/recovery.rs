//! Opening a partition that exists: trusted after a clean close, checked from the recovery point on otherwise.
//!
//! The passes, in their order:
//!
//! 1. **Find** the segments. Files that are no segments are left alone; where the first ones are missing, that is damage.
//! 2. After a clean close, **trust** them: only the last one's end is looked for, from its last index entry on.
//! 3. Otherwise **check** every batch from the recovery point on, and make the index of what was checked.
//! 4. Where a batch is bad: below the durable offset it is **damage**, and the partition goes offline with the exact
//!    offsets. Beyond it, it is what an interrupted write looks like: from there on everything is **cut**, into quarantine.
//!    Before that, and where nothing is cut as well, a new **epoch** begins: a tail can be lost without a trace.
//! 5. **Secure** the rest: what was not known to be durable is written again, in place, and synced, because after a
//!    failed sync the page cache holds bytes that the device does not. All of it is acknowledged from then on.
//!
//! A crash in any pass leaves what the next open starts over from: bytes are kept before they are cut, and nothing but the
//! tail that was kept is ever changed.

use std::path::Path;

use super::checkpoint_file;
use super::config::TopicConfig;
use super::epochs::EpochHistory;
use super::log_dir::LogDir;
use super::metadata_file;
use super::partition_log::{Log, Opened};
use super::quarantine;
use super::report::{Cut, PartitionRecovery};
use crate::error::{Corruption, Error, Result};
use crate::offset::{LeaderEpoch, Offset, TopicPartition};
use crate::segment::{IndexWriter, LogSegment, SegmentEnd, SegmentFile, SegmentPaths, Walk, parse_file_name};
use crate::storage::{Access, EntryKind, Storage, small_file};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// How much is written again at a time.
const REWRITE_BYTES: u64 = 1 << 20;

/// Opens the partition `name` of the topic with this id; `report` tells what was found and done, also where this fails.
///
/// # Errors
///
/// [`Error::Damaged`] where acknowledged records are damaged or missing, [`Error::InvalidFile`] where the directory
/// belongs to another topic or holds unfinished work of Kafka's cleaner, [`Error::Io`].
pub(crate) fn open(
    dir: &Arc<LogDir>,
    name: &TopicPartition,
    topic_id: Uuid,
    config: &TopicConfig,
    report: &mut PartitionRecovery,
) -> Result<Arc<Log>> {
    let path = dir.partition_path(name);
    let storage = dir.storage();
    let found = find_segments(storage, &path)?;
    if metadata_file::check(storage, &path, topic_id)? {
        report.mended_files.push(path.join(metadata_file::FILE_NAME));
    }
    let (slot, slot_offset) = dir.slots.slot(topic_id, name.partition());
    let partition = Partition { dir, path: &path, name, config, found, slot_offset };
    partition.check_start()?;
    let trusted = if dir.was_clean() { partition.trust(report)? } else { None };
    let is_trusted = trusted.is_some();
    let segments = match trusted {
        Some(segments) => segments,
        None => partition.check(report)?,
    };
    let epoch = partition.settle_epochs(&segments, report)?;
    let end = segments.active.end().offset;
    report.end_offset = end;
    if !is_trusted && let Err(error) = slot.write(end) {
        log::warn!("{name}: cannot note the durable offset {end}: {error}");
    }
    let first_base = segments.sealed.first().unwrap_or(&segments.active).base();
    let start = dir.log_start(name).map_or(first_base, |start| start.max(first_base).min(end));
    let unsaved_bytes = segments.unsaved_bytes;
    let Segments { sealed, active, index, prepared, .. } = segments;
    let opened = Opened { sealed, active, index, prepared, start, epoch, unsaved_bytes, slot };
    let log = Log::new(dir, name.clone(), config.clone(), opened);
    if unsaved_bytes > 0 || report.rebuilt_indexes > 0 {
        log.request_checkpoint(std::time::Duration::ZERO);
    }
    Ok(log)
}

/// What is known of a partition before it is opened.
struct Partition<'a> {
    dir: &'a Arc<LogDir>,
    path: &'a Path,
    name: &'a TopicPartition,
    config: &'a TopicConfig,
    /// Its segments, ascending.
    found: Vec<Found>,
    /// What its durable slot holds.
    slot_offset: Option<Offset>,
}

/// A segment file, by its name and length.
#[derive(Debug, Clone, Copy)]
struct Found {
    base: Offset,
    bytes: u64,
    has_indexes: bool,
}

/// The segments of a partition, ready to serve.
struct Segments {
    sealed: Vec<Arc<LogSegment>>,
    active: Arc<LogSegment>,
    index: Option<IndexWriter>,
    prepared: u64,
    unsaved_bytes: u64,
}

/// What a check of the segments found, before anything is changed.
struct Checked {
    trusted: Vec<Arc<LogSegment>>,
    /// Each checked segment, with the length of its file.
    walked: Vec<(LogSegment, Walk, u64)>,
    /// Where the good batches end.
    end: Offset,
    /// Why they end there, where it is not simply the end.
    stop: Option<Stop>,
}

/// The first bad batch: everything from here on does not belong to the log.
struct Stop {
    reason: Error,
    /// The first segment that is cut whole.
    first_whole: usize,
}

impl Partition<'_> {
    /// Refuses a log whose first segments are missing: the first leader epoch began before those that are there.
    fn check_start(&self) -> Result<()> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        let epochs = match checkpoint_file::read_epochs(self.dir.storage(), &path) {
            Err(error) if !error.is_corruption() => return Err(error),
            epochs => epochs.ok().flatten().unwrap_or_default(),
        };
        let known = epochs.first().map(|&(_, start)| start).max(self.dir.log_start(self.name));
        match (known, self.found.first()) {
            (Some(start), Some(first)) if start < first.base => Err(self.damaged(start, first.base, None)),
            _ => Ok(()),
        }
    }

    /// After a clean close: everything is as the files say, and only the end is looked for. `None`: they contradict the
    /// close, and must be checked.
    fn trust(&self, report: &mut PartitionRecovery) -> Result<Option<Segments>> {
        let Some((last, older)) = self.found.split_last() else { return Ok(None) };
        let active = self.open_segment(last);
        let (end, bad) = active.find_end()?;
        if bad.is_some() || self.slot_offset.is_some_and(|durable| end.offset < durable) {
            return Ok(None);
        }
        let sealed = self.trust_sealed(older, last.base, report);
        active.end_at(end);
        let index =
            if last.has_indexes || end.position == 0 { None } else { self.remake_index(&active, report)? };
        Ok(Some(Segments { sealed, active: Arc::new(active), index, prepared: last.bytes, unsaved_bytes: 0 }))
    }

    /// Sealed segments that are not looked into; `end` is where the last of them ends.
    fn trust_sealed(
        &self,
        found: &[Found],
        end: Offset,
        report: &mut PartitionRecovery,
    ) -> Vec<Arc<LogSegment>> {
        let ends = found.iter().skip(1).map(|next| next.base).chain([end]);
        let open = |(found, end): (&Found, Offset)| {
            let end = SegmentEnd { position: found.bytes, offset: end };
            let access = self.dir.config.sealed_access;
            let segment = LogSegment::open(&self.dir.files, self.path, found.base, end, access);
            if !found.has_indexes && found.bytes > 0 {
                // A segment that cannot be walked over is served without an index, as far as it can be read.
                let _ = self.remake_index(&segment, report);
            }
            Arc::new(segment)
        };
        found.iter().zip(ends).map(open).collect()
    }

    /// Makes the index of a segment whose index files are missing.
    fn remake_index(
        &self,
        segment: &LogSegment,
        report: &mut PartitionRecovery,
    ) -> Result<Option<IndexWriter>> {
        let nothing = SegmentEnd { position: 0, offset: segment.base() };
        let mut walk = segment.walk(nothing, self.config.index_interval_bytes)?;
        walk.writer.note_time();
        segment.set_index(walk.writer.index());
        segment.publish(segment.end(), walk.writer.largest());
        report.rebuilt_indexes += 1;
        Ok(Some(walk.writer))
    }

    /// After anything but a clean close: every batch from the recovery point on is looked at.
    fn check(&self, report: &mut PartitionRecovery) -> Result<Segments> {
        let recovery_point = self.dir.recovery_point(self.name);
        let known = self.slot_offset.max(recovery_point).unwrap_or(Offset::ZERO);
        if self.found.is_empty() {
            return self.begin_anew(known);
        }
        let mut checked = self.check_from(recovery_point.unwrap_or(Offset::ZERO), report)?;
        let mut durable = known;
        if let Some(point) = recovery_point
            && point > checked.end
            && checked.stop.is_none()
        {
            // The log simply ends before it, so it cannot be right, and what it vouched for is looked at as well.
            report.ignored_recovery_point = Some(point);
            checked = self.check_from(Offset::ZERO, report)?;
            durable = self.slot_offset.unwrap_or(Offset::ZERO);
        }
        if checked.end < durable {
            let source = checked.stop.map(|stop| Box::new(stop.reason));
            return Err(self.damaged(checked.end, durable, source));
        }
        // Whether or not there is a tail to cut: a power cut may have taken one without a trace. And before it is cut, because
        // then nothing tells the next open that there was one.
        self.begin_epoch(&checked, report)?;
        let is_cut = checked.stop.is_some();
        if let Some(stop) = checked.stop.take() {
            report.cut = Some(self.cut(&checked, stop)?);
        }
        self.secure(checked, durable, is_cut)
    }

    /// Walks over the batches from `point` on, to the end or the first bad one. Changes nothing.
    fn check_from(&self, point: Offset, report: &mut PartitionRecovery) -> Result<Checked> {
        let first = self.found.partition_point(|found| found.base <= point).saturating_sub(1);
        let (older, rest) = self.found.split_at(first);
        let mut expected = rest.first().map_or(Offset::ZERO, |found| found.base);
        let trusted = self.trust_sealed(older, expected, report);
        let mut walked = Vec::with_capacity(rest.len());
        let mut stop = None;
        for (index, found) in rest.iter().enumerate() {
            if found.base != expected {
                stop =
                    Some(Stop { reason: self.misplaced(found.base, expected), first_whole: first + index });
                break;
            }
            let segment = self.open_segment(found);
            let trusted = SegmentEnd { position: found.bytes, offset: point.max(found.base) };
            let mut walk = segment.walk(trusted, self.config.index_interval_bytes)?;
            report.scanned_bytes += walk.end.position - walk.start;
            report.scanned_batches += walk.batches;
            stop = walk.bad.take().map(|reason| Stop { reason, first_whole: first + index + 1 });
            expected = walk.end.offset;
            walked.push((segment, walk, found.bytes));
            if stop.is_some() {
                break;
            }
        }
        Ok(Checked { trusted, walked, end: expected, stop })
    }

    /// Puts everything behind the last good batch into quarantine.
    fn cut(&self, checked: &Checked, stop: Stop) -> Result<Cut> {
        let storage = self.dir.storage();
        let mut kept = Vec::new();
        for found in self.found.get(stop.first_whole..).unwrap_or_default() {
            let segment = self.open_segment(found);
            kept.extend(quarantine::keep_file(storage, segment.log())?);
            remove_indexes(storage, segment.paths())?;
        }
        if let Some((segment, walk, bytes)) = checked.walked.last()
            && walk.end.position < *bytes
        {
            kept.extend(quarantine::keep_tail(storage, segment.log(), walk.end.position)?);
            storage.sync_dir(self.path).map_err(Error::io("sync", self.path))?;
            segment.log().set_bytes(walk.end.position)?;
        }
        Ok(Cut {
            from: checked.end,
            bytes: kept.iter().map(|(_, bytes)| bytes).sum(),
            quarantine: kept.into_iter().map(|(path, _)| path).collect(),
            reason: Arc::new(stop.reason),
        })
    }

    /// Makes what was checked durable, and ready to serve.
    fn secure(&self, checked: Checked, durable: Offset, is_cut: bool) -> Result<Segments> {
        let mut sealed = checked.trusted;
        let mut unsaved_bytes = 0;
        let mut last = None;
        for (segment, mut walk, bytes) in checked.walked {
            segment.end_at(walk.end);
            walk.writer.note_time();
            segment.set_index(walk.writer.index());
            unsaved_bytes += walk.end.position - walk.start;
            if walk.end.offset > durable {
                rewrite(&segment, segment.position_of(durable)?)?;
            }
            sync_file(self.dir.storage(), &segment.paths().log)?;
            if let Some((older, _, _)) = last.replace((segment, walk.writer, bytes.max(walk.end.position))) {
                sealed.push(self.seal(&older)?);
            }
        }
        self.dir.storage().sync_dir(self.path).map_err(Error::io("sync", self.path))?;
        let (active, writer, bytes) = last.expect("the segment at the recovery point is always checked");
        let prepared = if is_cut { active.end().position } else { bytes };
        let (active, index) = (Arc::new(active), Some(writer));
        Ok(Segments { sealed, active, index, prepared, unsaved_bytes })
    }

    /// A partition without any segment: where nothing can have been acknowledged, it begins with an empty one.
    fn begin_anew(&self, durable: Offset) -> Result<Segments> {
        let start = self.dir.log_start(self.name).unwrap_or(Offset::ZERO);
        if durable > start {
            return Err(self.damaged(start, durable, None));
        }
        let active = Arc::new(LogSegment::create(&self.dir.files, self.path, start)?);
        self.dir.storage().sync_dir(self.path).map_err(Error::io("sync", self.path))?;
        Ok(Segments { sealed: Vec::new(), active, index: None, prepared: 0, unsaved_bytes: 0 })
    }

    /// The current leader epoch: the newest there is, or one more where its beginning has been lost.
    fn settle_epochs(&self, segments: &Segments, report: &mut PartitionRecovery) -> Result<LeaderEpoch> {
        let all = segments.sealed.iter().chain([&segments.active]).map(|segment| &**segment);
        let (mut history, is_known) = self.epoch_history(all, report)?;
        let known = history.clone();
        let end = segments.active.end().offset;
        let newest = history.current();
        history.truncate_to(end);
        if history.entries().is_empty() {
            let first = segments.sealed.first().unwrap_or(&segments.active).base();
            history.assign(newest, first);
        }
        if history.current() < newest {
            history.assign(newest.next(), end);
        }
        if !is_known || known != history {
            self.write_epochs(&history)?;
        }
        Ok(history.current())
    }

    /// Begins a new leader epoch where the good batches end.
    fn begin_epoch(&self, checked: &Checked, report: &mut PartitionRecovery) -> Result<()> {
        let trusted = checked.trusted.iter().map(|segment| &**segment);
        let all = trusted.chain(checked.walked.iter().map(|(segment, _, _)| segment));
        let (mut history, _) = self.epoch_history(all, report)?;
        let newest = history.current();
        history.truncate_to(checked.end);
        history.assign(newest.next(), checked.end);
        self.write_epochs(&history)
    }

    /// What the file says of epochs, and `true`; where it says nothing, what the batches of `segments` do.
    ///
    /// The file is believed against them: an epoch is in it before the first batch of it is written, and the one in a batch is
    /// not covered by its CRC.
    fn epoch_history<'a>(
        &self,
        segments: impl Iterator<Item = &'a LogSegment>,
        report: &mut PartitionRecovery,
    ) -> Result<(EpochHistory, bool)> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        let known = match checkpoint_file::read_epochs(self.dir.storage(), &path) {
            Ok(known) => EpochHistory::new(known.unwrap_or_default()),
            Err(error) if error.is_corruption() => EpochHistory::default(),
            Err(error) => return Err(error),
        };
        if !known.entries().is_empty() {
            return Ok((known, true));
        }
        report.mended_files.push(path);
        Ok((self.epochs_in(segments)?, false))
    }

    fn write_epochs(&self, history: &EpochHistory) -> Result<()> {
        let contents = checkpoint_file::epochs_contents(history.entries());
        let path = self.path.join(checkpoint_file::EPOCHS);
        small_file::replace(self.dir.storage(), &path, contents.as_bytes())
    }

    /// The epochs as the batches tell them, where the file does not.
    fn epochs_in<'a>(&self, segments: impl Iterator<Item = &'a LogSegment>) -> Result<EpochHistory> {
        let mut history = EpochHistory::default();
        for segment in segments {
            let nothing = SegmentEnd { position: 0, offset: segment.base() };
            for (epoch, start) in segment.walk(nothing, self.config.index_interval_bytes)?.epochs {
                history.assign(epoch, start);
            }
        }
        Ok(history)
    }

    /// A segment whose end is not known yet, to read and to write.
    fn open_segment(&self, found: &Found) -> LogSegment {
        let end = SegmentEnd { position: found.bytes, offset: Offset::MAX };
        LogSegment::open(&self.dir.files, self.path, found.base, end, Access::Write)
    }

    /// The sealed form of a checked segment, without what stands behind its last batch.
    fn seal(&self, segment: &LogSegment) -> Result<Arc<LogSegment>> {
        let end = segment.end().position;
        if segment.log().bytes()? > end {
            segment.log().set_bytes(end)?;
            segment.log().sync_data()?;
        }
        Ok(Arc::new(segment.sealed(&self.dir.files, self.dir.config.sealed_access)))
    }

    fn damaged(&self, from: Offset, durable: Offset, source: Option<Box<Error>>) -> Error {
        let (topic, partition) = (self.name.topic().to_owned(), self.name.partition());
        Error::Damaged { topic, partition, from, durable, source }
    }

    /// A segment that does not begin where the one before it ends.
    fn misplaced(&self, base: Offset, expected: Offset) -> Error {
        let source = if base > expected {
            Corruption::MissingOffsets { from: expected, to: base }
        } else {
            Corruption::OffsetOrder { expected, found: base.to_i64() }
        };
        Error::Corrupt { path: SegmentPaths::new(self.path, base).log, position: 0, offset: expected, source }
    }
}

/// The segments in a directory, ascending.
fn find_segments(storage: &dyn Storage, path: &Path) -> Result<Vec<Found>> {
    let entries = storage.list(path).map_err(Error::io("list", path))?;
    let mut found = Vec::new();
    let (mut offset_indexes, mut time_indexes) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        let Some(name) = entry.name.to_str() else { continue };
        match parse_file_name(name) {
            SegmentFile::Log(base) => found.push(Found { base, bytes: entry.bytes, has_indexes: false }),
            SegmentFile::OffsetIndex(base) => offset_indexes.push(base),
            SegmentFile::TimeIndex(base) => time_indexes.push(base),
            SegmentFile::Swap => {
                let reason =
                    "it is the unfinished work of a log cleaner: open the directory with Kafka first";
                return Err(Error::InvalidFile { path: path.join(name), reason: reason.to_owned() });
            }
            SegmentFile::Other => {}
        }
    }
    offset_indexes.sort_unstable();
    time_indexes.sort_unstable();
    for found in &mut found {
        found.has_indexes = offset_indexes.binary_search(&found.base).is_ok()
            && time_indexes.binary_search(&found.base).is_ok();
    }
    found.sort_unstable_by_key(|found| found.base);
    Ok(found)
}

/// Writes what the segment holds from byte `start` on again, in place, so that the next sync really writes it.
fn rewrite(segment: &LogSegment, start: u64) -> Result<()> {
    let end = segment.end().position;
    let mut position = start;
    while position < end {
        let chunk = segment.log().slice(position..end.min(position + REWRITE_BYTES))?;
        segment.log().write_at(position, &[std::io::IoSlice::new(&chunk)])?;
        position += chunk.len() as u64;
    }
    Ok(())
}

/// Syncs a file, whoever wrote to it.
fn sync_file(storage: &dyn Storage, path: &Path) -> Result<()> {
    let file = storage.open(path, Access::Write).map_err(Error::io("open", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

fn remove_indexes(storage: &dyn Storage, paths: &SegmentPaths) -> Result<()> {
    for path in [&paths.offset_index, &paths.time_index] {
        match storage.remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
