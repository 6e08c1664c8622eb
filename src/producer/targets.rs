//! The topics that a producer has sent to, each with an accumulator for every partition that it used.
//!
//! The list is read without a lock, once per record. It knows which version of the catalog it was made from; when that has
//! moved on, topics are looked up anew: accumulators of partitions that are still there stay, those of topics that are gone
//! are finished and forgotten.

use std::collections::BTreeMap;

use super::accumulator::Accumulator;
use super::core::Core;
use crate::broker::Broker;
use crate::error::{Error, Result};
use crate::offset::PartitionId;
use crate::record::Record;
use crate::sync::{Arc, AtomicU64, AtomicUsize, OnceLock, Relaxed};
use crate::topic::{PartitionChoice, StickyChoice, TopicEntry, choose};

/// Topics by name; see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Targets {
    version: u64,
    by_name: BTreeMap<String, Arc<Target>>,
}

/// A topic that is sent to.
#[derive(Debug)]
pub(super) struct Target {
    entry: Arc<TopicEntry>,
    /// Shared with the older versions of this topic that a sender may still hold: a partition has one accumulator.
    accumulators: Vec<Arc<OnceLock<Arc<Accumulator>>>>,
    sticky: StickyChoice,
    /// How many bytes have gone to the sticky partition since it is.
    sticky_bytes: AtomicUsize,
    /// How many records the partitioner has been asked about.
    number: AtomicU64,
}

impl Targets {
    /// The topic of this name, if it was sent to before and the catalog has not changed.
    #[inline]
    pub(super) fn find(&self, version: u64, name: &str) -> Option<&Arc<Target>> {
        if self.version == version { self.by_name.get(name) } else { None }
    }

    /// All accumulators.
    pub(super) fn accumulators(&self) -> impl Iterator<Item = &Arc<Accumulator>> {
        self.by_name.values().flat_map(|target| target.accumulators())
    }
}

impl Target {
    fn new(entry: Arc<TopicEntry>, core: &Core) -> Target {
        let count = entry.partition_count();
        Target {
            accumulators: (0..count).map(|_| Arc::default()).collect(),
            entry,
            sticky: StickyChoice::new(count, &mut core.random.lock()),
            sticky_bytes: AtomicUsize::new(0),
            number: AtomicU64::new(0),
        }
    }

    /// The same topic as the catalog has it now; `None` where this is still it.
    fn renewed(&self, entry: Arc<TopicEntry>, core: &Core) -> Option<Target> {
        if Arc::ptr_eq(&entry, &self.entry) {
            return None;
        }
        let mut target = Target::new(entry, core);
        if target.entry.id == self.entry.id {
            for (slot, known) in target.accumulators.iter_mut().zip(&self.accumulators) {
                *slot = Arc::clone(known);
            }
        }
        Some(target)
    }

    /// Those of the partitions that were sent to.
    fn accumulators(&self) -> impl Iterator<Item = &Arc<Accumulator>> {
        self.accumulators.iter().filter_map(|slot| slot.get())
    }

    /// The partition of a record: its own, or the one that the partitioner chooses.
    pub(super) fn partition(&self, core: &Core, record: &Record<'_>) -> Result<PartitionId> {
        if let Some(number) = record.partition_number() {
            return PartitionId::try_from(number);
        }
        let count = self.entry.partition_count();
        let number = self.number.fetch_add(1, Relaxed);
        let sticky = self.sticky.current(count);
        let choice = PartitionChoice::new(record, count).with_sticky(sticky).with_number(number);
        choose(&*core.partitioner, &choice)
    }

    /// The accumulator of one partition.
    pub(super) fn accumulator(&self, core: &Arc<Core>, partition: PartitionId) -> Result<&Arc<Accumulator>> {
        let index = usize::try_from(u32::from(partition)).unwrap_or(usize::MAX);
        let slot = self.accumulators.get(index);
        if let Some(accumulator) = slot.and_then(|slot| slot.get()) {
            return Ok(accumulator);
        }
        // It knows what is wrong with a partition that is not there.
        let log = self.entry.log(partition.into())?;
        let _changing = core.changing.lock();
        // Under the lock that a close takes: what is made here, the close sees.
        if core.is_closed() {
            return Err(Error::Closed);
        }
        Ok(slot.expect("there is one for each log").get_or_init(|| Accumulator::new(core, log)))
    }

    /// Counts what went to a partition, and moves the sticky one on when it has had a batch: at the border between two
    /// batches, or once it has had two (KIP-794).
    pub(super) fn note_sent(&self, core: &Core, partition: PartitionId, bytes: usize, at_border: bool) {
        let count = self.entry.partition_count();
        if count == 1 || partition != self.sticky.current(count) {
            return;
        }
        let sent = self.sticky_bytes.fetch_add(bytes, Relaxed) + bytes;
        let batch_bytes = core.config.batch_bytes;
        if (at_border && sent >= batch_bytes) || sent >= batch_bytes.saturating_mul(2) {
            self.sticky_bytes.store(0, Relaxed);
            self.sticky.advance(partition.into(), count, &mut core.random.lock());
        }
    }
}

impl Core {
    /// Looks the topic of this name up, and all others again if the catalog has changed.
    #[cold]
    pub(super) fn renew_targets(&self, broker: &Broker, name: &str) -> Result<Arc<Target>> {
        let catalog = &broker.shared.catalog;
        broker.shared.check_open()?;
        // Before anything is looked up, so that what changes in between is looked up again.
        let version = catalog.version();
        let entry = broker.shared.topic_or_create(name)?;
        let changing = self.changing.lock();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let known = self.targets.load_full();
        let mut by_name = known.by_name.clone();
        let mut gone = Vec::new();
        if known.version != version {
            by_name.retain(|name, target| {
                let entry = catalog.topic(name).ok();
                if entry.as_ref().is_none_or(|entry| entry.id != target.entry.id) {
                    gone.push(Arc::clone(target));
                }
                let is_there = entry.is_some();
                if let Some(renewed) = entry.and_then(|entry| target.renewed(entry, self)) {
                    *target = Arc::new(renewed);
                }
                is_there
            });
        }
        let target = by_name.entry(name.to_owned()).or_insert_with(|| Arc::new(Target::new(entry, self)));
        let target = Arc::clone(target);
        self.targets.store(Arc::new(Targets { version, by_name }));
        drop(changing);
        gone.iter().flat_map(|target| target.accumulators()).for_each(|accumulator| accumulator.end());
        Ok(target)
    }
}
