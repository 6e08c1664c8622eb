//! A program for the whole engine, on a disk that breaks, against a plain list of records.
//!
//! The input is read as operations: topics created, extended, altered and deleted; records appended, sent with each
//! `acks`, synced, read by offset, by time and through a consumer; the clock moved, so that checkpoints, linger and
//! retries happen; faults of the disk; closes; and crashes of every kind, also in the middle of a recovery.
//!
//! The model knows what a reader of the documentation knows. While nothing goes wrong, every answer is exactly its own.
//! An operation that failed under a fault may have been done in part: what can be read then is what it asked for, in its order. After a
//! crash of the process everything is there that could be read; after a power cut, everything that was said to be
//! durable, and a beginning of the rest; behind it at most what had failed last.

use std::collections::BTreeMap;
use std::time::Duration;

use streamlog::testing::{Calls, Crash, Fault, TestDisk};
use streamlog::{
    Acks, BatchBuilder, Broker, BrokerConfig, Clock, Compression, Error, IsolationLevel, ManualClock,
    NewTopic, Offset, Partition, Result, Timestamp, TopicConfig, TopicPartition,
};

use super::files::{DATA, START};
use super::input::Input;
use super::memory;
use super::rows::Row;

/// What one program may take: brokers, and a disk that remembers each change since the last sync.
const MEMORY_BYTES: usize = 256 << 20;
const STEPS_MAX: usize = 80;
const NAMES: [&str; 2] = ["a", "b"];
const PARTITIONS_MAX: u32 = 3;
/// Of a run of the model; more takes time and shows nothing.
const ROWS_MAX: usize = 400;
/// How often the power goes again in the middle of one recovery, at most.
const CUTS_MAX: usize = 3;

/// Runs one program.
pub fn run(data: &[u8]) {
    memory::within(MEMORY_BYTES, || {
        let mut input = Input::new(data);
        let mut run = Run::new(input.byte());
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            run.step(&mut input);
        }
        run.finish();
    });
}

/// What a partition must be.
#[derive(Debug, Clone, Default)]
struct Model {
    rows: Vec<Row>,
    /// How many of them are known to be on the device.
    durable: usize,
    /// What failed, in its order, each behind how many rows. What is not on the device may give way to it in a crash.
    failed: Vec<(usize, Row)>,
}

#[derive(Debug, Clone, Default)]
struct Topic {
    partitions: Vec<Model>,
    /// Whether a change of it failed, so that the next open may find it done.
    may_grow_to: Option<u32>,
    may_be_gone: bool,
}

struct Run {
    disk: TestDisk,
    clock: ManualClock,
    broker: Option<Broker>,
    topics: BTreeMap<&'static str, Topic>,
    /// Creations that failed, with their partitions: the next open may complete any of them.
    may_appear: BTreeMap<&'static str, Vec<u32>>,
    config: TopicConfig,
    /// Whether the disk has been made to fail since the broker was opened: then an operation may fail.
    is_troubled: bool,
    /// Numbers the records, so that no two are alike.
    next_number: u32,
}

impl Run {
    fn new(mode: u8) -> Run {
        let config = TopicConfig::default().index_interval_bytes([0, 100, 4096][usize::from(mode % 3)]);
        let config = match mode / 3 % 5 {
            0 => config.segment_bytes(1024),
            1 => config.segment_age(Duration::from_millis(400)),
            2 => config.flush_messages(3).segment_bytes(2000),
            3 => config.flush_interval(Duration::from_millis(300)),
            _ => config.preallocate(true).segment_bytes(3000),
        };
        let (disk, clock) = (TestDisk::new(), ManualClock::new(Timestamp::from_millis(START)));
        let mut run = Run {
            disk,
            clock,
            broker: None,
            topics: BTreeMap::new(),
            may_appear: BTreeMap::new(),
            config,
            is_troubled: false,
            next_number: 0,
        };
        run.broker = Some(run.open().unwrap());
        run
    }

