//! Records on their way from a consumer to the threads that process them: a lane for each key, and how far each partition is.
//!
//! A record's partition and key choose its lane, and one record of a lane is processed at a time, so records of a key never
//! overtake each other. Whichever thread is free takes the first record of the lane that has waited longest, and sleeps while
//! there is none.
//!
//! Invariants: a lane that is there waits for its turn, or its first record is being processed; nothing is begun once it is over;
//! of a partition that was given up nothing is in flight.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::ending::{Ending, Outcome, not_processed};
use super::progress::Progress;
use crate::consumer::offset_and_metadata::OffsetAndMetadata;
use crate::consumer::record::{ConsumerRecord, OwnedRecord};
use crate::consumer::records::Records;
use crate::consumer::waker::ConsumerWaker;
use crate::offset::TopicPartition;
use crate::sync::{Arc, Condvar, Mutex};

/// The hash of a partition and a key: where two of them have the same, they share a lane.
type Lane = u64;

/// See the [module](self).
pub(super) struct Lanes {
    ending: Arc<Ending>,
    /// Wakes the consumer, when it is to look at what has become of its records.
    waker: ConsumerWaker,
    /// How many records may be in flight.
    in_flight_max: usize,
    /// Whether the consumer is woken for every record that is finished.
    tells_each: bool,
    state: Mutex<State>,
    /// There is a record to be taken, or it is over.
    ready: Condvar,
    /// A record is no longer being processed.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Lane, VecDeque<OwnedRecord>>,
    /// Those whose turn it is, once each.
    waiting: VecDeque<Lane>,
    partitions: BTreeMap<TopicPartition, Progress>,
    /// How many records are in a lane or being processed.
    in_flight: usize,
    /// Whether the consumer waits for room.
    is_full: bool,
    /// Whether it waits until nothing is in flight; and whether anything was dropped since it began to.
    is_draining: bool,
    has_dropped: bool,
}

/// What has become of records that were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    NotYet,
    /// All of them are finished, or have failed.
    Finished,
    /// Some were given up.
    Dropped,
}

impl Lanes {
    pub(super) fn new(
        in_flight_max: usize,
        tells_each: bool,
        waker: ConsumerWaker,
        ending: Arc<Ending>,
    ) -> Lanes {
        let (state, ready, ended) = (Mutex::default(), Condvar::new(), Condvar::new());
        Lanes { ending, waker, in_flight_max, tells_each, state, ready, ended }
    }

    pub(super) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// How many more records may be taken on. None before half of them are finished, so that records come in numbers: the consumer
    /// is woken then.
    pub(super) fn room(&self) -> usize {
        let mut state = self.state.lock();
        state.is_full = state.in_flight > self.in_flight_max / 2;
        if state.is_full { 0 } else { self.in_flight_max.saturating_sub(state.in_flight) }
    }

    /// Takes records on.
    pub(super) fn add(&self, records: &Records) {
        let mut state = self.state.lock();
        let State { lanes, waiting, partitions, in_flight, .. } = &mut *state;
        for (partition, records) in records.by_partition() {
            let progress = partitions.entry(partition.clone()).or_default();
            for record in records {
                progress.take(record.offset(), record.leader_epoch());
                *in_flight += 1;
                let lane = lane(&record);
                lanes
                    .entry(lane)
                    .or_insert_with(|| {
                        waiting.push_back(lane);
                        self.ready.notify_one();
                        VecDeque::new()
                    })
                    .push_back(record.to_owned());
            }
        }
    }

