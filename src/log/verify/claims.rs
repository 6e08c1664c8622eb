//! What the small files of a log directory say of its partitions, read before these are looked at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::finding::{Finding, FindingKind, Severity};
use super::findings::Findings;
use crate::error::{Chain, Error};
use crate::log::checkpoint_file::{self, OffsetsByPartition};
use crate::log::clean_marker;
use crate::log::durable_slots;
use crate::log::log_dir::{HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use crate::log::meta_properties::{self, Meta};
use crate::offset::{Offset, PartitionId, TopicPartition};
use crate::storage::{EntryKind, Storage};
use crate::uuid::Uuid;

/// What a log directory's files say.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) path: PathBuf,
    pub(crate) meta: Option<Meta>,
    pub(crate) was_clean: bool,
    recovery_points: OffsetsByPartition,
    high_watermarks: OffsetsByPartition,
    log_starts: OffsetsByPartition,
    slots: HashMap<(Uuid, PartitionId), Offset>,
    /// The slots, as they stood in their file.
    slot_bytes: Option<Vec<u8>>,
}

impl Claims {
    /// Reads the files of the log directory at `path`, and says what is wrong with them.
    pub(crate) fn read(storage: &dyn Storage, path: &Path, findings: &mut Findings) -> Claims {
        let finding = |severity, kind, path: PathBuf, reason: String| Finding {
            severity,
            kind,
            partition: None,
            offsets: None,
            path,
            position: None,
            reason,
        };
        let meta = match meta_properties::read(storage, path) {
            Ok(meta) => Some(meta),
            Err(error) => {
                let (path, reason) = (path.join(meta_properties::FILE_NAME), reason_of(&error));
                findings.add(finding(Severity::Damage, FindingKind::MetaProperties, path, reason));
                None
            }
        };
        let was_clean = storage.stat(&path.join(clean_marker::FILE_NAME)).is_ok();
        let mut read = |name: &str| {
            let path = path.join(name);
            match checkpoint_file::read_offsets(storage, &path) {
                Ok(offsets) => offsets.unwrap_or_default(),
                Err(error) => {
                    let is_ignored = error.is_corruption();
                    let severity = if is_ignored { Severity::Mended } else { Severity::Damage };
                    findings.add(finding(severity, FindingKind::Checkpoint, path, reason_of(&error)));
                    OffsetsByPartition::new()
                }
            }
        };
        let recovery_points = read(RECOVERY_POINTS);
        let (high_watermarks, log_starts) = (read(HIGH_WATERMARKS), read(LOG_STARTS));
        let slots_path = path.join(durable_slots::FILE_NAME);
        let slot_bytes = durable_slots::bytes(storage, path).ok().flatten();
        let slots = match durable_slots::look(storage, path) {
            Ok(looked) => {
                for (position, reason) in looked.faults {
                    let path = slots_path.clone();
                    let fault = finding(Severity::Mended, FindingKind::DurableSlots, path, reason.to_owned());
                    findings.add(Finding { position: Some(position), ..fault });
                }
                looked.slots
            }
            Err(error) => {
                let reason = reason_of(&error);
                findings.add(finding(Severity::Damage, FindingKind::DurableSlots, slots_path, reason));
                HashMap::new()
            }
        };
        for entry in storage.list(path).unwrap_or_default() {
            if entry.kind == EntryKind::File && is_left_over(&entry.name.to_string_lossy()) {
                let reason = "nothing reads it, and the next replacement removes it".to_owned();
                findings.add(finding(Severity::Note, FindingKind::LeftOver, path.join(&entry.name), reason));
            }
        }
        let path = path.to_path_buf();
        Claims { path, meta, was_clean, recovery_points, high_watermarks, log_starts, slots, slot_bytes }
    }

    /// Whether somebody has synced or closed something in the directory since.
    pub(crate) fn have_changed(&self, storage: &dyn Storage) -> bool {
        let is_clean = storage.stat(&self.path.join(clean_marker::FILE_NAME)).is_ok();
        is_clean != self.was_clean
            || durable_slots::bytes(storage, &self.path).ok().flatten() != self.slot_bytes
    }

    /// Whether the directory was closed in order, and nobody has appended to it since.
    pub(super) fn are_final(&self, storage: &dyn Storage) -> bool {
        self.was_clean && storage.stat(&self.path.join(clean_marker::FILE_NAME)).is_ok()
    }

    /// The directory's id, where it says so.
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.meta.as_ref().map(|meta| meta.directory)
    }

    /// Whether there is a slot of any partition but the catalog's.
    pub(crate) fn hold_slots(&self) -> bool {
        self.slots.keys().any(|&(topic_id, _)| topic_id != Uuid::CATALOG)
    }

    pub(crate) fn slot(&self, topic_id: Uuid, partition: PartitionId) -> Option<Offset> {
        self.slots.get(&(topic_id, partition)).copied()
    }

    pub(super) fn recovery_point(&self, name: &TopicPartition) -> Option<Offset> {
        self.recovery_points.get(name).copied()
    }

    pub(super) fn log_start(&self, name: &TopicPartition) -> Option<Offset> {
        self.log_starts.get(name).copied()
    }

    /// The checkpoints that lie behind the end of a log, by their files.
    pub(super) fn beyond(&self, name: &TopicPartition, end: Offset) -> Vec<(PathBuf, Offset)> {
        let all = [
            (RECOVERY_POINTS, &self.recovery_points),
            (HIGH_WATERMARKS, &self.high_watermarks),
            (LOG_STARTS, &self.log_starts),
        ];
        let told =
            all.into_iter().filter_map(|(file, known)| Some((self.path.join(file), *known.get(name)?)));
        told.filter(|&(_, offset)| offset > end).collect()
    }
}

/// Whether a file of this name is what an interrupted replacement has left.
pub(crate) fn is_left_over(name: &str) -> bool {
    name.ends_with(".tmp") || name.ends_with(".salvage")
}

pub(super) fn reason_of(error: &Error) -> String {
    Chain(error).to_string()
}
