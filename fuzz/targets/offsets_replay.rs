//! Hostile records and batches in the log of groups and their offsets, then a broker that is opened on it.
//!
//! The first byte says whether the directory was closed in order, and whether the old records stay in front; then come batches: of
//! records about offsets and groups that are possible, nearly possible, or nonsense, in every version there is, in transactions
//! or not, under right checksums; or of any bytes.
//!
//! The broker opens. Its groups are offline for what is wrong with a record, or each of them can be described, says the same of
//! its offsets whoever is asked, and the same after another open; a consumer can join, reads on from what is committed, and
//! what it commits is known to the next open; a group can be deleted. Memory is bounded, whatever a record counts.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, BatchBuilder, Broker, Compression, Consumer, Error, MemoryStorage, NewTopic, Offset,
    PartitionId, Record, Result, Timestamp, TopicPartition,
};

use super::batch;
use super::files::{self, Files};
use super::input::Input;
use super::memory;
use super::whole::path;

const MEMORY_BYTES: usize = 64 << 20;
const BATCHES_MAX: usize = 8;
const RECORDS_MAX: usize = 4;
const MEMBERS_MAX: usize = 3;
const LOG: &str = "__consumer_offsets-0/00000000000000000000.log";
const MARKER: &str = ".kafka_cleanshutdown";
const GROUPS: [&str; 5] = ["g", "h", "", "g h", "\u{1f980}"];
const TOPICS: [&str; 5] = ["t", "gone", "", "__consumer_offsets", "t/.."];
/// How many records each partition of the topic has.
const RECORDS: u64 = 5;
const TRANSACTIONAL: u8 = 0x10;
const CONTROL: u8 = 0x20;

/// A log directory with a topic `t` of two partitions and a group `g` that has read some of it, closed in order.
fn base() -> &'static Files {
    static BASE: OnceLock<Files> = OnceLock::new();
    BASE.get_or_init(|| {
        let storage = MemoryStorage::new();
        let (broker, _) = files::open(&storage).unwrap();
        broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
        for number in 0..2 {
            let partition = broker.topic("t").unwrap().partition(number).unwrap();
            for _ in 0..RECORDS {
                partition.append(&[Record::new().value("x")]).unwrap();
            }
        }
        let mut consumer = member(&broker, "g").unwrap();
        consumer.poll(Duration::ZERO).unwrap();
        consumer.commit().unwrap();
        drop(consumer);
        broker.close().unwrap();
        files::read_all(&storage)
    })
}

/// Tries one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut files = base().clone();
    let mode = input.byte();
    if mode & 1 == 1 {
        files.remove(&path(MARKER));
    }
    let log = files.get_mut(&path(LOG)).unwrap();
    log.truncate(super::files::without_zeros(log).len());
    if mode & 2 == 2 {
        log.clear();
    }
    if mode & 12 == 12 {
        log.extend_from_slice(input.rest());
    }
    let mut next = next_offset(log);
    for _ in 0..BATCHES_MAX {
        if input.is_empty() {
            break;
        }
        let mut batch = batch_of(&mut input);
        let offset = if input.byte() == 255 { input.offset() } else { next };
        batch::stamp(&mut batch, offset, 0);
        if let Some(head) = batch::good_head(&batch) {
            next = head.last_offset.saturating_add(1);
        }
        log.extend_from_slice(&batch);
    }
    memory::within(MEMORY_BYTES, || check(&files::storage_of(&files)));
}

fn next_offset(mut log: &[u8]) -> u64 {
    let mut next = 0;
    while let Some(head) = batch::good_head(log) {
        next = head.last_offset + 1;
        log = &log[head.total_bytes..];
    }
    next
}

/// A batch under a right checksum, mostly of records that can be.
fn batch_of(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.below(8);
    let mut bytes = match kind {
        7 => {
            let mut bytes = input.long_bytes().to_vec();
            batch::mend(&mut bytes);
            return bytes;
        }
        6 => {
            let count = u32::from(input.byte());
            return batch::headed(input.bytes(), count);
        }
        5 => {
            // The end of a transaction.
            let mut builder = BatchBuilder::new(Compression::None);
            let (key, value) = ([0, 0, 0, input.byte() % 3], [0; 6]);
            builder.append(&Record::new().key(&key).value(&value), Timestamp::from_millis(0)).unwrap();
            builder.build().unwrap().into_bytes()
        }
        _ => {
            let mut builder = BatchBuilder::new(Compression::None);
            for _ in 0..=input.below(RECORDS_MAX) {
                let (key, value) = record_of(input);
                let record = Record::new().key_opt(key.as_deref()).value_opt(value.as_deref());
                builder.append(&record, Timestamp::from_millis(0)).unwrap();
            }
            builder.build().unwrap().into_bytes()
        }
    };
    if kind >= 4 {
        let attributes = &mut bytes[batch::ATTRIBUTES.end - 1];
        *attributes |= if kind == 5 { TRANSACTIONAL | CONTROL } else { TRANSACTIONAL };
        let producer = i64::from(input.byte() % 2).to_be_bytes();
        bytes[batch::PRODUCER][..producer.len()].copy_from_slice(&producer);
        bytes[batch::PRODUCER][producer.len()..].fill(0);
        batch::mend_crc(&mut bytes);
    }
    bytes
}

