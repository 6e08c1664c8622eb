//! The records of one producer for one partition, from `send` to the append.
//!
//! Records are encoded into the open batch, under this file's only lock. A batch that is full, old or hurried is closed and
//! waits behind those before it, until a thread drains it; see `drain.rs`.
//!
//! Invariants: batches are appended in the order in which they were opened; one thread drains at a time; the lock is held
//! over no I/O.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::completion::{self, Keeper, Placed};
use super::core::Core;
use crate::acks::Acks;
use crate::clock::{Clock, block_until};
use crate::error::{Chain, Error, Result};
use crate::log::Log;
use crate::offset::{Offset, PartitionId, Timestamp};
use crate::record::{BatchBuilder, EncodedBatch, Record};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, SeqCst, Weak};

/// What one producer holds for one partition; see the [module](self).
#[derive(Debug)]
pub(super) struct Accumulator {
    pub(super) core: Arc<Core>,
    pub(super) log: Arc<Log>,
    pub(super) state: Mutex<State>,
    /// Whether the background has been asked to sync and has not begun.
    sync_is_submitted: AtomicBool,
    /// Whether who needs a sync runs it: the background is about to end.
    syncs_here: AtomicBool,
    /// The end of the last record that nobody will ask about. Where it does not become durable, `flush` tells.
    unattended_end: AtomicU64,
    /// Those who wait for the background's sync. Held only to leave and take wakers.
    waiting: Mutex<Vec<Waker>>,
}

/// What becomes of one batch of an accumulator.
pub(super) type Completion = completion::Completion<Accumulator>;

#[derive(Debug, Default)]
pub(super) struct State {
    open: Option<OpenBatch>,
    /// Closed batches, oldest first.
    pub(super) ready: VecDeque<ReadyBatch>,
    /// Whether a thread has taken it on itself to append what is ready.
    pub(super) is_draining: bool,
    /// Until when nothing is tried again.
    pub(super) resting_until: Option<Duration>,
    /// The sequence of the next record that is appended.
    pub(super) next_sequence: i32,
    /// The newest batch that has not been completed.
    newest: Weak<Completion>,
    linger_is_scheduled: bool,
    refuses_sends: bool,
    /// Whether what fails now is not tried again, because the broker closes.
    pub(super) is_ending: bool,
}

/// The batch that records are added to.
#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    bytes_max: usize,
    part: Part,
}

/// A closed batch that waits to be appended.
#[derive(Debug)]
pub(super) struct ReadyBatch {
    pub(super) body: Body,
    pub(super) part: Part,
}

/// The bytes of a closed batch.
#[derive(Debug)]
pub(super) enum Body {
    /// Neither compressed nor numbered yet.
    Built(BatchBuilder),
    /// Tried before.
    Encoded(EncodedBatch),
}

/// What is known of a batch beside its bytes. Dropping it gives its memory back, and completes it if nobody has.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) completion: Arc<Completion>,
    pub(super) opened: Duration,
    pub(super) attempts: u32,
    /// What is reserved for it of `buffer.memory`.
    reserved: usize,
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.completion.outcome().is_none() {
            self.complete(Err(Arc::new(Error::Closed)));
        }
    }
}

impl Part {
    /// Gives the batch's memory back, and then says what became of it: who hears of it finds the room.
    pub(super) fn complete(&mut self, outcome: Result<Placed, Arc<Error>>) {
        self.completion.accumulator.core.budget.release(std::mem::take(&mut self.reserved));
        self.completion.complete(outcome);
    }
}

/// What a record came to when it was added.
pub(super) struct Added {
    pub(super) completion: Arc<Completion>,
    /// The record's place in its batch.
    pub(super) index: u32,
    /// Whether a batch was closed for it or with it.
    pub(super) has_closed: bool,
    /// Whether the caller must drain.
    pub(super) drains: bool,
}

impl Accumulator {
    pub(super) fn new(core: &Arc<Core>, log: &Arc<Log>) -> Arc<Accumulator> {
        Arc::new(Accumulator {
            core: Arc::clone(core),
            log: Arc::clone(log),
            state: Mutex::default(),
            sync_is_submitted: AtomicBool::new(false),
            syncs_here: AtomicBool::new(false),
            unattended_end: AtomicU64::new(0),
            waiting: Mutex::default(),
        })
    }

    pub(super) fn partition(&self) -> PartitionId {
        self.log.name().partition()
    }

    pub(super) fn acks(&self) -> Acks {
        self.core.config.acks
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.core.background.clock
    }