    /// Processes records, until it is over.
    pub(super) fn run(&self, work: impl Fn(ConsumerRecord<'_>) -> Outcome) {
        while let Some((lane, record)) = self.begin() {
            let outcome = work(record.record());
            self.end(lane, record.record(), outcome);
        }
    }

    /// The next record, waited for, and its lane; `None`: it is over.
    fn begin(&self) -> Option<(Lane, OwnedRecord)> {
        let mut state = self.state.lock();
        loop {
            if self.ending.is_over() {
                return None;
            }
            let Some(lane) = state.waiting.pop_front() else {
                self.ready.wait(&mut state);
                continue;
            };
            let Some(record) = state.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else {
                // What was in it belonged to a partition that was given up.
                state.lanes.remove(&lane);
                continue;
            };
            if let Some(progress) = state.partitions.get_mut(record.record().topic_partition()) {
                progress.begin();
            }
            return Some((lane, record));
        }
    }

    /// A record was processed, or has failed.
    fn end(&self, lane: Lane, record: ConsumerRecord<'_>, outcome: Outcome) {
        let (partition, offset, is_finished) = (record.topic_partition(), record.offset(), outcome.is_ok());
        // First, so that nothing is begun any more.
        if let Err(source) = outcome {
            self.ending.fail(not_processed(partition, offset, source));
        }
        let mut state = self.state.lock();
        if state.lanes.get(&lane).is_some_and(VecDeque::is_empty) {
            state.lanes.remove(&lane);
        } else {
            state.waiting.push_back(lane);
            self.ready.notify_one();
        }
        if let Some(progress) = state.partitions.get_mut(partition) {
            progress.end(offset, is_finished);
        }
        state.in_flight -= 1;
        let is_awaited = self.is_awaited(&mut state);
        drop(state);
        self.ended.notify_all();
        if is_awaited || self.tells_each {
            self.waker.wake();
        }
    }

    /// Whether there is what the consumer waits for, room or nothing in flight; says so once.
    fn is_awaited(&self, state: &mut State) -> bool {
        let has_room = state.is_full && state.in_flight <= self.in_flight_max / 2;
        let is_drained = state.is_draining && state.in_flight == 0;
        state.is_full &= !has_room;
        state.is_draining &= !is_drained;
        has_room || is_drained
    }

    /// Has the consumer woken once nothing is in flight.
    pub(super) fn drain(&self) {
        let mut state = self.state.lock();
        (state.is_draining, state.has_dropped) = (state.in_flight > 0, false);
    }

    /// What has become of the records that were in flight when the drain began.
    pub(super) fn drained(&self) -> Drained {
        let state = self.state.lock();
        match (state.in_flight, state.has_dropped) {
            (0, false) => Drained::Finished,
            (0, true) => Drained::Dropped,
            (1.., _) => Drained::NotYet,
        }
    }

    /// Lets whoever waits for a record see that it is over.
    pub(super) fn close(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _state = self.state.lock();
        self.ready.notify_all();
    }

    /// What can be committed of each partition, where that is more than was.
    pub(super) fn finished(&self) -> Vec<(TopicPartition, OffsetAndMetadata)> {
        let state = self.state.lock();
        let to_commit = |(partition, progress): (&TopicPartition, &Progress)| {
            Some((partition.clone(), progress.to_commit()?))
        };
        state.partitions.iter().filter_map(to_commit).collect()
    }

    /// Whether anything is to be committed, now or once it is finished.
    pub(super) fn has_work(&self) -> bool {
        let state = self.state.lock();
        state.in_flight > 0 || state.partitions.values().any(|progress| progress.to_commit().is_some())
    }

    /// Notes what was committed.
    pub(super) fn note_committed(&self, offsets: &[(TopicPartition, OffsetAndMetadata)]) {
        let mut state = self.state.lock();
        for (partition, commit) in offsets {
            if let Some(progress) = state.partitions.get_mut(partition) {
                progress.note_committed(commit.offset);
            }
        }
    }

    /// Forgets these partitions: what of them is queued is dropped, what is being processed is waited for. Gives what can be
    /// committed of them.
    pub(super) fn give_up(&self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, OffsetAndMetadata)> {
        let mut state = self.state.lock();
        let mut dropped = 0;
        for lane in state.lanes.values_mut() {
            let before = lane.len();
            lane.retain(|record| !partitions.contains(record.record().topic_partition()));
            dropped += before - lane.len();
        }
        state.in_flight -= dropped;
        state.has_dropped |= dropped > 0;
        if self.is_awaited(&mut state) {
            self.waker.wake();
        }
        self.ended.wait_while(&mut state, |state| {
            let progress = |partition| state.partitions.get(partition);
            !partitions.iter().filter_map(progress).all(Progress::is_idle)
        });
        let forgotten = partitions.iter().filter_map(|partition| state.partitions.remove_entry(partition));
        forgotten.filter_map(|(partition, progress)| Some((partition, progress.to_commit()?))).collect()
    }
}

/// The lane of a record. One without a key takes that of its partition.
fn lane(record: &ConsumerRecord<'_>) -> Lane {
    let mut hasher = DefaultHasher::new();
    record.topic_partition().hash(&mut hasher);
    record.key().hash(&mut hasher);
    hasher.finish()
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("in_flight", &self.state.lock().in_flight).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::Broker;
    use crate::consumer::AutoOffsetReset;
    use crate::offset::PartitionId;
    use crate::record::Record;
    use crate::topic::NewTopic;

    #[test]
    fn no_more_is_taken_on_than_may_be_in_flight() {
        let broker = Broker::in_memory().unwrap();
        let topic = broker.admin().create_topic(NewTopic::new("t")).unwrap();
        topic.partition(0).unwrap().append(&vec![Record::new().value("3 apples"); 10]).unwrap();
        let partition = TopicPartition::new("t", PartitionId::ZERO);
        let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).max_poll_records(4);
        let mut consumer = builder.build().unwrap();
        consumer.assign([partition.clone()]).unwrap();
        let lanes = Lanes::new(4, false, consumer.waker(), Arc::default());
        assert_eq!(lanes.room(), 4);
        lanes.add(&consumer.poll(Duration::ZERO).unwrap());
        assert_eq!(lanes.room(), 0);
        let finish = || {
            let (lane, record) = lanes.begin().unwrap();
            lanes.end(lane, record.record(), Ok(()));
        };
        finish();
        assert_eq!((lanes.room(), consumer.waker.take()), (0, false), "half of them come at once");
        finish();
        assert!(consumer.waker.take());
        assert_eq!(lanes.room(), 2);
        lanes.add(&consumer.poll(Duration::ZERO).unwrap());
        assert_eq!(lanes.room(), 0);
        assert_eq!(lanes.give_up(&[partition]).len(), 1);
        assert!(consumer.waker.take(), "what is given up makes room as well");
        assert_eq!(lanes.room(), 4);
    }

