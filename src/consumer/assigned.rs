//! One partition of a consumer: where it stands, and what was fetched of it.
//!
//! Invariants: what was fetched begins at the position; a paused partition has nothing fetched, so that it holds no memory;
//! while there is a log, the consumer's watcher is among its watchers.

use super::config::ConsumerConfig;
use super::fetched::{Fetched, Front};
use super::group_offsets::GroupOffsets;
use super::offset_reset::AutoOffsetReset;
use super::record::Part;
use super::records::Records;
use crate::broker::Shared;
use crate::error::{Error, Result};
use crate::group::{CommittedOffset, OffsetToCommit};
use crate::log::Log;
use crate::offset::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use crate::segment::Span;
use crate::signal::Watcher;
use crate::sync::Arc;
use crate::topic::{Catalog, TopicEntry};
use crate::uuid::Uuid;

/// One partition of a consumer; see the [module](self).
#[derive(Debug)]
pub(super) struct Assigned {
    name: Arc<TopicPartition>,
    /// Another topic may have the name by now.
    topic_id: Uuid,
    /// None while the partition is offline.
    log: Option<WatchedLog>,
    /// The first offset that was not returned. None until it is first asked for.
    position: Option<Offset>,
    /// The leader epoch of the last record that was returned, if the position is behind that.
    epoch: Option<LeaderEpoch>,
    /// The position that was last committed.
    committed: Option<Offset>,
    is_paused: bool,
    fetched: Fetched,
}

/// A log that tells a consumer when it grows, until this is dropped.
#[derive(Debug)]
struct WatchedLog {
    log: Arc<Log>,
    watcher: Arc<Watcher>,
}

/// What of a consumer is needed to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) shared: &'a Shared,
    pub(super) config: &'a ConsumerConfig,
    /// Where there is a group.
    pub(super) offsets: Option<&'a GroupOffsets>,
    pub(super) watcher: &'a Arc<Watcher>,
}

impl Reading<'_> {
    /// The log of a partition. Its topic is created where it is not there and that is allowed.
    pub(super) fn log(&self, partition: &TopicPartition) -> Result<Arc<Log>> {
        let topic = self.shared.topic_or_create(partition.topic())?;
        topic.log(partition.partition().into()).map(Arc::clone)
    }

    /// The offset behind what may be seen of a log.
    pub(super) fn bound(&self, log: &Log) -> Offset {
        self.config.isolation.bound(log)
    }

    /// The first visible record since a time.
    pub(super) fn offset_for_time(&self, log: &Log, time: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        let bound = self.bound(log);
        Ok(log.offset_for_time(time)?.filter(|&(offset, _)| offset < bound))
    }

    /// Where `auto.offset.reset` says to begin; `None` where it says nowhere.
    fn reset(&self, log: &Log) -> Result<Option<Offset>> {
        Ok(match self.config.auto_offset_reset {
            AutoOffsetReset::Earliest => Some(log.start()),
            AutoOffsetReset::Latest => Some(self.bound(log)),
            AutoOffsetReset::ByDuration(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                let now = self.shared.background.clock.wall().as_millis();
                let bound = self.bound(log);
                let found = self.offset_for_time(log, Timestamp::from_millis(now.saturating_sub(age)))?;
                Some(found.map_or(bound, |(offset, _)| offset))
            }
            AutoOffsetReset::None => None,
        })
    }
}

impl Assigned {
    /// A partition of a topic, without a position.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPartition`]. One that is offline is none: reading it will be.
    pub(super) fn new(name: TopicPartition, topic: &TopicEntry, reading: Reading<'_>) -> Result<Assigned> {
        let log = match topic.log(name.partition().into()) {
            Ok(log) => Some(WatchedLog::new(log, reading.watcher)),
            Err(Error::PartitionOffline { .. }) => None,
            Err(error) => return Err(error),
        };
        let topic_id = topic.id;
        let (name, fetched) = (Arc::new(name), Fetched::default());
        let (position, epoch, committed) = (None, None, None);
        Ok(Assigned { name, topic_id, log, position, epoch, committed, is_paused: false, fetched })
    }

