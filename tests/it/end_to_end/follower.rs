//! A consumer, beside what it must be.

use std::collections::BTreeMap;
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, Clock, Consumer, ConsumerRecord, Error, IsolationLevel, ManualClock, Offset,
    Partition, PartitionId, Records, Timestamp, TopicPartition,
};

use super::book::Book;
use crate::kit::{Row, Seed};

/// What an assigned partition must be.
#[derive(Clone, Copy)]
struct Assigned {
    topic: usize,
    /// None where the consumer is yet to find out.
    position: Option<u64>,
    is_paused: bool,
}

pub(super) struct Follower {
    pub(super) consumer: Consumer,
    clock: ManualClock,
    level: IsolationLevel,
    limit: usize,
    least: usize,
    reset: AutoOffsetReset,
    assigned: BTreeMap<TopicPartition, Assigned>,
    /// Polls in a row that waited and returned nothing, though there was something.
    empty_polls: usize,
}

impl Follower {
    pub(super) fn new(broker: &Broker, clock: &ManualClock, seed: &mut Seed) -> Follower {
        let level = [
            IsolationLevel::ReadUncommitted,
            IsolationLevel::ReadCommitted,
            IsolationLevel::ReadDurable,
            IsolationLevel::ReadDurable,
        ][seed.below(4)];
        let reset = [
            AutoOffsetReset::Earliest,
            AutoOffsetReset::Latest,
            AutoOffsetReset::None,
            AutoOffsetReset::ByDuration(Duration::from_millis(50)),
        ][seed.below(4)];
        let (limit, least) = ([1, 3, 40, 500][seed.below(4)], [0, 1, 1, 700][seed.below(4)]);
        let bounds = [0, 400, 1500, 1 << 20];
        let builder = broker.consumer().isolation(level).auto_offset_reset(reset).max_poll_records(limit);
        let builder = builder
            .fetch_min_bytes(least)
            .max_partition_fetch_bytes(bounds[seed.below(4)])
            .fetch_max_bytes(bounds[seed.below(4)].max(least))
            .fetch_max_wait(Duration::from_millis(100))
            .check_crcs(seed.below(2) == 0);
        let (consumer, clock) = (builder.build().unwrap(), clock.clone());
        Follower { consumer, clock, level, limit, least, reset, assigned: BTreeMap::new(), empty_polls: 0 }
    }

    /// Another consumer on the broker that was opened again, with the same settings and positions.
    pub(super) fn succeed(&mut self, broker: &Broker, book: &Book) {
        assert!(matches!(self.consumer.poll(Duration::ZERO), Err(Error::Closed)));
        let builder = broker.consumer().isolation(self.level).auto_offset_reset(self.reset);
        let builder = builder.max_poll_records(self.limit).fetch_min_bytes(self.least);
        self.consumer = builder.fetch_max_wait(Duration::from_millis(100)).build().unwrap();
        self.empty_polls = 0;
        self.assigned.retain(|_, one| !book.topics[one.topic].is_deleted);
        self.consumer.assign(self.assigned.keys().cloned()).unwrap();
        for (name, one) in &self.assigned {
            if let Some(position) = one.position {
                self.consumer.seek(name, offset(position)).unwrap();
            }
            if one.is_paused {
                self.consumer.pause([name]).unwrap();
            }
        }
    }

    fn bound(&self, partition: &Partition) -> u64 {
        let is_durable = self.level == IsolationLevel::ReadDurable;
        (if is_durable { partition.durable_offset() } else { partition.log_end_offset() }).into()
    }

    /// The first visible row since a time.
    fn since(&self, book: &Book, topic: usize, partition: &Partition, millis: i64) -> Option<(u64, i64)> {
        let rows = &book.topics[topic].logs[u32::from(partition.id()) as usize].rows;
        let row = rows.iter().find(|row| row.timestamp >= millis)?;
        (row.offset < self.bound(partition)).then_some((row.offset, row.timestamp))
    }

    /// Where to begin without a position.
    fn begin(&self, book: &Book, topic: usize, partition: &Partition) -> Option<u64> {
        match self.reset {
            AutoOffsetReset::Earliest => Some(0),
            AutoOffsetReset::Latest => Some(self.bound(partition)),
            AutoOffsetReset::ByDuration(age) => {
                let since = self.clock.wall().as_millis() - i64::try_from(age.as_millis()).unwrap();
                let found = self.since(book, topic, partition, since);
                Some(found.map_or(self.bound(partition), |(offset, _)| offset))
            }
            _ => None,
        }
    }

    /// A live partition that is assigned.
    fn live(&self, book: &Book, broker: &Broker, name: &TopicPartition) -> Option<Partition> {
        let is_deleted = book.topics[self.assigned[name].topic].is_deleted;
        (!is_deleted).then(|| broker.topic(name.topic()).unwrap().partition(name.partition().into()).unwrap())
    }

    /// Whether a partition has no position, or one that is not there.
    fn is_lost(&self, partition: &Partition, name: &TopicPartition) -> bool {
        self.assigned[name].position.is_none_or(|position| partition.log_end_offset() < position)
    }

