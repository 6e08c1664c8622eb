//! Work that is due at a time: a list of deadlines, and what to do at each.
//!
//! Nobody polls it. A worker thread sleeps until the earliest deadline and is woken when an earlier one comes in; on a
//! manual clock there is no such thread, and whoever moves the clock runs what falls due, in the order of the deadlines.
//! What is due at once is run at once there, by whoever asks for it.
//!
//! Invariants: a job runs once, with no lock of this file held; jobs of one deadline run in the order they came.

use std::collections::BTreeMap;
use std::fmt;
use std::task::Waker;
use std::time::Duration;

use crate::signal::Watcher;
use crate::sync::{Mutex, OnceLock};

/// What a timer does.
type Job = Box<dyn FnOnce() + Send>;

/// Deadlines on one clock's monotonic time; see the [module](self).
#[derive(Default)]
pub(crate) struct Timers {
    /// Held only to add or take a job, never while one runs.
    jobs: Mutex<Jobs>,
    /// Woken when the earliest deadline has moved forward: the thread that sleeps until it. None on a manual clock.
    worker: OnceLock<Waker>,
    /// Told of the same: who moves a manual clock and waits there until anything is to be done.
    mover: Watcher,
}

#[derive(Default)]
struct Jobs {
    /// Whether nothing is run any more.
    is_over: bool,
    /// By deadline, then by arrival.
    queue: BTreeMap<(Duration, u64), Job>,
    arrivals: u64,
}

impl Timers {
    /// Runs `job` once the clock has reached `deadline`. Never after the [`end`](Timers::end).
    pub(crate) fn schedule(&self, deadline: Duration, job: impl FnOnce() + Send + 'static) {
        let mut jobs = self.jobs.lock();
        if jobs.is_over {
            return;
        }
        let arrival = jobs.arrivals;
        jobs.arrivals += 1;
        let earliest = jobs.queue.first_key_value().is_none_or(|(&(first, _), _)| deadline < first);
        jobs.queue.insert((deadline, arrival), Box::new(job));
        drop(jobs);
        if earliest {
            self.wake_worker();
        }
    }

    /// Runs `job` in the background as soon as can be: at once, where there is no background.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        if self.have_worker() {
            self.schedule(Duration::ZERO, job);
        } else {
            job();
        }
    }

    /// Whether a thread of their own runs the jobs. None on a manual clock.
    pub(crate) fn have_worker(&self) -> bool {
        self.worker.get().is_some()
    }

    /// Names the thread that will run the jobs. Once, by that thread.
    pub(crate) fn set_worker(&self, waker: &Waker) {
        // There is only one.
        let _ = self.worker.set(waker.clone());
    }

    /// Lets go of all jobs, and of what comes from now on: a job may hold what holds the timers.
    pub(crate) fn end(&self) {
        let queue = {
            let mut jobs = self.jobs.lock();
            jobs.is_over = true;
            std::mem::take(&mut jobs.queue)
        };
        drop(queue);
    }

    /// Lets the thread that runs the jobs look again.
    pub(crate) fn wake_worker(&self) {
        if let Some(worker) = self.worker.get() {
            worker.wake_by_ref();
        }
        self.mover.tell();
    }

    /// Who moves the clock, to be told when a job comes in that is the earliest.
    pub(super) fn mover(&self) -> &Watcher {
        &self.mover
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.jobs.lock().queue.first_key_value().map(|(&(deadline, _), _)| deadline)
    }

    /// Runs everything that is due at `now`, one job after the other, those included that the jobs themselves add.
    pub(crate) fn run_due(&self, now: Duration) {
        while let Some(job) = self.take_due(now) {
            job();
        }
    }

    fn take_due(&self, now: Duration) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        let first = jobs.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("next_deadline", &self.next_deadline()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn jobs_run_in_the_order_of_their_deadlines_and_only_when_due() {
        let timers = Timers::default();
        let ran = Arc::new(Mutex::new(Vec::new()));
        for (deadline, name) in [(30, 'c'), (10, 'a'), (10, 'b'), (40, 'd')] {
            let ran = Arc::clone(&ran);
            timers.schedule(Duration::from_secs(deadline), move || ran.lock().push(name));
        }
        timers.run_due(Duration::from_secs(9));
        assert!(ran.lock().is_empty());
        timers.run_due(Duration::from_secs(30));
        assert_eq!(*ran.lock(), ['a', 'b', 'c']);
        assert_eq!(timers.next_deadline(), Some(Duration::from_secs(40)));
    }
}
