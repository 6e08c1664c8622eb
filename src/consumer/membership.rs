//! A consumer's side of its membership in a group: what it subscribes to, what the coordinator calls it, and how far it is in
//! joining.
//!
//! ```text
//! Out ── join ──► Joining ── everybody is there ──► Syncing ── the leader has assigned ──► Stable
//!  ▲                 │                                 │                                     │
//!  └──── refused, or the group rebalances again ───────┴──── rebalance, other topics ────────┘
//! ```
//!
//! One that another has come in place of, under its instance's name, stays `Fenced`.
//!
//! It waits in none of them: each step is taken in a poll, once the answer is there, and an answer outlives the poll that
//! asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::config::ConsumerConfig;
use super::rebalance::RebalanceListener;
use super::subscription::Subscription;
use crate::error::{Error, Result, guarded};
use crate::group::{
    self, Assignment, Assignor, GroupChanges, JoinRequest, Joined, JoinedMember, MemberRef,
    MemberSubscription, Presence, PreviousAssignment, Protocol, RebalanceProtocol, Reply, SubscribedTopics,
    Subscriptions, TopicPartitions,
};
use crate::signal::Watcher;
use crate::sync::Arc;
use crate::topic::Catalog;

/// Kafka's name for a group of consumers.
const CONSUMERS: &str = "consumer";
/// The generation of one that has been in none, or whose own is over.
const NO_GENERATION: i32 = -1;

/// See the [module](self).
pub(super) struct Membership {
    pub(super) subscription: Subscription,
    /// Taken out while it is called.
    pub(super) listener: Option<Box<dyn RebalanceListener>>,
    pub(super) presence: Arc<Presence>,
    pub(super) state: State,
    /// Why it has to join, if it has to.
    pub(super) rejoins: Option<String>,
    /// Whether what comes before a join was done: what had to be given up was.
    pub(super) is_prepared: bool,
    /// Whether its partitions may be others' by now.
    pub(super) has_lost: bool,
    /// The catalog's version that was last looked at.
    pub(super) catalog_seen: u64,
    member_id: String,
    generation: i32,
    /// The assignor that the group has chosen.
    assignor: Option<Arc<dyn Assignor>>,
    /// The topics that it joined with.
    topics: Vec<String>,
    /// What the leader, or its predecessor, assigned from: the topics of the whole group, with their partitions. None for all others.
    assigned_from: Option<BTreeMap<String, u32>>,
    /// What it was assigned last, and in which generation.
    previous: (TopicPartitions, Option<i32>),
    changes: Arc<GroupChanges>,
    /// The change that was last looked at.
    seen: u64,
    watcher: Arc<Watcher>,
}

/// How far it is in joining.
#[derive(Debug)]
pub(super) enum State {
    Out,
    Joining(Reply<Result<Joined>>),
    Syncing(Reply<Result<Vec<u8>>>),
    Stable,
    /// Another has come under its name: it stays out until it subscribes anew.
    Fenced,
}

impl Membership {
    pub(super) fn new(
        subscription: Subscription,
        listener: Box<dyn RebalanceListener>,
        changes: Arc<GroupChanges>,
        watcher: &Arc<Watcher>,
        now: Duration,
    ) -> Membership {
        changes.watchers.add(watcher);
        let presence = Arc::new(Presence::default());
        presence.end_poll(now);
        Membership {
            subscription,
            listener: Some(listener),
            presence,
            state: State::Out,
            rejoins: Some("the consumer subscribed".to_owned()),
            is_prepared: false,
            has_lost: false,
            catalog_seen: u64::MAX,
            member_id: String::new(),
            generation: NO_GENERATION,
            assignor: None,
            topics: Vec::new(),
            assigned_from: None,
            previous: (TopicPartitions::new(), None),
            seen: changes.number(),
            changes,
            watcher: Arc::clone(watcher),
        }
    }

    /// Subscribes to something else.
    pub(super) fn subscribe(&mut self, subscription: Subscription, listener: Box<dyn RebalanceListener>) {
        self.subscription = subscription;
        self.listener = Some(listener);
        if matches!(self.state, State::Fenced) {
            self.lose(true);
        }
        self.catalog_seen = u64::MAX;
        self.rejoin("the subscription changed");
    }

    /// Has it join once more.
    pub(super) fn rejoin(&mut self, reason: &str) {
        self.rejoins.get_or_insert_with(|| reason.to_owned());
    }

