//! A partition's log: what its appends, reads, syncs and checkpoints share.
//!
//! One writer at a time, and any number of readers that wait for nobody. The writer publishes the end offset after the
//! bytes are there; a reader loads the end first, then the list of segments, and so never looks for what is not.
//!
//! Lock order: `checkpointing` → writer → `unsynced`; the flush timer's is a leaf. A sync round holds none of them.
//!
//! Invariants: start ≤ durable ≤ end; durable and end never go back while the log is open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::TopicConfig;
use super::due::Checkpointed;
use super::durable_slots::DurableSlot;
use super::end_offset::EndOffset;
use super::epochs::EpochHistory;
use super::flush_timer::FlushTimer;
use super::group_commit::GroupCommit;
use super::log_dir::LogDir;
use super::segments::SegmentList;
use super::writer::{Writer, draw_jitter};
use crate::error::{Error, Result};
use crate::metrics::LogCounters;
use crate::offset::{LeaderEpoch, Offset, TopicPartition};
use crate::segment::{IndexWriter, LogSegment};
use crate::signal::Watchers;
use crate::sync::{Acquire, Arc, ArcSwap, AtomicBool, Mutex, OnceLock, Weak};

/// A partition's log; see the [module](self).
#[derive(Debug)]
pub(crate) struct Log {
    pub(super) name: TopicPartition,
    pub(super) path: PathBuf,
    /// The settings in force. An append works by those that it finds when it begins.
    pub(super) config: ArcSwap<TopicConfig>,
    pub(super) dir: Arc<LogDir>,
    /// The log itself, for those who are told of it.
    pub(super) this: Weak<Log>,
    pub(super) segments: ArcSwap<SegmentList>,
    start: Offset,
    /// As they were at the open: none begins later.
    epochs: EpochHistory,
    end: EndOffset,
    durable: EndOffset,
    pub(super) writer: Mutex<Writer>,
    pub(super) group: GroupCommit,
    /// Segments that were rolled before they were synced; guarded against the sync round that takes them.
    pub(super) unsynced: Mutex<Vec<Arc<LogSegment>>>,
    /// Whether the directory has entries that a power cut would lose.
    pub(super) dir_is_unsynced: AtomicBool,
    /// Whether a sync was asked for since room was last made.
    pub(super) sync_is_wanted: AtomicBool,
    /// Held during a checkpoint, over its syncs: one at a time.
    pub(super) checkpointing: Mutex<()>,
    /// When the oldest unsynced append is due by `flush.ms`.
    pub(super) flush_timer: FlushTimer,
    pub(super) slot: DurableSlot,
    pub(super) poison: OnceLock<Arc<Error>>,
    pub(super) is_closed: AtomicBool,
    /// Whether it is closed because its topic was deleted. Set before anything of it is taken away.
    pub(super) is_deleted: AtomicBool,
    pub(super) counters: LogCounters,
    /// Those who wait for the end or the durable offset to move, or for the log to fail.
    watchers: Watchers,
}

/// What an open or a creation found, from which the log goes on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) sealed: Vec<Arc<LogSegment>>,
    pub(super) active: Arc<LogSegment>,
    /// The active segment's index, where it is already in memory.
    pub(super) index: Option<IndexWriter>,
    /// The length of the active file, which reads as zeros behind the log's end.
    pub(super) prepared: u64,
    pub(super) start: Offset,
    /// Everything below is on the device: all there is, unless somebody else writes to it.
    pub(super) durable: Offset,
    pub(super) epochs: EpochHistory,
    /// Bytes behind the recovery point, for which a checkpoint is due.
    pub(super) unsaved_bytes: u64,
    pub(super) slot: DurableSlot,
}

