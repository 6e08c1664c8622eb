//! Code that is ended at each of its steps, with a check of what is left.

use std::fmt;
use std::ops::RangeInclusive;

use super::call::Call;
use super::crash::Crash;
use super::failed::{Failed, Outcome, attempt};
use super::fault::Fault;
use super::likeness;
use super::test_disk::TestDisk;

/// Ends a piece of code at every step of its I/O, in every way, and checks what the next process finds.
///
/// [`run`](EveryCrash::run) runs the code once to count its [steps](TestDisk::steps), and then again for each of them: the step
/// is not made, and every call fails from there on. After the last step there is one more point, the end. At each point the check
/// gets the disk that is left after each [`Crash`]: by default after [`Kill`](Crash::Kill) and [`PowerCut`](Crash::PowerCut), and
/// after one [`Torn`](Crash::Torn) and one [`Reordered`](Crash::Reordered) with seeds of their own.
///
/// The code notes in a ledger what it has been promised. The ledger is a value of any type, and begins as its default.
///
/// A broker in such code gets a [`ManualClock`](crate::ManualClock), so that it has no threads and takes the same steps each time, and
/// a [`seed`](crate::BrokerConfig::seed). Code whose steps differ from run to run is an error.
///
/// # Examples
///
/// A file that is replaced whole has its old contents or its new ones, but only if all is synced in order:
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
/// use streamlog::testing::{EveryCrash, Outcome, TestDisk};
/// use streamlog::{Access, Storage};
///
/// fn save(disk: &TestDisk, contents: &str, with_sync: bool) -> Outcome {
///     let (new, file) = (Path::new("sums.new"), Path::new("sums"));
///     drop(disk.remove_file(new));
///     let opened = disk.open(new, Access::Create)?;
///     opened.write_at(0, &[IoSlice::new(contents.as_bytes())])?;
///     if with_sync {
///         opened.sync_data()?;
///     }
///     disk.rename(new, file)?;
///     Ok(disk.sync_dir(Path::new(""))?)
/// }
///
/// let check = |with_sync| {
///     EveryCrash::new().run(
///         |disk, saved: &mut &str| {
///             for contents in ["40", "41", "42"] {
///                 save(disk, contents, with_sync)?;
///                 *saved = contents;
///             }
///             Ok(())
///         },
///         |disk, &saved, _| {
///             let found = disk.files().remove(Path::new("sums")).unwrap_or_default();
///             match String::from_utf8(found)? {
///                 found if found.as_str() >= saved && found.len() == 2 || saved.is_empty() && found.is_empty() => Ok(()),
///                 found => Err(format!("{found:?} where {saved} was saved").into()),
///             }
///         },
///     )
/// };
/// assert!(check(true).is_ok());
/// let failed = check(false).unwrap_err().to_string();
/// assert!(failed.starts_with("at step 5 of 13, a creation of sums.new, PowerCut: \"\" where 40 was saved"), "{failed}");
/// ```
#[derive(Debug, Clone)]
pub struct EveryCrash {
    disk: TestDisk,
    steps: RangeInclusive<u64>,
    stride: u64,
    crashes: Option<Vec<Crash>>,
    seeds: u64,
}

/// Where a piece of code was ended, and how.
///
/// # Examples
///
/// ```
/// use streamlog::testing::{Crash, CrashPoint, EveryCrash};
///
/// let mut seen = Vec::new();
/// let points = EveryCrash::new().crashes([Crash::Kill]).run(
///     |disk, _: &mut ()| Ok(streamlog::Storage::create_dir(disk, "data".as_ref())?),
///     |_, (), point: &CrashPoint| {
///         seen.push(point.to_string());
///         Ok(())
///     },
/// );
/// assert_eq!(points.unwrap(), 2);
/// assert_eq!(seen, ["step 1 of 2, a creation of the directory data, Kill", "step 2 of 2, the end, Kill"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrashPoint {
    /// The number of the step that was not made, from 1 on.
    pub step: u64,
    /// The number of the last point: one more than there are steps.
    pub steps: u64,
    /// That step, as it was when the code was run whole; `None` at the end.
    pub call: Option<Call>,
    /// How it was ended.
    pub crash: Crash,
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of {}, ", self.step, self.steps)?;
        match &self.call {
            Some(call) => write!(f, "{call}, "),
            None => f.write_str("the end, "),
        }?;
        write!(f, "{:?}", self.crash)
    }
}

