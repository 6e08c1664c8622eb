//! When scrubbing reads its pieces: for as long as the broker is open, each some time after the one before.
//!
//! It has timers, and so a thread, of its own: a disk that fails over a sector tries for many seconds, and neither a linger nor a
//! sync is to wait for that. Without an interval there is neither thread nor timer.

use std::time::Duration;

use super::shared::Shared;
use crate::log::Log;
use crate::sync::Arc;

impl Shared {
    /// Begins the first round, where there is any scrubbing.
    pub(super) fn start_scrubbing(self: &Arc<Self>) {
        if self.scrubber.is_some() {
            self.schedule_scrub(Duration::ZERO);
        }
    }

    /// Has a piece read after `wait`, unless the broker is closed or gone by then.
    fn schedule_scrub(self: &Arc<Self>, wait: Duration) {
        let weak = Arc::downgrade(self);
        let deadline = self.background.clock.monotonic().saturating_add(wait);
        self.background.scrubs.schedule(deadline, move || {
            if let Some(shared) = weak.upgrade()
                && let Some(scrubber) = &shared.scrubber
                && shared.check_open().is_ok()
            {
                let wait = scrubber.work(|| shared.logs_to_scrub());
                shared.schedule_scrub(wait);
            }
        });
    }

    /// Every log there is, beginning with another one each time: brokers that are never open for a whole round get to all of
    /// them in the end.
    fn logs_to_scrub(&self) -> Vec<Arc<Log>> {
        let mut logs = self.catalog.logs();
        let first = self.random().usize(..logs.len().max(1));
        logs.rotate_left(first);
        logs
    }
}
