//! Committing: how far the group got, kept with the group.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::assigned::Assigned;
use super::group_offsets::GroupOffsets;
use super::handle::Consumer;
use super::membership::Membership;
use super::offset_and_metadata::OffsetAndMetadata;
use crate::acks::Acks;
use crate::broker::Background;
use crate::error::{Error, Result};
use crate::group::{
    CommitRequest, Committed, CommittedOffset, MemberRef, OffsetToCommit, Promise, Reply, promise,
};
use crate::offset::TopicPartition;

/// The generation of one that is in no group.
const NO_GENERATION: i32 = -1;

impl Consumer {
    /// Commits the position in each assigned partition: everything that was returned by polls counts as processed. Returns
    /// once that is on the device, as [`offsets_commit_acks`](crate::BrokerConfig::offsets_commit_acks()) says; then no crash
    /// brings it back. A group without members forgets it after [`offsets_retention`](crate::BrokerConfig::offsets_retention()),
    /// 7 days by default.
    ///
    /// All partitions or none.
    ///
    /// # Errors
    ///
    /// [`Error::MissingGroup`]. [`Error::UnknownMember`], [`Error::IllegalGeneration`] or [`Error::FencedInstance`] where the
    /// partitions are others' by now, the first also for a consumer that was [given](Consumer::assign) partitions while the group
    /// has members, and [`Error::RebalanceInProgress`] once it has joined a rebalance that is not over: poll, and go on with what the
    /// poll returns. [`Error::PartitionOffline`], [`Error::Poisoned`] or [`Error::Io`] where the offsets cannot be written;
    /// [`Error::ReadOnly`], [`Error::Closed`]. After an error nothing is committed, but after one of the sync it may be.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_async()?.wait()
    }

    /// As [`commit`](Consumer::commit), of these offsets: of assigned partitions, each the next one to be read. So a program
    /// that has processed some of the records that a poll returned commits those.
    ///
    /// # Errors
    ///
    /// As [`commit`](Consumer::commit); [`Error::NotAssigned`], [`Error::UnknownTopic`] for a topic that was deleted,
    /// [`Error::OffsetMetadataTooLarge`].
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
    /// orders.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
    /// let builder = broker.consumer().group("billing").auto_commit(None);
    /// let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    /// consumer.subscribe(["orders"])?;
    ///
    /// for record in &consumer.poll(Duration::from_secs(1))? {
    ///     consumer.commit_offsets([(record.topic_partition().clone(), record.offset().next())])?;
    /// }
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// assert_eq!(consumer.committed([&partition])?[&partition].offset, 2);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn commit_offsets<O: Into<OffsetAndMetadata>>(
        &mut self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        self.commit_offsets_async(offsets)?.wait()
    }

    /// As [`commit`](Consumer::commit), but the disk is not waited for: the group knows the offsets when this returns, and they
    /// are synced in the background. The [`Commit`] can be waited for, awaited, given a callback, or dropped.
    ///
    /// # Errors
    ///
    /// As [`commit`](Consumer::commit), but for those of the sync.
    ///
    /// # Examples
    ///
    /// ```
    /// # use streamlog::{Broker, NewTopic};
    /// # let broker = Broker::in_memory()?;
    /// # broker.admin().create_topic(NewTopic::new("orders"))?;
    /// # let mut consumer = broker.consumer().group("billing").build()?;
    /// # consumer.subscribe(["orders"])?;
    /// consumer.commit_async()?.then(|result| {
    ///     if let Err(error) = result {
    ///         eprintln!("not durable: {error}");
    ///     }
    /// });
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn commit_async(&mut self) -> Result<Commit> {
        let catalog = &self.shared()?.catalog;
        let offsets = self.assigned.iter().filter_map(|one| one.to_commit(catalog)).collect();
        let commit = self.commit_these(offsets)?;
        self.assigned.iter_mut().for_each(Assigned::note_committed);
        Ok(commit)
    }

    /// [`commit_offsets`](Consumer::commit_offsets) as [`commit_async`](Consumer::commit_async) does it.
    ///
    /// # Errors
    ///
    /// As [`commit_offsets`](Consumer::commit_offsets), but for those of the sync.
    pub fn commit_offsets_async<O: Into<OffsetAndMetadata>>(
        &mut self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<Commit> {
        let mut all = Vec::new();
        for (partition, offset) in offsets {
            let (reading, assigned) = self.one(&partition)?;
            if assigned.is_gone(&reading.shared.catalog) {
                return Err(Error::UnknownTopic { topic: partition.topic().to_owned() });
            }
            let OffsetAndMetadata { offset, leader_epoch, metadata } = offset.into();
            all.push(OffsetToCommit { partition, offset, leader_epoch, metadata });
        }
        self.commit_these(all)
    }

    /// What the group has committed for each of these partitions, assigned or not; nothing for one without.
    ///
    /// # Errors
    ///
    /// [`Error::MissingGroup`], [`Error::PartitionOffline`], [`Error::Closed`].
    pub fn committed<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        self.shared()?;
        let partitions: Vec<TopicPartition> = partitions.into_iter().cloned().collect();
        let offsets = self.offsets_of_group("look up committed offsets")?;
        offsets.coordinator.committed(&offsets.group, Some(&partitions))
    }

    /// The group's offsets, where there is a group.
    pub(super) fn offsets_of_group(&self, operation: &'static str) -> Result<&GroupOffsets> {
        self.offsets.as_ref().ok_or(Error::MissingGroup { operation })
    }

    /// Commits positions that have moved since they were last committed, without waiting; a failure is logged, and tried again
    /// with the next one.
    pub(super) fn commit_by_itself(&mut self) {
        if !self.config.commits_by_itself() || self.offsets.is_none() {
            return;
        }
        let Ok(shared) = self.shared() else { return };
        let moved = self.assigned.iter().filter(|one| one.has_moved());
        let moved: Vec<OffsetToCommit> = moved.filter_map(|one| one.to_commit(&shared.catalog)).collect();
        if moved.is_empty() {
            return;
        }
        match self.commit_these(moved) {
            Ok(_) => self.assigned.iter_mut().for_each(Assigned::note_committed),
            Err(error) => log::warn!("positions could not be committed: {error}"),
        }
    }

    fn commit_these(&mut self, mut offsets: Vec<OffsetToCommit>) -> Result<Commit> {
        // Without it nobody could tell that a power cut took what was processed, and others came in its place.
        for to_commit in offsets.iter_mut().filter(|to_commit| to_commit.leader_epoch.is_none()) {
            let known = self.assigned.binary_search_by(|one| one.name().cmp(&to_commit.partition));
            let known = known.ok().and_then(|place| self.assigned.get(place));
            to_commit.leader_epoch = known.and_then(|one| one.epoch_before(to_commit.offset));
        }
        let shared = self.shared()?;
        shared.check_writable("commit offsets")?;
        let background = shared.background.clone();
        let group = self.offsets_of_group("commit")?;
        if offsets.is_empty() {
            return Ok(Commit { background, state: State::Durable });
        }
        let member = match &self.member {
            Some(member) => {
                member.check_generation(&group.group)?;
                member.known_as(&group.group, self.config.group_instance_id.clone())
            }
            None => MemberRef {
                group: group.group.clone(),
                member_id: String::new(),
                instance_id: None,
                generation: NO_GENERATION,
            },
        };
        let is_there = |partition: &TopicPartition| {
            let known = self.assigned.binary_search_by(|one| one.name().cmp(partition));
            let known = known.ok().and_then(|place| self.assigned.get(place));
            known.is_some_and(|one| !one.is_gone(&shared.catalog))
        };
        let committed =
            group.coordinator.commit(CommitRequest { member, offsets }, is_there).map_err(|error| {
                let is_joining = self.member.as_ref().is_some_and(Membership::is_joining);
                match error {
                    // The group has begun a generation that the consumer is in, and has not looked at yet.
                    Error::IllegalGeneration { group, .. } if is_joining => {
                        Error::RebalanceInProgress { group }
                    }
                    error => error,
                }
            })?;
        let state = if group.acks == Acks::All { State::Appended(committed) } else { State::Durable };
        Ok(Commit { background, state })
    }
}

