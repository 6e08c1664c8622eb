//! Taking part in the group, in every poll: joining, giving up partitions, getting others, and telling the listener.
//!
//! The order is Kafka's. Eager: positions are committed and all partitions revoked before the join; all that is assigned comes
//! after it. Cooperative: what is owned is read on; after the sync, what goes to others is revoked and the consumer joins once
//! more, and what is new is assigned. Where the group has gone on without the consumer, its partitions are lost instead.
//!
//! Nothing is waited for here, and no lock of this floor is held while a listener runs.

use std::collections::BTreeSet;

use super::assigned::Assigned;
use super::handle::{Consumer, refresh_interval};
use super::membership::{Membership, State};
use super::offset_and_metadata::OffsetAndMetadata;
use super::rebalance::{Rebalance, RebalanceListener, Rebalancing};
use crate::error::{Error, Result, guarded};
use crate::group::{Joined, RebalanceProtocol, SyncRequest, TopicPartitions, decode_assignment};
use crate::offset::{Offset, TopicPartition};
use crate::sync::Arc;

/// How many steps one look may take: a group that rebalances again and again is left to the next look.
const STEPS_MAX: usize = 32;

/// What a listener is told.
#[derive(Debug, Clone, Copy)]
enum News {
    Assigned,
    Revoked,
    Lost,
}

impl Consumer {
    /// Goes as far in joining the group as answers are there.
    ///
    /// # Errors
    ///
    /// What the coordinator refuses, what is wrong with an assignment, what a listener returns: after everything else was done.
    pub(super) fn tend_group(&mut self) -> Result<()> {
        let mut told = None;
        for _ in 0..STEPS_MAX {
            match self.take_step(&mut told) {
                Ok(true) => {}
                Ok(false) => break,
                // What is refused now is refused again by the next poll; a listener speaks once.
                Err(error) => return Err(told.unwrap_or(error)),
            }
        }
        told.map_or(Ok(()), Err)
    }

    /// One step in the group, if there is one to take.
    fn take_step(&mut self, told: &mut Option<Error>) -> Result<bool> {
        let Some(member) = &mut self.member else { return Ok(false) };
        match &member.state {
            State::Out => self.join(told),
            State::Joining(reply) => match reply.take() {
                None => Ok(false),
                Some(answer) => self.take_joined(answer),
            },
            State::Syncing(reply) => match reply.take() {
                None => Ok(false),
                Some(answer) => self.take_assignment(answer, told),
            },
            State::Stable => self.look_after_membership(),
            State::Fenced => {
                self.prepare_join(told);
                let group = self.offsets.as_ref().map(|offsets| offsets.group.clone()).unwrap_or_default();
                let instance_id = self.config.group_instance_id.clone().unwrap_or_default();
                Err(Error::FencedInstance { group, instance_id })
            }
        }
    }

    /// Whether there is anything new that has to be joined for.
    fn look_after_membership(&mut self) -> Result<bool> {
        let shared = Arc::clone(self.shared()?);
        let Some(member) = &mut self.member else { return Ok(false) };
        if member.take_change() {
            let offsets = self.offsets.as_ref().ok_or(Error::MissingGroup { operation: "join" })?;
            let known_as = member.known_as(&offsets.group, self.config.group_instance_id.clone());
            match offsets.coordinator.heartbeat(&known_as) {
                Ok(()) => {}
                Err(Error::RebalanceInProgress { .. }) => member.rejoin("the group rebalances"),
                Err(error) => return self.leave_behind(error).map(|()| true),
            }
        }
        let version = shared.catalog.version();
        if member.catalog_seen != version {
            member.catalog_seen = version;
            if member.has_other_topics(&shared.catalog)?
                || self.assigned.iter().any(|one| one.is_gone(&shared.catalog))
            {
                member.rejoin("the topics or their partitions changed");
            }
        }
        self.commit_in_time()?;
        let Some(member) = &mut self.member else { return Ok(false) };
        let joins = member.rejoins.is_some();
        if joins {
            member.state = State::Out;
        }
        Ok(joins)
    }

    /// Commits, where a consumer does that by itself and it is time.
    pub(super) fn commit_in_time(&mut self) -> Result<()> {
        if !self.config.commits_by_itself() || self.offsets.is_none() {
            return Ok(());
        }
        let shared = self.shared()?;
        let (now, refresh) = (shared.background.clock.monotonic(), refresh_interval(shared));
        if now >= self.commit_at {
            self.commit_at = now.saturating_add(self.config.auto_commit_interval);
            // A group that nobody is a member of keeps an offset only for so long after its last commit.
            if self.member.is_none() && now >= self.refresh_at {
                self.refresh_at = now.saturating_add(refresh);
                self.assigned.iter_mut().for_each(Assigned::forget_committed);
            }
            self.commit_by_itself();
        }
        Ok(())
    }

