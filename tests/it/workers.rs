//! Records processed on several threads: consumers with a thread each, and one consumer with a pool behind it.
//!
//! The clock stands still unless a test moves it, so nothing is committed by time. What a test waits for is told to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use streamlog::{
    Broker, ConsumerBuilder, ConsumerRecord, CooperativeSticky, Error, NewTopic, Offset, OffsetSpec,
    Rebalance, RebalanceListener, RebalanceProtocol, Record, Records, Result, TopicPartition, Workers,
};

use crate::groups::{assignors, broker, builder, fill, partition};
use crate::kit::Place;

/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds threads up until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let waited = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), PATIENCE, |is_open| !*is_open);
        assert!(!waited.unwrap().1.timed_out(), "the gate was never opened");
    }
}

/// What is told by the threads, and looked at by the test.
struct Told<T>(Receiver<T>);

fn telling<T>() -> (Sender<T>, Told<T>) {
    let (sender, receiver) = mpsc::channel();
    (sender, Told(receiver))
}

impl<T: Ord> Told<T> {
    fn next(&self) -> T {
        self.0.recv_timeout(PATIENCE).expect("nothing was told")
    }

    /// The next so many, in order.
    fn next_sorted(&self, count: usize) -> Vec<T> {
        let mut all: Vec<T> = (0..count).map(|_| self.next()).collect();
        all.sort_unstable();
        all
    }

    /// All there will be, where the threads are gone.
    fn rest(&self) -> Vec<T> {
        self.0.iter().collect()
    }
}

/// The number that [`fill`] gave a record.
fn number(record: &ConsumerRecord<'_>) -> u64 {
    str::from_utf8(record.value().unwrap()).unwrap().parse().unwrap()
}

/// Appends records with these keys to partition 0 of topic `t`.
fn fill_keys(broker: &Broker, keys: &[&str]) {
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    for (value, key) in (u64::from(partition.log_end_offset())..).zip(keys) {
        partition.append(&[Record::new().key(key).value(&value.to_string())]).unwrap();
    }
}

/// Damages the record at an offset of partition 0 of topic `t`, each of which is a batch of its own.
fn damage(place: &Place, broker: &Broker, at: usize) {
    let batches = broker.topic("t").unwrap().partition(0).unwrap().read(Offset::ZERO, usize::MAX).unwrap();
    let end: usize = batches.iter().take(at + 1).map(|batch| batch.bytes().len()).sum();
    let path = place.path().join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[end - 2] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
}

/// What the group has committed for a partition of `t`.
fn committed(broker: &Broker, number: u32) -> Option<u64> {
    let name = partition("t", number);
    let all = builder(broker).build().unwrap().committed([&name]).unwrap();
    all.get(&name).map(|committed| committed.offset.into())
}

/// Returns once that is so.
fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::yield_now();
    }
}

