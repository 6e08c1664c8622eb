//! Whether an assignor's answer is an assignment: it may be a user's, so none of it is believed.

use std::collections::HashMap;

use super::super::topic_partitions::TopicPartitions;
use super::numbered::{Numbered, Owners};
use super::table::{MemberNo, PartitionNo, Table};
use super::traits::{Assignment, Subscriptions};
use crate::error::{Error, Result};
use crate::offset::PartitionId;

/// Refuses an answer that names an unknown member, gives a partition that does not exist, gives one twice or to one who does not
/// subscribe to its topic, gives one away that another still owns, or gives one to nobody that somebody subscribes to and that
/// nobody still owns.
///
/// A member that is not in the answer gets nothing. `assignor` is its name, for the error. What members still own is in their
/// subscriptions with the cooperative protocol alone, so with the eager one everything must be given.
///
/// # Errors
///
/// [`Error::InvalidAssignment`], for the first of these that is found.
pub(crate) fn check(assignor: &str, subscriptions: &Subscriptions, assignment: &Assignment) -> Result<()> {
    let refusal = |reason| Error::InvalidAssignment { assignor: assignor.to_owned(), reason };
    find_given(subscriptions, assignment).map_err(refusal)
}

fn find_given(subscriptions: &Subscriptions, assignment: &Assignment) -> Result<(), String> {
    let numbered = Numbered::by_id(subscriptions);
    let members: HashMap<&str, MemberNo> =
        numbered.members.iter().map(|(number, member)| (member.id.as_str(), number)).collect();
    let mut owners: Owners = Table::of(None, numbered.partition_count());
    for (id, given) in assignment {
        let Some(&member) = members.get(id.as_str()) else {
            return Err(format!("{id:?} is not a member"));
        };
        give(&numbered, subscriptions, member, given, &mut owners)?;
    }
    withhold(&numbered, &mut owners)?;
    match owners.iter().find(|(_, owner)| owner.is_none()) {
        Some((partition, _)) => {
            let topic = numbered.topics[numbered.topic_of[partition]].name;
            Err(format!("{topic}-{} is given to nobody", numbered.number_in_topic(partition)))
        }
        None => Ok(()),
    }
}

/// Refuses to give a partition to another than the one who still owns it, who may be reading it: it must be left out first. What is
/// left out counts as given.
fn withhold(numbered: &Numbered<'_>, owners: &mut Owners) -> Result<(), String> {
    let mut stays: Table<PartitionNo, bool> = Table::of(false, owners.len());
    for (number, member) in numbered.members.iter() {
        for partition in numbered.partitions_of(&member.owned) {
            stays[partition] |= owners[partition] == Some(number);
        }
    }
    for (number, member) in numbered.members.iter() {
        for partition in numbered.partitions_of(&member.owned) {
            let other = *owners[partition].get_or_insert(number);
            if other != number && !stays[partition] {
                let (topic, place) = (numbered.topic_of[partition], numbered.number_in_topic(partition));
                let (name, other) = (numbered.topics[topic].name, &numbered.members[other].id);
                return Err(format!(
                    "{name}-{place} is given to {other:?}, but {:?} still owns it",
                    member.id
                ));
            }
        }
    }
    Ok(())
}

/// Notes what one member is given.
fn give(
    numbered: &Numbered<'_>,
    subscriptions: &Subscriptions,
    member: MemberNo,
    given: &TopicPartitions,
    owners: &mut Owners,
) -> Result<(), String> {
    let id = &numbered.members[member].id;
    for (name, partitions) in given.by_topic() {
        let count = subscriptions.topics.partitions.get(name).copied().unwrap_or(0);
        let is_there = |partition: PartitionId| u32::from(partition) < count;
        if let Some(partition) = partitions.iter().find(|&&partition| !is_there(partition)) {
            return Err(format!("{name}-{partition}, given to {id:?}, does not exist"));
        }
        let subscribed = numbered.topic(name).filter(|&topic| numbered.subscribes(member, topic));
        let Some(topic) = subscribed else {
            return Err(format!("{id:?} is given partitions of {name}, to which it does not subscribe"));
        };
        for &number in partitions {
            let Some(partition) = numbered.topics[topic].partition(number.into()) else { continue };
            if let Some(other) = owners[partition].replace(member) {
                let other = &numbered.members[other].id;
                return Err(format!("{name}-{number} is given to both {other:?} and {id:?}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::traits::MemberSubscription;
    use super::*;

    /// Two members, of which "a" owns t-2: "a" subscribes to "t" alone, "b" to "u" too, and nobody to "v".
    fn subscriptions() -> Subscriptions {
        let mut a = MemberSubscription::new("a", ["t", "missing"]);
        a.owned.insert("t", PartitionId::from_u32(2).unwrap());
        let b = MemberSubscription::new("b", ["t", "u"]);
        Subscriptions::new().topic("t", 3).topic("u", 1).topic("v", 1).member(a).member(b)
    }

    /// What is said of "member topic-partition, …".
    fn verdict(given: &str) -> Option<String> {
        let mut assignment = Assignment::new();
        for one in given.split(", ").filter(|one| !one.is_empty()) {
            let (member, partition) = one.split_once(' ').unwrap();
            let (topic, number) = partition.rsplit_once('-').unwrap();
            let number = PartitionId::from_u32(number.parse().unwrap()).unwrap();
            assert!(assignment.entry(member.to_owned()).or_default().insert(topic, number));
        }
        let error = check("mine", &subscriptions(), &assignment).err()?;
        let Error::InvalidAssignment { assignor, reason } = error else { panic!("{error}") };
        assert_eq!(assignor, "mine");
        Some(reason)
    }

    #[test]
    fn what_is_still_owned_may_be_withheld_and_a_member_may_get_nothing() {
        assert_eq!(verdict("a t-0, a t-1, a t-2, b u-0"), None);
        assert_eq!(verdict("b t-0, b t-1, b u-0"), None, "a still owns t-2");
    }

    #[test]
    fn each_kind_of_nonsense_is_refused_by_name() {
        let cases = [
            ("a t-0, b t-1, b u-0, c t-2", "\"c\" is not a member"),
            ("a t-0, a t-1, a t-3, b u-0", "t-3, given to \"a\", does not exist"),
            ("a t-0, a t-1, a missing-0, b u-0", "missing-0, given to \"a\", does not exist"),
            ("a t-0, a t-1, b t-1, b u-0", "t-1 is given to both \"a\" and \"b\""),
            ("a t-0, a t-1, a u-0", "\"a\" is given partitions of u, to which it does not subscribe"),
            ("a t-0, a t-1, b u-0, b v-0", "\"b\" is given partitions of v, to which it does not subscribe"),
            ("a t-0, a t-1, b t-2, b u-0", "t-2 is given to \"b\", but \"a\" still owns it"),
            ("a t-0, b u-0", "t-1 is given to nobody"),
            ("a t-0, a t-1", "u-0 is given to nobody"),
            ("", "t-0 is given to nobody"),
        ];
        for (given, reason) in cases {
            assert_eq!(verdict(given).as_deref(), Some(reason), "{given}");
        }
    }
}