type Part = Option<Vec<u8>>;

fn record_of(input: &mut Input<'_>) -> (Part, Part) {
    match input.below(8) {
        0..4 => (Some(offset_key(input)), (input.byte() % 8 != 7).then(|| offset_value(input))),
        4 | 5 => (Some(group_key(input)), (input.byte() % 8 != 7).then(|| group_value(input))),
        6 => {
            let (mut key, value) = (offset_key(input), offset_value(input));
            let at = input.below(key.len());
            key[at] ^= input.byte();
            (Some(key), Some(value))
        }
        _ => {
            let key = input.bytes().to_vec();
            (input.flag().then_some(key), input.flag().then(|| input.bytes().to_vec()))
        }
    }
}

fn offset_key(input: &mut Input<'_>) -> Vec<u8> {
    let mut key = vec![0, u8::from(input.byte() != 1)];
    put_name(&mut key, input, &GROUPS);
    put_name(&mut key, input, &TOPICS);
    let partition = if input.byte() == 255 { input.int() } else { u32::from(input.byte() % 3) };
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

fn offset_value(input: &mut Input<'_>) -> Vec<u8> {
    let version = input.byte() % 6;
    let mut value = vec![0, version];
    value.extend_from_slice(&input.offset().to_be_bytes());
    if version >= 3 {
        let epoch = if input.byte() == 255 { input.int() } else { 0 };
        value.extend_from_slice(&epoch.to_be_bytes());
    }
    put_bytes(&mut value, input, version >= 4);
    value.extend_from_slice(&input.offset().to_be_bytes());
    if version == 1 {
        value.extend_from_slice(&input.long().to_be_bytes());
    }
    if version >= 4 {
        value.push(if input.byte() == 255 { input.byte() } else { 0 });
    }
    value
}

fn group_key(input: &mut Input<'_>) -> Vec<u8> {
    let mut key = vec![0, 2];
    put_name(&mut key, input, &GROUPS);
    key
}

fn group_value(input: &mut Input<'_>) -> Vec<u8> {
    let version = input.byte() % 6;
    let is_flexible = version >= 4;
    let mut value = vec![0, version];
    put_text(&mut value, b"consumer", is_flexible);
    let generation = if input.byte() == 255 { input.int() } else { u32::from(input.byte()) };
    value.extend_from_slice(&generation.to_be_bytes());
    put_bytes(&mut value, input, is_flexible);
    put_bytes(&mut value, input, is_flexible);
    if version >= 2 {
        value.extend_from_slice(&input.offset().to_be_bytes());
    }
    let count = input.below(MEMBERS_MAX);
    let told = if input.byte() == 255 { input.int() } else { u32::try_from(count).unwrap() };
    match is_flexible {
        true => value.push(u8::try_from(told & 0x7f).unwrap() | 1),
        false => value.extend_from_slice(&told.to_be_bytes()),
    }
    for _ in 0..count {
        let texts = if version >= 3 { 4 } else { 3 };
        (0..texts).for_each(|_| put_bytes(&mut value, input, is_flexible));
        let timeouts = if version >= 1 { 2 } else { 1 };
        (0..timeouts).for_each(|_| value.extend_from_slice(&(input.int() >> 1).to_be_bytes()));
        for _ in 0..2 {
            let bytes = input.bytes();
            match is_flexible {
                true => value.push(u8::try_from(bytes.len() & 0x7f).unwrap() | 1),
                false => value.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes()),
            }
            value.extend_from_slice(bytes);
        }
        if is_flexible {
            value.push(0);
        }
    }
    if is_flexible {
        value.push(0);
    }
    value
}

fn put_name(output: &mut Vec<u8>, input: &mut Input<'_>, names: &[&str]) {
    match input.byte() {
        255 => put_text(output, input.bytes(), false),
        number => put_text(output, names[usize::from(number) % names.len()].as_bytes(), false),
    }
}

