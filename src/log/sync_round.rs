//! Durability: rounds of fsync, and what a failed one means.
//!
//! A round covers everything appended when it starts: segments that were rolled before they were synced, then the
//! directory where it has new entries, then the active file. Only then does the durable offset move, first in the
//! partition's slot, then for those who wait.
//!
//! A failed round poisons the partition. It is never tried again, because the page cache cannot be trusted then: the system
//! may have dropped what it could not write, and would report success for the rest.

use super::partition_log::Log;
use crate::error::{Chain, Error, Result};
use crate::offset::Offset;
use crate::sync::{Arc, Relaxed, Release};

impl Log {
    /// Returns once everything appended before the call is on the device, with the offset up to which it is.
    pub(crate) fn sync(&self) -> Result<Offset> {
        self.check_open()?;
        self.sync_through(self.end())
    }

    /// Returns once everything below `target` is on the device. From now on room is made that is fast to sync.
    pub(crate) fn sync_through(&self, target: Offset) -> Result<Offset> {
        self.sync_is_wanted.store(true, Relaxed);
        self.sync_to(target)
    }

    /// Returns once everything below `target` is on the device.
    pub(super) fn sync_to(&self, target: Offset) -> Result<Offset> {
        loop {
            let durable = self.durable();
            if durable >= target {
                return Ok(durable);
            }
            self.check_exists()?;
            if let Some(source) = self.poison.get() {
                return Err(Error::Poisoned {
                    topic: self.name.topic().to_owned(),
                    partition: self.name.partition(),
                    durable,
                    source: Arc::clone(source),
                });
            }
            if let Some(leadership) = self.group.lead_or_wait() {
                self.run_round();
                drop(leadership);
            }
        }
    }

    fn run_round(&self) {
        // The end first: whatever is appended from here on belongs to the next round.
        let end = self.end();
        if self.durable() >= end || self.poison.get().is_some() || self.check_exists().is_err() {
            return;
        }
        self.counters.sync_rounds.bump();
        match self.sync_files() {
            Ok(()) => {
                if let Err(error) = self.slot.write(end) {
                    // Recovery then knows less, and takes more of the log for possibly torn.
                    log::warn!("{}: cannot note the durable offset {end}: {error}", self.name);
                }
                self.publish_durable(end);
            }
            Err(error) => {
                log::error!(
                    "{}: a sync failed, so the partition takes no more appends: {}",
                    self.name,
                    Chain(&error)
                );
                self.counters.sync_failures.bump();
                // A second failure changes nothing: the first is the one that is told.
                let _ = self.poison.set(Arc::new(error));
                self.watchers().tell();
            }
        }
    }

    /// Syncs all that has been appended: older segments, then the directory, then the active file.
    pub(super) fn sync_files(&self) -> Result<()> {
        // The list before the rolled segments: a segment that is rolled in between is in both, never in neither.
        let segments = self.segments.load_full();
        let rolled = self.unsynced.lock().clone();
        for segment in &rolled {
            segment.log().sync_data()?;
        }
        if self.dir_is_unsynced.swap(false, Relaxed) {
            let synced = self.dir.storage().sync_dir(&self.path);
            synced.map_err(Error::io("sync", &self.path)).inspect_err(|_| {
                self.dir_is_unsynced.store(true, Release);
            })?;
        }
        segments.active().log().sync_data()?;
        self.unsynced.lock().retain(|segment| !rolled.iter().any(|synced| Arc::ptr_eq(synced, segment)));
        Ok(())
    }
}
