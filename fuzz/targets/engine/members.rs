//! Members of groups, which stay while other things happen: what they are given is where their group has to go on, what they
//! read follows from there without a gap, and what they commit is what they have read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{
    Assignor, AutoOffsetReset, Consumer, ConsumerBuilder, CooperativeSticky, Error, Offset, Range, Rebalance,
    RebalanceListener, Result, TopicPartition,
};

use super::super::input::Input;
use super::super::rows::Row;
use super::groups::{GROUPS, Offsets, Place, named};
use super::program::Run;
use super::topics::NAMES;

const MEMBERS_MAX: usize = 3;
/// How often a member commits by itself.
const INTERVAL: Duration = Duration::from_secs(1);
/// In so many polls of each a group comes to rest.
const ROUNDS: usize = 6;

/// One member, and how far it has read.
pub(super) struct Member {
    consumer: Consumer,
    group: usize,
    topics: Vec<&'static str>,
    next: BTreeMap<Place, u64>,
    given: Given,
    commits_by_itself: bool,
}

/// What a member was given since it was last asked.
#[derive(Debug, Clone, Default)]
struct Given(Arc<Mutex<Vec<TopicPartition>>>);

impl RebalanceListener for Given {
    fn assigned(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.0.lock().unwrap().extend(partitions.iter().cloned());
        Ok(())
    }
}

impl Member {
    /// Takes it that a topic is gone, and whatever it has read of it.
    pub(super) fn forget(&mut self, topic: &str) {
        self.next.retain(|(name, _), _| *name != topic);
    }
}

/// A partition's place, by its name.
pub(super) fn place_of(partition: &TopicPartition) -> Place {
    let name = NAMES.into_iter().find(|name| *name == partition.topic()).unwrap();
    (name, partition.partition().into())
}

impl Run {
    /// A consumer of a group that begins at the beginning and commits when it is told to.
    pub(super) fn consumer(&self, at: usize) -> ConsumerBuilder {
        let builder = self.broker().consumer().group(GROUPS[at]).auto_commit(None);
        builder.auto_offset_reset(AutoOffsetReset::Earliest)
    }

    pub(super) fn has_members(&self, at: usize) -> bool {
        self.members.iter().any(|member| member.group == at)
    }

    /// Whether a member reads this topic.
    pub(super) fn is_read(&self, at: usize, topic: &str) -> bool {
        self.members.iter().any(|member| member.group == at && member.topics.contains(&topic))
    }

    pub(super) fn join(&mut self, input: &mut Input<'_>) {
        let shape = input.byte();
        if self.members.len() == MEMBERS_MAX {
            return;
        }
        let group = usize::from(shape % 2);
        self.groups[group].is_used = true;
        if !self.look(group) {
            return;
        }
        let topics = [&NAMES[..], &NAMES[..1], &NAMES[1..]][usize::from(shape / 2 % 3)];
        let commits_by_itself = shape / 6 % 2 == 1;
        let assignor: Arc<dyn Assignor> =
            if group == 0 { Arc::new(Range) } else { Arc::new(CooperativeSticky) };
        let builder = self.consumer(group).assignors([assignor]);
        let builder = builder.auto_commit(commits_by_itself.then_some(INTERVAL));
        let built = builder.max_poll_records([1, 3, 500][usize::from(shape / 12 % 3)]).build();
        let given = Given::default();
        let joined = built.and_then(|mut consumer| {
            consumer.subscribe_with(topics.iter().copied(), given.clone()).map(|()| consumer)
        });
        match joined {
            Ok(consumer) => {
                let (topics, next) = (topics.to_vec(), BTreeMap::new());
                self.members.push(Member { consumer, group, topics, next, given, commits_by_itself });
                self.groups[group].is_settled = false;
            }
            Err(error) => self.excuse(&error),
        }
    }

    /// One of the members that there are, whose group is known.
    fn pick_member(&mut self, input: &mut Input<'_>) -> Option<usize> {
        if self.members.is_empty() {
            return None;
        }
        let which = input.below(self.members.len());
        self.look(self.members[which].group).then_some(which)
    }