#[track_caller]
fn assert_stopped_at(error: &Error, expected: u64) -> String {
    let Error::NotProcessed { offset, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(*offset, expected);
    source.to_string()
}

/// A pool that tells each record, and holds up those with key `slow` before they are finished.
fn pool_with_gate(builder: ConsumerBuilder, threads: usize) -> (Workers, Told<u64>, Gate) {
    let (sender, told) = telling();
    let gate = Gate::default();
    let workers = builder.worker_pool(threads, ["t"], {
        let gate = gate.clone();
        move |record| {
            sender.send(number(&record))?;
            if record.key() == Some(b"slow") {
                gate.pass();
            }
            Ok(())
        }
    });
    (workers.unwrap(), told, gate)
}

mod pools {
    use super::*;

    #[test]
    fn records_of_a_key_are_processed_in_order() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 3)]);
        let mut random = fastrand::Rng::with_seed(7);
        let keys = ["a", "b", "c", "d", "e", "f", "g"];
        for number in 0..3 {
            let log = broker.topic("t").unwrap().partition(number).unwrap();
            for value in 0..300_u64 {
                let value = value.to_string();
                let record = Record::new().value(&value);
                let key = keys.get(random.usize(..8));
                log.append(&[key.map_or(record, |key| Record::new().key(key).value(&value))]).unwrap();
            }
        }
        let (sender, told) = telling();
        let workers = builder(&broker).worker_pool(5, ["t"], move |record| {
            // So that others get ahead, if they may.
            thread::yield_now();
            let key = record.key().map(<[u8]>::to_vec);
            Ok(sender.send((u32::from(record.partition()), key, record.offset()))?)
        });
        let workers = workers.unwrap();
        let mut seen: BTreeMap<_, Vec<Offset>> = BTreeMap::new();
        for _ in 0..900 {
            let (partition, key, offset) = told.next();
            seen.entry((partition, key)).or_default().push(offset);
        }
        assert_eq!(seen.len(), 24);
        for (key, offsets) in seen {
            assert!(offsets.is_sorted_by(|one, next| one < next), "{key:?}: {offsets:?}");
        }
        workers.stop();
        workers.join().unwrap();
        assert!((0..3).all(|number| committed(&broker, number) == Some(300)));
    }

    #[test]
    fn a_slow_record_holds_up_its_key_only_and_no_commit_passes_it() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
        let mut all: Vec<&str> = vec!["k0", "slow", "slow"];
        all.extend(keys.iter().map(String::as_str));
        fill_keys(&broker, &all);
        let (workers, told, gate) = pool_with_gate(builder(&broker), 40);
        // Those of other keys that share the lane of the slow one wait behind it.
        let seen: BTreeSet<u64> = (0..20).map(|_| told.next()).collect();
        assert!(seen.contains(&0) && !seen.contains(&2), "{seen:?}");
        wait_until(|| committed(&broker, 0) == Some(1));
        gate.open();
        wait_until(|| committed(&broker, 0) == Some(43));
        drop(workers);
        assert_eq!(told.rest().len() + 20, 43);
    }

    #[test]
    fn nothing_is_committed_of_a_record_that_fails_or_behind_it() {
        for panics in [false, true] {
            let place = Place::memory();
            let broker = broker(&place, &[("t", 2)]);
            fill_keys(&broker, &["a", "b", "slow", "c", "d", "e"]);
            fill(&broker, "t", 1, 4);
            let (sender, told) = telling();
            let gate = Gate::default();
            let workers = builder(&broker).worker_pool(64, ["t"], {
                let gate = gate.clone();
                move |record| {
                    if record.key() == Some(b"slow") {
                        gate.pass();
                        assert!(!panics, "no such order");
                        return Err("no such order".into());
                    }
                    Ok(sender.send(record.offset())?)
                }
            });
            let workers = workers.unwrap();
            // Everything else is finished, wherever it lies.
            told.next_sorted(9);
            wait_until(|| committed(&broker, 1) == Some(4) && committed(&broker, 0) == Some(2));
            gate.open();
            let error = workers.join().unwrap_err();
            let why = assert_stopped_at(&error, 2);
            assert!(why.ends_with("no such order") && why.contains("panicked") == panics, "{why}");
            assert_eq!((committed(&broker, 0), committed(&broker, 1)), (Some(2), Some(4)));
            workers.join().expect("it is told once");
        }
    }

    #[test]
    fn after_a_crash_it_goes_on_at_the_first_record_that_was_not_finished() {
        let place = Place::memory();
        let first = broker(&place, &[("t", 1)]);
        fill_keys(&first, &["a", "b", "slow", "c", "d"]);
        let (workers, told, gate) = pool_with_gate(builder(&first), 64);
        assert_eq!(told.next_sorted(5), [0, 1, 2, 3, 4]);
        wait_until(|| committed(&first, 0) == Some(2));
        // The pool is still at it, and learns of the end too late to commit anything.
        first.close().unwrap();
        gate.open();
        assert!(matches!(workers.join(), Err(Error::Closed)));
        drop((workers, first));

        let second = place.open();
        assert_eq!(committed(&second, 0), Some(2));
        let (workers, told, gate) = pool_with_gate(builder(&second), 64);
        gate.open();
        assert_eq!(told.next_sorted(3), [2, 3, 4]);
        workers.stop();
        workers.join().unwrap();
        assert_eq!(committed(&second, 0), Some(5));
    }

    #[test]
    fn a_stop_ends_it_behind_the_record_it_is_at() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill_keys(&broker, &["slow"; 10]);
        let (workers, told, gate) = pool_with_gate(builder(&broker), 3);
        assert_eq!(told.next(), 0);
        workers.stop();
        gate.open();
        workers.join().unwrap();
        assert!(told.rest().is_empty());
        assert_eq!(committed(&broker, 0), Some(1));
    }

    #[test]
    fn one_that_is_idle_is_stopped_or_dropped_at_once() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        for stops in [true, false] {
            let (workers, ..) = pool_with_gate(builder(&broker), 3);
            if stops {
                workers.stop();
                workers.stop();
                workers.join().unwrap();
                workers.join().unwrap();
            }
            drop(workers);
            // It has left the group: who comes now gets everything at once.
            let mut consumer = builder(&broker).build().unwrap();
            consumer.subscribe(["t"]).unwrap();
            consumer.poll(Duration::ZERO).unwrap();
            assert_eq!(consumer.assignment().len(), 1);
        }
    }

    #[test]
    fn its_own_thread_may_stop_and_join_it() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 3);
        let (sender, receiver) = mpsc::channel::<Arc<Workers>>();
        let receiver = Mutex::new(receiver);
        let workers = builder(&broker).worker_pool(2, ["t"], move |_| {
            let workers = receiver.lock().unwrap().recv_timeout(PATIENCE)?;
            workers.stop();
            workers.join()?;
            // Maybe the last handle.
            drop(workers);
            Ok(())
        });
        let workers = Arc::new(workers.unwrap());
        sender.send(Arc::clone(&workers)).unwrap();
        workers.join().unwrap();
        assert_eq!(committed(&broker, 0), Some(1));
    }

    #[test]
    fn a_rebalance_lets_running_records_finish_and_hands_the_others_on() {
        for assignor in assignors() {
            let place = Place::memory();
            let broker = broker(&place, &[("t", 4)]);
            (0..4).for_each(|number| fill(&broker, "t", number, 50));
            let (sender, told) = telling();
            let builder = builder(&broker).assignors([assignor]).max_poll_records(40);
            let workers = builder.clone().worker_pool(3, ["t"], move |record| {
                thread::yield_now();
                Ok(sender.send((u32::from(record.partition()), number(&record)))?)
            });
            let workers = workers.unwrap();
            let mut seen = vec![told.next()];
            // Others come, take what they get, and go again, while the pool is at it.
            for _ in 0..5 {
                let mut consumer = builder.clone().build().unwrap();
                consumer.subscribe(["t"]).unwrap();
                wait_until(|| {
                    let records = consumer.poll(Duration::ZERO).unwrap();
                    seen.extend(
                        records.iter().map(|record| (u32::from(record.partition()), number(&record))),
                    );
                    consumer.commit().unwrap();
                    !consumer.assignment().is_empty()
                });
                consumer.close().unwrap();
            }
            wait_until(|| (0..4).all(|number| committed(&broker, number) == Some(50)));
            workers.stop();
            workers.join().unwrap();
            seen.extend(told.rest());
            seen.sort_unstable();
            let all: Vec<_> =
                (0..4).flat_map(|partition| (0..50).map(move |number| (partition, number))).collect();
            assert_eq!(seen, all, "each once, because nobody failed");
        }
    }

    #[test]
    fn a_rebalance_waits_for_a_record_that_is_being_processed() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill_keys(&broker, &["slow", "slow"]);
        let (workers, told, gate) = pool_with_gate(builder(&broker), 1);
        assert_eq!(told.next(), 0);
        let mut other = builder(&broker).build().unwrap();
        other.subscribe(["t"]).unwrap();
        for _ in 0..10 {
            assert!(other.poll(Duration::ZERO).unwrap().is_empty());
            assert!(other.assignment().is_empty());
        }
        workers.stop();
        gate.open();
        workers.join().unwrap();
        let records = other.poll(Duration::ZERO).unwrap();
        assert_eq!(records.iter().map(|record| number(&record)).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn it_goes_on_polling_however_long_a_record_takes() {
        for max_poll_records in [1, 500] {
            let place = Place::memory();
            let broker = broker(&place, &[("t", 2)]);
            let builder = builder(&broker)
                .assignors([Arc::new(CooperativeSticky) as _])
                .max_poll_records(max_poll_records);
            fill_keys(&broker, &["slow"]);
            let (workers, told, gate) = pool_with_gate(builder.clone(), 2);
            assert_eq!(told.next(), 0);
            // Another one comes, and gets its share while the pool is still at that record.
            let mut other = builder.build().unwrap();
            other.subscribe(["t"]).unwrap();
            wait_until(|| {
                other.poll(Duration::ZERO).unwrap();
                other.assignment() == [partition("t", 1)]
            });
            gate.open();
            wait_until(|| committed(&broker, 0) == Some(1));
            workers.stop();
            workers.join().unwrap();
        }
    }

    #[test]
    fn with_an_interval_it_commits_when_that_is_over() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        let interval = Duration::from_secs(7);
        let (workers, told, _gate) = pool_with_gate(builder(&broker).auto_commit(Some(interval)), 2);
        for round in 1..=3 {
            fill(&broker, "t", 0, 5);
            told.next_sorted(5);
            wait_until(|| {
                // Also where the last record was finished only after the time was over.
                place.clock.advance(interval);
                committed(&broker, 0) == Some(5 * round)
            });
        }
        drop(workers);
    }

    #[test]
    fn what_is_finished_is_committed_at_the_end_whatever_the_interval() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 5);
        let (workers, told, _gate) =
            pool_with_gate(builder(&broker).auto_commit(Some(Duration::from_secs(7))), 2);
        told.next_sorted(5);
        drop(workers);
        let end = committed(&broker, 0);
        assert!(end.is_some_and(|end| end >= 4), "{end:?}");
    }

    #[test]
    fn cooperative_partitions_that_stay_are_processed_through_a_rebalance() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 2)]);
        let (sender, told) = telling();
        let gate = Gate::default();
        let builder = builder(&broker).assignors([Arc::new(CooperativeSticky) as _]);
        let workers = builder.clone().worker_pool(2, ["t"], {
            let gate = gate.clone();
            move |record| {
                sender.send((u32::from(record.partition()), number(&record)))?;
                gate.pass();
                Ok(())
            }
        });
        let workers = workers.unwrap();
        fill(&broker, "t", 0, 1);
        assert_eq!(told.next(), (0, 0));
        let mut other = builder.build().unwrap();
        other.subscribe(["t"]).unwrap();
        wait_until(|| {
            assert!(other.poll(Duration::ZERO).unwrap().is_empty());
            other.assignment() == [partition("t", 1)]
        });
        // It goes, and its partition comes back to the pool, which is still at that record.
        other.close().unwrap();
        fill(&broker, "t", 1, 1);
        assert_eq!(told.next(), (1, 0));
        gate.open();
        wait_until(|| committed(&broker, 0) == Some(1) && committed(&broker, 1) == Some(1));
        drop(workers);
        assert!(told.rest().is_empty(), "each once");
    }
}

