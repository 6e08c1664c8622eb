//! What an assignor is given, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use super::super::topic_partitions::TopicPartitions;

/// Shares the partitions of the subscribed topics out among the members of a group. Kafka's `ConsumerPartitionAssignor`.
///
/// The group's leader calls it, in one of its polls, at each rebalance. It is a pure function: what it has to remember comes
/// back to it, as what each member owns or as `user_data`. What it answers is checked, and refused where a member is unknown,
/// or a partition is given twice, to nobody or to one who did not subscribe.
///
/// Kafka's four are [`Range`](crate::Range), [`RoundRobin`](crate::RoundRobin), [`Sticky`](crate::Sticky) and
/// [`CooperativeSticky`](crate::CooperativeSticky).
///
/// # Examples
///
/// ```
/// use streamlog::{Assignment, Assignor, MemberSubscription, PartitionId, Subscriptions, TopicPartitions};
///
/// /// Everything goes to the member with the least id; the others stand by.
/// #[derive(Debug)]
/// struct OneAtWork;
///
/// impl Assignor for OneAtWork {
///     fn name(&self) -> &str {
///         "one-at-work"
///     }
///
///     fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
///         let mut assignment = Assignment::new();
///         for (topic, &count) in &subscriptions.topics.partitions {
///             let subscribers = subscriptions.members.iter().filter(|member| member.topics.contains(topic));
///             let Some(first) = subscribers.min_by_key(|member| &member.id) else { continue };
///             let given: &mut TopicPartitions = assignment.entry(first.id.clone()).or_default();
///             let all = (0..count).filter_map(|number| PartitionId::try_from(number).ok());
///             all.for_each(|partition| {
///                 given.insert(topic, partition);
///             });
///         }
///         assignment // who is not in it gets nothing
///     }
/// }
///
/// let subscriptions = Subscriptions::new()
///     .topic("orders", 2)
///     .member(MemberSubscription::new("b", ["orders"]))
///     .member(MemberSubscription::new("a", ["orders"]));
/// assert_eq!(OneAtWork.assign(&subscriptions)["a"].to_string(), "orders-0, orders-1");
/// ```
pub trait Assignor: fmt::Debug + Send + Sync + 'static {
    /// The name by which members agree on it. Kafka's are `range`, `roundrobin`, `sticky` and `cooperative-sticky`.
    fn name(&self) -> &str;

    /// Whether members keep what they own during a rebalance. [`Eager`](RebalanceProtocol::Eager), if it does not say.
    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Eager
    }

    /// What a member's subscription carries for this assignor beside what it owns. Nothing, if it does not say.
    fn user_data(&self, previous: PreviousAssignment<'_>) -> Option<Vec<u8>> {
        let _ = previous;
        None
    }

    /// Which partitions each member gets.
    fn assign(&self, subscriptions: &Subscriptions) -> Assignment;
}

/// How a group goes from one assignment to the next. Kafka's `RebalanceProtocol` (KIP-429).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RebalanceProtocol {
    /// Each member gives up all it owns, and then gets what it is assigned.
    #[default]
    Eager,
    /// Each member keeps what it owns, and gives up only what goes to another. An assignor of this kind leaves out what somebody
    /// still owns who is to lose it: it is handed out in a rebalance that follows at once. One that gives it to another is refused.
    Cooperative,
}

/// What a member was assigned last, for [`Assignor::user_data`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PreviousAssignment<'a> {
    /// The topics that it subscribes to now, in order.
    pub topics: &'a [String],
    /// The partitions that it was assigned.
    pub partitions: &'a TopicPartitions,
    /// In which generation. None where it was in none yet.
    pub generation: Option<i32>,
}

impl<'a> PreviousAssignment<'a> {
    /// For calling an assignor oneself.
    #[must_use]
    pub fn new(
        topics: &'a [String],
        partitions: &'a TopicPartitions,
        generation: Option<i32>,
    ) -> PreviousAssignment<'a> {
        PreviousAssignment { topics, partitions, generation }
    }
}

/// Who takes part, and what there is to share out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscriptions {
    /// The members, in the order in which the coordinator lists them.
    pub members: Vec<MemberSubscription>,
    /// The topics that exist.
    pub topics: SubscribedTopics,
}

impl Subscriptions {
    /// Nobody, and no topics: for calling an assignor oneself.
    #[must_use]
    pub fn new() -> Subscriptions {
        Subscriptions::default()
    }

    /// With one more member.
    #[must_use]
    pub fn member(mut self, member: MemberSubscription) -> Subscriptions {
        self.members.push(member);
        self
    }

    /// With a topic of so many partitions.
    #[must_use]
    pub fn topic(mut self, name: impl Into<String>, partitions: u32) -> Subscriptions {
        self.topics.partitions.insert(name.into(), partitions);
        self
    }
}

/// A member, as an assignor sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberSubscription {
    /// Its id, given by the coordinator.
    pub id: String,
    /// Kafka's `group.instance.id`, if it is a static member.
    pub instance_id: Option<String>,
    /// Kafka's `client.rack`, if it is known.
    pub rack: Option<String>,
    /// The topics that it subscribes to. Some may not exist.
    pub topics: Vec<String>,
    /// What it says that it owns. An assignor with the eager protocol sees nothing here.
    pub owned: TopicPartitions,
    /// The generation in which it got that.
    pub generation: Option<i32>,
    /// What [`Assignor::user_data`] gave at the member.
    pub user_data: Option<Vec<u8>>,
}

impl MemberSubscription {
    /// A member that says no more than what it subscribes to. The other fields are there to be set.
    #[must_use]
    pub fn new<T: Into<String>>(
        id: impl Into<String>,
        topics: impl IntoIterator<Item = T>,
    ) -> MemberSubscription {
        let topics = topics.into_iter().map(Into::into).collect();
        MemberSubscription { id: id.into(), topics, ..MemberSubscription::default() }
    }
}

/// The topics that exist, of those that anybody subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscribedTopics {
    /// How many partitions each has, by its name.
    pub partitions: BTreeMap<String, u32>,
    /// The racks that hold a replica of a partition, by the topic and the partition's number, where they are known.
    pub racks: BTreeMap<String, Vec<Vec<String>>>,
}

/// The partitions of each member, by its id. Kafka's `GroupAssignment`.
pub type Assignment = BTreeMap<String, TopicPartitions>;
