//! A small log directory with something of everything, which the targets damage: sealed segments, indexes, a checkpoint, a durable
//! slot, batches of every codec; closed in order or not.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use streamlog::{Compression, NewTopic, Partition, Record, Timestamp, TopicConfig};

use super::files::{self, DATA, Files, without_zeros};
use super::rows::Row;

pub const TOPIC: &str = "t";
/// The directory of its only partition.
pub const PARTITION: &str = "data/t-0";
/// Times of the records, by batch: mostly ascending, with equal ones and ones that go back.
const TIMES: [&[i64]; 10] = [
    &[100, 150],
    &[120, 300],
    &[290],
    &[310, 400, 400],
    &[390, 500],
    &[620, 610],
    &[615],
    &[700, 705, 650],
    &[701],
    &[900, 905],
];
/// How many batches were checkpointed, and how many synced, where nothing was closed.
const CHECKPOINTED: usize = 5;
const SYNCED: usize = 8;
/// Head room that is left in the files: enough to be there, and little to copy.
const HEAD_ROOM_BYTES: usize = 100;

/// The directory, and what is in it.
pub struct Whole {
    pub files: Files,
    pub rows: Vec<Row>,
    /// How many of them are known to be on the device.
    pub durable: u64,
}

impl Whole {
    /// The one that was closed, or the one whose process died.
    pub fn get(is_clean: bool) -> &'static Whole {
        static CLEAN: OnceLock<Whole> = OnceLock::new();
        static KILLED: OnceLock<Whole> = OnceLock::new();
        let whole = if is_clean { &CLEAN } else { &KILLED };
        whole.get_or_init(|| Whole::new(is_clean))
    }

    fn new(is_clean: bool) -> Whole {
        let storage = files::storage_of(&Files::new());
        let (broker, clock) = files::open(&storage).unwrap();
        let config = TopicConfig::default().index_interval_bytes(50).segment_age(Duration::from_millis(250));
        broker.admin().create_topic(NewTopic::new(TOPIC).config(config)).unwrap();
        let partition = broker.topic(TOPIC).unwrap().partition(0).unwrap();
        let codecs =
            [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Zstd, Compression::Gzip];
        let codecs: Vec<Compression> = codecs.into_iter().filter(|codec| codec.is_available()).collect();
        let mut durable = 0;
        for (number, times) in TIMES.into_iter().enumerate() {
            append(&partition.clone().compression(codecs[number / 2 % codecs.len()]), number, times);
            if number + 1 == CHECKPOINTED {
                clock.advance(Duration::from_secs(70));
            }
            if number + 1 == SYNCED {
                durable = partition.sync().unwrap().into();
            }
        }
        assert_eq!(partition.segments().len(), 3);
        let rows = read_rows(&partition);
        if is_clean {
            broker.close().unwrap();
            durable = rows.len() as u64;
        }
        let mut files = files::read_all(&storage);
        for (path, bytes) in &mut files {
            if path.extension().is_some_and(|extension| extension == "log") {
                let end = without_zeros(bytes).len() + HEAD_ROOM_BYTES;
                bytes.truncate(end);
            }
        }
        Whole { files, rows, durable }
    }
}

fn append(partition: &Partition, number: usize, times: &[i64]) {
    let values: Vec<String> = times.iter().map(|time| format!("{number} at {time}")).collect();
    let records: Vec<Record<'_>> = times
        .iter()
        .zip(&values)
        .map(|(&time, value)| Record::new().key("k").value(value).timestamp(Timestamp::from_millis(time)))
        .collect();
    partition.append(&records).unwrap();
}

/// Every record of the partition.
pub fn read_rows(partition: &Partition) -> Vec<Row> {
    let (mut rows, mut next) = (Vec::new(), partition.log_start_offset());
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        for batch in &batches {
            rows.extend(batch.records().unwrap().iter().map(Row::from));
        }
        next = batches.next_offset().unwrap();
    }
    rows
}

/// A path below the log directory.
pub fn path(name: &str) -> std::path::PathBuf {
    Path::new(DATA).join(name)
}
