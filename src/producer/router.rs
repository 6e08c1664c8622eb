//! Finds where a record goes: its topic, its partition, the accumulator there.
//!
//! The list of topics is read without a lock, once per record. When the catalog has changed since, topics are looked up anew:
//! accumulators of partitions that are still there stay, those of topics that are gone are ended and forgotten.
//!
//! Invariant: once the producer refuses sends, no topic and no accumulator is added.

use std::fmt;
use std::task::{Context, Poll};

use super::accumulator::Accumulator;
use super::core::Core;
use super::targets::{Target, Targets};
use crate::broker::{Broker, EndsWithBroker};
use crate::error::{Error, Result};
use crate::record::Record;
use crate::sync::{Acquire, Arc, ArcSwap, AtomicBool, Mutex, Release};
use crate::topic::{Partitioner, check_not_internal};

/// Where records go; see the [module](self).
pub(super) struct Router {
    pub(super) core: Arc<Core>,
    /// The default one where there is none.
    partitioner: Option<Arc<dyn Partitioner>>,
    /// The topics that were sent to.
    targets: ArcSwap<Targets>,
    /// Held to change `targets`, to make an accumulator, and to close.
    changing: Mutex<()>,
    is_closed: AtomicBool,
}

impl Router {
    pub(super) fn new(core: Core, partitioner: Option<Arc<dyn Partitioner>>) -> Router {
        Router {
            core: Arc::new(core),
            partitioner,
            targets: ArcSwap::default(),
            changing: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Finds the topic that a record names, and does `work` with it.
    #[inline]
    pub(super) fn with_target<T>(
        &self,
        broker: &Broker,
        record: &Record<'_>,
        work: impl FnOnce(&Arc<Target>) -> Result<T>,
    ) -> Result<T> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let Some(topic) = record.topic_name() else { return Err(Error::MissingTopic) };
        // Borrowed from the list, because counting references would make the senders wait for each other.
        let targets = self.targets.load();
        match targets.find(broker.shared.catalog.version(), topic) {
            Some(target) => work(target),
            None => work(&self.renew(broker, topic)?),
        }
    }

    /// Looks the topic of this name up, and all others again if the catalog has changed.
    #[cold]
    fn renew(&self, broker: &Broker, name: &str) -> Result<Arc<Target>> {
        let catalog = &broker.shared.catalog;
        broker.shared.check_open()?;
        // Before anything is looked up, so that what changes in between is looked up again.
        let version = catalog.version();
        check_not_internal(name)?;
        let entry = broker.shared.topic_or_create(name)?;
        let changing = self.changing.lock();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let (targets, gone) = self.targets.load_full().renewed(&self.core, catalog, version, entry);
        let target = targets.find(version, name).map(Arc::clone);
        self.targets.store(Arc::new(targets));
        drop(changing);
        gone.iter().flat_map(|target| target.accumulators()).for_each(|accumulator| accumulator.end());
        Ok(target.expect("it was just put in"))
    }

    /// The accumulator of a record's partition: the one that it names, or that the partitioner chooses.
    #[inline]
    pub(super) fn accumulator<'a>(
        &self,
        target: &'a Target,
        record: &Record<'_>,
    ) -> Result<&'a Arc<Accumulator>> {
        let partition = target.partition(self.partitioner.as_deref(), record)?;
        if let Some(accumulator) = target.accumulator(partition) {
            return Ok(accumulator);
        }
        let _changing = self.changing.lock();
        // Under the lock that a close takes: what is made here, the close sees.
        if self.is_closed() {
            return Err(Error::Closed);
        }
        target.make_accumulator(&self.core, partition)
    }

    /// Whether nothing more may be sent.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// Lets nothing more be sent.
    pub(super) fn refuse_sends(&self) {
        {
            // No topic and no accumulator comes after this.
            let _changing = self.changing.lock();
            self.is_closed.store(true, Release);
        }
        self.targets.load().accumulators().for_each(|accumulator| accumulator.refuse_sends());
        self.core.budget.wake_all();
    }

    /// The topics that were sent to.
    pub(super) fn targets(&self) -> Arc<Targets> {
        self.targets.load_full()
    }

    /// Closes every open batch, and appends all that is ready.
    pub(super) fn drain_all(&self) {
        self.targets().accumulators().for_each(|accumulator| accumulator.hurry());
    }

    /// Reserves memory as soon as there is room. Whoever waits for it lets nothing linger.
    pub(super) fn poll_reserve(&self, bytes: usize, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.core.budget.poll_reserve(bytes, context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.is_closed() {
            return Poll::Ready(Err(Error::Closed));
        }
        // After it was said that somebody waits: a batch that is opened from here on does not linger.
        self.drain_all();
        self.core.budget.poll_reserve(bytes, context).map(Ok)
    }

    /// Whether all that was sent has been appended, or has failed.
    pub(super) fn is_idle(&self) -> bool {
        self.targets.load().accumulators().all(|accumulator| accumulator.newest().is_none())
    }

    /// Lets go of the accumulators, which hold on to the core.
    pub(super) fn forget_targets(&self) {
        let _changing = self.changing.lock();
        self.targets.store(Arc::default());
    }
}

impl EndsWithBroker for Router {
    fn end(&self) {
        self.refuse_sends();
        self.targets().accumulators().for_each(|accumulator| accumulator.end());
        self.forget_targets();
    }

    fn is_over(&self) -> bool {
        self.is_closed() && self.is_idle()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("core", &self.core).finish_non_exhaustive()
    }
}
