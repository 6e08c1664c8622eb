//! One fsync for all who wait for one.
//!
//! Whoever needs a sync and finds nobody leading becomes the leader of a round; everyone else waits for a round to end and
//! looks again. A round covers what had been appended when it started, so a waiter needs at most the round that runs
//! and the one after it.

use crate::sync::{Condvar, Mutex};

/// Elects the leader of each round; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    /// Whether somebody leads a round. Never held over the sync itself.
    is_led: Mutex<bool>,
    ended: Condvar,
}

/// The right, and the duty, to run one round; dropping it ends the round.
#[derive(Debug)]
pub(crate) struct Leadership<'a> {
    group: &'a GroupCommit,
}

impl GroupCommit {
    /// Leads a round, or waits until the one that runs has ended and gives `None`.
    pub(crate) fn lead_or_wait(&self) -> Option<Leadership<'_>> {
        let mut is_led = self.is_led.lock();
        if *is_led {
            self.ended.wait(&mut is_led);
            return None;
        }
        *is_led = true;
        Some(Leadership { group: self })
    }
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        *self.group.is_led.lock() = false;
        self.group.ended.notify_all();
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{Acquire, Arc, AtomicU64, AtomicUsize, Relaxed, Release, explore, thread};

    /// As much of a log as a round needs.
    #[derive(Default)]
    struct Synced {
        group: GroupCommit,
        end: AtomicU64,
        durable: AtomicU64,
        leaders: AtomicUsize,
        rounds: AtomicUsize,
    }

    impl Synced {
        fn append_and_sync(&self) {
            let end = self.end.fetch_add(1, Release) + 1;
            let mut has_led = false;
            while self.durable.load(Acquire) < end {
                assert!(!has_led, "a round that began after the append covers it");
                if let Some(leadership) = self.group.lead_or_wait() {
                    assert_eq!(self.leaders.fetch_add(1, Relaxed), 0, "one leads at a time");
                    let covered = self.end.load(Acquire);
                    // Here the sync would run.
                    self.durable.fetch_max(covered, Release);
                    self.rounds.fetch_add(1, Relaxed);
                    self.leaders.fetch_sub(1, Relaxed);
                    drop(leadership);
                    has_led = true;
                }
            }
        }
    }

    #[test]
    fn every_waiter_is_covered_by_one_leader_at_a_time() {
        explore(2, || {
            let synced = Arc::new(Synced::default());
            let others = [0, 1].map(|_| {
                let synced = Arc::clone(&synced);
                thread::spawn(move || synced.append_and_sync())
            });
            synced.append_and_sync();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(synced.durable.load(Relaxed), 3);
            assert!((1..=3).contains(&synced.rounds.load(Relaxed)));
        });
    }
}
