//! What all handles of one broker share, and how it ends.
//!
//! Every handle (the broker, a topic, a partition) keeps the broker open, and the last one closes it. A close syncs every
//! log, saves the indexes, replaces the checkpoints, and places the marker of a clean shutdown last, so that the next open
//! need not look into any segment. Where anything could not be closed, or was never opened, there is no marker, and
//! the next open looks.

use super::background::Background;
use super::report::RecoveryReport;
use crate::error::{Chain, Error, Result};
use crate::log::LogDir;
use crate::sync::{Acquire, Arc, AtomicBool, Release};
use crate::topic::Catalog;

/// What all handles of one broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) dir: Arc<LogDir>,
    pub(crate) catalog: Catalog,
    pub(super) report: RecoveryReport,
    pub(crate) background: Background,
    is_closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        dir: Arc<LogDir>,
        catalog: Catalog,
        report: RecoveryReport,
        background: Background,
    ) -> Shared {
        Shared { dir, catalog, report, background, is_closed: AtomicBool::new(false) }
    }

    /// Refuses everything once the broker is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    pub(super) fn close(&self) -> Result<()> {
        // Held to the end: who closes a second time returns when the first time is through.
        let mut workers = self.background.workers.lock();
        if self.is_closed.swap(true, Release) {
            return Ok(());
        }
        // Background work first, so that nothing checkpoints what is being closed; then what creates new logs.
        workers.clear();
        self.catalog.end_creations();
        self.dir.end_checkpoints();
        let mut first_error = None;
        for log in self.catalog.logs() {
            if let Err(error) = log.close() {
                first_error.get_or_insert(error);
            }
        }
        let is_whole = first_error.is_none() && !self.catalog.has_offline_partitions();
        let closed = self.dir.close(is_whole);
        first_error.map_or(closed, Err)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            log::error!("a broker could not be closed in order: {}", Chain(&error));
        }
    }
}
