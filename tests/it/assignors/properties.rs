//! What must hold of every assignment, whatever the members and topics: groups are drawn, a seed each.

use std::collections::{BTreeMap, BTreeSet};

use streamlog::{Assignment, MemberSubscription, PartitionId, Subscriptions, TopicPartitions};

use super::rebalance::{assignor, lost, own, settle};
use crate::kit::Seed;

const SEEDS: u64 = 200;
const NAMES: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];
const RACKS: usize = 3;

/// What kind of group is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    is_equal: bool,
    has_racks: bool,
}

const KINDS: [Kind; 4] = [
    Kind { is_equal: true, has_racks: false },
    Kind { is_equal: true, has_racks: true },
    Kind { is_equal: false, has_racks: false },
    Kind { is_equal: false, has_racks: true },
];

fn rack(seed: &mut Seed) -> String {
    format!("rack{}", seed.below(RACKS))
}

fn topics(seed: &mut Seed, has_racks: bool) -> Subscriptions {
    let mut group = Subscriptions::new();
    for topic in 0..=seed.below(6) {
        let (name, count) = (format!("t{topic}"), seed.below(10));
        group = group.topic(&name, count.try_into().unwrap());
        if has_racks {
            let replicas = (0..count).map(|_| (0..=seed.below(3)).map(|_| rack(seed)).collect());
            group.topics.racks.insert(name, replicas.collect());
        }
    }
    group
}

/// A member that is not there yet. Equal ones name all topics and one that does not exist.
fn newcomer(seed: &mut Seed, kind: Kind, group: &Subscriptions) -> MemberSubscription {
    let all = group.topics.partitions.keys().map(String::as_str).chain(["missing"]);
    let named: Vec<&str> = all.filter(|_| kind.is_equal || seed.below(2) == 0).collect();
    let mut member = MemberSubscription::new(format!("member-{}", seed.below(1 << 30)), named);
    member.instance_id = (seed.below(3) == 0).then(|| format!("instance-{}", seed.below(1 << 30)));
    member.rack = (kind.has_racks && seed.below(4) > 0).then(|| rack(seed));
    member
}

fn group(seed: &mut Seed, kind: Kind) -> Subscriptions {
    let mut group = topics(seed, kind.has_racks);
    for _ in 0..=seed.below(8) {
        let member = newcomer(seed, kind, &group);
        group = group.member(member);
    }
    group
}

