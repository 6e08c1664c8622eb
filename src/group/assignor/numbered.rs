//! Who subscribes to what, in numbers, and the way back to names.
//!
//! Topics that do not exist, have no partitions or have no subscriber get no number. However many members subscribe to the same
//! topics, their list of topics is there once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::super::topic_partitions::TopicPartitions;
use super::java_order;
use super::table::{MemberNo, Number, PartitionNo, Table, TopicNo};
use super::traits::{Assignment, MemberSubscription, Subscriptions};
use crate::offset::PartitionId;

/// Which member each partition is given to.
pub(super) type Owners = Table<PartitionNo, Option<MemberNo>>;

/// The members, the topics and the partitions of one call.
#[derive(Debug)]
pub(super) struct Numbered<'a> {
    pub(super) members: Table<MemberNo, &'a MemberSubscription>,
    pub(super) topics: Table<TopicNo, NumberedTopic<'a>>,
    /// The topic of each partition.
    pub(super) topic_of: Table<PartitionNo, TopicNo>,
    /// Whether everybody names the same topics, those that do not exist included.
    pub(super) are_equal: bool,
    /// The members in the order in which the coordinator listed them.
    pub(super) listed: Vec<MemberNo>,
    numbers: HashMap<&'a str, TopicNo>,
    /// The different lists of topics, in order; and which of them is a member's.
    lists: Vec<Vec<TopicNo>>,
    list_of: Table<MemberNo, usize>,
}

/// A topic that is shared out.
#[derive(Debug)]
pub(super) struct NumberedTopic<'a> {
    pub(super) name: &'a str,
    /// The numbers of its partitions.
    pub(super) partitions: Range<usize>,
    /// Who subscribes to it, in order.
    pub(super) subscribers: Vec<MemberNo>,
}

impl NumberedTopic<'_> {
    pub(super) fn partitions(&self) -> impl DoubleEndedIterator<Item = PartitionNo> + use<> {
        self.partitions.clone().map(PartitionNo::at)
    }

    /// Its partition of this number in the topic.
    pub(super) fn partition(&self, number: u32) -> Option<PartitionNo> {
        let place = self.partitions.start.checked_add(usize::try_from(number).ok()?)?;
        self.partitions.contains(&place).then(|| PartitionNo::at(place))
    }
}

