//! Polling: gathers records from the partitions in turn, and sleeps while there are none.
//!
//! Each poll begins with another partition, and whoever is first may fetch a batch whatever the bounds: so none starves,
//! however much the others have. A partition that cannot be read is told when it is its turn and nothing has been gathered
//! yet; until then, and after, the others are served.
//!
//! A wait says so to the watcher, looks once more, and sleeps (see [`signal`](crate::signal)): an idle consumer uses no CPU.
//! Nothing leaves the consumer before the poll that returns it is over, so a future that is dropped loses nothing.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::assigned::{Assigned, Reading};
use super::handle::Consumer;
use super::records::Records;
use crate::clock::{Clock, block_until, deadline_after};
use crate::error::Result;
use crate::group::Presence;
use crate::sync::Arc;

impl Consumer {
    /// Returns records, at most [`max_poll_records`](super::ConsumerBuilder::max_poll_records), and moves the positions
    /// behind them. Where there are none it waits for some, at most `timeout`, and returns none then.
    ///
    /// A consumer that [subscribes](Consumer::subscribe) takes part in its group here: it joins, is given partitions and gives
    /// them up, tells its listener, and commits what earlier polls returned where it does that by itself. So it must be called
    /// again within [`max_poll_interval`](super::ConsumerBuilder::max_poll_interval). None of that is waited for longer than
    /// `timeout`.
    ///
    /// With nothing assigned, or everything paused, it waits out its timeout all the same: with [`Duration::MAX`] for ever,
    /// until it is [woken](Consumer::waker) or the broker is closed.
    ///
    /// # Errors
    ///
    /// One partition's, which it names: [`Error::Fetch`](crate::Error::Fetch) where it cannot be read at its position,
    /// [`NoPosition`](crate::Error::NoPosition), [`PartitionOffline`](crate::Error::PartitionOffline),
    /// [`UnknownTopic`](crate::Error::UnknownTopic) where the topic is gone. The position stays
    /// there; the next poll goes on with the other partitions, and tells it again when its turn comes. Where damage is why,
    /// everything in front of it has been returned, and
    /// [`unreadable_offsets`](crate::Error::unreadable_offsets) says which offsets to [seek](Consumer::seek) past, for who can
    /// do without them; an example is there.
    ///
    /// Of a group: [`GroupFull`](crate::Error::GroupFull), [`InconsistentProtocols`](crate::Error::InconsistentProtocols),
    /// [`InvalidSessionTimeout`](crate::Error::InvalidSessionTimeout), where it is not let in;
    /// [`FencedInstance`](crate::Error::FencedInstance), where another has come in its place;
    /// [`InvalidAssignment`](crate::Error::InvalidAssignment), [`InvalidMemberData`](crate::Error::InvalidMemberData) and
    /// [`CallbackPanicked`](crate::Error::CallbackPanicked), where the group could not be assigned its partitions; what its
    /// listener returned. The next poll tries again.
    ///
    /// [`Error::Closed`](crate::Error::Closed) once the consumer or the broker is closed, also while it waits.
    pub fn poll(&mut self, timeout: Duration) -> Result<Records> {
        let _polling = self.begin_poll()?;
        if let Poll::Ready(result) = self.look() {
            return result;
        }
        if timeout.is_zero() {
            return Ok(Records::default());
        }
        let clock = Arc::clone(&self.shared()?.background.clock);
        let deadline = deadline_after(&*clock, timeout);
        let waiting = Waiting(self);
        let answer = block_until(&*clock, deadline, |context| waiting.0.wait_and_look(context));
        answer.unwrap_or_else(|| Ok(Records::default()))
    }

