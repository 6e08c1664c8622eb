//! Opening and closing: where a broker may live, who may hold a directory, what is left behind, and the bounds it keeps.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use streamlog::{
    Broker, BrokerConfig, Error, MemoryStorage, NewTopic, Offset, Partition, Record, Timestamp, TopicConfig,
};

use crate::kit::{Place, START, Seed, rows_of, values};

const MARKER: &str = ".kafka_cleanshutdown";

fn append(partition: &Partition, value: &str) {
    partition.append(&[Record::new().value(value)]).unwrap();
}

#[test]
fn missing_directories_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/c");
    let broker = Broker::open(&path).unwrap();
    assert!(path.join("meta.properties").is_file());
    broker.close().unwrap();
    assert!(!broker.recovery_report().was_clean);
    assert!(Broker::open(&path).unwrap().recovery_report().was_clean);
}

#[test]
fn a_file_where_the_directory_should_be_is_named_and_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "mine").unwrap();
    let error = Broker::open(&path).unwrap_err();
    assert!(matches!(&error, Error::NotADirectory { path: named } if *named == path), "{error}");
    let below = path.join("below");
    let error = Broker::open(&below).unwrap_err();
    assert!(matches!(error, Error::Io { .. } | Error::NotADirectory { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_broker_needs_exactly_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let builders = [
        Broker::builder(),
        Broker::builder().log_dir(&path).in_memory(),
        Broker::builder().in_memory().storage(MemoryStorage::new()),
        Broker::builder().storage(MemoryStorage::new()),
        Broker::builder().log_dir(&path).log_dir(&path),
    ];
    for builder in builders {
        let error = builder.open().unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { setting: "log.dirs", .. }), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
    // On a storage of one's own, a directory is a name there.
    Broker::builder().log_dir(&path).storage(MemoryStorage::new()).open().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    for (config, name) in [
        (BrokerConfig::default().max_open_files(7), "max_open_files"),
        (BrokerConfig::default().checkpoint_bytes(0), "checkpoint_bytes"),
        (BrokerConfig::default().checkpoint_interval(std::time::Duration::ZERO), "checkpoint_interval"),
        (BrokerConfig::default().num_partitions(0), "num.partitions"),
        (BrokerConfig::default().num_partitions(10_001), "num.partitions"),
    ] {
        let error = Broker::builder().log_dir(&path).config(config).open().unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { setting, .. } if setting == name), "{error}");
    }
    assert!(!path.exists());
}

fn is_locked(error: &Error, path: &Path) -> bool {
    matches!(error, Error::Locked { path: named } if named == path)
}

#[test]
fn a_directory_is_held_by_one_broker_of_the_process() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        let error = place.try_open().unwrap_err();
        assert!(is_locked(&error, &place.path()), "{error}");
        append(&partition, "the first is not disturbed");
        broker.close().unwrap();
        let (_, reopened) = place.resume();
        assert_eq!(values(&reopened), ["the first is not disturbed"]);
    }
}

/// The variable that tells the test below which directory to hold.
const HELD: &str = "STREAMLOG_TEST_HOLDS";
/// What it says when it does.
const HOLDING: &str = "the directory is held";

/// Not a test by itself: the body of the child process of the next one.
#[test]
fn holds_a_directory_for_another_process() {
    let Some(path) = std::env::var_os(HELD) else { return };
    let broker = Broker::open(path).unwrap();
    println!("{HOLDING}");
    // Until it is killed, or its parent is gone and the pipe with it.
    let _ = std::io::stdin().read_line(&mut String::new());
    drop(broker);
}