    /// Adds a record for which `reserved` bytes are reserved; they are given back where this fails.
    pub(super) fn add(
        self: &Arc<Self>,
        record: &Record<'_>,
        now: Timestamp,
        reserved: usize,
    ) -> Result<Added> {
        let added = self.add_locked(&mut self.state.lock(), record, now, reserved);
        let (added, linger) = added.inspect_err(|_| self.core.budget.release(reserved))?;
        if let Some(deadline) = linger {
            self.schedule_linger(deadline);
        }
        Ok(added)
    }

    /// The deadline is there where a timer is to be set for the open batch.
    fn add_locked(
        self: &Arc<Self>,
        state: &mut State,
        record: &Record<'_>,
        now: Timestamp,
        reserved: usize,
    ) -> Result<(Added, Option<Duration>)> {
        if state.refuses_sends {
            // Where the topic is gone, that is why.
            return Err(self.log.check_open().err().unwrap_or(Error::Closed));
        }
        let mut has_closed = false;
        if let Some(open) = &mut state.open
            && !open.builder.append_within(record, now, open.bytes_max)?
        {
            has_closed = state.close_open();
        }
        if state.open.is_none() || has_closed {
            let open = self.begin(record, now)?;
            state.newest = Arc::downgrade(&open.part.completion);
            state.open = Some(open);
        }
        let open = state.open.as_mut().expect("a record was just added to it");
        open.part.reserved += reserved;
        let (completion, index) = (Arc::clone(&open.part.completion), open.builder.record_count() - 1);
        let deadline = open.part.opened.saturating_add(self.core.config.linger);
        if open.builder.encoded_bytes() >= open.bytes_max {
            has_closed = state.close_open();
        }
        // While others append, or the partition rests, records gather in the open batch.
        if self.is_hurried() && !state.is_draining && !self.is_resting(state) {
            state.close_open();
        }
        let linger = !self.core.config.linger.is_zero() && state.open.is_some() && !state.linger_is_scheduled;
        state.linger_is_scheduled |= linger;
        let drains = self.may_drain(state);
        Ok((Added { completion, index, has_closed, drains }, linger.then_some(deadline)))
    }

    /// A batch with its first record, so that there is never an empty one.
    fn begin(self: &Arc<Self>, record: &Record<'_>, now: Timestamp) -> Result<OpenBatch> {
        let config = &self.core.config;
        let mut builder = config.builder();
        builder.append(record, now)?;
        let completion = Completion::new(Arc::clone(self));
        Ok(OpenBatch {
            builder,
            bytes_max: config.batch_bytes.min(self.log.batch_bytes_max(config.compression)),
            part: Part { completion, opened: self.clock().monotonic(), attempts: 0, reserved: 0 },
        })
    }

    /// Whether nothing lingers. So it is while somebody waits for memory: who does says so first and closes the open batches then.
    pub(super) fn is_hurried(&self) -> bool {
        self.core.config.linger.is_zero() || self.core.budget.is_waited_for()
    }

    /// Takes on the draining where somebody must: `true` obliges the caller to call [`drain`](Accumulator::drain).
    fn may_drain(&self, state: &mut State) -> bool {
        let drains = !state.is_draining && !state.ready.is_empty() && !self.is_resting(state);
        state.is_draining |= drains;
        drains
    }

    /// Whether it is too early to try again.
    pub(super) fn is_resting(&self, state: &State) -> bool {
        !state.is_ending && state.resting_until.is_some_and(|until| self.clock().monotonic() < until)
    }

