//! What anybody may know of a group: plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::committed::CommittedOffset;
use super::rebalance_report::RebalanceReport;
use super::topic_partitions::TopicPartitions;
use crate::offset::TopicPartition;

/// In which of its states a group is. Kafka's `GroupState`, of the classic protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// It has no members; it may have committed offsets.
    Empty,
    /// Its members are asked to join again, and it waits for them.
    PreparingRebalance,
    /// All have joined, and its leader shares out the partitions.
    CompletingRebalance,
    /// Every member has its share.
    Stable,
    /// There is no such group: it was deleted, or never was.
    #[default]
    Dead,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        })
    }
}

/// A group, in a list of all. Kafka's `GroupListing`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Its name, `group.id`.
    pub group: String,
    /// Its state.
    pub state: GroupState,
    /// `consumer` for a group of consumers; empty where it only has committed offsets.
    pub protocol_type: String,
    /// How many members it has.
    pub members: usize,
}

/// A group, as it was at one moment. Kafka's `ConsumerGroupDescription`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name, `group.id`.
    pub group: String,
    /// Its state.
    pub state: GroupState,
    /// `consumer` for a group of consumers; empty where it only has committed offsets.
    pub protocol_type: String,
    /// The assignor that its members agreed on, by its name, while it has members.
    pub assignor: Option<String>,
    /// How many rebalances it has been through: the number of the last one that all members joined. 0 before the first.
    pub generation: i32,
    /// The id of the member that shares out the partitions.
    pub leader: Option<String>,
    /// Its members, by their ids.
    pub members: Vec<MemberDescription>,
    /// What is committed, by partition.
    pub committed: BTreeMap<TopicPartition, CommittedOffset>,
    /// How many records lie between what is committed and the end of each of these partitions, as far as they exist and are online.
    pub lag: BTreeMap<TopicPartition, u64>,
    /// What the last rebalances were about, the oldest first: at most 5, and none from before the broker was opened.
    pub rebalances: Vec<RebalanceReport>,
}

/// A member of a group. Kafka's `MemberDescription`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// Its id, which the coordinator gave it.
    pub member_id: String,
    /// Kafka's `group.instance.id`, if it is a static member.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// What it subscribes to. Empty where its bytes are no consumer's.
    pub topics: Vec<String>,
    /// What it is assigned. Empty where its bytes are no consumer's, and until its first rebalance is over.
    pub assigned: TopicPartitions,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long a rebalance waits for it: `max.poll.interval.ms` of a consumer.
    pub rebalance_timeout: Duration,
}
