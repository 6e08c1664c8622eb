//! Random appends, polls, seeks, pauses and assignments, against a plain list of records per partition.
//!
//! A failure names its seed; `STREAMLOG_TEST_SEED` runs that one alone.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, Consumer, ConsumerBuilder, IsolationLevel, Partition, Record, TopicConfig,
};

use super::{NO_WAIT, begin, named, offset};
use crate::kit::{Place, Seed};

/// Runs by default, on each kind of storage.
const SEEDS: u64 = 16;
const STEPS: usize = 250;
const PARTITIONS: u32 = 4;

/// What an assigned partition of the consumer must be.
#[derive(Clone, Copy)]
struct Assigned {
    position: u64,
    is_paused: bool,
}

struct Run {
    seed: Seed,
    broker: Broker,
    partitions: Vec<Partition>,
    /// The values of each partition.
    logs: Vec<Vec<Vec<u8>>>,
    level: IsolationLevel,
    limit: usize,
    least: usize,
    consumer: Consumer,
    assigned: BTreeMap<u32, Assigned>,
    empty_polls: usize,
}

impl Run {
    fn new(place: &Place, number: u64) -> Run {
        let mut seed = Seed::new(number);
        let config =
            TopicConfig::default().segment_bytes(3000).index_interval_bytes(300).max_message_bytes(2500);
        let (broker, partitions) = begin(place, PARTITIONS, config);
        let level = [IsolationLevel::ReadUncommitted, IsolationLevel::ReadDurable][seed.below(2)];
        let limit = [1, 2, 7, 40, 500, usize::MAX][seed.below(6)];
        let least = [0, 1, 1, 700][seed.below(4)];
        let bounds = [0, 1, 400, 1500, 1 << 20, usize::MAX];
        let builder: ConsumerBuilder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest);
        let builder = builder.isolation(level).max_poll_records(limit).fetch_min_bytes(least);
        let builder = builder
            .max_partition_fetch_bytes(bounds[seed.below(6)])
            .fetch_max_bytes(bounds[seed.below(6)].max(least))
            .fetch_max_wait(Duration::from_millis(100))
            .check_crcs(seed.below(2) == 0);
        let consumer = builder.build().unwrap();
        let logs = partitions.iter().map(|_| Vec::new()).collect();
        let (assigned, empty_polls) = (BTreeMap::new(), 0);
        Run { seed, broker, partitions, logs, level, limit, least, consumer, assigned, empty_polls }
    }

    fn step(&mut self) {
        let number = self.seed.below(self.partitions.len());
        match self.seed.below(100) {
            0..35 => self.append(number),
            35..40 => assert_eq!(self.partitions[number].sync().unwrap(), self.logs[number].len() as u64),
            40..80 => self.poll(),
            80..88 => self.seek(),
            88..94 => self.pause(),
            94..97 => self.consumer.waker().wake(),
            _ => self.assign(),
        }
    }

    fn append(&mut self, number: usize) {
        let codec = self.seed.codec();
        let values: Vec<Vec<u8>> = (0..=self.seed.below(9))
            .map(|_| {
                let count = self.seed.below(120);
                self.seed.bytes(count)
            })
            .collect();
        let records: Vec<Record<'_>> = values.iter().map(|value| Record::new().value(value)).collect();
        self.partitions[number].clone().compression(codec).append(&records).unwrap();
        self.logs[number].extend(values);
    }

    /// How far the consumer may see.
    fn bound(&self, number: u32) -> u64 {
        let partition = &self.partitions[number as usize];
        let is_durable = self.level == IsolationLevel::ReadDurable;
        (if is_durable { partition.durable_offset() } else { partition.log_end_offset() }).into()
    }

    fn poll(&mut self) {
        let waits = self.seed.below(2) == 0;
        let timeout = if waits { Duration::from_millis(100) } else { NO_WAIT };
        let visible: Vec<u32> =
            self.assigned.iter().filter(|(_, one)| !one.is_paused).map(|(n, _)| *n).collect();
        let has_any = visible.iter().any(|number| self.assigned[number].position < self.bound(*number));
        let records = self.consumer.poll(timeout).unwrap();
        assert!(records.len() <= self.limit);
        for (partition, of_one) in records.by_partition() {
            let number = u32::from(partition.partition());
            assert!(visible.contains(&number), "{partition} is paused or not assigned");
            let mut position = self.assigned[&number].position;
            for record in of_one {
                assert_eq!(record.offset(), position, "{partition}");
                let value = &self.logs[number as usize][usize::try_from(position).unwrap()];
                assert_eq!(record.value(), Some(&value[..]), "{partition} at {position}");
                position += 1;
            }
            assert!(position <= self.bound(number));
            self.assigned.get_mut(&number).unwrap().position = position;
        }
        let counted: usize = records.by_partition().map(|(_, of_one)| of_one.len()).sum();
        assert_eq!(counted, records.len(), "no partition comes twice");
        assert_eq!(records.iter().count(), counted);
        if records.is_empty() && has_any {
            // Too few bytes, until they were waited for.
            assert!(self.least > 1, "nothing, though there is something");
            self.empty_polls += usize::from(waits);
            assert!(self.empty_polls < 2, "waited for, and not returned");
        } else {
            self.empty_polls = 0;
        }
        self.check_positions();
    }

    fn check_positions(&mut self) {
        for (&number, one) in &self.assigned {
            let name = named(number);
            assert_eq!(self.consumer.position(&name).unwrap(), one.position, "{name}");
        }
        for number in self.assigned.keys().copied().collect::<Vec<_>>() {
            let expected = self.bound(number).saturating_sub(self.assigned[&number].position);
            assert_eq!(self.consumer.lag(&named(number)).unwrap(), expected);
        }
    }

    /// One of those assigned.
    fn any(&mut self) -> Option<u32> {
        let place = self.seed.below(self.assigned.len().max(1));
        self.assigned.keys().nth(place).copied()
    }

    fn seek(&mut self) {
        let Some(number) = self.any() else { return };
        let (name, bound) = (named(number), self.bound(number));
        let to = match self.seed.below(4) {
            0 => {
                self.consumer.seek_to_beginning([&name]).unwrap();
                0
            }
            1 => {
                self.consumer.seek_to_end([&name]).unwrap();
                bound
            }
            _ => {
                let to = self.seed.below(usize::try_from(bound).unwrap() + 1) as u64;
                self.consumer.seek(&name, offset(to)).unwrap();
                to
            }
        };
        self.assigned.get_mut(&number).unwrap().position = to;
    }

    fn pause(&mut self) {
        let Some(number) = self.any() else { return };
        let is_paused = self.seed.below(2) == 0;
        let name = [named(number)];
        if is_paused { self.consumer.pause(&name) } else { self.consumer.resume(&name) }.unwrap();
        self.assigned.get_mut(&number).unwrap().is_paused = is_paused;
        let paused: Vec<_> = self.assigned.iter().filter(|(_, one)| one.is_paused).collect();
        assert!(
            self.consumer.paused().iter().eq(paused
                .iter()
                .map(|(n, _)| named(**n))
                .collect::<Vec<_>>()
                .iter())
        );
    }

    fn assign(&mut self) {
        let chosen: Vec<u32> = (0..PARTITIONS).filter(|_| self.seed.below(4) > 0).collect();
        self.consumer.assign(chosen.iter().rev().copied().map(named)).unwrap();
        self.assigned.retain(|number, _| chosen.contains(number));
        for &number in &chosen {
            self.assigned.entry(number).or_insert(Assigned { position: 0, is_paused: false });
        }
        assert_eq!(self.consumer.assignment(), chosen.into_iter().map(named).collect::<Vec<_>>());
    }

    /// Everything that is left is returned.
    fn finish(&mut self) {
        for partition in &self.partitions {
            partition.sync().unwrap();
        }
        let names = self.consumer.assignment();
        self.consumer.resume(&names).unwrap();
        self.assigned.values_mut().for_each(|one| one.is_paused = false);
        let mut polls = 0;
        while self.assigned.iter().any(|(number, one)| one.position < self.bound(*number)) {
            self.poll();
            polls += 1;
            assert!(polls < 100_000, "it never ends");
        }
        self.broker.close().unwrap();
    }
}

#[test]
fn random_lives_of_a_consumer_match_plain_lists() {
    let only = std::env::var("STREAMLOG_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    for number in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        for place in Place::both() {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let mut run = Run::new(&place, number);
                run.assign();
                (0..STEPS).for_each(|_| run.step());
                run.finish();
            }));
            if let Err(panic) = result {
                eprintln!("seed {number} failed: STREAMLOG_TEST_SEED={number} runs it alone");
                resume_unwind(panic);
            }
        }
    }
}