    /// The topics that it joined with.
    pub(super) fn topics(&self) -> Vec<String> {
        self.topics.clone()
    }

    /// Whether it has a place in the group that the coordinator knows of.
    pub(super) fn is_member(&self) -> bool {
        !self.member_id.is_empty()
    }

    /// Whether it is in a generation, as far as it knows.
    pub(super) fn has_generation(&self) -> bool {
        self.generation != NO_GENERATION && !self.has_lost
    }

    /// Refuses a commit of one that is in no generation.
    pub(super) fn check_generation(&self, group: &str) -> Result<()> {
        let group = group.to_owned();
        match self.generation {
            NO_GENERATION if matches!(self.state, State::Joining(_) | State::Syncing(_)) => {
                Err(Error::RebalanceInProgress { group })
            }
            NO_GENERATION => Err(Error::UnknownMember { group, member_id: self.member_id.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether it waits for what it has asked the group.
    pub(super) fn is_joining(&self) -> bool {
        matches!(self.state, State::Joining(_) | State::Syncing(_))
    }

    /// How it introduces itself.
    pub(super) fn known_as(&self, group: &str, instance_id: Option<String>) -> MemberRef {
        let (member_id, generation) = (self.member_id.clone(), self.generation);
        MemberRef { group: group.to_owned(), member_id, instance_id, generation }
    }

    /// Whether anything has changed in the group since this was last asked.
    pub(super) fn take_change(&mut self) -> bool {
        let number = self.changes.number();
        std::mem::replace(&mut self.seen, number) != number
    }

    /// The protocol that it rebalances by: eager, if any of its assignors is.
    pub(super) fn protocol(config: &ConsumerConfig) -> RebalanceProtocol {
        let is_eager = |assignor: &Arc<dyn Assignor>| assignor.protocol() == RebalanceProtocol::Eager;
        if config.assignors.iter().any(is_eager) {
            RebalanceProtocol::Eager
        } else {
            RebalanceProtocol::Cooperative
        }
    }

    /// What it asks of the coordinator to get in, owning what it owns.
    pub(super) fn join_request(
        &mut self,
        config: &ConsumerConfig,
        group: &str,
        catalog: &Catalog,
        owned: &TopicPartitions,
    ) -> Result<JoinRequest> {
        self.topics = self.subscription.topics(catalog)?;
        let mut protocols = Vec::new();
        for assignor in &config.assignors {
            let (partitions, generation) = (&self.previous.0, self.previous.1);
            let previous = PreviousAssignment { topics: &self.topics, partitions, generation };
            let user_data = guarded(|| named(&**assignor), || assignor.user_data(previous))?;
            let subscription = group::Subscription {
                topics: self.topics.clone(),
                user_data,
                owned: owned.clone(),
                generation: self.previous.1,
                rack: config.client_rack.clone(),
            };
            protocols.push(Protocol {
                name: assignor.name().to_owned(),
                metadata: group::encode_subscription(&subscription),
            });
        }
        Ok(JoinRequest {
            group: group.to_owned(),
            member_id: self.member_id.clone(),
            instance_id: config.group_instance_id.clone(),
            client_id: config.client_id.clone().unwrap_or_else(|| CONSUMERS.to_owned()),
            session_timeout: config.session_timeout,
            rebalance_timeout: config.max_poll_interval,
            protocol_type: CONSUMERS.to_owned(),
            protocols,
            presence: Some(Arc::clone(&self.presence)),
            reason: self.rejoins.take().unwrap_or_default(),
        })
    }

    /// Takes in what the group is now: as its leader, the assignments for all, encoded.
    pub(super) fn joined(
        &mut self,
        joined: Joined,
        config: &ConsumerConfig,
        catalog: &Catalog,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let assignor = config.assignors.iter().find(|assignor| assignor.name() == joined.protocol);
        let assignor = assignor.map(Arc::clone).ok_or_else(|| Error::InconsistentProtocols {
            group: String::new(),
            offered: config.assignors.iter().map(|assignor| assignor.name()).collect::<Vec<_>>().join(", "),
            needed: joined.protocol.clone(),
        })?;
        let leads = joined.leader == joined.member_id;
        self.member_id = joined.member_id;
        self.generation = joined.generation;
        self.assignor = Some(Arc::clone(&assignor));
        self.assigned_from = None;
        if !leads {
            return Ok(Vec::new());
        }
        let (subscriptions, mut topics) = subscriptions(&joined.members, catalog)?;
        if joined.skip_assignment {
            // What its predecessor assigned from shows in what they have: partitions that were added since do not.
            count_assigned(&joined.members, &mut topics);
            self.assigned_from = Some(topics);
            return Ok(Vec::new());
        }
        let assignment = guarded(|| named(&*assignor), || assignor.assign(&subscriptions))?;
        group::check_assignment(assignor.name(), &subscriptions, &assignment)?;
        let assignments = encode(&subscriptions, &assignment);
        self.assigned_from = Some(topics);
        Ok(assignments)
    }

    /// Notes what it has been assigned.
    pub(super) fn settle(&mut self, assigned: &TopicPartitions) {
        self.previous = (assigned.clone(), Some(self.generation));
        self.state = State::Stable;
        (self.is_prepared, self.has_lost) = (false, false);
    }

    /// Forgets its place in the group: what it owns may be others'.
    pub(super) fn lose(&mut self, is_unknown: bool) {
        self.has_lost = true;
        self.generation = NO_GENERATION;
        self.state = State::Out;
        self.is_prepared = false;
        if is_unknown {
            self.member_id.clear();
        }
    }

    /// Whether the topics are others than those it joined with, or have other partitions than it assigned from.
    pub(super) fn has_other_topics(&self, catalog: &Catalog) -> Result<bool> {
        if self.subscription.topics(catalog)? != self.topics {
            return Ok(true);
        }
        Ok(self.assigned_from.as_ref().is_some_and(|known| *known != partition_counts(known.keys(), catalog)))
    }
}

/// What to call an assignor.
fn named(assignor: &dyn Assignor) -> String {
    format!("assignor {:?}", assignor.name())
}

/// How many partitions each of these topics has: none, where it does not exist.
fn partition_counts<'a>(
    topics: impl IntoIterator<Item = &'a String>,
    catalog: &Catalog,
) -> BTreeMap<String, u32> {
    let all = catalog.topics();
    let count = |name: &String| all.get(name).map_or(0, |topic| topic.partition_count());
    topics.into_iter().map(|name| (name.clone(), count(name))).collect()
}

/// What the leader is told, decoded; and every topic that anybody subscribes to, with its number of partitions.
fn subscriptions(
    members: &[JoinedMember],
    catalog: &Catalog,
) -> Result<(Subscriptions, BTreeMap<String, u32>)> {
    let mut all = Subscriptions::default();
    let mut topics = BTreeSet::new();
    for JoinedMember { member_id, instance_id, metadata, .. } in members {
        let invalid =
            |reason| Error::InvalidMemberData { what: "subscription", member_id: member_id.clone(), reason };
        let subscription = group::decode_subscription(metadata).map_err(invalid)?;
        topics.extend(subscription.topics.iter().cloned());
        all.members.push(MemberSubscription {
            id: member_id.clone(),
            instance_id: instance_id.clone(),
            rack: subscription.rack,
            topics: subscription.topics,
            owned: subscription.owned,
            generation: subscription.generation,
            user_data: subscription.user_data,
        });
    }
    let topics = partition_counts(&topics, catalog);
    let there_are = topics.iter().filter(|&(_, &count)| count > 0);
    let partitions = there_are.map(|(name, &count)| (name.clone(), count)).collect();
    all.topics = SubscribedTopics { partitions, ..SubscribedTopics::default() };
    Ok((all, topics))
}

/// How many partitions of each of these topics the members have. Bytes that are no consumer's have none.
fn count_assigned(members: &[JoinedMember], topics: &mut BTreeMap<String, u32>) {
    topics.values_mut().for_each(|count| *count = 0);
    for member in members {
        let Ok((assigned, _)) = group::decode_assignment(&member.assignment) else { continue };
        for (topic, _) in assigned.iter() {
            topics.get_mut(topic).into_iter().for_each(|count| *count += 1);
        }
    }
}

/// Every member's assignment in Kafka's bytes; of one that the assignor left out, none.
fn encode(subscriptions: &Subscriptions, assignment: &Assignment) -> Vec<(String, Vec<u8>)> {
    let nothing = TopicPartitions::new();
    let encoded = |member: &MemberSubscription| {
        let partitions = assignment.get(&member.id).unwrap_or(&nothing);
        (member.id.clone(), group::encode_assignment(partitions, None))
    };
    subscriptions.members.iter().map(encoded).collect()
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.presence.leave();
        self.changes.watchers.remove(&self.watcher);
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("member_id", &self.member_id)
            .field("generation", &self.generation)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
