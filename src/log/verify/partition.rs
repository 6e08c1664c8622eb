//! Everything in a partition's directory, held against what is known of it: batches, records, indexes, epochs.
//!
//! Damage is told from a torn tail as recovery does: below what was known to be durable it is damage, beyond it the next open
//! cuts it off. After a clean close nothing is cut out of the middle, so what is bad there is damage in any case, unless somebody
//! has begun to append meanwhile.
//!
//! Memory: a window of the log, one batch decompressed, a window of each index.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::claims::{Claims, is_left_over, reason_of};
use super::finding::{Finding, FindingKind, Severity};
use super::findings::Findings;
use crate::error::{Corruption, Error, Result};
use crate::log::checkpoint_file;
use crate::log::metadata_file;
use crate::log::quarantine;
use crate::log::recovery::GAP_OFFSETS_MAX;
use crate::offset::{LeaderEpoch, Offset, TopicPartition};
use crate::record::RecordView;
use crate::segment::{
    Borders, Damage, IndexCheck, LogSegment, ScannedBatch, SegmentEnd, SegmentFile, SegmentPaths, Stretch,
    Surveyor, parse_file_name,
};
use crate::storage::{Access, Entry, EntryKind, OpenFiles, Storage};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// How often a segment is gone over that is cut meanwhile.
const LOOKS_MAX: usize = 3;

/// What is told of each record; it says what is wrong with it, if anything.
pub(crate) type OnRecord<'a> = dyn FnMut(&RecordView<'_>) -> Result<(), String> + 'a;

/// A partition, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) files: &'a Arc<OpenFiles>,
    pub(crate) claims: &'a Claims,
    pub(crate) name: &'a TopicPartition,
    /// Its topic's, where the catalog tells.
    pub(crate) topic_id: Option<Uuid>,
}

/// Looks at everything in the partition's directory.
pub(crate) fn verify_partition(subject: Subject<'_>, on_record: &mut OnRecord<'_>) -> Findings {
    let path = subject.claims.path.join(subject.name.to_string());
    let findings = Findings::default();
    let mut look =
        Look { subject, path, findings, durable: Known::default(), tail: None, reached: Offset::ZERO };
    look.findings.counts.partitions = 1;
    look.run(on_record);
    look.findings
}

/// A look at one partition.
struct Look<'a> {
    subject: Subject<'a>,
    path: PathBuf,
    findings: Findings,
    durable: Known,
    /// Where what an open would cut off begins.
    tail: Option<Finding>,
    /// How far sound batches go in the segment that is gone over.
    reached: Offset,
}

/// How far the log is known to have been durable.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    slot: Option<Offset>,
    point: Option<Offset>,
}

impl Known {
    fn offset(self) -> Offset {
        self.slot.max(self.point).unwrap_or(Offset::ZERO)
    }
}

/// A segment by its files.
#[derive(Debug, Clone, Copy)]
struct Found {
    base: Offset,
    bytes: u64,
    has_indexes: bool,
}

/// What is wrong at a place in a segment.
struct Fault {
    kind: FindingKind,
    offsets: Range<Offset>,
    position: u64,
    reason: String,
    /// Whether good batches, or other segments, follow.
    is_inside: bool,
}

