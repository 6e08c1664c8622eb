//! What is known of a partition before it is opened: its files, its durable slot, and what finds and opens its segments.

use std::path::Path;

use crate::error::{Corruption, Error, Result};
use crate::log::config::TopicConfig;
use crate::log::log_dir::LogDir;
use crate::log::report::PartitionRecovery;
use crate::offset::{Offset, TopicPartition};
use crate::segment::{IndexWriter, LogSegment, SegmentEnd, SegmentFile, SegmentPaths, parse_file_name};
use crate::storage::{Access, EntryKind, Storage};
use crate::sync::Arc;

/// What is known of a partition before it is opened.
#[derive(Debug)]
pub(super) struct Partition<'a> {
    pub(super) dir: &'a Arc<LogDir>,
    pub(super) path: &'a Path,
    pub(super) name: &'a TopicPartition,
    pub(super) config: &'a TopicConfig,
    /// Its segments, ascending.
    pub(super) found: Vec<Found>,
    /// What its durable slot holds.
    pub(super) slot_offset: Option<Offset>,
}

/// A segment file, by its name and length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) base: Offset,
    pub(super) bytes: u64,
    pub(super) has_indexes: bool,
}

/// The segments of a partition, ready to serve.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) sealed: Vec<Arc<LogSegment>>,
    pub(super) active: Arc<LogSegment>,
    pub(super) index: Option<IndexWriter>,
    pub(super) prepared: u64,
    pub(super) unsaved_bytes: u64,
}

impl Partition<'_> {
    /// Whether there may be anything to lose.
    pub(super) fn holds_data(&self) -> bool {
        self.slot_offset > Some(Offset::ZERO) || self.found.iter().any(|found| found.bytes > 0)
    }

    /// A segment whose end is not known yet, to read and to write.
    pub(super) fn open_segment(&self, found: &Found) -> LogSegment {
        let end = SegmentEnd { position: found.bytes, offset: Offset::MAX };
        LogSegment::open(&self.dir.files, self.path, found.base, end, Access::Write)
    }

    /// Sealed segments that are not looked into; `end` is where the last of them ends.
    pub(super) fn trust_sealed(
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
    pub(super) fn remake_index(
        &self,
        segment: &LogSegment,
        report: &mut PartitionRecovery,
    ) -> Result<Option<IndexWriter>> {
        let nothing = SegmentEnd { position: 0, offset: segment.base() };
        let mut walk = segment.walk(nothing, self.config.index_interval_bytes)?;
        walk.writer.note_time();
        if walk.bad.is_some() {
            walk.writer.want_entry();
        }
        segment.set_index(walk.writer.index());
        segment.publish(segment.end(), walk.writer.largest());
        report.rebuilt_indexes += 1;
        Ok(Some(walk.writer))
    }

    pub(super) fn damaged(&self, from: Offset, durable: Offset, source: Option<Box<Error>>) -> Error {
        let (topic, partition) = (self.name.topic().to_owned(), self.name.partition());
        Error::Damaged { topic, partition, from, durable, source }
    }

    /// A segment that does not begin where the one before it ends.
    pub(super) fn misplaced(&self, base: Offset, expected: Offset) -> Error {
        let source = if base > expected {
            Corruption::MissingOffsets { from: expected, to: base }
        } else {
            Corruption::OffsetOrder { expected, found: base.to_i64() }
        };
        Error::Corrupt { path: SegmentPaths::new(self.path, base).log, position: 0, offset: expected, source }
    }
}

/// Whether there is a segment in a directory, or what a cleaner has left of one.
pub(crate) fn has_segments(storage: &dyn Storage, path: &Path) -> Result<bool> {
    match find_segments(storage, path) {
        Err(error) if error.is_corruption() => Ok(true),
        found => Ok(!found?.is_empty()),
    }
}

/// The segments in a directory, ascending.
pub(super) fn find_segments(storage: &dyn Storage, path: &Path) -> Result<Vec<Found>> {
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
