//! Scrubbing: what rots in sealed segments is found, told once, and nothing else is disturbed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::testing::{Call, Calls, Fault, TestDisk};
use streamlog::{
    Access, Broker, BrokerConfig, Entry, Error, ManualClock, MemoryStorage, NewTopic, Offset, Partition,
    PartitionId, Record, Storage, StorageFile, StorageLock, Timestamp, TopicConfig,
};

use crate::kit::START;

const PAUSE: Duration = Duration::from_secs(3600);
/// Slow enough that a round takes several pieces, of 16 KiB each.
const RATE: u64 = 16 << 10;

struct Scrubbed {
    disk: TestDisk,
    clock: ManualClock,
    broker: Broker,
}

impl Scrubbed {
    /// A broker with a topic of two partitions, each with sealed segments.
    fn new(change: impl FnOnce(BrokerConfig) -> BrokerConfig) -> Scrubbed {
        let scrubbed = Scrubbed::open(TestDisk::new(), change);
        let config = TopicConfig::default().segment_bytes(4096).index_interval_bytes(1);
        scrubbed.broker.admin().create_topic(NewTopic::new("t").partitions(2).config(config)).unwrap();
        (0..2).for_each(|number| fill(&scrubbed.partition(number), 100));
        scrubbed
    }

    fn open(disk: TestDisk, change: impl FnOnce(BrokerConfig) -> BrokerConfig) -> Scrubbed {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let builder = Broker::builder().log_dir("data").storage(disk.clone()).clock(clock.clone());
        let config =
            change(BrokerConfig::default().seed(7).scrub_interval(PAUSE).scrub_bytes_per_second(RATE));
        let broker = builder.config(config).open().unwrap();
        Scrubbed { disk, clock, broker }
    }

    fn partition(&self, number: u32) -> Partition {
        self.broker.topic("t").unwrap().partition(number).unwrap()
    }

    /// Lets time pass until so many rounds are over.
    fn until_round(&self, rounds: u64) {
        for _ in 0..10_000 {
            if self.broker.scrub_report().rounds >= rounds {
                return;
            }
            self.clock.advance(Duration::from_secs(5));
        }
        panic!("no end of round {rounds}");
    }

    /// The bytes of all sealed segments.
    fn sealed_bytes(&self) -> u64 {
        (0..2)
            .flat_map(|number| sealed(&self.partition(number)))
            .map(|path| self.disk.files()[&path].len() as u64)
            .sum()
    }

    fn flip(&self, path: &Path, position: usize) {
        let mut bytes = self.disk.files()[path].clone();
        bytes[position] ^= 0x10;
        self.disk.put(path, bytes).unwrap();
    }

    fn damage(&self) -> Vec<String> {
        self.broker.scrub_report().damage.iter().map(|error| format!("{error:?}")).collect()
    }
}

fn fill(partition: &Partition, count: u64) {
    let start = u64::from(partition.log_end_offset());
    for number in start..start + count {
        let time = Timestamp::from_millis(START + i64::try_from(number).unwrap());
        partition.append(&[Record::new().value(&vec![7; 100]).timestamp(time)]).unwrap();
    }
}

/// The files of the sealed segments.
fn sealed(partition: &Partition) -> Vec<PathBuf> {
    let mut segments = partition.segments();
    segments.pop();
    segments.iter().map(|segment| segment.path().to_path_buf()).collect()
}

