//! Which rack a member is in, and which racks hold a replica of a partition.
//!
//! A rack without a name is none. Partitions have few different sets of racks, so each set is there once.

use std::collections::{BTreeSet, HashMap};

use super::numbered::Numbered;
use super::table::{MemberNo, Number, PartitionNo, RackNo, RackSetNo, Table};
use super::traits::SubscribedTopics;

/// The racks of members and partitions.
#[derive(Debug)]
pub(super) struct Racks {
    of_member: Table<MemberNo, Option<RackNo>>,
    of_partition: Table<PartitionNo, RackSetNo>,
    /// In order.
    sets: Table<RackSetNo, Vec<RackNo>>,
    pub(super) count: usize,
}

impl Racks {
    /// `None` where no member says which rack it is in.
    pub(super) fn of(numbered: &Numbered<'_>, topics: &SubscribedTopics) -> Option<Racks> {
        let mut names = Names::default();
        let of_member: Table<MemberNo, Option<RackNo>> =
            numbered.members.values().map(|member| names.rack(member.rack.as_deref()?)).collect();
        of_member.values().find(|rack| rack.is_some())?;
        let mut of_partition = Vec::with_capacity(numbered.partition_count());
        for topic in numbered.topics.values() {
            let known = topics.racks.get(topic.name).map_or(&[][..], Vec::as_slice);
            let known = known.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
            of_partition.extend(topic.partitions.clone().zip(known).map(|(_, racks)| names.set(racks)));
        }
        let count = names.racks.len();
        Some(Racks { of_member, of_partition: of_partition.into(), sets: names.sets, count })
    }

    pub(super) fn of_member(&self, member: MemberNo) -> Option<RackNo> {
        self.of_member[member]
    }

    /// The racks that hold a replica of the partition; none where that is not known.
    pub(super) fn of_partition(&self, partition: PartitionNo) -> &[RackNo] {
        &self.sets[self.of_partition[partition]]
    }

    /// Whether the member says its rack, and the partition has a replica there.
    pub(super) fn are_same(&self, member: MemberNo, partition: PartitionNo) -> bool {
        self.of_member[member].is_some_and(|rack| self.of_partition(partition).contains(&rack))
    }

    /// Whether the member says its rack, and the partition has no replica there.
    pub(super) fn differ(&self, member: MemberNo, partition: PartitionNo) -> bool {
        self.of_member[member].is_some_and(|rack| !self.of_partition(partition).contains(&rack))
    }

    /// Whether it makes a difference for these members who gets which of these partitions: some member could read from its own
    /// rack, and not every partition is in every rack.
    pub(super) fn matter(
        &self,
        members: impl Iterator<Item = MemberNo>,
        partitions: impl Iterator<Item = PartitionNo>,
    ) -> bool {
        let sets: BTreeSet<RackSetNo> = partitions.map(|partition| self.of_partition[partition]).collect();
        let sets: Vec<&Vec<RackNo>> = sets.into_iter().map(|set| &self.sets[set]).collect();
        let all: BTreeSet<RackNo> = sets.iter().flat_map(|set| set.iter().copied()).collect();
        let mut of_members = members.filter_map(|member| self.of_member[member]);
        of_members.any(|rack| all.contains(&rack)) && sets.iter().any(|set| set.len() < all.len())
    }
}

/// What has been numbered so far.
#[derive(Default)]
struct Names<'a> {
    racks: HashMap<&'a str, RackNo>,
    known: HashMap<&'a [String], RackSetNo>,
    sets: Table<RackSetNo, Vec<RackNo>>,
}

impl<'a> Names<'a> {
    fn rack(&mut self, name: &'a str) -> Option<RackNo> {
        let next = RackNo::at(self.racks.len());
        (!name.is_empty()).then(|| *self.racks.entry(name).or_insert(next))
    }

    fn set(&mut self, names: &'a [String]) -> RackSetNo {
        if let Some(&set) = self.known.get(names) {
            return set;
        }
        let racks: BTreeSet<RackNo> = names.iter().filter_map(|name| self.rack(name)).collect();
        let set = self.sets.push(racks.into_iter().collect());
        self.known.insert(names, set);
        set
    }
}
