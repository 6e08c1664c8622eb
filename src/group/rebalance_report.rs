//! What a rebalance was about: why it began, how long it took, and which partitions moved.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::topic_partitions::TopicPartitions;
use crate::offset::{PartitionId, Timestamp, TopicPartition};

/// A rebalance of a group that came to its end. Kafka only logs as much.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebalanceReport {
    /// The generation that it led to.
    pub generation: i32,
    /// When it began, on the wall's clock.
    pub began: Timestamp,
    /// From its beginning until every member's share was known, on the monotonic clock.
    pub elapsed: Duration,
    /// Which joins, leaves and losses made it necessary, in their order: at most 20.
    pub reasons: Vec<String>,
    /// How many more there were.
    pub more_reasons: usize,
    /// What each member, by its id, has now and had not in the generation before, or the reverse. None whose share stayed as it was.
    pub members: Vec<MemberChange>,
    /// Each partition that changed hands, in the order of topics and partitions.
    pub moves: Vec<PartitionMove>,
}

/// What a rebalance changed for one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberChange {
    /// The member's id. It may be gone.
    pub member_id: String,
    /// What it got.
    pub gained: TopicPartitions,
    /// What it had.
    pub lost: TopicPartitions,
}

/// A partition that changed hands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionMove {
    /// Which one.
    pub partition: TopicPartition,
    /// The id of the member that had it. None where nobody had.
    pub from: Option<String>,
    /// The id of the member that has it now. None where nobody has: a cooperative assignor hands it out in the next rebalance, its
    /// topic was deleted, or no member is left.
    pub to: Option<String>,
}

/// Who has what, by the ids of members.
pub(super) type Shares = BTreeMap<String, TopicPartitions>;

/// A partition.
type Place<'a> = (&'a str, PartitionId);
/// Who had it, and who has it.
type Ends<'a> = (Option<&'a str>, Option<&'a str>);

impl RebalanceReport {
    /// Fills in what became of the partitions between two generations.
    pub(super) fn compare(&mut self, before: &Shares, after: &Shares) {
        let nothing = TopicPartitions::new();
        let ids: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut moves: BTreeMap<Place<'_>, Ends<'_>> = BTreeMap::new();
        let mut members = Vec::new();
        for id in ids {
            let had = before.get(id).unwrap_or(&nothing);
            let has = after.get(id).unwrap_or(&nothing);
            let (gained, lost) = (has.without(had), had.without(has));
            if gained.is_empty() && lost.is_empty() {
                continue;
            }
            had.iter().filter(|(topic, number)| !has.contains(topic, *number)).for_each(|place| {
                moves.entry(place).or_default().0 = Some(id);
            });
            has.iter().filter(|(topic, number)| !had.contains(topic, *number)).for_each(|place| {
                moves.entry(place).or_default().1 = Some(id);
            });
            members.push(MemberChange { member_id: id.clone(), gained, lost });
        }
        let moved = |((topic, number), (from, to)): (Place<'_>, Ends<'_>)| {
            let partition = TopicPartition::new(topic, number);
            PartitionMove { partition, from: from.map(str::to_owned), to: to.map(str::to_owned) }
        };
        self.moves = moves.into_iter().map(moved).collect();
        self.members = members;
    }
}

impl fmt::Display for RebalanceReport {
    /// On several lines: the rebalance, its reasons, and each partition that moved.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}, begun at {}, {:?}", self.generation, self.began, self.elapsed)?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}")?;
        }
        if self.more_reasons > 0 {
            write!(f, "\n  and {} more", self.more_reasons)?;
        }
        self.moves.iter().try_for_each(|moved| write!(f, "\n  {moved}"))
    }
}

impl fmt::Display for PartitionMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |member: &Option<String>| member.clone().unwrap_or_else(|| "nobody".to_owned());
        write!(f, "{}: from {} to {}", self.partition, name(&self.from), name(&self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_told_with_both_ends() {
        let id = |number| PartitionId::from_u32(number).unwrap();
        let shares = |all: &[(&str, &[u32])]| -> Shares {
            let share = |numbers: &[u32]| numbers.iter().map(|&number| ("t", id(number))).collect();
            all.iter().map(|(member, numbers)| ((*member).to_owned(), share(numbers))).collect()
        };
        let mut report = RebalanceReport {
            generation: 2,
            began: Timestamp::from_millis(7),
            elapsed: Duration::from_millis(3),
            reasons: vec!["b joined".to_owned()],
            more_reasons: 1,
            members: Vec::new(),
            moves: Vec::new(),
        };
        report.compare(
            &shares(&[("a", &[0, 1, 2]), ("c", &[3])]),
            &shares(&[("a", &[0]), ("b", &[1, 3]), ("d", &[])]),
        );
        assert_eq!(
            report.to_string(),
            "generation 2, begun at 7, 3ms\n  b joined\n  and 1 more\n  t-1: from a to b\n  t-2: from a to nobody\n  \
             t-3: from c to b"
        );
        let changed: Vec<_> = report.members.iter().map(|member| member.member_id.as_str()).collect();
        assert_eq!(changed, ["a", "b", "c"]);
        assert_eq!(report.members[1].gained.to_string(), "t-1, t-3");
    }
}