/// A process that is killed and waited for, also where a test fails.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Holder {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "open::holds_a_directory_for_another_process", "--nocapture"]);
        command.env(HELD, path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Holder(command.spawn().unwrap());
        let output = BufReader::new(holder.0.stdout.take().unwrap());
        let is_held = output.lines().any(|line| line.unwrap().contains(HOLDING));
        assert!(is_held, "the child ended without holding the directory");
        holder
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_directory_is_held_against_other_processes_until_theirs_is_killed() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    append(&partition, "v");
    drop((broker, partition));
    let mut holder = Holder::of(&place.path());
    let error = place.try_open().unwrap_err();
    assert!(is_locked(&error, &place.path()), "{error}");
    holder.kill();
    let (_, partition) = place.resume();
    assert_eq!(values(&partition), ["v"]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_an_error_that_names_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(path.join("probe"), "").is_ok() {
        println!("skipped: whoever runs this may write anywhere, as root may");
        return;
    }
    let error = Broker::open(&path).unwrap_err();
    assert!(matches!(&error, Error::Io { path: named, .. } if named.starts_with(&path)), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn data_of_another_version_is_refused_and_left() {
    let place = Place::disk();
    drop(place.begin(TopicConfig::default()));
    let path = place.path().join("meta.properties");
    let own = fs::read_to_string(&path).unwrap();
    // Without the first line, which holds a checksum.
    let newer = own.split_once('\n').unwrap().1.replace("version=1", "version=7");
    fs::write(&path, &newer).unwrap();
    let error = place.try_open().unwrap_err();
    let is_right =
        matches!(&error, Error::UnsupportedVersion { path: named, found: 7, .. } if *named == path);
    assert!(is_right, "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    fs::write(&path, own).unwrap();

    // The version stands behind a magic of 16 bytes, and a CRC behind it.
    let path = place.path().join("streamlog.durable");
    let own = fs::read(&path).unwrap();
    let mut newer = own.clone();
    newer[19] = 2;
    let crc = crc32(&newer[..28]);
    newer[28..32].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, &newer).unwrap();
    let error = place.try_open().unwrap_err();
    let is_right =
        matches!(&error, Error::UnsupportedVersion { path: named, found: 2, supported: 1 } if *named == path);
    assert!(is_right, "{error}");
    assert_eq!(fs::read(&path).unwrap(), newer);
    fs::write(&path, own).unwrap();
    place.open();
}

/// CRC-32 as everybody has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn everything_fails_after_the_close_but_what_was_read_stays() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        append(&partition, "v");
        let held = partition.read(Offset::ZERO, 1 << 20).unwrap();
        let (admin, topic) = (broker.admin(), broker.topic("t").unwrap());
        broker.close().unwrap();
        broker.close().unwrap();

        let closed = [
            partition.append(&[Record::new().value("w")]).unwrap_err(),
            partition.append(&[]).unwrap_err(),
            partition.read(Offset::ZERO, 1).unwrap_err(),
            partition.sync().unwrap_err(),
            partition.offset_for_time(Timestamp::from_millis(START)).unwrap_err(),
            broker.topic("t").unwrap_err(),
            topic.partition(0).unwrap_err(),
            topic.partitions().next().unwrap().unwrap_err(),
            admin.create_topic(NewTopic::new("u")).unwrap_err(),
            admin.list_topics().unwrap_err(),
            admin.describe_topic("t").unwrap_err(),
        ];
        for error in closed {
            assert!(matches!(error, Error::Closed), "{error}");
        }
        assert_eq!(rows_of(&held)[0].value.as_deref(), Some(&b"v"[..]));
        assert_eq!((partition.log_end_offset().into(), partition.durable_offset().into()), (1_u64, 1_u64));
        assert_eq!(partition.segments().len(), 1);
        assert_eq!((topic.name(), topic.partition_count()), ("t", 1));
        assert_eq!(broker.metrics().open_files, 0);
    }
}

#[test]
fn every_handle_keeps_the_broker_open_and_the_last_closes_it() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        let topic = broker.topic("t").unwrap();
        drop(broker);
        drop(topic);
        append(&partition, "a partition alone keeps it open");
        assert!(matches!(place.try_open().unwrap_err(), Error::Locked { .. }));
        let clone = partition.clone();
        drop(partition);
        append(&clone, "so does a clone");
        drop(clone);
        let (broker, partition) = place.resume();
        assert!(broker.recovery_report().was_clean);
        assert_eq!(values(&partition).len(), 2);
        // What was read holds nothing open.
        let held = partition.read(Offset::ZERO, 1).unwrap();
        drop((broker, partition));
        place.open();
        drop(held);
    }
}

#[test]
fn threads_that_use_a_broker_while_it_closes_succeed_or_hear_that_it_is_closed() {
    for place in Place::both().into_iter().chain((0..10).map(|_| Place::memory())) {
        let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(2048));
        let acknowledged = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let partition = &partition;
                    scope.spawn(move || {
                        let mut acknowledged = 0;
                        loop {
                            let worked = match number % 2 {
                                0 => partition.append(&[Record::new().value("v")]).map(drop),
                                _ => {
                                    partition.read(Offset::ZERO, 100).and_then(|_| partition.sync()).map(drop)
                                }
                            };
                            match worked {
                                Ok(()) => acknowledged += u64::from(number % 2 == 0),
                                Err(Error::Closed) => return acknowledged,
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            while partition.log_end_offset() < 200 {
                thread::yield_now();
            }
            broker.close().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
        assert_eq!(partition.log_end_offset(), acknowledged);
        drop((broker, partition));
        let (broker, partition) = place.resume();
        assert!(broker.recovery_report().was_clean);
        assert_eq!(values(&partition).len() as u64, acknowledged);
    }
}

#[test]
fn nothing_is_scanned_after_a_clean_close() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(2000));
        let value = "v".repeat(300);
        (0..50).for_each(|_| append(&partition, &value));
        broker.close().unwrap();
        drop((broker, partition));
        for _ in 0..2 {
            let (broker, partition) = place.resume();
            let report = broker.recovery_report();
            assert!(report.was_clean, "{report}");
            assert_eq!(report.partitions.len(), 2, "the catalog's and the topic's");
            for found in &report.partitions {
                assert_eq!((found.scanned_bytes, found.scanned_batches), (0, 0), "{report}");
                assert!(!found.is_notable(), "{report}");
            }
            assert_eq!(values(&partition).len(), 50);
        }
    }
}

