//! The process dies, or the power goes, at every single step of a broker's life, and of its recovery.
//!
//! `cargo test` does a part of it, at every so many-th step. All of it:
//!
//! ```text
//! cargo test --release --test it faults::power_cut -- --ignored --nocapture --test-threads 1
//! ```

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use streamlog::testing::{Crash, EveryCrash, Outcome, TestDisk};
use streamlog::{Broker, ManualClock, NewTopic, Record, RecoveryMode, Storage, Timestamp};

use super::life::{self, Kept, LIFE, Ledger};

/// Runs `check`, and says where it was when it fails.
pub(super) fn told<T>(place: &str, check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("failed with {place}");
        std::panic::resume_unwind(panic)
    })
}

/// Crashes at each of these steps of the life; gives how many crashes there were.
fn crash(every: &EveryCrash) -> u64 {
    let mut acknowledged = 0;
    let points = every.run(
        |disk, ledger| life::live(disk, LIFE, ledger),
        |disk, ledger: &Ledger, point| {
            acknowledged += ledger.acknowledged;
            life::check(disk, ledger.clone(), Kept::after(point.crash));
            Ok(())
        },
    );
    let points = points.unwrap();
    eprintln!(
        "{points} crashes, after which {acknowledged} acknowledged records were looked for: 0 lost, 0 torn ones served, \
         0 starts refused"
    );
    points
}

/// Crashes at each of these steps of the life, and then again at every so many-th step of the recovery from that.
fn crash_twice(every: &EveryCrash, stride: u64) -> u64 {
    let (mut points, mut acknowledged) = (0, 0);
    let mut distinct = HashSet::new();
    let firsts = every.run(
        |disk, ledger| life::live(disk, LIFE, ledger),
        |disk, ledger: &Ledger, first| {
            distinct.clear();
            points += EveryCrash::new().begin_with(disk).stride(stride).run(
                |disk, (): &mut ()| {
                    let _opened = life::open(disk)?;
                    // It ends here, so that its close does not count as a part of the recovery.
                    let _ = disk.restart(Crash::Kill);
                    Ok(())
                },
                |disk, (), second| {
                    // A page cache that survived the first crash may still go with the power.
                    let is_kept = first.crash.keeps_page_cache() && second.crash.keeps_page_cache();
                    let kept = if is_kept { Kept::Readable } else { Kept::Durable };
                    acknowledged += ledger.acknowledged;
                    if distinct.insert((is_kept, fingerprint(disk))) {
                        life::check(disk, ledger.clone(), kept);
                    }
                    Ok(())
                },
            )?;
            Ok(())
        },
    );
    let firsts = firsts.unwrap();
    eprintln!(
        "{points} crashes in the recoveries from {firsts} crashes, after which {acknowledged} acknowledged records were looked \
         for: 0 lost, 0 torn ones served, 0 starts refused"
    );
    points
}

