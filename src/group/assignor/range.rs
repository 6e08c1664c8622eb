//! Topic by topic, each member a range of consecutive partitions.
//!
//! Topics are independent of each other, so partition `i` of topics with equal counts and subscribers goes to one member: what
//! joins two topics by key finds both sides in one place. With racks, a member first gets what it can read from its own.

use std::collections::{BTreeMap, VecDeque};

use super::numbered::{Numbered, NumberedTopic, Owners};
use super::racks::Racks;
use super::table::{MemberNo, Number, PartitionNo, RackNo, Table, TopicNo};
use super::traits::{Assignment, Assignor, Subscriptions};

/// Shares out each topic by itself, in ranges. Kafka's `RangeAssignor`.
///
/// Of `n` partitions each of `c` subscribers gets `n / c` consecutive ones, the first `n % c` subscribers one more. Static
/// members come first, in the order of their instance ids, then the others in that of their ids. Equal partitions of equally
/// subscribed topics with equal counts go to one member.
///
/// Where members say their racks and not every partition has a replica in every rack, each member gets partitions that its rack
/// holds first, as Kafka does (KIP-881): that topics stay together comes before that racks match.
///
/// # Examples
///
/// ```
/// use streamlog::{Assignor, MemberSubscription, Range, Subscriptions};
///
/// let mut subscriptions = Subscriptions::new().topic("orders", 3).topic("invoices", 3);
/// for id in ["a", "b"] {
///     subscriptions = subscriptions.member(MemberSubscription::new(id, ["orders", "invoices"]));
/// }
/// let assignment = Range.assign(&subscriptions);
/// assert_eq!(assignment["a"].to_string(), "invoices-0, invoices-1, orders-0, orders-1");
/// assert_eq!(assignment["b"].to_string(), "invoices-2, orders-2");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range;

impl Assignor for Range {
    fn name(&self) -> &str {
        "range"
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let numbered = Numbered::by_instance(subscriptions);
        let mut quotas: Table<TopicNo, Quota> = numbered.topics.values().map(Quota::of).collect();
        let mut owners: Owners = Table::of(None, numbered.partition_count());
        if let Some(racks) = Racks::of(&numbered, &subscriptions.topics) {
            match_racks(&numbered, &racks, &mut quotas, &mut owners);
        }
        for (number, topic) in numbered.topics.iter() {
            take_ranges(topic, &mut quotas[number], &mut owners, |_| (), |_, _| true);
        }
        numbered.assignment(&owners)
    }
}

/// How many partitions of one topic each of its subscribers may have.
#[derive(Debug)]
struct Quota {
    /// What every subscriber has in the end, at least.
    each: usize,
    /// How many may still have one more.
    extra: usize,
    /// How many each subscriber has, by its place among them.
    taken: Vec<usize>,
}

impl Quota {
    fn of(topic: &NumberedTopic<'_>) -> Quota {
        let (partitions, subscribers) = (topic.partitions.len(), topic.subscribers.len().max(1));
        Quota {
            each: partitions / subscribers,
            extra: partitions % subscribers,
            taken: vec![0; topic.subscribers.len()],
        }
    }

    /// How many a subscriber may still take. It never grows.
    fn left(&self, subscriber: usize) -> usize {
        let taken = self.taken.get(subscriber).copied().unwrap_or(usize::MAX);
        (self.each + usize::from(self.extra > 0)).saturating_sub(taken)
    }

    fn take(&mut self, subscriber: usize, count: usize) {
        let Some(taken) = self.taken.get_mut(subscriber) else { return };
        *taken += count;
        if count > 0 && *taken > self.each {
            self.extra -= 1;
        }
    }
}

