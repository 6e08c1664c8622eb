//! The two sticky assignors: where each learns what members owned, and what it does about what is still owned.

use super::super::numbered::Numbered;
use super::super::traits::{
    Assignment, Assignor, MemberSubscription, PreviousAssignment, RebalanceProtocol, Subscriptions,
};
use super::claims::Claim;
use super::core::Shared;
use super::user_data::{decode_generation, decode_owned, encode_generation, encode_owned};

/// Shares out fairly, and moves as few partitions as that allows. Kafka's `StickyAssignor`.
///
/// With equal subscriptions nobody has more than one partition more than another. With unequal ones nobody could have a
/// partition from a member with at least two more. Of what members had before, all stays that fairness allows: the partitions
/// of a member that leaves are shared out, and one that joins takes no more than its share.
///
/// The protocol is eager: members give up everything first and remember what it was in their user data, in Kafka's bytes (it
/// writes version 1, and reads version 0 too). [`CooperativeSticky`] lets them keep it.
///
/// Where members say their racks and not every partition has a replica in every rack, a member prefers partitions that its rack
/// holds, and gives up those that it does not, as in Kafka.
///
/// The result is that of Kafka's code, which depends on the order of a Java `HashMap` where more members hold more than a fair
/// share than may keep it. That order is followed. It differs from Kafka in what Kafka leaves open: with unequal subscriptions,
/// which of several equal partitions moves back; and it gives no partition to an earlier owner that subscribes to it no more.
///
/// # Examples
///
/// ```
/// use streamlog::{Assignor, MemberSubscription, PreviousAssignment, Sticky, Subscriptions};
///
/// let member = |id: &str| MemberSubscription::new(id, ["orders"]);
/// let mut subscriptions = Subscriptions::new().topic("orders", 4).member(member("a")).member(member("b"));
/// let first = Sticky.assign(&subscriptions);
/// assert_eq!(first["a"].to_string(), "orders-0, orders-2");
///
/// // Each remembers what it got; then a third one joins.
/// for member in &mut subscriptions.members {
///     let previous = PreviousAssignment::new(&member.topics, &first[&member.id], Some(1));
///     member.user_data = Sticky.user_data(previous);
/// }
/// let second = Sticky.assign(&subscriptions.member(member("c")));
/// assert_eq!(second["a"], first["a"]);
/// assert_eq!(second["b"].to_string(), "orders-1");
/// assert_eq!(second["c"].to_string(), "orders-3");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sticky;

impl Assignor for Sticky {
    fn name(&self) -> &str {
        "sticky"
    }

    fn user_data(&self, previous: PreviousAssignment<'_>) -> Option<Vec<u8>> {
        encode_owned(previous.partitions, previous.generation?)
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let shared = Shared::new(subscriptions, self.protocol(), remembered);
        shared.numbered.assignment(&shared.owners)
    }
}

/// What a member's user data say that it owned.
fn remembered(numbered: &Numbered<'_>, member: &MemberSubscription) -> Claim {
    let owned = decode_owned(member.user_data.as_deref().unwrap_or_default());
    let mut partitions = Vec::new();
    for (topic, numbers) in owned.topics {
        let Some(topic) = numbered.topic(topic) else { continue };
        let topic = &numbered.topics[topic];
        partitions.extend(numbers.into_iter().filter_map(|number| topic.partition(number)));
    }
    Claim { partitions, generation: owned.generation }
}

/// As [`Sticky`](crate::Sticky), and members keep reading what they keep. Kafka's `CooperativeStickyAssignor`.
///
/// What is to go from one member to another is given to nobody at first. Its owner sees it missing, gives it up, and joins again:
/// in the rebalance that follows nobody owns it, and it is handed out. So no partition has two owners at any moment, and where
/// nothing changes hands there is no second rebalance. Kafka's KIP-429.
///
/// What a member owns comes from its subscription, and so does its generation; from the user data, in Kafka's bytes, where a
/// client's subscription is too old to say.
///
/// It differs from Kafka where racks are known and subscriptions unequal: members keep what they own of other racks. In Kafka they
/// give it up, and some groups never settle.
///
/// # Examples
///
/// ```
/// use streamlog::{Assignor, CooperativeSticky, MemberSubscription, PartitionId, Subscriptions};
///
/// let mut a = MemberSubscription::new("a", ["orders"]);
/// for number in 0..3_u32 {
///     a.owned.insert("orders", PartitionId::try_from(number)?);
/// }
/// let b = MemberSubscription::new("b", ["orders"]);
/// let mut subscriptions = Subscriptions::new().topic("orders", 3).member(a).member(b);
///
/// let first = CooperativeSticky.assign(&subscriptions);
/// assert_eq!(first["a"].to_string(), "orders-0, orders-1");
/// assert!(first["b"].is_empty(), "a still owns the third");
///
/// subscriptions.members[0].owned = first["a"].clone();
/// let second = CooperativeSticky.assign(&subscriptions);
/// assert_eq!(second["b"].to_string(), "orders-2");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CooperativeSticky;

impl Assignor for CooperativeSticky {
    fn name(&self) -> &str {
        "cooperative-sticky"
    }

    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Cooperative
    }

    fn user_data(&self, previous: PreviousAssignment<'_>) -> Option<Vec<u8>> {
        Some(encode_generation(previous.generation.unwrap_or(-1)))
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let mut shared = Shared::new(subscriptions, self.protocol(), |numbered, member| Claim {
            partitions: numbered.partitions_of(&member.owned),
            generation: member.generation.or_else(|| decode_generation(member.user_data.as_deref()?)),
        });
        shared.withhold_what_is_owned();
        shared.numbered.assignment(&shared.owners)
    }
}
