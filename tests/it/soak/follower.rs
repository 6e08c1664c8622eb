//! Followers: one consumer each, which reads every topic there is from its first record to its last and checks each: the
//! offsets one after the other, and each sender's records in its order, without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use streamlog::{AutoOffsetReset, Consumer, IsolationLevel, Offset, Records, Timestamp, TopicPartition};

use super::sender::made_of;
use super::stage::{Live, SENDERS, Stage};
use crate::kit::{Seed, rows_of};

/// How a follower waits, and what else it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Asleep until there is something.
    Parked,
    /// Looks again and again.
    Polling,
    /// Looks offsets up by time as well.
    ByTime,
    /// Reads everything again after each open.
    FromTheStart,
}

impl Manner {
    pub(super) const ALL: [Manner; 4] =
        [Manner::Parked, Manner::Polling, Manner::ByTime, Manner::FromTheStart];

    fn level(self) -> IsolationLevel {
        match self {
            Manner::Parked => IsolationLevel::ReadUncommitted,
            Manner::Polling => IsolationLevel::ReadCommitted,
            Manner::ByTime | Manner::FromTheStart => IsolationLevel::ReadDurable,
        }
    }
}

/// How far a partition was read.
#[derive(Debug, Default)]
struct Read {
    next: u64,
    /// The next number of each sender.
    numbers: [u64; SENDERS],
    last_timestamp: Timestamp,
}

/// A follower; it outlives the brokers that it reads from.
pub(super) struct Follower {
    manner: Manner,
    seed: Seed,
    read: BTreeMap<TopicPartition, Read>,
    /// Topics that it has read to their end.
    finished: BTreeSet<String>,
}

impl Follower {
    pub(super) fn new(manner: Manner) -> Follower {
        let (read, finished) = (BTreeMap::new(), BTreeSet::new());
        Follower { manner, seed: Seed::new(manner as u64 + 100), read, finished }
    }

    fn consumer(&self, stage: &Stage) -> Consumer {
        let builder = stage.broker.consumer().isolation(self.manner.level());
        let builder = builder.auto_offset_reset(AutoOffsetReset::Earliest);
        let builder = match self.manner {
            Manner::Parked => builder,
            Manner::Polling => builder.max_poll_records(50),
            Manner::ByTime => builder.fetch_min_bytes(20_000).fetch_max_wait(Duration::from_millis(50)),
            Manner::FromTheStart => builder.max_partition_fetch_bytes(200_000),
        };
        builder.build().unwrap()
    }

    /// Reads until it has read all that was sent, once all is over.
    pub(super) fn run(mut self, stage: &Stage) -> Follower {
        let mut consumer = self.consumer(stage);
        stage.add_waker(consumer.waker());
        if self.manner == Manner::FromTheStart {
            self.read.clear();
        }
        let mut version = None;
        loop {
            let now = stage.version.load(SeqCst);
            if version.replace(now) != Some(now) {
                self.assign(&mut consumer, stage);
            }
            let is_ending = stage.is_ending.load(SeqCst);
            let records = consumer.poll(self.patience(is_ending)).unwrap();
            self.check(&records);
            stage.counts.read.fetch_add(records.len() as u64, SeqCst);
            if self.manner == Manner::ByTime && self.seed.below(20) == 0 {
                self.look_up_a_time(&mut consumer, stage);
            }
            if self.finish_topics(stage) {
                version = None;
            }
            if is_ending && records.is_empty() && self.has_all(stage) {
                return self;
            }
        }
    }

    fn patience(&self, is_ending: bool) -> Duration {
        match self.manner {
            _ if is_ending => Duration::from_millis(20),
            Manner::Parked | Manner::FromTheStart => Duration::MAX,
            Manner::Polling => Duration::from_millis(1),
            Manner::ByTime => Duration::from_millis(100),
        }
    }

