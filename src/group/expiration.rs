//! Forgetting: offsets that nobody has needed for `offsets.retention.minutes`, and groups of which nothing is left.
//!
//! Nobody looks before anything can be due, nor more often than every `offsets.retention.check.interval.ms`.

use std::time::Duration;

use super::cell::Cell;
use super::classic::Now;
use super::coordinator::Coordinator;
use super::looks::Times;
use crate::error::{Chain, Result};
use crate::offset::Timestamp;
use crate::sync::{Arc, Weak};

impl Coordinator {
    /// After an open: looks when the first thing is due.
    pub(super) fn look_when_due(&self) {
        let due = self.cells().iter().filter_map(|cell| cell.state.lock().first_due(&self.config)).min();
        if let Some(due) = due {
            self.look_at(due, self.now());
        }
    }

    /// Sees to it that a look is taken once something is `due`.
    pub(super) fn look_at(&self, due: Timestamp, now: Now) {
        let wait = due.as_millis().saturating_sub(now.wall.as_millis());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        let deadline = {
            let mut times = self.looks.times.lock();
            let earliest = times.last.map(|last| last.saturating_add(self.config.retention_check_interval));
            let deadline = now.monotonic.saturating_add(wait).max(earliest.unwrap_or_default());
            if times.next.is_some_and(|next| next <= deadline) {
                return;
            }
            times.next = Some(deadline);
            deadline
        };
        let this = Weak::clone(&self.this);
        self.timers.schedule(deadline, move || {
            if let Some(this) = this.upgrade() {
                this.look(deadline);
            }
        });
    }

    fn look(&self, deadline: Duration) {
        let now = self.now();
        {
            let mut times = self.looks.times.lock();
            if times.next != Some(deadline) {
                return;
            }
            *times = Times { next: None, last: Some(now.monotonic) };
        }
        let mut first = None;
        for cell in self.cells() {
            match self.expire(&cell) {
                Ok(due) => first = first.into_iter().chain(due).min(),
                Err(error) => {
                    ::log::warn!("group {}: expired offsets are kept: {}", cell.name, Chain(&error));
                    first = Some(now.wall);
                }
            }
        }
        if let Some(due) = first {
            self.look_at(due, now);
        }
    }

    /// Forgets what is due of one group; when more will be.
    fn expire(&self, cell: &Arc<Cell>) -> Result<Option<Timestamp>> {
        self.act(cell, |data, now, effects| {
            let changes = data.expired(&self.config, now.wall);
            if !changes.is_empty() {
                let existed = data.classic.exists();
                let _ = self.store(cell, data, changes, now)?;
                effects.is_changed = existed && !data.classic.exists();
            }
            Ok(data.first_due(&self.config))
        })
    }
}
