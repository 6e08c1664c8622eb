//! Whole brokers in memory, with their producers, consumers and background, under schedules that are drawn: each step of each
//! thread comes when the scheduler wants it. What deadlocks is found, and is told with the schedule that shows it.
//!
//! Shuttle runs one thread at a time and takes every access for sequentially consistent; what weaker memory allows is loom's to
//! find, for the small protocols (`sync.rs`). Time does not pass: what sleeps until a deadline sleeps until it is woken.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

use super::{Delivery, Producer};
use crate::acks::Acks;
use crate::broker::{Broker, BrokerConfig, Partition};
use crate::consumer::{AutoOffsetReset, Consumer, IsolationLevel};
use crate::error::Error;
use crate::log::TopicConfig;
use crate::offset::{Offset, PartitionId, TopicPartition};
use crate::record::Record;
use crate::signal::Parker;
use crate::sync::{Arc, thread};
use crate::topic::NewTopic;

/// How many schedules of each kind, where `STREAMLOG_SCHEDULES` does not say.
const SCHEDULES: usize = 150;

/// Runs `work` under schedules that are drawn at random, and under those of PCT, which finds what needs a few switches at just the
/// wrong places.
fn check(work: fn()) {
    let count = std::env::var("STREAMLOG_SCHEDULES").map_or(SCHEDULES, |text| text.parse().unwrap());
    let config = || {
        let mut config = Config::new();
        config.max_steps = MaxSteps::FailAfter(2_000_000);
        config.stack_size = 256 << 10;
        config.silence_warnings = true;
        config
    };
    Runner::new(RandomScheduler::new(count), config()).run(work);
    Runner::new(PctScheduler::new(4, count), config()).run(work);
}

/// A broker with a topic `t` whose segments hold a few records each.
fn broker(partitions: u32) -> Broker {
    let config = BrokerConfig::default().seed(1);
    let broker = Broker::builder().in_memory().config(config).open().unwrap();
    let config = TopicConfig::default().segment_bytes(1024);
    broker.admin_for_schedules(NewTopic::new("t").partitions(partitions).config(config));
    broker
}

impl Broker {
    /// `admin` is a floor above.
    fn admin_for_schedules(&self, topic: NewTopic) {
        self.shared.catalog.create_topic(topic).unwrap();
    }
}

fn partition(broker: &Broker, number: u32) -> Partition {
    broker.topic("t").unwrap().partition(number).unwrap()
}

/// The values of all records below the end, which are dense.
fn values(partition: &Partition) -> Vec<String> {
    let (mut values, mut next) = (Vec::new(), Offset::ZERO);
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        for batch in &batches {
            for record in &batch.records().unwrap() {
                assert_eq!(record.offset(), values.len() as u64);
                values.push(String::from_utf8(record.value().unwrap().to_vec()).unwrap());
            }
        }
        next = batches.next_offset().unwrap();
    }
    values
}

/// Each sender's records are there in its order, each once, and nothing else is.
fn check_sent(partitions: &[Partition], senders: usize, records: usize) {
    let mut seen = 0;
    for partition in partitions {
        let mut last = BTreeMap::new();
        for value in values(partition) {
            let mut words = value.split(' ').map(|word| word.to_owned());
            let (sender, number) = (words.next().unwrap(), words.next().unwrap().parse::<usize>().unwrap());
            assert!(last.insert(sender, number) < Some(number), "in the order in which it was sent: {value}");
            seen += 1;
        }
    }
    assert_eq!(seen, senders * records, "all of them, each once");
}

fn follower(broker: &Broker, level: IsolationLevel, partitions: u32) -> Consumer {
    let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).isolation(level);
    let mut consumer = builder.build().unwrap();
    let names =
        (0..partitions).map(|number| TopicPartition::new("t", PartitionId::try_from(number).unwrap()));
    consumer.assign(names).unwrap();
    consumer
}

/// Polls asleep until it has seen so many records, one after the other in each partition.
fn follow(mut consumer: Consumer, count: usize) {
    let (mut seen, mut next) = (0, BTreeMap::new());
    while seen < count {
        for record in &consumer.poll(Duration::MAX).unwrap() {
            let next = next.entry(record.partition()).or_insert(0_u64);
            assert_eq!(record.offset(), *next);
            *next += 1;
            seen += 1;
        }
    }
}

