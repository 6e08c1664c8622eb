//! A log's checkpoint: synced, its indexes saved, its recovery point moved.
//!
//! Recovery begins at the recovery point, so everything before it must be beyond doubt: the log is synced first, then the
//! index entries that the files lack are written and synced, and only then is the point noted. An index that cannot be
//! written stays in memory, and the point where it was.

use super::due::Checkpointed;
use super::partition_log::Log;
use crate::error::{Error, Result};
use crate::sync::{Acquire, Arc};

impl Checkpointed for Log {
    fn checkpoint(&self) -> Result<bool> {
        let _one_at_a_time = self.checkpointing.lock();
        if self.is_deleted.load(Acquire) {
            return Ok(false);
        }
        let appended = std::mem::take(&mut self.writer.lock().since_checkpoint);
        let end = self.end();
        self.sync_to(end)?;
        self.save_indexes().inspect_err(|_| self.counters.index_failures.bump())?;
        self.dir.set_checkpoint(&self.name, end, end);
        if appended == 0 {
            self.rest();
        }
        Ok(appended > 0)
    }
}

impl Log {
    fn save_indexes(&self) -> Result<()> {
        let segments = self.segments.load_full();
        let mut is_new = false;
        for segment in segments.iter() {
            is_new |= segment.save_index(self.dir.storage())?;
        }
        if is_new {
            self.dir.storage().sync_dir(&self.path).map_err(Error::io("sync", &self.path))?;
        }
        for segment in segments.iter().filter(|segment| !Arc::ptr_eq(segment, segments.active())) {
            segment.drop_index();
        }
        Ok(())
    }

    /// Gives back what an idle log does not need: its index in memory and its open file. The next append takes them again.
    fn rest(&self) {
        let mut writer = self.writer.lock();
        let is_idle = writer.since_checkpoint == 0 && self.durable() == self.end();
        if is_idle && !self.is_closed.load(Acquire) && writer.index.take().is_some() {
            writer.active.drop_index();
            // All of it is durable, so a close has nothing left to fail at.
            let _ = writer.active.log().close();
        }
    }
}
