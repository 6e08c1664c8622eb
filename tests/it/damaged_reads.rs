//! Reading a log with damage in it: every offset that is not damaged is read, and the error for the others says exactly which
//! they are.

use std::error::Error as _;
use std::fs::OpenOptions;
use std::io::IoSlice;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::{
    Access, AutoOffsetReset, Broker, BrokerConfig, Consumer, Error, ManualClock, MemoryStorage, NewTopic,
    Offset, Partition, PartitionId, Record, Storage, Timestamp, TopicConfig, TopicPartition,
};

use crate::kit::{Place, START};

/// Where the fields of a batch's header are.
const BASE_OFFSET: Range<usize> = 0..8;
const LENGTH: Range<usize> = 8..12;
const EPOCH: Range<usize> = 12..16;
const MAGIC: Range<usize> = 16..17;
const CRC: Range<usize> = 17..21;
const LAST_DELTA: Range<usize> = 23..27;
const RECORD_COUNT: Range<usize> = 57..61;
const RECORDS: usize = 61;

/// Every batch but a segment's first has an index entry.
const EVERY_BATCH: u32 = 1;
/// One in about three has.
const SOME_BATCHES: u32 = 250;
/// None has.
const NO_BATCH: u32 = 1 << 20;

/// A batch as it lies in its file.
#[derive(Debug, Clone)]
struct Lying {
    path: PathBuf,
    position: u64,
    bytes: Vec<u8>,
    offsets: Range<u64>,
}

impl Lying {
    fn is_first(&self) -> bool {
        self.position == 0
    }
}

/// A log of several segments, and every batch in it.
struct Whole {
    broker: Broker,
    partition: Partition,
    batches: Vec<Lying>,
    /// None where it is on disk.
    memory: Option<MemoryStorage>,
    _place: Option<Place>,
}

impl Whole {
    fn in_memory(index_interval_bytes: u32) -> Whole {
        let storage = MemoryStorage::new();
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let builder = Broker::builder().log_dir("data").storage(storage.clone()).clock(clock);
        let broker = builder.config(BrokerConfig::default().seed(7)).open().unwrap();
        Whole { memory: Some(storage), ..Whole::on(broker, index_interval_bytes) }
    }

    fn on_disk(index_interval_bytes: u32, is_mapped: bool) -> Whole {
        let place = Place::disk().config(|config| config.map_sealed_segments(is_mapped));
        let broker = place.open();
        Whole { _place: Some(place), ..Whole::on(broker, index_interval_bytes) }
    }

    fn on(broker: Broker, index_interval_bytes: u32) -> Whole {
        let config = TopicConfig::default().segment_bytes(1024).index_interval_bytes(index_interval_bytes);
        broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let mut next = 0_u64;
        for count in [1, 3, 2, 1, 1, 4, 2, 2, 1, 3, 1, 2, 1, 1, 2, 3, 1, 2, 1, 1, 3, 1] {
            let values: Vec<String> = (next..next + count).map(value).collect();
            let records: Vec<Record<'_>> = (next..)
                .zip(&values)
                .map(|(offset, value)| Record::new().value(value).timestamp(time(offset)))
                .collect();
            partition.append(&records).unwrap();
            next += count;
        }
        let mut batches = Vec::new();
        for segment in partition.segments() {
            let mut found = segment.batches();
            while let Some((position, batch)) = Some(found.position()).zip(found.next()) {
                let batch = batch.unwrap();
                let offsets = batch.base_offset().into()..batch.next_offset().into();
                let (path, bytes) = (segment.path().to_path_buf(), batch.bytes().to_vec());
                batches.push(Lying { path, position, bytes, offsets });
            }
        }
        assert_eq!(partition.segments().len(), 4, "three of them sealed");
        assert_eq!(batches.len(), 22);
        Whole { broker, partition, batches, memory: None, _place: None }
    }

    fn end(&self) -> u64 {
        self.partition.log_end_offset().into()
    }