    fn open(&self) -> Result<Broker> {
        let builder = Broker::builder().log_dir(DATA).storage(self.disk.clone()).clock(self.clock.clone());
        builder.config(BrokerConfig::default().seed(7)).open()
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("a broker is open between the steps")
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(32) {
            0..5 => self.append(input),
            5 => self.append_batch(input),
            6..9 => self.send(input),
            9..12 => self.sync(input),
            12..15 => self.read(input),
            15 => self.look_up(input),
            16 => self.poll(input),
            17 => self.read_flipped(input),
            18 | 19 => self.wait(input),
            20 => self.create(input),
            21 => self.extend(input),
            22 => self.alter(input),
            23 => self.delete(input),
            24 | 25 => self.break_disk(input),
            26 => self.disk.heal(),
            27 => self.reopen(input),
            28 | 29 => self.crash(input),
            30 => self.crash_in_recovery(input),
            _ => self.check_all(),
        }
        if self.disk.is_down() {
            self.crash(input);
        }
        self.check_offsets();
    }

    /// Everything once more; then closed in order, opened, and everything again.
    fn finish(&mut self) {
        self.disk.heal();
        self.check_all();
        self.reopen(&mut Input::new(&[]));
        self.check_all();
        self.crash(&mut Input::new(&[1]));
        self.check_all();
    }

    /// Where there are partitions.
    fn places(&self) -> Vec<(&'static str, usize)> {
        let all = self.topics.iter();
        all.flat_map(|(name, topic)| (0..topic.partitions.len()).map(move |at| (*name, at))).collect()
    }

    /// One of the partitions that there are, and its model's place.
    fn pick(&self, input: &mut Input<'_>) -> Option<(&'static str, usize, Partition)> {
        let places = self.places();
        if places.is_empty() {
            return None;
        }
        let (name, at) = places[input.below(places.len())];
        Some((name, at, self.partition(name, at)))
    }

    fn partition(&self, name: &str, at: usize) -> Partition {
        self.broker().topic(name).unwrap().partition(u32::try_from(at).unwrap()).unwrap()
    }

    fn model(&mut self, name: &str, at: usize) -> &mut Model {
        &mut self.topics.get_mut(name).unwrap().partitions[at]
    }

    /// A few records, each with a number that no other has.
    fn rows(&mut self, input: &mut Input<'_>) -> Vec<Row> {
        let shape = input.byte();
        let count = [1, 1, 2, 5][usize::from(shape % 4)];
        let bytes = [0, 10, 60, 140][usize::from(shape / 4 % 4)];
        let late = i64::from(shape / 16) * 40 - 200;
        let now = self.clock.wall().as_millis();
        let row = |number: u32| Row {
            offset: 0,
            timestamp: now + late + i64::from(number % 3),
            key: number.is_multiple_of(2).then(|| number.to_be_bytes().to_vec()),
            value: Some([number.to_string().into_bytes(), vec![b'v'; bytes]].concat()),
            headers: if number.is_multiple_of(5) { vec![("h".to_owned(), None)] } else { Vec::new() },
        };
        let numbers = self.next_number..self.next_number + count;
        self.next_number = numbers.end;
        numbers.map(row).collect()
    }

    /// An error is what a fault does, and no other.
    #[track_caller]
    fn excuse(&self, error: &Error) {
        assert!(self.is_troubled, "nothing is wrong with the disk: {error:?}");
        let mut source = error;
        loop {
            source = match source {
                Error::DeliveryFailed { source, .. }
                | Error::DeliveryTimeout { source, .. }
                | Error::PartitionOffline { source, .. } => source,
                Error::TimedOut { source: Some(source), .. } => source,
                Error::Io { .. } | Error::Poisoned { .. } | Error::TimedOut { source: None, .. } => return,
                error => panic!("{error:?}"),
            }
        }
    }

