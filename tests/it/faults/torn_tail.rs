//! The end of a log, cut, zeroed or overwritten at every byte after an unclean end.

use std::path::{Path, PathBuf};

use streamlog::testing::{Crash, Fault, TestDisk};
use streamlog::{Cut, Error, Offset, PartitionRecovery};

use super::acknowledgement::{Ledger, read_all};
use super::power_cut::told;
use super::script;

const LOG: &str = "data/t-0/00000000000000000000.log";

/// A log of which the first batches are durable and the last is not, as a killed process leaves it.
struct Torn {
    disk: TestDisk,
    ledger: Ledger,
    /// Where each batch ends, and the log.
    ends: Vec<usize>,
    durable: u64,
}

impl Torn {
    fn new() -> Torn {
        let (disk, mut ledger) = (TestDisk::new(), Ledger::default());
        let (broker, _) = script::open(&disk).unwrap();
        broker.admin().create_topic(script::topic("t", 1)).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        for (count, bytes) in [(1, 10), (3, 40)] {
            script::append(&partition, &mut ledger, count, bytes).unwrap();
        }
        script::sync(&partition, &mut ledger).unwrap();
        script::append(&partition, &mut ledger, 2, 30).unwrap();
        let mut end = 0;
        let batches = partition.read(Offset::ZERO, 1 << 20).unwrap();
        let ends = batches.iter().map(|batch| {
            end += batch.bytes().len();
            end
        });
        let ends = ends.collect();
        Torn { disk: disk.after(Crash::Kill), ledger, ends, durable: 4 }
    }

    /// Opens the log with these bytes in the file, and checks what is there when it was good up to `damage`.
    fn check(&self, bytes: &[u8], damage: usize) {
        let disk = self.disk.after(Crash::Kill);
        disk.put(Path::new(LOG), bytes).unwrap();
        let before = disk.files();
        let (broker, _) = script::open(&disk).unwrap();
        let good = self.ends.iter().filter(|&&end| end <= damage).count();
        let offsets = [0, 1, 4, 6][good];
        let report = broker.recovery_report().partitions.iter().find(|one| one.partition.topic() == "t");
        let report: &PartitionRecovery = report.unwrap();
        if offsets < self.durable {
            self.check_damaged(report, offsets);
            let inside = |path: &&PathBuf| path.starts_with("data/t-0");
            let after = disk.files();
            assert!(before.keys().filter(inside).eq(after.keys().filter(inside)), "no file comes or goes");
            assert!(before.iter().all(|(path, bytes)| !inside(&path) || after[path] == *bytes));
            return;
        }
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let values = self.ledger.values(&("t".to_owned(), 0));
        assert!(read_all(&partition) == values[..usize::try_from(offsets).unwrap()]);
        assert_eq!(
            (partition.log_end_offset(), partition.durable_offset()),
            (offset(offsets), offset(offsets))
        );
        let end = [0].iter().chain(&self.ends).copied().nth(good).unwrap();
        let rest = &bytes[end.min(bytes.len())..];
        let is_cut = rest.iter().any(|&byte| byte != 0);
        assert_eq!(report.cut.is_some(), is_cut);
        if let Some(cut) = &report.cut {
            check_quarantine(&disk, cut, offset(offsets), rest);
        }
        let appended = partition.append(&[streamlog::Record::new().value("next")]).unwrap();
        let batch = partition.read(appended.start, 1).unwrap().iter().next().unwrap().clone();
        let epoch = batch.leader_epoch().map(|epoch| epoch.to_string());
        // Also where nothing is cut: a tail can be lost without a trace.
        assert_eq!(epoch.as_deref(), Some("1"));
    }