impl Look<'_> {
    fn storage(&self) -> &dyn Storage {
        &**self.subject.files.storage()
    }

    fn finding(&self, severity: Severity, kind: FindingKind, path: PathBuf, reason: String) -> Finding {
        let partition = Some(self.subject.name.clone());
        Finding { severity, kind, partition, offsets: None, path, position: None, reason }
    }

    fn add(&mut self, severity: Severity, kind: FindingKind, path: &Path, reason: String) {
        let finding = self.finding(severity, kind, path.to_path_buf(), reason);
        self.findings.add(finding);
    }

    fn run(&mut self, on_record: &mut OnRecord<'_>) {
        let topic_id = self.check_metadata();
        let name = self.subject.name;
        let slot = topic_id.and_then(|id| self.subject.claims.slot(id, name.partition()));
        self.durable = Known { slot, point: self.subject.claims.recovery_point(name) };
        let entries = match self.storage().list(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::NotFound => FindingKind::MissingDirectory,
                    _ => FindingKind::Unreadable,
                };
                let reason = format!("it cannot be listed: {error}");
                let mut finding = self.finding(Severity::Damage, kind, self.path.clone(), reason);
                finding.offsets = self.known_range();
                return self.findings.add(finding);
            }
        };
        self.check_strays(&entries);
        let epochs = self.read_epochs();
        let start = epochs.first().map(|&(_, start)| start).max(self.subject.claims.log_start(name));
        let found = segments(&entries);
        let end = self.check_log(&found, start, &epochs, on_record);
        self.check_ends(end, &epochs);
        if let Some(tail) = self.tail.take() {
            self.findings.add(tail);
        }
    }

    /// The records that there must be, where nothing else is known of them.
    fn known_range(&self) -> Option<Range<Offset>> {
        let start = self.subject.claims.log_start(self.subject.name).unwrap_or(Offset::ZERO);
        Some(start..self.durable.offset()).filter(|range| range.start < range.end)
    }

    /// Whose directory it is.
    fn check_metadata(&mut self) -> Option<Uuid> {
        let path = self.path.join(metadata_file::FILE_NAME);
        let expected = self.subject.topic_id;
        match metadata_file::read(self.storage(), &self.path) {
            Ok(Some(found)) if expected.is_some_and(|expected| expected != found) => {
                let reason = format!("the directory belongs to another topic, of id {found}");
                self.add(Severity::Damage, FindingKind::PartitionMetadata, &path, reason);
            }
            Ok(Some(found)) => return Some(found),
            Ok(None) if self.storage().stat(&self.path).is_ok() => {
                let reason = "it is missing, or names no topic".to_owned();
                self.add(Severity::Mended, FindingKind::PartitionMetadata, &path, reason);
            }
            Ok(None) => {}
            Err(error) => {
                self.add(Severity::Damage, FindingKind::PartitionMetadata, &path, reason_of(&error))
            }
        }
        expected
    }

    /// Files that are no part of the log.
    fn check_strays(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let (name, path) = (entry.name.to_string_lossy(), self.path.join(&entry.name));
            if parse_file_name(&name) == SegmentFile::Swap {
                let reason =
                    "it is the unfinished work of a log cleaner, and keeps the partition from being opened";
                self.add(Severity::Damage, FindingKind::LeftOver, &path, reason.to_owned());
            } else if quarantine::is_quarantine(&path) {
                let reason = format!("a recovery has kept {} bytes in it", entry.bytes);
                self.add(Severity::Note, FindingKind::Quarantine, &path, reason);
            } else if is_left_over(&name) {
                let reason = "nothing reads it, and the next replacement removes it".to_owned();
                self.add(Severity::Note, FindingKind::LeftOver, &path, reason);
            }
        }
    }

    fn read_epochs(&mut self) -> Vec<(LeaderEpoch, Offset)> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        let (severity, reason) = match checkpoint_file::read_epochs(self.storage(), &path) {
            Ok(Some(epochs)) if !epochs.is_empty() => return epochs,
            Ok(_) => (Severity::Mended, "it is missing or empty".to_owned()),
            Err(error) if error.is_corruption() => (Severity::Mended, reason_of(&error)),
            Err(error) => (Severity::Damage, reason_of(&error)),
        };
        self.add(severity, FindingKind::Epochs, &path, reason);
        Vec::new()
    }

    /// Goes over the segments in their order; gives where the log ends.
    fn check_log(
        &mut self,
        found: &[Found],
        start: Option<Offset>,
        epochs: &[(LeaderEpoch, Offset)],
        on_record: &mut OnRecord<'_>,
    ) -> Offset {
        let begin = start.unwrap_or(Offset::ZERO);
        let Some(first) = found.first() else {
            let (severity, offsets) = match self.durable.offset() {
                durable if durable > begin => (Severity::Damage, Some(begin..durable)),
                _ => (Severity::Mended, None),
            };
            let reason = "it holds no segment".to_owned();
            let finding = self.finding(severity, FindingKind::MissingRecords, self.path.clone(), reason);
            self.findings.add(Finding { offsets, ..finding });
            return begin;
        };
        if let Some(start) = start.filter(|&start| start < first.base) {
            let path = SegmentPaths::new(&self.path, start).log;
            let reason = "the first segments are missing".to_owned();
            let finding = self.finding(Severity::Damage, FindingKind::MissingRecords, path, reason);
            self.findings.add(Finding { offsets: Some(start..first.base), ..finding });
        }
        let mut next = first.base;
        for (index, segment) in found.iter().enumerate() {
            let end = found.get(index + 1).map(|next| next.base);
            next = self.check_segment(*segment, next, end, epochs, on_record);
        }
        next
    }

    /// Goes over one segment, which should begin at `expected`; gives the offset up to which it is told of.
    fn check_segment(
        &mut self,
        found: Found,
        expected: Offset,
        end: Option<Offset>,
        epochs: &[(LeaderEpoch, Offset)],
        on_record: &mut OnRecord<'_>,
    ) -> Offset {
        self.findings.counts.segments += 1;
        let paths = SegmentPaths::new(&self.path, found.base);
        if found.base < expected {
            let source = Corruption::OffsetOrder { expected, found: found.base.to_i64() };
            let offsets = found.base..expected;
            let (position, is_inside) = (0, true);
            let kind = FindingKind::DamagedBatch;
            self.fault(&paths.log, Fault { kind, offsets, position, reason: source.to_string(), is_inside });
        }
        let is_behind =
            self.subject.claims.was_clean || end.is_some_and(|end| Some(end) <= self.durable.point);
        if !found.has_indexes && found.bytes > 0 && is_behind {
            let reason = "it, or the time index beside it, is missing".to_owned();
            self.add(Severity::Mended, FindingKind::Index, &paths.offset_index, reason);
        }
        let mut bytes = found.bytes;
        let mut looks = 1;
        loop {
            let before = (std::mem::take(&mut self.findings), self.tail.clone());
            self.reached = found.base;
            let surveyed = self.survey(found.base, bytes, end, epochs, on_record);
            let of_segment = std::mem::replace(&mut self.findings, before.0);
            let now = self.storage().stat(&paths.log).map_or(0, |entry| entry.bytes);
            if surveyed.is_err() && looks < LOOKS_MAX && now > 0 && now < bytes {
                // Its head room was cut off meanwhile: what was found of it does not count.
                (looks, bytes, self.tail, self.findings.is_changing) = (looks + 1, now, before.1, true);
                continue;
            }
            self.findings.append(of_segment);
            let error = match surveyed {
                Ok(reached) => return reached,
                Err(error) => error,
            };
            let upto = end.unwrap_or(self.durable.offset()).max(self.reached);
            let kind = FindingKind::Unreadable;
            let finding = self.finding(Severity::Damage, kind, paths.log, reason_of(&error));
            self.findings.add(Finding { offsets: Some(self.reached..upto), ..finding });
            return upto;
        }
    }

    /// Goes over the first `bytes` bytes of one segment.
    fn survey(
        &mut self,
        base: Offset,
        bytes: u64,
        end: Option<Offset>,
        epochs: &[(LeaderEpoch, Offset)],
        on_record: &mut OnRecord<'_>,
    ) -> Result<Offset> {
        let files = Arc::clone(self.subject.files);
        let file_end = SegmentEnd { position: bytes, offset: Offset::MAX };
        let segment = LogSegment::open(&files, &self.path, base, file_end, Access::Read);
        let durable = end.is_none().then_some(self.durable.offset());
        let index = IndexCheck::new(&segment);
        let mut visit = Visit { look: self, epochs, on_record, log: &segment, index, damage: None };
        let reached = segment.survey(Borders { begin: base, end, durable }, &mut visit);
        let Visit { mut index, damage, .. } = visit;
        let reached = reached?;
        let log = &segment.paths().log;
        let upto = match (end, damage) {
            (end, Some(damage)) => {
                let upto = end.unwrap_or(self.durable.offset()).max(reached.offset);
                index.skip(&damage.bytes, end.unwrap_or(Offset::MAX));
                self.damage(log, damage, upto, end.is_some());
                upto
            }
            (Some(end), None) if reached.offset < end => {
                let (kind, offsets) = (FindingKind::MissingRecords, reached.offset..end);
                let reason = "the segment ends before the next one begins".to_owned();
                self.fault(log, Fault { kind, offsets, position: reached.position, reason, is_inside: true });
                end
            }
            (None, None) if reached.offset < self.known_end(reached.offset) => {
                let upto = self.known_end(reached.offset);
                let (kind, offsets) = (FindingKind::MissingRecords, reached.offset..upto);
                let reason = "the log ends before what was durable".to_owned();
                self.fault(
                    log,
                    Fault { kind, offsets, position: reached.position, reason, is_inside: false },
                );
                upto
            }
            _ => reached.offset,
        };
        // The indexes of what is cut off go with it.
        let faults = if self.tail.is_none() { index.end(bytes) } else { Vec::new() };
        for fault in faults {
            let mut finding = self.finding(Severity::Mended, FindingKind::Index, fault.path, fault.reason);
            finding.position = Some(fault.position);
            self.findings.add(finding);
        }
        self.findings.is_changing |= segment.log().bytes().is_ok_and(|now| now != bytes);
        Ok(upto)
    }

    /// How far the log must go that is found up to `reached`. After a clean close the recovery point says so too, unless it cannot be.
    fn known_end(&self, reached: Offset) -> Offset {
        let is_likely = |point: &Offset| point.delta_from(reached).is_none_or(|gap| gap <= GAP_OFFSETS_MAX);
        let is_final = self.subject.claims.are_final(self.storage());
        let point = self.durable.point.filter(|point| is_final && is_likely(point));
        self.durable.slot.max(point).unwrap_or(Offset::ZERO)
    }

    fn damage(&mut self, log: &Path, damage: Damage, upto: Offset, is_inside: bool) {
        let Damage { bytes, from, reason } = damage;
        let (kind, reason) = match &reason {
            Error::Corrupt { source: Corruption::MissingOffsets { .. }, .. } if bytes.is_empty() => {
                (FindingKind::MissingRecords, reason_of(&reason))
            }
            // The place stands in the finding.
            Error::Corrupt { source, .. } => (FindingKind::DamagedBatch, source.to_string()),
            _ => (FindingKind::DamagedBatch, reason_of(&reason)),
        };
        let offsets = from..upto.max(from);
        self.fault(log, Fault { kind, offsets, position: bytes.start, reason, is_inside });
    }

    /// Tells of what is wrong with the log: damage, or where the tail begins that an open cuts off.
    fn fault(&mut self, log: &Path, fault: Fault) {
        let Fault { kind, offsets, position, reason, is_inside } = fault;
        if let Some(tail) = &mut self.tail {
            if let Some(cut) = &mut tail.offsets {
                cut.end = cut.end.max(offsets.end);
            }
            return;
        }
        let is_damage = offsets.start < self.durable.offset()
            || (is_inside && self.subject.claims.are_final(self.storage()));
        let (severity, kind) =
            if is_damage { (Severity::Damage, kind) } else { (Severity::Mended, FindingKind::TornTail) };
        let mut finding = self.finding(severity, kind, log.to_path_buf(), reason);
        (finding.offsets, finding.position) = (Some(offsets), Some(position));
        if is_damage { self.findings.add(finding) } else { self.tail = Some(finding) }
    }

    /// What says that the log goes farther than it does.
    fn check_ends(&mut self, end: Offset, epochs: &[(LeaderEpoch, Offset)]) {
        for (path, offset) in self.subject.claims.beyond(self.subject.name, end) {
            let reason =
                format!("it says {offset}, and the log ends at {end}: if it is right, records are missing");
            self.add(Severity::Mended, FindingKind::Checkpoint, &path, reason);
        }
        if let Some((epoch, start)) = epochs.iter().find(|&&(_, start)| start > end) {
            let path = self.path.join(checkpoint_file::EPOCHS);
            let reason = format!("it says that epoch {epoch} began at {start}, and the log ends at {end}");
            self.add(Severity::Mended, FindingKind::Epochs, &path, reason);
        }
    }
}