    /// Takes into the model what was asked for: all of it where that is known to be done, otherwise what can be read of it.
    fn settle(&mut self, name: &str, at: usize, mut asked: Vec<Row>, done: bool) {
        let partition = self.partition(name, at);
        let end = usize::try_from(u64::from(partition.log_end_offset())).unwrap();
        let start = self.model(name, at).rows.len();
        assert!((start..=start + asked.len()).contains(&end), "{start}, {} more, then {end}", asked.len());
        if !done && end == start {
            self.model(name, at).failed.extend(asked.into_iter().map(|row| (start, row)));
            return;
        }
        if done {
            assert_eq!(end, start + asked.len());
            for (row, offset) in asked.iter_mut().zip(start as u64..) {
                row.offset = offset;
            }
        } else {
            // Only a look tells, for which the disk must work.
            self.disk.heal();
            let mut read = if self.disk.is_down() {
                self.read_elsewhere(name, at, start as u64)
            } else {
                read_all(&partition, start as u64)
            };
            read.truncate(end - start);
            check_part(&read, &asked);
            asked.retain(|asked| read.iter().all(|read| read.value != asked.value));
            // It failed somewhere on the way.
            let failed = asked.into_iter().flat_map(|row| (start..=end).map(move |at| (at, row.clone())));
            self.model(name, at).failed.extend(failed);
            asked = read;
        }
        self.model(name, at).rows.append(&mut asked);
    }

    /// What a process that begins now would find, where this one cannot read any more.
    fn read_elsewhere(&self, name: &str, at: usize, from: u64) -> Vec<Row> {
        let disk = self.disk.after(Crash::Kill);
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let builder = Broker::builder().log_dir(DATA).storage(disk).clock(clock);
        let broker = builder.config(BrokerConfig::default().seed(7)).open().unwrap();
        let number = u32::try_from(at).unwrap();
        read_all(&broker.topic(name).unwrap().partition(number).unwrap(), from)
    }

    fn append(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        if self.model(name, at).rows.len() > ROWS_MAX {
            return;
        }
        let rows = self.rows(input);
        let codec = codec(input.byte());
        let records: Vec<_> = rows.iter().map(Row::record).collect();
        let end = self.model(name, at).rows.len() as u64;
        let appended = partition.compression(codec).append(&records);
        drop(records);
        self.note(name, at, rows, end, appended);
    }

    fn append_batch(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let rows = self.rows(input);
        let mut builder = BatchBuilder::new(codec(input.byte()));
        rows.iter().for_each(|row| builder.append(&row.record(), Timestamp::from_millis(0)).unwrap());
        let end = self.model(name, at).rows.len() as u64;
        let appended = partition.append_batch(builder.build().unwrap());
        self.note(name, at, rows, end, appended);
    }

    fn note(
        &mut self,
        name: &str,
        at: usize,
        rows: Vec<Row>,
        end: u64,
        appended: Result<std::ops::Range<Offset>>,
    ) {
        match appended {
            Ok(range) => {
                assert_eq!((u64::from(range.start), u64::from(range.end)), (end, end + rows.len() as u64));
                self.settle(name, at, rows, true);
            }
            Err(error) => {
                self.excuse(&error);
                assert_eq!(
                    u64::from(self.partition(name, at).log_end_offset()),
                    end,
                    "a failed append shows"
                );
                self.settle(name, at, rows, false);
            }
        }
    }