    /// Reads what there is now, each partition from where it was.
    fn assign(&mut self, consumer: &mut Consumer, stage: &Stage) {
        let topics = stage.topics.read().unwrap().clone();
        self.finished.retain(|name| topics.iter().any(|topic| topic.name == *name));
        let names: Vec<_> = self.unfinished(&topics).flat_map(|topic| topic.names()).collect();
        let before = consumer.assignment();
        consumer.assign(names.iter().cloned()).unwrap();
        for name in names {
            if !before.contains(&name) {
                let next = self.read.entry(name.clone()).or_default().next;
                consumer.seek(&name, Offset::try_from(next).unwrap()).unwrap();
            }
        }
    }

    fn unfinished<'a>(&'a self, topics: &'a [Arc<Live>]) -> impl Iterator<Item = &'a Arc<Live>> {
        topics.iter().filter(|topic| !self.finished.contains(&topic.name))
    }

    fn check(&mut self, records: &Records) {
        for record in records {
            let name = record.topic_partition();
            let read = self.read.get_mut(name).unwrap();
            assert_eq!(record.offset(), read.next, "{:?} in {name}", self.manner);
            read.next += 1;
            read.last_timestamp = record.timestamp();
            let value = record.value().unwrap();
            let Some((sender, number)) = made_of(value) else {
                panic!("nobody sent what is at {} of {name}: {}", record.offset(), value.escape_ascii());
            };
            let due = &mut read.numbers[sender];
            assert_eq!(number, *due, "from {sender}, at {} of {name}, {:?}", record.offset(), self.manner);
            *due += 1;
        }
    }

    /// The first record at or after a time is the first: the one before it is older.
    fn look_up_a_time(&mut self, consumer: &mut Consumer, stage: &Stage) {
        let assigned = consumer.assignment();
        let known: Vec<_> = assigned.iter().filter(|name| self.read[*name].next > 0).collect();
        if known.is_empty() {
            return;
        }
        let name = known[self.seed.below(known.len())];
        let back = i64::try_from(self.seed.below(3_000)).unwrap();
        let time = Timestamp::from_millis(self.read[name].last_timestamp.as_millis() - back);
        let found = consumer.offsets_for_times([(name, time)]).unwrap();
        let (offset, timestamp) = found[name].expect("the last one read is not older");
        assert!(timestamp >= time, "{name}");
        if let Some(before) = u64::from(offset).checked_sub(1) {
            let partition =
                stage.broker.topic(name.topic()).unwrap().partition(name.partition().into()).unwrap();
            let rows = rows_of(&partition.read(Offset::try_from(before).unwrap(), 1).unwrap());
            let row = rows.iter().find(|row| row.offset == before).unwrap();
            assert!(row.timestamp < time.as_millis(), "{before} of {name} is not older than {time:?}");
        }
        stage.counts.times.fetch_add(1, SeqCst);
    }

    /// Tells of the topics that it has read to their end: whether there are any.
    fn finish_topics(&mut self, stage: &Stage) -> bool {
        let topics = stage.topics.read().unwrap().clone();
        let ended: Vec<_> = self
            .unfinished(&topics)
            .filter(|topic| topic.ends.get().is_some_and(|ends| self.has_read(topic, ends)))
            .cloned()
            .collect();
        for topic in &ended {
            for (name, senders) in topic.names().zip(&topic.sent) {
                let read = self.read.remove(&name).unwrap();
                let sent = senders.iter().map(|sent| sent.load(SeqCst));
                assert!(sent.eq(read.numbers), "{:?} has not seen all of {name}", self.manner);
            }
            self.finished.insert(topic.name.clone());
            topic.finished.fetch_add(1, SeqCst);
        }
        !ended.is_empty()
    }

    fn has_read(&self, topic: &Live, ends: &[u64]) -> bool {
        topic.names().zip(ends).all(|(name, end)| self.read.get(&name).is_some_and(|read| read.next == *end))
    }

    fn has_all(&self, stage: &Stage) -> bool {
        let topics = stage.topics.read().unwrap().clone();
        self.unfinished(&topics).all(|topic| self.has_read(topic, &topic.totals()))
    }
}
