//! What happens when nothing does: sessions end, and nobody is waited for any longer than was agreed.

use std::time::Duration;

use super::super::config::GroupConfig;
use super::effects::{Effects, Now};
use super::group::ClassicGroup;

impl ClassicGroup {
    /// Does all that is due, and tells when anything will be next.
    pub(in crate::group) fn run_due(
        &mut self,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Option<Duration> {
        self.end_sessions(now, config, effects);
        if self.joining.as_ref().is_some_and(|joining| joining.deadline <= now.monotonic) {
            self.join_phase_ends(now, config, effects);
        }
        if self.sync_deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            self.sync_phase_ends(now, config, effects);
        }
        self.next_due(now)
    }

    fn next_due(&mut self, now: Now) -> Option<Duration> {
        let sessions =
            self.members.values_mut().map(|member| member.look(now.monotonic).unwrap_or(now.monotonic));
        let joining = self.joining.as_ref().map(|joining| joining.deadline);
        sessions.chain(joining).chain(self.sync_deadline).min()
    }

    /// Takes out who has been silent for too long.
    fn end_sessions(&mut self, now: Now, config: &GroupConfig, effects: &mut Effects) {
        let mut silent = Vec::new();
        for (id, member) in &mut self.members {
            if let Err(silence) = member.look(now.monotonic) {
                silent.push((id.clone(), silence.limit));
            }
        }
        let Some(last) = silent.pop() else { return };
        let reason = |(id, limit): &(String, Duration)| format!("{id} was silent for {limit:?}");
        for member in silent {
            self.history.note(&reason(&member), now);
            self.remove(&member.0, effects);
        }
        self.remove(&last.0, effects);
        self.rebalance(&reason(&last), now, config, effects);
    }

    /// Takes out who has joined and never asked for its share.
    fn sync_phase_ends(&mut self, now: Now, config: &GroupConfig, effects: &mut Effects) {
        self.sync_deadline = None;
        let late = self.members.iter().filter(|(_, member)| !member.has_synced);
        let mut late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        let Some(last) = late.pop() else { return };
        let reason = |id: &str| format!("{id} joined, but did not ask for its share in time");
        for id in late {
            self.history.note(&reason(&id), now);
            self.remove(&id, effects);
        }
        self.remove(&last, effects);
        self.rebalance(&reason(&last), now, config, effects);
    }
}