    fn write(&self, path: &Path, position: u64, bytes: &[u8]) {
        match &self.memory {
            Some(storage) => {
                let file = storage.open(path, Access::Write).unwrap();
                file.write_at(position, &[IoSlice::new(bytes)]).unwrap();
            }
            None => {
                OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, position).unwrap();
            }
        }
    }

    /// Has these batches damaged while `check` runs.
    fn with_damage<'a>(
        &self,
        damage: impl IntoIterator<Item = (&'a Lying, usize, u8)>,
        check: impl FnOnce(),
    ) {
        let mut hit = Vec::new();
        for (batch, byte, flip) in damage {
            let mut bytes = batch.bytes.clone();
            bytes[byte] ^= flip;
            self.write(&batch.path, batch.position, &bytes);
            hit.push(batch);
        }
        check();
        hit.iter().for_each(|batch| self.write(&batch.path, batch.position, &batch.bytes));
    }

    /// What every read has to say where these offsets are lost, each range because of the batch that it begins with.
    fn check_reads(&self, lost: &[Range<u64>]) {
        for from in 0..self.end() {
            let read = self.partition.read(offset(from), if from % 8 == 0 { 1 << 20 } else { 1 });
            let Some(range) = lost.iter().find(|range| range.contains(&from)) else {
                let read = read.unwrap_or_else(|error| panic!("offset {from}: {}", chain(&error)));
                let upto = lost.iter().map(|range| range.start).find(|&start| start > from);
                let mut next = from;
                for batch in &read {
                    for record in &batch.records().unwrap() {
                        assert_eq!(record.offset(), next);
                        assert_eq!(record.value(), Some(value(next).as_bytes()));
                        next += 1;
                    }
                }
                assert!(next > from && next <= upto.unwrap_or(next), "{next}, where {upto:?} is lost");
                continue;
            };
            self.check_error(&read.unwrap_err(), range);
        }
    }

    fn check_error(&self, error: &Error, lost: &Range<u64>) {
        assert!(error.is_corruption() && !error.is_retriable() && error.kafka_code() == Some(2));
        assert_eq!(
            error.unreadable_offsets(),
            Some(offset(lost.start)..offset(lost.end)),
            "{}",
            chain(error)
        );
        let Error::DamagedBatch { topic, partition, source, .. } = error else { panic!("{error:?}") };
        assert_eq!((topic.as_str(), *partition), ("t", PartitionId::ZERO));
        let Error::Corrupt { path, position, offset, .. } = &**source else { panic!("{source:?}") };
        let batch = self.batches.iter().find(|batch| batch.offsets.start == lost.start).unwrap();
        assert_eq!((path, *position, u64::from(*offset)), (&batch.path, batch.position, lost.start));
    }

    /// A search by time gives the right answer, or says what it could not read.
    fn check_times(&self, lost: &[Range<u64>]) {
        for at in 0..self.end() {
            match self.partition.offset_for_time(time(at)) {
                Ok(found) => assert_eq!(found, Some(offset(at))),
                Err(error) => {
                    let said = error.unreadable_offsets().unwrap();
                    let range = lost.iter().find(|range| said.start == range.start).unwrap();
                    assert!(range.start <= at, "what is in front of the damage can be looked up");
                    self.check_error(&error, range);
                }
            }
        }
    }

    /// A consumer that passes over what it is told it cannot read gets all the rest.
    fn check_consumers(&self, lost: &[Range<u64>]) {
        let rest: Vec<u64> =
            (0..self.end()).filter(|at| !lost.iter().any(|range| range.contains(at))).collect();
        for limit in [2, 500] {
            let mut consumer = self.consumer(limit);
            let (seen, passed) = consume(&mut consumer, self.end());
            assert_eq!(seen, rest, "with {limit} records a poll");
            assert_eq!(passed, lost);
        }
    }

    fn consumer(&self, max_poll_records: usize) -> Consumer {
        let builder = self.broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest);
        let mut consumer = builder.max_poll_records(max_poll_records).build().unwrap();
        consumer.assign([TopicPartition::new("t", PartitionId::ZERO)]).unwrap();
        consumer
    }

    /// The offsets of some batches that lie one behind the other.
    fn offsets_of(&self, batches: Range<usize>) -> Range<u64> {
        self.batches[batches.start].offsets.start..self.batches[batches.end - 1].offsets.end
    }

    /// Where the segment ends that a batch is in.
    fn end_of_segment(&self, batch: &Lying) -> u64 {
        self.batches.iter().rfind(|one| one.path == batch.path).unwrap().offsets.end
    }
}

