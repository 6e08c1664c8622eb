//! What another process finds is checked, and worked on with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::testing::{Crash, TestDisk};
use streamlog::{Broker, Storage};

use super::ledger::{Kept, Ledger};
use super::live::{DIRS, Life, open};
use super::steps::Step;

/// Opens what survived, checks it, and goes on with it: topics, appends, syncs, groups, a clean close, another opening.
pub(crate) fn check(disk: &TestDisk, mut ledger: Ledger, kept: Kept) {
    let (broker, clock) = open(disk).unwrap();
    let report = broker.recovery_report();
    assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
    assert!(report.unknown_directories.is_empty(), "{report}");
    for one in &report.partitions {
        let is_told = ledger.is_told(one.partition.topic());
        assert!(!is_told || one.mended_files.is_empty(), "{:?} of a created topic", one.mended_files);
    }
    check_device(disk, &broker);
    ledger.check(&broker, kept);

    // An open that cut something began a new epoch, durably: what is told as durable now stays, whatever happens.
    let again = |ledger: &Ledger| {
        let (broker, _clock) = open(&disk.after(Crash::PowerCut)).unwrap();
        ledger.clone().check(&broker, Kept::Durable);
    };
    again(&ledger);

    let mut life = Life { disk: disk.clone(), broker, clock, ledger: &mut ledger, has_faults: false };
    life.make(Step::Create("new", 1)).unwrap();
    sync_all(&mut life);
    for group in life.ledger.commits.groups() {
        life.read_as_group(group).unwrap();
    }
    life.make(Step::Tick).unwrap();
    life.clock.advance(Duration::from_secs(60));
    again(life.ledger);
    let left = DIRS.iter().flat_map(|dir| disk.list(Path::new(dir)).unwrap());
    let left: Vec<_> = left.filter(|entry| entry.name.to_string_lossy().ends_with("-delete")).collect();
    assert!(left.is_empty(), "{left:?} is still there");
    // A clean close is durable as a whole, and nothing is looked at after it.
    life.broker.close().unwrap();
    life.ledger.closed();
    check_closed(disk);
    let (broker, _clock) = open(&disk.after(Crash::PowerCut)).unwrap();
    assert!(broker.recovery_report().was_clean);
    life.ledger.clone().check(&broker, Kept::Durable);
    life.make(Step::Reopen).unwrap();
}

/// After a clean close a power cut changes nothing of the logs, down to their lengths: other programs read them too.
fn check_closed(disk: &TestDisk) {
    let mut device = disk.after(Crash::PowerCut).files();
    let is_log = |path: &PathBuf| path.extension().is_some_and(|part| part == "log");
    for (path, bytes) in disk.files().into_iter().filter(|(path, _)| is_log(path)) {
        assert!(device.remove(&path) == Some(bytes), "{} is not as on the device", path.display());
    }
}

/// Appends to every partition, and syncs it.
fn sync_all(life: &mut Life<'_>) {
    for name in life.ledger.names() {
        for number in 0..life.broker.topic(name).unwrap().partition_count() {
            life.make(Step::Append(name, number, 2, 400)).unwrap();
            life.make(Step::Append(name, number, 1, 1200)).unwrap();
            life.make(Step::Sync(name, number)).unwrap();
        }
    }
}

/// What an open tells as durable is on the device: the logs, and what it cut off.
fn check_device(disk: &TestDisk, broker: &Broker) {
    let cuts = broker.recovery_report().partitions.iter().filter_map(|one| one.cut.as_ref());
    let kept_aside: Vec<_> = cuts.flat_map(|cut| &cut.quarantine).collect();
    // What is deleted is told to nobody, and neither is that a deletion is through, which the catalog notes last and unsynced.
    let is_told = |path: &Path| {
        let dir = path.parent().unwrap_or(path).to_string_lossy();
        !dir.ends_with("-delete") && !dir.ends_with("__topic_catalog-0")
    };
    // An earlier recovery that was ended before it cut anything may have left a copy that nobody needs any more.
    let is_log =
        |path: &PathBuf| path.extension().is_some_and(|part| part == "log") || kept_aside.contains(&path);
    let device = disk.after(Crash::PowerCut).files();
    for (path, bytes) in disk.files().into_iter().filter(|(path, _)| is_log(path) && is_told(path)) {
        // A log ends where only zeros follow, so how many do does not matter.
        let data =
            |bytes: &[u8]| bytes.iter().rposition(|&byte| byte != 0).map(|last| bytes[..=last].to_vec());
        let is_same = device.get(&path).is_some_and(|device| data(device) == data(&bytes));
        assert!(is_same, "{} is not on the device", path.display());
    }
}