/// What is done with each batch of a segment.
struct Visit<'a, 'b, 'c, 's> {
    look: &'a mut Look<'b>,
    epochs: &'a [(LeaderEpoch, Offset)],
    on_record: &'a mut OnRecord<'c>,
    log: &'s LogSegment,
    index: IndexCheck<&'s LogSegment>,
    /// Damage behind which nothing sound has come yet.
    damage: Option<Damage>,
}

impl Surveyor for Visit<'_, '_, '_, '_> {
    fn batch(&mut self, found: &ScannedBatch) -> Result<()> {
        let offsets = found.batch.base_offset()..found.batch.next_offset();
        self.look.reached = offsets.end;
        if let Some(damage) = self.damage.take() {
            self.index.skip(&damage.bytes, offsets.start);
            self.look.damage(self.log.log().path(), damage, offsets.start, true);
        }
        if let Some(cut) = self.look.tail.as_mut().and_then(|tail| tail.offsets.as_mut()) {
            // It goes with the tail.
            cut.end = cut.end.max(offsets.end);
            return Ok(());
        }
        self.look.findings.counts.batches += 1;
        self.look.findings.counts.bytes += found.batch.bytes().len() as u64;
        self.index.note(found);
        if found.batch.is_lost() {
            let reason = "an earlier salvage could not save them".to_owned();
            self.tell(Severity::Note, FindingKind::LostRecords, found, reason);
            return Ok(());
        }
        self.check_epoch(found);
        self.check_records(found);
        Ok(())
    }