fn put_bytes(output: &mut Vec<u8>, input: &mut Input<'_>, is_compact: bool) {
    let count = usize::from(input.byte() % 16);
    put_text(output, input.take(count), is_compact);
}

fn put_text(output: &mut Vec<u8>, text: &[u8], is_compact: bool) {
    match is_compact {
        true => output.push(u8::try_from(text.len() + 1).unwrap_or(0)),
        false => output.extend_from_slice(&i16::try_from(text.len()).unwrap().to_be_bytes()),
    }
    output.extend_from_slice(text);
}

/// What is committed, by group.
type Committed = BTreeMap<String, BTreeMap<TopicPartition, Offset>>;

fn check(storage: &MemoryStorage) {
    let (broker, _) = files::open(storage).unwrap();
    let committed = committed_of(&broker);
    drop(broker);
    let (broker, _) = files::open(storage).unwrap();
    assert_eq!(committed_of(&broker), committed, "another open");
    let Ok(mut consumer) = member(&broker, "g").map_err(|error| check_refusal(&error)) else { return };
    let known: BTreeMap<_, _> = committed.get("g").cloned().unwrap_or_default();
    let mut count = 0;
    loop {
        match consumer.poll(Duration::ZERO) {
            Ok(records) if records.is_empty() => break,
            Ok(records) => count += records.len() as u64,
            Err(error) => return check_refusal(&error),
        }
    }
    assert_eq!(consumer.assignment(), partitions());
    let left = partitions().map(|partition| {
        let begin = known.get(&partition).map_or(0, |&offset| offset.into());
        // Behind the end: the log was cut there, if a leader epoch says so, and otherwise everything is read.
        RECORDS.saturating_sub(begin)
    });
    let left: u64 = left.iter().sum();
    // A leader epoch that a record makes up may say that the log was cut.
    assert!(count >= left, "{count} records of {left}");
    consumer.commit().unwrap();
    let now = offsets_of(&broker, "g").unwrap();
    assert!(partitions().iter().all(|partition| now[partition] == RECORDS));
    drop(consumer);
    drop(broker);

    let (broker, _) = files::open(storage).unwrap();
    assert_eq!(offsets_of(&broker, "g").unwrap(), now);
    broker.admin().delete_group("g").unwrap();
    assert!(matches!(broker.admin().describe_group("g"), Err(Error::UnknownGroup { .. })));
    drop(broker);
    let (broker, _) = files::open(storage).unwrap();
    assert_eq!(offsets_of(&broker, "g").unwrap(), BTreeMap::new());
    for (group, offsets) in committed_of(&broker) {
        assert_eq!(committed[&group], offsets);
    }
}

fn partitions() -> [TopicPartition; 2] {
    [0, 1].map(|number| TopicPartition::new("t", PartitionId::try_from(number).unwrap()))
}

fn member(broker: &Broker, group: &str) -> Result<Consumer> {
    let builder = broker.consumer().group(group).auto_commit(None);
    let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    consumer.subscribe(["t"])?;
    Ok(consumer)
}

fn offsets_of(broker: &Broker, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
    let found = broker.consumer().group(group).auto_commit(None).build()?.committed(&partitions())?;
    Ok(found.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect())
}

fn committed_of(broker: &Broker) -> Committed {
    let groups = broker.admin().list_groups().unwrap();
    // Old clients of Kafka commit without a name: such a group is there, and nobody can be in it.
    let named = groups.into_iter().filter(|listing| !listing.group.is_empty());
    let described = named.map(|listing| {
        let description = broker.admin().describe_group(&listing.group).unwrap();
        assert!(description.members.is_empty(), "they lived in another process");
        assert_eq!(description.state, listing.state);
        let committed = description.committed.iter();
        let offsets: BTreeMap<_, _> =
            committed.map(|(partition, committed)| (partition.clone(), committed.offset)).collect();
        let asked = offsets_of(broker, &listing.group).unwrap();
        assert!(asked.iter().all(|(partition, offset)| offsets[partition] == *offset));
        (listing.group, offsets)
    });
    described.collect()
}

/// What a group may be offline for: something that is wrong with what is stored.
fn check_refusal(error: &Error) {
    match error {
        Error::PartitionOffline { topic, source, .. } => {
            assert_eq!(topic, "__consumer_offsets");
            let is_stored = matches!(**source, Error::InvalidFile { .. } | Error::InvalidRecords { .. });
            let is_coded = matches!(**source, Error::CodecDisabled { .. });
            assert!(is_stored || is_coded || source.is_corruption(), "{source:?}");
        }
        // A codec that is not built in: the input says what a batch is compressed with.
        Error::CodecDisabled { .. } => {}
        error => panic!("{error:?}"),
    }
}
