//! The threads that run what falls due. They sleep until the earliest deadline, or for ever where there is none, so an
//! idle broker uses no CPU. On a manual clock there are none: whoever moves the clock runs the timers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::{Clock, Timers};
use crate::signal::Parker;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Acquire, Arc, AtomicBool, Release};

/// A running thread; dropping it ends and joins it.
#[derive(Debug)]
pub(crate) struct Worker {
    timers: Arc<Timers>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread that runs the jobs of `timers`.
    pub(crate) fn start(name: &str, clock: &Arc<dyn Clock>, timers: &Arc<Timers>) -> io::Result<Worker> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name(name.to_owned()).spawn({
            let (clock, timers, is_ending) = (Arc::clone(clock), Arc::clone(timers), Arc::clone(&is_ending));
            move || run(&*clock, &timers, &is_ending)
        })?;
        Ok(Worker { timers: Arc::clone(timers), is_ending, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_ending.store(true, Release);
        self.timers.wake_worker();
        // Whoever ends it may be one of its own jobs, which let go of the broker's last handle: then it ends by itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic in it has been reported where it happened.
            let _ = thread.join();
        }
    }
}

fn run(clock: &dyn Clock, timers: &Timers, is_ending: &AtomicBool) {
    let parker = Parker::current();
    timers.set_worker(parker.waker());
    while !is_ending.load(Acquire) {
        // A job that panics costs its own work, not that of all others.
        if catch_unwind(AssertUnwindSafe(|| timers.run_due(clock.monotonic()))).is_err() {
            log::error!("background work panicked; this is a bug in streamlog");
            continue;
        }
        let wait = timers.next_deadline().map(|deadline| deadline.saturating_sub(clock.monotonic()));
        parker.park(wait);
    }
}