impl EveryCrash {
    /// Every step, on an empty disk.
    #[must_use]
    pub fn new() -> EveryCrash {
        EveryCrash { disk: TestDisk::new(), steps: 1..=u64::MAX, stride: 1, crashes: None, seeds: 1 }
    }

    /// Begins each time with what this disk holds now, as after a [`Kill`](Crash::Kill): to end a recovery at every step of its own.
    #[must_use]
    pub fn begin_with(mut self, disk: &TestDisk) -> EveryCrash {
        self.disk = disk.after(Crash::Kill);
        self
    }

    /// Ends it at these steps alone: what [`Failed`] says to repeat a point. A step that the code no longer comes to is no point, and
    /// where none is left [`run`](EveryCrash::run) fails.
    #[must_use]
    pub fn steps(mut self, steps: RangeInclusive<u64>) -> EveryCrash {
        self.steps = steps;
        self
    }

    /// Ends it at every so many-th step alone, 1 being every one, and 0 as well. For a quick look; the rest is not checked.
    #[must_use]
    pub fn stride(mut self, stride: u64) -> EveryCrash {
        self.stride = stride.max(1);
        self
    }

    /// Ends it in these ways alone.
    #[must_use]
    pub fn crashes(mut self, crashes: impl IntoIterator<Item = Crash>) -> EveryCrash {
        self.crashes = Some(crashes.into_iter().collect());
        self
    }

    /// Leaves so many torn and so many reordered disks at each step, each with a seed of its own. The default is 1.
    #[must_use]
    pub fn seeds(mut self, count: u64) -> EveryCrash {
        self.seeds = count;
        self
    }

    /// Runs `life` again and again, and `check` on what each leaves; gives the number of points that were checked, at least 1.
    ///
    /// `life` must end when the disk refuses, and is expected to: what it returns counts only while there is power. One that promises
    /// nothing says so with a type, as Rust cannot guess the ledger: write `|disk, _: &mut ()|`.
    ///
    /// # Errors
    ///
    /// [`Failed`] at the first point whose check fails or panics, or where `life` failed or panicked by itself; where `life` came to the
    /// point by other [steps](TestDisk::steps) than in the first run, with other paths or ranges (that the same steps write other
    /// bytes, or that a run reads more, is not noticed); and where there was no point to check, as with
    /// [steps](EveryCrash::steps) that `life` does not have or no [crashes](EveryCrash::crashes).
    pub fn run<Ledger: Default>(
        &self,
        mut life: impl FnMut(&TestDisk, &mut Ledger) -> Outcome,
        mut check: impl FnMut(&TestDisk, &Ledger, &CrashPoint) -> Outcome,
    ) -> Result<u64, Failed> {
        let whole = self.disk.after(Crash::Kill);
        attempt(|| life(&whole, &mut Ledger::default()))
            .map_err(|why| Failed::new("no point, with nothing going wrong", why, String::new()))?;
        let calls = whole.steps();
        let last = calls.len() as u64 + 1;
        let mut count = 0;
        let stride = usize::try_from(self.stride).unwrap_or(usize::MAX);
        for step in (1.max(*self.steps.start())..=last.min(*self.steps.end())).step_by(stride) {
            let call = usize::try_from(step).ok().and_then(|step| calls.get(step.checked_sub(1)?)).cloned();
            let disk = self.disk.after(Crash::Kill);
            disk.inject(Fault::power_cut().at_step(step));
            let mut ledger = Ledger::default();
            let lived = attempt(|| life(&disk, &mut ledger));
            if let (Err(why), false) = (lived, disk.is_down()) {
                let again = format!(".steps({step}..={step})");
                return Err(Failed::new(format!("step {step} of {last}, before it"), why, again));
            }
            likeness::check("step", step, &disk.steps(), &calls).map_err(|why| {
                let at_end = "the end".to_owned();
                let call = call.as_ref().map_or(at_end, Call::to_string);
                Failed::new(format!("step {step} of {last}, {call}"), why, String::new())
            })?;
            for crash in self.crashes_at(step) {
                let point = CrashPoint { step, steps: last, call: call.clone(), crash };
                attempt(|| check(&disk.after(crash), &ledger, &point)).map_err(|why| {
                    let again = format!(".steps({step}..={step}).crashes([Crash::{crash:?}])");
                    Failed::new(&point, why, again)
                })?;
                count += 1;
            }
        }
        if count == 0 { Err(Failed::unchecked(self.why_unchecked(last))) } else { Ok(count) }
    }

