//! The open broker: what all handles share, and how it ends.
//!
//! Every handle (a topic, a partition) keeps the broker open, and the last one closes it. A close syncs every log, saves
//! the indexes, replaces the checkpoints, and places the marker of a clean shutdown last, so that the next open need not
//! look into any segment. Where anything could not be closed, or was never opened, there is no marker, and the next open
//! looks.

use std::fmt;
use std::path::Path;

use super::housekeeper::Housekeeper;
use super::opening::BrokerBuilder;
use super::report::RecoveryReport;
use super::topic::Topic;
use crate::error::{Error, Result};
use crate::log::LogDir;
use crate::metrics::Metrics;
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release};
use crate::topic::Catalog;

/// A streaming log in your process: topics, their partitions, and what works on them. Cheap to clone; clones are the same
/// broker.
///
/// The last handle that goes, be it a `Broker`, a [`Topic`](crate::Topic) or a [`Partition`](crate::Partition), closes it in
/// order. [`close`](Broker::close) does so at once, and tells of errors.
///
/// # Examples
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let data = directory.path().join("data");
/// use streamlog::{Broker, NewTopic, Offset, Record};
///
/// let broker = Broker::open(&data)?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let orders = broker.topic("orders")?.partition(0)?;
///
/// orders.append(&[Record::new().key("alice").value("3 apples")])?;
/// orders.sync()?;
///
/// for batch in &orders.read(Offset::ZERO, 1 << 20)? {
///     for record in &batch.records()? {
///         assert_eq!(record.value(), Some(&b"3 apples"[..]));
///     }
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Broker {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles of one broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    dir: Arc<LogDir>,
    pub(crate) catalog: Catalog,
    report: RecoveryReport,
    housekeeper: Mutex<Option<Housekeeper>>,
    is_closed: AtomicBool,
}

impl Broker {
    /// Opens the broker whose log directory this is, making it where there is none. See [`BrokerBuilder::open`].
    ///
    /// # Errors
    ///
    /// As [`BrokerBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Broker> {
        Broker::builder().log_dir(path).open()
    }

    /// Opens a broker that keeps everything in memory and leaves nothing behind: for tests, and for queues that need not
    /// outlive the process.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the system refuses a thread.
    pub fn in_memory() -> Result<Broker> {
        Broker::builder().in_memory().open()
    }

    /// To open a broker with other settings.
    #[must_use]
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    pub(super) fn new(
        dir: Arc<LogDir>,
        catalog: Catalog,
        report: RecoveryReport,
        housekeeper: Option<Housekeeper>,
    ) -> Broker {
        let (housekeeper, is_closed) = (Mutex::new(housekeeper), AtomicBool::new(false));
        Broker { shared: Arc::new(Shared { dir, catalog, report, housekeeper, is_closed }) }
    }

    /// The topic of this name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`], [`Error::Closed`].
    pub fn topic(&self, name: &str) -> Result<Topic> {
        self.shared.check_open()?;
        Ok(Topic::new(&self.shared, self.shared.catalog.topic(name)?))
    }

    /// What opening this broker found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.shared.report
    }

    /// What this broker has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.shared.catalog.logs().iter().for_each(|log| metrics.add(log.counters()));
        metrics.open_files = self.shared.dir.files.open_count() as u64;
        metrics
    }

    /// Closes the broker: everything is on the device when this returns, and the next open need not check it. Handles
    /// that are left fail with [`Error::Closed`]; what they have read stays valid. Closing twice is no error.
    ///
    /// # Errors
    ///
    /// The first error that kept a log from being closed in order; the others are closed all the same, and the next open
    /// checks them.
    pub fn close(&self) -> Result<()> {
        self.shared.close()
    }
}

impl Shared {
    /// Refuses everything once the broker is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    fn close(&self) -> Result<()> {
        if self.is_closed.swap(true, Release) {
            return Ok(());
        }
        // Background work first, so that nothing checkpoints what is being closed.
        drop(self.housekeeper.lock().take());
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
            log::error!("a broker could not be closed in order: {error}");
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("log_dir", &self.shared.dir.path()).finish_non_exhaustive()
    }
}