    /// Whether its topic is gone: another one may have its name by now.
    pub(super) fn is_gone(&self, catalog: &Catalog) -> bool {
        catalog.topic(self.name.topic()).map_or(true, |topic| topic.id != self.topic_id)
    }

    pub(super) fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) fn fetched(&self) -> &Fetched {
        &self.fetched
    }

    /// Has the partition left out of polls, or no more. Its position stays.
    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        if is_paused {
            self.fetched = Fetched::default();
        }
    }

    /// Moves the position to `offset`, whether or not it exists.
    pub(super) fn seek(&mut self, offset: Offset) {
        (self.position, self.epoch) = (Some(offset), None);
        self.fetched = Fetched::default();
    }

    /// Its position, as it is committed; `None` where there is none yet, or the topic is gone: another one may have its name.
    pub(super) fn to_commit(&self, catalog: &Catalog) -> Option<OffsetToCommit> {
        if self.is_gone(catalog) {
            return None;
        }
        Some(OffsetToCommit {
            partition: TopicPartition::clone(&self.name),
            offset: self.position?,
            leader_epoch: self.epoch,
            metadata: String::new(),
        })
    }

    /// The leader epoch of the last record before `offset`, where it is there.
    pub(super) fn epoch_before(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.log.as_ref().and_then(|watched| watched.log.epoch_before(offset))
    }

    /// Whether the position is another one than was committed last.
    pub(super) fn has_moved(&self) -> bool {
        self.position.is_some() && self.position != self.committed
    }

    /// Has the position committed once more, whether or not it moves.
    pub(super) fn forget_committed(&mut self) {
        self.committed = None;
    }

    /// Notes that the position was committed.
    pub(super) fn note_committed(&mut self) {
        self.committed = self.position;
    }

    /// The log; once it is there, where the partition was offline.
    pub(super) fn log(&mut self, reading: Reading<'_>) -> Result<&Log> {
        attach(&mut self.log, &self.name, self.topic_id, reading)
    }

    /// The first offset that was not returned; where there is none yet, what the group has committed; where there is nothing,
    /// where `auto.offset.reset` says to begin.
    pub(super) fn position(&mut self, reading: Reading<'_>) -> Result<Offset> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        let log = attach(&mut self.log, &self.name, self.topic_id, reading)?;
        // A topic that is gone is what is wrong, whatever the policy says.
        log.check_open()?;
        let committed = reading.offsets.map(|offsets| offsets.committed(&self.name)).transpose()?.flatten();
        let (begin, epoch) = match committed {
            Some(committed) => {
                let begin = begin_at(&committed, log, reading)?;
                // Behind a cut, the same offset is that of another record, and has to be committed once it is reached.
                self.committed = begin.0.filter(|&begin| begin == committed.offset);
                begin
            }
            None => (reading.reset(log)?, None),
        };
        let (topic, partition) = (self.name.topic(), self.name.partition());
        let begin = begin.ok_or_else(|| Error::NoPosition { topic: topic.to_owned(), partition })?;
        self.epoch = epoch;
        Ok(*self.position.insert(begin))
    }

    /// Fetches what follows, in about `max_bytes`; gives how many bytes that is.
    pub(super) fn fetch(&mut self, reading: Reading<'_>, max_bytes: usize) -> Result<usize> {
        let is_first = self.fetched.is_empty();
        match self.read(reading, max_bytes) {
            // What is wrong further on is for the fetch that begins there to tell.
            Err(_) if !is_first => Ok(0),
            Err(error @ Error::OffsetOutOfRange { .. }) => match self.leave_position(reading) {
                Ok(true) => self.read(reading, max_bytes),
                Ok(false) => Err(error),
                Err(error) => Err(error),
            },
            result => result,
        }
        .map_err(|error| self.named(error))
    }

    fn read(&mut self, reading: Reading<'_>, max_bytes: usize) -> Result<usize> {
        let from = self.fetched.end().map_or_else(|| self.position(reading), Ok)?;
        let log = attach(&mut self.log, &self.name, self.topic_id, reading)?;
        let (upto, checks_crcs) = (reading.bound(log), reading.config.check_crcs);
        Ok(self.fetched.extend(log.read_span(Span { from, upto, max_bytes, checks_crcs })?))
    }

    /// Leaves a position outside the log as `auto.offset.reset` says; `false` where it says nothing.
    fn leave_position(&mut self, reading: Reading<'_>) -> Result<bool> {
        let position = self.position(reading)?;
        let log = attach(&mut self.log, &self.name, self.topic_id, reading)?;
        let Some(begin) = reading.reset(log)? else { return Ok(false) };
        let (start, end) = (log.start(), log.end());
        log::warn!("{}: position {position} is outside {start}..{end}; reset to {begin}", self.name);
        (self.position, self.epoch) = (Some(begin), None);
        // As behind a cut: once it is reached, the same offset is that of another record.
        self.committed = None;
        Ok(true)
    }

    /// Moves at most `count` records of what was fetched to `records`.
    ///
    /// # Errors
    ///
    /// Those of decoding the first batch. What is wrong behind records that were moved is for the next call to tell.
    pub(super) fn take(&mut self, count: usize, records: &mut Records) -> Result<()> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let mut taken = 0;
        while taken < count {
            match self.fetched.take(count - taken, position) {
                Ok(None) => break,
                Ok(Some(Front { leader_epoch, timestamp_type, records: front })) => {
                    taken += front.len();
                    self.epoch = leader_epoch;
                    let partition = Arc::clone(&self.name);
                    records.push(Part { partition, leader_epoch, timestamp_type, records: front });
                }
                Err(_) if taken > 0 => break,
                Err(error) => return Err(self.named(error)),
            }
        }
        Ok(())
    }

    /// An error of reading this partition, which says so.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Closed
            | Error::UnknownTopic { .. }
            | Error::UnknownPartition { .. }
            | Error::PartitionOffline { .. }
            | Error::NoPosition { .. } => error,
            source => Error::Fetch {
                topic: self.name.topic().to_owned(),
                partition: self.name.partition(),
                position: self.position.unwrap_or_default(),
                source: Box::new(source),
            },
        }
    }
}