/// Offsets that are committed, and on their way to the device. From [`Consumer::commit_async`].
///
/// It can be waited for, awaited, given a callback, or dropped: they are synced in any case.
#[must_use = "whether the offsets are on the device is known once the commit was waited for"]
pub struct Commit {
    background: Background,
    state: State,
}

enum State {
    /// Nothing more is asked for.
    Durable,
    /// Not synced yet.
    Appended(Committed),
    /// Being synced in the background.
    Syncing(Committed, Reply<Result<()>>),
}

impl Commit {
    /// Returns once the offsets are on the device.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] or [`Error::Io`]: the offsets are known to the group, and a power cut may lose them.
    pub fn wait(mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Durable) {
            State::Durable => Ok(()),
            State::Appended(committed) | State::Syncing(committed, _) => committed.wait(),
        }
    }

    /// Calls `callback` once the offsets are on the device, or cannot be brought there: on a background thread, or at once where
    /// there is nothing to wait for. It should be quick. Where the broker is closed before, it is not called.
    pub fn then(mut self, callback: impl FnOnce(Result<()>) + Send + 'static) {
        match std::mem::replace(&mut self.state, State::Durable) {
            State::Durable => callback(Ok(())),
            State::Appended(committed) | State::Syncing(committed, _) => {
                self.background.syncs.submit(move || callback(committed.wait()));
            }
        }
    }
}

impl Future for Commit {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if let State::Appended(committed) = &this.state {
            let (promise, reply) = promise();
            let committed = committed.clone();
            this.state = State::Syncing(committed.clone(), reply);
            let answer = Answer(Some(promise));
            this.background.syncs.submit(move || answer.give(committed.wait()));
        }
        match &this.state {
            State::Durable | State::Appended(_) => Poll::Ready(Ok(())),
            State::Syncing(_, reply) => reply.poll(context),
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let State::Appended(committed) = std::mem::replace(&mut self.state, State::Durable) {
            self.background.syncs.submit(move || {
                if let Err(error) = committed.wait() {
                    log::warn!("committed offsets could not be synced: {error}");
                }
            });
        }
    }
}

/// The answer to who awaits a commit: given also where the background ends before it came to the sync.
struct Answer(Option<Promise<Result<()>>>);

impl Answer {
    fn give(mut self, result: Result<()>) {
        if let Some(promise) = self.0.take() {
            promise.answer(result);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(promise) = self.0.take() {
            promise.answer(Err(Error::Closed));
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("is_durable", &matches!(self.state, State::Durable)).finish()
    }
}
