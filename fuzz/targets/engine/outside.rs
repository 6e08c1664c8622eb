//! Groups from outside: offsets reset and deleted, groups deleted, and offsets committed by who is no member.

use streamlog::{Error, Offset, OffsetSpec, TopicPartition};

use super::super::input::Input;
use super::groups::{GROUPS, Offsets, Place, named};
use super::members::place_of;
use super::program::Run;
use super::reads::poll_rows;

impl Run {
    /// A group that is known, and a few of the partitions that there are.
    fn pick_group(&mut self, input: &mut Input<'_>) -> Option<(usize, Vec<TopicPartition>)> {
        let shape = input.byte();
        let at = usize::from(shape % 2);
        let all = self.places();
        let picked = all.into_iter().enumerate().filter(|(number, _)| shape >> (number + 1) & 1 == 0);
        let names = picked.map(|(_, (name, number))| named((name, u32::try_from(number).unwrap()))).collect();
        self.groups[at].is_used = true;
        self.look(at).then_some((at, names))
    }

    pub(super) fn reset(&mut self, input: &mut Input<'_>) {
        let Some((at, names)) = self.pick_group(input) else { return };
        let (shape, far) = (input.byte(), u64::from(input.byte()));
        let spec = match shape % 4 {
            0 => OffsetSpec::Earliest,
            1 => OffsetSpec::Latest,
            2 => OffsetSpec::Offset(Offset::try_from(far % 32).unwrap()),
            _ => OffsetSpec::Shift(i64::try_from(far % 16).unwrap() - 8),
        };
        let mut asked: Vec<(Place, u64)> = Vec::new();
        let mut is_outside = false;
        for place in names.iter().map(place_of) {
            let end = self.topics[place.0].partitions[place.1 as usize].rows.len() as u64;
            let to = match spec {
                OffsetSpec::Earliest => 0,
                OffsetSpec::Latest => end,
                OffsetSpec::Offset(offset) => {
                    is_outside |= u64::from(offset) > end;
                    offset.into()
                }
                OffsetSpec::Shift(by) => {
                    let Some(spot) = self.groups[at].now().get(&place) else { continue };
                    spot.offset.saturating_add_signed(by).min(end)
                }
                spec => panic!("{spec:?}"),
            };
            asked.push((place, to));
        }
        let is_exact = self.is_exact(at);
        match self.broker().admin().reset_group_offsets(GROUPS[at], &names, spec) {
            Ok(found) => {
                assert!(!(is_outside || is_exact && self.has_members(at)));
                let found = found.iter().map(|(partition, to)| (place_of(partition), u64::from(*to)));
                assert!(found.eq(asked.iter().copied()), "{spec:?}");
                let offsets = self.groups[at].with(asked.iter().copied());
                self.done(at, offsets, !asked.is_empty());
            }
            Err(Error::OffsetOutOfRange { .. }) => assert!(is_outside),
            Err(Error::GroupNotEmpty { .. }) => assert!(self.has_members(at)),
            Err(error) => {
                self.excuse(&error);
                let offsets = self.groups[at].with(asked);
                self.not_done(at, offsets);
            }
        }
    }

    pub(super) fn delete_offsets(&mut self, input: &mut Input<'_>) {
        let Some((at, names)) = self.pick_group(input) else { return };
        let mut offsets = self.groups[at].now().clone();
        offsets.retain(|place, _| !names.contains(&named(*place)));
        let is_read = names.iter().any(|name| self.is_read(at, name.topic()));
        let is_exact = self.is_exact(at);
        match self.broker().admin().delete_group_offsets(GROUPS[at], &names) {
            Ok(()) => {
                assert!(!(is_exact && is_read), "offsets of a topic that is read");
                let is_any = offsets != *self.groups[at].now();
                self.done(at, offsets, is_any);
            }
            Err(Error::UnknownGroup { .. }) => assert!(self.groups[at].now().is_empty()),
            Err(Error::GroupSubscribed { .. }) if is_read => {}
            // What who has left subscribed to counts until the others have joined again.
            Err(Error::GroupSubscribed { .. } | Error::GroupNotEmpty { .. }) => {
                assert!(self.has_members(at) && !is_exact);
            }
            Err(error) => {
                self.excuse(&error);
                self.not_done(at, offsets);
            }
        }
    }

