//! The order of things: trust or check, repair, settle the epochs, and make a log of it.

use super::partition::{Partition, Segments, find_segments};
use crate::error::{Chain, Error, Result};
use crate::log::config::TopicConfig;
use crate::log::durable_slots::DurableSlot;
use crate::log::log_dir::LogDir;
use crate::log::metadata_file;
use crate::log::partition_log::{Log, Opened};
use crate::log::recovery_mode::RecoveryMode;
use crate::log::report::PartitionRecovery;
use crate::offset::{Offset, TopicPartition};
use crate::sync::Arc;
use crate::uuid::Uuid;

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
    let (slot, slot_offset) = dir.slots.slot(topic_id, name.partition());
    let mut partition = Partition { dir, path: &path, name, config, found, slot_offset };
    let mode = dir.config.recovery;
    let is_named = metadata_file::is_checked(storage, &path, topic_id)?;
    let vouched = if dir.was_clean() { partition.believe_close() } else { None };
    if mode == RecoveryMode::Strict && partition.holds_data() {
        metadata_file::check(storage, &path, topic_id)?;
        partition.check_epochs()?;
    }
    if mode == RecoveryMode::Salvage {
        partition.outlast_marker(vouched, &slot);
    }
    let is_salvaged = mode == RecoveryMode::Salvage && partition.salvage(report)?;
    partition.check_start()?;
    let trusted = if dir.was_clean() && !is_salvaged { partition.trust(report)? } else { None };
    let is_trusted = trusted.is_some();
    let segments = match trusted {
        Some(segments) => segments,
        None => {
            partition.outlast_marker(vouched, &slot);
            // A salvage has looked at everything already: no batch counts twice.
            let (bytes, batches) = (report.scanned_bytes, report.scanned_batches);
            (report.scanned_bytes, report.scanned_batches) = (0, 0);
            let checked = partition.check(report);
            report.scanned_bytes = report.scanned_bytes.max(bytes);
            report.scanned_batches = report.scanned_batches.max(batches);
            checked?
        }
    };
    if !is_named || partition.found.is_empty() {
        // Not before: of a partition that is damaged, nothing is changed. What an interrupted creation wrote may not be on the device.
        dir.begin_repairs()?;
        metadata_file::mend(storage, &path, topic_id)?;
    }
    if !is_named {
        report.mended_files.push(path.join(metadata_file::FILE_NAME));
    }
    let epochs = partition.settle_epochs(&segments, report)?;
    let end = segments.active.end().offset;
    report.end_offset = end;
    // Also where a slot was lost: the marker vouches for these offsets only until the next append, and a slot tells that there is a
    // partition.
    let is_known = is_trusted && slot_offset.is_some_and(|known| known >= end);
    if !is_known && let Err(error) = slot.write(end) {
        log::warn!("{name}: cannot note the durable offset {end}: {error}");
    }
    let first_base = segments.sealed.first().unwrap_or(&segments.active).base();
    if report.ignored_recovery_point.is_some() {
        // As it is, it would make damage of what is appended next, should the power take that.
        dir.replace_recovery_point(name, end)?;
    }
    if dir.log_start(name).is_some_and(|start| start > end) {
        // Before anything is appended: the next open would take what is acknowledged then for deleted.
        dir.lower_log_start(name, end)?;
    }
    let start = dir.log_start(name).map_or(first_base, |start| start.max(first_base).min(end));
    let durable = if is_trusted { end } else { partition.durable_now(start, end, report) };
    let unsaved_bytes = segments.unsaved_bytes;
    let Segments { sealed, active, index, prepared, .. } = segments;
    let opened = Opened { sealed, active, index, prepared, start, durable, epochs, unsaved_bytes, slot };
    let log = Log::new(dir, name.clone(), config.clone(), opened);
    if unsaved_bytes > 0 || report.rebuilt_indexes > 0 {
        log.request_checkpoint(std::time::Duration::ZERO);
    }
    Ok(log)
}

