//! From one generation to the next: members are asked to join again, waited for, and told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::config::GroupConfig;
use super::super::description::GroupState;
use super::effects::{Effects, Now};
use super::group::{ClassicGroup, InitialDelay, JoinPhase};
use super::member::Member;
use crate::error::Error;
use crate::sync::Arc;

impl ClassicGroup {
    /// Begins a rebalance, or lets the one that goes on end if all have joined.
    pub(super) fn rebalance(&mut self, reason: &str, now: Now, config: &GroupConfig, effects: &mut Effects) {
        self.history.note(reason, now);
        if self.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined(now, effects);
        } else {
            self.prepare(now, config, effects);
        }
    }

    fn prepare(&mut self, now: Now, config: &GroupConfig, effects: &mut Effects) {
        if self.state == GroupState::CompletingRebalance {
            let name = self.name.clone();
            for member in self.members.values_mut() {
                member.assignment = Arc::default();
                if let Some(promise) = member.awaiting_sync.take() {
                    let rebalancing = Error::RebalanceInProgress { group: name.clone() };
                    effects.answer_sync(promise, Err(rebalancing));
                }
            }
        }
        let delay = config.initial_rebalance_delay;
        let is_initial = self.state == GroupState::Empty && !delay.is_zero();
        self.sync_deadline = None;
        self.enter(GroupState::PreparingRebalance, now, effects);
        let timeout = self.rebalance_timeout();
        let initial =
            is_initial.then(|| InitialDelay { left: timeout.saturating_sub(delay), has_newcomers: false });
        self.wait_for_joins(if is_initial { delay } else { timeout }, initial, now, effects);
        self.complete_if_all_joined(now, effects);
    }

    fn wait_for_joins(
        &mut self,
        timeout: Duration,
        initial: Option<InitialDelay>,
        now: Now,
        effects: &mut Effects,
    ) {
        let deadline = now.monotonic.saturating_add(timeout);
        self.joining = Some(JoinPhase { deadline, initial });
        effects.add_deadline(deadline);
    }

    /// Ends the wait for members, if nobody else is waited for.
    pub(super) fn complete_if_all_joined(&mut self, now: Now, effects: &mut Effects) {
        let is_initial = self.joining.as_ref().is_some_and(|joining| joining.initial.is_some());
        let are_all_there = self.members.values().all(|member| member.awaiting_join.is_some());
        // Nobody at all is not worth a delay.
        let may_end = !is_initial || self.members.is_empty();
        if self.state == GroupState::PreparingRebalance && may_end && are_all_there {
            self.complete(now, effects);
        }
    }

    /// The wait for members is over: who has not come by now does not come along.
    pub(super) fn join_phase_ends(&mut self, now: Now, config: &GroupConfig, effects: &mut Effects) {
        let initial = self.joining.as_mut().and_then(|joining| joining.initial.as_mut());
        if let Some(initial) = initial
            && initial.has_newcomers
            && !initial.left.is_zero()
        {
            let longer = config.initial_rebalance_delay.min(initial.left);
            let left = initial.left.saturating_sub(longer);
            let initial = InitialDelay { left, has_newcomers: false };
            return self.wait_for_joins(longer, Some(initial), now, effects);
        }
        self.complete(now, effects);
    }

    fn complete(&mut self, now: Now, effects: &mut Effects) {
        // A static one may still come back, or another in its place.
        let is_missing =
            |member: &Member| !member.is_static() && (member.awaiting_join.is_none() || member.is_lost());
        let missing = self.members.iter().filter(|(_, member)| is_missing(member));
        let missing: Vec<(String, bool)> =
            missing.map(|(id, member)| (id.clone(), member.is_lost())).collect();
        for (id, is_lost) in missing {
            let what = if is_lost { "went away before it was in" } else { "did not join again in time" };
            self.history.note(&format!("{id} {what}"), now);
            self.remove(&id, effects);
        }
        if self.members.is_empty() {
            return self.become_empty(now, effects);
        }
        if !self.elect_leader() {
            // Only static members are left, and none has come: they have until their sessions end.
            let timeout = self.rebalance_timeout();
            return self.wait_for_joins(timeout, None, now, effects);
        }
        self.joining = None;
        self.generation = self.generation.saturating_add(1);
        self.protocol = self.vote();
        self.note_subscriptions();
        self.enter(GroupState::CompletingRebalance, now, effects);
        let deadline = now.monotonic.saturating_add(self.rebalance_timeout());
        self.sync_deadline = Some(deadline);
        effects.add_deadline(deadline);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id, true);
            let Some(member) = self.members.get_mut(&id) else { continue };
            (member.is_new, member.has_synced) = (false, false);
            member.touch(now.monotonic);
            if let Ok(deadline) = member.look(now.monotonic) {
                effects.add_deadline(deadline);
            }
            if let Some(promise) = member.awaiting_join.take() {
                effects.answer_join(promise, Ok(joined));
            }
        }
    }

    fn become_empty(&mut self, now: Now, effects: &mut Effects) {
        self.joining = None;
        self.sync_deadline = None;
        self.generation = self.generation.saturating_add(1);
        (self.protocol, self.leader, self.subscribed) = (None, None, None);
        self.enter(GroupState::Empty, now, effects);
        self.history.finish(self.generation, now, BTreeMap::new());
        (effects.is_emptied, effects.is_settled) = (true, true);
    }
}
