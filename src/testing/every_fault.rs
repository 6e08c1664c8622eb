//! Code each of whose calls fails in turn, with a check of what is left.

use std::fmt;
use std::ops::RangeInclusive;

use super::call::Call;
use super::crash::Crash;
use super::failed::{Failed, Outcome, attempt};
use super::fault::Fault;
use super::likeness;
use super::test_disk::TestDisk;

/// Makes every call of a piece of code fail in turn, in every way, and checks what is left when it has ended.
///
/// [`run`](EveryFault::run) runs the code once to note its [calls](TestDisk::calls), and then again for each fault and each call
/// that it can hit. By default the faults are a full disk, a device that does not answer (a failed sync among it), a write that
/// stops half way, and one that is made and fails all the same; each hits once, and [`lasting`](EveryFault::lasting) makes it stay.
/// Then the check gets the disk, healed. It may look at what another process would find there by [`TestDisk::after`].
///
/// The code notes in a ledger what it has been promised, and may go on after an error or end with it.
///
/// # Examples
///
/// ```
/// use streamlog::testing::{Crash, EveryFault, TestDisk};
/// use streamlog::{Broker, ManualClock, NewTopic, Record, Timestamp};
///
/// let open = |disk: &TestDisk| {
///     let clock = ManualClock::new(Timestamp::from_millis(0));
///     Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).open()
/// };
/// let points = EveryFault::new().stride(5).run(
///     |disk, acknowledged: &mut u64| {
///         let broker = open(disk)?;
///         broker.admin().create_topic(NewTopic::new("orders"))?;
///         let orders = broker.topic("orders")?.partition(0)?;
///         orders.append(&[Record::new().value("3 apples")])?;
///         *acknowledged = orders.sync()?.into();
///         Ok(())
///     },
///     |disk, &acknowledged, _point| {
///         if acknowledged > 0 {
///             let orders = open(&disk.after(Crash::PowerCut))?.topic("orders")?.partition(0)?;
///             assert_eq!(orders.log_end_offset(), acknowledged);
///         }
///         Ok(())
///     },
/// )?;
/// assert!(points > 30);
/// # Ok::<(), streamlog::testing::Failed>(())
/// ```
#[derive(Debug, Clone)]
pub struct EveryFault {
    disk: TestDisk,
    faults: Vec<Fault>,
    calls: RangeInclusive<u64>,
    stride: u64,
    is_lasting: bool,
}

/// What went wrong in a piece of code, and where.
///
/// # Examples
///
/// ```
/// use streamlog::testing::{EveryFault, Fault, FaultPoint};
///
/// let mut seen = Vec::new();
/// let points = EveryFault::new().faults([Fault::full()]).run(
///     |disk, _: &mut ()| Ok(streamlog::Storage::create_dir(disk, "data".as_ref())?),
///     |_, (), point: &FaultPoint| {
///         seen.push(point.to_string());
///         Ok(())
///     },
/// );
/// assert_eq!(points.unwrap(), 1);
/// assert_eq!(seen, ["call 1 of 1, a creation of the directory data: the disk is full, at call 1"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultPoint {
    /// The number of the first call that was hit, from 1 on.
    pub number: u64,
    /// How many calls there are when nothing goes wrong.
    pub calls: u64,
    /// That call, as it was when nothing went wrong.
    pub call: Call,
    /// What hit it.
    pub fault: Fault,
}

impl fmt::Display for FaultPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} of {}, {}: {}", self.number, self.calls, self.call, self.fault)
    }
}

impl EveryFault {
    /// Every call, on an empty disk.
    #[must_use]
    pub fn new() -> EveryFault {
        let faults = vec![Fault::full(), Fault::io(), Fault::short_write(), Fault::late_write()];
        EveryFault { disk: TestDisk::new(), faults, calls: 1..=u64::MAX, stride: 1, is_lasting: false }
    }

    /// Begins each time with what this disk holds now, as after a [`Kill`](Crash::Kill).
    #[must_use]
    pub fn begin_with(mut self, disk: &TestDisk) -> EveryFault {
        self.disk = disk.after(Crash::Kill);
        self
    }

