//! Appending: offsets, writes, publication.
//!
//! Records are encoded, compressed and checksummed before the writer lock is taken; under it, batches get their offsets and
//! epoch (both outside the CRC) and go out in positional writes, to one segment. Readers see all of an append or
//! nothing of it. An append that fails is undone: what was stored before stays, and the next one may succeed.
//!
//! A topic may ask for a sync after so many records or so long (`flush.rs`): that is no part of the append, which has
//! happened whatever comes of it.
//!
//! After a crash, an append that was not yet synced may be there in part: whole batches, from its first on.

use std::time::Duration;

use super::config::TopicConfig;
use super::due::Checkpointed;
use super::encode;
use super::head_room::RoomPolicy;
use super::partition_log::Log;
use super::roll::{self, Incoming};
use super::writer::{Appended, Writer, draw_jitter};
use crate::error::{Chain, Error, Result};
use crate::offset::{Offset, Timestamp};
use crate::record::{Compression, EncodedBatch, Record};
use crate::segment::LogSegment;
use crate::sync::{Acquire, Arc, Relaxed, Release};

impl Log {
    /// Appends records in batches compressed with `compression`: all of them or none.
    pub(crate) fn append(&self, records: &[Record<'_>], compression: Compression) -> Result<Appended> {
        self.check_usable()?;
        if records.is_empty() {
            let end = self.end();
            return Ok(Appended { start: end, end });
        }
        let now = self.dir.clock.wall();
        let config = self.config.load();
        let mut batches = encode::encode(&self.name, &config, records, compression, now)?;
        let appended = self.append_encoded(&mut batches, &config, now);
        batches.into_iter().for_each(encode::recycle);
        appended
    }

    /// Appends batches that are already encoded: all of them or none. Where the topic says so, they are compressed anew in
    /// the topic's codec, and stamped with the time of the append. After a failure they can be appended again.
    pub(crate) fn append_batches(&self, batches: &mut [EncodedBatch]) -> Result<Appended> {
        self.check_usable()?;
        let now = self.dir.clock.wall();
        let config = self.config.load();
        encode::adapt(batches, &config, now)?;
        self.append_encoded(batches, &config, now)
    }

    /// How large a batch of this codec may be before compression, so that it surely fits `max.message.bytes` and a segment.
    pub(crate) fn batch_bytes_max(&self, compression: Compression) -> usize {
        let config = self.config.load();
        let stored = config.compression.stored(compression);
        encode::fitting_bytes(&config, compression).min(encode::fitting_bytes(&config, stored))
    }

    fn append_encoded(
        &self,
        batches: &mut [EncodedBatch],
        config: &TopicConfig,
        now: Timestamp,
    ) -> Result<Appended> {
        // Before the lock, because it syncs the directory, once per open.
        self.dir.marker.remove()?;
        let mut writer = self.writer.lock();
        self.check_usable()?;
        let result = self.append_locked(&mut writer, batches, config, now);
        drop(writer);
        match &result {
            // Without the lock, because waking somebody takes longer than an append, and a sync far longer.
            Ok(appended) => {
                self.watchers().tell();
                // By the settings of now: one that came in during the append finds the record unsynced.
                self.flush_after(appended, &self.config.load());
            }
            Err(_) => self.counters.append_failures.bump(),
        }
        result
    }

    fn append_locked(
        &self,
        writer: &mut Writer,
        batches: &mut [EncodedBatch],
        config: &TopicConfig,
        now: Timestamp,
    ) -> Result<Appended> {
        writer.make_ready(config)?;
        let start = self.end();
        let incoming = incoming(batches, start)?;
        if roll::is_due(&writer.state(config), &incoming, now, config) {
            self.roll(writer, start, config, now)?;
        }
        let mut base = start;
        for batch in batches.iter_mut() {
            batch.stamp(base, writer.epoch);
            base = batch.header().next_offset();
        }
        let room = RoomPolicy {
            is_zeroed: self.sync_is_wanted.swap(false, Relaxed),
            is_preallocated: config.preallocate,
            bytes_max: u64::from(config.segment_bytes),
        };
        let end = writer.write(batches, room)?;
        self.publish_end(end.offset);
        let records = end.offset.delta_from(start).unwrap_or(0);
        self.counters.records_appended.add(records);
        self.counters.batches_appended.add(batches.len() as u64);
        self.counters.bytes_appended.add(incoming.bytes);
        self.note_appended(writer, incoming.bytes);
        Ok(Appended { start, end: end.offset })
    }

    /// Asks for a checkpoint: at the next interval after the first append, at once after so many bytes.
    fn note_appended(&self, writer: &mut Writer, bytes: u64) {
        if writer.since_checkpoint == 0 {
            self.request_checkpoint(self.dir.config.checkpoint_interval);
        }
        let before = writer.since_checkpoint;
        writer.since_checkpoint += bytes;
        let limit = self.dir.config.checkpoint_bytes;
        if before < limit && writer.since_checkpoint >= limit {
            self.request_checkpoint(Duration::ZERO);
        }
    }

    /// Seals the active segment and begins a new one at `base`. On failure nothing has changed.
    fn roll(&self, writer: &mut Writer, base: Offset, config: &TopicConfig, now: Timestamp) -> Result<()> {
        let fresh = Arc::new(LogSegment::create(&self.dir.files, &self.path, base)?);
        if let Some(index) = writer.index.as_mut() {
            index.note_time();
        }
        if let Err(error) = writer.trim() {
            // What stays behind the end are zeros, which end a log as well.
            log::warn!("{}: the sealed segment keeps its head room: {}", self.name, Chain(&error));
        }
        let full = Arc::clone(&writer.active);
        let sealed = full.sealed(&self.dir.files, self.dir.config.sealed_access);
        let sealed = Arc::new(sealed.retiring(&full));
        self.dir_is_unsynced.store(true, Release);
        self.unsynced.lock().push(full);
        self.segments.store(Arc::new(self.segments.load().rolled(sealed, Arc::clone(&fresh))));
        let jitter = draw_jitter(config, &mut self.dir.random.lock());
        writer.begin(fresh, config.index_interval_bytes, now, jitter);
        self.counters.segments_rolled.bump();
        self.request_checkpoint(Duration::ZERO);
        Ok(())
    }

    /// Closes the log: all of it synced, its indexes saved, its file trimmed. Held slices stay valid; everything else
    /// fails from now on.
    pub(crate) fn close(&self) -> Result<()> {
        {
            let _no_append = self.writer.lock();
            if self.is_closed.swap(true, Release) {
                return Ok(());
            }
        }
        // Without the lock, because what is woken is the user's code.
        self.watchers().tell();
        if self.dir.config.is_read_only {
            return Ok(());
        }
        {
            let mut writer = self.writer.lock();
            writer.settle()?;
            if let Some(index) = writer.index.as_mut() {
                index.note_time();
            }
            if self.poison.get().is_none() {
                writer.trim()?;
            }
        }
        self.checkpoint()?;
        if self.dir_is_unsynced.load(Acquire) {
            // A roll whose append failed: no round was due, and the next open would take the new name for durable.
            self.sync_files()?;
        }
        self.segments.load().active().log().close()
    }
}

/// What an append of these batches at `start` brings, or an error where offsets have run out.
fn incoming(batches: &[EncodedBatch], start: Offset) -> Result<Incoming> {
    let count: u64 = batches.iter().map(|batch| u64::from(batch.record_count())).sum();
    let exhausted = Error::OffsetsExhausted { end: start, count };
    let end = start.checked_add(count).ok_or(exhausted)?;
    let last_offset = end.delta_from(Offset::from(1)).and_then(|last| Offset::try_from(last).ok());
    Ok(Incoming {
        bytes: batches.iter().map(|batch| batch.bytes().len() as u64).sum(),
        largest_timestamp: batches.iter().map(EncodedBatch::max_timestamp).max().unwrap_or_default(),
        last_offset: last_offset.unwrap_or(start),
    })
}
