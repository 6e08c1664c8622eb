//! JoinGroup: a new member, one that is known, or a static one in the place of its predecessor.

use super::super::config::GroupConfig;
use super::super::description::GroupState;
use super::super::reply::{Promise, Reply, promise};
use super::super::requests::{JoinRequest, Joined, MemberRef};
use super::effects::{Effects, Now};
use super::group::ClassicGroup;
use super::member::Member;
use crate::error::{Error, Result};
use crate::sync::Arc;

impl ClassicGroup {
    /// Lets a member in, who gets `fresh_id` if it has no id yet. What is refused leaves the group as it was.
    pub(in crate::group) fn join(
        &mut self,
        request: JoinRequest,
        fresh_id: String,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Result<Reply<Result<Joined>>> {
        if request.member_id.is_empty() {
            self.join_new(request, fresh_id, now, config, effects)
        } else {
            self.join_again(request, now, config, effects)
        }
    }

    fn join_new(
        &mut self,
        request: JoinRequest,
        id: String,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Result<Reply<Result<Joined>>> {
        let predecessor =
            request.instance_id.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        self.check_size(predecessor.as_deref(), config)?;
        self.check_protocols(&request, predecessor.as_deref())?;
        let (promise, reply) = promise();
        if let Some(predecessor) = predecessor {
            self.succeed(&predecessor, id, request, promise, now, config, effects);
            return Ok(reply);
        }
        self.begin();
        let reason = because(&format!("{id} joined"), &request.reason);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if let Some(initial) = self.joining.as_mut().and_then(|joining| joining.initial.as_mut()) {
            initial.has_newcomers = true;
        }
        let mut member = Member::new(request, now.monotonic);
        member.awaiting_join = Some(promise);
        self.watch(&mut member, now, effects);
        self.members.insert(id, member);
        self.rebalance(&reason, now, config, effects);
        Ok(reply)
    }

    fn join_again(
        &mut self,
        request: JoinRequest,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Result<Reply<Result<Joined>>> {
        let id = request.member_id.clone();
        let asking = MemberRef {
            group: self.name.clone(),
            member_id: id.clone(),
            instance_id: request.instance_id.clone(),
            generation: self.generation,
        };
        let is_same = self.check_member(&asking)?.protocols == request.protocols;
        self.check_size(Some(&id), config)?;
        self.check_protocols(&request, Some(&id))?;
        let is_leader = self.leader.as_ref() == Some(&id);
        let (promise, reply) = promise();
        let is_over = match self.state {
            // It has not heard the answer, or the leader has nothing new to say.
            GroupState::CompletingRebalance => is_same,
            // A leader joins again because it wants to assign anew.
            GroupState::Stable => is_same && !is_leader,
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => false,
        };
        if is_over {
            let joined = self.joined(&id, true);
            effects.answer_join(promise, Ok(joined));
            if let Some(member) = self.members.get_mut(&id) {
                member.presence = request.presence;
                member.touch(now.monotonic);
            }
            return Ok(reply);
        }
        let why = if is_leader { ", the leader, asked for it" } else { " subscribes to something else" };
        let reason = because(&format!("{id}{why}"), &request.reason);
        let rebalancing = self.rebalancing();
        if let Some(member) = self.members.get_mut(&id) {
            member.update(request, now.monotonic);
            if let Some(former) = member.awaiting_join.replace(promise) {
                effects.answer_join(former, Err(rebalancing));
            }
        }
        if self.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined(now, effects);
        } else {
            self.rebalance(&reason, now, config, effects);
        }
        Ok(reply)
    }

    /// Lets a static member take the place of the one that came as the same instance before.
    #[expect(clippy::too_many_arguments, reason = "each is one of its own, and there is one caller")]
    fn succeed(
        &mut self,
        predecessor: &str,
        id: String,
        request: JoinRequest,
        promise: Promise<Result<Joined>>,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        let Some(mut former) = self.members.remove(predecessor) else { return };
        let instance_id = request.instance_id.clone().unwrap_or_default();
        let fenced = || Error::FencedInstance { group: self.name.clone(), instance_id: instance_id.clone() };
        if let Some(promise) = former.awaiting_join.take() {
            effects.answer_join(promise, Err(fenced()));
        }
        if let Some(promise) = former.awaiting_sync.take() {
            effects.answer_sync(promise, Err(fenced()));
        }
        effects.is_changed = true;
        let reason = because(&format!("{id} came in the place of {predecessor}"), &request.reason);
        let mut member = Member::new(request, now.monotonic);
        member.assignment = Arc::clone(&former.assignment);
        (member.is_new, member.has_synced) = (former.is_new, former.has_synced);
        let subscribes_alike = former.topics(self.protocol()) == member.topics(self.protocol());
        self.watch(&mut member, now, effects);
        if self.leader.as_deref() == Some(predecessor) {
            self.leader = Some(id.clone());
        }
        self.instances.insert(instance_id, id.clone());
        self.members.insert(id.clone(), member);
        self.history.rename(predecessor, &id);
        if self.state == GroupState::Stable && self.vote() == self.protocol && subscribes_alike {
            let mut joined = self.joined(&id, true);
            joined.skip_assignment = joined.leader == id;
            return effects.answer_join(promise, Ok(joined));
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.awaiting_join = Some(promise);
        }
        self.rebalance(&reason, now, config, effects);
    }

    /// Adds a member's own deadline.
    fn watch(&self, member: &mut Member, now: Now, effects: &mut Effects) {
        if let Ok(deadline) = member.look(now.monotonic) {
            effects.add_deadline(deadline);
        }
    }

    /// Refuses one more than there may be. While members are joining anew, those count that have, so the last ones are left out.
    fn check_size(&self, known: Option<&str>, config: &GroupConfig) -> Result<()> {
        let limit = config.group_max_size;
        let known = known.and_then(|id| self.members.get(id));
        let is_full = match self.state {
            GroupState::Empty | GroupState::Dead => false,
            GroupState::PreparingRebalance => {
                let awaiting = self.members.values().filter(|member| member.awaiting_join.is_some());
                known.is_none_or(|known| known.awaiting_join.is_none()) && awaiting.count() >= limit
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                known.is_none() && self.members.len() >= limit
            }
        };
        if is_full { Err(Error::GroupFull { group: self.name.clone(), limit }) } else { Ok(()) }
    }

    /// Refuses who has nothing in common with all others.
    fn check_protocols(&self, request: &JoinRequest, known: Option<&str>) -> Result<()> {
        let offered = || {
            let names = request.protocols.iter().map(|offered| offered.name.as_str());
            format!("{} {:?}", request.protocol_type, names.collect::<Vec<_>>())
        };
        let inconsistent = |needed: String| {
            Err(Error::InconsistentProtocols { group: self.name.clone(), offered: offered(), needed })
        };
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return inconsistent("a protocol type and an assignor".to_owned());
        }
        if self.members.is_empty() {
            return Ok(());
        }
        let is_consistent = self.protocol_type.as_ref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|offered| self.is_common(&offered.name, known));
        if is_consistent {
            return Ok(());
        }
        let others = self.members.iter().find(|(id, _)| Some(id.as_str()) != known).map(|(_, member)| member);
        let names = others.iter().flat_map(|member| &member.protocols).map(|offered| offered.name.as_str());
        let common: Vec<&str> = names.filter(|name| self.is_common(name, known)).collect();
        inconsistent(format!("{} {common:?}", self.protocol_type.as_deref().unwrap_or_default()))
    }
}

/// A reason with the one that the member gave, if it did.
pub(super) fn because(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}
