//! Hostile records and batches in the catalog of topics, then a broker that is opened on it.
//!
//! The first byte says whether the directory was closed in order, and whether the old catalog stays in front; then come batches: of
//! records about topics that are possible, nearly possible, or nonsense, under right checksums; or of any bytes.
//!
//! The open fails for what is wrong with the catalog, or the broker serves: every topic can be described, each of its
//! partitions takes a record and gives it back or is offline, a new topic can be made, one can be deleted, and another
//! open finds the same. Memory is bounded, whatever a record counts.

use std::io::ErrorKind;
use std::sync::OnceLock;

use streamlog::{
    BatchBuilder, Broker, Compression, Error, MemoryStorage, NewTopic, Offset, Record, RecordBatch, Timestamp,
};

use super::batch;
use super::files::{self, Files, without_zeros};
use super::input::Input;
use super::memory;
use super::whole::path;

/// A few brokers with some hundred partitions.
const MEMORY_BYTES: usize = 64 << 20;
const BATCHES_MAX: usize = 8;
const RECORDS_MAX: usize = 4;
/// Partitions of one record; each that there is costs files.
const PARTITIONS_MAX: usize = 24;
const CATALOG: &str = "__topic_catalog-0/00000000000000000000.log";
const MARKER: &str = ".kafka_cleanshutdown";
const NAMES: [&str; 12] = [
    "a",
    "b",
    "a.b",
    "a_b",
    "a-0",
    "__topic_catalog",
    "__topic.catalog",
    "..",
    "",
    "a/b",
    "__consumer_offsets",
    "c",
];
const SETTINGS: [(&str, &str); 12] = [
    ("segment.bytes", "1048576"),
    ("segment.bytes", "4294967295"),
    ("segment.ms", "1"),
    ("preallocate", "true"),
    ("compression.type", "zstd"),
    ("compression.type", "none"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "100"),
    ("flush.messages", "1"),
    ("segment.index.bytes", "0"),
    ("retention.ms", "1"),
    ("message.timestamp.before.max.ms", "0"),
];

/// A log directory with a topic `a` of two partitions, closed in order.
struct Base {
    files: Files,
    /// What the catalog's last record of the topic says.
    value: Vec<u8>,
}

impl Base {
    fn get() -> &'static Base {
        static BASE: OnceLock<Base> = OnceLock::new();
        BASE.get_or_init(|| {
            let storage = MemoryStorage::new();
            let (broker, _) = files::open(&storage).unwrap();
            broker.admin().create_topic(NewTopic::new("a").partitions(2)).unwrap();
            broker.topic("a").unwrap().partition(0).unwrap().append(&[Record::new().value("kept")]).unwrap();
            broker.close().unwrap();
            let files = files::read_all(&storage);
            let log = &files[&path(CATALOG)];
            let (mut at, mut value) = (0, Vec::new());
            while let Some(head) = batch::good_head(&log[at..]) {
                let records =
                    RecordBatch::decode(&log[at..at + head.total_bytes]).unwrap().records().unwrap();
                let topics = records.iter().filter(|record| record.key().unwrap().starts_with(&[0, 0]));
                value = topics.last().map_or(value, |record| record.value().unwrap().to_vec());
                at += head.total_bytes;
            }
            Base { files, value }
        })
    }

    /// The id of the only log directory.
    fn directory(&self) -> &[u8] {
        let ids = size_of::<i16>() + 16 + size_of::<i8>() + size_of::<i32>() + size_of::<i32>();
        &self.value[ids..ids + 16]
    }
}

/// Tries one input.
pub fn run(data: &[u8]) {
    let base = Base::get();
    let mut input = Input::new(data);
    let mut files = base.files.clone();
    let mode = input.byte();
    if mode & 1 == 1 {
        files.remove(&path(MARKER));
    }
    let log = files.get_mut(&path(CATALOG)).unwrap();
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
        let mut batch = batch_of(base, &mut input);
        let offset = if input.byte() == 255 { input.offset() } else { next };
        batch::stamp(&mut batch, offset, 0);
        if let Some(head) = batch::good_head(&batch) {
            next = head.last_offset.saturating_add(1);
        }
        log.extend_from_slice(&batch);
    }
    memory::within(MEMORY_BYTES, || check(&files::storage_of(&files), &files));
}