mod consumers {
    use super::*;

    /// Workers that tell each record, and fail where a value is `fails`.
    fn working(builder: ConsumerBuilder, count: usize, fails: u64) -> (Workers, Told<(u32, u64)>) {
        let (sender, told) = telling();
        let workers = builder.workers(count, ["t"], move |records: &Records| {
            for record in records {
                if number(&record) == fails {
                    return Err(format!("record {fails} is one too many").into());
                }
                sender.send((u32::from(record.partition()), number(&record)))?;
            }
            Ok(())
        });
        (workers.unwrap(), told)
    }

    #[test]
    fn each_record_is_processed_by_one_and_committed() {
        let intervals = [None, Some(Duration::from_secs(5))];
        for (assignor, interval) in assignors().into_iter().zip(intervals.into_iter().cycle()) {
            let place = Place::memory();
            let broker = broker(&place, &[("t", 8)]);
            (0..8).for_each(|number| fill(&broker, "t", number, 20));
            let is_eager = assignor.protocol() == RebalanceProtocol::Eager;
            let builder = builder(&broker).assignors([assignor]).auto_commit(interval).max_poll_records(7);
            let (workers, told) = working(builder, 4, u64::MAX);
            let seen = told.next_sorted(160);
            let all: Vec<_> =
                (0..8).flat_map(|partition| (0..20).map(move |number| (partition, number))).collect();
            assert_eq!(seen, all, "each once, because nobody failed");
            workers.stop();
            workers.join().unwrap();
            // A cooperative one may be stopped in the midst of a rebalance, which takes no commit.
            assert!(!is_eager || (0..8).all(|number| committed(&broker, number) == Some(20)));
            assert!(told.rest().is_empty());
        }
    }

