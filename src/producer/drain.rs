//! Draining: what is ready goes into the log, oldest batch first, several batches in one append.
//!
//! Whoever finds nobody draining drains, and goes on while others leave more, up to a bound; then the background takes over,
//! so that no sender works for the others for ever. Compression, checksums and the append run without the accumulator's lock.
//!
//! A batch is numbered when it is appended, and a number is used up only by an append that succeeded: a definite failure
//! leaves no gap. A failure that may pass keeps its batches at the head and lets the partition rest for a while, so nothing
//! overtakes them.

use std::time::Duration;

use super::accumulator::{Accumulator, Body, Part, ReadyBatch};
use super::completion::Placed;
use super::core::Core;
use crate::error::{Chain, Error, Result};
use crate::log::recycle;
use crate::offset::Offset;
use crate::record::{EncodedBatch, TimestampType, sequence_after};
use crate::sync::Arc;

/// How many rounds a sender drains before it leaves the rest to the background.
const ROUNDS_MAX: usize = 8;
/// How much goes into one append, unless a single batch is larger.
const ROUND_BYTES_MAX: usize = 1 << 20;

/// The shortest pause before a repetition.
const BACKOFF_MIN: Duration = Duration::from_millis(1);

/// Batches on their way into the log, the bytes and what is known of them in two lists of one length.
struct Round {
    encoded: Vec<EncodedBatch>,
    parts: Vec<Part>,
    /// The sequence behind these batches.
    next_sequence: i32,
}

/// Ends the draining if it ends in a panic, so that the next one to come can drain.
struct Draining<'a> {
    accumulator: &'a Accumulator,
    is_over: bool,
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.accumulator.state.lock().is_draining = false;
        }
    }
}

impl Accumulator {
    /// Appends what is ready. Only for who has taken it on, see `may_drain`.
    pub(super) fn drain(self: &Arc<Self>) {
        let mut draining = Draining { accumulator: self, is_over: false };
        let timers = &self.core.background.timers;
        let mut rounds = 0;
        while rounds < ROUNDS_MAX || !timers.have_worker() {
            let Some((batches, sequence)) = self.take_round() else {
                draining.is_over = true;
                return;
            };
            self.run(self.encode(batches, sequence));
            rounds += 1;
        }
        draining.is_over = true;
        let this = Arc::clone(self);
        // Behind all that is due by now: other partitions want their turn.
        timers.schedule(self.clock().monotonic(), move || this.drain());
    }

    /// The batches of the next round, with the sequence of the first of them; `None`, and the draining over, where there
    /// are none.
    fn take_round(self: &Arc<Self>) -> Option<(Vec<ReadyBatch>, i32)> {
        let mut state = self.state.lock();
        if self.is_hurried() {
            state.close_open();
        }
        if state.ready.is_empty() || self.is_resting(&state) {
            state.is_draining = false;
            return None;
        }
        state.resting_until = None;
        let mut bytes = 0;
        let mut fits = |batch: &ReadyBatch| {
            bytes += batch.bytes();
            bytes <= ROUND_BYTES_MAX
        };
        let count = state.ready.iter().map_while(|batch| fits(batch).then_some(())).count();
        let count = count.clamp(1, self.core.config.max_in_flight);
        let count = count.min(state.ready.len());
        Some((state.ready.drain(..count).collect(), state.next_sequence))
    }

    /// Compresses and numbers batches. One that cannot be encoded fails alone.
    fn encode(&self, batches: Vec<ReadyBatch>, mut sequence: i32) -> Round {
        let (mut encoded, mut parts) = (Vec::with_capacity(batches.len()), Vec::with_capacity(batches.len()));
        for ReadyBatch { body, mut part } in batches {
            match self.encode_one(body, sequence) {
                Ok(batch) => {
                    sequence = next_sequence(sequence, &batch);
                    encoded.push(batch);
                    parts.push(part);
                }
                Err(error) => part.complete(Err(Arc::new(error))),
            }
        }
        Round { encoded, parts, next_sequence: sequence }
    }

    fn encode_one(&self, body: Body, sequence: i32) -> Result<EncodedBatch> {
        let identity = self.core.identity;
        match (body, identity) {
            (Body::Built(builder), None) => builder.build(),
            (Body::Built(builder), Some(producer)) => {
                builder.producer(producer.id, producer.epoch, sequence).build()
            }
            (Body::Encoded(mut batch), Some(_)) if batch.header().base_sequence() != Some(sequence) => {
                batch.renumber(sequence);
                Ok(batch)
            }
            (Body::Encoded(batch), _) => Ok(batch),
        }
    }