    /// Closes the batch of `completion`, if it is still open, and appends what is ready unless somebody does.
    pub(super) fn hasten(self: &Arc<Self>, completion: &Arc<Completion>) {
        if completion.outcome().is_some() {
            return;
        }
        let mut state = self.state.lock();
        if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.part.completion, completion)) {
            state.close_open();
        }
        let drains = self.may_drain(&mut state);
        drop(state);
        if drains {
            self.drain();
        }
    }

    /// Closes the open batch, and appends what is ready unless somebody does.
    pub(super) fn hurry(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.close_open();
        let drains = self.may_drain(&mut state);
        drop(state);
        if drains {
            self.drain();
        }
    }

    /// Appends what is ready, unless somebody does or it is too early.
    pub(super) fn resume(self: &Arc<Self>) {
        let drains = self.may_drain(&mut self.state.lock());
        if drains {
            self.drain();
        }
    }

    fn schedule_linger(self: &Arc<Self>, deadline: Duration) {
        let this = Arc::clone(self);
        self.core.background.timers.schedule(deadline, move || this.end_linger());
    }

    /// Closes the open batch if it has lingered long enough, or comes back when it will have.
    fn end_linger(self: &Arc<Self>) {
        let now = self.clock().monotonic();
        let mut state = self.state.lock();
        state.linger_is_scheduled = false;
        let opened = state.open.as_ref().map(|open| open.part.opened);
        let due = opened.map(|opened| opened.saturating_add(self.core.config.linger));
        let later = due.filter(|&due| due > now);
        if later.is_none() {
            state.close_open();
        }
        state.linger_is_scheduled = later.is_some();
        let drains = self.may_drain(&mut state);
        drop(state);
        if let Some(deadline) = later {
            self.schedule_linger(deadline);
        }
        if drains {
            self.drain();
        }
    }

    /// Refuses records from now on.
    pub(super) fn refuse_sends(&self) {
        self.state.lock().refuses_sends = true;
    }

    /// The newest batch that is not completed yet.
    pub(super) fn newest(&self) -> Option<Arc<Completion>> {
        let newest = self.state.lock().newest.upgrade();
        newest.filter(|completion| completion.outcome().is_none())
    }

    /// Appends all there is, or fails it: nothing is tried again.
    pub(super) fn end(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            (state.refuses_sends, state.is_ending) = (true, true);
        }
        self.hurry();
        if let Some(newest) = self.newest() {
            // Somebody else is appending it.
            block_until(self.clock(), None, |context| newest.poll_outcome(context).map(drop));
        }
        self.sync_waiters();
    }

    /// What a caller is told of a failure.
    pub(super) fn failed(&self, error: &Arc<Error>) -> Error {
        let name = self.log.name();
        let (topic, partition) = (name.topic().to_owned(), name.partition());
        Error::DeliveryFailed { topic, partition, source: Arc::clone(error) }
    }

    /// Syncs up to `end`, on this thread.
    pub(super) fn sync_to(&self, end: Offset) -> Result<()> {
        self.log.sync_through(end).map(drop).map_err(|error| self.failed(&Arc::new(error)))
    }

    /// Syncs all that has been appended to the partition so far, on this thread. A failure is kept for the next flush, once,
    /// if it hit a record that nobody will ask about.
    pub(super) fn sync_appended(&self) {
        if let Err(error) = self.sync_to(self.log.end())
            && u64::from(self.log.durable()) < self.unattended_end.swap(0, SeqCst)
        {
            self.core.note_failure(|| error);
        }
    }

    /// Whether everything below `end` is on the device; if it is not, then why.
    pub(super) fn check_secured(&self, end: Offset) -> Result<()> {
        if self.log.durable() >= end {
            return Ok(());
        }
        let error = self.check_securable().err().unwrap_or(Error::Closed);
        Err(self.failed(&Arc::new(error)))
    }

    /// Refuses where what is not on the device by now never will be.
    fn check_securable(&self) -> Result<()> {
        self.log.check_exists()?;
        self.log.check_sound()
    }

    /// Ready as soon as everything below `end` is on the device, or never will be. The background syncs.
    pub(super) fn poll_secured(self: &Arc<Self>, end: Offset, context: &mut Context<'_>) -> Poll<()> {
        let is_settled = || self.log.durable() >= end || self.check_securable().is_err();
        if is_settled() {
            return Poll::Ready(());
        }
        {
            let mut waiting = self.waiting.lock();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
        }
        self.submit_sync();
        if is_settled() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn submit_sync(self: &Arc<Self>) {
        if self.sync_is_submitted.swap(true, SeqCst) {
            return;
        }
        if self.syncs_here.load(SeqCst) {
            return self.run_sync();
        }
        let this = Arc::clone(self);
        self.core.background.syncs.submit(move || this.run_sync());
    }

    fn run_sync(&self) {
        // First, so that who comes from here on asks for another one; and read, to see what those before had appended.
        self.sync_is_submitted.swap(false, SeqCst);
        self.sync_appended();
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Syncs for those who wait for the background, on this thread: the background is about to end.
    fn sync_waiters(&self) {
        // Either who asks for a sync sees this, or this sees that one was asked for.
        self.syncs_here.store(true, SeqCst);
        if self.sync_is_submitted.load(SeqCst) {
            self.run_sync();
        }
        self.wake_waiting();
    }
}

impl Keeper for Accumulator {
    fn secure(self: &Arc<Self>, end: Offset) {
        if self.acks() == Acks::All && self.log.durable() < end {
            self.unattended_end.fetch_max(end.into(), SeqCst);
            self.submit_sync();
        }
    }

    fn note_failure(&self, error: &Arc<Error>) {
        if self.acks() == Acks::None {
            log::warn!("records for {} are lost: {}", self.log.name(), Chain(error));
        } else {
            self.core.note_failure(|| self.failed(error));
        }
    }
}

impl State {
    /// Closes the open batch; `false` where there is none.
    pub(super) fn close_open(&mut self) -> bool {
        let Some(OpenBatch { builder, part, .. }) = self.open.take() else { return false };
        self.ready.push_back(ReadyBatch { body: Body::Built(builder), part });
        true
    }
}