#[test]
fn a_round_reads_every_sealed_segment_once_at_its_rate_and_then_rests() {
    let scrubbed = Scrubbed::new(|config| config);
    let (bytes, segments) = (scrubbed.sealed_bytes(), sealed(&scrubbed.partition(0)).len() as u64 * 2);
    assert!(segments >= 6);
    let begin = scrubbed.broker.metrics();
    assert_eq!((begin.bytes_scrubbed, begin.segments_scrubbed), (0, 0));
    let mut before = 0;
    while scrubbed.broker.scrub_report().rounds == 0 {
        scrubbed.clock.advance(Duration::from_millis(500));
        let now = scrubbed.broker.metrics().bytes_scrubbed;
        assert!(now - before <= RATE, "{now} after {before}");
        before = now;
    }
    let end = scrubbed.broker.metrics();
    assert_eq!((end.bytes_scrubbed, end.segments_scrubbed, end.damage_found), (bytes, segments, 0));
    // Checkpoints are over by then.
    scrubbed.clock.advance(PAUSE / 2);
    let (calls, end) = (scrubbed.disk.call_count(), scrubbed.broker.metrics());
    scrubbed.clock.advance(PAUSE / 3);
    assert_eq!(scrubbed.broker.metrics(), end, "it rests");
    assert_eq!(scrubbed.disk.call_count(), calls, "and does not touch the disk");
    scrubbed.until_round(2);
    assert_eq!(scrubbed.broker.metrics().bytes_scrubbed, bytes * 2);
}

#[test]
fn what_is_read_of_the_disk_keeps_to_the_rate() {
    for rate in [1000, RATE, 1 << 20] {
        let scrubbed = Scrubbed::open(TestDisk::new(), |config| config.scrub_bytes_per_second(rate));
        let config = TopicConfig::default().segment_bytes(1 << 20).index_interval_bytes(4096);
        scrubbed.broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        for _ in 0..600 {
            scrubbed.partition(0).append(&[Record::new().value(&vec![7; 2000])]).unwrap();
        }
        let [log] = &sealed(&scrubbed.partition(0))[..] else { panic!("one sealed segment") };
        let read_bytes = || -> u64 {
            let ranges = scrubbed.disk.calls().into_iter().filter_map(|call| match call {
                Call::Read(path, range) if path == *log => Some(range.end - range.start),
                _ => None,
            });
            ranges.sum()
        };
        let (before, step) = (read_bytes(), Duration::from_secs(64 << 10) / u32::try_from(rate).unwrap());
        scrubbed.clock.advance(step * 10);
        let (read, expected) = (read_bytes() - before, 640 << 10);
        assert!(read <= expected + (128 << 10) && read >= expected / 2, "{read} at {rate} a second");
    }
}

#[test]
fn nothing_is_read_where_it_is_off() {
    let scrubbed = Scrubbed::new(|mut config| {
        config.scrub_interval = None;
        config
    });
    scrubbed.clock.advance(PAUSE);
    let calls = scrubbed.disk.call_count();
    scrubbed.clock.advance(PAUSE * 10);
    assert_eq!((scrubbed.broker.metrics().bytes_scrubbed, scrubbed.broker.scrub_report().rounds), (0, 0));
    assert_eq!(scrubbed.disk.call_count(), calls);
}

#[test]
fn a_flipped_bit_is_told_once_with_its_offsets_file_and_position_and_forgotten_when_it_is_mended() {
    let scrubbed = Scrubbed::new(|config| config);
    let partition = scrubbed.partition(1);
    let mut rounds = 0;
    for segment in &partition.segments()[..3] {
        let path = segment.path();
        let mut batches = segment.batches();
        let mut all = Vec::new();
        while let Some((position, batch)) = Some(batches.position()).zip(batches.next()) {
            all.push((position, batch.unwrap().base_offset()));
        }
        for number in [0, 1, all.len() / 2, all.len() - 1] {
            let (position, offset) = all[number];
            // Base offset, length, magic, CRC, last offset delta, a value.
            for byte in [7, 10, 16, 18, 26, 90] {
                let counted = scrubbed.broker.metrics().damage_found;
                let at = usize::try_from(position).unwrap() + byte;
                scrubbed.flip(path, at);
                rounds += 2;
                scrubbed.until_round(rounds);
                let report = scrubbed.broker.scrub_report();
                assert_eq!(report.damage.len(), 1, "{report}");
                assert_eq!(report.damage[0].unreadable_offsets(), Some(offset..offset.next()));
                let Error::DamagedBatch { topic, partition, source, .. } = &*report.damage[0] else {
                    panic!("{report}")
                };
                assert_eq!((topic.as_str(), *partition), ("t", PartitionId::try_from(1).unwrap()));
                assert!(matches!(&**source, Error::Corrupt { path: file, position: byte, .. }
                    if file == path && *byte == position));
                assert_eq!(scrubbed.broker.metrics().damage_found, counted + 1, "told once in two rounds");
                assert!(report.to_string().contains("damaged places: 1"), "{report}");
                scrubbed.flip(path, at);
                rounds += 1;
                scrubbed.until_round(rounds);
                assert!(scrubbed.damage().is_empty());
            }
        }
    }
    let first = sealed(&partition)[0].clone();
    let bytes = scrubbed.disk.files()[&first].len();
    (0..bytes).step_by(500).for_each(|position| scrubbed.flip(&first, position));
    scrubbed.until_round(rounds + 1);
    assert!(scrubbed.damage().len() > 4, "all in one segment, one after the other");
}

