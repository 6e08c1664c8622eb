//! What a broker does beside its callers, and on which thread.
//!
//! Two threads, so that what must be on time (lingers, retries) does not wait for an fsync: one runs jobs that are over at
//! once, the other what syncs. A third one where there is scrubbing, which may have to wait for a failing disk. On a manual clock
//! there is none: whoever moves the clock runs all kinds.

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
    /// Pieces of scrubbing.
    pub(crate) scrubs: Arc<Timers>,
}

impl Background {
    /// The work of a broker on this clock; nobody does it yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Background {
        Background { clock, timers: Arc::default(), syncs: Arc::default(), scrubs: Arc::default() }
    }

    /// Lets go of what has not been run. After the threads have ended.
    pub(super) fn end(&self) {
        self.timers.end();
        self.syncs.end();
        self.scrubs.end();
    }

    /// Starts the threads, the one for scrubbing where there is any, unless the clock runs the work itself. Where nothing is
    /// written, nothing that syncs is done.
    pub(super) fn start(&self, is_read_only: bool, is_scrubbing: bool) -> io::Result<Vec<Worker>> {
        let mut workers = Vec::new();
        if is_read_only {
            self.syncs.end();
        }
        let syncer = (!is_read_only).then_some(("streamlog-syncer", &self.syncs));
        let scrubber = is_scrubbing.then_some(("streamlog-scrubber", &self.scrubs));
        let always = [("streamlog-housekeeper", &self.timers)];
        for (name, timers) in always.into_iter().chain(syncer).chain(scrubber) {
            if !self.clock.runs(timers) {
                workers.push(Worker::start(name, &self.clock, timers)?);
            }
        }
        Ok(workers)
    }
}