/// Polls up to `end`, passing over what cannot be read: the offsets of all records that came, and what was passed over.
fn consume(consumer: &mut Consumer, end: u64) -> (Vec<u64>, Vec<Range<u64>>) {
    let partition = TopicPartition::new("t", PartitionId::ZERO);
    let (mut seen, mut passed) = (Vec::new(), Vec::new());
    while consumer.position(&partition).unwrap() < end {
        match consumer.poll(Duration::ZERO) {
            Ok(records) => {
                for record in &records {
                    assert_eq!(record.value(), Some(value(record.offset().into()).as_bytes()));
                    seen.push(record.offset().into());
                }
            }
            Err(error) => {
                let lost = error.unreadable_offsets().unwrap_or_else(|| panic!("{}", chain(&error)));
                assert_eq!(consumer.position(&partition).unwrap(), lost.start, "all before it came first");
                consumer.seek(&partition, lost.end).unwrap();
                passed.push(lost.start.into()..lost.end.into());
            }
        }
    }
    (seen, passed)
}

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

fn value(offset: u64) -> String {
    format!("value {offset} {}", "x".repeat(usize::try_from(offset * 13 % 70).unwrap()))
}

fn time(offset: u64) -> Timestamp {
    Timestamp::from_millis(START + i64::try_from(offset).unwrap() * 10)
}

/// An error with its sources.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[test]
fn a_flipped_byte_costs_its_batch_and_no_other() {
    let whole = Whole::in_memory(EVERY_BATCH);
    for (number, batch) in whole.batches.iter().enumerate() {
        for byte in 0..batch.bytes.len() {
            // One byte of the records is like another; the fields of the header are not.
            let flips = if byte < RECORDS { &[0x01, 0x80, 0xff][..] } else { &[0x10][..byte % 5 / 4] };
            for &flip in flips {
                // The epoch is in front of what the CRC covers, and any is as good as another.
                let is_seen = !EPOCH.contains(&byte);
                let lost = if is_seen { vec![batch.offsets.clone()] } else { Vec::new() };
                whole.with_damage([(batch, byte, flip)], || {
                    eprintln!("batch {number}, byte {byte} ^ {flip:#x}");
                    whole.check_reads(&lost);
                    if flip == 0x80 {
                        whole.check_times(&lost);
                    }
                    if flip == 0x80 && byte % 7 == 0 {
                        whole.check_consumers(&lost);
                    }
                });
            }
        }
    }
    whole.check_reads(&[]);
}

#[test]
fn without_an_index_only_a_damaged_length_costs_more() {
    for interval in [NO_BATCH, SOME_BATCHES] {
        let whole = Whole::in_memory(interval);
        for (number, batch) in whole.batches.iter().enumerate() {
            for byte in 0..RECORDS + 1 {
                for flip in [0x01, 0x10, 0xff] {
                    if EPOCH.contains(&byte) {
                        continue;
                    }
                    if byte % 4 > 0 && flip == 0x10 {
                        continue;
                    }
                    let lost = batch.offsets.start..match LENGTH.contains(&byte) {
                        false => batch.offsets.end,
                        true if interval == NO_BATCH => whole.end_of_segment(batch),
                        true => continue,
                    };
                    whole.with_damage([(batch, byte, flip)], || {
                        eprintln!("interval {interval}, batch {number}, byte {byte} ^ {flip:#x}");
                        whole.check_reads(std::slice::from_ref(&lost));
                        whole.check_times(std::slice::from_ref(&lost));
                        whole.check_consumers(std::slice::from_ref(&lost));
                    });
                }
            }
        }
    }
}

