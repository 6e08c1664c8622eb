//! The state of one group, and what its steps have in common: who is a member, who leads, which protocol is common to all.
//!
//! ```text
//!                      a member joins                    all have joined
//!   Dead ─► Empty ───────────────────► PreparingRebalance ─────────────► CompletingRebalance
//!             ▲                          │   ▲     ▲                         │         │
//!             └──────────────────────────┘   │     └─────────────────────────┘         │ the leader has synced
//!                  nobody is left            └──────────────────── Stable ◄────────────┘
//! ```
//!
//! Invariants: the generation only grows; in `Empty` and `Dead` there are no members; who waits for a join or a sync is a member, and
//! is answered when it ceases to be one; a protocol is common to all members.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::description::{GroupListing, GroupState, MemberDescription};
use super::super::group_record::GroupRecord;
use super::super::member_data::{decode_assignment, decode_subscription};
use super::super::rebalance_report::RebalanceReport;
use super::super::requests::{Joined, JoinedMember, MemberRef};
use super::effects::{Effects, Now};
use super::history::History;
use super::member::Member;
use crate::error::{Error, Result};
use crate::offset::Timestamp;
use crate::sync::Arc;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

#[derive(Debug, Default)]
pub(in crate::group) struct ClassicGroup {
    pub(super) name: String,
    pub(super) state: GroupState,
    pub(super) generation: i32,
    /// None until it has had members.
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// The static members, by their instance ids.
    pub(super) instances: BTreeMap<String, String>,
    /// Since when it is in its state.
    pub(super) since: Option<Timestamp>,
    pub(super) joining: Option<JoinPhase>,
    /// By when all members must have asked for their shares. None once they have.
    pub(super) sync_deadline: Option<Duration>,
    /// The topics that any member subscribes to, where all are consumers.
    pub(super) subscribed: Option<BTreeSet<String>>,
    pub(super) history: History,
}

/// Until when members are waited for.
#[derive(Debug)]
pub(super) struct JoinPhase {
    pub(super) deadline: Duration,
    /// The first members of a group are waited for even when all are there.
    pub(super) initial: Option<InitialDelay>,
}

#[derive(Debug)]
pub(super) struct InitialDelay {
    /// How much longer it may become.
    pub(super) left: Duration,
    /// Whether anybody has come since it began, or was last made longer.
    pub(super) has_newcomers: bool,
}

impl ClassicGroup {
    pub(in crate::group) fn new(name: &str) -> ClassicGroup {
        ClassicGroup { name: name.to_owned(), ..ClassicGroup::default() }
    }

    /// Takes in what a record says. Members lived in a process that is gone.
    pub(in crate::group) fn restore(&mut self, record: GroupRecord, opened: Timestamp) {
        self.state = GroupState::Empty;
        // One below 0 means none to who commits.
        self.generation = record.generation.max(0);
        self.protocol_type = Some(record.protocol_type).filter(|text| !text.is_empty());
        self.since = if record.members.is_empty() { record.since } else { Some(opened) };
    }

    /// Lets it be, if it is not yet.
    pub(in crate::group) fn begin(&mut self) {
        if self.state == GroupState::Dead {
            self.state = GroupState::Empty;
        }
    }

    /// Lets it be no more. Only one without members.
    pub(in crate::group) fn delete(&mut self) {
        *self = ClassicGroup::new(&self.name);
    }

    pub(in crate::group) fn state(&self) -> GroupState {
        self.state
    }

    pub(in crate::group) fn generation(&self) -> i32 {
        self.generation
    }

    pub(in crate::group) fn exists(&self) -> bool {
        self.state != GroupState::Dead
    }

    pub(in crate::group) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(in crate::group) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// Since when it is in its state.
    pub(in crate::group) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The topics that members subscribe to, where that is known.
    pub(in crate::group) fn subscribed(&self) -> Option<&BTreeSet<String>> {
        self.subscribed.as_ref()
    }

    pub(in crate::group) fn listing(&self) -> GroupListing {
        GroupListing {
            group: self.name.clone(),
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.len(),
        }
    }

    pub(in crate::group) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub(in crate::group) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    pub(in crate::group) fn rebalances(&self) -> Vec<RebalanceReport> {
        self.history.reports()
    }

    pub(in crate::group) fn describe_members(&self) -> Vec<MemberDescription> {
        let describe = |(id, member): (&String, &Member)| {
            let protocol =
                self.protocol.as_deref().or(member.protocols.first().map(|first| first.name.as_str()));
            let metadata = member.metadata(protocol.unwrap_or_default());
            MemberDescription {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                topics: decode_subscription(metadata).map(|read| read.topics).unwrap_or_default(),
                assigned: decode_assignment(&member.assignment)
                    .map(|(assigned, _)| assigned)
                    .unwrap_or_default(),
                session_timeout: member.session_timeout,
                rebalance_timeout: member.rebalance_timeout,
            }
        };
        self.members.iter().map(describe).collect()
    }

