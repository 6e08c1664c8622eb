//! One test per bug that was found, with a line on what it was.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use streamlog::testing::{Crash, TestDisk};
use streamlog::{
    Access, AutoOffsetReset, Broker, Clock, Consumer, Entry, Error, ManualClock, MemoryStorage, NewTopic,
    Offset, PartitionId, Record, RecoveryMode, Slice, Storage, StorageFile, StorageLock, Timestamp,
    TopicConfig, TopicPartition,
};

use crate::kit::{Place, START, values};

/// Lets the other threads go as far as they get, so that one that does not wait gets where it must not.
fn let_others_run() {
    (0..20_000).for_each(|_| thread::yield_now());
}

/// A storage in memory on which one call, the first on `path` of the kind that is held, stops until it is released.
#[derive(Debug, Clone)]
struct Holding {
    memory: MemoryStorage,
    path: PathBuf,
    is_armed: Arc<AtomicBool>,
    /// Passed by the call when it stops, and again when it may go on.
    gate: Arc<Barrier>,
    /// Whether zeros fit only in part.
    is_full: Arc<AtomicBool>,
}

/// A file on a disk that may be full.
#[derive(Debug)]
struct Filling {
    file: Box<dyn StorageFile>,
    is_full: Arc<AtomicBool>,
}

impl StorageFile for Filling {
    fn write_at(&self, position: u64, parts: &[io::IoSlice<'_>]) -> io::Result<()> {
        self.file.write_at(position, parts)
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        self.file.slice(range)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.file.set_bytes(bytes)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.file.allocate(range)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        if !self.is_full.load(Ordering::SeqCst) {
            return self.file.zero(range);
        }
        self.file.zero(range.start..range.start.midpoint(range.end))?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Holding {
    fn new(path: &str) -> Holding {
        let is_armed = Arc::new(AtomicBool::new(true));
        let (memory, gate) = (MemoryStorage::new(), Arc::new(Barrier::new(2)));
        Holding { memory, path: PathBuf::from(path), is_armed, gate, is_full: Arc::default() }
    }

    fn hold(&self, path: &Path) {
        if path == self.path && self.is_armed.swap(false, Ordering::SeqCst) {
            self.gate.wait();
            self.gate.wait();
        }
    }

    fn open_broker(&self) -> Broker {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        Broker::builder().log_dir("data").storage(self.clone()).clock(clock).open().unwrap()
    }
}

impl Storage for Holding {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let (file, is_full) = (self.memory.open(path, access)?, Arc::clone(&self.is_full));
        Ok(Box::new(Filling { file, is_full }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.hold(path);
        self.memory.create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.memory.list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.memory.stat(path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.hold(target);
        self.memory.rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.memory.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.memory.remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.memory.sync_dir(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        self.memory.lock(path)
    }
}

/// A close did not wait for a topic that another thread was creating. That thread went on making files in a directory that
/// was the next broker's by then, and put empty segments in the place of those that it had begun to append to.
#[test]
fn a_close_waits_for_the_topic_that_is_being_created() {
    let storage = Holding::new("data/t-1");
    let broker = storage.open_broker();
    let is_released = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| broker.admin().create_topic(NewTopic::new("t").partitions(2)));
        storage.gate.wait();
        let closer = scope.spawn(|| {
            broker.close().unwrap();
            is_released.load(Ordering::SeqCst)
        });
        let_others_run();
        assert!(matches!(broker.admin().create_topic(NewTopic::new("u")), Err(Error::Closed)));
        is_released.store(true, Ordering::SeqCst);
        storage.gate.wait();
        assert!(closer.join().unwrap(), "the close came back while files were still being made");
    });
    let reopened = storage.open_broker();
    assert!(reopened.recovery_report().was_clean);
    for partition in reopened.topic("t").unwrap().partitions() {
        partition.unwrap().append(&[Record::new().value("v")]).unwrap();
    }
}

/// A round of checkpoints that ran early left the next one scheduled, and each of them scheduled a successor: the rounds
/// became more with every roll, for as long as the log was appended to.
#[test]
fn checkpoints_do_not_become_more_the_longer_a_log_is_appended_to() {
    let place = Place::memory().config(|config| config.checkpoint_bytes(8 << 10));
    let (broker, partition) = place.begin(TopicConfig::default());
    let rounds_of_an_hour = || {
        let before = broker.metrics().sync_rounds;
        for second in 0..3600_u32 {
            let value = vec![7; if second % 60 == 30 { 16 << 10 } else { 1 }];
            partition.append(&[Record::new().value(&value)]).unwrap();
            place.clock.advance(Duration::from_secs(1));
        }
        broker.metrics().sync_rounds - before
    };
    for hour in 0..2 {
        let rounds = rounds_of_an_hour();
        assert!(rounds <= 130, "hour {hour}: {rounds}, where two a minute are due");
    }
}

/// A second close came back at once, while the first was still at work: nothing was on the device yet, and the directory
/// still locked.
#[test]
fn a_second_close_waits_for_the_first() {
    let storage = Holding::new("data/.kafka_cleanshutdown");
    let broker = storage.open_broker();
    let is_released = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| broker.close().unwrap());
        storage.gate.wait();
        let second = scope.spawn(|| {
            broker.close().unwrap();
            is_released.load(Ordering::SeqCst)
        });
        let_others_run();
        is_released.store(true, Ordering::SeqCst);
        storage.gate.wait();
        assert!(second.join().unwrap(), "the second close came back before the first");
    });
}