/// What tells one disk from another: two that have the same here are taken for one, and checked once.
fn fingerprint(disk: &TestDisk) -> u64 {
    let mut hasher = DefaultHasher::new();
    (disk.files(), disk.after(Crash::PowerCut).files()).hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_clean_close_leaves_everything_on_the_device() {
    let disk = TestDisk::new();
    life::live(&disk, LIFE, &mut Ledger::default()).unwrap();
    let disk = disk.restart(Crash::Kill);
    life::open(&disk).unwrap().0.close().unwrap();
    let mut device = disk.after(Crash::PowerCut).files();
    for (path, bytes) in disk.files() {
        assert!(device.remove(&path) == Some(bytes), "{}", path.display());
    }
}

#[test]
fn every_acknowledged_record_survives_a_crash_at_any_step() {
    assert!(crash(&EveryCrash::new().stride(17)) > 300);
}

#[test]
fn a_crash_during_the_recovery_loses_nothing_more() {
    assert!(crash_twice(&EveryCrash::new().stride(179), 7) > 200);
}

/// Opens in the other modes, and sees that these find nothing but what a crash leaves.
fn check_modes(disk: &TestDisk, ledger: &Ledger, kept: Kept) -> Outcome {
    for mode in [RecoveryMode::Strict, RecoveryMode::Salvage] {
        let (broker, _clock) = life::open_in(&disk.after(Crash::Kill), mode)?;
        let report = broker.recovery_report();
        assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{mode:?}: {report}");
        // A salvage keeps what is sound behind a torn batch, and marks that one as lost.
        if mode == RecoveryMode::Strict || kept == Kept::Readable {
            assert!(report.partitions.iter().all(|one| one.lost.is_empty()), "{mode:?}: {report}");
            ledger.clone().check(&broker, kept);
        }
    }
    Ok(())
}

#[test]
fn what_a_crash_leaves_is_nothing_that_strict_refuses_or_salvage_loses() {
    let points = EveryCrash::new().stride(11).run(
        |disk, ledger| life::live(disk, LIFE, ledger),
        |disk, ledger: &Ledger, point| check_modes(disk, ledger, Kept::after(point.crash)),
    );
    assert!(points.unwrap() > 50);
}

#[test]
fn a_crash_while_strict_recovers_is_nothing_that_it_refuses() {
    let mut points = 0;
    let firsts = EveryCrash::new().stride(173).run(
        |disk, ledger| life::live(disk, LIFE, ledger),
        |disk, ledger: &Ledger, first| {
            points += EveryCrash::new().begin_with(disk).stride(7).run(
                |disk, (): &mut ()| {
                    let _opened = life::open_in(disk, RecoveryMode::Strict)?;
                    let _ = disk.restart(Crash::Kill);
                    Ok(())
                },
                |disk, (), second| {
                    // A page cache that survived the first crash may still go with the power.
                    let is_kept = first.crash.keeps_page_cache() && second.crash.keeps_page_cache();
                    check_modes(disk, ledger, if is_kept { Kept::Readable } else { Kept::Durable })
                },
            )?;
            Ok(())
        },
    );
    firsts.unwrap();
    assert!(points > 20);
}

#[test]
fn a_first_start_that_is_ended_twice_is_no_obstacle() {
    assert!(crash_twice(&EveryCrash::new().steps(1..=12).crashes([Crash::Kill]), 1) > 500);
}

#[test]
fn a_first_start_that_is_ended_is_no_obstacle_in_any_mode_nor_what_lay_there() {
    let open = |disk: &TestDisk, mode| {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let builder = Broker::builder().log_dir("data").log_dir("more").storage(disk.clone()).clock(clock);
        builder.recovery(mode).open()
    };
    for foreign in [None, Some("data/other-0"), Some("more/other-0")] {
        let disk = TestDisk::new();
        if let Some(foreign) = foreign.map(Path::new) {
            disk.create_dir(foreign).unwrap();
            disk.put(foreign.join("00000000000000000000.log"), b"of somebody").unwrap();
            disk.put(foreign.join("partition.metadata"), b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw")
                .unwrap();
        }
        let points = EveryCrash::new().begin_with(&disk).run(
            |disk, (): &mut ()| {
                drop(open(disk, RecoveryMode::Repair)?);
                Ok(())
            },
            |disk, (), _| {
                for mode in [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage] {
                    let disk = disk.after(Crash::Kill);
                    let broker = open(&disk, mode)?;
                    assert!(broker.admin().list_topics()?.is_empty(), "{mode:?}");
                    let partition = broker.admin().create_topic(NewTopic::new("t"))?.partition(0)?;
                    partition.append(&[Record::new().value("x")])?;
                    partition.sync()?;
                    let broker = open(&disk.after(Crash::PowerCut), RecoveryMode::Strict)?;
                    assert_eq!(broker.topic("t")?.partition(0)?.log_end_offset(), 1, "{mode:?}");
                }
                Ok(())
            },
        );
        assert!(points.unwrap() > 100);
    }
}

#[test]
#[ignore = "takes minutes, in release mode; `every_acknowledged_record_survives` does some of its crashes"]
fn every_step_of_the_life_is_crashed_at() {
    crash(&EveryCrash::new().seeds(4));
}

#[test]
#[ignore = "takes an hour, in release mode; `a_crash_during_the_recovery` does some; STREAMLOG_TEST_STRIDE=13 takes minutes, _FROM and _TO part it"]
fn every_step_of_every_recovery_is_crashed_at() {
    let number = |name, or| std::env::var(name).map_or(or, |number| number.parse().unwrap());
    let steps = number("STREAMLOG_TEST_FROM", 1)..=number("STREAMLOG_TEST_TO", u64::MAX);
    crash_twice(&EveryCrash::new().stride(number("STREAMLOG_TEST_STRIDE", 1)).steps(steps), 1);
}
