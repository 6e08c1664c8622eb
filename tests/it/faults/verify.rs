//! A verification of what crashes leave, of every flipped byte, and beside a broker that changes everything.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::testing::{Call, Crash, Fault, TestDisk};
use streamlog::{
    Access, Broker, Entry, Finding, FindingKind, Offset, Partition, Record, Result, Severity, Slice, Storage,
    StorageFile, StorageLock, Timestamp, TopicConfig, Verification,
};

use super::acknowledgement::Ledger;
use super::power_cut::told;
use super::read_only::{ALL, Alive, Interrupted, all_shown};
use super::script::{self, DIR, LIFE};

fn verify(storage: impl Storage) -> Result<Verification> {
    Broker::builder().log_dir(DIR).storage(storage).verify()
}

fn of_kind(found: &Verification, kind: FindingKind) -> Vec<&Finding> {
    found.findings.iter().filter(|finding| finding.kind == kind).collect()
}

/// Verifies, and checks that nothing but looking was done.
fn verified(disk: &TestDisk) -> Result<Verification> {
    let looked_at = disk.after(Crash::Kill);
    let found = verify(looked_at.clone());
    for call in looked_at.calls() {
        let is_look =
            matches!(call, Call::Open(_) | Call::Read(..) | Call::Measure(_) | Call::List(_) | Call::Stat(_));
        assert!(is_look, "{call}");
    }
    assert!(looked_at.files() == disk.files());
    found
}

#[test]
fn a_directory_that_was_closed_in_order_has_nothing_to_be_told_of() {
    let disk = TestDisk::new();
    let broker = script::live(&disk, LIFE, &mut Ledger::default()).unwrap();
    let shown = all_shown(&broker);
    let partitions = broker.recovery_report().partitions.len();
    broker.close().unwrap();
    let found = verified(&disk).unwrap();
    assert!(
        found.is_sound() && found.findings.is_empty() && found.was_clean && !found.is_changing,
        "{found}"
    );
    assert_eq!(found.partitions, partitions as u64);
    let records: usize = shown.values().flatten().filter(|line| line.contains("Some([")).count();
    assert!(found.records >= records as u64 && found.batches > 10 && found.bytes > 5000, "{found}");
}

#[test]
fn what_a_crash_leaves_is_never_told_as_damage_and_a_torn_tail_is_told_as_recovery_tells_it() {
    let steps = {
        let disk = TestDisk::new();
        drop(script::live(&disk, LIFE, &mut Ledger::default()).unwrap());
        disk.step_count()
    };
    let (mut verifications, mut tails) = (0, 0);
    for step in (1..=steps).step_by(3) {
        let disk = TestDisk::new();
        disk.inject(Fault::power_cut().at_step(step));
        let _ = script::live(&disk, LIFE, &mut Ledger::default());
        for crash in
            [Crash::Kill, Crash::PowerCut, Crash::Torn { seed: step }, Crash::Reordered { seed: step }]
        {
            let disk = disk.after(crash);
            told(&format!("step {step} of {steps}, {crash:?}"), || {
                let Ok(found) = verified(&disk) else { return };
                let Ok((opened, clock)) = script::open(&disk) else { panic!("{found}") };
                let is_begun =
                    disk.files().keys().any(|path| path.to_string_lossy().contains("__topic_catalog-0/"));
                assert!(
                    found.is_sound() || !is_begun || of_kind(&found, FindingKind::Catalog).len() == 1,
                    "{found}"
                );
                verifications += 1;
                for one in &opened.recovery_report().partitions {
                    let tail = of_kind(&found, FindingKind::TornTail);
                    let tail = tail.into_iter().find(|tail| tail.partition.as_ref() == Some(&one.partition));
                    let from = tail.and_then(|tail| tail.offsets.clone()).map(|offsets| offsets.start);
                    assert_eq!(from, one.cut.as_ref().map(|cut| cut.from), "{found}");
                    tails += usize::from(from.is_some());
                }
                // What is open is sound as well, and mended once its indexes are saved.
                clock.advance(Duration::from_secs(60));
                let after = verify(disk.clone()).unwrap();
                assert!(after.worst() <= Some(Severity::Note), "{after}");
            });
        }
    }
    eprintln!("{verifications} verifications, {tails} torn tails");
    assert!(verifications > 200 && tails > 10);
}