    fn stretch(&mut self, stretch: Stretch) -> Result<()> {
        if let Stretch::Damaged(damage) = stretch {
            self.damage = Some(damage);
        }
        Ok(())
    }
}

impl Visit<'_, '_, '_, '_> {
    fn tell(&mut self, severity: Severity, kind: FindingKind, found: &ScannedBatch, reason: String) {
        let mut finding = self.look.finding(severity, kind, self.log.log().path().to_path_buf(), reason);
        finding.offsets = Some(found.batch.base_offset()..found.batch.next_offset());
        finding.position = Some(found.position);
        self.look.findings.add(finding);
    }

    /// The epoch in a batch is outside its CRC; the history tells what it must be.
    fn check_epoch(&mut self, found: &ScannedBatch) {
        let base = found.batch.base_offset();
        let reign = self.epochs.partition_point(|&(_, start)| start <= base);
        let Some(&(expected, _)) = reign.checked_sub(1).and_then(|reign| self.epochs.get(reign)) else {
            return;
        };
        if found.batch.leader_epoch() != Some(expected) {
            let epoch = found.batch.leader_epoch().map_or("none".to_owned(), |epoch| epoch.to_string());
            let reason = format!("the batch says {epoch}, and {} {expected}", checkpoint_file::EPOCHS);
            self.tell(Severity::Damage, FindingKind::WrongEpoch, found, reason);
        }
    }

