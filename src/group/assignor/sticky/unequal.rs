//! Sharing out where members subscribe to different topics. Kafka's general algorithm.
//!
//! What has no owner goes to the subscriber with the least. Then partitions move, from members to such as have at least two fewer,
//! until none can: first those alone that were just given out, because that costs nobody anything.
//!
//! Invariant: each move takes from a member with at least two more than the one that it gives to. So it lowers the sum of all
//! differences between two members; moving ends, and never has to be taken back as a whole, which Kafka's code provides for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::super::numbered::{Numbered, Owners};
use super::super::racks::Racks;
use super::super::table::{MemberNo, PartitionNo, RackNo, Table, TopicNo};
use super::super::traits::RebalanceProtocol;
use super::claims::Claims;
use super::movements::Movements;

/// Partitions by their topics: those with the fewest subscribers first.
type ByTopic = Vec<(TopicNo, Vec<PartitionNo>)>;

/// Gives every partition to a subscriber of its topic.
///
/// With the eager protocol a member gives up what its rack does not hold, as in Kafka. There, where those who could read such a
/// partition near have enough already, it is moved on to others who cannot, who give it up in the next rebalance. A cooperative
/// rebalance is followed by another when something was given up: some groups would never settle. So there it is kept.
pub(super) fn share_out(
    numbered: &Numbered<'_>,
    racks: Option<&Racks>,
    claims: &Claims,
    protocol: RebalanceProtocol,
) -> Owners {
    let mut sharing = Sharing {
        numbered,
        owners: Table::of(None, numbered.partition_count()),
        loads: Table::of(0, numbered.members.len()),
        earlier_owners: claims.earlier_owners(),
        movements: Movements::default(),
    };
    let is_anything_revoked = sharing.keep(racks.filter(|_| protocol == RebalanceProtocol::Eager), claims);
    let mut topics: Vec<TopicNo> = numbered.topics.numbers().collect();
    topics.sort_by_key(|&topic| numbered.topics[topic].subscribers.len());
    let of_topics = |of_topic: &dyn Fn(TopicNo) -> Vec<PartitionNo>| -> ByTopic {
        topics.iter().map(|&topic| (topic, of_topic(topic))).collect()
    };

    let all = of_topics(&|topic| numbered.topics[topic].partitions().collect());
    let new = of_topics(&|topic| {
        numbered.topics[topic].partitions().filter(|&partition| sharing.owners[partition].is_none()).collect()
    });
    if let Some(racks) = racks {
        sharing.give_near(racks, &new);
    }
    sharing.give(&new);
    if !is_anything_revoked {
        sharing.balance(&new);
    }
    sharing.balance(&all);
    sharing.owners
}

/// Who has what so far.
struct Sharing<'a> {
    numbered: &'a Numbered<'a>,
    owners: Owners,
    /// How many partitions each member has.
    loads: Table<MemberNo, usize>,
    /// Of claims that are older than the latest.
    earlier_owners: HashMap<PartitionNo, MemberNo>,
    movements: Movements,
}