fn send(producer: &Producer, sender: usize, number: usize, partition: u32) -> Delivery {
    // So that few of them fill a segment.
    let value = format!("{sender} {number} {}", "x".repeat(300));
    producer.send(Record::to("t").partition(partition).value(&value)).unwrap()
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(work)
}

#[test]
fn senders_of_one_partition_complete_each_others_batches_in_order() {
    check(|| {
        let broker = broker(1);
        // One record in a batch, and one batch in an append, so that batches wait for each other.
        let producer =
            broker.producer().acks(Acks::Leader).batch_bytes(400).max_in_flight(1).build().unwrap();
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let producer = producer.clone();
                spawn(move || {
                    let deliveries = [0, 1].map(|number| send(&producer, sender, number, 0));
                    let offsets = deliveries.map(|delivery| delivery.wait().unwrap().offset.unwrap());
                    assert!(offsets[0] < offsets[1]);
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(producer.buffered_bytes(), 0, "all of it was given back");
        check_sent(&[partition(&broker, 0)], 3, 2);
    });
}

#[test]
fn a_small_buffer_makes_senders_wait_and_wakes_them() {
    check(|| {
        let broker = broker(1);
        // Room for one record or two.
        let producer = broker.producer().acks(Acks::Leader).buffer_bytes(800).batch_bytes(400);
        let producer = producer.linger(Duration::from_secs(100)).build().unwrap();
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let producer = producer.clone();
                spawn(move || {
                    for number in 0..2 {
                        let delivery = send(&producer, sender, number, 0);
                        assert!(producer.buffered_bytes() <= 800);
                        drop(delivery);
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        producer.flush().unwrap();
        assert_eq!(producer.buffered_bytes(), 0);
        check_sent(&[partition(&broker, 0)], 3, 2);
    });
}

#[test]
fn what_is_waited_for_awaited_or_dropped_becomes_durable() {
    check(|| {
        let broker = broker(1);
        let producer = broker.producer().build().unwrap();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (producer, partition) = (producer.clone(), partition(&broker, 0));
                spawn(move || {
                    let delivery = send(&producer, sender, 0, 0);
                    match sender {
                        0 => {
                            let offset = delivery.wait().unwrap().offset.unwrap();
                            assert!(partition.durable_offset() > offset);
                        }
                        1 | 2 => {
                            let offset = block_on(delivery).offset.unwrap();
                            assert!(partition.durable_offset() > offset);
                        }
                        _ => drop(delivery),
                    }
                })
            })
            .collect();
        // Only the background makes the dropped one durable; a consumer that shows nothing else waits for it.
        follow(follower(&broker, IsolationLevel::ReadDurable, 1), 4);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        check_sent(&[partition(&broker, 0)], 4, 1);
    });
}

fn block_on(delivery: Delivery) -> super::RecordMetadata {
    let mut delivery = pin!(delivery);
    let parker = Parker::current();
    loop {
        match delivery.as_mut().poll(&mut Context::from_waker(parker.waker())) {
            Poll::Ready(outcome) => return outcome.unwrap(),
            Poll::Pending => parker.park(None),
        }
    }
}

#[test]
fn a_follower_asleep_on_two_partitions_is_woken_by_each() {
    check(|| {
        let broker = broker(2);
        let consumer = follower(&broker, IsolationLevel::ReadUncommitted, 2);
        let follower = spawn(move || follow(consumer, 4));
        let producer = broker.producer().acks(Acks::Leader).build().unwrap();
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let producer = producer.clone();
                spawn(move || {
                    for number in 0..2 {
                        drop(send(&producer, sender, number, u32::try_from(sender).unwrap()));
                    }
                })
            })
            .collect();
        follower.join().unwrap();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        check_sent(&[partition(&broker, 0), partition(&broker, 1)], 2, 2);
    });
}

#[test]
fn readers_see_no_end_without_its_records_while_segments_roll_and_sync() {
    check(|| {
        let broker = broker(1);
        let writer = partition(&broker, 0);
        let (reader, syncer) = (writer.clone(), writer.clone());
        let value = "x".repeat(400);
        let writes = spawn(move || {
            // One record fills half a segment.
            for _ in 0..4 {
                let end = writer.append(&[Record::new().value(&value)]).unwrap().end;
                assert!(writer.durable_offset() <= writer.log_end_offset());
                assert!(writer.log_end_offset() >= end);
            }
            writer.sync().unwrap()
        });
        let reads = spawn(move || {
            // At the end too, where there may be something by the time that it is looked for.
            let mut next = Offset::ZERO;
            for _ in 0..12 {
                let batches = reader.read(next, 1).unwrap();
                next = batches.next_offset().unwrap_or(next);
            }
        });
        let syncs = spawn(move || {
            for _ in 0..2 {
                let end = syncer.log_end_offset();
                assert!(syncer.sync().unwrap() >= end);
            }
        });
        let durable = writes.join().unwrap();
        reads.join().unwrap();
        syncs.join().unwrap();
        assert_eq!(durable, 4_u64);
    });
}

#[test]
fn a_close_among_senders_keeps_what_it_acknowledged() {
    check(|| {
        let broker = broker(1);
        let reader = broker.clone();
        let producer = broker.producer().acks(Acks::Leader).build().unwrap();
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let producer = producer.clone();
                spawn(move || {
                    for number in 0..2 {
                        let value = format!("{sender} {number}");
                        let sent = producer.send(Record::to("t").partition(0).value(&value));
                        match sent.and_then(Delivery::wait) {
                            Ok(_) => {}
                            Err(Error::Closed) => return,
                            Err(error) => {
                                assert!(matches!(error, Error::DeliveryFailed { .. }), "{error}");
                                return;
                            }
                        }
                    }
                })
            })
            .collect();
        let closer = spawn(move || broker.close().unwrap());
        closer.join().unwrap();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        producer.close(Duration::MAX).unwrap();
        assert_eq!(producer.buffered_bytes(), 0, "every batch was completed");
        drop(reader);
    });
}