fn next_offset(mut log: &[u8]) -> u64 {
    let mut next = 0;
    while let Some(head) = batch::good_head(log) {
        next = head.last_offset + 1;
        log = &log[head.total_bytes..];
    }
    next
}

/// A batch under a right checksum.
fn batch_of(base: &Base, input: &mut Input<'_>) -> Vec<u8> {
    let codecs = [Compression::None, Compression::None, Compression::Gzip, Compression::Zstd];
    match input.below(8) {
        7 => {
            let mut bytes = input.long_bytes().to_vec();
            batch::mend(&mut bytes);
            bytes
        }
        6 => {
            let count = u32::from(input.byte());
            batch::headed(input.bytes(), count)
        }
        codec => {
            let codec = codecs[codec % codecs.len()];
            let codec = if codec.is_available() { codec } else { Compression::None };
            let mut builder = BatchBuilder::new(codec);
            for _ in 0..=input.below(RECORDS_MAX) {
                let (key, value) = record_of(base, input);
                let record = Record::new().key_opt(key.as_deref()).value_opt(value.as_deref());
                builder.append(&record, Timestamp::from_millis(0)).unwrap();
            }
            builder.build().unwrap().into_bytes()
        }
    }
}

type Part = Option<Vec<u8>>;

fn record_of(base: &Base, input: &mut Input<'_>) -> (Part, Part) {
    match input.below(8) {
        0..3 => (Some(topic_key(input)), Some(topic_value(base, input))),
        3 => (Some(topic_key(input)), None),
        4 => {
            let mut value = base.value.clone();
            let at = input.below(value.len());
            value[at] ^= input.byte();
            (Some(topic_key(input)), Some(value))
        }
        5 => {
            let value = [&[0, 0][..], &input.offset().to_be_bytes()].concat();
            (Some(vec![0, 1]), (!input.flag()).then_some(value))
        }
        6 => (Some(topic_key(input)), Some(input.bytes().to_vec())),
        _ => {
            let key = input.bytes().to_vec();
            (input.flag().then_some(key), input.flag().then(|| input.bytes().to_vec()))
        }
    }
}

fn topic_key(input: &mut Input<'_>) -> Vec<u8> {
    let mut key = vec![0, 0];
    match input.byte() {
        255 => put_string(&mut key, input.bytes()),
        name => put_string(&mut key, NAMES[usize::from(name) % NAMES.len()].as_bytes()),
    }
    key
}

/// A topic as a record says it, more or less.
fn topic_value(base: &Base, input: &mut Input<'_>) -> Vec<u8> {
    let mut value = vec![0, 0];
    let id = input.byte();
    // The topic's own, or another.
    value.extend_from_slice(&if id.is_multiple_of(4) { base.value[2..18].to_vec() } else { vec![id; 16] });
    let (state, count) = (input.byte() % 4, input.below(PARTITIONS_MAX));
    value.push(state);
    let created = match (state, input.byte()) {
        (_, 255) => input.int(),
        (_, 254) => u32::try_from(count).unwrap() + 1,
        (1, _) => u32::try_from(count).unwrap(),
        (_, byte) => u32::from(byte) % u32::try_from(count.max(1)).unwrap(),
    };
    value.extend_from_slice(&created.to_be_bytes());
    let told = if input.byte() == 255 { input.int() } else { u32::try_from(count).unwrap() };
    value.extend_from_slice(&told.to_be_bytes());
    let others = input.byte();
    for number in 0..count {
        let is_other = others >> (number % 8) & 1 == 1;
        value.extend_from_slice(if is_other { &[0x77; 16] } else { base.directory() });
    }
    let settings = input.below(4);
    let told = if input.byte() == 255 { input.int() } else { u32::try_from(settings).unwrap() };
    value.extend_from_slice(&told.to_be_bytes());
    for _ in 0..settings {
        match input.byte() {
            255 => (0..2).for_each(|_| put_string(&mut value, input.bytes())),
            number => {
                let (name, setting) = SETTINGS[usize::from(number) % SETTINGS.len()];
                put_string(&mut value, name.as_bytes());
                put_string(&mut value, setting.as_bytes());
            }
        }
    }
    value
}

fn put_string(output: &mut Vec<u8>, text: &[u8]) {
    output.extend_from_slice(&i16::try_from(text.len()).unwrap().to_be_bytes());
    output.extend_from_slice(text);
}

