//! What becomes of a batch, for all who sent a record in it.
//!
//! A completion is shared by the batch, while it waits and is appended, and by the [`Delivery`](super::Delivery) of each of its
//! records. It is completed once: with the offsets that the batch got, or with the reason why it got none.

use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::offset::{Offset, Timestamp};
use crate::sync::{Arc, AtomicBool, Mutex, OnceLock, Relaxed, SeqCst, fence};

/// Where a batch was appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) base: Offset,
    pub(super) end: Offset,
    /// Where the topic stamps the time of the append: that time.
    pub(super) append_time: Option<Timestamp>,
}

/// Whose a batch is, and who sees to it when nobody asks what became of it.
pub(super) trait Keeper {
    /// Sees to it that everything below `end` becomes durable, if that was promised.
    fn secure(self: &Arc<Self>, end: Offset);

    /// Keeps a failure, to be told by the next flush.
    fn note_failure(&self, error: &Arc<Error>);
}

/// What becomes of one batch; see the [module](self).
#[derive(Debug)]
pub(super) struct Completion<K> {
    pub(super) accumulator: Arc<K>,
    outcome: OnceLock<Result<Placed, Arc<Error>>>,
    /// Whether somebody let go of a delivery without having asked: then the background sees to it that the batch becomes
    /// durable, and `flush` tells its failure.
    is_abandoned: AtomicBool,
    /// Whether the background was told to, so that a failure is told once.
    is_looked_after: AtomicBool,
    /// Held only to leave and take wakers.
    waiting: Mutex<Vec<Waker>>,
}

impl<K: Keeper> Completion<K> {
    pub(super) fn new(accumulator: Arc<K>) -> Arc<Completion<K>> {
        Arc::new(Completion {
            accumulator,
            outcome: OnceLock::new(),
            is_abandoned: AtomicBool::new(false),
            is_looked_after: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }

    /// What became of the batch; nothing yet.
    pub(super) fn outcome(&self) -> Option<&Result<Placed, Arc<Error>>> {
        self.outcome.get()
    }

    /// What became of the batch, as soon as that is known.
    pub(super) fn poll_outcome(&self, context: &mut Context<'_>) -> Poll<&Result<Placed, Arc<Error>>> {
        if self.outcome.get().is_none() {
            let mut waiting = self.waiting.lock();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
        }
        // Looked at again: who completes sets the outcome before it takes the wakers.
        self.outcome.get().map_or(Poll::Pending, Poll::Ready)
    }

    /// Says what became of the batch; a second time changes nothing.
    pub(super) fn complete(&self, outcome: Result<Placed, Arc<Error>>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
        fence(SeqCst);
        if self.is_abandoned.load(Relaxed) {
            self.look_after();
        }
    }

    /// Somebody lets go of a delivery of this batch without having asked what became of it.
    pub(super) fn abandon(&self) {
        if !self.is_abandoned.load(Relaxed) {
            self.is_abandoned.store(true, Relaxed);
            // Either this sees the outcome, or who completes sees that nobody asks.
            fence(SeqCst);
            self.look_after();
        }
    }

    fn look_after(&self) {
        let Some(outcome) = self.outcome.get() else { return };
        if self.is_looked_after.swap(true, Relaxed) {
            return;
        }
        match outcome {
            Ok(placed) => self.accumulator.secure(placed.end),
            Err(error) => self.accumulator.note_failure(error),
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::signal::Parker;
    use crate::sync::{AtomicUsize, explore, thread};

    /// Counts what it is asked to see to.
    #[derive(Default)]
    struct Counted {
        secured: AtomicUsize,
        failed: AtomicUsize,
    }

    impl Keeper for Counted {
        fn secure(self: &Arc<Self>, _: Offset) {
            self.secured.fetch_add(1, Relaxed);
        }

        fn note_failure(&self, _: &Arc<Error>) {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    fn placed() -> Result<Placed, Arc<Error>> {
        Ok(Placed { base: Offset::ZERO, end: Offset::from(1), append_time: None })
    }

    fn complete_elsewhere(completion: &Arc<Completion<Counted>>) -> thread::JoinHandle<()> {
        let completion = Arc::clone(completion);
        thread::spawn(move || completion.complete(placed()))
    }

    #[test]
    fn who_waits_for_an_outcome_is_woken() {
        loom::model(|| {
            let completion = Completion::new(Arc::new(Counted::default()));
            let other = complete_elsewhere(&completion);
            let parker = Parker::current();
            while completion.poll_outcome(&mut Context::from_waker(parker.waker())).is_pending() {
                parker.park(None);
            }
            other.join().unwrap();
        });
    }

    #[test]
    fn what_nobody_asks_about_is_looked_after_once() {
        explore(2, || {
            let completion = Completion::new(Arc::new(Counted::default()));
            let completes = complete_elsewhere(&completion);
            // Two deliveries of one batch.
            let abandons = thread::spawn({
                let completion = Arc::clone(&completion);
                move || completion.abandon()
            });
            completion.abandon();
            completes.join().unwrap();
            abandons.join().unwrap();
            assert_eq!(completion.accumulator.secured.load(Relaxed), 1);
        });
    }

    #[test]
    fn the_first_outcome_stands() {
        loom::model(|| {
            let completion = Completion::new(Arc::new(Counted::default()));
            let other = complete_elsewhere(&completion);
            completion.complete(Err(Arc::new(Error::Closed)));
            let outcome = completion.outcome().expect("whoever completes finds an outcome").is_ok();
            other.join().unwrap();
            assert_eq!(completion.outcome().unwrap().is_ok(), outcome);
        });
    }
}
