//! All partitions in order, dealt to the members in order.

use super::numbered::{Numbered, Owners};
use super::table::{MemberNo, Number, Table};
use super::traits::{Assignment, Assignor, Subscriptions};

/// Deals all partitions, topic after topic, to the members in turn. Kafka's `RoundRobinAssignor`.
///
/// Static members come first, in the order of their instance ids, then the others in that of their ids. A partition goes to the
/// next member that subscribes to its topic; members that are passed over lose that turn. With equal subscriptions nobody has
/// more than one partition more than another.
///
/// # Examples
///
/// ```
/// use streamlog::{Assignor, MemberSubscription, RoundRobin, Subscriptions};
///
/// let subscriptions = Subscriptions::new()
///     .topic("orders", 3)
///     .topic("returns", 2)
///     .member(MemberSubscription::new("a", ["orders", "returns"]))
///     .member(MemberSubscription::new("b", ["orders", "returns"]));
/// let assignment = RoundRobin.assign(&subscriptions);
/// assert_eq!(assignment["a"].to_string(), "orders-0, orders-2, returns-1");
/// assert_eq!(assignment["b"].to_string(), "orders-1, returns-0");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Assignor for RoundRobin {
    fn name(&self) -> &str {
        "roundrobin"
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let numbered = Numbered::by_instance(subscriptions);
        let mut owners: Owners = Table::of(None, numbered.partition_count());
        let mut turn = MemberNo::at(0);
        for topic in numbered.topics.values() {
            // Those from the turn on, round to those before it, and so on: as long as there are partitions.
            let start = topic.subscribers.partition_point(|&member| member < turn);
            let mut ring = topic.subscribers.iter().copied().cycle().skip(start);
            for (partition, member) in topic.partitions().zip(&mut ring) {
                owners[partition] = Some(member);
                turn = MemberNo::at(member.place() + 1);
            }
        }
        numbered.assignment(&owners)
    }
}
