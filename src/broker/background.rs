//! What a broker does beside its callers, and on which thread.
//!
//! Two threads, so that what must be on time (lingers, retries) does not wait for an fsync: one runs jobs that are over at
//! once, the other what syncs. On a manual clock there is neither: whoever moves the clock runs both kinds.

use std::io;

use super::worker::Worker;
use crate::clock::{Clock, Timers};
use crate::sync::Arc;

/// Where background work is left; see the [module](self). Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    pub(crate) clock: Arc<dyn Clock>,
    /// Jobs that are over at once.
    pub(crate) timers: Arc<Timers>,
    /// Jobs that may wait for the disk.
    pub(crate) syncs: Arc<Timers>,
}

impl Background {
    /// The work of a broker on this clock; nobody does it yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Background {
        Background { clock, timers: Arc::default(), syncs: Arc::default() }
    }

    /// Lets go of what has not been run. After the threads have ended.
    pub(super) fn end(&self) {
        self.timers.end();
        self.syncs.end();
    }

    /// Starts the threads, unless the clock runs the work itself. Where nothing is written, nothing that syncs is done.
    pub(super) fn start(&self, is_read_only: bool) -> io::Result<Vec<Worker>> {
        let mut workers = Vec::new();
        if is_read_only {
            self.syncs.end();
        }
        let syncer = (!is_read_only).then_some(("streamlog-syncer", &self.syncs));
        for (name, timers) in [("streamlog-housekeeper", &self.timers)].into_iter().chain(syncer) {
            if !self.clock.runs(timers) {
                workers.push(Worker::start(name, &self.clock, timers)?);
            }
        }
        Ok(workers)
    }
}
