//! Who reads what, and how far they got: consumer groups by Kafka's classic protocol, and their committed offsets.
//!
//! A group's leader, one of its members, shares out the partitions with an [`Assignor`]; the coordinator only carries bytes.

mod topic_partitions;

mod assignor;

mod member_data;
mod reply;
mod requests;

mod changes;
mod committed;
mod config;
mod description;
mod rebalance_report;

mod change;
mod group_record;
mod offset_record;

mod cell;
mod classic;
mod replay;

mod coordinator;
mod looks;
mod stored;

mod commits;
mod describing;
mod expiration;

pub(crate) use assignor::check as check_assignment;
pub use assignor::{
    Assignment, Assignor, CooperativeSticky, MemberSubscription, PreviousAssignment, Range,
    RebalanceProtocol, RoundRobin, Sticky, SubscribedTopics, Subscriptions,
};
pub(crate) use changes::GroupChanges;
pub use committed::CommittedOffset;
pub(crate) use config::GroupConfig;
pub(crate) use coordinator::Coordinator;
pub use description::{GroupDescription, GroupListing, GroupState, MemberDescription};
pub(crate) use member_data::{
    Subscription, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
pub use rebalance_report::{MemberChange, PartitionMove, RebalanceReport};
pub(crate) use reply::{Promise, Reply, promise};
pub(crate) use requests::{
    CommitRequest, JoinRequest, Joined, JoinedMember, MemberRef, OffsetToCommit, Presence, Protocol,
    SyncRequest,
};
pub(crate) use stored::Committed;
pub use topic_partitions::TopicPartitions;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod model;