/// Runs once for each seed and kind; a failure says which.
fn for_each_group(kinds: &[Kind], mut run: impl FnMut(&mut Seed, Kind)) {
    for number in 0..SEEDS {
        for &kind in kinds {
            let run = std::panic::AssertUnwindSafe(|| run(&mut Seed::new(number), kind));
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("seed {number}, {kind:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Each member's answer, each partition at most once and to a subscriber; returns what nobody has who could.
fn missing(group: &Subscriptions, result: &Assignment) -> BTreeSet<(String, u32)> {
    let ids: BTreeSet<&String> = group.members.iter().map(|member| &member.id).collect();
    assert_eq!(ids, result.keys().collect(), "every member is there, and nobody else");
    let wanted: BTreeSet<&String> = group.members.iter().flat_map(|member| &member.topics).collect();
    let there = group.topics.partitions.iter().filter(|(topic, _)| wanted.contains(topic));
    let mut missing: BTreeSet<(String, u32)> =
        there.flat_map(|(topic, &count)| (0..count).map(move |number| (topic.clone(), number))).collect();
    for member in &group.members {
        for (topic, partition) in result[&member.id].iter() {
            assert!(
                member.topics.iter().any(|named| named == topic),
                "{} did not subscribe to {topic}",
                member.id
            );
            let is_new = missing.remove(&(topic.to_owned(), partition.into()));
            assert!(is_new, "{topic}-{partition} twice, or not there: {result:?}");
        }
    }
    missing
}

fn sizes(result: &Assignment) -> (usize, usize) {
    let sizes = result.values().map(TopicPartitions::len);
    (sizes.clone().min().unwrap(), sizes.max().unwrap())
}

/// Nobody could have a partition from a member with at least two more.
fn check_fair(group: &Subscriptions, result: &Assignment) {
    for member in &group.members {
        let size = result[&member.id].len();
        for (id, given) in result.iter().filter(|(_, given)| given.len() > size + 1) {
            let wanted = given.by_topic().find(|(topic, _)| member.topics.iter().any(|named| named == topic));
            assert_eq!(wanted, None, "{} has {size}, {id} has {}: {result:?}", member.id, given.len());
        }
    }
}

#[test]
fn every_partition_goes_to_one_subscriber() {
    for_each_group(&KINDS, |seed, kind| {
        let group = group(seed, kind);
        for name in NAMES {
            let missing = missing(&group, &assignor(name).assign(&group));
            assert!(missing.is_empty(), "{name} leaves {missing:?}");
        }
    });
}

#[test]
fn the_order_in_which_members_are_listed_changes_nothing_without_claims() {
    for_each_group(&KINDS, |seed, kind| {
        let group = group(seed, kind);
        let mut turned = group.clone();
        turned.members.reverse();
        for name in NAMES {
            assert_eq!(assignor(name).assign(&group), assignor(name).assign(&turned), "{name}");
        }
    });
}

#[test]
fn range_shares_each_topic_evenly_and_in_ranges_without_racks() {
    for_each_group(&KINDS, |seed, kind| {
        let group = group(seed, kind);
        let result = assignor("range").assign(&group);
        for topic in group.topics.partitions.keys() {
            let subscribers = group.members.iter().filter(|member| member.topics.contains(topic));
            let of_topic = |member: &MemberSubscription| {
                let given = result[&member.id].iter().filter(|(name, _)| name == topic);
                given.map(|(_, partition)| u32::from(partition)).collect::<Vec<u32>>()
            };
            let given: Vec<Vec<u32>> = subscribers.map(of_topic).collect();
            let (least, most) = (given.iter().map(Vec::len).min(), given.iter().map(Vec::len).max());
            assert!(most <= least.map(|least| least + 1), "{topic}: {given:?}");
            let are_ranges =
                given.iter().flat_map(|given| given.windows(2)).all(|pair| pair[0] + 1 == pair[1]);
            assert!(kind.has_racks || are_ranges, "{topic}: {given:?}");
        }
    });
}

#[test]
fn range_keeps_equal_topics_together() {
    for_each_group(&KINDS[..1], |seed, kind| {
        let mut group = group(seed, kind);
        group.topics.partitions.values_mut().for_each(|count| *count = 7);
        for given in assignor("range").assign(&group).values() {
            let shares: BTreeSet<&[PartitionId]> =
                given.by_topic().map(|(_, partitions)| partitions).collect();
            assert!(shares.len() <= 1, "{given:?}");
        }
    });
}

#[test]
fn shares_differ_by_one_at_most_where_subscriptions_are_equal() {
    for_each_group(&KINDS[..2], |seed, kind| {
        let group = group(seed, kind);
        for name in ["roundrobin", "sticky", "cooperative-sticky"] {
            let (least, most) = sizes(&assignor(name).assign(&group));
            assert!(most <= least + 1, "{name}: {least} to {most}");
        }
    });
}

#[test]
fn sticky_changes_nothing_when_nothing_has_changed() {
    for_each_group(&KINDS, |seed, kind| {
        for name in &NAMES[2..] {
            if *name == "sticky" && kind.has_racks && !kind.is_equal {
                continue; // Kafka's goes round in some of these groups.
            }
            let (assignor, mut group) = (assignor(name), group(seed, kind));
            let mut result = assignor.assign(&group);
            if kind.has_racks {
                // Kafka gives up what is in another rack each time; once it has, it gets the same again.
                own(&*assignor, &mut group, &result, 0);
                result = settle(&*assignor, group.clone(), assignor.assign(&group));
            }
            own(&*assignor, &mut group, &result, 1);
            assert_eq!(assignor.assign(&group), result, "{name}");
        }
    });
}

#[test]
fn a_member_that_leaves_moves_only_its_own_partitions() {
    for_each_group(&KINDS[..1], |seed, kind| {
        for name in &NAMES[2..] {
            let (assignor, mut group) = (assignor(name), group(seed, kind));
            let before = assignor.assign(&group);
            own(&*assignor, &mut group, &before, 1);
            group.members.remove(seed.below(group.members.len()));
            if group.members.is_empty() {
                continue;
            }
            let after = assignor.assign(&group);
            assert!(missing(&group, &after).is_empty(), "{name}: nobody owned what the leaver had");
            for (id, given) in &after {
                assert!(
                    before[id].without(given).is_empty(),
                    "{name}: {id} had {:?}, has {given:?}",
                    before[id]
                );
            }
        }
    });
}

#[test]
fn a_member_that_joins_takes_only_its_share() {
    for_each_group(&KINDS[..1], |seed, kind| {
        for name in &NAMES[2..] {
            let (assignor, mut group) = (assignor(name), group(seed, kind));
            let before = assignor.assign(&group);
            own(&*assignor, &mut group, &before, 1);
            group = group.clone().member(newcomer(seed, kind, &group));
            let after = settle(&*assignor, group.clone(), assignor.assign(&group));
            let (least, most) = sizes(&after);
            assert!(most <= least + 1, "{name}: {least} to {most}");
            for (id, before) in &before {
                let new = after[id].without(before);
                assert!(new.is_empty(), "{name}: {id} gained {new:?}");
            }
        }
    });
}

#[test]
fn sticky_is_fair_through_a_history_whatever_is_subscribed_to() {
    for_each_group(&KINDS, |seed, kind| {
        let (sticky, mut group) = (assignor("sticky"), group(seed, kind));
        for generation in 0..6 {
            let result = sticky.assign(&group);
            assert!(missing(&group, &result).is_empty());
            check_fair(&group, &result);
            own(&*sticky, &mut group, &result, generation);
            change(seed, kind, &mut group);
        }
    });
}

#[test]
fn claims_of_any_generation_on_anything_do_no_harm() {
    for_each_group(&KINDS, |seed, kind| {
        for name in &NAMES[2..] {
            let (assignor, mut group) = (assignor(name), group(seed, kind));
            for _ in 0..group.members.len() {
                let given = assignor.assign(&self::group(seed, kind)).into_values().next().unwrap();
                let claimant = group.members[seed.below(group.members.len())].id.clone();
                let claim = Assignment::from([(claimant, given)]);
                own(&*assignor, &mut group, &claim, seed.between(-1, 2).try_into().unwrap());
            }
            let result = settle(&*assignor, group.clone(), assignor.assign(&group));
            assert!(missing(&group, &result).is_empty(), "{name}");
            check_fair(&group, &result);
        }
    });
}

#[test]
fn user_data_of_any_bytes_are_borne() {
    for_each_group(&KINDS, |seed, kind| {
        for name in &NAMES[2..] {
            let mut group = group(seed, kind);
            for member in &mut group.members {
                let count = seed.below(40);
                let mut bytes = seed.bytes(count);
                // Small counts, so that some of it is understood.
                bytes.iter_mut().for_each(|byte| *byte %= 3);
                member.user_data = Some(bytes);
            }
            assert!(missing(&group, &assignor(name).assign(&group)).is_empty(), "{name}");
        }
    });
}

/// One joins, one leaves, a subscription changes, or a topic grows.
fn change(seed: &mut Seed, kind: Kind, group: &mut Subscriptions) {
    let place = seed.below(group.members.len());
    match seed.below(4) {
        0 if group.members.len() > 1 => drop(group.members.remove(place)),
        1 if !kind.is_equal => group.members[place].topics = newcomer(seed, kind, group).topics,
        2 => group.topics.partitions.values_mut().for_each(|count| *count += 1),
        _ => {
            let member = newcomer(seed, kind, group);
            group.members.push(member);
        }
    }
}

/// No partition is given to one who did not own it while another does.
fn check_one_owner(group: &Subscriptions, result: &Assignment) {
    let mut owners: BTreeMap<(&str, PartitionId), &str> = BTreeMap::new();
    for member in &group.members {
        for partition in member.owned.iter() {
            assert_eq!(owners.insert(partition, &member.id), None, "{partition:?} has two owners already");
        }
    }
    for (id, given) in result {
        for partition in given.iter() {
            let owner = owners.get(&partition).copied().unwrap_or(id);
            assert_eq!(owner, id, "{partition:?} is given to {id} while another owns it");
        }
    }
}

#[test]
fn a_cooperative_group_settles_with_one_owner_at_any_moment() {
    const REBALANCES_MAX: usize = 4;
    for_each_group(&KINDS, |seed, kind| {
        let (cooperative, mut group) = (assignor("cooperative-sticky"), group(seed, kind));
        let mut generation = 0;
        for _ in 0..6 {
            let mut rebalances = 0;
            loop {
                let result = cooperative.assign(&group);
                rebalances += 1;
                generation += 1;
                check_one_owner(&group, &result);
                let owned: BTreeSet<(String, u32)> = owned(&group);
                let missing = missing(&group, &result);
                assert!(missing.is_subset(&owned), "only what is owned is withheld");
                let lost = lost(&group, &result);
                own(&*cooperative, &mut group, &result, generation);
                if lost == 0 {
                    assert!(missing.is_empty(), "settled without {missing:?}");
                    check_fair(&group, &result);
                    break;
                }
                assert!(rebalances < REBALANCES_MAX, "not settled yet");
            }
            change(seed, kind, &mut group);
        }
    });
}

fn owned(group: &Subscriptions) -> BTreeSet<(String, u32)> {
    let owned = group.members.iter().flat_map(|member| member.owned.iter());
    owned.map(|(topic, partition)| (topic.to_owned(), partition.into())).collect()
}
