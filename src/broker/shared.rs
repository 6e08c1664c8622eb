//! What all handles of one broker share, and how it ends.
//!
//! Every handle (the broker, a topic, a partition) keeps the broker open, and the last one closes it. A close lets the
//! producers append what they hold, syncs every log, saves the indexes, replaces the checkpoints, and places the marker of
//! a clean shutdown last in each log directory, so that the next open need not look into any segment. Where anything in it
//! could not be closed, or was never opened, a directory gets no marker, and the next open looks.

use std::fmt;

use super::background::Background;
use super::config::BrokerConfig;
use super::report::RecoveryReport;
use super::worker::Worker;
use crate::error::{Chain, Error, Result};
use crate::log::LogDirs;
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release};
use crate::topic::Catalog;

/// Something above the broker that must be ended in order before the logs close: a producer with records inside.
pub(crate) trait EndsWithBroker: fmt::Debug + Send + Sync {
    /// Ends it. Its handles may still be held, and fail from now on.
    fn end(&self);
}

/// What all handles of one broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    pub(super) dirs: Arc<LogDirs>,
    pub(crate) catalog: Catalog,
    pub(super) report: RecoveryReport,
    pub(crate) background: Background,
    /// Held through a close, so that a second one waits for the first.
    workers: Mutex<Vec<Worker>>,
    /// What has to be ended before the logs are closed.
    ends: Mutex<Vec<Arc<dyn EndsWithBroker>>>,
    is_closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        config: BrokerConfig,
        dirs: Arc<LogDirs>,
        catalog: Catalog,
        report: RecoveryReport,
        background: Background,
        workers: Vec<Worker>,
    ) -> Shared {
        let (workers, ends, is_closed) = (Mutex::new(workers), Mutex::default(), AtomicBool::new(false));
        Shared { config, dirs, catalog, report, background, workers, ends, is_closed }
    }

    /// Refuses everything once the broker is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// TODO
    pub(crate) fn topic_or_create(&self, name: &str) -> Result<Arc<crate::topic::TopicEntry>> {
        self.catalog.topic(name)
    }

    /// A generator of its own for who draws at random, the same in every run with a seed.
    pub(crate) fn random(&self) -> fastrand::Rng {
        self.dirs.first().random.lock().fork()
    }

    /// Ends `held` before the logs are closed. Refused once that has begun.
    pub(crate) fn end_with_broker(&self, held: Arc<dyn EndsWithBroker>) -> Result<()> {
        let mut ends = self.ends.lock();
        // Under the lock that the close takes after it is marked as begun: either it sees this one, or this one sees it.
        self.check_open()?;
        ends.push(held);
        Ok(())
    }

    /// Forgets what has ended by itself.
    pub(crate) fn forget(&self, held: &Arc<dyn EndsWithBroker>) {
        self.ends.lock().retain(|known| !Arc::ptr_eq(known, held));
    }

    pub(super) fn close(&self) -> Result<()> {
        // Held to the end: who closes a second time returns when the first time is through.
        let mut workers = self.workers.lock();
        if self.is_closed.swap(true, Release) {
            return Ok(());
        }
        let ends = std::mem::take(&mut *self.ends.lock());
        ends.iter().for_each(|held| held.end());
        // Then background work, so that nothing checkpoints what is being closed; then what makes or removes logs.
        workers.clear();
        self.catalog.end_changes();
        self.dirs.end_checkpoints();
        let mut first_error = None;
        for log in self.catalog.logs() {
            if let Err(error) = log.close() {
                log.dir().forgo_marker();
                first_error.get_or_insert(error);
            }
        }
        let closed = self.dirs.close();
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