    #[test]
    fn what_is_waited_for_is_finished_or_dropped() {
        let broker = Broker::in_memory().unwrap();
        let topic = broker.admin().create_topic(NewTopic::new("t")).unwrap();
        topic.partition(0).unwrap().append(&vec![Record::new().value("3 apples"); 4]).unwrap();
        let partition = TopicPartition::new("t", PartitionId::ZERO);
        let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).max_poll_records(2);
        let mut consumer = builder.build().unwrap();
        consumer.assign([partition.clone()]).unwrap();
        let lanes = Lanes::new(10, false, consumer.waker(), Arc::default());
        lanes.drain();
        assert_eq!(lanes.drained(), Drained::Finished, "nothing was in flight");
        for is_dropped in [false, true] {
            lanes.add(&consumer.poll(Duration::ZERO).unwrap());
            let (lane, record) = lanes.begin().unwrap();
            lanes.drain();
            assert_eq!((lanes.drained(), consumer.waker.take()), (Drained::NotYet, false));
            lanes.end(lane, record.record(), Ok(()));
            assert_eq!((lanes.drained(), consumer.waker.take()), (Drained::NotYet, false));
            if is_dropped {
                lanes.give_up(std::slice::from_ref(&partition));
                assert_eq!(lanes.drained(), Drained::Dropped);
            } else {
                let (lane, record) = lanes.begin().unwrap();
                lanes.end(lane, record.record(), Ok(()));
                assert_eq!(lanes.drained(), Drained::Finished);
            }
            assert!(consumer.waker.take());
        }
    }
}