    pub(super) fn poll(&mut self, book: &mut Book, broker: &Broker, seed: &mut Seed) -> Records {
        book.catch_up(broker);
        let live: Vec<(TopicPartition, Partition)> = self
            .assigned
            .keys()
            .filter_map(|name| Some((name.clone(), self.live(book, broker, name)?)))
            .collect();
        // Where somebody is lost, time stands still, so that it is known where they begin.
        let are_lost = live.iter().any(|(name, partition)| self.is_lost(partition, name));
        let timeout = if are_lost || seed.below(2) == 0 { 0 } else { 100 };
        let begins: BTreeMap<TopicPartition, Option<u64>> = live
            .iter()
            .filter(|(name, partition)| self.is_lost(partition, name))
            .map(|(name, partition)| (name.clone(), self.begin(book, self.assigned[name].topic, partition)))
            .collect();
        let has_any = live.iter().any(|(name, partition)| {
            let begin = begins.get(name).copied().unwrap_or(self.assigned[name].position);
            !self.assigned[name].is_paused && begin.is_some_and(|begin| begin < self.bound(partition))
        });
        let records = match self.consumer.poll(Duration::from_millis(timeout)) {
            Ok(records) => records,
            Err(error) => {
                self.check_error(book, &begins, &error);
                Records::default()
            }
        };
        book.catch_up(broker);
        self.check_records(book, &begins, &records);
        self.check_begun(begins);
        let is_troubled = self.is_troubled(book, broker);
        if records.is_empty() && has_any && !is_troubled {
            assert!(self.least > 1, "nothing, though there is something");
            self.empty_polls += usize::from(timeout > 0);
            assert!(self.empty_polls < 2, "waited for, and not returned");
        } else {
            self.empty_polls = 0;
        }
        self.check_positions(book, broker);
        records
    }

    /// Whether a poll may fail.
    pub(super) fn is_troubled(&self, book: &Book, broker: &Broker) -> bool {
        self.assigned.keys().any(|name| match self.live(book, broker, name) {
            None => true,
            Some(partition) => self.reset == AutoOffsetReset::None && self.is_lost(&partition, name),
        })
    }

    fn check_error(&self, book: &Book, begins: &BTreeMap<TopicPartition, Option<u64>>, error: &Error) {
        let is_lost = |topic: &str, partition: PartitionId| {
            let name = TopicPartition::new(topic, partition);
            let is_new = |one: &Assigned| one.position.is_none() && book.topics[one.topic].is_deleted;
            begins.get(&name) == Some(&None) || self.assigned.get(&name).is_some_and(is_new)
        };
        let is_right = match error {
            Error::UnknownTopic { topic } => {
                let of_topic = |(name, one): (&TopicPartition, &Assigned)| {
                    name.topic() == topic && !one.is_paused && book.topics[one.topic].is_deleted
                };
                self.assigned.iter().any(of_topic)
            }
            Error::NoPosition { topic, partition } => is_lost(topic, *partition),
            Error::Fetch { topic, partition, source, .. } => {
                is_lost(topic, *partition) && matches!(**source, Error::OffsetOutOfRange { .. })
            }
            _ => false,
        };
        assert!(is_right, "{error:?}");
    }

    fn check_records(
        &mut self,
        book: &mut Book,
        begins: &BTreeMap<TopicPartition, Option<u64>>,
        records: &Records,
    ) {
        assert!(records.len() <= self.limit);
        let mut count = 0;
        for (name, of_one) in records.by_partition() {
            let one = self.assigned.get_mut(name).expect("it is assigned");
            assert!(!one.is_paused, "{name}");
            let mut position =
                begins.get(name).copied().unwrap_or(one.position).expect("there is a position");
            let log = &mut book.topics[one.topic].logs[u32::from(name.partition()) as usize];
            for record in of_one {
                let expected = &log.rows[usize::try_from(position).unwrap()];
                assert!(row_of(&record) == *expected, "{name} at {position}");
                (position, count) = (position + 1, count + 1);
            }
            one.position = Some(position);
            if self.level == IsolationLevel::ReadDurable {
                log.secured = log.secured.max(position);
            }
        }
        assert_eq!(count, records.len());
    }

