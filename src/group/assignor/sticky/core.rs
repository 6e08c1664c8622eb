//! What both sticky assignors do: settle the claims, choose the algorithm, share out.

use super::super::numbered::{Numbered, Owners};
use super::super::racks::Racks;
use super::super::table::{MemberNo, PartitionNo, Table};
use super::super::traits::{MemberSubscription, RebalanceProtocol, Subscriptions};
use super::claims::{Claim, Claims};
use super::{equal, unequal};

/// Who gets each partition.
pub(super) struct Shared<'a> {
    pub(super) numbered: Numbered<'a>,
    pub(super) owners: Owners,
    claims: Claims,
}

impl<'a> Shared<'a> {
    /// `claim` says what a member owned.
    pub(super) fn new(
        subscriptions: &'a Subscriptions,
        protocol: RebalanceProtocol,
        claim: impl Fn(&Numbered<'_>, &MemberSubscription) -> Claim,
    ) -> Shared<'a> {
        let numbered = Numbered::by_id(subscriptions);
        let claims = Claims::new(&numbered, claim);
        let racks = Racks::of(&numbered, &subscriptions.topics)
            .filter(|racks| racks.matter(numbered.members.numbers(), numbered.topic_of.numbers()));
        let owners = if numbered.are_equal {
            equal::share_out(&numbered, racks.as_ref(), &claims)
        } else {
            unequal::share_out(&numbered, racks.as_ref(), &claims, protocol)
        };
        Shared { numbered, owners, claims }
    }

    /// Takes back what changes hands while somebody owns it.
    pub(super) fn withhold_what_is_owned(&mut self) {
        let is_owned =
            if self.numbered.are_equal { self.owned_where_equal() } else { self.owned_where_unequal() };
        for (owner, _) in self.owners.values_mut().zip(is_owned.values()).filter(|(_, is_owned)| **is_owned) {
            *owner = None;
        }
    }

    /// As Kafka has it for equal subscriptions: who is right about what it owned counts, and what is contested is owned by others
    /// whoever gets it.
    fn owned_where_equal(&self) -> Table<PartitionNo, bool> {
        let is_owned = |(partition, owner): (PartitionNo, &Option<MemberNo>)| {
            let earlier = self.claims.owners[partition];
            self.claims.is_contested[partition] || earlier.is_some_and(|earlier| Some(earlier) != *owner)
        };
        self.owners.iter().map(is_owned).collect()
    }

    /// As Kafka has it for unequal subscriptions: every claim counts, but for whoever gets what it claimed itself.
    fn owned_where_unequal(&self) -> Table<PartitionNo, bool> {
        let mut is_owned = Table::of(false, self.owners.len());
        let claims = || {
            let each = self.claims.said.iter();
            each.flat_map(|(member, claim)| {
                claim.partitions.iter().map(move |&partition| (member, partition))
            })
        };
        claims().for_each(|(_, partition)| is_owned[partition] = true);
        let kept = claims().filter(|&(member, partition)| self.owners[partition] == Some(member));
        kept.for_each(|(_, partition)| is_owned[partition] = false);
        is_owned
    }
}