#[test]
fn flushing_and_closing_complete_everything() {
    check(|| {
        let broker = broker(1);
        let producer = broker.producer().linger(Duration::from_secs(100)).build().unwrap();
        let other = producer.clone();
        let sender = spawn(move || {
            for number in 0..2 {
                drop(send(&other, 0, number, 0));
            }
            other.flush().unwrap();
        });
        drop(send(&producer, 1, 0, 0));
        producer.flush().unwrap();
        drop(send(&producer, 1, 1, 0));
        sender.join().unwrap();
        producer.close(Duration::MAX).unwrap();
        let partition = partition(&broker, 0);
        check_sent(std::slice::from_ref(&partition), 2, 2);
        assert_eq!(partition.durable_offset(), partition.log_end_offset());
        let broker = Arc::new(broker);
        broker.close().unwrap();
    });
}

/// What the first group of all commits while its topic is deleted, and another of that name created, is not left for that one.
#[test]
fn the_first_commit_there_is_does_not_outlive_its_topic() {
    static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);
    check(|| {
        let broker = broker(1);
        let (name, old) = (TopicPartition::new("t", PartitionId::ZERO), broker.topic("t").unwrap().id());
        let shared = &broker.shared;
        let (grows, deletes, creates) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
        // The others may wait for this one.
        let grows = spawn(move || grows.catalog.create_partitions("t", 6).map(drop));
        let deletes = spawn(move || deletes.delete_topic("t").unwrap());
        let creates = spawn(move || creates.create_topic(NewTopic::new("t")).map(drop));
        let mut consumer = broker.consumer().group("g").auto_commit(None).build().unwrap();
        let assigned = consumer.assign([name.clone()]);
        let committed = assigned.and_then(|()| consumer.commit_offsets([(name.clone(), Offset::from(1))]));
        // Once there is the new one, it may have been of that.
        let is_of_old = broker.topic("t").map_or(committed.is_ok(), |topic| topic.id() == old);
        deletes.join().unwrap();
        // There may be nothing to grow, or the old one still there.
        let _ = (grows.join().unwrap(), creates.join().unwrap());
        if is_of_old {
            assert!(consumer.committed([&name]).unwrap().is_empty(), "{committed:?}");
            FORGOTTEN.fetch_add(usize::from(committed.is_ok()), Ordering::Relaxed);
        }
    });
    assert!(FORGOTTEN.load(Ordering::Relaxed) > 0, "no schedule has a commit of the topic that is deleted");
}
