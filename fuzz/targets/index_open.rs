//! Hostile index files beside a good log: they may cost time, never an answer.
//!
//! The first byte says whether the log was closed in order; then come changes, each of one of the six index files: other
//! contents, bytes over the old ones, a cut, more at the end, none at all. Reads from every offset and look-ups of every time
//! must answer as with no index files, before and after more is appended and everything is opened again.

use std::path::PathBuf;

use streamlog::{Broker, Offset, Partition, Record, Timestamp};

use super::files::{self, Files};
use super::input::Input;
use super::memory;
use super::rows::Row;
use super::whole::{PARTITION, TOPIC, Whole, read_rows};

/// A broker, its buffers and a copy of the files; all inputs together are smaller.
const MEMORY_BYTES: usize = 16 << 20;
/// How much of a segment's files an input changes, at most.
const CHANGES_MAX: usize = 12;

/// Tries one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let whole = Whole::get(input.flag());
    let mut files = whole.files.clone();
    let indexes: Vec<PathBuf> = index_files(&files);
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        let path = &indexes[input.below(indexes.len())];
        change(&mut files, path, &mut input);
    }
    memory::within(MEMORY_BYTES, || check(whole, &files));
}

/// The index files that there could be: of every segment, both.
fn index_files(files: &Files) -> Vec<PathBuf> {
    let logs = files.keys().filter(|path| path.starts_with(PARTITION) && files::name(path).ends_with(".log"));
    logs.flat_map(|log| ["index", "timeindex"].map(|extension| log.with_extension(extension))).collect()
}

fn change(files: &mut Files, path: &PathBuf, input: &mut Input<'_>) {
    let mut bytes = files.remove(path).unwrap_or_default();
    match input.below(6) {
        0 => bytes = input.bytes().to_vec(),
        1 => {
            let at = input.below(bytes.len() + 1);
            let over = input.bytes();
            bytes.resize(bytes.len().max(at + over.len()), 0);
            bytes[at..at + over.len()].copy_from_slice(over);
        }
        2 => bytes.truncate(input.below(bytes.len() + 1)),
        3 => bytes.extend_from_slice(input.bytes()),
        // Another segment's entries, or the other index's.
        4 => {
            let others = index_files(files);
            let other = &others[input.below(others.len())];
            bytes = files.get(other).cloned().unwrap_or_default();
        }
        _ => return,
    }
    files.insert(path.clone(), bytes);
}

fn check(whole: &Whole, files: &Files) {
    let storage = files::storage_of(files);
    let broker = open(&storage);
    let partition = broker.topic(TOPIC).unwrap().partition(0).unwrap();
    check_answers(whole, &whole.rows, &partition);
    drop((partition, broker));

    // Closed, opened, and gone on with: what was saved must be as good.
    let broker = open(&storage);
    let partition = broker.topic(TOPIC).unwrap().partition(0).unwrap();
    check_answers(whole, &whole.rows, &partition);
    let mut rows = whole.rows.clone();
    for time in [903, 1000, 2000] {
        let value = format!("later, at {time}");
        let record = Record::new().value(&value).timestamp(Timestamp::from_millis(time));
        partition.append(&[record]).unwrap();
        let (offset, value) = (rows.len() as u64, Some(value.into_bytes()));
        rows.push(Row { offset, timestamp: time, key: None, value, headers: Vec::new() });
    }
    check_answers(whole, &rows, &partition);
    drop((partition, broker));
    let broker = open(&storage);
    check_answers(whole, &rows, &broker.topic(TOPIC).unwrap().partition(0).unwrap());
}

fn open(storage: &streamlog::MemoryStorage) -> Broker {
    let (broker, _) = files::open(storage).unwrap();
    let report = broker.recovery_report();
    assert!(report.partitions.iter().all(|found| found.cut.is_none() && found.offline.is_none()), "{report}");
    broker
}

fn check_answers(whole: &Whole, rows: &[Row], partition: &Partition) {
    assert_eq!(u64::from(partition.log_end_offset()), rows.len() as u64);
    assert!(u64::from(partition.durable_offset()) >= whole.durable);
    // By time first: what is asked once is remembered.
    for time in rows.iter().flat_map(|row| [row.timestamp, row.timestamp + 1]).chain([0]) {
        let expected = rows.iter().find(|row| row.timestamp >= time).map(|row| row.offset);
        let found = partition.offset_for_time(Timestamp::from_millis(time)).unwrap();
        assert_eq!(found.map(u64::from), expected, "at {time}");
    }
    for (number, from) in rows.iter().enumerate() {
        let batches = partition.read(Offset::try_from(from.offset).unwrap(), 1).unwrap();
        let read: Vec<Row> = batches.iter().flat_map(rows_of).collect();
        assert!(!read.is_empty() && read[..] == rows[number..number + read.len()], "from {number}");
    }
    // A read may stop at a wrong entry, and then goes on from there.
    assert!(read_rows(partition) == rows);
}

fn rows_of(batch: &streamlog::RecordBatch) -> Vec<Row> {
    batch.records().unwrap().iter().map(Row::from).collect()
}