/// Two threads that moved a clock at once moved it as far as one of them.
#[test]
fn advances_of_several_threads_add_up() {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let (threads, times) = (4, 2_000);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..times).for_each(|_| clock.advance(Duration::from_millis(1))));
        }
    });
    assert_eq!(clock.monotonic(), Duration::from_millis(threads * times));
}

/// Opening a named pipe as a segment waited for ever for somebody to write into it.
#[test]
fn a_pipe_is_no_segment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00000000000000000000.log");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(matches!(streamlog::Segment::open(&path).unwrap_err(), Error::Io { .. }));
}

/// Zeros that were written ahead until the disk was full stayed: they took what space there was, and nobody trimmed them.
#[test]
fn room_that_was_made_in_part_is_given_back() {
    let storage = Holding::new("nowhere");
    let broker = storage.open_broker();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    partition.append(&[Record::new().value("v")]).unwrap();
    partition.sync().unwrap();
    let path = Path::new("data/t-0/00000000000000000000.log");
    let before = storage.memory.stat(path).unwrap().bytes;
    storage.is_full.store(true, Ordering::SeqCst);
    let large = vec![7; 100 << 10];
    assert!(partition.append(&[Record::new().value(&large)]).unwrap_err().is_storage_full());
    assert_eq!(storage.memory.stat(path).unwrap().bytes, before);
    storage.is_full.store(false, Ordering::SeqCst);
    partition.append(&[Record::new().value(&large)]).unwrap();
}

/// A log whose first segment was gone began where the second did, as if nothing had ever been before.
#[test]
fn a_log_without_its_first_segment_is_damaged() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(1024));
    for _ in 0..10 {
        partition.append(&[Record::new().value(&[7; 500])]).unwrap();
    }
    let (first, second) = (partition.segments().remove(0), partition.segments().remove(1));
    broker.close().unwrap();
    std::fs::remove_file(first.path()).unwrap();
    drop((broker, partition));
    let broker = place.open();
    let name = broker.admin().list_topics().unwrap().remove(0);
    let error = broker.topic(&name).unwrap().partition(0).unwrap_err();
    let Error::PartitionOffline { source, .. } = &error else { panic!("{error}") };
    assert!(
        matches!(&**source, Error::Damaged { from, durable, .. }
            if *from == 0 && *durable == second.base_offset()),
        "{source}"
    );
}

/// A leader epoch that was damaged in a batch became the log's own: the CRC does not cover it.
#[test]
fn an_epoch_that_only_a_batch_knows_is_not_believed() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    partition.append(&[Record::new().value("v")]).unwrap();
    partition.sync().unwrap();
    let (name, path) = (partition.topic().to_owned(), partition.segments().remove(0).path().to_path_buf());
    let killed = place.as_if_killed();
    let path = killed.path().join(path.strip_prefix(place.path()).unwrap());
    drop((broker, partition));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[12] = 0x70;
    std::fs::write(&path, bytes).unwrap();
    let partition = killed.open().topic(&name).unwrap().partition(0).unwrap();
    let offset = partition.append(&[Record::new().value("w")]).unwrap().start;
    let batches = partition.read(offset, 1).unwrap();
    assert_eq!(batches.iter().next().unwrap().leader_epoch().map(u32::from), Some(1));
}

