//! A clock that stands still until a test moves it.
//!
//! A broker on a manual clock has no background threads: what falls due runs inside [`ManualClock::advance`], on the
//! caller's thread, in the order of the deadlines, with the clock standing at each deadline while its work runs. So a
//! run is the same every time.
//!
//! The thread that moves the clock cannot sleep on it, because nobody would wake it: where it has to wait, the clock goes from
//! one deadline to the next until what it waits for is there. Any other thread sleeps until it is woken or the clock
//! was moved as far as it waits.

use std::task::Waker;
use std::time::Duration;

use super::source::{Clock, sealed};
use super::timers::Timers;
use crate::offset::Timestamp;
use crate::signal::Parker;
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Arc, Condvar, Mutex, Weak};

/// A clock that a test moves by hand; clones are the same clock.
///
/// The thread that made it, or the one that last called [`advance`](ManualClock::advance), moves it. A call of that thread
/// that waits (a poll with a timeout) lets the time pass instead, up to what it waits for, and returns at once; so a test on
/// one thread neither sleeps nor hangs. A call on another thread sleeps until it has what it waits for, or until the
/// clock was moved past its timeout.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(0));
/// clock.advance(Duration::from_millis(250));
/// assert_eq!(clock.wall(), Timestamp::from_millis(250));
/// assert_eq!(clock.monotonic(), Duration::from_millis(250));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held only to look and to change; never while a job runs.
    state: Mutex<State>,
    /// Told when a sleeper that was woken has left its sleep.
    woken: Condvar,
}

#[derive(Debug)]
struct State {
    start: Timestamp,
    passed: Duration,
    /// How far the clock will have moved once every advance that has begun is over.
    promised: Duration,
    timers: Vec<Weak<Timers>>,
    /// The thread that moves the clock.
    mover: ThreadId,
    /// Threads that sleep until a deadline, by a number of their own.
    sleepers: Vec<Sleeper>,
    next_sleeper: u64,
}

#[derive(Debug)]
struct Sleeper {
    number: u64,
    deadline: Duration,
    waker: Waker,
}

impl ManualClock {
    /// A clock that stands at `wall`, with a monotonic time of zero.
    #[must_use]
    pub fn new(wall: Timestamp) -> ManualClock {
        let state = State {
            start: wall,
            passed: Duration::ZERO,
            promised: Duration::ZERO,
            timers: Vec::new(),
            mover: thread::current().id(),
            sleepers: Vec::new(),
            next_sleeper: 0,
        };
        ManualClock { shared: Arc::new(Shared { state: Mutex::new(state), woken: Condvar::new() }) }
    }

    /// Moves both times forward, stopping at each deadline on the way to run what is due there. Returns when all of
    /// it has run, and every thread that slept until a deadline on the way has woken up. Advances of several threads add up.
    pub fn advance(&self, duration: Duration) {
        let target = {
            let mut state = self.shared.state.lock();
            state.mover = thread::current().id();
            state.promised = state.promised.max(state.passed).saturating_add(duration);
            state.promised
        };
        while self.step(target) {}
    }

    /// Moves the clock to the next deadline of a job up to `target`, and runs what is due there; or, where there is none
    /// (`false`), to `target`.
    fn step(&self, target: Duration) -> bool {
        let due = self.next_due(target);
        self.move_to(due.as_ref().map_or(target, |&(deadline, _)| deadline));
        let Some((deadline, timers)) = due else { return false };
        timers.run_due(deadline);
        true
    }

    /// Moves the clock, and wakes who slept up to there.
    fn move_to(&self, time: Duration) {
        let mut state = self.shared.state.lock();
        state.passed = state.passed.max(time);
        let passed = state.passed;
        let is_due = |sleeper: &Sleeper| sleeper.deadline <= passed;
        state
            .sleepers
            .iter()
            .filter(|sleeper| is_due(sleeper))
            .for_each(|sleeper| sleeper.waker.wake_by_ref());
        self.shared.woken.wait_while(&mut state, |state| state.sleepers.iter().any(is_due));
    }

    /// A thread that does not move the clock sleeps.
    fn sleep(&self, parker: &Parker, deadline: Option<Duration>) {
        let Some(deadline) = deadline else { return parker.park(None) };
        let number = {
            let mut state = self.shared.state.lock();
            if state.passed >= deadline {
                return;
            }
            state.next_sleeper += 1;
            let (number, waker) = (state.next_sleeper, parker.waker().clone());
            state.sleepers.push(Sleeper { number, deadline, waker });
            number
        };
        parker.park(None);
        self.shared.state.lock().sleepers.retain(|sleeper| sleeper.number != number);
        self.shared.woken.notify_all();
    }

    /// The thread that moves the clock sleeps until it is woken, or another thread has left a job that the clock is to run.
    fn wait_for_work(&self, parker: &Parker) {
        let alive: Vec<_> = self.shared.state.lock().timers.iter().filter_map(Weak::upgrade).collect();
        alive.iter().for_each(|timers| timers.mover().wait(parker.waker()));
        if self.next_due(Duration::MAX).is_none() {
            parker.park(None);
        }
    }

