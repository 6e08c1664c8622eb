//! The broker as a program holds it.

use std::fmt;

use super::report::{RecoveryReport, ScrubReport};
use super::shared::Shared;
use super::topic::Topic;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::sync::Arc;

/// A streaming log in your process: topics, their partitions, and what works on them. Cheap to clone; clones are the same
/// broker.
///
/// It stays open for as long as anything made from it lives: a clone, a [`Topic`](crate::Topic), a
/// [`Partition`](crate::Partition), an [`Admin`](crate::Admin), a [`Producer`](crate::Producer) or a
/// [`Consumer`](crate::Consumer). When the last of them is dropped, it is closed in order, and an error of that is only
/// logged. [`close`](Broker::close) does so at once, whatever else lives, and returns the error.
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

impl Broker {
    pub(super) fn new(shared: Shared) -> Broker {
        let shared = Arc::new(shared);
        shared.start_scrubbing();
        Broker { shared }
    }

    /// The topic of this name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`](crate::Error::UnknownTopic), [`Error::Closed`](crate::Error::Closed).
    pub fn topic(&self, name: &str) -> Result<Topic> {
        self.shared.check_open()?;
        Ok(Topic::new(&self.shared, self.shared.catalog.topic(name)?))
    }

    /// What opening this broker found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.shared.report
    }

    /// What scrubbing has found ([`BrokerConfig::scrub_interval`](crate::BrokerConfig::scrub_interval())); nothing where it is off.
    #[must_use]
    pub fn scrub_report(&self) -> ScrubReport {
        self.shared.scrubber.as_ref().map(|scrubber| scrubber.report()).unwrap_or_default()
    }

    /// What this broker has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.shared.catalog.metrics();
        metrics.open_files = self.shared.dirs.first().files.open_count() as u64;
        if let Some(scrubber) = &self.shared.scrubber {
            metrics.set_scrubbed(&scrubber.counters);
        }
        metrics
    }

    /// Closes the broker: everything is on the device when this returns, and the next open need not check it. Handles
    /// that are left fail with [`Error::Closed`](crate::Error::Closed); what they have read stays valid. Closing twice is
    /// no error, and the second time nothing is tried again.
    ///
    /// # Errors
    ///
    /// The first error that kept a log from being closed in order; the others are closed all the same, and the next open
    /// checks them.
    pub fn close(&self) -> Result<()> {
        self.shared.close()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("log_dir", &self.shared.dirs.first().path()).finish_non_exhaustive()
    }
}
