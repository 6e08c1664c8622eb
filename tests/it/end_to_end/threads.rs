//! Threads that send and threads that follow, on the system's clock: right under every schedule, and so without sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use streamlog::{
    Acks, AutoOffsetReset, Broker, Compression, Consumer, IsolationLevel, NewTopic, PartitionId, Producer,
    Record, Records, TopicConfig, TopicPartition,
};

/// Longer than any test: what waits so long must be woken.
const FOR_EVER: Duration = Duration::MAX;
const PARTITIONS: u32 = 8;
const THREADS: usize = 8;
const RECORDS: usize = 600;

fn named(topic: &str, number: u32) -> TopicPartition {
    TopicPartition::new(topic, PartitionId::try_from(number).unwrap())
}

fn follower(
    broker: &Broker,
    level: IsolationLevel,
    names: impl IntoIterator<Item = TopicPartition>,
) -> Consumer {
    let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).isolation(level);
    let mut consumer = builder.max_poll_records(50).build().unwrap();
    consumer.assign(names).unwrap();
    consumer
}

/// Producers of all kinds; each is shared by two threads.
fn producers(broker: &Broker) -> Vec<Producer> {
    let codec = |codec: Compression| if codec.is_available() { codec } else { Compression::None };
    let builders = [
        broker.producer(),
        broker.producer().acks(Acks::Leader).linger(Duration::from_millis(1)).batch_bytes(2000),
        broker.producer().linger(Duration::from_millis(2)).compression(codec(Compression::Lz4)),
        broker.producer().acks(Acks::Leader).batch_bytes(1000).buffer_bytes(4000),
    ];
    builders.into_iter().map(|builder| builder.build().unwrap()).collect()
}

/// What was sent or seen: the value at each offset of each partition.
type Placed = BTreeMap<(u32, u64), String>;

fn send(producer: &Producer, thread: usize) -> Placed {
    let deliveries: Vec<_> = (0..RECORDS)
        .map(|number| {
            let value = format!("{thread} {number} {}", "x".repeat((thread * 7 + number * 31) % 150));
            let key = (number % 50).to_string();
            let record = Record::to("t").value(&value);
            let record = match number % 3 {
                0 => record,
                1 => record.key(&key),
                _ => record.partition(u32::try_from(thread).unwrap()),
            };
            (producer.send(record).unwrap(), value)
        })
        .collect();
    let mut placed = Placed::new();
    for (delivery, value) in deliveries {
        let metadata = delivery.wait().unwrap();
        let place = (metadata.partition.into(), metadata.offset.unwrap().into());
        assert!(placed.insert(place, value).is_none(), "an offset is told once");
    }
    placed
}

/// Polls until it is woken for the end, and then whatever is left.
fn follow(mut consumer: Consumer, is_over: &AtomicBool) -> Placed {
    let (mut seen, mut next) = (Placed::new(), BTreeMap::new());
    let mut note = |records: &Records| {
        for record in records {
            let place = (record.partition().into(), record.offset().into());
            let next = next.entry(place.0).or_insert(0);
            assert_eq!(place.1, *next, "one after the other, each once");
            *next += 1;
            seen.insert(place, String::from_utf8(record.value().unwrap().to_vec()).unwrap());
        }
    };
    while !is_over.load(SeqCst) {
        note(&consumer.poll(FOR_EVER).unwrap());
    }
    loop {
        let records = consumer.poll(Duration::ZERO).unwrap();
        if records.is_empty() {
            return seen;
        }
        note(&records);
    }
}

/// What each thread sent to a partition comes in the order in which it was sent.
fn check_order(placed: &Placed) {
    let mut last = BTreeMap::new();
    for ((partition, offset), value) in placed {
        let mut words = value.split(' ').map(|word| word.parse::<usize>());
        let (thread, number) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        let before = last.insert((*partition, thread), number);
        assert!(before < Some(number), "{partition} at {offset}");
    }
}

