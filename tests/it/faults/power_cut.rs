//! The process dies, or the power goes, at every single step of a broker's life, and of its recovery.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use streamlog::testing::{Crash, Fault, TestDisk};

use super::acknowledgement::{Kept, Ledger};
use super::script::{self, LIFE, live};

/// The ways in which the disk is left, with what must be there then.
fn ways(step: u64) -> [(Crash, Kept); 4] {
    [
        (Crash::Kill, Kept::Appended),
        (Crash::PowerCut, Kept::Durable),
        (Crash::Torn { seed: step }, Kept::Durable),
        (Crash::Reordered { seed: step }, Kept::Durable),
    ]
}

/// Lives until the change with number `step`, where the disk goes down.
fn die_at(step: u64) -> (TestDisk, Ledger) {
    let (disk, mut ledger) = (TestDisk::new(), Ledger::default());
    disk.inject(Fault::power_cut().at_step(step));
    let lived = live(&disk, LIFE, &mut ledger);
    assert!(disk.is_down() || lived.is_ok(), "{:?}", lived.err());
    (disk, ledger)
}

/// The number of changes that the whole life makes.
fn life_steps() -> u64 {
    let disk = TestDisk::new();
    let broker = live(&disk, LIFE, &mut Ledger::default()).unwrap();
    drop(broker);
    disk.step_count()
}

/// Runs `check`, and says where it was when it fails.
pub(super) fn told<T>(place: &str, check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("failed with {place}");
        std::panic::resume_unwind(panic)
    })
}

/// Opens what survived, checks it, and goes on with it: appends, a sync, a clean close, another opening.
fn check_survivor(disk: &TestDisk, mut ledger: Ledger, kept: Kept) {
    let (broker, clock) = script::open(disk).unwrap();
    assert_eq!(broker.recovery_report().partitions.iter().filter(|one| one.offline.is_some()).count(), 0);
    let device = disk.after(Crash::PowerCut).files();
    let cuts = broker.recovery_report().partitions.iter().filter_map(|one| one.cut.as_ref());
    let kept_aside: Vec<_> = cuts.flat_map(|cut| &cut.quarantine).collect();
    // An earlier recovery that was ended before it cut anything may have left a copy that nobody needs any more.
    let is_log =
        |path: &PathBuf| path.extension().is_some_and(|part| part == "log") || kept_aside.contains(&path);
    for (path, bytes) in disk.files().into_iter().filter(|(path, _)| is_log(path)) {
        // A log ends where only zeros follow, so how many do does not matter.
        let data =
            |bytes: &[u8]| bytes.iter().rposition(|&byte| byte != 0).map(|last| bytes[..=last].to_vec());
        let is_same = device.get(&path).is_some_and(|device| data(device) == data(&bytes));
        assert!(is_same, "{} is not on the device", path.display());
    }
    let strays = &broker.recovery_report().unknown_directories;
    assert!(strays.is_empty(), "{strays:?} came before the record of their topic");
    for one in &broker.recovery_report().partitions {
        let is_told = ledger.is_created(one.partition.topic());
        assert!(!is_told || one.mended_files.is_empty(), "{:?} of a created topic", one.mended_files);
    }
    ledger.check(&broker, kept);

    // An open that cut something began a new epoch, durably: what is told as durable now stays, whatever happens.
    let mut again = ledger.clone();
    let (after, _) = script::open(&disk.after(Crash::PowerCut)).unwrap();
    again.check(&after, Kept::Durable);
    drop(after);

    ledger.creating("new", 1);
    broker.admin().create_topic(script::topic("new", 1)).unwrap();
    ledger.created("new");
    for name in broker.admin().list_topics().unwrap() {
        for partition in broker.topic(&name).unwrap().partitions() {
            let partition = partition.unwrap();
            script::append(&partition, &mut ledger, 2, 400).unwrap();
            script::append(&partition, &mut ledger, 1, 1200).unwrap();
            script::sync(&partition, &mut ledger).unwrap();
        }
    }
    clock.advance(std::time::Duration::from_secs(60));
    let mut again = ledger.clone();
    again.check(&script::open(&disk.after(Crash::PowerCut)).unwrap().0, Kept::Durable);

    broker.close().unwrap();
    drop(broker);
    let (broker, _) = script::open(disk).unwrap();
    assert!(broker.recovery_report().was_clean);
    ledger.check(&broker, Kept::Appended);
}

#[test]
fn a_clean_close_leaves_everything_on_the_device() {
    let disk = TestDisk::new();
    live(&disk, LIFE, &mut Ledger::default()).unwrap().close().unwrap();
    let mut device = disk.after(Crash::PowerCut).files();
    for (path, bytes) in disk.files() {
        // The slots are the only file that is never synced.
        let is_same = path.ends_with("streamlog.durable") || device.remove(&path) == Some(bytes);
        assert!(is_same, "{}", path.display());
    }
}

#[test]
fn every_acknowledged_record_survives_a_crash_at_any_step() {
    let steps = life_steps();
    for step in 1..=steps {
        let (disk, ledger) = die_at(step);
        for (after, kept) in ways(step) {
            told(&format!("step {step} of {steps}, {after:?}"), || {
                check_survivor(&disk.after(after), ledger.clone(), kept);
            });
        }
    }
    eprintln!("{steps} steps, {} crashes", 4 * steps);
}

#[test]
fn a_crash_during_the_recovery_loses_nothing_more() {
    let steps = life_steps();
    let mut crashes = 0;
    for step in (1..=steps).step_by(5) {
        let (disk, ledger) = die_at(step);
        for (first, kept) in ways(step) {
            let survivor = disk.after(first);
            let counted = recovery_steps(&survivor);
            let at = fastrand::Rng::with_seed(step).u64(1..=counted);
            let dying = survivor.after(Crash::Kill);
            dying.inject(Fault::power_cut().at_step(at));
            drop(script::open(&dying));
            for (second, _) in ways(step + at).into_iter().filter(|(way, _)| *way != Crash::PowerCut) {
                // A page cache that survived the first crash may still go with the power.
                let kept = if second == Crash::Kill { kept } else { Kept::Durable };
                told(&format!("step {step}, {first:?}, then step {at} of {counted}, {second:?}"), || {
                    check_survivor(&dying.after(second), ledger.clone(), kept);
                });
                crashes += 1;
            }
        }
    }
    eprintln!("{crashes} crashes during a recovery");
}

/// The number of changes that opening this disk makes, and one at least.
fn recovery_steps(disk: &TestDisk) -> u64 {
    let disk = disk.after(Crash::Kill);
    drop(script::open(&disk).unwrap());
    disk.step_count().max(1)
}