/// A read that met a damaged batch gave nothing of the good ones before it.
#[test]
fn what_is_good_before_a_damaged_batch_is_read() {
    let place = Place::disk();
    let (_broker, partition) = place.begin(TopicConfig::default());
    for value in ["good", "damaged"] {
        partition.append(&[Record::new().value(value)]).unwrap();
    }
    let path = partition.segments().remove(0).path().to_path_buf();
    let first = partition.read(Offset::ZERO, 1).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[first.bytes() + 65] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let read = partition.read(Offset::ZERO, 1 << 20).unwrap();
    assert_eq!((read.len(), read.next_offset()), (1, Some(Offset::from(1))));
    let error = partition.read(Offset::from(1), 1 << 20).unwrap_err();
    let Error::DamagedBatch { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(&**source, Error::Corrupt { offset, .. } if *offset == 1), "{error}");
}

/// An empty path failed in the middle of making a directory, without saying what was empty.
#[test]
fn a_directory_without_a_name_is_refused_by_name() {
    let error = Broker::open("").unwrap_err();
    assert!(matches!(error, Error::InvalidConfig { setting: "log.dirs", .. }), "{error}");
}

/// A first readable offset that lay behind the log's end hid, after the next open, what had been acknowledged in between.
#[test]
fn a_log_start_behind_the_end_hides_nothing_that_is_appended_then() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    partition.append(&[Record::new().value("old")]).unwrap();
    drop((broker, partition));
    std::fs::write(place.path().join("log-start-offset-checkpoint"), "0\n1\nt 0 7\n").unwrap();
    let (broker, partition) = place.resume();
    assert_eq!(
        (partition.log_start_offset(), partition.log_end_offset()),
        (Offset::from(1), Offset::from(1))
    );
    partition.append(&[Record::new().value("new")]).unwrap();
    partition.sync().unwrap();
    let killed = place.as_if_killed();
    drop((broker, partition));
    for place in [place, killed] {
        assert_eq!(values(&place.resume().1), ["new"]);
    }
}

/// A salvage marked every offset up to a stray segment of a large number as lost, in more files than there is room for.
#[test]
fn a_salvage_does_not_fill_a_gap_that_cannot_be() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    partition.append(&[Record::new().value("v")]).unwrap();
    let stray = partition.segments().remove(0).path().with_file_name("04611686018427387904.log");
    drop((broker, partition));
    std::fs::write(&stray, "?").unwrap();
    let broker = place.builder().recovery(RecoveryMode::Salvage).open().unwrap();
    let Err(Error::PartitionOffline { source, .. }) = broker.topic("t").unwrap().partition(0) else {
        panic!()
    };
    assert!(matches!(&*source, Error::Damaged { from, .. } if *from == 1), "{source}");
}

/// A batch under a right checksum that claimed the offsets of those behind it was read, and they were passed over.
#[test]
fn a_batch_that_reaches_into_the_next_segment_is_damaged() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(1024));
    for _ in 0..2 {
        partition.append(&[Record::new().value(&[7; 600])]).unwrap();
    }
    let path = partition.segments().remove(0).path().to_path_buf();
    drop((broker, partition));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[26] = 1;
    crate::hostile::fix_crc(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let (_broker, partition) = place.resume();
    let error = partition.read(Offset::ZERO, 1).unwrap_err();
    assert_eq!(error.unreadable_offsets(), Some(Offset::ZERO..Offset::from(1)), "{error}");
    assert!(partition.read(Offset::from(1), 1).is_ok());
}

/// A salvage that wrote a segment anew left out the tail that nobody had been told of, and it was nowhere any more.
#[test]
fn a_salvage_keeps_the_tail_that_it_does_not_save() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    for value in ["damaged", "sound", "torn"] {
        partition.append(&[Record::new().value(value)]).unwrap();
        if value == "sound" {
            partition.sync().unwrap();
        }
    }
    let path = partition.segments().remove(0).path().to_path_buf();
    let bytes = partition.read(Offset::ZERO, 1).unwrap().bytes();
    let killed = place.as_if_killed();
    let path = killed.path().join(path.strip_prefix(place.path()).unwrap());
    drop((broker, partition));
    let mut log = std::fs::read(&path).unwrap();
    let torn = log.windows(4).position(|part| part == b"torn").unwrap();
    (log[bytes - 3], log[torn]) = (b'?', b'?');
    std::fs::write(&path, log).unwrap();
    let broker = killed.builder().recovery(RecoveryMode::Salvage).open().unwrap();
    let report = broker.recovery_report();
    let found = report.partitions.iter().find(|found| found.partition.topic() == "t").unwrap();
    assert_eq!((found.lost.len(), u64::from(found.end_offset)), (1, 2), "{report}");
    let cut = found.cut.as_ref().expect("the tail was cut");
    assert!(std::fs::read(&cut.quarantine[0]).unwrap().windows(4).any(|part| part == b"?orn"));
}

