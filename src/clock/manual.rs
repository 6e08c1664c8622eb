//! A clock that stands still until a test moves it.
//!
//! A broker on a manual clock has no background threads: what falls due runs inside [`ManualClock::advance`], on the
//! caller's thread, in the order of the deadlines, with the clock standing at each deadline while its work runs. So a
//! run is the same every time.

use std::time::Duration;

use super::source::{Clock, sealed};
use super::timers::Timers;
use crate::offset::Timestamp;
use crate::sync::{Arc, Mutex, Weak};

/// A clock that a test moves by hand; clones are the same clock.
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
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    start: Timestamp,
    passed: Duration,
    /// How far the clock will have moved once every advance that has begun is over.
    promised: Duration,
    timers: Vec<Weak<Timers>>,
}

impl ManualClock {
    /// A clock that stands at `wall`, with a monotonic time of zero.
    #[must_use]
    pub fn new(wall: Timestamp) -> ManualClock {
        let state =
            State { start: wall, passed: Duration::ZERO, promised: Duration::ZERO, timers: Vec::new() };
        ManualClock { shared: Arc::new(Mutex::new(state)) }
    }

    /// Moves both times forward, stopping at each deadline on the way to run what is due there. Returns when all of
    /// it has run. Advances of several threads add up.
    pub fn advance(&self, duration: Duration) {
        let target = {
            let mut state = self.shared.lock();
            state.promised = state.promised.saturating_add(duration);
            state.promised
        };
        loop {
            let due = self.next_due(target);
            let stop = due.as_ref().map_or(target, |&(deadline, _)| deadline);
            {
                let mut state = self.shared.lock();
                state.passed = state.passed.max(stop);
            }
            match due {
                Some((_, timers)) => timers.run_due(stop),
                None => return,
            }
        }
    }

    /// The earliest deadline up to `target`, and whose it is.
    fn next_due(&self, target: Duration) -> Option<(Duration, Arc<Timers>)> {
        let mut state = self.shared.lock();
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
        let state = self.shared.lock();
        state.start.saturating_add(state.passed)
    }

    fn monotonic(&self) -> Duration {
        self.shared.lock().passed
    }
}

impl sealed::Engine for ManualClock {
    #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
    fn runs(&self, timers: &Arc<Timers>) -> bool {
        self.shared.lock().timers.push(Arc::downgrade(timers));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