    fn check_damaged(&self, report: &PartitionRecovery, offsets: u64) {
        match report.offline.as_deref() {
            Some(Error::Damaged { topic, from, durable, .. }) => {
                assert_eq!((topic.as_str(), *from, *durable), ("t", offset(offsets), offset(self.durable)));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn check_quarantine(disk: &TestDisk, cut: &Cut, from: Offset, rest: &[u8]) {
    let length = rest.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    assert_eq!((cut.from, cut.bytes), (from, length as u64));
    let files = disk.files();
    let kept: Vec<u8> = cut.quarantine.iter().flat_map(|path| files[path].clone()).collect();
    // With zeros behind it: a record may end in some.
    let end = rest.len().min(length + (64 << 10));
    assert!(kept == rest[..end], "what is cut is kept");
    assert_eq!(disk.after(Crash::PowerCut).files()[&cut.quarantine[0]], kept, "and stays");
}

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

#[test]
fn a_tail_torn_at_any_byte_is_kept_aside_and_what_is_acknowledged_is_never_lost_in_silence() {
    let torn = Torn::new();
    let bytes = torn.disk.files()[Path::new(LOG)].clone();
    let end = *torn.ends.last().unwrap();
    assert!(bytes.len() > end, "there is head room");
    let mut random = fastrand::Rng::with_seed(4);
    let mut cases = 0;
    for position in 0..=end + 70 {
        let mut case = |what: &str, bytes: &[u8], damage| {
            told(&format!("byte {position}, {what}"), || torn.check(bytes, damage));
            cases += 1;
        };
        case("cut", &bytes[..position], position);
        let mut zeroed = bytes.clone();
        zeroed[position..].fill(0);
        let same = bytes.iter().zip(&zeroed).position(|(one, other)| one != other).unwrap_or(bytes.len());
        case("zeroed", &zeroed, same);
        let mut garbage = bytes.clone();
        garbage[position..].iter_mut().for_each(|byte| *byte = random.u8(..));
        let same = bytes.iter().zip(&garbage).position(|(one, other)| one != other).unwrap_or(bytes.len());
        case("garbage", &garbage, same);
    }
    eprintln!("{cases} torn tails");
}

#[test]
fn what_an_open_tells_as_durable_is_acknowledged_for_the_next() {
    let torn = Torn::new();
    let disk = torn.disk.after(Crash::Kill);
    let (broker, _) = script::open(&disk).unwrap();
    assert_eq!(broker.topic("t").unwrap().partition(0).unwrap().durable_offset(), 6);
    let disk = disk.after(Crash::Kill);
    let mut bytes = disk.files()[Path::new(LOG)].clone();
    bytes[torn.ends[2] - 1] ^= 1;
    disk.put(Path::new(LOG), &bytes).unwrap();
    let (broker, _) = script::open(&disk).unwrap();
    let report = &broker.recovery_report().partitions[1];
    match report.offline.as_deref() {
        Some(Error::Damaged { from, durable, .. }) => assert_eq!((*from, *durable), (offset(4), offset(6))),
        other => panic!("{other:?}, {:?}", report.cut),
    }
}

#[test]
fn a_crash_behind_the_cut_does_not_take_the_new_epoch_back() {
    let torn = Torn::new();
    let mut bytes = torn.disk.files()[Path::new(LOG)].clone();
    bytes[torn.ends[2] - 1] ^= 1;
    torn.disk.put(Path::new(LOG), &bytes).unwrap();
    let counted = torn.disk.after(Crash::Kill);
    drop(script::open(&counted).unwrap().0);
    for step in 1..=counted.step_count() {
        for after in
            [Crash::Kill, Crash::PowerCut, Crash::Torn { seed: step }, Crash::Reordered { seed: step }]
        {
            told(&format!("step {step}, {after:?}"), || {
                let disk = torn.disk.after(Crash::Kill);
                disk.inject(Fault::power_cut().at_step(step));
                drop(script::open(&disk));
                // Without its last batch the log is as it was before somebody read that batch.
                let disk = disk.after(after);
                let Ok((broker, _)) = script::open(&disk) else { panic!("it opens") };
                let partition = broker.topic("t").unwrap().partition(0).unwrap();
                let appended = partition.append(&[streamlog::Record::new().value("next")]).unwrap();
                assert_eq!(appended.start, 4);
                let batch = partition.read(appended.start, 1).unwrap().iter().next().unwrap().clone();
                let is_old = batch.leader_epoch().is_some_and(|epoch| epoch.to_string() == "0");
                let is_kept = disk.files().keys().any(|path| path.to_string_lossy().ends_with("quarantine"));
                assert!(!is_old, "offsets that were read are given again in the same epoch");
                assert!(is_kept, "what was cut is kept");
            });
        }
    }
}

#[test]
fn whole_segments_behind_a_bad_batch_are_kept_aside_for_good() {
    let (disk, mut ledger) = (TestDisk::new(), Ledger::default());
    let (broker, _) = script::open(&disk).unwrap();
    broker.admin().create_topic(script::topic("t", 1)).unwrap();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    script::append(&partition, &mut ledger, 1, 100).unwrap();
    script::sync(&partition, &mut ledger).unwrap();
    for _ in 0..4 {
        script::append(&partition, &mut ledger, 1, 1000).unwrap();
    }
    assert_eq!(partition.segments().len(), 4);
    let disk = disk.after(Crash::Kill);
    let mut whole = disk.files();
    whole.retain(|path, _| path.starts_with("data/t-0") && path.extension().is_some_and(|one| one == "log"));
    let mut first = whole[Path::new(LOG)].clone();
    // The second batch of the first segment.
    first[200] ^= 0xff;
    disk.put(Path::new(LOG), &first).unwrap();
    whole.remove(Path::new(LOG));
    let (broker, _) = script::open(&disk).unwrap();
    let cut = broker.recovery_report().partitions[1].cut.clone().unwrap();
    assert_eq!((cut.from, cut.quarantine.len()), (offset(1), 4));
    drop(broker);
    let files = disk.after(Crash::PowerCut).files();
    for (path, bytes) in whole {
        let kept = &files[&path.with_extension("log.quarantine")];
        assert!(*kept == bytes, "{}", path.display());
        assert!(!files.contains_key(&path));
    }
    let (broker, _) = script::open(&disk).unwrap();
    assert!(broker.recovery_report().partitions[1].cut.is_none());
    assert_eq!(read_all(&broker.topic("t").unwrap().partition(0).unwrap()).len(), 1);
}