    #[test]
    fn the_first_failure_ends_all_of_them_and_is_told() {
        for interval in [None, Some(Duration::from_secs(5))] {
            let place = Place::memory();
            let broker = broker(&place, &[("t", 4)]);
            let builder = builder(&broker).auto_commit(interval).max_poll_records(3);
            fill(&broker, "t", 2, 20);
            let (workers, told) = working(builder, 3, 7);
            // Three at a time: with 6, 7 and 8 it is over.
            let error = workers.join().unwrap_err();
            assert_eq!(assert_stopped_at(&error, 6), "record 7 is one too many");
            assert_eq!(committed(&broker, 2), Some(6));
            assert_eq!(told.rest(), (0..7).map(|number| (2, number)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_told_as_an_error() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 3);
        let workers = builder(&broker).workers(2, ["t"], |_| panic!("out of ink")).unwrap();
        let error = workers.join().unwrap_err();
        assert_eq!(assert_stopped_at(&error, 0), "the work of a worker panicked: out of ink");
        assert_eq!(committed(&broker, 0).unwrap_or(0), 0);
    }

    #[test]
    fn a_stop_ends_them_behind_the_records_they_are_at() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 10);
        let (sender, told) = telling();
        let gate = Gate::default();
        let workers = builder(&broker).max_poll_records(4).workers(2, ["t"], {
            let gate = gate.clone();
            move |records| {
                sender.send(records.len())?;
                gate.pass();
                Ok(())
            }
        });
        let workers = workers.unwrap();
        assert_eq!(told.next(), 4);
        workers.stop();
        gate.open();
        workers.join().unwrap();
        assert!(told.rest().is_empty());
        assert_eq!(committed(&broker, 0), Some(4));
    }