impl Log {
    /// The log of what was opened.
    pub(super) fn new(
        dir: &Arc<LogDir>,
        name: TopicPartition,
        config: TopicConfig,
        opened: Opened,
    ) -> Arc<Log> {
        let Opened { sealed, active, index, prepared, start, durable, epochs, unsaved_bytes, slot } = opened;
        let end = active.end().offset;
        let jitter = draw_jitter(&config, &mut dir.random.lock());
        let mut writer =
            Writer::new(Arc::clone(&active), prepared, index, epochs.current(), dir.clock.wall(), jitter);
        writer.since_checkpoint = unsaved_bytes;
        Arc::new_cyclic(|this| Log {
            path: dir.partition_path(&name),
            name,
            config: ArcSwap::from_pointee(config),
            dir: Arc::clone(dir),
            this: Weak::clone(this),
            segments: ArcSwap::from_pointee(SegmentList::new(sealed, active)),
            start,
            epochs,
            end: EndOffset::new(end),
            durable: EndOffset::new(durable),
            writer: Mutex::new(writer),
            group: GroupCommit::default(),
            unsynced: Mutex::default(),
            dir_is_unsynced: AtomicBool::new(false),
            sync_is_wanted: AtomicBool::new(false),
            checkpointing: Mutex::default(),
            flush_timer: FlushTimer::default(),
            slot,
            poison: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            is_deleted: AtomicBool::new(false),
            counters: LogCounters::default(),
            watchers: Watchers::default(),
        })
    }

    /// The end of what was written in a leader epoch: the beginning of the next one that is known, or the log's end. None for an
    /// epoch that has not begun. Kafka's OffsetForLeaderEpoch.
    pub(crate) fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset> {
        if epoch > self.epochs.current() {
            return None;
        }
        Some(self.epochs.end_of(epoch).unwrap_or_else(|| self.end()))
    }

    /// The leader epoch of the last record before `offset`, where there is one.
    pub(crate) fn epoch_before(&self, offset: Offset) -> Option<LeaderEpoch> {
        let last = u64::from(offset).checked_sub(1).and_then(|last| Offset::try_from(last).ok())?;
        self.epochs.epoch_of(last).filter(|_| (self.start()..self.end()).contains(&last))
    }

    pub(crate) fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The log directory that it is in.
    pub(crate) fn dir(&self) -> &Arc<LogDir> {
        &self.dir
    }

    /// The partition's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// The first readable offset.
    pub(crate) fn start(&self) -> Offset {
        self.start
    }

    /// The next offset to be assigned.
    pub(crate) fn end(&self) -> Offset {
        self.end.load()
    }

    /// Everything below is on the device.
    pub(crate) fn durable(&self) -> Offset {
        self.durable.load()
    }

    /// The writer's: shows everything below `end` to readers.
    pub(super) fn publish_end(&self, end: Offset) {
        self.end.publish(end);
    }

    /// Those to be told when the end or the durable offset has moved, or the log has failed or ended.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// The sync round's: everything below `durable` is on the device.
    pub(super) fn publish_durable(&self, durable: Offset) {
        self.durable.raise(durable);
        self.watchers.tell();
    }

    /// The segments, oldest first.
    pub(crate) fn segment_list(&self) -> Vec<Arc<LogSegment>> {
        self.segments.load().iter().map(Arc::clone).collect()
    }

    /// Refuses appends and syncs once the log is closed or poisoned.
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.check_open()?;
        self.check_sound()
    }

    /// Refuses what needs a sync after one has failed.
    pub(crate) fn check_sound(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(source) => Err(Error::Poisoned {
                topic: self.name.topic().to_owned(),
                partition: self.name.partition(),
                durable: self.durable(),
                source: Arc::clone(source),
            }),
        }
    }

    /// Refuses everything once the log is closed, or its topic deleted.
    pub(crate) fn check_open(&self) -> Result<()> {
        // In this order: a deletion says so first, and closes then.
        let is_closed = self.is_closed.load(Acquire);
        self.check_exists()?;
        if is_closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses everything once the topic is deleted. What has been read of files by their names counts only if this is
    /// asked afterwards: they may be another topic's.
    pub(crate) fn check_exists(&self) -> Result<()> {
        let is_deleted = self.is_deleted.load(Acquire);
        if is_deleted { Err(Error::UnknownTopic { topic: self.name.topic().to_owned() }) } else { Ok(()) }
    }

    /// Asks for a checkpoint at the next interval, or at once.
    pub(super) fn request_checkpoint(&self, delay: Duration) {
        let this: Weak<dyn Checkpointed> = Weak::<Log>::clone(&self.this);
        self.dir.request_checkpoint(this, delay);
    }
}
