//! SyncGroup: the leader's assignment goes to be stored, and then to everybody.

use std::collections::BTreeMap;

use super::super::config::GroupConfig;
use super::super::description::GroupState;
use super::super::group_record::{GroupRecord, MemberRecord};
use super::super::reply::{Reply, promise};
use super::super::requests::SyncRequest;
use super::effects::{Effects, Now, Share};
use super::group::ClassicGroup;
use crate::error::{Error, Result};
use crate::offset::TopicPartition;
use crate::sync::Arc;

/// Each member's assignment, encoded, from the leader.
pub(in crate::group) type Assignments = BTreeMap<String, Vec<u8>>;

impl ClassicGroup {
    /// Takes a member's sync. From the leader it brings assignments, which go to [`assign`](Self::assign) once they are stored,
    /// and nowhere if they cannot be.
    pub(in crate::group) fn sync(
        &mut self,
        request: SyncRequest,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(Reply<Share>, Option<Assignments>)> {
        let rebalancing = || Error::RebalanceInProgress { group: request.member.group.clone() };
        let (state, leader) = (self.state, self.leader.clone());
        let member = self.check_generation(&request.member)?;
        if state == GroupState::PreparingRebalance {
            return Err(rebalancing());
        }
        member.touch(now.monotonic);
        member.has_synced = true;
        let (promise, reply) = promise();
        let mut assignments = None;
        if state == GroupState::Stable {
            let assignment = Vec::clone(&member.assignment);
            effects.answer_sync(promise, Ok(assignment));
        } else {
            if let Some(former) = member.awaiting_sync.replace(promise) {
                effects.answer_sync(former, Err(rebalancing()));
            }
            let is_leader = leader.as_ref() == Some(&request.member.member_id);
            assignments = is_leader.then(|| request.assignments.into_iter().collect());
        }
        if self.members.values().all(|member| member.has_synced) {
            self.sync_deadline = None;
        }
        Ok((reply, assignments))
    }

    /// The record that tells of the group, with these assignments.
    pub(in crate::group) fn record(&self, assignments: &Assignments, now: Now) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberRecord {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: String::new(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: member.metadata(protocol).to_vec(),
            assignment: assignments.get(id).cloned().unwrap_or_default(),
        });
        GroupRecord {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: Some(now.wall),
            members: members.collect(),
        }
    }

    /// Gives every member its share: whom the leader has left out gets none.
    pub(in crate::group) fn assign(&mut self, mut assignments: Assignments, now: Now, effects: &mut Effects) {
        self.enter(GroupState::Stable, now, effects);
        let mut shares = BTreeMap::new();
        for (id, member) in &mut self.members {
            member.assignment = Arc::new(assignments.remove(id).unwrap_or_default());
            shares.insert(id.clone(), Arc::clone(&member.assignment));
            if let Some(promise) = member.awaiting_sync.take() {
                effects.answer_sync(promise, Ok(Vec::clone(&member.assignment)));
            }
        }
        self.history.finish(self.generation, now, shares);
        effects.is_settled = true;
    }

    /// Tells everybody that the assignment could not be stored, and asks them to join again.
    pub(in crate::group) fn fail_to_assign(
        &mut self,
        error: Error,
        log: &TopicPartition,
        now: Now,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        let source = Arc::new(error);
        for member in self.members.values_mut() {
            member.has_synced = false;
            if let Some(promise) = member.awaiting_sync.take() {
                let (topic, partition) = (log.topic().to_owned(), log.partition());
                let source = Arc::clone(&source);
                effects.answer_sync(promise, Err(Error::DeliveryFailed { topic, partition, source }));
            }
        }
        self.rebalance(&format!("the assignment could not be stored: {source}"), now, config, effects);
    }
}