/// Gives each subscriber, in order, the lowest partitions that are left and that `fits` finds good for it, up to its quota.
///
/// `kind` tells subscribers apart for which other partitions fit: each kind goes over the partitions once.
fn take_ranges<K: Ord>(
    topic: &NumberedTopic<'_>,
    quota: &mut Quota,
    owners: &mut Owners,
    kind: impl Fn(MemberNo) -> K,
    fits: impl Fn(MemberNo, PartitionNo) -> bool,
) {
    let mut rests = BTreeMap::new();
    for (place, &subscriber) in topic.subscribers.iter().enumerate() {
        let rest = rests.entry(kind(subscriber)).or_insert_with(|| topic.partitions());
        let wanted = quota.left(place);
        let mut count = 0;
        while count < wanted {
            let Some(partition) = rest.next() else { break };
            if owners[partition].is_none() && fits(subscriber, partition) {
                owners[partition] = Some(subscriber);
                count += 1;
            }
        }
        quota.take(place, count);
    }
}

/// Gives out what members can read from their own racks, if that makes a difference for any topic.
fn match_racks(
    numbered: &Numbered<'_>,
    racks: &Racks,
    quotas: &mut Table<TopicNo, Quota>,
    owners: &mut Owners,
) {
    let matters =
        |topic: &NumberedTopic<'_>| racks.matter(topic.subscribers.iter().copied(), topic.partitions());
    let need: Table<TopicNo, bool> = numbered.topics.values().map(matters).collect();
    if !need.values().any(|&needs| needs) {
        return;
    }
    let mut alike: BTreeMap<(&[MemberNo], usize), Vec<TopicNo>> = BTreeMap::new();
    for (number, topic) in numbered.topics.iter() {
        alike.entry((&topic.subscribers, topic.partitions.len())).or_default().push(number);
    }
    for ((subscribers, _), topics) in alike {
        match *topics.as_slice() {
            [number] if !need[number] => {}
            [number] => {
                let (topic, quota) = (&numbered.topics[number], &mut quotas[number]);
                let fits = |member, partition| !racks.differ(member, partition);
                take_ranges(topic, quota, owners, |member| racks.of_member(member), fits);
            }
            _ => take_together(numbered, &topics, subscribers, racks, quotas, owners),
        }
    }
}

/// Gives partition after partition of all of `topics`, which have equal counts and `subscribers`, to the first subscriber that
/// can read it from its own rack in every topic and may still take one. Where there is none, it stays for the ranges.
fn take_together(
    numbered: &Numbered<'_>,
    topics: &[TopicNo],
    subscribers: &[MemberNo],
    racks: &Racks,
    quotas: &mut Table<TopicNo, Quota>,
    owners: &mut Owners,
) {
    let Some(&leading) = topics.first() else { return };
    let mut queues: BTreeMap<Option<RackNo>, VecDeque<(usize, MemberNo)>> = BTreeMap::new();
    for (place, &subscriber) in subscribers.iter().enumerate() {
        queues.entry(racks.of_member(subscriber)).or_default().push_back((place, subscriber));
    }
    for offset in 0..numbered.topics[leading].partitions.len() {
        let row =
            topics.iter().map(|&topic| PartitionNo::at(numbered.topics[topic].partitions.start + offset));
        let in_all = |rack| row.clone().all(|partition| racks.of_partition(partition).contains(&rack));
        let leader = row.clone().next().map_or(&[][..], |partition| racks.of_partition(partition));
        let fitting = leader.iter().copied().filter(|&rack| in_all(rack)).map(Some);
        // All of the topics are in one state, because they are always given out together.
        let first_of = |rack: Option<RackNo>| {
            let queue = queues.get_mut(&rack)?;
            while quotas[leading].left(queue.front()?.0) == 0 {
                queue.pop_front();
            }
            queue.front().copied()
        };
        let Some((place, subscriber)) = fitting.chain([None]).filter_map(first_of).min() else { continue };
        row.for_each(|partition| owners[partition] = Some(subscriber));
        topics.iter().for_each(|&topic| quotas[topic].take(place, 1));
    }
}