    pub(super) fn delete_group(&mut self, input: &mut Input<'_>) {
        let at = input.below(GROUPS.len());
        self.groups[at].is_used = true;
        if !self.look(at) {
            return;
        }
        let has_members = self.has_members(at);
        match self.broker().admin().delete_group(GROUPS[at]) {
            Ok(()) => {
                assert!(!(self.is_exact(at) && has_members), "a group with members");
                self.done(at, Offsets::new(), true);
            }
            Err(Error::UnknownGroup { .. }) => assert!(self.groups[at].now().is_empty()),
            Err(Error::GroupNotEmpty { .. }) => assert!(has_members),
            Err(error) => {
                self.excuse(&error);
                self.not_done(at, Offsets::new());
            }
        }
    }

    /// Somebody who is no member reads one partition from where the group goes on, and commits something.
    pub(super) fn commit_from_outside(&mut self, input: &mut Input<'_>) {
        let Some((name, number, _)) = self.pick(input) else { return };
        let (shape, far) = (input.byte(), input.byte());
        let (at, place) = (usize::from(shape % 2), (name, u32::try_from(number).unwrap()));
        self.groups[at].is_used = true;
        if !self.look(at) {
            return;
        }
        let rows = &self.topics[name].partitions[number].rows;
        let end = rows.len() as u64;
        let mut consumer = match self.consumer(at).build() {
            Ok(consumer) => consumer,
            Err(error) => return self.excuse(&error),
        };
        consumer.assign([named(place)]).unwrap();
        let begin = u64::from(consumer.position(&named(place)).unwrap());
        assert!(self.begin_of(at, place).is_none_or(|known| known == begin), "{}: {place:?}", GROUPS[at]);
        let first = usize::try_from(begin).unwrap();
        let count = if shape / 2 % 2 == 1 { rows.len().saturating_sub(first) } else { 0 };
        let read = match poll_rows(&mut consumer, count) {
            Ok(read) => read,
            Err(error) => return self.excuse(&error),
        };
        assert_eq!(read, rows[first..first + read.len()], "{}: {place:?}", GROUPS[at]);
        let offset = u64::from(far) % (end + 1);
        let offsets = self.groups[at].with([(place, offset)]);
        let (has_members, is_exact) = (self.has_members(at), self.is_exact(at));
        match consumer.commit_offsets([(named(place), Offset::try_from(offset).unwrap())]) {
            Ok(()) => {
                assert!(!(is_exact && has_members), "a commit of nobody's");
                self.done(at, offsets, true);
            }
            Err(Error::UnknownMember { .. }) => assert!(has_members),
            Err(error) => {
                self.excuse(&error);
                self.not_done(at, offsets);
            }
        }
    }

    /// A new consumer of each group would go on where the group has to.
    pub(super) fn check_begins(&mut self) {
        for (at, group) in GROUPS.into_iter().enumerate() {
            if !self.groups[at].is_used || !self.look(at) {
                continue;
            }
            let mut consumer = match self.consumer(at).build() {
                Ok(consumer) => consumer,
                Err(error) => {
                    self.excuse(&error);
                    continue;
                }
            };
            let places: Vec<Place> = self
                .places()
                .into_iter()
                .map(|(name, number)| (name, u32::try_from(number).unwrap()))
                .collect();
            consumer.assign(places.iter().copied().map(named)).unwrap();
            for place in places {
                let found = u64::from(consumer.position(&named(place)).unwrap());
                let begin = self.begin_of(at, place);
                assert!(begin.is_none_or(|begin| begin == found), "{}: {place:?}: {found}, {begin:?}", group);
            }
        }
    }
}