/// Where to begin behind what a group has committed: there; or, where a power cut took the log's tail, at the first offset that
/// is not known to be the same, if `auto.offset.reset` says anything.
fn begin_at(
    committed: &CommittedOffset,
    log: &Log,
    reading: Reading<'_>,
) -> Result<(Option<Offset>, Option<LeaderEpoch>)> {
    let CommittedOffset { offset, leader_epoch, .. } = *committed;
    let known = leader_epoch.and_then(|epoch| log.end_of_epoch(epoch));
    let Some(end) = known.filter(|&end| end < offset) else { return Ok((Some(offset), leader_epoch)) };
    if reading.reset(log)?.is_none() {
        return Err(Error::OffsetOutOfRange { requested: offset, start: log.start(), end });
    }
    let name = log.name();
    log::warn!("{name}: offset {offset} was committed, but the log was cut at {end}; reset to {end}");
    Ok((Some(end), leader_epoch))
}

impl WatchedLog {
    fn new(log: &Arc<Log>, watcher: &Arc<Watcher>) -> WatchedLog {
        log.watchers().add(watcher);
        WatchedLog { log: Arc::clone(log), watcher: Arc::clone(watcher) }
    }
}

impl Drop for WatchedLog {
    fn drop(&mut self) {
        self.log.watchers().remove(&self.watcher);
    }
}

/// The log in `place`; put there first where it is not, because the partition was offline.
fn attach<'a>(
    place: &'a mut Option<WatchedLog>,
    name: &TopicPartition,
    topic_id: Uuid,
    reading: Reading<'_>,
) -> Result<&'a Log> {
    let watched = match place {
        Some(watched) => watched,
        None => {
            let topic = reading.shared.catalog.topic(name.topic())?;
            if topic.id != topic_id {
                return Err(Error::UnknownTopic { topic: name.topic().to_owned() });
            }
            place.insert(WatchedLog::new(topic.log(name.partition().into())?, reading.watcher))
        }
    };
    Ok(&watched.log)
}
