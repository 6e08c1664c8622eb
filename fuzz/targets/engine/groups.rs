//! What groups have committed: what was told, what was only asked for, and what of either a crash may leave.
//!
//! A group's offsets change as a whole. While nothing goes wrong they are what was asked for last. What failed may be done or
//! not; after a crash of the process, they are what they last were or what failed then; after a power cut, what was last
//! known to be on the device, or anything that came later.

use std::collections::BTreeMap;

use streamlog::{Error, PartitionId, TopicPartition};

use super::program::Run;
use super::topics::NAMES;

/// The groups; the first has an eager assignor, the other a cooperative one.
pub(super) const GROUPS: [&str; 2] = ["g", "h"];
/// The topic that their offsets are kept in.
const OFFSETS: &str = "__consumer_offsets";

/// A topic's name, and a partition.
pub(super) type Place = (&'static str, u32);

/// What is committed of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) offset: u64,
    /// Where the group goes on: there, or where the log was cut below it. `None` where it may be either.
    pub(super) begin: Option<u64>,
}

/// Of a group, where it has any.
pub(super) type Offsets = BTreeMap<Place, Spot>;

pub(super) fn named((name, number): Place) -> TopicPartition {
    TopicPartition::new(name, PartitionId::try_from(number).unwrap())
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Whether anybody has asked for it yet.
    pub(super) is_used: bool,
    /// Whether its members have come to rest, so that none is refused.
    pub(super) is_settled: bool,
    /// What the offsets were, one after the other, from the last that is known to be on the device to what they are now.
    told: Vec<Offsets>,
    /// What failed, each behind how many changes of those.
    failed: Vec<(usize, Offsets)>,
    /// What they may be after a crash, until somebody has looked.
    may_be: Vec<Offsets>,
    /// Whether any of those were to be forgotten meanwhile, which a power cut may undo.
    is_dropping: bool,
}

impl Default for Group {
    fn default() -> Group {
        let told = vec![Offsets::new()];
        Group {
            is_used: false,
            is_settled: false,
            told,
            failed: Vec::new(),
            may_be: Vec::new(),
            is_dropping: false,
        }
    }
}

impl Group {
    pub(super) fn now(&self) -> &Offsets {
        assert!(self.may_be.is_empty(), "nobody has looked");
        self.told.last().unwrap()
    }

    /// As they are now, but for these.
    pub(super) fn with(&self, offsets: impl IntoIterator<Item = (Place, u64)>) -> Offsets {
        let mut all = self.now().clone();
        all.extend(offsets.into_iter().map(|(place, offset)| (place, Spot { offset, begin: Some(offset) })));
        all
    }

    /// Notes that they are these now.
    fn note_done(&mut self, offsets: Offsets) {
        if *self.now() != offsets {
            self.told.push(offsets);
        }
    }

    /// Notes that they may be these, now or after a crash.
    pub(super) fn note_asked(&mut self, offsets: Offsets) {
        let base = self.told.len() - 1;
        if is_same(self.now(), &offsets) {
            unsure(self.told.last_mut().unwrap(), &offsets);
        }
        self.failed.push((base, offsets));
    }

    /// Notes that what they are now is on the device.
    pub(super) fn note_durable(&mut self) {
        let count = self.told.len() - 1;
        self.told.drain(..count);
        self.failed.retain_mut(|(base, _)| {
            let is_behind = *base >= count;
            *base = base.saturating_sub(count);
            is_behind
        });
    }

    /// Notes that the broker was closed in order.
    pub(super) fn note_closed(&mut self) {
        if self.may_be.is_empty() {
            self.note_durable();
            // What had failed was undone, or is cut off.
            self.failed.clear();
        }
    }

    /// Notes that the process has ended. `end` gives how long the partitions are now, of those that there are.
    pub(super) fn note_crash(&mut self, keeps_page_cache: bool, end: impl Fn(Place) -> Option<u64>) {
        if self.may_be.is_empty() {
            let least = if keeps_page_cache { self.told.len() - 1 } else { 0 };
            let failed = self.failed.drain(..).filter(|(base, _)| *base >= least).map(|(_, failed)| failed);
            self.may_be = self.told.drain(least..).chain(failed).collect();
        }
        for (place, spot) in self.may_be.iter_mut().flatten() {
            if let Some(end) = end(*place) {
                spot.begin = spot.begin.map(|begin| begin.min(end));
            }
        }
        self.is_settled = false;
    }

    /// Notes that those of a topic are forgotten for good, or may be.
    fn note_dropped(&mut self, topic: &str, is_done: bool) {
        let without = |offsets: &Offsets| {
            let mut offsets = offsets.clone();
            offsets.retain(|(name, _), _| *name != topic);
            offsets
        };
        if !self.may_be.is_empty() {
            let dropped: Vec<Offsets> = self.may_be.iter().map(without).collect();
            if is_done {
                self.may_be = dropped;
            } else {
                for one in dropped {
                    // Once each: otherwise they double with every attempt that fails.
                    if !self.may_be.contains(&one) {
                        self.may_be.push(one);
                    }
                }
                self.is_dropping = true;
            }
        } else if is_done {
            let without = without(self.now());
            if without != *self.now() {
                self.note_done(without);
                self.note_durable();
            }
        } else {
            self.note_asked(without(self.now()));
        }
    }