#[test]
fn beside_a_broker_that_changes_everything_nothing_is_told_as_damage() {
    let mut verifications = 0;
    for (first, meanwhile) in (0..).zip(ALL) {
        let mut at = 1 + first % 5;
        loop {
            let alive = Alive::new();
            let disk = alive.disk.clone();
            let acting = Arc::new(Mutex::new(Some(alive)));
            let held = Arc::clone(&acting);
            let action = move || {
                let alive = acting.lock().unwrap().take().unwrap().act(meanwhile);
                let disk = alive.disk.clone();
                *acting.lock().unwrap() = Some(alive);
                disk
            };
            let storage = Interrupted::new(&disk, at, action);
            let found = verify(storage.clone()).unwrap();
            verifications += 1;
            let is_told = told(&format!("{meanwhile:?} before call {at}"), || {
                assert!(found.is_sound(), "{found}");
                storage.calls() < at
            });
            drop(held);
            if is_told {
                break;
            }
            at += 5;
        }
    }
    eprintln!("{verifications} verifications");
    assert!(verifications > 200);
}

/// A small directory with everything in it: several segments with indexes, several epochs, two topics.
fn small(is_clean: bool) -> TestDisk {
    let disk = TestDisk::new();
    let (broker, _) = script::open(&disk).unwrap();
    let config = TopicConfig::default().index_interval_bytes(60).segment_age(Duration::from_millis(200));
    broker.admin().create_topic(streamlog::NewTopic::new("t").config(config)).unwrap();
    let append = |broker: &Broker, times: &[i64]| {
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        for &time in times {
            let record = Record::new().key("k").value("v").timestamp(Timestamp::from_millis(time));
            partition.append(&[record]).unwrap();
        }
        partition.sync().unwrap();
    };
    append(&broker, &[100, 150, 120, 310, 320, 315]);
    let disk = disk.after(Crash::Kill);
    let (broker, clock) = script::open(&disk).unwrap();
    append(&broker, &[600, 650, 640, 900]);
    clock.advance(Duration::from_secs(60));
    append(&broker, &[905]);
    assert!(broker.topic("t").unwrap().partition(0).unwrap().segments().len() >= 3);
    if is_clean {
        broker.close().unwrap();
    }
    disk.after(Crash::Kill)
}

type Shown = BTreeMap<String, Vec<String>>;

/// What a broker serves, with the leader epoch of each batch.
fn served(disk: &TestDisk) -> Option<(Shown, Vec<String>)> {
    let (broker, _) = script::open(disk).ok()?;
    let partition = broker.topic("t").ok()?.partition(0).ok()?;
    let mut epochs = Vec::new();
    let mut next = Offset::ZERO;
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).ok()?;
        epochs.extend(batches.iter().map(|batch| format!("{:?}", batch.leader_epoch())));
        next = batches.next_offset()?;
    }
    Some((all_shown(&broker), epochs))
}

fn flip_every_byte(is_clean: bool, flips: &[u8]) {
    let whole = small(is_clean);
    let expected = served(&whole.after(Crash::Kill)).unwrap();
    let before = verified(&whole).unwrap();
    assert!(before.worst() <= Some(Severity::Note), "{before}");
    let (mut cases, mut unseen) = (0, BTreeMap::<PathBuf, Vec<usize>>::new());
    for (path, bytes) in whole.files() {
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for position in 0..bytes.len().min(end + 3) {
            for &flip in flips {
                let mut hit = bytes.clone();
                hit[position] ^= flip;
                let disk = whole.after(Crash::Kill);
                disk.put(&path, &hit).unwrap();
                cases += 1;
                told(&format!("{} byte {position} ^ {flip:#x}", path.display()), || {
                    let found = verify(disk.clone()).unwrap();
                    if found.findings.len() > before.findings.len() {
                        let names_it = |finding: &Finding| {
                            finding.path == path
                                || path.starts_with(&finding.path)
                                || finding.path.starts_with(path.parent().unwrap())
                        };
                        assert!(found.findings.iter().any(names_it), "{found}");
                        return;
                    }
                    unseen.entry(path.clone()).or_default().push(position);
                    assert!(served(&disk).as_ref() == Some(&expected), "{found}");
                });
            }
        }
    }
    let count: usize = unseen.values().map(Vec::len).sum();
    eprintln!("{cases} flips, {count} of them not found, which change nothing that is served:");
    for (path, mut positions) in unseen {
        positions.dedup();
        eprintln!("  {}: bytes {positions:?}", path.display());
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(!name.ends_with(".log") && !name.ends_with("index"), "{name}");
        let mark = "# crc32=".len();
        assert!(name != "meta.properties" || positions.iter().all(|&position| position < mark));
    }
}

#[test]
fn every_flipped_byte_is_found_or_changes_nothing_after_a_clean_close() {
    flip_every_byte(true, &[0x01, 0xff]);
}

#[test]
fn every_flipped_byte_is_found_or_changes_nothing_after_an_unclean_end() {
    flip_every_byte(false, &[0x10]);
}

