//! When the oldest unsynced append of a log must be synced: `flush.ms`, without a clock and without a disk.
//!
//! At most one deadline counts at a time. One that was scheduled and has been overtaken by an earlier one finds nothing to do.
//!
//! Invariants: while anything is unsynced and the interval is set, a deadline is pending that is not later than the oldest
//! unsynced append plus the interval; where nothing is, a deadline that comes is not followed by another.

use std::time::Duration;

use crate::sync::Mutex;

/// The deadline of one log; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct FlushTimer {
    /// A leaf: held only to look and to change.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the oldest append that may be unsynced was made.
    oldest: Option<Duration>,
    /// The deadline that counts.
    pending: Option<Duration>,
}

/// What a deadline that has come means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fired {
    /// Nothing.
    Nothing,
    /// What is unsynced is so only since later: look again then.
    Later(Duration),
    /// Sync.
    Sync,
}

impl FlushTimer {
    /// Notes an append, made at `now` and not synced; `is_oldest`: everything before it is. Says for when to schedule a
    /// look, if for any time.
    pub(crate) fn note(&self, now: Duration, interval: Duration, is_oldest: bool) -> Option<Duration> {
        let mut state = self.state.lock();
        if is_oldest || state.oldest.is_none() {
            state.oldest = Some(now);
        }
        let due = state.oldest.unwrap_or(now).saturating_add(interval);
        let is_earlier = state.pending.is_none_or(|pending| due < pending);
        is_earlier.then(|| *state.pending.insert(due))
    }

    /// The look that was scheduled for `deadline` happens at `now`, where something is unsynced or not.
    pub(crate) fn fire(
        &self,
        deadline: Duration,
        now: Duration,
        interval: Option<Duration>,
        is_unsynced: bool,
    ) -> Fired {
        let mut state = self.state.lock();
        if state.pending != Some(deadline) {
            return Fired::Nothing;
        }
        state.pending = None;
        let (Some(interval), true) = (interval, is_unsynced) else { return Fired::Nothing };
        let due = state.oldest.map_or(now, |oldest| oldest.saturating_add(interval));
        if due <= now {
            // What is appended from here on is the oldest.
            state.oldest = None;
            return Fired::Sync;
        }
        state.pending = Some(due);
        Fired::Later(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_append_sets_the_deadline() {
        let timer = FlushTimer::default();
        assert_eq!(timer.note(seconds(1), seconds(10), true), Some(seconds(11)));
        assert_eq!(timer.note(seconds(5), seconds(10), false), None, "one is pending");
        let fire = |now| timer.fire(seconds(now), seconds(now), Some(seconds(10)), true);
        assert_eq!(fire(11), Fired::Sync);
        assert_eq!(timer.note(seconds(12), seconds(10), false), Some(seconds(22)));
        assert_eq!(timer.note(seconds(20), seconds(10), true), None, "a sync came between");
        assert_eq!(fire(22), Fired::Later(seconds(30)));
        assert_eq!(fire(30), Fired::Sync);
    }

    #[test]
    fn a_deadline_with_nothing_to_do_is_the_last() {
        let timer = FlushTimer::default();
        timer.note(seconds(1), seconds(10), true).unwrap();
        assert_eq!(timer.fire(seconds(11), seconds(11), Some(seconds(10)), false), Fired::Nothing);
        assert_eq!(timer.note(seconds(12), seconds(10), true), Some(seconds(22)));
        assert_eq!(timer.fire(seconds(22), seconds(22), None, true), Fired::Nothing, "it is off now");
    }

    #[test]
    fn a_shorter_interval_overtakes() {
        let timer = FlushTimer::default();
        timer.note(seconds(0), seconds(100), true).unwrap();
        assert_eq!(timer.note(seconds(1), seconds(5), false), Some(seconds(5)));
        assert_eq!(timer.fire(seconds(5), seconds(5), Some(seconds(5)), true), Fired::Sync);
        assert_eq!(timer.fire(seconds(100), seconds(100), Some(seconds(5)), true), Fired::Nothing);
    }
}