    fn run(self: &Arc<Self>, mut round: Round) {
        if round.encoded.is_empty() {
            return;
        }
        match self.log.append_batches(&mut round.encoded) {
            Ok(appended) => self.settle(round, appended.start),
            Err(error) if error.is_retriable() => self.try_later(round, error),
            // One of them is to blame, and the others go on without it.
            Err(_) if round.encoded.len() > 1 => self.run_one_by_one(round),
            Err(error) => {
                let error = Arc::new(error);
                round.parts.iter_mut().for_each(|part| part.complete(Err(Arc::clone(&error))));
            }
        }
    }

    fn run_one_by_one(self: &Arc<Self>, round: Round) {
        let mut sequence = self.state.lock().next_sequence;
        let mut rest = round.encoded.into_iter().zip(round.parts);
        while let Some((batch, part)) = rest.next() {
            let first = ReadyBatch { body: Body::Encoded(batch), part };
            self.run(self.encode(vec![first], sequence));
            let mut state = self.state.lock();
            sequence = state.next_sequence;
            if state.resting_until.is_some() {
                // What comes after it waits behind it.
                let later: Vec<_> = rest.map(ready).collect();
                let place = state.ready.len().min(1);
                later.into_iter().rev().for_each(|batch| state.ready.insert(place, batch));
                return;
            }
        }
    }

    /// Tells everybody where their records are.
    fn settle(&self, round: Round, start: Offset) {
        self.state.lock().next_sequence = round.next_sequence;
        self.core.end_trouble();
        let mut base = start;
        for (batch, mut part) in round.encoded.into_iter().zip(round.parts) {
            let header = batch.header();
            let end = base.saturating_add(batch.record_count().into());
            let is_stamped = header.timestamp_type() == TimestampType::Append;
            let append_time = is_stamped.then(|| header.max_timestamp());
            part.complete(Ok(Placed { base, end, append_time }));
            base = end;
            recycle(batch);
        }
    }

    /// Puts batches back to the head, to be tried again after a while; fails those that have been tried enough.
    fn try_later(self: &Arc<Self>, round: Round, error: Error) {
        let config = &self.core.config;
        let now = self.clock().monotonic();
        let error = Arc::new(error);
        self.core.note_trouble(&error);
        let is_ending = self.state.lock().is_ending;
        let mut later = Vec::new();
        for (batch, mut part) in round.encoded.into_iter().zip(round.parts) {
            part.attempts += 1;
            let is_late = now.saturating_sub(part.opened) >= config.delivery_timeout;
            if is_late || part.attempts > config.retries || is_ending {
                let (timeout, attempts) = (config.delivery_timeout, part.attempts);
                let source = Arc::clone(&error);
                let late = || Arc::new(Error::DeliveryTimeout { timeout, attempts, source });
                part.complete(Err(if is_late { late() } else { Arc::clone(&error) }));
            } else {
                later.push(ready((batch, part)));
            }
        }
        let Some(first) = later.first() else { return };
        let pause = self.core.backoff(first.part.attempts);
        // No later than the first of them runs out of time.
        let until = now.saturating_add(pause).min(first.part.opened.saturating_add(config.delivery_timeout));
        let mut state = self.state.lock();
        state.resting_until = Some(until);
        later.into_iter().rev().for_each(|batch| state.ready.push_front(batch));
        drop(state);
        log::warn!(
            "appending to {} failed, and is tried again in {pause:?}: {}",
            self.log.name(),
            Chain(&error)
        );
        let this = Arc::clone(self);
        self.core.background.timers.schedule(until, move || this.resume());
    }
}

impl Core {
    /// How long to wait after so many attempts: `retry.backoff.ms`, doubled each time, a fifth more or less. Never nothing, so that
    /// a full disk does not keep a thread busy.
    fn backoff(&self, attempts: u32) -> Duration {
        let (first, most) = (self.config.retry_backoff, self.config.retry_backoff_max);
        let doubled = first.saturating_mul(1_u32 << attempts.saturating_sub(1).min(20)).min(most.max(first));
        let fifth = doubled / 5;
        let drawn = fifth.mul_f64(2.0 * self.random.lock().f64());
        doubled.saturating_sub(fifth).saturating_add(drawn).max(BACKOFF_MIN)
    }
}

impl ReadyBatch {
    /// Its size, as far as it is known.
    fn bytes(&self) -> usize {
        match &self.body {
            Body::Built(builder) => builder.encoded_bytes(),
            Body::Encoded(batch) => batch.bytes().len(),
        }
    }
}

fn ready((batch, part): (EncodedBatch, Part)) -> ReadyBatch {
    ReadyBatch { body: Body::Encoded(batch), part }
}

fn next_sequence(sequence: i32, batch: &EncodedBatch) -> i32 {
    sequence_after(sequence, batch.record_count().cast_signed())
}