    fn why_unchecked(&self, last: u64) -> String {
        if self.crashes.as_ref().is_some_and(Vec::is_empty) {
            return ".crashes([]) asks for no way to end the run".to_owned();
        }
        let steps = last - 1;
        format!(
            "the run has {steps} steps, with its end as point {last}, and .steps({:?}) asks for others",
            self.steps
        )
    }

    fn crashes_at(&self, step: u64) -> Vec<Crash> {
        self.crashes.clone().unwrap_or_else(|| {
            let seeds = (0..self.seeds).map(|number| step.wrapping_mul(self.seeds).wrapping_add(number));
            let torn = seeds.flat_map(|seed| [Crash::Torn { seed }, Crash::Reordered { seed }]);
            [Crash::Kill, Crash::PowerCut].into_iter().chain(torn).collect()
        })
    }
}

impl Default for EveryCrash {
    fn default() -> EveryCrash {
        EveryCrash::new()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Storage;

    fn live(disk: &TestDisk, made: &mut u64) -> Outcome {
        for name in ["a", "b", "c"] {
            disk.create_dir(Path::new(name))?;
            *made += 1;
        }
        Ok(())
    }

    #[test]
    fn every_step_and_the_end_are_points_in_every_way() {
        let mut points = Vec::new();
        let count = EveryCrash::new().seeds(2).run(live, |disk, &made, point| {
            assert_eq!(made, point.step - 1, "the step was not made");
            assert_eq!((disk.call_count(), point.steps, point.call.is_none()), (0, 4, point.step == 4));
            let names = disk.list(Path::new(""))?.len() as u64;
            assert!(names <= made && (names == made || !point.crash.keeps_page_cache()));
            points.push((point.step, point.crash));
            Ok(())
        });
        assert_eq!((count.unwrap(), points.len()), (24, 24));
        points.sort_by_key(|(step, crash)| format!("{step} {crash:?}"));
        points.dedup();
        assert_eq!(points.len(), 24);
    }

    #[test]
    fn a_part_is_run_alone() {
        let run = |every: EveryCrash| {
            let mut steps = Vec::new();
            let every = every.crashes([Crash::Kill]);
            every
                .run(live, |_, _, point| {
                    steps.push(point.step);
                    Ok(())
                })
                .unwrap();
            steps
        };
        assert_eq!(run(EveryCrash::new()), [1, 2, 3, 4]);
        assert_eq!(run(EveryCrash::new().stride(3)), [1, 4]);
        assert_eq!(run(EveryCrash::new().stride(0).steps(2..=3)), [2, 3]);
        assert_eq!(run(EveryCrash::new().steps(0..=1)), [1], "there is no step 0");
        let disk = TestDisk::new();
        disk.create_dir(Path::new("a")).unwrap();
        assert_eq!(
            run(EveryCrash::new().begin_with(&disk)),
            [1, 2, 3],
            "there is one directory less to make"
        );
    }

    #[test]
    fn a_run_that_checked_nothing_has_failed_and_says_why() {
        let told = |every: EveryCrash| {
            every.run(live, |_, _, _| panic!("a point is checked")).unwrap_err().to_string()
        };
        let none = |asked: &str| {
            format!(
                "no point was checked: the run has 3 steps, with its end as point 4, and .steps({asked}) asks for others"
            )
        };
        assert_eq!(told(EveryCrash::new().steps(9..=10)), none("9..=10"));
        assert_eq!(told(EveryCrash::new().steps(5..=u64::MAX)), none("5..=18446744073709551615"));
        assert_eq!(told(EveryCrash::new().steps(0..=0)), none("0..=0"));
        let of_crashes = "no point was checked: .crashes([]) asks for no way to end the run";
        assert_eq!(told(EveryCrash::new().crashes([])), of_crashes);
    }

    #[test]
    fn a_life_that_is_another_in_each_run_is_told() {
        let told = |runs: [&[&'static str]; 2], steps| {
            let mut run = 0;
            let life = |disk: &TestDisk, _: &mut ()| {
                for name in runs.get(run).into_iter().copied().flatten() {
                    disk.create_dir(Path::new(name))?;
                }
                run += 1;
                Ok(())
            };
            let every = EveryCrash::new().steps(steps).crashes([Crash::Kill]);
            every.run(life, |_, (), _| Ok(())).map_err(|failed| failed.to_string())
        };
        let starts = |told: Result<u64, String>, start: &str| {
            let told = told.unwrap_err();
            assert!(told.starts_with(start) && told.contains("ManualClock"), "{told}");
        };
        let same = |point: &str| format!("at step {point}: the code does not do the same in each run: step");
        assert_eq!(told([&["a", "b"], &["a", "b"]], 3..=3), Ok(1));
        assert_eq!(told([&["a", "b"], &["a", "c"]], 1..=1), Ok(1), "nothing was made to go wrong behind it");
        let other = same("2 of 3, a creation of the directory b");
        starts(
            told([&["a", "b"], &["a", "c"]], 2..=2),
            &format!("{other} 2 was a creation of the directory b in"),
        );
        starts(
            told([&["a", "b"], &["c", "b"]], 2..=2),
            &format!("{other} 1 was a creation of the directory a in"),
        );
        let shorter =
            format!("{other} 2 was a creation of the directory b in the first run and is the end now");
        starts(told([&["a", "b"], &["a"]], 2..=2), &shorter);
        let longer = same("3 of 3, the end");
        starts(
            told([&["a", "b"], &["a", "b", "c"]], 3..=3),
            &format!("{longer} 3 was the end in the first run"),
        );
        starts(
            told([&["a", "b"], &["a"]], 3..=3),
            &format!("{longer} 2 was a creation of the directory b in"),
        );
    }

    #[test]
    fn a_check_that_fails_or_panics_is_told_with_its_point() {
        let told = |check: fn(u64) -> Outcome| {
            let ran = EveryCrash::new().run(live, |_, _, point| match (point.step, point.crash) {
                (2, Crash::Torn { .. }) => check(point.step),
                _ => Ok(()),
            });
            ran.unwrap_err().to_string()
        };
        let again = "(repeat it with .steps(2..=2).crashes([Crash::Torn { seed: 2 }]))";
        let point = "at step 2 of 4, a creation of the directory b, Torn { seed: 2 }: ";
        assert_eq!(told(|_| Err("wrong".into())), format!("{point}wrong {again}"));
        assert_eq!(told(|step| panic!("no {step}")), format!("{point}no 2 {again}"));
        assert_eq!(told(|_| panic!("none")), format!("{point}none {again}"));
    }

    #[test]
    fn a_life_that_fails_by_itself_is_no_crash() {
        let failed = EveryCrash::new().run(|_, _: &mut ()| Err("out of apples".into()), |_, (), _| Ok(()));
        assert!(failed.unwrap_err().to_string().contains("nothing going wrong: out of apples"));
        let mut runs = 0;
        let failed = EveryCrash::new().run(
            |disk, made| {
                runs += 1;
                if runs == 3 { Err("tired".into()) } else { live(disk, made) }
            },
            |_, _, _| Ok(()),
        );
        assert!(failed.unwrap_err().to_string().starts_with("at step 2 of 4, before it: tired"));
    }
}
