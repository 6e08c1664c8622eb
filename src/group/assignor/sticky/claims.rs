//! Who owned what, where members may claim the same.
//!
//! Of two that claim one partition the later generation keeps it; two of one generation both lose it. A claim of an old generation
//! that nobody contests counts in full.

use std::collections::HashMap;

use super::super::java_order;
use super::super::numbered::{Numbered, Owners};
use super::super::table::{MemberNo, PartitionNo, Table};
use super::super::traits::MemberSubscription;

/// What one member says that it owned.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// In any order.
    pub(super) partitions: Vec<PartitionNo>,
    /// In which generation, if it says.
    pub(super) generation: Option<i32>,
}

impl Claim {
    /// The generation that counts: before the first where it says none.
    fn generation(&self) -> i32 {
        self.generation.unwrap_or(-1)
    }
}

/// What all members say, and who is right.
#[derive(Debug)]
pub(super) struct Claims {
    /// In the order in which Java's `HashMap` gives the members. Where more members hold a partition more than the share of
    /// each than may keep it, it decides who does.
    pub(super) order: Vec<MemberNo>,
    pub(super) said: Table<MemberNo, Claim>,
    /// Who keeps each partition.
    pub(super) owners: Owners,
    /// Whether several claimed it in one generation.
    pub(super) is_contested: Table<PartitionNo, bool>,
}

impl Claims {
    pub(super) fn new(
        numbered: &Numbered<'_>,
        claim: impl Fn(&Numbered<'_>, &MemberSubscription) -> Claim,
    ) -> Claims {
        let claim_once = |member: &&MemberSubscription| {
            let mut claim = claim(numbered, member);
            claim.partitions.sort_unstable();
            claim.partitions.dedup();
            claim
        };
        let ids: Vec<&str> =
            numbered.listed.iter().map(|&member| numbered.members[member].id.as_str()).collect();
        let places = java_order::hash_map_order(&ids).into_iter();
        let mut claims = Claims {
            order: places.filter_map(|place| numbered.listed.get(place).copied()).collect(),
            said: numbered.members.values().map(claim_once).collect(),
            owners: Table::of(None, numbered.partition_count()),
            is_contested: Table::of(false, numbered.partition_count()),
        };
        claims.settle();
        claims
    }

    fn settle(&mut self) {
        // The last that was not too late, whether it keeps the partition or not.
        let mut claimants: Owners = Table::of(None, self.owners.len());
        for &member in &self.order {
            let claim = &self.said[member];
            for &partition in &claim.partitions {
                let other = claimants[partition].map(|other: MemberNo| self.said[other].generation());
                if other.is_some_and(|other| other > claim.generation()) {
                    continue;
                }
                let is_contested = other == Some(claim.generation());
                self.is_contested[partition] |= is_contested;
                self.owners[partition] = (!is_contested).then_some(member);
                claimants[partition] = Some(member);
            }
        }
    }

    /// The latest owner of each partition before the latest generation.
    pub(super) fn earlier_owners(&self) -> HashMap<PartitionNo, MemberNo> {
        let latest = self.said.values().map(Claim::generation).max();
        let mut owners: HashMap<PartitionNo, MemberNo> = HashMap::new();
        for &member in &self.order {
            let claim = &self.said[member];
            if Some(claim.generation()) == latest {
                continue;
            }
            for &partition in &claim.partitions {
                let owner = owners.entry(partition).or_insert(member);
                if self.said[*owner].generation() < claim.generation() {
                    *owner = member;
                }
            }
        }
        owners
    }
}
