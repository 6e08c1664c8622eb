//! What members do with an assignment: give up what they lost, take what is new, and come back with what they own then.

use streamlog::{
    Assignment, Assignor, CooperativeSticky, PartitionId, PreviousAssignment, Range, RebalanceProtocol,
    RoundRobin, Sticky, Subscriptions, TopicPartitions,
};

/// The rebalances in which Kafka's tests want a cooperative group to be settled.
const REBALANCES_MAX: usize = 4;

pub(crate) fn assignor(name: &str) -> Box<dyn Assignor> {
    let all: [Box<dyn Assignor>; 4] =
        [Box::new(Range), Box::new(RoundRobin), Box::new(Sticky), Box::new(CooperativeSticky)];
    all.into_iter().find(|assignor| assignor.name() == name).unwrap()
}

/// From names of partitions: `orders-3`.
pub(crate) fn partitions(names: &[&str]) -> TopicPartitions {
    let parsed = names.iter().map(|name| {
        let (topic, number) = name.rsplit_once('-').unwrap();
        (topic, PartitionId::try_from(number.parse::<u32>().unwrap()).unwrap())
    });
    parsed.collect()
}

/// What a member owned before, as its subscription says it.
pub(crate) fn own(
    assignor: &dyn Assignor,
    subscriptions: &mut Subscriptions,
    result: &Assignment,
    generation: i32,
) {
    for member in &mut subscriptions.members {
        let Some(owned) = result.get(&member.id) else { continue };
        let previous = PreviousAssignment::new(&member.topics, owned, Some(generation));
        member.user_data = assignor.user_data(previous);
        if assignor.protocol() == RebalanceProtocol::Cooperative {
            member.owned = owned.clone();
            member.generation = Some(generation);
        }
    }
}

/// How many partitions members lose that owned them.
pub(crate) fn lost(subscriptions: &Subscriptions, result: &Assignment) -> usize {
    subscriptions.members.iter().map(|member| member.owned.without(&result[&member.id]).len()).sum()
}

/// Rebalances until nobody loses anything; `result` is what the first one gave.
///
/// Each time, members give up what they lost and rejoin owning exactly what they were handed.
pub(crate) fn settle(
    assignor: &dyn Assignor,
    mut subscriptions: Subscriptions,
    mut result: Assignment,
) -> Assignment {
    let mut generation =
        subscriptions.members.iter().filter_map(|member| member.generation).max().unwrap_or(0);
    for _ in 1..REBALANCES_MAX {
        if lost(&subscriptions, &result) == 0 {
            return result;
        }
        generation += 1;
        own(assignor, &mut subscriptions, &result, generation);
        result = assignor.assign(&subscriptions);
    }
    assert_eq!(lost(&subscriptions, &result), 0, "{REBALANCES_MAX} rebalances did not settle it");
    result
}
