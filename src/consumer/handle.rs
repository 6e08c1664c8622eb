//! The consumer as a program holds it: which partitions it reads, and its end.
//!
//! One thread at a time uses it, so there is no lock; only its waker is shared. It keeps the broker open until it is closed
//! or dropped.
//!
//! Invariants: partitions are sorted by name, and none is there twice; while it is open, its watcher is among the catalog's
//! and those of each of its logs.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::assigned::{Assigned, Reading};
use super::config::ConsumerConfig;
use super::group_offsets::GroupOffsets;
use super::membership::Membership;
use super::waker::ConsumerWaker;
use crate::broker::Shared;
use crate::error::{Error, Result};
use crate::offset::TopicPartition;
use crate::sync::Arc;

/// The least time between two commits of what has not moved.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Reads records, from a position in each partition that it remembers. From
/// [`ConsumerBuilder::build`](super::ConsumerBuilder::build).
///
/// Which partitions: those that it is [given](Consumer::assign); or, in a [group](super::ConsumerBuilder::group), its share of the
/// topics that it [subscribes](Consumer::subscribe) to. A consumer of a group [commits](Consumer::commit) how far it got, and who
/// comes after it goes on there. Dropped, it leaves its group and commits nothing, as when a panic unwinds through it;
/// [closed](Consumer::close), it commits where it does that by itself.
///
/// A [`poll`](Consumer::poll) returns some records and moves the positions behind them; it waits while there are none. One
/// thread at a time uses a consumer: another may only [wake](Consumer::waker) it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker, NewTopic, PartitionId, Record, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let orders = broker.topic("orders")?.partition(0)?;
/// for value in ["3 apples", "1 pear", "2 plums"] {
///     orders.append(&[Record::new().value(value)])?;
/// }
///
/// let mut consumer =
///     broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).max_poll_records(2).build()?;
/// let partition = TopicPartition::new("orders", PartitionId::ZERO);
/// consumer.assign([partition.clone()])?;
/// assert_eq!(consumer.poll(Duration::from_secs(1))?.len(), 2);
/// assert_eq!((consumer.position(&partition)?, consumer.lag(&partition)?), (2_u32.into(), 1));
/// consumer.seek_to_beginning([&partition])?;
/// assert_eq!(consumer.poll(Duration::from_secs(1))?.iter().next().map(|record| record.offset()), Some(0_u32.into()));
/// # Ok::<(), streamlog::Error>(())
/// ```
pub struct Consumer {
    /// None once it is closed.
    shared: Option<Arc<Shared>>,
    pub(super) config: ConsumerConfig,
    /// The group's offsets. None without a group.
    pub(super) offsets: Option<GroupOffsets>,
    /// Its place in the group. None while it subscribes to nothing.
    pub(super) member: Option<Membership>,
    /// When positions are committed next, where that is done without being asked for, on the monotonic clock.
    pub(super) commit_at: Duration,
    /// When positions are committed once more that have not moved, by one without a membership.
    pub(super) refresh_at: Duration,
    /// For which of these times a waiting poll is woken already.
    pub(super) wakes_at: Option<Duration>,
    pub(super) assigned: Vec<Assigned>,
    /// Whether any partition may still be without a position.
    pub(super) is_any_unplaced: bool,
    /// The place of the partition whose turn it is.
    pub(super) turn: usize,
    pub(super) waker: ConsumerWaker,
    /// Whether what was fetched is enough to be returned, so that no more is waited for.
    pub(super) is_enough: bool,
    /// Until when more is waited for, on the monotonic clock.
    pub(super) enough_at: Option<Duration>,
    /// Whether polls return nothing, and only take part in the group, until they are woken.
    pub(super) is_held: bool,
}

impl Consumer {
    pub(super) fn new(shared: &Arc<Shared>, config: ConsumerConfig) -> Result<Consumer> {
        shared.check_open()?;
        let offsets = match &config.group {
            None => None,
            Some(group) => {
                let (coordinator, acks) = (shared.coordinator()?, shared.config.offsets_commit_acks);
                coordinator.check_group(group)?;
                Some(GroupOffsets { coordinator, group: group.clone(), acks })
            }
        };
        let now = shared.background.clock.monotonic();
        let commit_at = now.saturating_add(config.auto_commit_interval);
        let waker = ConsumerWaker::default();
        // It tells when the broker closes, whatever is assigned.
        shared.catalog.watchers().add(&waker.watcher);
        Ok(Consumer {
            shared: Some(Arc::clone(shared)),
            config,
            offsets,
            member: None,
            commit_at,
            refresh_at: now.saturating_add(refresh_interval(shared)),
            wakes_at: None,
            assigned: Vec::new(),
            is_any_unplaced: false,
            turn: 0,
            waker,
            is_enough: false,
            enough_at: None,
            is_held: false,
        })
    }