impl<'a> Numbered<'a> {
    /// Members in the order of their ids: for the sticky assignors.
    pub(super) fn by_id(subscriptions: &'a Subscriptions) -> Numbered<'a> {
        Numbered::new(subscriptions, |one, other| java_order::compare(&one.id, &other.id))
    }

    /// Static members first, in the order of their instance ids, then the others in that of their ids.
    pub(super) fn by_instance(subscriptions: &'a Subscriptions) -> Numbered<'a> {
        Numbered::new(subscriptions, |one, other| match (&one.instance_id, &other.instance_id) {
            (Some(one), Some(other)) => java_order::compare(one, other),
            (None, None) => java_order::compare(&one.id, &other.id),
            (one, other) => other.is_some().cmp(&one.is_some()),
        })
    }

    fn new(
        subscriptions: &'a Subscriptions,
        order: impl Fn(&MemberSubscription, &MemberSubscription) -> std::cmp::Ordering,
    ) -> Numbered<'a> {
        let mut places: Vec<(usize, &MemberSubscription)> =
            subscriptions.members.iter().enumerate().collect();
        places.sort_by(|(_, one), (_, other)| order(one, other));
        let members: Table<MemberNo, &MemberSubscription> =
            places.iter().map(|&(_, member)| member).collect();
        let mut listed: Vec<(usize, MemberNo)> =
            places.iter().zip(members.numbers()).map(|(&(place, _), number)| (place, number)).collect();
        listed.sort_unstable();

        let (names, list_of) = different_lists(&members);
        let mut topics = numbered_topics(subscriptions, &names);
        let numbers: HashMap<&str, TopicNo> =
            topics.iter().map(|(number, topic)| (topic.name, number)).collect();
        let lists: Vec<Vec<TopicNo>> = names.iter().map(|names| numbers_of(names, &numbers)).collect();
        for (member, &list) in list_of.iter() {
            for &topic in lists.get(list).into_iter().flatten() {
                topics[topic].subscribers.push(member);
            }
        }
        let of_topic =
            |(number, topic): (TopicNo, &NumberedTopic<'_>)| topic.partitions.clone().map(move |_| number);
        Numbered {
            topic_of: topics.iter().flat_map(of_topic).collect(),
            are_equal: are_equal(&names),
            listed: listed.into_iter().map(|(_, number)| number).collect(),
            members,
            topics,
            numbers,
            lists,
            list_of,
        }
    }

    /// How many partitions there are in all.
    pub(super) fn partition_count(&self) -> usize {
        self.topic_of.len()
    }

    pub(super) fn topic(&self, name: &str) -> Option<TopicNo> {
        self.numbers.get(name).copied()
    }

    pub(super) fn subscribes(&self, member: MemberNo, topic: TopicNo) -> bool {
        self.lists.get(self.list_of[member]).is_some_and(|list| list.binary_search(&topic).is_ok())
    }

    /// The partition's number in its topic.
    pub(super) fn number_in_topic(&self, partition: PartitionNo) -> usize {
        partition.place() - self.topics[self.topic_of[partition]].partitions.start
    }

    /// Those of `partitions` that are shared out.
    pub(super) fn partitions_of(&self, partitions: &TopicPartitions) -> Vec<PartitionNo> {
        let mut numbers = Vec::new();
        for (topic, partitions) in partitions.by_topic() {
            let Some(topic) = self.topic(topic) else { continue };
            let topic = &self.topics[topic];
            numbers.extend(partitions.iter().filter_map(|&partition| topic.partition(partition.into())));
        }
        numbers
    }

    /// The way back: every member, with what it is given.
    pub(super) fn assignment(&self, owners: &Owners) -> Assignment {
        let mut given: Table<MemberNo, Vec<(TopicNo, Vec<PartitionId>)>> =
            Table::of(Vec::new(), self.members.len());
        for (partition, owner) in owners.iter() {
            let number = u32::try_from(self.number_in_topic(partition)).ok().and_then(PartitionId::from_u32);
            let (&Some(owner), Some(number)) = (owner, number) else { continue };
            let topic = self.topic_of[partition];
            match given[owner].last_mut() {
                Some((last, partitions)) if *last == topic => partitions.push(number),
                _ => given[owner].push((topic, vec![number])),
            }
        }
        let named = |topics: &mut Vec<(TopicNo, Vec<PartitionId>)>| {
            let topics = std::mem::take(topics).into_iter();
            TopicPartitions::in_order(
                topics.map(|(topic, partitions)| (self.topics[topic].name.to_owned(), partitions)),
            )
        };
        let ids = self.members.values().map(|member| member.id.clone());
        ids.zip(given.values_mut().map(named)).collect()
    }
}

/// The different lists of topics as they were named, and which of them is a member's.
fn different_lists<'a>(
    members: &Table<MemberNo, &'a MemberSubscription>,
) -> (Vec<&'a [String]>, Table<MemberNo, usize>) {
    let mut lists = Vec::new();
    let mut known: HashMap<&[String], usize> = HashMap::new();
    let list_of = members
        .values()
        .map(|member| {
            *known.entry(&member.topics).or_insert_with(|| {
                lists.push(member.topics.as_slice());
                lists.len() - 1
            })
        })
        .collect();
    (lists, list_of)
}

/// The topics that are shared out, without their subscribers as yet.
fn numbered_topics<'a>(
    subscriptions: &'a Subscriptions,
    lists: &[&[String]],
) -> Table<TopicNo, NumberedTopic<'a>> {
    let wanted: HashSet<&str> = lists.iter().flat_map(|list| list.iter()).map(String::as_str).collect();
    let there = subscriptions.topics.partitions.iter();
    let mut end = 0_usize;
    there
        .filter(|&(name, &count)| count > 0 && wanted.contains(name.as_str()))
        .map(|(name, &count)| {
            let start = end;
            // More than a number can tell apart would need more memory than their table can have.
            end = start.saturating_add(count as usize).min(u32::MAX as usize);
            NumberedTopic { name, partitions: start..end, subscribers: Vec::new() }
        })
        .collect()
}

fn numbers_of(names: &[String], numbers: &HashMap<&str, TopicNo>) -> Vec<TopicNo> {
    let mut list: Vec<TopicNo> =
        names.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Whether all lists name the same topics, in whatever order.
fn are_equal(lists: &[&[String]]) -> bool {
    let mut sets = lists.iter().map(|list| list.iter().map(String::as_str).collect::<BTreeSet<_>>());
    let first = sets.next();
    sets.all(|set| first.as_ref() == Some(&set))
}
