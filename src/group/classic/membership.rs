//! Heartbeats, commits and leaving: who is a member, and stays one.

use super::super::config::GroupConfig;
use super::super::description::GroupState;
use super::super::requests::{MemberRef, Presence};
use super::effects::{Effects, Now};
use super::group::ClassicGroup;
use super::join::because;
use crate::error::{Error, Result};
use crate::sync::Arc;

impl ClassicGroup {
    pub(in crate::group) fn heartbeat(&mut self, asking: &MemberRef, now: Now) -> Result<()> {
        let state = self.state;
        self.check_generation(asking)?.touch(now.monotonic);
        if state == GroupState::PreparingRebalance { Err(self.rebalancing()) } else { Ok(()) }
    }

    /// Refuses a commit of one who may not, as the group is now.
    pub(in crate::group) fn check_commit(&mut self, asking: &MemberRef, now: Now) -> Result<()> {
        if asking.generation < 0 && self.members.is_empty() {
            // Somebody who takes its partitions itself.
            return Ok(());
        }
        if !self.exists() {
            let (group, generation) = (self.name.clone(), asking.generation);
            return Err(Error::IllegalGeneration { group, generation, current: 0 });
        }
        let state = self.state;
        let member = self.check_generation(asking)?;
        if state == GroupState::CompletingRebalance {
            return Err(self.rebalancing());
        }
        member.touch(now.monotonic);
        Ok(())
    }

    /// Lets a member go at once. A static one may be named by its instance alone.
    pub(in crate::group) fn leave(
        &mut self,
        leaving: &MemberRef,
        reason: &str,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Result<()> {
        let by_instance = leaving.instance_id.as_ref().and_then(|instance| self.instances.get(instance));
        let id = match by_instance {
            Some(id) if leaving.member_id.is_empty() => id.clone(),
            Some(_) | None => {
                self.check_member(leaving)?;
                leaving.member_id.clone()
            }
        };
        self.remove(&id, effects);
        self.rebalance(&because(&format!("{id} left"), reason), now, config, effects);
        Ok(())
    }

    /// Notes that a member's handle is gone for good, so that its session ends in time.
    pub(in crate::group) fn note_gone(
        &mut self,
        gone: &MemberRef,
        now: Now,
        effects: &mut Effects,
    ) -> Result<()> {
        let member = self.check_member(gone)?;
        member.gone_since = Some(now.monotonic);
        effects.add_deadline(now.monotonic.saturating_add(member.session_timeout));
        Ok(())
    }

    /// Lets a member go that may not have heard its id yet, if there is one: in this process it is known by its presence too. A static one
    /// is expected back.
    pub(in crate::group) fn withdraw(
        &mut self,
        presence: &Arc<Presence>,
        reason: &str,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Result<()> {
        let is_its = |known: &Arc<Presence>| Arc::ptr_eq(known, presence);
        let found = self.members.iter().find(|(_, member)| member.presence.as_ref().is_some_and(is_its));
        let Some((id, member)) = found else { return Ok(()) };
        let leaving = MemberRef {
            group: self.name.clone(),
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            generation: self.generation,
        };
        match leaving.instance_id {
            Some(_) => self.note_gone(&leaving, now, effects),
            None => self.leave(&leaving, reason, now, config, effects),
        }
    }

    /// Takes a member out. What it waits for is answered.
    pub(super) fn remove(&mut self, id: &str, effects: &mut Effects) {
        let Some(mut member) = self.members.remove(id) else { return };
        effects.is_changed = true;
        if let Some(promise) = member.awaiting_join.take() {
            effects.answer_join(promise, Err(self.unknown(id)));
        }
        if let Some(promise) = member.awaiting_sync.take() {
            effects.answer_sync(promise, Err(self.unknown(id)));
        }
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }
}
