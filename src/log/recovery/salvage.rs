//! Saving what is sound around damage.
//!
//! Every batch is looked at. A segment that holds damage is written anew beside the old one: the sound batches as they are, and
//! for the offsets that are lost a batch that says so. The bytes that are no batches go to quarantine; then the new file takes
//! the place of the old one. What follows is the ordinary recovery, which finds nothing wrong any more.
//!
//! A tail beyond the durable offset with nothing sound behind it is left to the ordinary recovery: nobody was told of it.
//!
//! A crash at any point leaves the old segment or the new one, whole, and perhaps left-overs that nothing reads and the next
//! salvage replaces.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::partition::{Found, Partition, find_segments};
use super::repair::remove_indexes;
use crate::error::{Corruption, Error, Result};
use crate::log::quarantine;
use crate::log::report::{Lost, PartitionRecovery};
use crate::offset::{LeaderEpoch, Offset};
use crate::record::{LOST_OFFSETS_MAX, lost};
use crate::segment::{Borders, DELTA_MAX, Damage, LogSegment, SegmentPaths, Sound, Stretch};
use crate::storage::{Access, Storage, StorageFile};
use crate::sync::Arc;

/// The suffix of a segment that is being written anew.
const TEMPORARY_SUFFIX: &str = ".salvage";
/// How much is copied at a time.
const CHUNK_BYTES: u64 = 1 << 20;
/// How many offsets are marked as lost in one place, at most: a gap that is larger comes of a name or a number that is wrong, and to mark
/// it would take millions of files.
pub(crate) const GAP_OFFSETS_MAX: u64 = 1 << 40;
/// How many damaged places of one segment are told apart.
const DAMAGES_MAX: usize = 10_000;

/// What of a segment is written anew, in order.
#[derive(Debug)]
enum Part {
    /// Batches of the old file.
    Kept(Sound),
    /// Offsets that are lost, with the bytes that were theirs, if any.
    Lost { offsets: Range<Offset>, bytes: Range<u64>, reason: Error },
    /// A tail that nobody was told of: it goes along as it is, for the ordinary recovery to put into quarantine.
    Tail(Range<u64>),
}

