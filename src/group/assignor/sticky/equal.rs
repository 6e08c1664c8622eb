//! Sharing out where all members subscribe to the same topics. Kafka's constrained algorithm.
//!
//! Of `n` partitions each of `c` members gets `n / c`, and `n % c` members get one more. Who owned partitions keeps as many of them
//! as its share has room for; what is left goes round among those that lack some.

use std::collections::VecDeque;

use super::super::numbered::{Numbered, Owners};
use super::super::racks::Racks;
use super::super::table::{MemberNo, PartitionNo, RackNo, Table};
use super::claims::Claims;

/// Gives every partition to a member.
pub(super) fn share_out(numbered: &Numbered<'_>, racks: Option<&Racks>, claims: &Claims) -> Owners {
    let mut shares = Shares::new(numbered);
    shares.keep(numbered, racks, claims);
    let mut rest: Vec<PartitionNo> =
        shares.owners.iter().filter(|(_, owner)| owner.is_none()).map(|(partition, _)| partition).collect();
    if let Some(racks) = racks {
        rest = shares.match_racks(racks, rest);
    }
    shares.deal(rest);
    shares.owners
}

/// What has been given, and who may have more.
#[derive(Debug)]
struct Shares {
    owners: Owners,
    counts: Table<MemberNo, usize>,
    /// What everybody gets.
    each: usize,
    /// How many members may still get one more than that.
    extra: usize,
    /// Those that lack some of their share.
    under: Vec<MemberNo>,
    /// Those with their share that may have one more, if `extra` still allows it.
    exact: VecDeque<MemberNo>,
}

impl Shares {
    fn new(numbered: &Numbered<'_>) -> Shares {
        let (partitions, members) = (numbered.partition_count(), numbered.members.len().max(1));
        Shares {
            owners: Table::of(None, partitions),
            counts: Table::of(0, numbered.members.len()),
            each: partitions / members,
            extra: partitions % members,
            under: Vec::new(),
            exact: VecDeque::new(),
        }
    }

    /// Leaves each member what it owned, up to its share: the lowest partitions of all its topics.
    fn keep(&mut self, numbered: &Numbered<'_>, racks: Option<&Racks>, claims: &Claims) {
        let mut owned: Table<MemberNo, Vec<PartitionNo>> = Table::of(Vec::new(), numbered.members.len());
        for (partition, owner) in claims.owners.iter() {
            let Some(owner) = *owner else { continue };
            let is_elsewhere = racks.is_some_and(|racks| racks.differ(owner, partition));
            if !claims.is_contested[partition] && !is_elsewhere {
                owned[owner].push(partition);
            }
        }
        for &member in &claims.order {
            let owned = &mut owned[member];
            let has_more = owned.len() > self.each && self.extra > 0;
            let kept = if has_more { self.each + 1 } else { self.each.min(owned.len()) };
            if kept < owned.len() {
                owned.sort_unstable_by_key(|&partition| {
                    (numbered.number_in_topic(partition), numbered.topic_of[partition])
                });
            }
            owned.iter().take(kept).for_each(|&partition| self.owners[partition] = Some(member));
            self.counts[member] = kept;
            if kept < self.each {
                self.under.push(member);
            } else if has_more {
                self.extra -= 1;
            } else {
                self.exact.push_back(member);
            }
        }
        self.under.sort_unstable();
        self.exact.make_contiguous().sort_unstable();
    }

    fn give(&mut self, partition: PartitionNo, member: MemberNo) {
        self.owners[partition] = Some(member);
        self.counts[member] += 1;
        if self.counts[member] > self.each {
            self.extra = self.extra.saturating_sub(1);
        }
    }

    /// Deals what is left: rounds over those that lack some, then one more each for those that may have it.
    fn deal(&mut self, rest: Vec<PartitionNo>) {
        let mut rest = rest.into_iter();
        while !self.under.is_empty() && !rest.as_slice().is_empty() {
            for (member, partition) in std::mem::take(&mut self.under).into_iter().zip(&mut rest) {
                self.give(partition, member);
                if self.counts[member] < self.each {
                    self.under.push(member);
                } else {
                    self.exact.push_back(member);
                }
            }
        }
        // As many are left as may be given to these, because the shares add up to all of it.
        for (member, partition) in std::mem::take(&mut self.exact).into_iter().zip(rest) {
            self.give(partition, member);
        }
    }

    /// Gives out what members can read from their own racks: what the fewest can, first. Returns what is left.
    ///
    /// A partition goes to the next on the ring of those that lack some, or else to the first of those that may have one more.
    fn match_racks(&mut self, racks: &Racks, mut rest: Vec<PartitionNo>) -> Vec<PartitionNo> {
        let everybody = Residents::of(racks, self.counts.numbers());
        let mut under = Residents::of(racks, self.under.iter().copied());
        let mut exact = Residents::of(racks, self.exact.iter().copied());
        rest.sort_by_cached_key(|&partition| everybody.near(racks, partition));
        let mut next = 0;
        rest.retain(|&partition| {
            let fits = |member: &MemberNo| racks.are_same(*member, partition);
            if under.near(racks, partition) > 0 {
                let mut ring = (next..self.under.len()).chain(0..next);
                let found = ring
                    .find_map(|place| Some((place, *self.under.get(place).filter(|&member| fits(member))?)));
                let Some((place, member)) = found else { return true };
                self.give(partition, member);
                if self.counts[member] < self.each {
                    next = place + 1;
                } else {
                    self.under.remove(place);
                    under.leave(racks, member);
                    self.exact.push_back(member);
                    exact.enter(racks, member);
                    next = place;
                }
                next = if next < self.under.len() { next } else { 0 };
                return false;
            }
            if self.extra == 0 || exact.near(racks, partition) == 0 {
                return true;
            }
            let Some(place) = self.exact.iter().position(fits) else { return true };
            let Some(member) = self.exact.remove(place) else { return true };
            exact.leave(racks, member);
            self.give(partition, member);
            false
        });
        rest
    }
}

/// How many of some members are in each rack, so that nobody is looked for who is not there.
#[derive(Debug)]
struct Residents(Table<RackNo, usize>);

impl Residents {
    fn of(racks: &Racks, members: impl Iterator<Item = MemberNo>) -> Residents {
        let mut residents = Residents(Table::of(0, racks.count));
        members.for_each(|member| residents.enter(racks, member));
        residents
    }

    fn enter(&mut self, racks: &Racks, member: MemberNo) {
        if let Some(rack) = racks.of_member(member) {
            self.0[rack] += 1;
        }
    }

    fn leave(&mut self, racks: &Racks, member: MemberNo) {
        if let Some(rack) = racks.of_member(member) {
            self.0[rack] -= 1;
        }
    }

    /// How many are in a rack that has a replica of the partition.
    fn near(&self, racks: &Racks, partition: PartitionNo) -> usize {
        racks.of_partition(partition).iter().map(|&rack| self.0[rack]).sum()
    }
}
