//! One fsync for all who wait for one.
//!
//! Whoever needs a sync and finds nobody leading becomes the leader of a round; everyone else waits for a round to end and
//! looks again. A round covers what had been appended when it started, so a waiter needs at most the round that runs
//! and the one after it.

use crate::sync::{Condvar, Mutex};

/// Elects the leader of each round; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    /// Whether somebody leads a round. Never held over the sync itself.
    is_led: Mutex<bool>,
    ended: Condvar,
}

/// The right, and the duty, to run one round; dropping it ends the round.
#[derive(Debug)]
pub(crate) struct Leadership<'a> {
    group: &'a GroupCommit,
}

impl GroupCommit {
    /// Leads a round, or waits until the one that runs has ended and gives `None`.
    pub(crate) fn lead_or_wait(&self) -> Option<Leadership<'_>> {
        let mut is_led = self.is_led.lock();
        if *is_led {
            self.ended.wait(&mut is_led);
            return None;
        }
        *is_led = true;
        Some(Leadership { group: self })
    }
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        *self.group.is_led.lock() = false;
        self.group.ended.notify_all();
    }
}
