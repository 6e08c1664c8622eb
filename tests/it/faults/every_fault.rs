//! Every kind of fault at every call of a broker's life, and of its recovery: the process lives, and works on once the disk does.
//!
//! `cargo test` does a part of it, at every so many-th call. All of it:
//!
//! ```text
//! cargo test --release --test it faults::every_fault -- --ignored --nocapture --test-threads 1
//! ```

use streamlog::testing::{Crash, EveryCrash, EveryFault, Fault};

use super::life::{self, Kept, LIFE, Ledger};

/// What goes wrong once, and what a failed call leaves undone.
fn faults() -> [Fault; 6] {
    [
        Fault::full(),
        Fault::io(),
        Fault::short_write(),
        Fault::late_write(),
        Fault::interrupted(),
        Fault::flipped_bit(1),
    ]
}

fn outlive(every: &EveryFault) -> u64 {
    let points = every.run(
        |disk, ledger: &mut Ledger| Ok(life::live_on(disk, ledger)?),
        |disk, ledger, _| {
            life::check_outlived(disk, ledger);
            Ok(())
        },
    );
    let points = points.unwrap();
    eprintln!("{points} faults outlived: nothing lost, everything works on or says that it is poisoned");
    points
}

/// Lets each call of a recovery fail, after crashes at every so many-th step of the life.
fn outlive_in_recoveries(crash_stride: u64, stride: u64) -> u64 {
    let mut points = 0;
    let crashes = [Crash::Kill, Crash::PowerCut, Crash::Reordered { seed: 3 }];
    let every = EveryCrash::new().stride(crash_stride).crashes(crashes);
    let firsts = every.run(
        |disk, ledger| life::live(disk, LIFE, ledger),
        |disk, ledger: &Ledger, first| {
            let every = EveryFault::new().begin_with(disk).stride(stride).faults(faults());
            points += every.run(
                |disk, (): &mut ()| {
                    let _opened = life::open(disk)?;
                    let _ = disk.restart(Crash::Kill);
                    Ok(())
                },
                |disk, (), _| {
                    let kept = |crash| {
                        if first.crash.keeps_page_cache() { Kept::after(crash) } else { Kept::Durable }
                    };
                    for crash in [Crash::Kill, Crash::PowerCut] {
                        let (broker, _clock) = life::open(&disk.after(crash))?;
                        ledger.clone().check(&broker, kept(crash));
                    }
                    Ok(())
                },
            )?;
            Ok(())
        },
    );
    eprintln!("{points} faults in the recoveries from {} crashes: nothing lost", firsts.unwrap());
    points
}

#[test]
fn whatever_call_fails_the_process_lives_and_works_on() {
    let every = EveryFault::new().faults(faults());
    assert!(outlive(&every.stride(31)) > 200);
}

#[test]
fn whatever_call_of_a_recovery_fails_the_next_one_finds_everything() {
    assert!(outlive_in_recoveries(97, 29) > 50);
}

#[test]
#[ignore = "takes minutes, in release mode; `whatever_call_fails_the_process_lives_and_works_on` has every 31st call fail"]
fn every_call_of_the_life_fails() {
    outlive(&EveryFault::new().faults(faults()));
}

#[test]
#[ignore = "takes a quarter of an hour, in release mode; `whatever_call_of_a_recovery_fails` has every 29th call fail"]
fn every_call_of_recoveries_fails() {
    outlive_in_recoveries(7, 1);
}
