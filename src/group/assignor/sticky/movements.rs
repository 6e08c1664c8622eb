//! Which partitions have moved from whom to whom, so that none is swapped for another of its topic.

use std::collections::{BTreeSet, HashMap};

use super::super::table::{MemberNo, PartitionNo, TopicNo};

/// From the first owner to the last.
type Move = (MemberNo, MemberNo);

/// What has moved so far. A partition that came back to its first owner has not.
#[derive(Debug, Default)]
pub(super) struct Movements {
    of: HashMap<PartitionNo, Move>,
    alike: HashMap<(TopicNo, Move), BTreeSet<PartitionNo>>,
}

impl Movements {
    /// The partition that is to move so that `target` has one more of this topic: if one came from it to where `partition` was
    /// first, that goes back instead. Kafka takes any such, we take the lowest.
    pub(super) fn instead_of(
        &self,
        partition: PartitionNo,
        topic: TopicNo,
        owner: MemberNo,
        target: MemberNo,
    ) -> Option<PartitionNo> {
        let first_owner = self.of.get(&partition).map_or(owner, |&(first, _)| first);
        self.alike.get(&(topic, (target, first_owner)))?.first().copied()
    }

    /// Notes that a partition goes from its owner to another member.
    pub(super) fn note(&mut self, partition: PartitionNo, topic: TopicNo, owner: MemberNo, target: MemberNo) {
        let mut first_owner = owner;
        if let Some(earlier) = self.of.remove(&partition) {
            first_owner = earlier.0;
            if let Some(alike) = self.alike.get_mut(&(topic, earlier)) {
                alike.remove(&partition);
            }
        }
        if first_owner != target {
            self.of.insert(partition, (first_owner, target));
            self.alike.entry((topic, (first_owner, target))).or_default().insert(partition);
        }
    }
}