    /// An error is what a fault does, or what a member hears whose group has not come to rest.
    #[track_caller]
    fn excuse_member(&self, at: usize, error: &Error) {
        match error {
            Error::RebalanceInProgress { .. }
            | Error::IllegalGeneration { .. }
            | Error::UnknownMember { .. }
            | Error::UnknownTopic { .. } => {
                assert!(!self.is_exact(at), "{}: {error:?}", GROUPS[at]);
            }
            Error::Fetch { source, .. } => self.excuse(source),
            error => self.excuse(error),
        }
    }

    pub(super) fn poll_some(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick_member(input) else { return };
        for _ in 0..=input.below(4) {
            if !matches!(self.poll_member(which), Some(1..)) {
                break;
            }
        }
    }

    /// So long that who commits by itself does it in the next poll.
    pub(super) fn poll_in_time(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick_member(input) else { return };
        self.clock.advance(INTERVAL);
        let (group, commits) = (self.members[which].group, self.members[which].commits_by_itself);
        let is_exact = self.is_exact(group);
        let read = self.read_by(which);
        let polled = self.poll_member(which);
        if is_exact && commits && polled.is_some() {
            let now = self.groups[group].now();
            let is_committed = read.iter().all(|(place, next)| now[place].offset == *next);
            assert!(is_committed, "{}: {read:?} was not committed: {now:?}", GROUPS[group]);
        }
    }

    /// All members of a group, until it has come to rest.
    pub(super) fn come_to_rest(&mut self, input: &mut Input<'_>) {
        let group = input.below(GROUPS.len());
        if !self.has_members(group) || !self.look(group) {
            return;
        }
        let mut is_well = !self.is_troubled;
        for _ in 0..ROUNDS {
            for which in 0..self.members.len() {
                if self.members[which].group == group {
                    is_well &= self.poll_member(which).is_some();
                }
            }
        }
        if is_well {
            self.groups[group].is_settled = true;
            self.check_shares(group);
        }
    }

    /// What a member has read and may commit.
    fn read_by(&self, which: usize) -> BTreeMap<Place, u64> {
        let assigned = self.members[which].consumer.assignment();
        let mut next = self.members[which].next.clone();
        next.retain(|place, _| assigned.contains(&named(*place)));
        next
    }

    fn asked_by(&self, which: usize) -> Offsets {
        self.groups[self.members[which].group].with(self.read_by(which))
    }

    /// Gives how many records came, where nothing was wrong.
    fn poll_member(&mut self, which: usize) -> Option<usize> {
        let group = self.members[which].group;
        if !self.look(group) {
            return None;
        }
        let was_exact = self.is_exact(group);
        if self.members[which].commits_by_itself {
            let asked = self.asked_by(which);
            self.groups[group].note_asked(asked);
        }
        let polled = self.members[which].consumer.poll(Duration::ZERO);
        if !self.look(group) {
            polled.inspect_err(|error| self.excuse_member(group, error)).ok();
            return None;
        }
        let given = std::mem::take(&mut *self.members[which].given.0.lock().unwrap());
        assert!(!was_exact || given.is_empty(), "{}: {given:?} at rest", GROUPS[group]);
        for given in given {
            let place = place_of(&given);
            let begin = self.begin_of(group, place);
            let Member { consumer, next, .. } = &mut self.members[which];
            // Where it is not known, the first record shows it, or the position, which has not moved then.
            let mut records = polled.iter().flatten();
            let first = records.find(|record| *record.topic_partition() == given);
            let first = first.map(|record| u64::from(record.offset()));
            let begin = begin.or(first).or_else(|| consumer.position(&given).ok().map(u64::from));
            begin.map(|begin| next.insert(place, begin));
        }
        let next = self.read_by(which);
        self.members[which].next = next;
        let records = match polled {
            Ok(records) => records,
            Err(error) => {
                self.excuse_member(group, &error);
                return None;
            }
        };
        for record in &records {
            let place = place_of(record.topic_partition());
            let Some(next) = self.members[which].next.get_mut(&place) else {
                // It was fetched before its topic was deleted, and the member has not joined again yet.
                assert!(!was_exact, "{}: of {place:?}", GROUPS[group]);
                continue;
            };
            let rows = &self.topics[place.0].partitions[place.1 as usize].rows;
            let row = Row::from(record);
            assert_eq!(row.offset, *next, "{}: of {place:?}", GROUPS[group]);
            assert_eq!(row, rows[usize::try_from(*next).unwrap()], "{}: of {place:?}", GROUPS[group]);
            *next += 1;
        }
        if !self.is_troubled {
            let alone = self.members.iter().filter(|member| member.group == group).count() == 1;
            self.groups[group].is_settled |= alone;
        }
        if self.is_exact(group) {
            self.check_positions(which, records.is_empty());
        }
        Some(records.len())
    }