fn check(broker: &Broker) {
    let config = TopicConfig::default().segment_bytes(20_000);
    broker.admin().create_topic(NewTopic::new("t").partitions(PARTITIONS).config(config)).unwrap();
    let levels = [IsolationLevel::ReadUncommitted, IsolationLevel::ReadDurable];
    let is_over = Arc::new(AtomicBool::new(false));
    // Each partition has two that follow it, of both levels.
    let consumers = (0..PARTITIONS).zip(levels.into_iter().cycle()).map(|(number, level)| {
        follower(broker, level, [named("t", number), named("t", (number + 1) % PARTITIONS)])
    });
    let (mut wakers, mut followers) = (Vec::new(), Vec::new());
    for consumer in consumers {
        let is_over = Arc::clone(&is_over);
        wakers.push(consumer.waker());
        followers.push(thread::spawn(move || follow(consumer, &is_over)));
    }
    let producers = producers(broker);
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let producer = producers[thread % producers.len()].clone();
            thread::spawn(move || send(&producer, thread))
        })
        .collect();
    let mut sent = Placed::new();
    for sender in senders {
        for (place, value) in sender.join().unwrap() {
            assert!(sent.insert(place, value).is_none(), "an offset is told once");
        }
    }
    assert_eq!(sent.len(), THREADS * RECORDS);
    check_order(&sent);
    for partition in broker.topic("t").unwrap().partitions() {
        partition.unwrap().sync().unwrap();
    }
    is_over.store(true, SeqCst);
    wakers.iter().for_each(|waker| waker.wake());
    for (number, follower) in (0..PARTITIONS).zip(followers) {
        let own = [number, (number + 1) % PARTITIONS];
        let expected = sent.iter().filter(|((partition, _), _)| own.contains(partition));
        assert!(follower.join().unwrap().iter().eq(expected), "all of its own, and nothing else");
    }
}

#[test]
fn every_follower_sees_all_of_its_partitions_in_order_once() {
    let directory = tempfile::tempdir().unwrap();
    check(&Broker::open(directory.path().join("data")).unwrap());
    check(&Broker::in_memory().unwrap());
}

/// Answers each record of one topic with one in the other, or begins.
fn play(broker: &Broker, level: IsolationLevel, acks: Acks, topics: [&'static str; 2], rounds: u64) {
    let mut consumer = follower(broker, level, [named(topics[0], 0)]);
    let producer = broker.producer().acks(acks).build().unwrap();
    let serve = |round: u64| drop(producer.send(Record::to(topics[1]).value(&round.to_string())).unwrap());
    let begins = topics[0] == "pong";
    if begins {
        serve(0);
    }
    for round in 0..rounds {
        let records = consumer.poll(FOR_EVER).unwrap();
        let values: Vec<_> = records.iter().map(|record| record.value().unwrap().to_vec()).collect();
        assert_eq!(values, [round.to_string().into_bytes()]);
        let next = if begins { round + 1 } else { round };
        if next < rounds {
            serve(next);
        }
    }
}

#[test]
fn no_wake_up_is_lost_with_one_record_on_its_way() {
    // The second way, nobody waits for a sync: the background makes it, and wakes who follows.
    for (level, acks, rounds) in [
        (IsolationLevel::ReadUncommitted, Acks::Leader, 20_000),
        (IsolationLevel::ReadDurable, Acks::All, 4_000),
    ] {
        let broker = Broker::in_memory().unwrap();
        for topic in ["ping", "pong"] {
            let config = TopicConfig::default().segment_bytes(100_000);
            broker.admin().create_topic(NewTopic::new(topic).config(config)).unwrap();
        }
        let (tell, told) = mpsc::channel();
        for topics in [["ping", "pong"], ["pong", "ping"]] {
            let (broker, tell) = (broker.clone(), tell.clone());
            thread::spawn(move || {
                play(&broker, level, acks, topics, rounds);
                tell.send(()).unwrap();
            });
        }
        drop(tell);
        for _ in 0..2 {
            told.recv_timeout(Duration::from_secs(60)).expect("nobody sleeps for ever");
        }
    }
}