    fn check_records(&mut self, found: &ScannedBatch) {
        let records = match found.batch.records() {
            Ok(records) => records,
            Err(error) => {
                // What this build cannot decompress may be sound.
                let (severity, kind) = match &error {
                    Error::CodecDisabled { .. } => (Severity::Note, FindingKind::Unreadable),
                    _ => (Severity::Damage, FindingKind::UnreadableRecords),
                };
                return self.tell(severity, kind, found, reason_of(&error));
            }
        };
        self.look.findings.counts.records += records.len() as u64;
        for record in &records {
            if let Err(reason) = (self.on_record)(&record) {
                let reason =
                    format!("the record at offset {} is not the catalog's: {reason}", record.offset());
                return self.tell(Severity::Damage, FindingKind::Catalog, found, reason);
            }
        }
    }
}

/// The segments among the entries of a directory, ascending.
fn segments(entries: &[Entry]) -> Vec<Found> {
    let mut found = Vec::new();
    let (mut offset_indexes, mut time_indexes) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        match entry.name.to_str().map(parse_file_name) {
            Some(SegmentFile::Log(base)) => {
                found.push(Found { base, bytes: entry.bytes, has_indexes: false })
            }
            Some(SegmentFile::OffsetIndex(base)) => offset_indexes.push(base),
            Some(SegmentFile::TimeIndex(base)) => time_indexes.push(base),
            Some(SegmentFile::Swap | SegmentFile::Other) | None => {}
        }
    }
    offset_indexes.sort_unstable();
    time_indexes.sort_unstable();
    for segment in &mut found {
        segment.has_indexes = offset_indexes.binary_search(&segment.base).is_ok()
            && time_indexes.binary_search(&segment.base).is_ok();
    }
    found.sort_unstable_by_key(|segment| segment.base);
    found
}
