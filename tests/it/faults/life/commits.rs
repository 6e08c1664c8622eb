//! What groups have committed: what was asked for, what was told, and whether another process knows it.
//!
//! A group's offsets are, after a crash, what they were asked to be at some time at or after the last one that was told, as a whole:
//! no half of a commit, and nothing that nobody asked for.

use std::collections::BTreeMap;

use streamlog::{AutoOffsetReset, Broker, ConsumerBuilder, Error, PartitionId, TopicPartition};

use super::ledger::Kept;

/// The topic that they are kept in.
const OFFSETS: &str = "__consumer_offsets";

/// A topic's name, and a partition.
pub(super) type Place = (&'static str, u32);

/// The offsets of a group, where it has any.
pub(super) type Offsets = BTreeMap<Place, u64>;

/// What the offsets are, and of which partitions they were committed for it to be so.
#[derive(Debug, Clone, Default)]
struct State {
    offsets: Offsets,
    asked: Vec<Place>,
}

/// All groups; see the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct Commits {
    groups: BTreeMap<&'static str, Group>,
}

#[derive(Debug, Clone)]
struct Group {
    /// What the offsets were and were asked to be, one after the other, since the last look.
    states: Vec<State>,
    /// The place of the state that was told last.
    told: usize,
    /// The place of the last one that was told to be on the device.
    durable: usize,
    /// Where the log was cut below what is committed: the group goes on here.
    cut: Offsets,
}

/// A consumer of a group that begins at the beginning.
pub(super) fn builder(broker: &Broker, group: &str) -> ConsumerBuilder {
    broker.consumer().group(group).auto_commit(None).auto_offset_reset(AutoOffsetReset::Earliest)
}

pub(super) fn named((name, number): Place) -> TopicPartition {
    TopicPartition::new(name, PartitionId::try_from(number).expect("a small number"))
}