    /// Reads these partitions from now on, and no others. One that it reads already keeps its position and whether it is
    /// paused, unless its topic was deleted meanwhile; one that is new begins where its group has committed, or else where
    /// [`auto_offset_reset`](super::ConsumerBuilder::auto_offset_reset) says, found out by the first poll or
    /// [`position`](Consumer::position). Nobody else's share of the group changes by it.
    ///
    /// So with [`Latest`](super::AutoOffsetReset::Latest), the default, what is sent after `assign` and before the first poll
    /// is not seen. To see it, call [`position`](Consumer::position) or [`seek_to_end`](Consumer::seek_to_end) right after
    /// `assign`.
    ///
    /// A partition that is offline can be assigned: polls tell of it, and serve the others.
    ///
    /// # Errors
    ///
    /// [`Error::AssignedTwice`], [`Error::UnknownTopic`], [`Error::UnknownPartition`], [`Error::Closed`];
    /// [`Error::WrongSubscription`] for a consumer that [subscribes](Consumer::subscribe); where topics are created by naming them,
    /// those of [`Admin::create_topic`](crate::Admin::create_topic). The assignment has not changed then.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<()> {
        let mut names = BTreeSet::new();
        for name in partitions {
            if let Some(name) = names.replace(name) {
                let (topic, partition) = (name.topic().to_owned(), name.partition());
                return Err(Error::AssignedTwice { topic, partition });
            }
        }
        if self.member.is_some() {
            let reason = "it subscribes to topics: unsubscribe first";
            return Err(Error::WrongSubscription { operation: "assign partitions", reason });
        }
        let (reading, known) = self.parts()?;
        let stays = |one: &&Assigned| names.contains(one.name()) && !one.is_gone(&reading.shared.catalog);
        let stay: BTreeSet<_> = known.iter().filter(stays).map(|one| one.name().clone()).collect();
        let mut added = Vec::new();
        for name in names.difference(&stay) {
            let topic = reading.shared.topic_or_create(name.topic())?;
            added.push(Assigned::new(name.clone(), &topic, reading)?);
        }
        known.retain(|one| stay.contains(one.name()));
        known.extend(added);
        known.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        self.is_any_unplaced = true;
        self.turn = 0;
        Ok(())
    }

    /// The partitions that it reads, by name; none once it is closed.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.assigned.iter().map(|assigned| assigned.name().clone()).collect()
    }

    /// Leaves these partitions out of polls until they are [resumed](Consumer::resume). Their positions stay. A partition
    /// that is given up in a rebalance is no longer paused when it comes back: in a group whose assignor is eager, as the default
    /// is, pause it again in [`assigned`](super::RebalanceListener::assigned).
    ///
    /// # Errors
    ///
    /// [`Error::NotAssigned`], and none is paused then; [`Error::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{AutoOffsetReset, Broker, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
    /// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// consumer.assign([partition.clone()])?;
    ///
    /// consumer.pause([&partition])?;
    /// assert_eq!(consumer.paused(), [partition.clone()]);
    /// assert!(consumer.poll(Duration::ZERO)?.is_empty());
    /// consumer.resume([&partition])?;
    /// assert_eq!(consumer.poll(Duration::ZERO)?.len(), 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn pause<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Result<()> {
        self.each(partitions, |assigned, _| {
            assigned.set_paused(true);
            Ok(())
        })
    }

    /// Serves these partitions again where they were [paused](Consumer::pause).
    ///
    /// # Errors
    ///
    /// As [`pause`](Consumer::pause).
    pub fn resume<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Result<()> {
        self.each(partitions, |assigned, _| {
            assigned.set_paused(false);
            Ok(())
        })
    }

    /// The partitions that are paused, by name.
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.assigned.iter().filter(|assigned| assigned.is_paused());
        paused.map(|assigned| assigned.name().clone()).collect()
    }

    /// What ends a poll early, from any thread, for as long as the consumer lives.
    #[must_use]
    pub fn waker(&self) -> ConsumerWaker {
        self.waker.clone()
    }

    /// Ends the consumer, and lets the broker go: every call fails with [`Error::Closed`] from now on. What it has returned
    /// stays valid. Closing twice is no error.
    ///
    /// One that [commits by itself](super::ConsumerBuilder::auto_commit) commits its positions, and waits until they are on the
    /// device; the listener is told what is revoked; then it leaves its group at once, and its partitions go to others. A
    /// [static member](super::ConsumerBuilder::group_instance_id) does not leave: it may come back.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Consumer::commit), and what the listener returned. It is closed all the same.
    pub fn close(&mut self) -> Result<()> {
        let ended = if self.shared().is_ok() { self.leave_group("the consumer was closed") } else { Ok(()) };
        self.let_go();
        ended
    }

    /// Ends it without a word.
    fn let_go(&mut self) {
        self.leave_quietly("the consumer was dropped");
        self.assigned.clear();
        self.offsets = None;
        if let Some(shared) = self.shared.take() {
            shared.catalog.watchers().remove(&self.waker.watcher);
        }
    }

    /// The broker, while both it and the consumer are open.
    pub(super) fn shared(&self) -> Result<&Arc<Shared>> {
        let shared = self.shared.as_ref().ok_or(Error::Closed)?;
        shared.check_open()?;
        Ok(shared)
    }

    /// What is needed to read, and the partitions.
    pub(super) fn parts(&mut self) -> Result<(Reading<'_>, &mut Vec<Assigned>)> {
        let shared = self.shared.as_deref().ok_or(Error::Closed)?;
        shared.check_open()?;
        let (config, offsets) = (&self.config, self.offsets.as_ref());
        let reading = Reading { shared, config, offsets, watcher: &self.waker.watcher };
        Ok((reading, &mut self.assigned))
    }

    /// Does `what` to each of these partitions, once all are known to be assigned.
    pub(super) fn each<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
        mut what: impl FnMut(&mut Assigned, Reading<'_>) -> Result<()>,
    ) -> Result<()> {
        let (reading, assigned) = self.parts()?;
        let places: Result<Vec<usize>> = partitions.into_iter().map(|name| place(assigned, name)).collect();
        for place in places? {
            assigned.get_mut(place).map_or(Ok(()), |assigned| what(assigned, reading))?;
        }
        Ok(())
    }

    /// One of the partitions, and what is needed to read it.
    pub(super) fn one(&mut self, name: &TopicPartition) -> Result<(Reading<'_>, &mut Assigned)> {
        let (reading, assigned) = self.parts()?;
        let place = place(assigned, name)?;
        Ok((reading, assigned.get_mut(place).expect("it was just found there")))
    }
}

