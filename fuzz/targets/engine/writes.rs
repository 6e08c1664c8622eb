//! What a partition must be, and what adds to it: appends, batches, producers with each `acks`, and syncs.

use std::time::Duration;

use streamlog::testing::Crash;
use streamlog::{
    Acks, BatchBuilder, Broker, BrokerConfig, Clock, Compression, ManualClock, Offset, Result, Timestamp,
};

use super::super::files::{DATA, START};
use super::super::input::Input;
use super::super::rows::Row;
use super::checks::{check_part, read_all};
use super::program::Run;

/// Of a run of the model; more takes time and shows nothing.
const ROWS_MAX: usize = 400;

/// What a partition must be.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) rows: Vec<Row>,
    /// How many of them are known to be on the device.
    pub(super) durable: usize,
    /// What failed, in its order, each behind how many rows. What is not on the device may give way to it in a crash.
    pub(super) failed: Vec<(usize, Row)>,
}

impl Run {
    /// A few records, each with a number that no other has.
    pub(super) fn rows(&mut self, input: &mut Input<'_>) -> Vec<Row> {
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

    pub(super) fn append(&mut self, input: &mut Input<'_>) {
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

    pub(super) fn append_batch(&mut self, input: &mut Input<'_>) {
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
    pub(super) fn send(&mut self, input: &mut Input<'_>) {
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

    pub(super) fn sync(&mut self, input: &mut Input<'_>) {
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
}

/// One of the codecs that there are.
fn codec(number: u8) -> Compression {
    let codecs =
        [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Zstd, Compression::Gzip];
    let codec = codecs[usize::from(number) % codecs.len()];
    if codec.is_available() { codec } else { Compression::None }
}
