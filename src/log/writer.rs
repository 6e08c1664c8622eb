//! The writer's side of a log: the active segment, its room, its growing index, and what must be undone.
//!
//! All of it is guarded by the partition's writer lock. An append is written behind the published end. If that
//! fails, the file is cut at that end before anything else is appended, so nothing of it can come back: until that has
//! succeeded, every append fails.

use std::io::IoSlice;
use std::time::Duration;

use super::config::TopicConfig;
use super::head_room::{HeadRoom, RoomPolicy};
use super::roll::ActiveState;
use crate::error::Result;
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::EncodedBatch;
use crate::segment::{IndexWriter, LogSegment, SegmentEnd};
use crate::storage::FileHandle;
use crate::sync::Arc;

/// How many batches of some 64 KiB go out in one write: the system is slower with larger ones.
const BATCHES_PER_WRITE: usize = 2;

/// What only the holder of the writer lock may touch; see the [module](self).
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) active: Arc<LogSegment>,
    /// The active segment's index. None while the log is idle: then it is in its files.
    pub(crate) index: Option<IndexWriter>,
    pub(crate) epoch: LeaderEpoch,
    /// Bytes appended since the last checkpoint was asked for.
    pub(crate) since_checkpoint: u64,
    room: HeadRoom,
    /// Whether a failed write may have left something behind the end.
    is_dirty: bool,
    first_timestamp: Option<Timestamp>,
    /// Whether `first_timestamp` has been looked up since the log was opened.
    first_is_known: bool,
    began: Timestamp,
    jitter: Duration,
}

impl Writer {
    /// A writer that goes on at the end of `active`, whose file is `prepared` bytes long.
    pub(crate) fn new(
        active: Arc<LogSegment>,
        prepared: u64,
        index: Option<IndexWriter>,
        epoch: LeaderEpoch,
        began: Timestamp,
        jitter: Duration,
    ) -> Writer {
        Writer {
            active,
            index,
            epoch,
            since_checkpoint: 0,
            room: HeadRoom::new(prepared),
            is_dirty: false,
            first_timestamp: None,
            first_is_known: false,
            began,
            jitter,
        }
    }

    /// Makes the writer ready for an append: undoes what a failed one left, takes the index out of its files, and finds
    /// out since when the segment's age counts.
    pub(crate) fn make_ready(&mut self, config: &TopicConfig) -> Result<()> {
        self.settle()?;
        if !self.first_is_known {
            self.first_timestamp = self.active.first_timestamp()?;
            self.first_is_known = true;
        }
        if self.index.is_some() {
            return Ok(());
        }
        let end = self.active.end();
        let walk = self.active.walk(end, config.index_interval_bytes)?;
        if let Some(error) = walk.bad {
            return Err(error);
        }
        self.active.set_index(walk.writer.index());
        self.index = Some(walk.writer);
        Ok(())
    }

    /// The active segment, as far as the rules for a roll ask.
    pub(crate) fn state(&self, config: &TopicConfig) -> ActiveState {
        let index_is_full = |index: &IndexWriter| index.is_full(config.segment_index_bytes);
        ActiveState {
            base: self.active.base(),
            bytes: self.active.end().position,
            first_timestamp: self.first_timestamp,
            began: self.began,
            jitter: self.jitter,
            index_is_full: self.index.as_ref().is_some_and(index_is_full),
        }
    }

    /// Writes batches that have been stamped, and publishes them in the segment.
    pub(crate) fn write(&mut self, batches: &[EncodedBatch], policy: RoomPolicy) -> Result<SegmentEnd> {
        let start = self.active.end().position;
        let bytes: u64 = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
        let file = self.active.log();
        self.room.make(file, start + bytes, policy)?;
        // Until it is known to be whole; also where the storage panics.
        self.is_dirty = true;
        if let Err(error) = write_all(file, start, batches) {
            // If this fails as well, the next append tries again before it writes.
            let _ = self.settle();
            return Err(error);
        }
        self.is_dirty = false;
        Ok(self.publish(batches, start))
    }

    /// Notes the index entries of what was written at `start`, and moves the segment's end behind it.
    fn publish(&mut self, batches: &[EncodedBatch], start: u64) -> SegmentEnd {
        let index = self.index.as_mut().expect("make_ready() came first");
        let mut end = SegmentEnd { position: start, offset: self.active.end().offset };
        for batch in batches {
            let header = batch.header();
            index.note(header, end.position);
            end = SegmentEnd {
                position: end.position + batch.bytes().len() as u64,
                offset: header.next_offset(),
            };
        }
        let largest = index.largest();
        if start == 0 {
            self.first_timestamp = largest.map(|largest| largest.timestamp);
        }
        self.active.publish(end, largest);
        end
    }

    /// Goes on in a new, empty segment.
    pub(crate) fn begin(
        &mut self,
        active: Arc<LogSegment>,
        interval_bytes: u32,
        began: Timestamp,
        jitter: Duration,
    ) {
        let index = IndexWriter::new(active.base(), interval_bytes);
        active.set_index(index.index());
        self.active = active;
        self.index = Some(index);
        self.room = HeadRoom::new(0);
        self.first_timestamp = None;
        self.began = began;
        self.jitter = jitter;
    }

    /// Cuts the room behind the end off: at a roll and at a close. The room is zeros, so failing to is harmless.
    pub(crate) fn trim(&mut self) -> Result<()> {
        let end = self.active.end().position;
        if self.room.prepared() > end {
            self.active.log().set_bytes(end)?;
            self.room.cut(end);
        }
        Ok(())
    }

    /// Cuts off what a failed write may have left: unlike zeroing it, this needs no space on a full disk.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if self.is_dirty {
            let end = self.active.end().position;
            self.active.log().set_bytes(end)?;
            self.room.cut(end);
            self.is_dirty = false;
        }
        Ok(())
    }
}

/// Writes batches back to back from byte `start` on, in as few writes as are fast.
fn write_all(file: &FileHandle, start: u64, batches: &[EncodedBatch]) -> Result<()> {
    let mut position = start;
    for group in batches.chunks(BATCHES_PER_WRITE) {
        let mut parts = [IoSlice::new(&[]); BATCHES_PER_WRITE];
        for (part, batch) in parts.iter_mut().zip(group) {
            *part = IoSlice::new(batch.bytes());
        }
        file.write_at(position, parts.get(..group.len()).unwrap_or_default())?;
        position += group.iter().map(|batch| batch.bytes().len() as u64).sum::<u64>();
    }
    Ok(())
}

/// How much `segment.ms` is cut for one segment: at random up to `segment.jitter.ms`, and never more than all of it.
pub(crate) fn draw_jitter(config: &TopicConfig, random: &mut fastrand::Rng) -> Duration {
    let most = config.segment_jitter.min(config.segment_age);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if most == 0 { 0 } else { random.u64(0..=most) })
}

/// The range of offsets that an append got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}