    /// Sends records to one partition and waits for all of them.
    fn send(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        if self.model(name, at).rows.len() > ROWS_MAX {
            return;
        }
        let shape = input.byte();
        let acks = [Acks::All, Acks::Leader, Acks::None][usize::from(shape % 3)];
        let builder = self
            .broker()
            .producer()
            .acks(acks)
            .linger(Duration::from_millis([0, 5, 50][usize::from(shape / 3 % 3)]))
            .batch_bytes([0, 200, 16 << 10][usize::from(shape / 9 % 3)])
            .compression(codec(shape / 27))
            .retries([0, 1000][usize::from(shape / 128)])
            .retry_backoff(Duration::from_millis(100))
            .delivery_timeout(Duration::from_secs(2));
        let producer = match builder.build() {
            Ok(producer) => producer,
            Err(error) => return self.excuse(&error),
        };
        let rows = self.rows(input);
        let number = partition.id().into();
        let mut deliveries = Vec::new();
        let (mut is_done, mut ends) = (true, Vec::new());
        for row in &rows {
            let mut record = streamlog::Record::to(name)
                .partition(number)
                .key_opt(row.key.as_deref())
                .value_opt(row.value.as_deref())
                .timestamp(Timestamp::from_millis(row.timestamp));
            for (name, value) in &row.headers {
                record = record.header(name, value.as_deref());
            }
            match producer.send(record) {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    self.excuse(&error);
                    is_done = false;
                }
            }
        }
        if input.flag() {
            // Nobody waits for them one by one.
            deliveries.clear();
        }
        for delivery in deliveries {
            match delivery.wait() {
                Ok(told) => {
                    ends.extend(told.offset.map(|offset| usize::try_from(u64::from(offset)).unwrap() + 1))
                }
                Err(error) => {
                    self.excuse(&error);
                    is_done = false;
                }
            }
        }
        if let Err(error) = producer.close(Duration::from_secs(60)) {
            self.excuse(&error);
            is_done = false;
        }
        drop(producer);
        // Failures of records that nobody asks after are only logged.
        is_done &= acks != Acks::None || !self.is_troubled;
        self.settle(name, at, rows, is_done);
        let model = self.model(name, at);
        let end = ends.iter().copied().max().unwrap_or(0);
        assert!(end <= model.rows.len(), "a record was delivered behind the end");
        if acks == Acks::All {
            model.durable = model.durable.max(if is_done { model.rows.len() } else { end });
        }
    }

    fn sync(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        match partition.sync() {
            Ok(durable) => {
                let model = self.model(name, at);
                assert_eq!(durable, model.rows.len() as u64);
                model.durable = model.rows.len();
            }
            Err(error) => self.excuse(&error),
        }
    }

    fn read(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let end = self.model(name, at).rows.len();
        let from = input.below(end + 2);
        let max_bytes = [0, 1, 300, 5000, usize::MAX][input.below(5)];
        match partition.read(Offset::try_from(from as u64).unwrap(), max_bytes) {
            Ok(batches) => {
                let rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
                assert!(from <= end && rows.is_empty() == (from == end));
                assert_eq!(rows, self.model(name, at).rows[from..from + rows.len()]);
            }
            Err(Error::OffsetOutOfRange { .. }) => assert!(from > end),
            Err(error) => self.excuse(&error),
        }
    }

    /// Reads while one bit of what is read flips: the right records, or an error.
    fn read_flipped(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let end = self.model(name, at).rows.len();
        let from = input.below(end + 1);
        self.disk.heal();
        self.disk.inject(Fault::flipped_bit(input.long()).of(format!("{name}-{at}/")));
        let read = partition.read(Offset::try_from(from as u64).unwrap(), 5000);
        self.disk.heal();
        match read {
            Ok(batches) => {
                let rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
                assert!(rows.is_empty() == (from == end));
                assert_eq!(rows, self.model(name, at).rows[from..from + rows.len()]);
            }
            Err(error) => assert!(error.is_corruption(), "{error:?}"),
        }
    }

    fn look_up(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let rows = &self.model(name, at).rows;
        let near = if rows.is_empty() { START } else { rows[input.below(rows.len())].timestamp };
        let time = near + i64::from(input.byte() % 4) - 1;
        let expected = rows.iter().find(|row| row.timestamp >= time).map(|row| row.offset);
        match partition.offset_for_time(Timestamp::from_millis(time)) {
            Ok(found) => assert_eq!(found.map(u64::from), expected, "at {time}"),
            Err(error) => self.excuse(&error),
        }
    }

    /// A consumer reads one partition to its end.
    fn poll(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let shape = input.byte();
        let levels =
            [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted, IsolationLevel::ReadDurable];
        let level = levels[usize::from(shape % 3)];
        let end = if level == IsolationLevel::ReadDurable {
            partition.durable_offset()
        } else {
            partition.log_end_offset()
        };
        let end = usize::try_from(u64::from(end)).unwrap();
        let from = input.below(end + 1);
        let place = TopicPartition::new(name, partition.id());
        let builder = self
            .broker()
            .consumer()
            .isolation(level)
            .max_poll_records([1, 3, 500][usize::from(shape / 3 % 3)]);
        let mut consumer =
            builder.max_partition_fetch_bytes([1, 500, 1 << 20][usize::from(shape / 9 % 3)]).build().unwrap();
        consumer.assign([place.clone()]).unwrap();
        consumer.seek(&place, Offset::try_from(from as u64).unwrap()).unwrap();
        let mut rows: Vec<Row> = Vec::new();
        while from + rows.len() < end {
            match consumer.poll(Duration::ZERO) {
                Ok(records) => {
                    assert!(!records.is_empty(), "there is more");
                    rows.extend(records.iter().map(|record| {
                        Row {
                            offset: record.offset().into(),
                            timestamp: record.timestamp().as_millis(),
                            key: record.key().map(<[u8]>::to_vec),
                            value: record.value().map(<[u8]>::to_vec),
                            headers: record
                                .headers()
                                .map(|h| (h.name().to_owned(), h.value().map(<[u8]>::to_vec)))
                                .collect(),
                        }
                    }));
                }
                Err(Error::Fetch { source, .. }) => return self.excuse(&source),
                Err(error) => return self.excuse(&error),
            }
        }
        assert_eq!(consumer.position(&place).unwrap(), end as u64);
        assert_eq!(rows, self.model(name, at).rows[from..end]);
    }

    fn wait(&mut self, input: &mut Input<'_>) {
        let millis = [1, 100, 500, 70_000, 24 * 60 * 60 * 1000][input.below(5)];
        self.clock.advance(Duration::from_millis(millis));
    }

    fn create(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        let partitions = 1 + u32::from(input.byte()) % PARTITIONS_MAX;
        let topic = NewTopic::new(name).partitions(partitions).config(self.config.clone());
        let is_there = self.topics.contains_key(name);
        match self.broker().admin().create_topic(topic) {
            Ok(_) => {
                assert!(!is_there);
                let partitions = vec![Model::default(); partitions as usize];
                self.topics.insert(name, Topic { partitions, ..Topic::default() });
                self.may_appear.remove(name);
            }
            Err(Error::TopicExists { .. }) => assert!(is_there),
            Err(error) => {
                self.excuse(&error);
                if !is_there {
                    assert!(self.broker().topic(name).is_err(), "what failed is there");
                    self.may_appear.entry(name).or_default().push(partitions);
                }
            }
        }
    }

    fn extend(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        let Some(topic) = self.topics.get(name) else { return };
        let (count, total) = (topic.partitions.len(), 1 + u32::from(input.byte()) % PARTITIONS_MAX);
        match self.broker().admin().create_partitions(name, total) {
            Ok(_) => {
                assert!(total as usize > count);
                let topic = self.topics.get_mut(name).unwrap();
                topic.partitions.resize(total as usize, Model::default());
                topic.may_grow_to = None;
            }
            Err(Error::PartitionsNotAdded { .. }) => assert!(total as usize <= count),
            Err(error) => {
                self.excuse(&error);
                assert_eq!(self.broker().topic(name).unwrap().partition_count() as usize, count);
                let topic = self.topics.get_mut(name).unwrap();
                topic.may_grow_to = topic.may_grow_to.max(Some(total));
            }
        }
    }

    fn alter(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        if !self.topics.contains_key(name) {
            return;
        }
        let interval = u32::from(input.byte());
        let changes = TopicConfig::from_properties([("index.interval.bytes", interval.to_string())]).unwrap();
        match self.broker().admin().alter_topic_config(name, changes, &[]) {
            Ok(topic) => assert_eq!(topic.config().index_interval_bytes, interval),
            Err(error) => self.excuse(&error),
        }
    }

    fn delete(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        let is_there = self.topics.contains_key(name);
        match self.broker().admin().delete_topic(name) {
            Ok(()) => {
                assert!(is_there);
                self.topics.remove(name);
            }
            Err(Error::UnknownTopic { .. }) => assert!(!is_there),
            Err(error) => {
                self.excuse(&error);
                if self.broker().topic(name).is_err() {
                    // It is gone; a restart may still find it, where the power goes before that is known for good.
                    if let Some(topic) = self.topics.remove(name) {
                        let partitions = u32::try_from(topic.partitions.len()).unwrap();
                        self.may_appear.entry(name).or_default().push(partitions);
                    }
                } else {
                    self.topics.get_mut(name).unwrap().may_be_gone = true;
                }
            }
        }
    }

    fn break_disk(&mut self, input: &mut Input<'_>) {
        let shape = input.byte();
        let fault = match shape % 8 {
            0 => Fault::full(),
            1 => Fault::io().on(Calls::Writes),
            2 => Fault::short_write(),
            3 => Fault::late_write(),
            4 => Fault::io().on(Calls::Syncs),
            5 => Fault::io().on(Calls::Reads),
            6 => Fault::io(),
            _ => Fault::power_cut(),
        };
        let steps = self.disk.step_count() + 1 + u64::from(input.byte());
        let fault = match shape / 8 % 4 {
            // Nothing heals a power cut.
            _ if shape % 8 == 7 => fault.at_step(steps),
            0 => fault.at_step(steps),
            1 => fault.from_step(steps),
            2 => fault.of("a-0/"),
            _ => fault,
        };
        self.disk.inject(fault);
        self.is_troubled = true;
    }

    /// Ends the broker in order and opens the next one.
    fn reopen(&mut self, input: &mut Input<'_>) {
        let broker = self.broker.take().unwrap();
        let closed = broker.close();
        drop(broker);
        if self.disk.is_down() {
            return self.crash(input);
        }
        match closed {
            Ok(()) => self.topics.values_mut().flat_map(|topic| &mut topic.partitions).for_each(|model| {
                model.durable = model.rows.len();
                // What had failed was undone, or is cut off.
                model.failed.clear();
            }),
            Err(error) => self.excuse(&error),
        }
        let was_troubled = self.is_troubled;
        if was_troubled && input.flag() {
            // The next one meets the same disk.
            match self.open() {
                Ok(broker) => drop(broker),
                Err(Error::Locked { .. }) => panic!("the lock is not let go"),
                Err(_) => {}
            }
            if self.disk.is_down() {
                return self.crash(input);
            }
        }
        self.disk.heal();
        let broker = self.open().unwrap();
        let report = broker.recovery_report();
        assert!(
            was_troubled
                || report.was_clean && report.partitions.iter().all(|found| found.scanned_bytes == 0),
            "{report}"
        );
        self.begin(broker, true);
    }

    /// Ends the process, or the power, and opens the next broker on what is left.
    fn crash(&mut self, input: &mut Input<'_>) {
        let crash = crash_of(input, self.disk.is_down());
        self.lose(crash);
        let broker = self.open().unwrap();
        self.begin(broker, crash.keeps_page_cache());
    }

    /// As [`crash`](Self::crash); and the power goes again in the middle of the recovery, a few times.
    fn crash_in_recovery(&mut self, input: &mut Input<'_>) {
        let first = crash_of(input, self.disk.is_down());
        let mut keeps_page_cache = first.keeps_page_cache();
        self.lose(first);
        for _ in 0..=input.below(CUTS_MAX) {
            self.disk.inject(Fault::power_cut().at_step(1 + u64::from(input.byte())));
            let opened = self.open();
            let is_down = self.disk.is_down();
            assert!(is_down || opened.is_ok());
            let crash = crash_of(input, is_down);
            keeps_page_cache &= crash.keeps_page_cache();
            let left = self.disk.after(crash);
            drop(opened);
            self.disk = left;
        }
        let broker = self.open().unwrap();
        self.begin(broker, keeps_page_cache);
    }

    fn lose(&mut self, crash: Crash) {
        let left = self.disk.after(crash);
        // What the old one does to its disk when it is dropped is not seen any more.
        drop(self.broker.take());
        self.disk = left;
    }

    /// Takes over what the next broker found, which must be what it had to find.
    fn begin(&mut self, broker: Broker, keeps_page_cache: bool) {
        let report = broker.recovery_report();
        assert!(report.partitions.iter().all(|found| found.offline.is_none()), "{report}");
        self.broker = Some(broker);
        self.is_troubled = false;
        for name in NAMES {
            let found = self.broker().topic(name).ok().map(|topic| topic.partition_count());
            let may_appear = self.may_appear.remove(name).unwrap_or_default();
            let known = self.topics.get_mut(name);
            match (found, known) {
                (None, None) => {}
                (Some(count), None) => {
                    assert!(may_appear.contains(&count), "topic {name} is there, and should not be");
                    // Where it was deleted, or never told of, nothing is known of what is in it.
                    let partitions = (0..count as usize).map(|at| {
                        let rows = read_all(&self.partition(name, at), 0);
                        Model { durable: rows.len(), rows, failed: Vec::new() }
                    });
                    let topic = Topic { partitions: partitions.collect(), ..Topic::default() };
                    self.topics.insert(name, topic);
                }
                (None, Some(topic)) => {
                    assert!(topic.may_be_gone, "topic {name} is gone");
                    self.topics.remove(name);
                }
                (Some(count), Some(topic)) => {
                    let may_be = topic.may_grow_to.take().map_or(0, |total| total as usize);
                    assert!(count as usize == topic.partitions.len() || count as usize == may_be);
                    topic.partitions.resize(count as usize, Model::default());
                    topic.may_be_gone = false;
                }
            }
        }
        let places = self.places();
        for (name, at) in places {
            let found = read_all(&self.partition(name, at), 0);
            let model = self.model(name, at);
            let kept = found.len().min(model.rows.len());
            let least = if keeps_page_cache { model.rows.len() } else { model.durable };
            assert!(
                kept >= least,
                "{name}-{at}: {kept} records are left of {}, {least} must be",
                model.rows.len()
            );
            // Here rows and found part: what is behind was asked for when this was the end.
            let kept = (least..=kept).rev().find(|&kept| found[..kept] == model.rows[..kept]);
            let kept = kept.unwrap_or_else(|| panic!("{name}-{at}: other records"));
            let failed = model.failed.iter().filter(|(end, _)| *end == kept);
            check_part(&found[kept..], &failed.map(|(_, row)| row.clone()).collect::<Vec<Row>>());
            *model = Model { durable: found.len(), rows: found, failed: Vec::new() };
        }
    }

    /// What is known of offsets at any time.
    fn check_offsets(&mut self) {
        let places = self.places();
        for (name, at) in places {
            let partition = self.partition(name, at);
            let durable = usize::try_from(u64::from(partition.durable_offset())).unwrap();
            let model = self.model(name, at);
            assert_eq!(partition.log_start_offset(), 0);
            assert_eq!(partition.log_end_offset(), model.rows.len() as u64, "{name}-{at}");
            assert!((model.durable..=model.rows.len()).contains(&durable), "{durable}, {}", model.durable);
            model.durable = durable;
            model.failed.retain(|(end, _)| *end >= durable);
        }
    }

    fn check_all(&mut self) {
        self.disk.heal();
        let names: Vec<&str> = self.topics.keys().copied().collect();
        assert_eq!(self.broker().admin().list_topics().unwrap(), names);
        for (name, topic) in &self.topics {
            assert_eq!(self.broker().topic(name).unwrap().partition_count() as usize, topic.partitions.len());
            for (at, model) in topic.partitions.iter().enumerate() {
                assert!(read_all(&self.partition(name, at), 0) == model.rows, "{name}-{at}");
            }
        }
    }
}