    /// As [`poll`](Consumer::poll), without a timeout and without a thread: the future is ready once there are records. It
    /// runs on any executor. Dropping it loses nothing.
    ///
    /// # Errors
    ///
    /// As [`poll`](Consumer::poll).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{AutoOffsetReset, Broker, Consumer, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// async fn count(consumer: &mut Consumer) -> streamlog::Result<usize> {
    ///     Ok(consumer.poll_async().await?.len())
    /// }
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
    /// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    /// consumer.assign([TopicPartition::new("orders", PartitionId::ZERO)])?;
    ///
    /// use std::{pin::pin, task::{Context, Poll, Waker}};
    /// let counted = pin!(count(&mut consumer)).poll(&mut Context::from_waker(Waker::noop()));
    /// assert!(matches!(counted, Poll::Ready(Ok(1))));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub async fn poll_async(&mut self) -> Result<Records> {
        let _polling = self.begin_poll()?;
        if let Poll::Ready(result) = self.look() {
            return result;
        }
        let waiting = Waiting(self);
        poll_fn(|context| waiting.0.wait_and_look(context)).await
    }

    /// Shows the group that the consumer lives; until what this gives is dropped, it is in a poll.
    fn begin_poll(&mut self) -> Result<Option<Polling>> {
        let clock = &self.shared()?.background.clock;
        let polling =
            |presence: &Arc<Presence>| Polling { presence: Arc::clone(presence), clock: Arc::clone(clock) };
        let polling = self.member.as_ref().map(|member| polling(&member.presence));
        polling.iter().for_each(|polling| polling.presence.begin_poll());
        Ok(polling)
    }

    /// Leaves a waker for the next news, and looks after that, so that none is missed.
    fn wait_and_look(&mut self, context: &Context<'_>) -> Poll<Result<Records>> {
        loop {
            self.waker.watcher.wait(context.waker());
            self.wake_to_commit()?;
            let looked = self.look();
            // What a listener waited for meanwhile may have used the wake-up: who was told looks again instead of sleeping.
            if looked.is_ready() || self.waker.watcher.is_waiting() {
                return looked;
            }
        }
    }

    /// What a poll returns now, if it returns.
    fn look(&mut self) -> Poll<Result<Records>> {
        self.shared()?;
        if self.member.is_some() {
            self.tend_group()?;
        } else {
            self.commit_in_time()?;
        }
        self.find_positions()?;
        let is_woken = self.waker.take();
        if self.is_held {
            return if is_woken { Poll::Ready(Ok(Records::default())) } else { Poll::Pending };
        }
        if !is_woken && !self.has_enough()? {
            return Poll::Pending;
        }
        let mut turn = self.turn;
        let (reading, assigned) = self.parts()?;
        let gathered = gather(reading, assigned, &mut turn);
        self.turn = turn;
        match gathered {
            Ok(records) if records.is_empty() && !is_woken => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// Finds out the positions that are not known yet, whether or not it comes to their partitions in this poll: what is sent
    /// after it is to be seen. Where one cannot be found, its partition tells when it is its turn.
    fn find_positions(&mut self) -> Result<()> {
        if !self.is_any_unplaced {
            return Ok(());
        }
        let (reading, assigned) = self.parts()?;
        let mut is_any_unplaced = false;
        for one in assigned {
            is_any_unplaced |= one.position(reading).is_err();
        }
        self.is_any_unplaced = is_any_unplaced;
        Ok(())
    }

    /// Whether `fetch_min_bytes` are there, or were waited for long enough. Once they were, the rest of them is as well.
    fn has_enough(&mut self) -> Result<bool> {
        if self.config.fetch_min_bytes <= 1 {
            return Ok(true);
        }
        if self.is_enough && self.assigned.iter().any(|assigned| !assigned.fetched().is_empty()) {
            return Ok(true);
        }
        let turn = self.turn;
        let (reading, assigned) = self.parts()?;
        self.is_enough = match fetch_ahead(reading, assigned, turn) {
            None => true,
            Some(0) => {
                self.enough_at = None;
                false
            }
            Some(_) => self.has_waited()?,
        };
        if self.is_enough {
            self.enough_at = None;
        }
        Ok(self.is_enough)
    }

    /// Whether `fetch_max_wait` is over, which begins with the first call.
    fn has_waited(&mut self) -> Result<bool> {
        let background = &self.shared()?.background;
        let now = background.clock.monotonic();
        if let Some(enough_at) = self.enough_at {
            return Ok(now >= enough_at);
        }
        let wait = self.config.fetch_max_wait;
        if let Some(deadline) = now.checked_add(wait) {
            let watcher = Arc::clone(&self.waker.watcher);
            background.timers.schedule(deadline, move || watcher.tell());
        }
        self.enough_at = Some(now.saturating_add(wait));
        Ok(wait.is_zero())
    }
}

/// A poll of a consumer in a group.
struct Polling {
    presence: Arc<Presence>,
    clock: Arc<dyn Clock>,
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.presence.end_poll(self.clock.monotonic());
    }
}