    #[test]
    fn idle_ones_are_stopped_at_once() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        let (workers, told) = working(builder(&broker), 5, 0);
        workers.stop();
        workers.join().unwrap();
        assert!(told.rest().is_empty());
    }

    #[test]
    fn the_end_of_the_broker_ends_them() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        let (workers, _told) = working(builder(&broker), 2, 0);
        broker.close().unwrap();
        assert!(matches!(workers.join(), Err(Error::Closed)));
    }

    #[test]
    fn static_members_are_numbered() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 2)]);
        (0..2).for_each(|number| fill(&broker, "t", number, 5));
        let (workers, told) = working(builder(&broker).group_instance_id("till"), 2, u64::MAX);
        told.next_sorted(10);
        workers.stop();
        workers.join().unwrap();
        assert!((0..2).all(|number| committed(&broker, number) == Some(5)));
    }
}

#[test]
fn what_was_polled_in_front_of_damage_is_processed_and_a_group_goes_on_behind_it() {
    for is_pool in [true, false] {
        let place = Place::disk();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 103);
        damage(&place, &broker, 100);
        let begin = |tell: Sender<u64>| {
            let builder = builder(&broker).max_poll_records(500);
            if is_pool {
                builder.worker_pool(2, ["t"], move |record| Ok(tell.send(record.offset().into())?))
            } else {
                let tell_each = move |records: &Records| {
                    Ok(records.iter().try_for_each(|record| tell.send(record.offset().into()))?)
                };
                builder.workers(1, ["t"], tell_each)
            }
        };
        let (tell, told) = telling();
        let error = begin(tell).unwrap().join().unwrap_err();
        let lost = error.unreadable_offsets().unwrap();
        assert_eq!((u64::from(lost.start), u64::from(lost.end)), (100, 101));
        assert_eq!(committed(&broker, 0), Some(100), "all in front of it");
        let mut processed = told.rest();
        processed.sort_unstable();
        assert_eq!(processed, (0..100).collect::<Vec<_>>());

        let behind = OffsetSpec::Offset(lost.end);
        broker.admin().reset_group_offsets("g", [&partition("t", 0)], behind).unwrap();
        let (tell, told) = telling();
        let workers = begin(tell).unwrap();
        assert_eq!(told.next_sorted(2), [101, 102]);
        workers.stop();
        workers.join().unwrap();
        assert_eq!(committed(&broker, 0), Some(103));
    }
}

/// A pool on 13 records, that at 10 damaged, which is held up at the record before it.
fn pool_before_damage(place: &Place, broker: &Broker, held_at: u64) -> (Workers, Told<u64>, Gate) {
    fill(broker, "t", 0, 13);
    damage(place, broker, 10);
    let (sender, told) = telling();
    let gate = Gate::default();
    let workers = builder(broker).worker_pool(1, ["t"], {
        let gate = gate.clone();
        move |record| {
            sender.send(record.offset().into())?;
            if record.offset() == held_at {
                gate.pass();
            }
            Ok(())
        }
    });
    (workers.unwrap(), told, gate)
}

