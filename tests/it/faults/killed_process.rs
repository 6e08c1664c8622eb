//! A process that appends to the real disk is killed, and another one opens what it left.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use streamlog::{Broker, NewTopic, Offset, Record, TopicConfig};

/// Tells the child where to append; without it the child is a test that does nothing.
const DIRECTORY: &str = "STREAMLOG_TEST_KILLED_DIR";
const CHILD: &str = "faults::killed_process::a_child_that_appends_until_it_is_killed";
/// The child ends by itself after so many appends, should nobody kill it.
const APPENDS_MAX: u64 = 20_000;
/// A sync follows every so many appends.
const SYNC_EVERY: u64 = 5;

fn value(number: u64) -> Vec<u8> {
    let text = format!("record {number} ");
    text.bytes().cycle().take(30 + usize::try_from(number % 13).unwrap() * 40).collect()
}

#[test]
fn a_child_that_appends_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let broker = Broker::open(directory).unwrap();
    let topic = match broker.topic("t") {
        Ok(topic) => topic,
        Err(_) => {
            let config = TopicConfig::default().segment_bytes(4096).index_interval_bytes(500);
            broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap()
        }
    };
    let partition = topic.partition(0).unwrap();
    let start = u64::from(partition.log_end_offset());
    for number in start..start + APPENDS_MAX {
        let end = partition.append(&[Record::new().value(&value(number))]).unwrap().end;
        println!("appended {end}");
        if number % SYNC_EVERY == 0 {
            println!("synced {}", partition.sync().unwrap());
        }
    }
}

/// Lets a child append until it has said `lines` lines, kills it, and tells how far it said it had come.
fn kill_after(directory: &Path, lines: usize) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut appended, mut synced, mut told) = (0, 0, 0);
    let mut note = |line: &str| {
        let number = |word| line.split_once(word).and_then(|(_, number)| number.trim().parse::<u64>().ok());
        appended = number("appended ").unwrap_or(appended).max(appended);
        synced = number("synced ").unwrap_or(synced).max(synced);
        line.contains("appended") || line.contains("synced")
    };
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while told < lines && output.read_line(&mut line).unwrap() > 0 {
        told += usize::from(note(&line));
        line.clear();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it died counts too; only a line that is whole.
    while output.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            note(&line);
        }
        line.clear();
    }
    assert!(told == lines, "the child said {told} lines of {lines}");
    (appended, synced)
}

#[test]
fn what_a_killed_process_had_appended_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut end_before = 0;
    for lines in [1, 2, 7, 40, 150, 3] {
        let (appended, synced) = kill_after(&data, lines);
        assert!(appended > end_before && synced <= appended);
        let broker = Broker::open(&data).unwrap();
        let report = broker.recovery_report();
        assert!(!report.was_clean);
        assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let end = u64::from(partition.log_end_offset());
        assert!(end >= appended && end <= appended + 1, "ends at {end}, {appended} were appended");
        let mut next = Offset::ZERO;
        while next < partition.log_end_offset() {
            for batch in &partition.read(next, 1 << 16).unwrap() {
                for record in &batch.records().unwrap() {
                    assert_eq!(record.value(), Some(&value(record.offset().into())[..]));
                }
                assert_eq!(batch.base_offset(), next);
                next = batch.next_offset();
            }
        }
        // The broker is closed in order here; the next child opens it, and dies again.
        end_before = end;
    }
}
