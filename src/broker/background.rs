//! What a broker does beside its callers, and on which thread.
//!
//! Two threads, so that what must be on time (lingers, retries) does not wait for an fsync: one runs jobs that are over at
//! once, the other what syncs. On a manual clock there is neither: whoever moves the clock runs both kinds.

use std::io;

use super::worker::Worker;
use crate::clock::{Clock, Timers};
use crate::sync::{Arc, Mutex};

/// The background work of a broker; see the [module](self).
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) clock: Arc<dyn Clock>,
    /// Jobs that are over at once.
    pub(crate) timers: Arc<Timers>,
    /// Jobs that may wait for the disk.
    pub(crate) syncs: Arc<Timers>,
    /// Held through a close, so that a second one waits for the first.
    pub(super) workers: Mutex<Vec<Worker>>,
}

impl Background {
    /// The work of a broker on this clock; nobody does it yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Background {
        let (timers, syncs) = (Arc::default(), Arc::default());
        Background { clock, timers, syncs, workers: Mutex::default() }
    }

    /// Starts the threads, unless the clock runs the work itself.
    pub(super) fn start(&self) -> io::Result<()> {
        let kinds = [("streamlog-housekeeper", &self.timers), ("streamlog-syncer", &self.syncs)];
        for (name, timers) in kinds {
            if !self.clock.runs(timers) {
                self.workers.lock().push(Worker::start(name, &self.clock, timers)?);
            }
        }
        Ok(())
    }
}
