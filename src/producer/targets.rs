//! The topics that a producer has sent to, each with an accumulator for every partition that it used.
//!
//! A list never changes; it knows which version of the catalog it was made from, and when that has moved on, a new one is made.
//!
//! Invariant: a partition has one accumulator, whichever list it is found in.

use std::collections::BTreeMap;

use super::accumulator::Accumulator;
use super::core::Core;
use crate::error::Result;
use crate::offset::PartitionId;
use crate::record::Record;
use crate::sync::{Arc, AtomicU64, AtomicUsize, OnceLock, Relaxed};
use crate::topic::{
    Catalog, HashPartitioner, PartitionChoice, Partitioner, StickyChoice, TopicEntry, choose,
};

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

    /// The list that goes by `version` of the catalog, with `entry` in it; and those topics of this one that are gone.
    pub(super) fn renewed(
        &self,
        core: &Core,
        catalog: &Catalog,
        version: u64,
        entry: Arc<TopicEntry>,
    ) -> (Targets, Vec<Arc<Target>>) {
        let mut by_name = self.by_name.clone();
        let mut gone = Vec::new();
        if self.version != version {
            by_name.retain(|name, target| {
                let entry = catalog.topic(name).ok();
                if entry.as_ref().is_none_or(|entry| entry.id != target.entry.id) {
                    gone.push(Arc::clone(target));
                }
                let is_there = entry.is_some();
                if let Some(renewed) = entry.and_then(|entry| target.renewed(entry, core)) {
                    *target = Arc::new(renewed);
                }
                is_there
            });
        }
        by_name.entry(entry.name.clone()).or_insert_with(|| Arc::new(Target::new(entry, core)));
        (Targets { version, by_name }, gone)
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
    pub(super) fn accumulators(&self) -> impl Iterator<Item = &Arc<Accumulator>> {
        self.accumulators.iter().filter_map(|slot| slot.get())
    }

    /// The partition of a record: its own, or the one that the partitioner chooses.
    pub(super) fn partition(
        &self,
        partitioner: Option<&dyn Partitioner>,
        record: &Record<'_>,
    ) -> Result<PartitionId> {
        if let Some(number) = record.partition_number() {
            return PartitionId::try_from(number);
        }
        let count = self.entry.partition_count();
        if count == 1 && partitioner.is_none() {
            return Ok(PartitionId::ZERO);
        }
        let number = self.number.fetch_add(1, Relaxed);
        let sticky = self.sticky.current(count);
        let choice = PartitionChoice::new(record, count).with_sticky(sticky).with_number(number);
        choose(partitioner.unwrap_or(&HashPartitioner), &choice)
    }

    /// The accumulator of a partition that was sent to before.
    #[inline]
    pub(super) fn accumulator(&self, partition: PartitionId) -> Option<&Arc<Accumulator>> {
        self.slot(partition)?.get()
    }

    /// The accumulator of a partition, made where there is none.
    pub(super) fn make_accumulator(
        &self,
        core: &Arc<Core>,
        partition: PartitionId,
    ) -> Result<&Arc<Accumulator>> {
        // It knows what is wrong with a partition that is not there.
        let log = self.entry.log(partition.into())?;
        let slot = self.slot(partition).expect("there is one for each log");
        Ok(slot.get_or_init(|| Accumulator::new(core, log)))
    }

    fn slot(&self, partition: PartitionId) -> Option<&Arc<OnceLock<Arc<Accumulator>>>> {
        self.accumulators.get(usize::try_from(u32::from(partition)).ok()?)
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