impl Partition<'_> {
    /// Takes for durable what the recovery point tells after a clean close; gives that, where the slot has lost it.
    fn believe_close(&mut self) -> Option<Offset> {
        let reached = self.found.last().map_or(Offset::ZERO, |last| last.base);
        let point = self.dir.recovery_point(self.name).filter(|_| self.is_point_likely(reached))?;
        if self.slot_offset.unwrap_or(Offset::ZERO) >= point {
            return None;
        }
        self.slot_offset = Some(point);
        self.slot_offset
    }

    /// Notes in the slot, durably, what was vouched for by the marker: that goes with the next append to whatever partition.
    fn outlast_marker(&self, vouched: Option<Offset>, slot: &DurableSlot) {
        let Some(point) = vouched.filter(|_| !self.dir.config.is_read_only) else { return };
        let written = slot.write(point).map_err(Error::io("write a slot in", self.dir.path()));
        if let Err(error) = written.and_then(|()| self.dir.sync_slots()) {
            log::warn!("{}: cannot note the durable offset {point}: {}", self.name, Chain(&error));
        }
    }

    /// How far a log that was checked is on the device: wholly, as it was synced then. Where the files are somebody else's, only
    /// as far as was known before: a look makes nothing durable.
    fn durable_now(&self, start: Offset, end: Offset, report: &PartitionRecovery) -> Offset {
        if !self.dir.config.is_read_only {
            return end;
        }
        let is_believed = report.ignored_recovery_point.is_none();
        let point = if is_believed { self.dir.recovery_point(self.name) } else { None };
        self.slot_offset.max(point).unwrap_or(Offset::ZERO).min(end).max(start)
    }

    /// After a clean close: everything is as the files say, and only the end is looked for. `None`: they contradict the
    /// close, and must be checked.
    fn trust(&self, report: &mut PartitionRecovery) -> Result<Option<Segments>> {
        let Some((last, older)) = self.found.split_last() else { return Ok(None) };
        let active = self.open_segment(last);
        let (end, bad) = active.find_end()?;
        let known = self.slot_offset.max(self.dir.recovery_point(self.name));
        if bad.is_some() || known.is_some_and(|durable| end.offset < durable) {
            return Ok(None);
        }
        self.check_log_start(end.offset)?;
        let sealed = self.trust_sealed(older, last.base, report);
        active.end_at(end);
        let index =
            if last.has_indexes || end.position == 0 { None } else { self.remake_index(&active, report)? };
        Ok(Some(Segments { sealed, active: Arc::new(active), index, prepared: last.bytes, unsaved_bytes: 0 }))
    }

    /// Refuses, where nothing but what a crash leaves is taken, a log that ends before it is said to begin.
    fn check_log_start(&self, end: Offset) -> Result<()> {
        match self.dir.log_start(self.name) {
            Some(start) if start > end && self.dir.config.recovery == RecoveryMode::Strict => {
                Err(self.damaged(end, start, None))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// After anything but a clean close: every batch from the recovery point on is looked at.
    fn check(&self, report: &mut PartitionRecovery) -> Result<Segments> {
        let recovery_point = self.dir.recovery_point(self.name);
        let known = self.slot_offset.max(recovery_point).unwrap_or(Offset::ZERO);
        if self.found.is_empty() {
            return self.begin_anew(known);
        }
        let mut checked = self.check_twice_from(recovery_point.unwrap_or(Offset::ZERO), report)?;
        let mut durable = known;
        if let Some(point) = recovery_point
            && point > checked.end
            && checked.stop.is_none()
            && self.slot_offset < Some(point)
        {
            // The log simply ends before it, so it cannot be right, and what it vouched for is looked at as well.
            if self.dir.config.recovery == RecoveryMode::Strict {
                return Err(self.damaged(checked.end, point, None));
            }
            report.ignored_recovery_point = Some(point);
            checked = self.check_twice_from(Offset::ZERO, report)?;
            durable = self.slot_offset.unwrap_or(Offset::ZERO);
        }
        if checked.end < durable {
            let source = checked.stop.map(|stop| Box::new(stop.reason));
            return Err(self.damaged(checked.end, durable, source));
        }
        self.check_log_start(checked.end)?;
        // Whether or not there is a tail to cut: a power cut may have taken one without a trace. And before it is cut, because
        // then nothing tells the next open that there was one.
        self.begin_epoch(&checked, report)?;
        let is_cut = checked.stop.is_some();
        if let Some(stop) = checked.stop.take() {
            report.cut = Some(self.cut(&checked, stop)?);
        }
        self.secure(checked, durable, is_cut)
    }
}
