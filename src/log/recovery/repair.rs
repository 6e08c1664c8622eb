//! What an unclean end leaves behind is put right: the tail cut into quarantine, the rest secured.

use std::path::Path;

use super::check::{Checked, Stop};
use super::partition::{Partition, Segments};
use crate::error::{Error, Result};
use crate::log::quarantine;
use crate::log::report::Cut;
use crate::offset::Offset;
use crate::segment::{LogSegment, SegmentPaths};
use crate::storage::{Access, Storage};
use crate::sync::Arc;

impl Partition<'_> {
    /// Puts everything behind the last good batch into quarantine.
    pub(super) fn cut(&self, checked: &Checked, stop: Stop) -> Result<Cut> {
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
    pub(super) fn secure(&self, checked: Checked, durable: Offset, is_cut: bool) -> Result<Segments> {
        let mut sealed = checked.trusted;
        if let Some(last) = sealed.last() {
            // Its records were durable before the recovery point could pass it, but it is trimmed when the next segment is begun.
            sync_file(self.dir.storage(), &last.paths().log)?;
        }
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
    pub(super) fn begin_anew(&self, durable: Offset) -> Result<Segments> {
        let start = self.dir.log_start(self.name).unwrap_or(Offset::ZERO);
        if durable > start {
            return Err(self.damaged(start, durable, None));
        }
        self.dir.begin_repairs()?;
        // Its name is synced with `partition.metadata` and the epochs, which are written anew then.
        let active = Arc::new(LogSegment::create(&self.dir.files, self.path, start)?);
        Ok(Segments { sealed: Vec::new(), active, index: None, prepared: 0, unsaved_bytes: 0 })
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
}

/// Writes what the segment holds from byte `start` on again, in place, so that the next sync really writes it.
fn rewrite(segment: &LogSegment, start: u64) -> Result<()> {
    let bytes = start..segment.end().position;
    segment.copy_sound(bytes, segment.base(), &mut |position, parts| segment.log().write_at(position, parts))
}

/// Syncs a file, whoever wrote to it.
fn sync_file(storage: &dyn Storage, path: &Path) -> Result<()> {
    let file = storage.open(path, Access::Write).map_err(Error::io("open", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

pub(super) fn remove_indexes(storage: &dyn Storage, paths: &SegmentPaths) -> Result<()> {
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
