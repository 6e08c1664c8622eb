//! How long an assignor takes: a group with much to share out, then one more member, then one fewer.

use streamlog::{
    Assignment, Assignor, CooperativeSticky, MemberSubscription, PreviousAssignment, Range,
    RebalanceProtocol, RoundRobin, Sticky, Subscriptions, TopicPartitions,
};

use crate::harness::{Outcome, Settings, Table, Target, Unit, no_bare, seconds};

/// What is asked of a group of this size.
const TARGET: Target = Target::ValueAtMost(500.0);
const TOPICS: u64 = 100;
const TOPIC_PARTITIONS: u32 = 1000;
const MEMBERS: u64 = 500;
/// What is asked of a million partitions.
const TARGET_MILLION: Target = Target::ValueAtMost(3000.0);
const MILLION_MEMBERS: u64 = 1000;

fn assignors() -> [&'static dyn Assignor; 4] {
    [&Range, &RoundRobin, &Sticky, &CooperativeSticky]
}

/// A group in which members subscribe to everything, or each to about half of the topics.
fn group(topics: u64, members: u64, is_equal: bool) -> Subscriptions {
    let names: Vec<String> = (0..topics).map(|topic| format!("topic-{topic:04}")).collect();
    let mut group = Subscriptions::new();
    for name in &names {
        group = group.topic(name, TOPIC_PARTITIONS);
    }
    let mut random = fastrand::Rng::with_seed(members);
    for number in 0..members {
        group.members.push(member(number, &names, |_| is_equal || random.bool()));
    }
    group
}

fn member(number: u64, names: &[String], mut wants: impl FnMut(&String) -> bool) -> MemberSubscription {
    let names = names.iter().filter(|name| wants(name)).cloned();
    MemberSubscription::new(format!("consumer-{number:04}-{:016x}", number.wrapping_mul(0x9E37_79B9)), names)
}

/// The group in the next generation, with what it was given.
fn rejoined(assignor: &dyn Assignor, mut group: Subscriptions, given: &Assignment) -> Subscriptions {
    for member in &mut group.members {
        let Some(given) = given.get(&member.id) else { continue };
        member.user_data = assignor.user_data(PreviousAssignment::new(&member.topics, given, Some(1)));
        if assignor.protocol() == RebalanceProtocol::Cooperative {
            member.owned = given.clone();
            member.generation = Some(1);
        }
    }
    group
}

/// Milliseconds of one call; that it gave everything out, or as much as is not withheld.
fn run(assignor: &dyn Assignor, group: &Subscriptions, withheld_max: usize) -> Outcome<f64> {
    let (given, elapsed) = seconds(|| Ok(assignor.assign(group)))?;
    let count: usize = given.values().map(TopicPartitions::len).sum();
    let all: usize = group.topics.partitions.values().map(|&count| count as usize).sum();
    assert!(count <= all && count + withheld_max >= all, "{count} of {all}");
    Ok(elapsed * 1e3)
}

/// Each assignor: a new group, one that somebody joins, one that somebody leaves; with equal and unequal subscriptions.
pub(crate) fn assign(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let (topics, members) = (settings.sized(TOPICS), settings.sized(MEMBERS));
    let mut cases = Vec::new();
    for is_equal in [true, false] {
        for assignor in assignors() {
            let new = group(topics, members, is_equal);
            let settled = rejoined(assignor, new.clone(), &assignor.assign(&new));
            let names: Vec<String> = new.topics.partitions.keys().cloned().collect();
            let joined = settled.clone().member(member(members, &names, |_| true));
            let mut left = settled.clone();
            left.members.remove(left.members.len() / 2);
            let kind = if is_equal { "equal" } else { "unequal" };
            let share = TOPIC_PARTITIONS as usize * usize::try_from(topics)?;
            for (what, group) in [("new", new), ("one joins", joined), ("one leaves", left)] {
                if group.members.is_empty() {
                    continue;
                }
                let name = format!("{}, {kind}, {what}", assignor.name());
                cases.push(no_bare(
                    name,
                    Unit::Milliseconds,
                    move || run(assignor, &group, share / 2),
                    TARGET,
                ));
            }
        }
    }
    table.measure(cases)
}

/// Each assignor, when everybody subscribes to a million partitions and has its share: and to fewer, to see how it grows.
pub(crate) fn assign_million(settings: &Settings, table: &mut Table) -> Outcome<()> {
    for assignor in assignors() {
        for topics in [125, 250, 500, 1000] {
            let new = group(settings.sized(topics), settings.sized(MILLION_MEMBERS), true);
            let settled = rejoined(assignor, new.clone(), &assignor.assign(&new));
            let target = if topics == 1000 { TARGET_MILLION } else { Target::None };
            let cases = [("new", new), ("again", settled)].into_iter().map(|(what, group)| {
                let name = format!("{}, {topics} 000 partitions, {what}", assignor.name());
                no_bare(name, Unit::Milliseconds, move || run(assignor, &group, 0), target)
            });
            table.measure(cases.collect())?;
        }
    }
    Ok(())
}