fn crash_of(input: &mut Input<'_>, is_down: bool) -> Crash {
    let seed = u64::from(input.byte());
    match seed % 4 {
        0 if !is_down => Crash::Kill,
        0 | 1 => Crash::PowerCut,
        2 => Crash::Torn { seed },
        _ => Crash::Reordered { seed },
    }
}

/// One of the codecs that there are.
fn codec(number: u8) -> Compression {
    let codecs =
        [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Zstd, Compression::Gzip];
    let codec = codecs[usize::from(number) % codecs.len()];
    if codec.is_available() { codec } else { Compression::None }
}

fn rows_of(batch: &streamlog::RecordBatch) -> Vec<Row> {
    batch.records().unwrap().iter().map(Row::from).collect()
}

/// Every record from there on.
fn read_all(partition: &Partition, from: u64) -> Vec<Row> {
    let (mut rows, mut next) = (Vec::new(), Offset::try_from(from).unwrap());
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        rows.extend(batches.iter().flat_map(rows_of));
        next = batches.next_offset().unwrap();
    }
    assert!(rows.iter().map(|row| row.offset).eq((from..).take(rows.len())), "offsets are dense");
    rows
}

/// `found` is some of what was asked for, in its order.
#[track_caller]
fn check_part(found: &[Row], asked: &[Row]) {
    let mut asked = asked.iter();
    for row in found {
        let is_asked = asked.any(|asked| Row { offset: row.offset, ..asked.clone() } == *row);
        assert!(is_asked, "nobody asked for {row:?}");
    }
}