impl Sharing<'_> {
    /// Leaves each member what it owned of the topics that it still subscribes to, in its own rack if racks are given; whether that
    /// is not all.
    fn keep(&mut self, racks: Option<&Racks>, claims: &Claims) -> bool {
        let mut is_anything_revoked = false;
        for (partition, owner) in claims.owners.iter() {
            let Some(owner) = *owner else { continue };
            let is_subscriber = self.numbered.subscribes(owner, self.numbered.topic_of[partition]);
            if is_subscriber && !racks.is_some_and(|racks| racks.differ(owner, partition)) {
                self.owners[partition] = Some(owner);
                self.loads[owner] += 1;
            } else {
                is_anything_revoked = true;
            }
        }
        is_anything_revoked
    }

    /// Gives partitions to the subscriber with the least, of those that are in a rack that has a replica or in none.
    fn give_near(&mut self, racks: &Racks, new: &ByTopic) {
        for (topic, partitions) in new {
            let mut by_rack: BTreeMap<Option<RackNo>, BinaryHeap<_>> = BTreeMap::new();
            for &member in &self.numbered.topics[*topic].subscribers {
                let of_rack = by_rack.entry(racks.of_member(member)).or_default();
                of_rack.push(Reverse((self.loads[member], member)));
            }
            for &partition in partitions {
                let near = racks.of_partition(partition).iter().copied().map(Some).chain([None]);
                let least_in = |rack| Some((by_rack.get(&rack)?.peek()?.0, rack));
                let Some(((load, member), rack)) = near.filter_map(least_in).min() else { continue };
                self.owners[partition] = Some(member);
                self.loads[member] += 1;
                if let Some(mut least) = by_rack.get_mut(&rack).and_then(BinaryHeap::peek_mut) {
                    *least = Reverse((load + 1, member));
                }
            }
        }
    }

    /// Gives what is not given yet to the subscriber with the least.
    fn give(&mut self, new: &ByTopic) {
        for (topic, partitions) in new {
            let subscribers = self.numbered.topics[*topic].subscribers.iter();
            let mut by_load: BinaryHeap<_> =
                subscribers.map(|&member| Reverse((self.loads[member], member))).collect();
            for &partition in partitions {
                if self.owners[partition].is_some() {
                    continue;
                }
                let Some(mut least) = by_load.peek_mut() else { break };
                let Reverse((load, member)) = *least;
                self.owners[partition] = Some(member);
                self.loads[member] = load + 1;
                *least = Reverse((load + 1, member));
            }
        }
    }

    /// Moves partitions of `scope` until nobody could have one from a member with at least two more.
    fn balance(&mut self, scope: &ByTopic) {
        let can_move = |topic: TopicNo| self.numbered.topics[topic].subscribers.len() > 1;
        let scope: Vec<&(TopicNo, Vec<PartitionNo>)> =
            scope.iter().filter(|(topic, partitions)| can_move(*topic) && !partitions.is_empty()).collect();
        let mut has_moved = true;
        while has_moved {
            has_moved = false;
            for (topic, partitions) in &scope {
                has_moved |= self.balance_topic(*topic, partitions);
            }
        }
    }

    /// Racks need no look here: whether somebody in the same rack has fewer or somebody elsewhere, the partition goes to the
    /// subscriber with the least.
    fn balance_topic(&mut self, topic: TopicNo, partitions: &[PartitionNo]) -> bool {
        let subscribers = self.numbered.topics[topic].subscribers.iter();
        let mut by_load: BTreeSet<(usize, MemberNo)> =
            subscribers.map(|&member| (self.loads[member], member)).collect();
        let mut has_moved = false;
        for &partition in partitions {
            let Some(owner) = self.owners[partition] else { continue };
            let has_fewer = |member: MemberNo| self.loads[member] + 1 < self.loads[owner];
            let earlier = self.earlier_owners.get(&partition).copied();
            let earlier =
                earlier.filter(|&earlier| has_fewer(earlier) && self.numbered.subscribes(earlier, topic));
            let least = by_load.first().map(|&(_, least)| least);
            let Some(target) = earlier.or(least.filter(|&least| has_fewer(least))) else { continue };

            let instead = self.movements.instead_of(partition, topic, owner, target).and_then(|instead| {
                let owner = self.owners[instead]?;
                (self.loads[target] + 1 < self.loads[owner]).then_some((instead, owner))
            });
            let (partition, owner) = instead.unwrap_or((partition, owner));
            self.movements.note(partition, topic, owner, target);
            self.owners[partition] = Some(target);
            for (member, load) in [(owner, self.loads[owner] - 1), (target, self.loads[target] + 1)] {
                by_load.remove(&(self.loads[member], member));
                by_load.insert((load, member));
                self.loads[member] = load;
            }
            has_moved = true;
        }
        has_moved
    }
}