impl Commits {
    pub(super) fn groups(&self) -> Vec<&'static str> {
        self.groups.keys().copied().collect()
    }

    fn group(&mut self, group: &'static str) -> &mut Group {
        let states = vec![State::default()];
        self.groups.entry(group).or_insert(Group { states, told: 0, durable: 0, cut: Offsets::new() })
    }

    /// Notes what is about to be committed.
    pub(super) fn asking(&mut self, group: &'static str, offsets: &Offsets) {
        let group = self.group(group);
        let mut state = group.last().offsets.clone();
        state.extend(offsets.iter().map(|(&place, &offset)| (place, offset)));
        group.states.push(State { offsets: state, asked: offsets.keys().copied().collect() });
    }

    /// Notes that the offsets of a topic are about to be forgotten.
    pub(super) fn forgetting(&mut self, topic: &str) {
        self.groups.values_mut().for_each(|group| group.forgetting(|place| place.0 == topic));
    }

    /// Notes that some offsets of one group are about to be forgotten.
    pub(super) fn forgetting_of(&mut self, group: &'static str, which: impl Fn(Place) -> bool) {
        self.group(group).forgetting(which);
    }

    /// What a group has committed, so far as is known.
    pub(super) fn committed(&self, group: &str) -> Offsets {
        self.groups.get(group).map(|group| group.states[group.told].offsets.clone()).unwrap_or_default()
    }

    /// Where a group begins to read.
    pub(super) fn begin(&self, group: &str, place: Place) -> u64 {
        let Some(group) = self.groups.get(group) else { return 0 };
        let committed = group.states[group.told].offsets.get(&place);
        group.cut.get(&place).or(committed).copied().unwrap_or(0)
    }

    /// What was asked for last was done, and is on the device.
    pub(super) fn durable(&mut self, group: &'static str, broker: &Broker) {
        let last = self.group(group).last().offsets.clone();
        self.look(broker);
        let group = self.group(group);
        assert_eq!(group.states[group.told].offsets, last, "what a commit has told is not known");
        group.durable = group.told;
    }

    /// A topic was created: nothing is committed of one that had its name before, whatever happens.
    pub(super) fn begun(&mut self, topic: &str, broker: &Broker) {
        self.look(broker);
        for (name, group) in &mut self.groups {
            group.durable = group.told;
            group.check_none(name, topic);
        }
    }

    /// The broker was closed: everything is on the device.
    pub(super) fn closed(&mut self) {
        self.groups.values_mut().for_each(|group| group.durable = group.told);
    }

    /// The process has ended: what is kept is still promised, and no more.
    pub(super) fn ended(&mut self, kept: Kept) {
        if kept == Kept::Durable {
            self.groups.values_mut().for_each(|group| group.told = group.durable);
        }
    }

    /// Nothing is under way: takes over what the broker says, which must be what was asked for.
    pub(super) fn look(&mut self, broker: &Broker) {
        let is_synced = broker.topic(OFFSETS).and_then(|topic| topic.partition(0)).is_ok_and(|partition| {
            let durable = partition.durable_offset();
            durable == partition.log_end_offset()
        });
        let places = self.places();
        for (name, group) in &mut self.groups {
            let Some(found) = found(broker, name, &places) else { continue };
            let told = group.place(name, &found, group.told);
            let done = group.states[group.told..=told].iter().skip(1);
            done.flat_map(|state| &state.asked).for_each(|place| {
                let _ = group.cut.remove(place);
            });
            group.told = told;
            group.states.truncate(told + 1);
            if is_synced {
                group.durable = told;
            }
        }
    }

    /// Checks that the offsets are what was promised, and goes on from them. `end` gives how many records a partition has, where
    /// there is one; `fresh` are topics that were not there when it was last looked.
    pub(super) fn check(
        &mut self,
        broker: &Broker,
        kept: Kept,
        end: impl Fn(Place) -> Option<u64>,
        fresh: &[&str],
    ) {
        let places = self.places();
        for (name, group) in &mut self.groups {
            let found = found(broker, name, &places).expect("they can be read");
            let least = if kept == Kept::Readable { group.told } else { group.durable };
            group.place(name, &found, least);
            (group.told, group.durable) = (0, 0);
            group.states = vec![State { offsets: found.clone(), asked: Vec::new() }];
            fresh.iter().for_each(|topic| group.check_none(name, topic));
            for (&place, &offset) in &found {
                let begin = group.cut.get(&place).copied().unwrap_or(offset);
                match end(place) {
                    Some(end) if end < begin => drop(group.cut.insert(place, end)),
                    Some(_) => {}
                    None => drop(group.cut.remove(&place)),
                }
            }
            group.cut.retain(|place, _| found.contains_key(place));
        }
    }

    fn places(&self) -> Vec<Place> {
        let states = self.groups.values().flat_map(|group| &group.states);
        let mut places: Vec<_> = states.flat_map(|state| state.offsets.keys()).copied().collect();
        // Of what nobody has committed, some.
        places
            .extend(["a", "b.c", "d"].into_iter().flat_map(|name| (0..4).map(move |number| (name, number))));
        places.sort_unstable();
        places.dedup();
        places
    }
}

impl Group {
    fn last(&self) -> &State {
        self.states.last().expect("there is one from the beginning")
    }

    /// Which of the states this is, not before `least`: the last one that it can be.
    fn place(&self, name: &str, found: &Offsets, least: usize) -> usize {
        let place = (least..self.states.len()).rfind(|&place| self.states[place].offsets == *found);
        place.unwrap_or_else(|| panic!("{name}: {found:?} is none of {:?}", &self.states[least..]))
    }

    fn forgetting(&mut self, which: impl Fn(Place) -> bool) {
        let mut state = self.last().clone();
        state.asked = state.offsets.keys().copied().filter(|&place| which(place)).collect();
        state.offsets.retain(|&place, _| !which(place));
        self.states.push(state);
    }

    fn check_none(&self, name: &str, topic: &str) {
        let state = &self.states[self.told].offsets;
        let is_none = state.keys().all(|place| place.0 != topic);
        assert!(is_none, "{name}: {state:?} is of a topic {topic} from before");
    }
}

/// What the broker says; nothing where it cannot, because of what is wrong with the disk.
fn found(broker: &Broker, group: &str, places: &[Place]) -> Option<Offsets> {
    if let Err(Error::UnknownTopic { .. }) = broker.topic(OFFSETS) {
        return Some(Offsets::new());
    }
    let names: Vec<_> = places.iter().map(|&place| named(place)).collect();
    let mut consumer = builder(broker, group).build().ok()?;
    match consumer.committed(&names) {
        Ok(found) => {
            let offset = |&place: &Place| Some((place, found.get(&named(place))?.offset.into()));
            Some(places.iter().filter_map(offset).collect())
        }
        Err(Error::PartitionOffline { .. } | Error::Closed) => None,
        Err(error) => panic!("{group}: {error:?}"),
    }
}