    /// Has a poll that waits wake up when positions are to be committed, if there are any to commit.
    pub(super) fn wake_to_commit(&mut self) -> Result<()> {
        if !self.config.commits_by_itself() || self.offsets.is_none() {
            return Ok(());
        }
        let commit_at = if self.assigned.iter().any(Assigned::has_moved) {
            self.commit_at
        } else if self.member.is_none() && !self.assigned.is_empty() {
            self.commit_at.max(self.refresh_at)
        } else {
            return Ok(());
        };
        if self.wakes_at != Some(commit_at) {
            let watcher = Arc::clone(&self.waker.watcher);
            self.shared()?.background.timers.schedule(commit_at, move || watcher.tell());
            self.wakes_at = Some(commit_at);
        }
        Ok(())
    }

    /// What to do where the coordinator no longer counts the consumer in.
    fn leave_behind(&mut self, error: Error) -> Result<()> {
        let Some(member) = &mut self.member else { return Err(error) };
        match error {
            Error::UnknownMember { .. } => {
                member.lose(true);
                member.rejoin("the member was taken out of the group");
            }
            Error::IllegalGeneration { .. } => {
                member.lose(false);
                member.rejoin("the group went on without the member");
            }
            Error::RebalanceInProgress { .. } => {
                member.state = State::Out;
                member.rejoin("the group rebalances");
            }
            Error::FencedInstance { .. } => {
                member.lose(false);
                // Another has its name: it must not take that back by itself.
                member.state = State::Fenced;
            }
            error => {
                member.lose(false);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Asks to be let in, after what has to be given up was.
    fn join(&mut self, told: &mut Option<Error>) -> Result<bool> {
        self.prepare_join(told);
        let shared = Arc::clone(self.shared()?);
        let owned = self.owned();
        let (Some(member), Some(offsets)) = (&mut self.member, &self.offsets) else { return Ok(false) };
        let request = member.join_request(&self.config, &offsets.group, &shared.catalog, &owned)?;
        match offsets.coordinator.join(request) {
            Ok(reply) => member.state = State::Joining(reply),
            Err(error) => self.leave_behind(error)?,
        }
        Ok(true)
    }

    /// Commits, and gives up what has to be given up before a join. Once for each rebalance.
    fn prepare_join(&mut self, told: &mut Option<Error>) {
        let Some(member) = &mut self.member else { return };
        if std::mem::replace(&mut member.is_prepared, true) {
            return;
        }
        if std::mem::take(&mut member.has_lost) {
            let owned = self.owned();
            if !owned.is_empty() {
                let group = self.offsets.as_ref().map_or("", |offsets| &offsets.group);
                // Nobody asked for it, and what was not committed is done again by others.
                log::warn!(
                    "group {group}: partitions {owned} were lost, as the member was no longer counted in"
                );
            }
            self.tell(News::Lost, &owned, told);
            self.keep(&TopicPartitions::new());
            return;
        }
        self.commit_by_itself();
        self.lose_what_is_gone(told);
        let owned = self.owned();
        let kept = match Membership::protocol(&self.config) {
            RebalanceProtocol::Eager => TopicPartitions::new(),
            RebalanceProtocol::Cooperative => self.still_subscribed(&owned),
        };
        self.tell(News::Revoked, &owned.without(&kept), told);
        self.keep(&kept);
    }

    /// Lets go of partitions whose topic was deleted.
    fn lose_what_is_gone(&mut self, told: &mut Option<Error>) {
        let Ok((reading, assigned)) = self.parts() else { return };
        let gone = assigned.iter().filter(|one| one.is_gone(&reading.shared.catalog));
        let gone: TopicPartitions = gone.map(Assigned::name).collect();
        self.tell(News::Lost, &gone, told);
        self.keep(&self.owned().without(&gone));
    }

    /// The generation has begun: where the consumer leads it, it assigns.
    fn take_joined(&mut self, answer: Result<Joined>) -> Result<bool> {
        let joined = match answer {
            Ok(joined) => joined,
            Err(error) => return self.leave_behind(error).map(|()| true),
        };
        let shared = Arc::clone(self.shared()?);
        let (Some(member), Some(offsets)) = (&mut self.member, &self.offsets) else { return Ok(false) };
        let assignments = match member.joined(joined, &self.config, &shared.catalog) {
            Ok(assignments) => assignments,
            Err(error) => {
                // It joins once more with the next poll, and until then nobody is assigned anything.
                member.state = State::Out;
                member.rejoin("an assignment failed");
                return Err(error);
            }
        };
        let known_as = member.known_as(&offsets.group, self.config.group_instance_id.clone());
        match offsets.coordinator.sync(SyncRequest { member: known_as, assignments }) {
            Ok(reply) => member.state = State::Syncing(reply),
            Err(error) => self.leave_behind(error)?,
        }
        Ok(true)
    }

    /// The leader has assigned: takes over what is the consumer's.
    fn take_assignment(&mut self, answer: Result<Vec<u8>>, told: &mut Option<Error>) -> Result<bool> {
        let bytes = match answer {
            Ok(bytes) => bytes,
            Err(error) => return self.leave_behind(error).map(|()| true),
        };
        let Some(member) = &mut self.member else { return Ok(false) };
        let decoded = decode_assignment(&bytes).map_err(|reason| {
            let member_id = member.known_as("", None).member_id;
            Error::InvalidMemberData { what: "assignment", member_id, reason }
        });
        let assigned = match decoded {
            Ok((assigned, _)) => assigned,
            Err(error) => {
                member.state = State::Out;
                return Err(error);
            }
        };
        member.settle(&assigned);
        let owned = self.owned();
        let revoked = owned.without(&assigned);
        if !revoked.is_empty() {
            self.commit_by_itself();
            self.tell(News::Revoked, &revoked, told);
            self.keep(&assigned);
            self.rejoin("partitions were given up");
        }
        let kept = self.owned();
        self.add(&assigned.without(&owned));
        // Not what was gone already.
        self.tell(News::Assigned, &self.owned().without(&kept), told);
        Ok(true)
    }

    /// Leaves the group, committing first where it commits by itself. Everything is done; the first error is returned.
    pub(super) fn leave_group(&mut self, reason: &str) -> Result<()> {
        let Some(member) = &self.member else { return self.commit_at_end() };
        let is_in_generation = member.has_generation();
        let mut told = None;
        if let Some(error) = self.look_for_loss() {
            let is_uncommitted =
                self.config.commits_by_itself() && self.assigned.iter().any(Assigned::has_moved);
            told = is_uncommitted.then_some(error);
        } else if is_in_generation {
            told = self.commit_at_end().err();
        }
        let owned = self.owned();
        let has_lost = self.member.as_ref().is_some_and(|member| member.has_lost);
        self.tell(if has_lost { News::Lost } else { News::Revoked }, &owned, &mut told);
        self.leave_quietly(reason);
        told.map_or(Ok(()), Err)
    }

    /// Whether the group has gone on without the consumer since it last looked: why, and what it has is lost then.
    fn look_for_loss(&mut self) -> Option<Error> {
        let (Some(member), Some(offsets)) = (&mut self.member, &self.offsets) else { return None };
        if !matches!(member.state, State::Stable) || !member.take_change() {
            return None;
        }
        let known_as = member.known_as(&offsets.group, self.config.group_instance_id.clone());
        match offsets.coordinator.heartbeat(&known_as) {
            Ok(()) | Err(Error::RebalanceInProgress { .. }) => None,
            Err(error) => {
                member.lose(false);
                Some(error)
            }
        }
    }

    /// Leaves the group, and neither commits nor tells anybody. A static member stays in it for its session timeout.
    pub(super) fn leave_quietly(&mut self, reason: &str) {
        let Some(member) = self.member.take() else { return };
        let Some(offsets) = &self.offsets else { return };
        let known_as = member.known_as(&offsets.group, self.config.group_instance_id.clone());
        let (is_member, presence) = (member.is_member(), Arc::clone(&member.presence));
        // First, so that nobody waits for changes any more when the group is looked at.
        drop(member);
        // Whoever is not in it any more need not leave.
        let _ = match known_as.instance_id {
            // The answer to its join may be on its way, or lie there unheard.
            _ if !is_member => offsets.coordinator.withdraw(&offsets.group, &presence, reason),
            Some(_) => offsets.coordinator.note_gone(&known_as),
            None => offsets.coordinator.leave(&known_as, reason),
        };
    }

    /// What is committed by a close.
    fn commit_at_end(&mut self) -> Result<()> {
        if self.config.commits_by_itself() && self.offsets.is_some() { self.commit() } else { Ok(()) }
    }

    fn rejoin(&mut self, reason: &str) {
        if let Some(member) = &mut self.member {
            member.rejoin(reason);
        }
    }

    /// What it has.
    fn owned(&self) -> TopicPartitions {
        self.assigned.iter().map(Assigned::name).collect()
    }

    /// Those of topics that it still subscribes to.
    fn still_subscribed(&self, owned: &TopicPartitions) -> TopicPartitions {
        let topics = match (&self.member, self.shared()) {
            (Some(member), Ok(shared)) => member.subscription.topics(&shared.catalog),
            _ => return TopicPartitions::new(),
        };
        // A predicate that panics is told by the join; until then nothing is given up.
        let Ok(topics) = topics else { return owned.clone() };
        let topics: BTreeSet<String> = topics.into_iter().collect();
        owned.iter().filter(|(topic, _)| topics.contains(*topic)).collect()
    }

    /// Lets go of all partitions but these.
    fn keep(&mut self, kept: &TopicPartitions) {
        self.assigned.retain(|one| kept.contains(one.name().topic(), one.name().partition()));
        self.turn = 0;
    }

    /// Takes these partitions on. One that is gone already is left out: the group hears of it soon.
    fn add(&mut self, added: &TopicPartitions) {
        let Ok((reading, assigned)) = self.parts() else { return };
        let mut is_any_gone = false;
        for (topic, partition) in added.iter() {
            // Not created where it is not there: nobody has named it now, and it was deleted.
            let entry = reading.shared.catalog.topic(topic);
            let name = TopicPartition::new(topic, partition);
            match entry.and_then(|entry| Assigned::new(name, &entry, reading)) {
                Ok(one) => assigned.push(one),
                Err(_) => is_any_gone = true,
            }
        }
        assigned.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        self.is_any_unplaced = true;
        self.turn = 0;
        if is_any_gone {
            self.rejoin("an assigned partition is gone");
        }
    }

    /// Tells the listener, and keeps its error, if it is the first.
    fn tell(&mut self, news: News, partitions: &TopicPartitions, told: &mut Option<Error>) {
        let is_silent = partitions.is_empty() && !matches!(news, News::Assigned);
        let Some(mut listener) = self.member.as_mut().and_then(|member| member.listener.take()) else {
            return;
        };
        if !is_silent {
            let names: Vec<TopicPartition> =
                partitions.iter().map(|(topic, partition)| TopicPartition::new(topic, partition)).collect();
            let heard = guarded(
                || format!("a listener that was told {news:?}"),
                || hear(&mut *listener, &mut Rebalance::new(self), news, &names),
            );
            if let Err(error) = heard.and_then(|heard| heard) {
                told.get_or_insert(error);
            }
        }
        if let Some(member) = &mut self.member {
            member.listener.get_or_insert(listener);
        }
    }
}

fn hear(
    listener: &mut dyn RebalanceListener,
    rebalance: &mut Rebalance<'_>,
    news: News,
    partitions: &[TopicPartition],
) -> Result<()> {
    match news {
        News::Assigned => listener.assigned(rebalance, partitions),
        News::Revoked => listener.revoked(rebalance, partitions),
        News::Lost => listener.lost(rebalance, partitions),
    }
}

impl Rebalancing for Consumer {
    fn assignment(&self) -> Vec<TopicPartition> {
        Consumer::assignment(self)
    }

    fn commit(&mut self) -> Result<()> {
        Consumer::commit(self)
    }

    fn commit_offsets(&mut self, offsets: Vec<(TopicPartition, OffsetAndMetadata)>) -> Result<()> {
        Consumer::commit_offsets(self, offsets)
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<Offset> {
        Consumer::position(self, partition)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        Consumer::seek(self, partition, offset)
    }

    fn seek_to_beginning(&mut self, partitions: &[&TopicPartition]) -> Result<()> {
        Consumer::seek_to_beginning(self, partitions.iter().copied())
    }

    fn seek_to_end(&mut self, partitions: &[&TopicPartition]) -> Result<()> {
        Consumer::seek_to_end(self, partitions.iter().copied())
    }

    fn pause(&mut self, partitions: &[&TopicPartition]) -> Result<()> {
        Consumer::pause(self, partitions.iter().copied())
    }
}
