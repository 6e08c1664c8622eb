//! Syncs that a topic asks for: after so many records, or so long after an append. And the settings themselves, which may
//! change while the log is open.
//!
//! Such a sync is no part of the append that brings it about: the records are stored and readable before it begins. Should
//! it fail, the append has happened all the same; the partition is poisoned, the log says so, and so does every append from
//! then on.

use std::time::Duration;

use super::config::TopicConfig;
use super::flush_timer::Fired;
use super::partition_log::Log;
use super::writer::Appended;
use crate::sync::{Arc, Weak};

impl Log {
    /// Works by other settings from the next append on.
    pub(crate) fn set_config(&self, config: TopicConfig) {
        let interval = config.flush_interval;
        self.config.store(Arc::new(config));
        if let Some(interval) = interval
            && self.durable() < self.end()
        {
            self.note_unsynced(interval, false);
        }
    }

    /// Syncs after an append, or sees to it that somebody will, if the topic asks for it. No lock is held.
    pub(super) fn flush_after(&self, appended: &Appended, config: &TopicConfig) {
        let unsynced = || appended.end.delta_from(self.durable()).unwrap_or(0);
        if config.flush_messages.is_some_and(|count| unsynced() >= count) {
            // A failure is told by the round, and by the next append.
            let _ = self.sync_through(appended.end);
        }
        if let Some(interval) = config.flush_interval {
            let durable = self.durable();
            if durable < appended.end {
                self.note_unsynced(interval, durable >= appended.start);
            }
        }
    }

    fn note_unsynced(&self, interval: Duration, is_oldest: bool) {
        let now = self.dir.clock.monotonic();
        if let Some(deadline) = self.flush_timer.note(now, interval, is_oldest) {
            self.schedule_flush(deadline);
        }
    }

    fn schedule_flush(&self, deadline: Duration) {
        let log = Weak::clone(&self.this);
        self.dir.timers.schedule(deadline, move || {
            if let Some(log) = log.upgrade() {
                log.flush_due(deadline);
            }
        });
    }

    fn flush_due(&self, deadline: Duration) {
        let interval = self.config.load().flush_interval;
        let now = self.dir.clock.monotonic();
        match self.flush_timer.fire(deadline, now, interval, self.durable() < self.end()) {
            Fired::Nothing => {}
            Fired::Later(due) => self.schedule_flush(due),
            // A log that is closed has synced; a failure is told by the round, and by the next append.
            Fired::Sync => drop(self.sync()),
        }
    }
}