/// Where the durable slot and the recovery point were lost, what a clean close had vouched for was cut by the open after the next one,
/// once an index that was made anew no longer led past a damaged batch.
#[test]
fn what_a_clean_close_vouched_for_is_not_cut_later() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().index_interval_bytes(0));
    for value in ["damaged", "sound", "sound too"] {
        partition.append(&[Record::new().value(value)]).unwrap();
    }
    let path = partition.segments().remove(0).path().to_path_buf();
    drop((broker, partition));
    let mut log = std::fs::read(&path).unwrap();
    log[70] ^= 1;
    std::fs::write(&path, &log).unwrap();
    std::fs::remove_file(path.with_extension("timeindex")).unwrap();
    std::fs::remove_file(place.path().join("recovery-point-offset-checkpoint")).unwrap();
    let slots = place.path().join("streamlog.durable");
    std::fs::write(&slots, &std::fs::read(&slots).unwrap()[..32]).unwrap();
    for _ in 0..3 {
        let report = place.open().recovery_report().clone();
        assert!(report.partitions.iter().all(|found| found.cut.is_none()), "{report}");
        assert_eq!(std::fs::read(&path).unwrap(), log);
    }
}

/// A broker on this disk, and its clock.
fn open_on(disk: &TestDisk) -> (Broker, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder = Broker::builder().log_dir("data").storage(disk.clone()).clock(clock.clone());
    (builder.open().unwrap(), clock)
}

/// Three records to the topic `t`, not synced.
fn append_three(broker: &Broker) {
    let records = ["a", "b", "c"].map(|value| Record::new().value(value));
    broker.topic("t").unwrap().partition(0).unwrap().append(&records).unwrap();
}

/// A member of the group `g`, which commits by itself each second.
fn member(broker: &Broker) -> Consumer {
    let builder = broker.consumer().group("g").auto_commit(Some(Duration::from_secs(1)));
    let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    consumer
}

/// Who commits by itself took it that an offset behind a cut was committed, because another record had been there when it was:
/// the next consumer began at the cut once more.
#[test]
fn an_offset_is_committed_again_where_the_log_was_cut_below_it() {
    let disk = TestDisk::new();
    let (broker, _) = open_on(&disk);
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    append_three(&broker);
    let mut consumer = member(&broker);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    // The offset is on the device; the records themselves were never synced.
    consumer.commit().unwrap();
    let disk = disk.after(Crash::PowerCut);
    drop((consumer, broker));

    let (broker, clock) = open_on(&disk);
    append_three(&broker);
    let mut consumer = member(&broker);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3, "others");
    clock.advance(Duration::from_secs(1));
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 0);
    drop(consumer);
    broker.close().unwrap();
    drop(broker);

    let (broker, _) = open_on(&disk);
    assert_eq!(member(&broker).poll(Duration::ZERO).unwrap().len(), 0, "it was committed");
}

/// As where the log was cut: an offset that was committed by hand, behind the end, was taken for what was read there later. It
/// stayed without the leader epoch by which the next cut is found out.
#[test]
fn an_offset_is_committed_again_where_it_lay_outside_the_log() {
    let disk = TestDisk::new();
    let (broker, clock) = open_on(&disk);
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    let place = TopicPartition::new("t", PartitionId::ZERO);
    let mut alone = broker.consumer().group("g").build().unwrap();
    alone.assign([place.clone()]).unwrap();
    alone.commit_offsets([(place.clone(), Offset::from(3))]).unwrap();
    drop(alone);
    let mut consumer = member(&broker);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 0, "reset to the beginning");
    append_three(&broker);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    clock.advance(Duration::from_secs(1));
    consumer.poll(Duration::ZERO).unwrap();
    let committed = consumer.committed([&place]).unwrap();
    assert!(committed[&place].offset == 3 && committed[&place].leader_epoch.is_some(), "{committed:?}");
}