#[test]
fn several_damaged_batches_in_a_row_are_one_loss_and_others_are_their_own() {
    let bytes = [
        BASE_OFFSET.start + 7,
        LENGTH.start + 3,
        MAGIC.start,
        CRC.start,
        LAST_DELTA.end - 1,
        RECORD_COUNT.end - 1,
        70,
    ];
    let whole = Whole::in_memory(EVERY_BATCH);
    for &first in &bytes {
        for &second in &bytes {
            for start in 0..whole.batches.len() - 2 {
                let row = &whole.batches[start..start + 2];
                whole.with_damage([(&row[0], first, 0x02), (&row[1], second, 0x04)], || {
                    eprintln!("batches {start} and the next, bytes {first} and {second}");
                    // A segment ends where the next begins: that is known whatever is damaged.
                    let lost = if row[1].is_first() {
                        vec![row[0].offsets.clone(), row[1].offsets.clone()]
                    } else {
                        vec![whole.offsets_of(start..start + 2)]
                    };
                    whole.check_reads(&lost);
                    whole.check_times(&lost);
                    whole.check_consumers(&lost);
                });
                let apart = [&whole.batches[start], &whole.batches[start + 2]];
                whole.with_damage([(apart[0], first, 0x02), (apart[1], second, 0x04)], || {
                    eprintln!("batches {start} and the one after the next, bytes {first} and {second}");
                    let lost = apart.map(|batch| batch.offsets.clone());
                    whole.check_reads(&lost);
                    whole.check_consumers(&lost);
                });
            }
        }
    }
}

#[test]
fn sealed_segments_are_read_around_damage_through_maps_and_without() {
    for is_mapped in [true, false] {
        for interval in [EVERY_BATCH, NO_BATCH] {
            let whole = Whole::on_disk(interval, is_mapped);
            for batch in &whole.batches {
                for byte in [BASE_OFFSET.start + 7, MAGIC.start, CRC.start, LAST_DELTA.end - 1, RECORDS + 3] {
                    whole.with_damage([(batch, byte, 0x04)], || {
                        let lost = [batch.offsets.clone()];
                        whole.check_reads(&lost);
                        whole.check_times(&lost);
                        whole.check_consumers(&lost);
                    });
                }
            }
        }
    }
}

#[test]
fn a_batch_that_is_all_zeros_is_lost_and_the_rest_of_its_segment_is_not() {
    let whole = Whole::in_memory(EVERY_BATCH);
    for batch in &whole.batches {
        let zeros = vec![0; batch.bytes.len()];
        whole.write(&batch.path, batch.position, &zeros);
        let lost = [batch.offsets.clone()];
        whole.check_reads(&lost);
        whole.check_times(&lost);
        whole.check_consumers(&lost);
        whole.write(&batch.path, batch.position, &batch.bytes);
    }
}

#[test]
fn what_is_appended_behind_damage_is_read() {
    for interval in [EVERY_BATCH, NO_BATCH] {
        let whole = Whole::in_memory(interval);
        let last = whole.batches.last().unwrap();
        let mut consumer = whole.consumer(500);
        whole.with_damage([(last, LENGTH.start + 3, 0x01)], || {
            let lost = last.offsets.clone();
            whole.check_reads(std::slice::from_ref(&lost));
            assert_eq!(consume(&mut consumer, lost.end).1, std::slice::from_ref(&lost));
            for at in lost.end..lost.end + 3 {
                whole.partition.append(&[Record::new().value(&value(at)).timestamp(time(at))]).unwrap();
                assert_eq!(consume(&mut consumer, at + 1), (vec![at], Vec::new()));
                whole.check_reads(std::slice::from_ref(&lost));
            }
        });
    }
}