    /// Every position is known, and at the end where there was nothing to read.
    fn check_positions(&mut self, which: usize, is_at_end: bool) {
        let Member { consumer, next, group, .. } = &mut self.members[which];
        for (place, next) in next {
            let position = consumer.position(&named(*place)).unwrap();
            assert_eq!(position, *next, "{}: {place:?}", GROUPS[*group]);
            let rows = &self.topics[place.0].partitions[place.1 as usize].rows;
            assert!(!is_at_end || *next == rows.len() as u64, "{}: {place:?} is left", GROUPS[*group]);
        }
    }

    /// Everything that is read by a group is one member's.
    fn check_shares(&self, group: usize) {
        let members = self.members.iter().filter(|member| member.group == group);
        let mut shares: Vec<_> = members.flat_map(|member| member.consumer.assignment()).collect();
        shares.sort();
        let places = self.places().into_iter().filter(|(name, _)| self.is_read(group, name));
        let expected: Vec<_> = places.map(|(name, at)| named((name, u32::try_from(at).unwrap()))).collect();
        assert_eq!(shares, expected, "{}", GROUPS[group]);
    }

    pub(super) fn commit(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick_member(input) else { return };
        let (shape, group) = (input.byte(), self.members[which].group);
        let read = self.read_by(which);
        let member = &mut self.members[which];
        // Who commits by itself takes it that its own positions are committed.
        let one = read.keys().nth(usize::from(shape / 4)).copied().filter(|_| !member.commits_by_itself);
        let is_any = !read.is_empty();
        let (asked, committed) = match (shape % 4, one) {
            (0, Some(place)) => {
                let offset = u64::from(input.byte()) % (read[&place] + 1);
                let to = Offset::try_from(offset).unwrap();
                let committed = member.consumer.commit_offsets_async([(named(place), to)]);
                (self.groups[group].with([(place, offset)]), committed)
            }
            _ => {
                let committed = member.consumer.commit_async();
                (self.groups[group].with(read), committed)
            }
        };
        match committed {
            Ok(committed) => {
                self.done(group, asked, false);
                if shape % 4 == 3 {
                    drop(committed);
                    return;
                }
                match committed.wait() {
                    Ok(()) if is_any => self.groups[group].note_durable(),
                    // There was nothing to wait for.
                    Ok(()) => {}
                    Err(error) => self.excuse(&error),
                }
            }
            Err(error) => {
                self.excuse_member(group, &error);
                self.not_done(group, asked);
            }
        }
    }

    /// A member ends, in order or without a word.
    pub(super) fn leave(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick_member(input) else { return };
        let group = self.members[which].group;
        let (is_exact, asked) = (self.is_exact(group), self.asked_by(which));
        let is_any = !self.read_by(which).is_empty();
        let mut member = self.members.swap_remove(which);
        if input.flag() {
            drop(member);
            self.look(group);
        } else if member.commits_by_itself {
            match member.consumer.close() {
                Ok(()) if is_exact => self.done(group, asked, is_any),
                Ok(()) => self.not_done(group, asked),
                Err(error) => {
                    self.excuse_member(group, &error);
                    self.not_done(group, asked);
                }
            }
        } else {
            member.consumer.close().unwrap_or_else(|error| self.excuse_member(group, &error));
            self.look(group);
        }
        self.groups[group].is_settled = false;
    }
}