    /// Only these go wrong, each at the calls that it can hit. What they say of numbers does not count.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> EveryFault {
        self.faults = faults.into_iter().collect();
        self
    }

    /// Only these calls fail: what [`Failed`] says to repeat a point. A call that the code no longer makes is no point, and where none
    /// is left [`run`](EveryFault::run) fails.
    #[must_use]
    pub fn calls(mut self, calls: RangeInclusive<u64>) -> EveryFault {
        self.calls = calls;
        self
    }

    /// Only every so many-th of the calls fails, 1 being every one, and 0 as well. For a quick look; the rest is not checked.
    #[must_use]
    pub fn stride(mut self, stride: u64) -> EveryFault {
        self.stride = stride.max(1);
        self
    }

    /// Each fault stays until the code has ended, instead of hitting one call.
    #[must_use]
    pub fn lasting(mut self) -> EveryFault {
        self.is_lasting = true;
        self
    }

    /// Runs `life` again and again, and `check` on what each leaves; gives the number of points that were checked, at least 1.
    ///
    /// What `life` returns counts only when nothing goes wrong. One that promises nothing says so with a type, as Rust cannot guess the
    /// ledger: write `|disk, _: &mut ()|`.
    ///
    /// # Errors
    ///
    /// [`Failed`] at the first point whose check fails or panics, or where `life` panics, or fails by itself; where `life` came to the
    /// point by other [calls](TestDisk::calls) than in the first run; and where there was no point to check, as with
    /// [calls](EveryFault::calls) that `life` does not make, or that none of the [faults](EveryFault::faults) can hit.
    pub fn run<Ledger: Default>(
        &self,
        mut life: impl FnMut(&TestDisk, &mut Ledger) -> Outcome,
        mut check: impl FnMut(&TestDisk, &Ledger, &FaultPoint) -> Outcome,
    ) -> Result<u64, Failed> {
        let whole = self.disk.after(Crash::Kill);
        attempt(|| life(&whole, &mut Ledger::default()))
            .map_err(|why| Failed::new("no point, with nothing going wrong", why, String::new()))?;
        let (calls, first_did) = (whole.noted(), whole.calls());
        let first = 1.max(*self.calls.start());
        let mut count = 0;
        for (number, (call, is_step)) in (1_u64..).zip(&calls) {
            let from_first = number.saturating_sub(first);
            if !self.calls.contains(&number) || !u64::is_multiple_of(from_first, self.stride) {
                continue;
            }
            for fault in &self.faults {
                let fault = fault.clone().at_call(number);
                if fault.hit(call, *is_step, number, 0).is_none() {
                    continue;
                }
                let fault = if self.is_lasting { fault.from_call(number) } else { fault };
                let (call, calls) = (call.clone(), calls.len() as u64);
                let point = FaultPoint { number, calls, call, fault };
                self.at(&point, &first_did, &mut life, &mut check).map_err(|why| {
                    Failed::new(&point, why, format!(".calls({number}..={number}) and that fault"))
                })?;
                count += 1;
            }
        }
        if count == 0 { Err(Failed::unchecked(self.why_unchecked(calls.len()))) } else { Ok(count) }
    }

    fn why_unchecked(&self, calls: usize) -> String {
        let (start, end) = (*self.calls.start(), *self.calls.end());
        if self.faults.is_empty() {
            ".faults([]) asks for nothing to go wrong".to_owned()
        } else if start.max(1) > end.min(calls as u64) {
            format!("the run makes {calls} calls, and .calls({start}..={end}) asks for others")
        } else {
            "none of the faults can hit any of the calls that were asked for".to_owned()
        }
    }

    fn at<Ledger: Default>(
        &self,
        point: &FaultPoint,
        first_did: &[Call],
        life: &mut impl FnMut(&TestDisk, &mut Ledger) -> Outcome,
        check: &mut impl FnMut(&TestDisk, &Ledger, &FaultPoint) -> Outcome,
    ) -> Outcome {
        let (disk, mut ledger) = (self.disk.after(Crash::Kill), Ledger::default());
        disk.inject(point.fault.clone());
        // An error is what a fault is expected to bring; a panic is not.
        attempt(|| {
            let _ = life(&disk, &mut ledger);
            likeness::check("call", point.number, &disk.calls(), first_did)?;
            disk.heal();
            check(&disk, &ledger, point)
        })
    }
}

