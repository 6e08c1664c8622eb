//! What a thread parks on until another has something for it.
//!
//! A [`Signal`] is raised by any number of threads and waited for by one: raising it while nobody waits is remembered, so
//! a wake-up is never lost, and raising it twice wakes once. Waiting lowers it.

use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// A flag to sleep on; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Held only to read and change the flag.
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Wakes the waiter, or the next one to come.
    pub(crate) fn raise(&self) {
        let mut raised = self.raised.lock();
        if !*raised {
            *raised = true;
            self.changed.notify_one();
        }
    }

    /// Sleeps until the signal is raised, or for `timeout` where there is one, and lowers it.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let mut raised = self.raised.lock();
        match timeout {
            None => self.changed.wait_while(&mut raised, |raised| !*raised),
            Some(timeout) => {
                self.changed.wait_while_for(&mut raised, |raised| !*raised, timeout);
            }
        }
        *raised = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn raising_before_waiting_is_remembered_once() {
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        signal.wait(None);
        assert!(!*signal.raised.lock(), "two raises before a wait are one");
    }

    #[test]
    fn a_waiting_thread_is_woken() {
        let signal = Arc::new(Signal::default());
        let waiter = std::thread::spawn({
            let signal = Arc::clone(&signal);
            move || signal.wait(None)
        });
        signal.raise();
        waiter.join().unwrap();
    }
}