#[test]
fn every_flipped_byte_of_an_index_is_told_and_no_sound_one_is() {
    let first = Scrubbed::new(|config| config);
    first.broker.close().unwrap();
    let files = first.disk.files();
    let is_index = |path: &&PathBuf| {
        path.extension().is_some_and(|one| one == "index" || one == "timeindex")
            && path.to_string_lossy().contains("t-0/00000000000000000000.")
    };
    let mut told = BTreeSet::new();
    for path in files.keys().filter(is_index) {
        let bytes = &files[path];
        for at in 0..bytes.len() {
            let scrubbed = Scrubbed::open(first.disk.after(streamlog::testing::Crash::Kill), |config| {
                config.scrub_bytes_per_second(1 << 30)
            });
            scrubbed.until_round(1);
            assert!(scrubbed.damage().is_empty());
            scrubbed.flip(path, at);
            scrubbed.until_round(2);
            let report = scrubbed.broker.scrub_report();
            assert_eq!(report.damage.len(), 1, "{} byte {at}: {report}", path.display());
            assert!(matches!(&*report.damage[0], Error::InvalidFile { path: file, .. } if file == path));
            assert_eq!(report.damage[0].unreadable_offsets(), None);
            told.insert(path);
        }
    }
    assert_eq!(told.len(), 2);
}

#[test]
fn what_the_disk_cannot_read_is_told_and_the_rest_is_read() {
    let scrubbed = Scrubbed::new(|config| config);
    let [bad, .., good] = &sealed(&scrubbed.partition(0))[..] else { panic!("too few segments") };
    scrubbed.flip(good, 90);
    scrubbed.disk.inject(Fault::io().on(Calls::Reads).of(bad.to_string_lossy()));
    scrubbed.until_round(2);
    let report = scrubbed.broker.scrub_report();
    assert_eq!((report.damage.len(), scrubbed.broker.metrics().damage_found), (2, 2), "{report}");
    assert!(matches!(&*report.damage[0], Error::Io { path, .. } if path == bad), "{report}");
    assert!(report.damage[1].unreadable_offsets().is_some());
    scrubbed.disk.heal();
    scrubbed.until_round(3);
    assert_eq!(scrubbed.damage().len(), 1);
}

#[test]
fn it_goes_on_while_segments_are_rolled_and_topics_deleted_and_made_anew() {
    for steps in 0..40 {
        let scrubbed = Scrubbed::new(|config| config);
        let step = Duration::from_millis(300);
        scrubbed.clock.advance(step * steps);
        fill(&scrubbed.partition(1), 60);
        scrubbed.broker.admin().delete_topic("t").unwrap();
        let config = TopicConfig::default().segment_bytes(2048);
        scrubbed.broker.admin().create_topic(NewTopic::new("t").partitions(2).config(config)).unwrap();
        fill(&scrubbed.partition(0), 70);
        scrubbed.clock.advance(step);
        fill(&scrubbed.partition(0), 70);
        scrubbed.until_round(2);
        assert!(scrubbed.damage().is_empty(), "{:?}", scrubbed.damage());
        assert_eq!(scrubbed.broker.metrics().damage_found, 0, "not even for a while");
    }
}

