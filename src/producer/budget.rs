//! How many bytes of records a producer may hold: `buffer.memory`.
//!
//! Bytes are reserved before a record is encoded and released when its batch is done with. Whoever finds no room leaves a
//! waker, and looks again when any is released.

use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Relaxed, SeqCst, fence};

/// A bound on bytes; see the [module](self).
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    is_waited_for: AtomicBool,
    /// Held only to leave and take wakers.
    waiting: Mutex<Vec<Waker>>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Budget {
        let (used, is_waited_for) = (AtomicUsize::new(0), AtomicBool::new(false));
        Budget { limit, used, is_waited_for, waiting: Mutex::default() }
    }

    /// Reserves `bytes`, or answers `false` where there is no room.
    pub(super) fn try_reserve(&self, bytes: usize) -> bool {
        let reserve = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, reserve).is_ok()
    }

    /// Reserves `bytes` as soon as there is room.
    pub(super) fn poll_reserve(&self, bytes: usize, context: &mut Context<'_>) -> Poll<()> {
        if self.try_reserve(bytes) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        self.is_waited_for.store(true, Relaxed);
        drop(waiting);
        // Either this sees what was released, or who releases sees that somebody waits.
        fence(SeqCst);
        if self.try_reserve(bytes) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives back what was reserved.
    pub(super) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        fence(SeqCst);
        if self.is_waited_for.load(Relaxed) {
            self.wake_all();
        }
    }

    /// Whether somebody waits for room.
    pub(super) fn is_waited_for(&self) -> bool {
        self.is_waited_for.load(Relaxed)
    }

    /// Lets everybody who waits look again.
    pub(super) fn wake_all(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock();
            self.is_waited_for.store(false, Relaxed);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many bytes are reserved.
    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::signal::Parker;
    use crate::sync::{Arc, explore, thread};

    const LIMIT: usize = 2;

    fn reserve(budget: &Budget, bytes: usize) {
        let parker = Parker::current();
        while budget.poll_reserve(bytes, &mut Context::from_waker(parker.waker())).is_pending() {
            parker.park(None);
        }
        assert!((bytes..=LIMIT).contains(&budget.used()), "never more than the limit");
    }

    #[test]
    fn who_finds_no_room_is_woken_when_there_is_some() {
        loom::model(|| {
            let budget = Arc::new(Budget::new(LIMIT));
            reserve(&budget, LIMIT);
            let other = thread::spawn({
                let budget = Arc::clone(&budget);
                move || {
                    reserve(&budget, 1);
                    budget.release(1);
                }
            });
            budget.release(LIMIT);
            reserve(&budget, LIMIT);
            budget.release(LIMIT);
            other.join().unwrap();
            assert_eq!(budget.used(), 0);
        });
    }

    #[test]
    fn all_who_wait_find_room_in_the_end() {
        explore(2, || {
            let budget = Arc::new(Budget::new(LIMIT));
            reserve(&budget, LIMIT);
            let others = [1, LIMIT].map(|bytes| {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    reserve(&budget, bytes);
                    budget.release(bytes);
                })
            });
            budget.release(LIMIT);
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(budget.used(), 0);
        });
    }
}