#[test]
fn a_damaged_first_batch_does_not_keep_a_reopened_log_from_growing() {
    let whole = Whole::in_memory(EVERY_BATCH);
    let first = whole.batches.iter().rfind(|batch| batch.is_first()).unwrap();
    let bytes =
        [BASE_OFFSET.start + 7, LENGTH.start + 3, MAGIC.start, CRC.start, LAST_DELTA.end - 1, RECORDS];
    let end = whole.end();
    whole.broker.close().unwrap();
    for (end, byte) in (end..).zip(bytes) {
        whole.with_damage([(first, byte, 0x01)], || {
            let builder = Broker::builder().log_dir("data").storage(whole.memory.clone().unwrap());
            let broker = builder.clock(ManualClock::new(Timestamp::from_millis(START))).open().unwrap();
            assert!(broker.recovery_report().was_clean);
            let partition = broker.topic("t").unwrap().partition(0).unwrap();
            let offsets = partition.append(&[Record::new().value(&value(end))]).unwrap();
            assert_eq!(u64::from(offsets.start), end, "byte {byte}");
            assert_eq!(partition.read(offset(end), 1).unwrap().len(), 1);
            broker.close().unwrap();
        });
    }
}

/// A value that holds whole batches, of which a damaged length may hit any.
#[test]
fn a_damaged_length_never_leads_into_a_value() {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let storage = MemoryStorage::new();
    let builder = Broker::builder().log_dir("data").storage(storage.clone()).clock(clock);
    let broker = builder.config(BrokerConfig::default().seed(7)).open().unwrap();
    broker
        .admin()
        .create_topic(NewTopic::new("t").config(TopicConfig::default().index_interval_bytes(NO_BATCH)))
        .unwrap();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    partition.append(&[Record::new().value("false")]).unwrap();
    let hidden = partition.read(Offset::ZERO, 1).unwrap().iter().next().unwrap().bytes().to_vec();
    // At the offsets that would follow, each of them in turn. The last byte is the one that ends every record without headers: so
    // the lengths of what is hidden lead out of the value exactly to the next batch.
    let values: Vec<Vec<u8>> = (0..8_i64)
        .map(|number| {
            let copies =
                (1..12_i64).map(|offset| [&(number + offset).to_be_bytes()[..], &hidden[8..]].concat());
            let mut value = copies.collect::<Vec<_>>().concat();
            assert_eq!(value.pop(), Some(0));
            value
        })
        .collect();
    partition.append(&[Record::new().value(&values[0])]).unwrap();
    // Two records in one batch, so that there are offsets inside it.
    partition.append(&[Record::new().value(&values[1]), Record::new().value(&values[2])]).unwrap();
    partition.append(&[Record::new().value(&values[3])]).unwrap();
    partition.append(&[Record::new().value("last")]).unwrap();
    let segment = partition.segments().remove(0);
    let path = segment.path();
    let mut found = segment.batches();
    let mut places = Vec::new();
    while let Some((position, Ok(batch))) = Some(found.position()).zip(found.next()) {
        places.push((position, u64::from(batch.base_offset()), batch.bytes().to_vec()));
    }
    let file = storage.open(path, Access::Write).unwrap();
    let mut tried = 0;
    for (position, start, bytes) in &places {
        for other in (RECORDS..bytes.len() + hidden.len() * 3).filter(|&other| other != bytes.len()) {
            let length = u32::try_from(other - 12).unwrap().to_be_bytes();
            file.write_at(position + 8, &[IoSlice::new(&length)]).unwrap();
            // Backwards, so that few reads begin where one before it ended, and know the way.
            for from in (0..6).rev() {
                match partition.read(offset(from), 1 << 20) {
                    Ok(read) => {
                        assert!(*start != from, "batch at {start}, length {other}, read from {from}");
                        for batch in &read {
                            let (_, _, stored) =
                                places.iter().find(|place| batch.base_offset() == place.1).unwrap();
                            assert!(batch.bytes() == stored, "batch at {start}, length {other}");
                        }
                    }
                    Err(error) => {
                        let lost = offset(*start)..offset(6);
                        assert_eq!(error.unreadable_offsets(), Some(lost), "{}", chain(&error));
                    }
                }
            }
            tried += 1;
        }
        file.write_at(*position, &[IoSlice::new(bytes)]).unwrap();
    }
    assert!(tried > 4000, "{tried}");
}