/// A consumer that may sleep; once it no longer does, nobody needs to wake it.
struct Waiting<'a>(&'a mut Consumer);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waker.watcher.stop();
    }
}

/// Records from the partitions in turn; or the error of one that comes before all that have any. The turn moves behind the
/// first of either kind.
fn gather(reading: Reading<'_>, assigned: &mut [Assigned], turn: &mut usize) -> Result<Records> {
    let (count, first) = (assigned.len(), *turn);
    let mut records = Records::default();
    let mut room = None;
    for place in (first..count).chain(0..first) {
        if records.len() >= reading.config.max_poll_records {
            break;
        }
        // Only a poll that fetches needs to know.
        let fetches = |one: &Assigned| !one.is_paused() && one.fetched().is_empty();
        if room.is_none() && assigned.get(place).is_some_and(fetches) {
            room = Some(room_left(reading, assigned));
        }
        let Some(one) = assigned.get_mut(place).filter(|one| !one.is_paused()) else { continue };
        let was_empty = records.is_empty();
        let visited = visit(one, reading, &mut room, &mut records);
        if was_empty && (visited.is_err() || !records.is_empty()) {
            *turn = if place + 1 < count { place + 1 } else { 0 };
            visited?;
        }
    }
    Ok(records)
}

/// Gathers what one partition has, fetching within `room` where nothing is left of what was fetched.
fn visit(
    one: &mut Assigned,
    reading: Reading<'_>,
    room: &mut Option<usize>,
    records: &mut Records,
) -> Result<()> {
    let before = records.len();
    // Again where what was fetched are none of the user's records.
    while records.len() == before {
        if one.fetched().is_empty() {
            let left = room.unwrap_or(0);
            if left == 0 && before > 0 {
                return Ok(());
            }
            let bytes = one.fetch(reading, reading.config.max_partition_fetch_bytes.min(left))?;
            if bytes == 0 {
                return Ok(());
            }
            *room = room.map(|room| room.saturating_sub(bytes));
        }
        one.take(reading.config.max_poll_records - before, records)?;
    }
    Ok(())
}

/// Fetches from the partitions in turn until there are `fetch_min_bytes`. `None`: there are, or waiting brings no more;
/// otherwise how many there are.
fn fetch_ahead(reading: Reading<'_>, assigned: &mut [Assigned], turn: usize) -> Option<usize> {
    let mut room = room_left(reading, assigned);
    let (mut ready, mut may_grow) = (0, false);
    let (before, from) = assigned.split_at_mut(turn.min(assigned.len()));
    for one in from.iter_mut().chain(before).filter(|one| !one.is_paused()) {
        loop {
            let left = reading.config.max_partition_fetch_bytes.saturating_sub(one.fetched().bytes());
            if left == 0 && !one.fetched().is_empty() {
                break;
            }
            match one.fetch(reading, left.min(room)) {
                Ok(0) => {
                    may_grow = true;
                    break;
                }
                Ok(bytes) => room = room.saturating_sub(bytes),
                Err(_) => return None,
            }
            if room == 0 {
                return None;
            }
        }
        ready += one.fetched().bytes();
        if ready >= reading.config.fetch_min_bytes {
            return None;
        }
    }
    may_grow.then_some(ready)
}

/// How many bytes may be fetched until `fetch_max_bytes` are held.
fn room_left(reading: Reading<'_>, assigned: &[Assigned]) -> usize {
    let held = assigned.iter().map(|one| one.fetched().bytes()).sum();
    reading.config.fetch_max_bytes.saturating_sub(held)
}