    /// Those without a position, or with one that is not there, are where they begin, or their turn has not come.
    fn check_begun(&mut self, begins: BTreeMap<TopicPartition, Option<u64>>) {
        for (name, begin) in begins {
            let one = self.assigned.get_mut(&name).unwrap();
            match (self.consumer.position(&name), begin) {
                (Ok(found), _) if one.position == Some(found.into()) => {}
                (Ok(found), Some(begin)) => {
                    assert_eq!(found, begin, "{name}");
                    one.position = Some(begin);
                }
                (Err(Error::NoPosition { .. }), None) => assert_eq!(one.position, None),
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn check_positions(&mut self, book: &Book, broker: &Broker) {
        for (name, one) in self.assigned.clone() {
            let (Some(partition), Some(position)) = (self.live(book, broker, &name), one.position) else {
                continue;
            };
            assert_eq!(self.consumer.position(&name).unwrap(), position, "{name}");
            let bound = self.bound(&partition);
            assert!(self.level != IsolationLevel::ReadDurable || partition.durable_offset() == bound);
            assert_eq!(self.consumer.lag(&name).unwrap(), bound.saturating_sub(position), "{name}");
        }
    }

    /// One of those that are assigned and still there.
    fn any(&self, book: &Book, broker: &Broker, seed: &mut Seed) -> Option<(TopicPartition, Partition)> {
        let name = self.assigned.keys().nth(seed.below(self.assigned.len().max(1)))?;
        Some((name.clone(), self.live(book, broker, name)?))
    }

    pub(super) fn seek(&mut self, book: &mut Book, broker: &Broker, seed: &mut Seed) {
        book.catch_up(broker);
        let Some((name, partition)) = self.any(book, broker, seed) else { return };
        let (bound, end) = (self.bound(&partition), u64::from(partition.log_end_offset()));
        let to = match seed.below(5) {
            0 => {
                self.consumer.seek_to_beginning([&name]).unwrap();
                0
            }
            1 => {
                self.consumer.seek_to_end([&name]).unwrap();
                bound
            }
            2 => {
                let millis = self.clock.wall().as_millis() - seed.between(-50, 300);
                let found =
                    self.consumer.offsets_for_times([(&name, Timestamp::from_millis(millis))]).unwrap();
                let found = found[&name].map(|(offset, time)| (u64::from(offset), time.as_millis()));
                let expected = self.since(book, self.assigned[&name].topic, &partition, millis);
                assert_eq!(found, expected, "{name} since {millis}");
                let to = found.map_or(bound, |(offset, _)| offset);
                self.consumer.seek(&name, offset(to)).unwrap();
                to
            }
            // Also a little behind the end.
            _ => {
                let to = seed.below(usize::try_from(end).unwrap() + 3) as u64;
                self.consumer.seek(&name, offset(to)).unwrap();
                to
            }
        };
        self.assigned.get_mut(&name).unwrap().position = Some(to);
        self.check_positions(book, broker);
    }

    pub(super) fn pause(&mut self, book: &Book, broker: &Broker, seed: &mut Seed) {
        let Some((name, _)) = self.any(book, broker, seed) else { return };
        let is_paused = seed.below(2) == 0;
        if is_paused { self.consumer.pause([&name]) } else { self.consumer.resume([&name]) }.unwrap();
        self.assigned.get_mut(&name).unwrap().is_paused = is_paused;
        let paused: Vec<TopicPartition> =
            self.assigned.iter().filter(|(_, one)| one.is_paused).map(|(name, _)| name.clone()).collect();
        assert_eq!(self.consumer.paused(), paused);
    }

    /// Assigns some of all partitions, `chance` in 4 each.
    pub(super) fn assign(&mut self, book: &Book, broker: &Broker, seed: &mut Seed, chance: usize) {
        let mut chosen = BTreeMap::new();
        for (topic, _, partition) in book.partitions(broker) {
            let name = TopicPartition::new(partition.topic(), partition.id());
            if seed.below(4) < chance {
                chosen.insert(name, Assigned { topic, position: None, is_paused: false });
            }
        }
        self.consumer.assign(chosen.keys().cloned()).unwrap();
        for (name, one) in &mut chosen {
            // What was made again under its name is another partition.
            if let Some(known) = self.assigned.get(name).filter(|known| known.topic == one.topic) {
                *one = *known;
            }
        }
        self.assigned = chosen;
        assert!(self.consumer.assignment().iter().eq(self.assigned.keys()));
    }

    /// Everything that is left is returned.
    pub(super) fn finish(&mut self, book: &mut Book, broker: &Broker, seed: &mut Seed) {
        self.assign(book, broker, seed, 4);
        let names = self.consumer.assignment();
        self.consumer.resume(&names).unwrap();
        self.assigned.values_mut().for_each(|one| one.is_paused = false);
        for name in &names {
            let partition = self.live(book, broker, name).unwrap();
            if self.reset == AutoOffsetReset::None && self.is_lost(&partition, name) {
                self.consumer.seek_to_beginning([name]).unwrap();
                self.assigned.get_mut(name).unwrap().position = Some(0);
            }
        }
        let mut polls = 0;
        while !self.is_over(book, broker) {
            drop(self.poll(book, broker, seed));
            polls += 1;
            assert!(polls < 20_000, "it never ends");
        }
    }

    /// Whether it has come to the end of every partition.
    fn is_over(&self, book: &Book, broker: &Broker) -> bool {
        let at_bound = |(_, number, partition): &(usize, u32, Partition)| {
            let name = TopicPartition::new(partition.topic(), PartitionId::try_from(*number).unwrap());
            self.assigned[&name].position == Some(self.bound(partition))
        };
        book.partitions(broker).iter().all(at_bound)
    }
}

pub(super) fn row_of(record: &ConsumerRecord<'_>) -> Row {
    Row {
        offset: record.offset().into(),
        timestamp: record.timestamp().as_millis(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.value().map(<[u8]>::to_vec),
        headers: record.headers().map(|h| (h.name().to_owned(), h.value().map(<[u8]>::to_vec))).collect(),
    }
}

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}