impl Default for EveryFault {
    fn default() -> EveryFault {
        EveryFault::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::path::Path;

    use super::*;
    use crate::testing::Calls;
    use crate::{Access, Storage};

    /// Tries each of these calls, whatever came of the one before, and counts those that failed.
    fn live(disk: &TestDisk, failed: &mut u64) -> Outcome {
        let mut note = |is_err: bool| *failed += u64::from(is_err);
        note(disk.create_dir(Path::new("d")).is_err());
        note(disk.stat(Path::new("")).is_err());
        let file = disk.open(Path::new("file"), Access::Create);
        note(file.is_err());
        if let Ok(file) = file {
            note(file.write_at(0, &[IoSlice::new(b"abcd")]).is_err());
            note(file.sync_data().is_err());
        }
        Ok(())
    }

    #[test]
    fn every_fault_hits_every_call_that_it_can() {
        let mut points = Vec::new();
        let count = EveryFault::new().run(live, |disk, &failed, point| {
            assert_eq!(failed, 1, "{point}");
            disk.stat(Path::new(""))?;
            points.push(point.number);
            Ok(())
        });
        assert_eq!(count.unwrap(), 5 + 3 * 3);
        assert_eq!(points, [1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn a_lasting_fault_stays_until_the_end() {
        let mut counts = Vec::new();
        let every = EveryFault::new().lasting().faults([Fault::io()]);
        every
            .run(live, |_, &failed, _| {
                counts.push(failed);
                Ok(())
            })
            .unwrap();
        assert_eq!(counts, [3, 2, 1, 2, 1]);
    }

    #[test]
    fn a_part_is_run_alone() {
        let run = |every: EveryFault| {
            let mut calls = Vec::new();
            every
                .run(live, |_, _, point| {
                    calls.push(point.number);
                    Ok(())
                })
                .unwrap();
            calls
        };
        let io = || EveryFault::new().faults([Fault::io()]);
        assert_eq!(run(io().calls(2..=3)), [2, 3]);
        assert_eq!(run(io().stride(2)), [1, 3, 5]);
        assert_eq!(
            run(io().stride(2).calls(2..=5)),
            [2, 4],
            "a stride begins with the first call that is asked for"
        );
        assert_eq!(run(io().stride(0).calls(0..=2)), [1, 2], "there is no call 0");
        assert_eq!(run(EveryFault::new().faults([Fault::io().on(Calls::Syncs)])), [5]);
        assert_eq!(run(EveryFault::new().faults([Fault::lying_sync(), Fault::full().of("file")])), [3, 4, 5]);
        let disk = TestDisk::new();
        disk.create_dir(Path::new("d")).unwrap();
        let begun = EveryFault::new().begin_with(&disk).faults([Fault::full()]);
        assert_eq!(run(begun), [3, 4], "the directory is there");
    }

    #[test]
    fn a_run_that_checked_nothing_has_failed_and_says_why() {
        let told = |every: EveryFault| {
            every.run(live, |_, _, _| panic!("a point is checked")).unwrap_err().to_string()
        };
        let of_calls = "no point was checked: the run makes 5 calls, and .calls(9..=10) asks for others";
        assert_eq!(told(EveryFault::new().calls(9..=10)), of_calls);
        let of_faults = "no point was checked: .faults([]) asks for nothing to go wrong";
        assert_eq!(told(EveryFault::new().faults([])), of_faults);
        let of_hits = "no point was checked: none of the faults can hit any of the calls that were asked for";
        assert_eq!(told(EveryFault::new().faults([Fault::lying_sync()]).calls(1..=4)), of_hits);
        let idle = EveryFault::new().run(|_, (): &mut ()| Ok(()), |_, (), _| Ok(()));
        assert!(idle.unwrap_err().to_string().contains("the run makes 0 calls"));
    }

    #[test]
    fn a_life_that_is_another_in_each_run_is_told() {
        let mut runs = 0;
        let failed = EveryFault::new().calls(4..=5).faults([Fault::io()]).run(
            |disk, failed| {
                runs += 1;
                if runs == 3 { Ok(()) } else { live(disk, failed) }
            },
            |_, _, _| Ok(()),
        );
        let told = failed.unwrap_err().to_string();
        let expected = "the code does not do the same in each run: call 1 was a creation of the directory d in the first run and is the end";
        assert!(told.starts_with("at call 5 of 5, a sync of file") && told.contains(expected), "{told}");
    }

    #[test]
    fn a_check_that_fails_is_told_with_its_point() {
        let failed = EveryFault::new().run(live, |_, _, point| match point.number {
            4 => Err("wrong".into()),
            _ => Ok(()),
        });
        let told = failed.unwrap_err().to_string();
        let expected = "at call 4 of 5, a write of file, bytes 0..4: the disk is full, at call 4: wrong (repeat it with .calls(4..=4)";
        assert!(told.starts_with(expected), "{told}");
        let failed = EveryFault::new().run(
            |disk, failed| {
                live(disk, failed)?;
                assert_eq!(*failed, 0, "lost");
                Ok(())
            },
            |_, _, _| Ok(()),
        );
        assert!(failed.unwrap_err().to_string().contains(": lost"));
    }
}