#[test]
fn files_of_readers_and_writers_stay_open() {
    let scrubbed = Scrubbed::new(|config| config.max_open_files(16));
    let read = || {
        for number in 0..2 {
            let partition = scrubbed.partition(number);
            partition.read(Offset::ZERO, 1).unwrap();
            partition.read(Offset::from(99), 1).unwrap();
        }
    };
    // An hour later the logs are at rest: a checkpoint closes files too.
    scrubbed.until_round(2);
    (0..2).for_each(|_| read());
    let opened = |calls: u64| scrubbed.disk.call_count() - calls;
    let calls = scrubbed.disk.call_count();
    read();
    let warm = opened(calls);
    scrubbed.until_round(3);
    assert!(scrubbed.broker.metrics().open_files <= 16);
    let calls = scrubbed.disk.call_count();
    read();
    assert_eq!(opened(calls), warm, "nothing has to be opened again");
}

#[test]
fn a_close_in_the_middle_of_a_round_ends_it() {
    for steps in 0..20 {
        let scrubbed = Scrubbed::new(|config| config);
        scrubbed.clock.advance(Duration::from_millis(300) * steps);
        scrubbed.broker.close().unwrap();
        let calls = scrubbed.disk.call_count();
        scrubbed.clock.advance(PAUSE * 3);
        assert_eq!(scrubbed.disk.call_count(), calls);
        let again = Scrubbed::open(scrubbed.disk.clone(), |config| config);
        assert!(again.broker.recovery_report().was_clean);
    }
}

#[test]
fn it_runs_on_a_thread_of_its_own_where_time_is_real() {
    let config = BrokerConfig::default().scrub_interval(PAUSE).scrub_bytes_per_second(1 << 30);
    let broker = Broker::builder().in_memory().config(config).open().unwrap();
    // The first round may be over before there is anything; it says so without a pause that lasts.
    while broker.scrub_report().rounds == 0 {
        std::thread::yield_now();
    }
    broker.close().unwrap();
    assert_eq!(broker.scrub_report().rounds, 1);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let refused = |config: BrokerConfig| match Broker::builder().in_memory().config(config).open() {
        Err(Error::InvalidConfig { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let config = BrokerConfig::default();
    assert_eq!(refused(config.clone().scrub_interval(Duration::from_millis(999))), "scrub_interval");
    assert_eq!(refused(config.scrub_bytes_per_second(0)), "scrub_bytes_per_second");
}

/// A storage without maps: under one, a page that the disk cannot read ends the process.
#[derive(Debug)]
struct Unmapped(MemoryStorage);

impl Storage for Unmapped {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        if access == Access::Map { Err(io::ErrorKind::Unsupported.into()) } else { self.0.open(path, access) }
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.0.stat(path)
    }
    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.0.rename(source, target)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        self.0.lock(path)
    }
}

#[test]
fn nothing_is_read_through_a_map() {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder = Broker::builder().log_dir("data").storage(Unmapped(MemoryStorage::new()));
    let config = BrokerConfig::default().scrub_interval(PAUSE);
    let broker = builder.clock(clock.clone()).config(config).open().unwrap();
    let topic = NewTopic::new("t").config(TopicConfig::default().segment_bytes(4096));
    broker.admin().create_topic(topic).unwrap();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    fill(&partition, 100);
    assert!(partition.read(Offset::ZERO, 1).is_err(), "a reader has to");
    clock.advance(PAUSE * 3);
    let report = broker.scrub_report();
    assert!(report.damage.is_empty(), "{report}");
    assert!(report.rounds >= 2 && broker.metrics().segments_scrubbed >= 4);
}