    /// The earliest deadline up to `target`, and whose it is.
    fn next_due(&self, target: Duration) -> Option<(Duration, Arc<Timers>)> {
        let mut state = self.shared.state.lock();
        state.timers.retain(|timers| timers.strong_count() > 0);
        let alive = state.timers.iter().filter_map(Weak::upgrade);
        alive
            .filter_map(|timers| Some((timers.next_deadline()?, timers)))
            .filter(|&(deadline, _)| deadline <= target)
            .min_by_key(|&(deadline, _)| deadline)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        let state = self.shared.state.lock();
        state.start.saturating_add(state.passed)
    }

    fn monotonic(&self) -> Duration {
        self.shared.state.lock().passed
    }
}

impl sealed::Engine for ManualClock {
    #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
    fn runs(&self, timers: &Arc<Timers>) -> bool {
        self.shared.state.lock().timers.push(Arc::downgrade(timers));
        true
    }

    #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
    fn park(&self, parker: &Parker, deadline: Option<Duration>) {
        let is_mover = self.shared.state.lock().mover == thread::current().id();
        if !is_mover {
            return self.sleep(parker, deadline);
        }
        if parker.take() {
            return;
        }
        match deadline {
            Some(deadline) => drop(self.step(deadline)),
            // What has no deadline comes from a job, or else from another thread.
            None => match self.next_due(Duration::MAX) {
                Some((due, _)) => drop(self.step(due)),
                None => self.wait_for_work(parker),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use super::*;
    use crate::clock::block_until;

    #[test]
    fn the_clock_stands_at_each_deadline_while_its_job_runs() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let timers = Arc::new(Timers::default());
        assert!(sealed::Engine::runs(&clock, &timers));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for seconds in [2, 1] {
            let (clock, seen) = (clock.clone(), Arc::clone(&seen));
            timers.schedule(Duration::from_secs(seconds), move || {
                seen.lock().push(clock.monotonic().as_secs())
            });
        }
        clock.advance(Duration::from_secs(10));
        assert_eq!(*seen.lock(), [1, 2]);
        assert_eq!(clock.monotonic(), Duration::from_secs(10));
    }

    #[test]
    fn a_job_may_schedule_another_that_is_still_due() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let timers = Arc::new(Timers::default());
        assert!(sealed::Engine::runs(&clock, &timers));
        let ran = Arc::new(Mutex::new(0));
        let (again, counted) = (Arc::clone(&timers), Arc::clone(&ran));
        timers.schedule(Duration::from_secs(1), move || {
            again.schedule(Duration::from_secs(2), move || *counted.lock() += 1);
        });
        clock.advance(Duration::from_secs(3));
        assert_eq!(*ran.lock(), 1);
    }

    #[test]
    fn the_thread_that_moves_the_clock_waits_no_longer_than_it_must() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let timers = Arc::new(Timers::default());
        assert!(sealed::Engine::runs(&clock, &timers));
        let ready = Arc::new(Mutex::new(false));
        let (set, waker) = (Arc::clone(&ready), Parker::current().waker().clone());
        timers.schedule(Duration::from_secs(2), || {});
        timers.schedule(Duration::from_secs(5), move || {
            *set.lock() = true;
            waker.wake();
        });
        let ask = |_: &mut Context<'_>| if *ready.lock() { Poll::Ready(()) } else { Poll::Pending };
        assert_eq!(block_until(&clock, Some(Duration::from_secs(4)), ask), None);
        assert_eq!(clock.monotonic(), Duration::from_secs(4));
        assert_eq!(block_until(&clock, Some(Duration::from_secs(60)), ask), Some(()));
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }

    #[test]
    fn the_thread_that_moves_the_clock_runs_what_another_leaves_while_it_waits() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let timers = Arc::new(Timers::default());
        assert!(sealed::Engine::runs(&clock, &timers));
        let ready = Arc::new(Mutex::new(false));
        let (set, waker) = (Arc::clone(&ready), Parker::current().waker().clone());
        let other = thread::spawn({
            let timers = Arc::clone(&timers);
            move || {
                while !timers.mover().is_waiting() {
                    thread::yield_now();
                }
                timers.schedule(Duration::from_secs(5), move || {
                    *set.lock() = true;
                    waker.wake();
                });
            }
        });
        let ask = |_: &mut Context<'_>| if *ready.lock() { Poll::Ready(()) } else { Poll::Pending };
        assert_eq!(block_until(&clock, None, ask), Some(()));
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
        other.join().unwrap();
    }

    #[test]
    fn another_thread_sleeps_until_the_clock_was_moved_that_far() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let sleeper = thread::spawn({
            let clock = clock.clone();
            move || {
                let nothing = block_until(&clock, Some(Duration::from_secs(5)), |_| Poll::<()>::Pending);
                (nothing, clock.monotonic())
            }
        });
        while clock.shared.state.lock().sleepers.is_empty() {
            thread::yield_now();
        }
        clock.advance(Duration::from_secs(4));
        assert_eq!(clock.shared.state.lock().sleepers.len(), 1);
        clock.advance(Duration::from_secs(2));
        assert!(clock.shared.state.lock().sleepers.is_empty());
        assert_eq!(sleeper.join().unwrap(), (None, Duration::from_secs(6)));
    }
}