#[test]
fn a_pool_that_has_come_to_damage_commits_and_goes_through_rebalances_before_it_tells() {
    let place = Place::disk();
    let broker = broker(&place, &[("t", 1)]);
    let (workers, told, gate) = pool_before_damage(&place, &broker, 8);
    wait_until(|| committed(&broker, 0) == Some(8));
    broker.admin().create_partitions("t", 2).unwrap();
    gate.open();
    let error = workers.join().unwrap_err();
    assert_eq!(u64::from(error.unreadable_offsets().unwrap().start), 10);
    assert_eq!(committed(&broker, 0), Some(10), "also what the rebalance gave up");
    assert_eq!(told.rest().into_iter().collect::<BTreeSet<_>>(), (0..10).collect());
}

#[test]
fn a_pool_that_is_stopped_in_front_of_damage_does_not_tell_of_it() {
    let place = Place::disk();
    let broker = broker(&place, &[("t", 1)]);
    let (workers, told, gate) = pool_before_damage(&place, &broker, 4);
    assert_eq!(told.next_sorted(5), [0, 1, 2, 3, 4]);
    workers.stop();
    gate.open();
    workers.join().unwrap();
    assert_eq!(committed(&broker, 0), Some(5));
}

#[test]
fn what_cannot_begin_is_refused() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let nothing: [&str; 0] = [];
    let both = |builder: ConsumerBuilder, count, topics: &[&str]| {
        let pool = builder.clone().worker_pool(count, topics.iter().copied(), |_| Ok(()));
        let workers = builder.workers(count, topics.iter().copied(), |_| Ok(()));
        [pool, workers].map(|started| started.map(drop).unwrap_err())
    };
    for error in both(builder(&broker), 0, &["t"]) {
        assert!(matches!(error, Error::InvalidConfig { setting: "threads" | "workers", .. }), "{error}");
    }
    for error in both(builder(&broker), 1, &nothing) {
        assert_eq!(error.to_string(), "cannot start workers: there are no topics");
    }
    for error in both(broker.consumer(), 1, &["t"]) {
        assert!(matches!(error, Error::MissingGroup { .. }), "{error}");
    }
    for error in both(builder(&broker).max_poll_records(0), 1, &["t"]) {
        assert!(matches!(error, Error::InvalidConfig { setting: "max.poll.records", .. }), "{error}");
    }
    broker.close().unwrap();
    for error in both(builder(&broker), 1, &["t"]) {
        assert!(matches!(error, Error::Closed), "{error}");
    }
}

/// A listener that has something grow that its consumer watches, and then sleeps, so that the wake-up is used.
struct Sleepy(Broker);

impl RebalanceListener for Sleepy {
    fn revoked(&mut self, _: &mut Rebalance<'_>, _: &[TopicPartition]) -> Result<()> {
        self.0.admin().create_topic(NewTopic::new("news"))?;
        let other = Broker::in_memory()?;
        other.consumer().build()?.poll(Duration::from_millis(1)).map(drop)
    }
}

#[test]
fn a_listener_that_waits_does_not_cost_its_consumer_a_wake_up() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let mut one = builder(&broker).build().unwrap();
    one.subscribe_with(["t"], Sleepy(broker.clone())).unwrap();
    one.poll(Duration::ZERO).unwrap();
    let waker = one.waker();
    let polling = thread::spawn(move || {
        // Returns only when it is woken, and takes part in the rebalance until then.
        assert!(one.poll(Duration::MAX).unwrap().is_empty());
        one
    });
    let mut other = builder(&broker).build().unwrap();
    other.subscribe(["t"]).unwrap();
    wait_until(|| {
        other.poll(Duration::ZERO).unwrap();
        !other.assignment().is_empty()
    });
    waker.wake();
    assert_eq!(polling.join().unwrap().assignment().len() + other.assignment().len(), 2);
}

#[test]
fn the_page_of_ways_shows_the_programs_that_are_tested() {
    let programs = [
        include_str!("../../docs/consuming/orders.rs"),
        include_str!("../../docs/consuming/at_most_once.rs"),
        include_str!("../../docs/consuming/per_poll.rs"),
        include_str!("../../docs/consuming/per_record.rs"),
        include_str!("../../docs/consuming/per_interval.rs"),
        include_str!("../../docs/consuming/once_in_effect.rs"),
        include_str!("../../docs/consuming/many_threads.rs"),
    ];
    let page = include_str!("../../docs/consuming.md");
    let shown = page.split("```rust\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    assert_eq!(shown.collect::<Vec<_>>(), programs);
}