/// How often positions are committed that do not move, so that they do not expire.
pub(super) fn refresh_interval(shared: &Shared) -> Duration {
    (shared.config.offsets_retention / 4).max(REFRESH_INTERVAL_MIN)
}

/// Where among the partitions this one is.
fn place(assigned: &[Assigned], name: &TopicPartition) -> Result<usize> {
    let found = assigned.binary_search_by(|assigned| assigned.name().cmp(name));
    let (topic, partition) = (name.topic(), name.partition());
    found.map_err(|_| Error::NotAssigned { topic: topic.to_owned(), partition })
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.assigned.iter().map(|assigned| assigned.name().to_string()).collect();
        f.debug_struct("Consumer").field("assignment", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::Broker;
    use crate::offset::{PartitionId, TopicPartition};
    use crate::topic::NewTopic;

    #[test]
    fn a_log_knows_a_consumer_only_while_it_is_assigned() {
        let broker = Broker::in_memory().unwrap();
        let topic = broker.shared.catalog.create_topic(NewTopic::new("t")).unwrap();
        let watchers = || {
            let catalog = broker.shared.catalog.watchers();
            format!("{:?} {catalog:?}", topic.log(0).unwrap().watchers())
        };
        let nobody = watchers();
        let mut consumer = broker.consumer().build().unwrap();
        let unassigned = watchers();
        assert_ne!(unassigned, nobody, "it sees the broker's end");
        let partition = TopicPartition::new("t", PartitionId::ZERO);
        for _ in 0..3 {
            consumer.assign([partition.clone()]).unwrap();
            let assigned = watchers();
            assert_ne!(assigned, unassigned);
            consumer.assign([partition.clone()]).unwrap();
            assert_eq!(watchers(), assigned, "once");
            consumer.assign([]).unwrap();
            assert_eq!(watchers(), unassigned);
        }
        consumer.assign([partition]).unwrap();
        drop(consumer);
        assert_eq!(watchers(), nobody);
    }

    #[test]
    fn a_group_that_was_only_named_takes_no_room() {
        let broker = Broker::in_memory().unwrap();
        let groups = || format!("{:?}", broker.shared.coordinator().unwrap());
        let none = groups();
        let partition = TopicPartition::new("t", PartitionId::ZERO);
        for number in 0..3 {
            let mut consumer = broker.consumer().group(format!("g{number}")).build().unwrap();
            consumer.committed([&partition]).unwrap();
            assert_eq!(groups(), none);
            consumer.subscribe(["t"]).unwrap();
            assert_ne!(groups(), none, "its changes are waited for");
            if number == 0 {
                consumer.unsubscribe().unwrap();
                assert_eq!(groups(), none);
            }
            drop(consumer);
            assert_eq!(groups(), none);
        }
    }
}