#[test]
fn a_read_that_fails_costs_what_it_hides_and_nothing_is_told_twice() {
    let disk = TestDisk::new();
    let (broker, _) = script::open(&disk).unwrap();
    let partition = broker.admin().create_topic(streamlog::NewTopic::new("t")).unwrap().partition(0).unwrap();
    // More than is read at a time.
    for _ in 0..3 {
        partition.append(&[Record::new().value(&vec![7; 200 << 10])]).unwrap();
    }
    broker.close().unwrap();
    let log = Path::new(DIR).join("t-0/00000000000000000000.log");
    let mut bytes = disk.files()[&log].clone();
    bytes[100] ^= 1;
    disk.put(&log, &bytes).unwrap();
    let (mut at, mut refused) = (0, [0; 3]);
    loop {
        at += 1;
        let disk = disk.after(Crash::Kill);
        disk.inject(Fault::io().of("t-0/00000000000000000000.log").at_call(at));
        let found = verify(disk.clone()).unwrap();
        told(&format!("call {at}"), || {
            let damaged = of_kind(&found, FindingKind::DamagedBatch);
            assert!(damaged.len() <= 1 && !found.is_sound(), "{found}");
            for finding in of_kind(&found, FindingKind::Unreadable) {
                let offsets = finding.offsets.clone().unwrap();
                refused[usize::try_from(u64::from(offsets.start)).unwrap()] += 1;
                assert_eq!(offsets.end, 3, "{found}");
            }
        });
        if disk.call_count() < at {
            break;
        }
    }
    // What fails once is looked at again, and so is only told where the second look failed.
    assert!(refused.iter().sum::<u64>() > 0, "{refused:?}");
}

#[test]
fn a_disk_that_refuses_to_be_read_is_told_and_what_can_be_read_is_looked_at() {
    let disk = small(true);
    disk.inject(Fault::io().of("t-0/00000000000000000000.log"));
    let found = verify(disk.clone()).unwrap();
    let refused = of_kind(&found, FindingKind::Unreadable);
    assert_eq!(refused.len(), 1, "{found}");
    assert!(
        !found.is_sound() && refused[0].offsets.as_ref().unwrap().start == 0 && found.batches > 5,
        "{found}"
    );
    assert!(refused[0].path.ends_with(Path::new("t-0/00000000000000000000.log")));
}

/// A disk on which somebody opens a broker when the directory of `t-0` is listed, and appends two batches there after each read.
#[derive(Debug, Clone)]
struct Busy {
    disk: TestDisk,
    partition: Arc<Mutex<Option<Partition>>>,
}

impl Busy {
    fn append(&self) {
        let partition = self.partition.lock().unwrap();
        for _ in 0..2 {
            partition.as_ref().unwrap().append(&[Record::new().value("new")]).unwrap();
        }
    }
}

impl Storage for Busy {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let file = self.disk.open(path, access)?;
        let is_log = path.starts_with("data/t-0") && path.extension().is_some_and(|part| part == "log");
        if is_log { Ok(Box::new(BusyFile { file, disk: self.clone() })) } else { Ok(file) }
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        if path.ends_with("t-0") {
            self.partition.lock().unwrap().get_or_insert_with(|| {
                let (broker, _) = script::open(&self.disk).unwrap();
                broker.topic("t").unwrap().partition(0).unwrap()
            });
            self.append();
        }
        self.disk.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.disk.stat(path)
    }
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn lock(&self, _: &Path) -> io::Result<StorageLock> {
        panic!("nothing is locked")
    }
}

#[derive(Debug)]
struct BusyFile {
    file: Box<dyn StorageFile>,
    disk: Busy,
}

impl StorageFile for BusyFile {
    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        let read = self.file.slice(range);
        self.disk.append();
        read
    }
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
    fn write_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn set_bytes(&self, _: u64) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn allocate(&self, _: Range<u64>) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn zero(&self, _: Range<u64>) -> io::Result<()> {
        panic!("nothing is changed")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("nothing is changed")
    }
}

#[test]
fn what_is_appended_after_a_clean_close_while_it_is_read_is_no_damage() {
    let disk = TestDisk::new();
    let (broker, _) = script::open(&disk).unwrap();
    let partition = broker.admin().create_topic(streamlog::NewTopic::new("t")).unwrap().partition(0).unwrap();
    partition.append(&[Record::new().value("old")]).unwrap();
    broker.close().unwrap();
    let found = verify(Busy { disk, partition: Arc::default() }).unwrap();
    assert!(found.was_clean && found.is_changing && found.is_sound(), "{found}");
}