impl Partition<'_> {
    /// Saves what is sound of every segment in which anything is not. `true`: the log is not as a clean close leaves it.
    pub(super) fn salvage(&mut self, report: &mut PartitionRecovery) -> Result<bool> {
        let storage = self.dir.storage();
        let start = self.known_start()?;
        let mut next = match (start, self.found.first()) {
            (Some(start), Some(first)) => start.min(first.base),
            (None, Some(first)) => first.base,
            (start, None) => start.unwrap_or(Offset::ZERO),
        };
        let first_base = self.found.first().map_or(self.known_durable(true, next), |first| first.base);
        let (mut is_changed, mut has_tail) = (false, false);
        if next < first_base {
            let base = next;
            let gap =
                Part::Lost { offsets: next..first_base, bytes: 0..0, reason: self.missing(next, first_base) };
            self.write_anew(base, None, vec![gap], report)?;
            (is_changed, next) = (true, first_base);
        }
        for index in 0..self.found.len() {
            let Some(&found) = self.found.get(index) else { break };
            let end = self.found.get(index + 1).map(|next| next.base);
            let segment = self.open_segment(&found);
            let begin = next.max(found.base);
            // A copy of another segment, say: what it says of offsets that were found already is left out.
            let is_overlapping = begin > found.base;
            if is_overlapping && end.is_some_and(|end| end <= begin) {
                self.set_aside(&segment, begin, report)?;
                is_changed = true;
                continue;
            }
            let (parts, reached) = self.parts(&segment, found, begin, end, report)?;
            next = reached;
            has_tail |= parts.iter().any(|part| matches!(part, Part::Tail(_)));
            if is_overlapping {
                if !parts.is_empty() {
                    self.write_anew(begin, Some(&segment), parts, report)?;
                }
                self.set_aside(&segment, begin, report)?;
                is_changed = true;
            } else if parts.iter().any(|part| matches!(part, Part::Lost { .. })) {
                self.write_anew(begin, Some(&segment), parts, report)?;
                is_changed = true;
            }
            segment.log().close()?;
        }
        if is_changed {
            self.found = find_segments(storage, self.path)?;
        }
        Ok(is_changed || has_tail)
    }

    /// What is to be kept of a segment and what is lost, and the offset up to which that goes.
    fn parts(
        &self,
        segment: &LogSegment,
        found: Found,
        begin: Offset,
        end: Option<Offset>,
        report: &mut PartitionRecovery,
    ) -> Result<(Vec<Part>, Offset)> {
        let durable = end.is_none().then(|| self.known_durable(true, begin));
        let mut parts: Vec<Part> = Vec::new();
        let mut damage: Option<Damage> = None;
        let mut count = 0;
        let mut survey = |stretch: Stretch| {
            match stretch {
                Stretch::Sound(sound) => {
                    report.scanned_batches += sound.batches;
                    if let Some(Damage { bytes, from, reason }) = damage.take() {
                        parts.push(Part::Lost { offsets: from..sound.offsets.start, bytes, reason });
                    }
                    parts.push(Part::Kept(sound));
                }
                Stretch::Damaged(found) => {
                    count += 1;
                    damage = Some(found);
                }
            }
            if count <= DAMAGES_MAX {
                return Ok(());
            }
            let reason = format!("it is damaged in more than {DAMAGES_MAX} places, too many to salvage");
            Err(Error::InvalidFile { path: segment.log().path().to_path_buf(), reason })
        };
        let reached = segment.survey(Borders { begin, end, durable }, &mut survey)?.offset;
        report.scanned_bytes += found.bytes;
        let upto = match end {
            Some(end) => end.max(reached),
            None => self.known_durable(damage.is_some(), reached).max(reached),
        };
        match damage {
            // Where the recovery point is wrong too, nothing may be left that it could be held against.
            Some(Damage { bytes, from, reason })
                if end.is_some() || from < upto || !self.is_point_likely(reached) =>
            {
                parts.push(Part::Lost { offsets: from..upto, bytes, reason });
            }
            Some(Damage { bytes, .. }) => parts.push(Part::Tail(bytes)),
            None if reached < upto => {
                let reason = self.missing(reached, upto);
                parts.push(Part::Lost { offsets: reached..upto, bytes: found.bytes..found.bytes, reason });
            }
            None => {}
        }
        Ok((parts, upto))
    }

    /// Where the log must have begun, as far as that is known.
    fn known_start(&self) -> Result<Option<Offset>> {
        Ok(self.known_epochs()?.first().map(|&(_, start)| start).max(self.dir.log_start(self.name)))
    }

    /// What had been acknowledged as durable. A recovery point alone is not believed against a log that simply ends before it, nor where
    /// it is impossibly far behind `reached`.
    fn known_durable(&self, is_damaged: bool, reached: Offset) -> Offset {
        let is_believed = is_damaged && self.is_point_likely(reached);
        let point = self.dir.recovery_point(self.name).filter(|_| is_believed);
        self.slot_offset.max(point).unwrap_or(Offset::ZERO)
    }

    /// Whether the recovery point may be what it was, if the log is found up to `reached`.
    pub(super) fn is_point_likely(&self, reached: Offset) -> bool {
        let point = self.dir.recovery_point(self.name);
        point.and_then(|point| point.delta_from(reached)).is_none_or(|lost| lost <= GAP_OFFSETS_MAX)
    }

    /// Puts a whole segment into quarantine of which nothing is needed, because others have its offsets: up to `from`.
    fn set_aside(&self, segment: &LogSegment, from: Offset, report: &mut PartitionRecovery) -> Result<()> {
        let storage = self.dir.storage();
        let reason = self.misplaced(segment.base(), from);
        self.dir.begin_repairs()?;
        let kept = quarantine::keep_file(storage, segment.log())?;
        // Synced with the epoch that every salvage begins: before that, another one does the same.
        remove_indexes(storage, segment.paths())?;
        let (quarantine, bytes) = kept.map_or((None, 0), |(path, bytes)| (Some(path), bytes));
        report.lost.push(Lost { offsets: from..from, bytes, quarantine, reason: Arc::new(reason) });
        Ok(())
    }

    fn missing(&self, from: Offset, to: Offset) -> Error {
        let path = SegmentPaths::new(self.path, from).log;
        Error::Corrupt { path, position: 0, offset: from, source: Corruption::MissingOffsets { from, to } }
    }

    /// Writes the segment that begins at `base` anew, from these parts of the old one.
    fn write_anew(
        &self,
        base: Offset,
        old: Option<&LogSegment>,
        parts: Vec<Part>,
        report: &mut PartitionRecovery,
    ) -> Result<()> {
        let storage = self.dir.storage();
        for part in &parts {
            if let Part::Lost { offsets, .. } = part
                && offsets.end.delta_from(offsets.start).is_some_and(|count| count > GAP_OFFSETS_MAX)
            {
                return Err(self.damaged(offsets.start, offsets.end, None));
            }
        }
        self.dir.begin_repairs()?;
        let mut new = NewSegments::begin(storage, self.path, base)?;
        for part in parts {
            match part {
                Part::Kept(sound) => {
                    if let Some(old) = old {
                        new.copy(old, &sound)?;
                    }
                }
                Part::Tail(bytes) => {
                    if let Some(old) = old {
                        new.copy_tail(old, bytes)?;
                    }
                }
                Part::Lost { offsets, bytes, reason } => {
                    let kept = match old {
                        Some(old) if bytes.end == old.end().position => {
                            quarantine::keep_tail(storage, old.log(), bytes.start)?
                        }
                        Some(old) => quarantine::keep(storage, old.log(), bytes)?,
                        None => None,
                    };
                    let (quarantine, bytes) = kept.map_or((None, 0), |(path, bytes)| (Some(path), bytes));
                    new.mark(&offsets)?;
                    report.lost.push(Lost { offsets, bytes, quarantine, reason: Arc::new(reason) });
                }
            }
        }
        let new = new.finish()?;
        // The names of what is kept first, and the old indexes gone, before anything takes the old file's place.
        if let Some(old) = old {
            remove_indexes(storage, old.paths())?;
            old.log().close()?;
        }
        storage.sync_dir(self.path).map_err(Error::io("sync", self.path))?;
        // These names are synced with the epoch that begins next, before anything else is done. Until then the old file may be
        // back after a power cut, which is salvaged again.
        for (temporary, path) in new {
            storage.rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
        }
        Ok(())
    }
}