#[test]
fn the_marker_of_a_clean_shutdown_is_there_from_the_close_to_the_first_append() {
    let place = Place::disk();
    let marker = place.path().join(MARKER);
    let (broker, partition) = place.begin(TopicConfig::default());
    assert!(!marker.exists());
    append(&partition, "v");
    drop((broker, partition));
    assert!(marker.exists());

    let (broker, partition) = place.resume();
    assert_eq!(values(&partition), ["v"]);
    partition.sync().unwrap();
    partition.append(&[]).unwrap();
    partition.append(&[Record::to("another")]).unwrap_err();
    assert!(marker.exists(), "reads and refusals change nothing");
    drop((broker, partition));
    assert!(marker.exists());

    let (broker, partition) = place.resume();
    append(&partition, "w");
    assert!(!marker.exists());
    let killed = place.as_if_killed();
    drop((broker, partition));
    assert!(marker.exists());
    let (broker, partition) = killed.resume();
    assert!(!broker.recovery_report().was_clean);
    assert_eq!(values(&partition), ["v", "w"]);
    drop((broker, partition));
    assert!(killed.open().recovery_report().was_clean);

    // A new topic is an append to the catalog.
    let broker = place.open();
    broker.admin().create_topic(NewTopic::new("u")).unwrap();
    assert!(!marker.exists());
}

#[cfg(unix)]
#[test]
fn what_is_created_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    fn check(path: &Path, seen: &mut usize) {
        let found = fs::metadata(path).unwrap();
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & 0o777, expected, "{}", path.display());
        *seen += 1;
        if found.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path(), seen));
        }
    }
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(1024));
    let value = "v".repeat(300);
    (0..10).for_each(|_| append(&partition, &value));
    let mut seen = 0;
    check(&place.path(), &mut seen);
    drop((broker, partition));
    check(&place.path(), &mut seen);
    assert!(seen > 20, "{seen} files and directories");
}

#[test]
fn open_files_stay_within_their_bound_while_all_partitions_are_in_use() {
    const BOUND: u64 = 16;
    let place = Place::disk().config(|config| config.max_open_files(16));
    let broker = place.open();
    let config = TopicConfig::default().segment_bytes(1024);
    let topic = broker.admin().create_topic(NewTopic::new("t").partitions(100).config(config)).unwrap();
    let partitions: Vec<Partition> = topic.partitions().map(|partition| partition.unwrap()).collect();
    let (calls, is_done) = (5, AtomicBool::new(false));
    let most = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let partitions = &partitions;
                scope.spawn(move || {
                    let mut seed = Seed::new(thread);
                    let value = "v".repeat(250);
                    for call in 0..calls {
                        for (number, partition) in partitions.iter().enumerate() {
                            append(partition, &format!("{value}{thread} {call}"));
                            let from = partition.log_end_offset();
                            let from = seed.below(usize::try_from(u64::from(from)).unwrap()) as u64;
                            assert!(!partition.read(Offset::try_from(from).unwrap(), 1).unwrap().is_empty());
                            if number % 10 == 0 {
                                partition.sync().unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Acquire) {
                most = most.max(broker.metrics().open_files);
                thread::yield_now();
            }
            most
        });
        let ended: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::Release);
        ended.into_iter().for_each(|ended| ended.unwrap());
        watcher.join().unwrap()
    });
    assert!((BOUND / 2..=BOUND).contains(&most), "{most} files were open at once");
    assert!(partitions.iter().all(|partition| values(partition).len() == 4 * calls));
    assert!(broker.metrics().open_files <= BOUND);
    drop((broker, topic, partitions));
    let broker = place.open();
    assert!(broker.recovery_report().was_clean);
    for partition in broker.topic("t").unwrap().partitions() {
        assert_eq!(values(&partition.unwrap()).len(), 4 * calls);
    }
}

#[test]
fn a_broker_whose_memory_is_full_says_so_and_works_on() {
    let config = BrokerConfig::default().memory_bytes(100_000);
    let broker = Broker::builder().in_memory().config(config).open().unwrap();
    let topic = broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    let (full, other) = (topic.partition(0).unwrap(), topic.partition(1).unwrap());
    append(&other, "first");
    let value = vec![b'v'; 30_000];
    let record = Record::new().value(&value);
    let mut stored = 0;
    let error = loop {
        match full.append(std::slice::from_ref(&record)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!((2..=3).contains(&stored), "{stored} records of 30 kB in 100 kB");
    assert!(error.is_storage_full() && error.is_retriable(), "{error}");
    assert_eq!(error.kafka_code(), Some(56));
    assert_eq!(broker.metrics().append_failures, 1);
    assert_eq!(full.log_end_offset(), stored);

    // What is stored stays, what fits is taken, and the same again is refused again.
    assert_eq!(values(&full).len() as u64, stored);
    append(&full, "small");
    append(&other, "second");
    assert!(full.append(&[record]).unwrap_err().is_storage_full());
    assert_eq!(values(&full).last().unwrap(), "small");
    assert_eq!(values(&other), ["first", "second"]);
    full.sync().unwrap();
    assert_eq!(full.durable_offset(), stored + 1);
    broker.close().unwrap();
}