/// What there is of topics: name, partitions, settings.
type Topics = Vec<(String, u32, Vec<(&'static str, String)>)>;

fn topics_of(broker: &Broker) -> Topics {
    let names = broker.admin().list_topics().unwrap();
    let topic = |name: String| {
        let topic = broker.topic(&name).unwrap();
        assert_eq!(
            broker.admin().describe_topic(&name).unwrap().partitions.len(),
            topic.partition_count() as usize
        );
        let settings = topic.config().overrides();
        (name, topic.partition_count(), settings)
    };
    names.into_iter().map(topic).collect()
}

fn check(storage: &MemoryStorage, before: &Files) {
    let broker = match files::open(storage) {
        Ok((broker, _)) => broker,
        Err(error) => {
            check_refusal(&error);
            // What was refused is as it was, but for what recovery cut into quarantine.
            if error.is_corruption() {
                let after = files::read_all(storage);
                let (before, after) = (&before[&path(CATALOG)], &after[&path(CATALOG)]);
                assert!(before.starts_with(without_zeros(after)));
            }
            return;
        }
    };
    let topics = topics_of(&broker);
    drop(broker);
    let broker = reopened(storage, &topics);
    for (name, _, _) in &topics {
        use_topic(&broker, name);
    }
    let is_made = match broker.admin().create_topic(NewTopic::new("made-now")) {
        Ok(_) => true,
        // What groups have committed of an earlier one of that name cannot be read.
        Err(Error::PartitionOffline { topic, .. }) if topic == "__consumer_offsets" => false,
        // The records tell of one.
        Err(Error::TopicExists { topic }) if topics.iter().any(|(name, _, _)| *name == topic) => false,
        Err(error) => panic!("{error:?}"),
    };
    if is_made {
        use_topic(&broker, "made-now");
    }
    let deleted = topics.first().map(|(name, _, _)| name.clone());
    if let Some(name) = &deleted {
        broker.admin().delete_topic(name).unwrap();
        assert!(matches!(broker.topic(name), Err(Error::UnknownTopic { .. })));
    }
    let topics = topics_of(&broker);
    drop(broker);
    let broker = reopened(storage, &topics);
    assert!(deleted.is_none_or(|name| broker.topic(&name).is_err()));
    if is_made {
        use_topic(&broker, "made-now");
    }
}

#[track_caller]
fn reopened(storage: &MemoryStorage, expected: &Topics) -> Broker {
    let (broker, _) = files::open(storage).unwrap();
    assert_eq!(topics_of(&broker), *expected);
    broker
}

/// Each partition takes a record and gives it back, or is offline for a reason.
fn use_topic(broker: &Broker, name: &str) {
    for partition in broker.topic(name).unwrap().partitions() {
        let partition = match partition {
            Ok(partition) => partition,
            Err(error) => {
                check_refusal(&error);
                continue;
            }
        };
        let end = partition.log_end_offset();
        // Now, because a topic may refuse older ones.
        let now = Timestamp::from_millis(files::START);
        match partition.append(&[Record::new().value("x").timestamp(now)]) {
            Ok(range) => assert_eq!(range, end..end.next()),
            // A limit, or a codec that is not built in: the record of the topic may say what it likes.
            Err(Error::BatchTooLarge { .. } | Error::AppendTooLarge { .. } | Error::CodecDisabled { .. }) => {
                continue;
            }
            Err(error) => panic!("{error:?}"),
        }
        let batches = partition.read(end, 1).unwrap();
        let records = batches.iter().next().unwrap().records().unwrap();
        let record = records.iter().next().unwrap();
        assert_eq!((record.offset(), record.value()), (end, Some(&b"x"[..])));
        assert_eq!(partition.sync().unwrap(), end.next());
        assert!(partition.read(Offset::ZERO, 1).is_ok());
    }
}

/// What an open, or a partition, may fail for: something that is wrong with what is stored.
fn check_refusal(error: &Error) {
    match error {
        Error::PartitionOffline { source, .. } => check_refusal(source),
        Error::Damaged { .. }
        | Error::InvalidFile { .. }
        | Error::Corrupt { .. }
        | Error::InvalidRecords { .. }
        | Error::UnknownLogDir { .. }
        | Error::CodecDisabled { .. } => {}
        // The directory of a partition that was created, as the record has it.
        Error::Io { source, .. } => assert_eq!(source.kind(), ErrorKind::NotFound, "{error:?}"),
        error => panic!("{error:?}"),
    }
}