    /// Answers everybody who waits, because there will be nothing more.
    pub(in crate::group) fn close(&mut self, effects: &mut Effects) {
        for member in self.members.values_mut() {
            if let Some(promise) = member.awaiting_join.take() {
                effects.answer_join(promise, Err(Error::Closed));
            }
            if let Some(promise) = member.awaiting_sync.take() {
                effects.answer_sync(promise, Err(Error::Closed));
            }
        }
        effects.is_changed = true;
    }

    /// The member that asks, if it is one, and no other has come in its place.
    pub(super) fn check_member(&mut self, asking: &MemberRef) -> Result<&mut Member> {
        if let Some(instance_id) = &asking.instance_id
            && let Some(member_id) = self.instances.get(instance_id)
            && *member_id != asking.member_id
        {
            let (group, instance_id) = (self.name.clone(), instance_id.clone());
            return Err(Error::FencedInstance { group, instance_id });
        }
        let unknown = Error::UnknownMember { group: self.name.clone(), member_id: asking.member_id.clone() };
        let member = self.members.get_mut(&asking.member_id).ok_or(unknown)?;
        match &asking.instance_id {
            // It was another kind of member, or is one by another name.
            Some(instance_id) if member.instance_id.as_ref() != Some(instance_id) => {
                Err(Error::UnknownMember { group: self.name.clone(), member_id: asking.member_id.clone() })
            }
            Some(_) | None => Ok(member),
        }
    }

    /// As [`check_member`](Self::check_member), and it is of this generation.
    pub(super) fn check_generation(&mut self, asking: &MemberRef) -> Result<&mut Member> {
        let current = self.generation;
        let illegal =
            Error::IllegalGeneration { group: self.name.clone(), generation: asking.generation, current };
        let member = self.check_member(asking)?;
        if asking.generation == current { Ok(member) } else { Err(illegal) }
    }

    pub(super) fn rebalancing(&self) -> Error {
        Error::RebalanceInProgress { group: self.name.clone() }
    }

    pub(super) fn unknown(&self, member_id: &str) -> Error {
        Error::UnknownMember { group: self.name.clone(), member_id: member_id.to_owned() }
    }

    /// How long the slowest member may take.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(Member::poll_timeout).max().unwrap_or(Duration::from_millis(1))
    }

    /// Whether all members but `except` offer a protocol.
    pub(super) fn is_common(&self, protocol: &str, except: Option<&str>) -> bool {
        let others = self.members.iter().filter(|(id, _)| Some(id.as_str()) != except);
        others.into_iter().all(|(_, member)| member.offers(protocol))
    }

    /// The protocol with the most votes: each member has one, for the first in its list that is common to all. Where two have as
    /// many, the one that the leader likes better.
    pub(super) fn vote(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader))?;
        let names = leader.protocols.iter().map(|offered| offered.name.as_str());
        let common: Vec<&str> = names.filter(|name| self.is_common(name, None)).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut liked = member.protocols.iter().map(|offered| offered.name.as_str());
            if let Some(choice) = liked.find(|name| common.contains(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let count = |name: &&&str| votes.get(**name).copied().unwrap_or(0);
        // The last of those with the most, so the leader's favourite goes last.
        common.iter().rev().max_by_key(count).map(|name| (*name).to_owned())
    }

    /// Lets the first who joined lead, as long as it is there.
    pub(super) fn elect_leader(&mut self) -> bool {
        let awaits = |member: &Member| member.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(awaits) {
            return true;
        }
        let other = self.members.iter().find(|(_, member)| awaits(member));
        let Some((id, _)) = other else { return false };
        self.leader = Some(id.clone());
        true
    }

    /// What a member is told that is in this generation.
    pub(super) fn joined(&self, member_id: &str, tells_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let is_assigned = self.state == GroupState::Stable;
        let tell = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol).to_vec(),
            assignment: if is_assigned { Arc::clone(&member.assignment) } else { Arc::default() },
        };
        let is_leader = self.leader.as_deref() == Some(member_id);
        let members =
            if is_leader && tells_members { self.members.iter().map(tell).collect() } else { Vec::new() };
        Joined {
            generation: self.generation,
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.to_owned(),
            members,
            skip_assignment: false,
            protocol,
        }
    }

    /// Notes what the members subscribe to, if all of them are consumers.
    pub(super) fn note_subscriptions(&mut self) {
        self.subscribed = None;
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let topics = self.members.values().map(|member| decode_subscription(member.metadata(protocol)));
        let topics: Result<Vec<_>, String> = topics.map(|read| read.map(|read| read.topics)).collect();
        self.subscribed = topics.ok().map(|topics| topics.into_iter().flatten().collect());
    }

    pub(super) fn enter(&mut self, state: GroupState, now: Now, effects: &mut Effects) {
        self.state = state;
        self.since = Some(now.wall);
        effects.is_changed = true;
    }
}