/// Segments that are being written: one, and more only where the lost offsets are too many for it.
struct NewSegments<'a> {
    storage: &'a dyn Storage,
    dir: &'a Path,
    done: Vec<(PathBuf, PathBuf)>,
    base: Offset,
    file: Box<dyn StorageFile>,
    temporary: PathBuf,
    position: u64,
    /// The leader epoch of the batch before.
    epoch: Option<LeaderEpoch>,
}

impl<'a> NewSegments<'a> {
    fn begin(storage: &'a dyn Storage, dir: &'a Path, base: Offset) -> Result<NewSegments<'a>> {
        let (file, temporary) = create(storage, &SegmentPaths::new(dir, base).log)?;
        Ok(NewSegments { storage, dir, done: Vec::new(), base, file, temporary, position: 0, epoch: None })
    }

    /// Copies sound batches.
    fn copy(&mut self, old: &LogSegment, sound: &Sound) -> Result<()> {
        old.copy_sound(sound.bytes.clone(), sound.offsets.start, &mut |_, parts| self.write(parts))?;
        self.epoch = sound.epoch;
        Ok(())
    }

    /// Copies bytes as they are.
    fn copy_tail(&mut self, old: &LogSegment, bytes: Range<u64>) -> Result<()> {
        let mut from = bytes.start;
        while from < bytes.end {
            let chunk = old.log().slice(from..bytes.end.min(from + CHUNK_BYTES))?;
            self.write(&[IoSlice::new(&chunk)])?;
            from += chunk.len() as u64;
        }
        Ok(())
    }

    /// Writes batches that say that these offsets are lost.
    fn mark(&mut self, offsets: &Range<Offset>) -> Result<()> {
        let mut from = offsets.start;
        while from < offsets.end {
            if from.delta_from(self.base).is_none_or(|delta| delta > DELTA_MAX) {
                let next = NewSegments::begin(self.storage, self.dir, from)?;
                let full = std::mem::replace(self, next);
                self.epoch = full.epoch;
                self.done = full.finish()?;
            }
            let last = self.base.saturating_add(DELTA_MAX);
            let end = from.saturating_add(LOST_OFFSETS_MAX).min(last.next()).min(offsets.end);
            self.write(&[IoSlice::new(&lost(&(from..end), self.epoch))])?;
            from = end;
        }
        Ok(())
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<()> {
        let written = self.file.write_at(self.position, parts);
        if let Err(error) = written {
            // Gives a full disk its space back.
            let _ = self.storage.remove_file(&self.temporary);
            return Err(Error::io("write", &self.temporary)(error));
        }
        self.position += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Makes the contents durable; gives what is to be renamed to what.
    fn finish(mut self) -> Result<Vec<(PathBuf, PathBuf)>> {
        self.file.sync_data().map_err(Error::io("sync", &self.temporary))?;
        let path = SegmentPaths::new(self.dir, self.base).log;
        self.done.push((self.temporary, path));
        Ok(self.done)
    }
}

/// Creates the file that is to replace `path`, in the place of what an interrupted salvage left.
fn create(storage: &dyn Storage, path: &Path) -> Result<(Box<dyn StorageFile>, PathBuf)> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    match storage.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let file = storage.open(&temporary, Access::Create).map_err(Error::io("create", &temporary))?;
    Ok((file, temporary))
}
