//! An answer that may come later: a one-shot between whoever asked and whoever answers.
//!
//! It is asked as everything here is that can be waited for: with a waker, which is woken when the answer is there. Who asks
//! may block on it, poll it, or pass it on; who is gone by then is not missed.

use std::fmt;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Mutex};

/// The end of the one who asked.
pub(crate) struct Reply<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

/// The end of the one who answers. Dropped without an answer, it leaves none for ever.
pub(crate) struct Promise<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

#[derive(Debug)]
struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

/// Both ends of an answer that is not there yet.
pub(crate) fn promise<T>() -> (Promise<T>, Reply<T>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None }));
    (Promise { slot: Arc::clone(&slot) }, Reply { slot })
}

impl<T> Reply<T> {
    /// Takes the answer, once, if it is there.
    pub(crate) fn take(&self) -> Option<T> {
        self.slot.lock().answer.take()
    }

    /// As [`take`](Reply::take), and wakes `context` once it is there.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut slot = self.slot.lock();
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Promise<T> {
    /// Whether whoever asked is gone, and will never see the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    /// Answers.
    pub(crate) fn answer(self, answer: T) {
        let waker = {
            let mut slot = self.slot.lock();
            slot.answer = Some(answer);
            slot.waker.take()
        };
        // Without the lock, because waking may run whatever the waker likes.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("is_there", &self.slot.lock().answer.is_some()).finish()
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_once_and_wakes_who_asked() {
        let (promise, reply) = promise();
        let context = Context::from_waker(Waker::noop());
        assert!(reply.poll(&context).is_pending() && reply.take().is_none());
        promise.answer(7);
        assert_eq!(reply.poll(&context), Poll::Ready(7));
        assert_eq!(reply.take(), None);
    }

    #[test]
    fn who_is_gone_is_not_missed() {
        let (promise, reply) = promise();
        assert!(!promise.is_abandoned());
        drop(reply);
        assert!(promise.is_abandoned());
        promise.answer(7);
    }
}