    /// Takes over what they are, which must be what they can be.
    fn take(&mut self, name: &str, found: &BTreeMap<Place, u64>, is_troubled: bool) {
        let is_found =
            |offsets: &&Offsets| offsets.iter().map(|(place, spot)| (place, &spot.offset)).eq(found);
        if !self.may_be.is_empty() {
            let mut all = self.may_be.iter().filter(is_found);
            let Some(first) = all.next() else { panic!("{name}: {found:?} is none of {:?}", self.may_be) };
            let mut first = first.clone();
            all.for_each(|other| unsure(&mut first, other));
            let before = std::mem::take(&mut self.may_be);
            self.told = if std::mem::take(&mut self.is_dropping) { before } else { Vec::new() };
            self.told.push(first);
            self.failed.clear();
        } else if !is_found(&self.now()) {
            let here = self.told.len() - 1;
            let asked = self.failed.iter().rev().filter(|(base, _)| *base == here).map(|(_, asked)| asked);
            let Some(done) = asked.clone().find(is_found) else {
                panic!(
                    "{name}: {found:?} is neither {:?} nor any of {:?}",
                    self.now(),
                    asked.collect::<Vec<_>>()
                )
            };
            self.told.push(done.clone());
        }
        if !is_troubled {
            // Nothing fails on a sound disk: what was noted as asked, and is not there, was not tried.
            self.failed.clear();
        }
    }
}

impl Run {
    /// Looks at what a group has committed, which must be what it can be. `false` where the disk does not let it be known.
    pub(super) fn look(&mut self, at: usize) -> bool {
        let found = match self.broker().admin().describe_group(GROUPS[at]) {
            Ok(group) => group.committed,
            Err(Error::UnknownGroup { .. }) => BTreeMap::new(),
            Err(error) => {
                self.excuse(&error);
                return false;
            }
        };
        let place = |partition: &TopicPartition| {
            let name = NAMES.into_iter().find(|name| *name == partition.topic());
            (name.unwrap_or_else(|| panic!("{partition} is committed")), partition.partition().into())
        };
        let found = found.iter().map(|(partition, spot)| (place(partition), spot.offset.into())).collect();
        let is_troubled = self.is_troubled;
        self.groups[at].take(GROUPS[at], &found, is_troubled);
        let log = self.broker().topic(OFFSETS).and_then(|topic| topic.partition(0));
        if log.is_ok_and(|log| log.durable_offset() == log.log_end_offset()) {
            self.groups[at].note_durable();
        }
        true
    }

    /// Takes over that a change of a group was done, which must show.
    pub(super) fn done(&mut self, at: usize, offsets: Offsets, is_durable: bool) {
        self.groups[at].note_done(offsets);
        assert!(self.look(at), "what was changed cannot be known");
        if is_durable {
            self.groups[at].note_durable();
        }
    }

    /// Takes over that a change of a group failed: it may be done nevertheless, as a whole.
    pub(super) fn not_done(&mut self, at: usize, offsets: Offsets) {
        self.groups[at].note_asked(offsets);
        self.look(at);
    }

    /// Takes over that groups forget a topic, or may do.
    pub(super) fn drop_offsets(&mut self, topic: &str, is_done: bool) {
        for at in 0..GROUPS.len() {
            self.groups[at].note_dropped(topic, is_done);
        }
        self.look_at_groups();
    }

    /// What is known of groups at any time.
    pub(super) fn look_at_groups(&mut self) {
        for at in 0..GROUPS.len() {
            if self.groups[at].is_used && self.groups[at].may_be.is_empty() {
                self.look(at);
            }
        }
    }

    /// Members may be refused, until they have come to rest again.
    pub(super) fn unsettle(&mut self) {
        self.groups.iter_mut().for_each(|group| group.is_settled = false);
    }

    /// Where nothing is wrong, and every answer is known.
    pub(super) fn is_exact(&self, at: usize) -> bool {
        self.groups[at].is_settled && !self.is_troubled
    }

    /// Where a group goes on in a partition, where that is known.
    pub(super) fn begin_of(&self, at: usize, place: Place) -> Option<u64> {
        self.groups[at].now().get(&place).map_or(Some(0), |spot| spot.begin)
    }
}

fn is_same(one: &Offsets, other: &Offsets) -> bool {
    let offsets = |all: &Offsets| all.iter().map(|(place, spot)| (*place, spot.offset)).collect::<Vec<_>>();
    offsets(one) == offsets(other)
}

/// Forgets where the group goes on, where the other says something else.
fn unsure(offsets: &mut Offsets, other: &Offsets) {
    for (place, spot) in offsets {
        if other.get(place).is_some_and(|other| other.begin != spot.begin) {
            spot.begin = None;
        }
    }
}
