//! Topics that go while records are on their way, and a log directory that dies under a producer.

use std::collections::BTreeSet;
use std::time::Duration;

use streamlog::testing::{Calls, Fault, TestDisk};
use streamlog::{
    Acks, AutoOffsetReset, Broker, BrokerConfig, Delivery, Error, ManualClock, NewTopic, PartitionId, Record,
    RecordMetadata, Result, Timestamp, TopicPartition,
};

use crate::kit::{Faulty, Ran, START};

/// A way to learn what became of a record.
type Ask = fn(Delivery) -> Result<RecordMetadata>;

const ASKS: [(&str, Ask); 3] = [
    ("wait", Delivery::wait),
    ("wait_timeout", |mut delivery| delivery.wait_timeout(Duration::ZERO).map(Option::unwrap)),
    ("await", |delivery| Ran::new(delivery).ready()),
];

fn is_gone(told: Result<RecordMetadata>) -> bool {
    matches!(told, Err(Error::DeliveryFailed { topic, source, .. })
        if topic == "t" && matches!(*source, Error::UnknownTopic { .. }))
}

#[test]
fn a_topic_that_goes_takes_with_it_what_was_on_its_way() {
    for (name, ask) in ASKS {
        // In a batch that lingers, and appended but not on the device.
        for linger in [Duration::from_secs(1), Duration::ZERO] {
            let stage = Faulty::new(2);
            stage.broker.admin().create_topic(NewTopic::new("other")).unwrap();
            let producer = stage.broker.producer().linger(linger).build().unwrap();
            let send = |topic: &str| producer.send(Record::to(topic).partition(0).value("v")).unwrap();
            assert_eq!(send("t").wait().unwrap().offset, Some(0_u32.into()), "{name}");
            let (lost, kept) = (send("t"), send("other"));
            stage.broker.admin().delete_topic("t").unwrap();
            assert!(is_gone(ask(lost)), "{name} after {linger:?}");
            assert_eq!(kept.wait().unwrap().offset, Some(0_u32.into()), "{name}");
            assert_eq!(producer.buffered_bytes(), 0);
            let refused = producer.send(Record::to("t").value("v"));
            assert!(matches!(refused, Err(Error::UnknownTopic { .. })), "{name}");

            stage.broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
            assert_eq!(send("t").wait().unwrap().offset, Some(0_u32.into()), "{name}");
            producer.flush().unwrap();
            assert_eq!(stage.batches(0).len(), 1, "the new topic has nothing of the old one");
        }
    }
}

#[test]
fn what_a_deleted_topic_took_with_it_is_told_by_a_flush_where_nobody_asked() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().linger(Duration::from_secs(1)).build().unwrap();
    drop(producer.send(Record::to("t").value("v")).unwrap());
    stage.broker.admin().delete_topic("t").unwrap();
    assert!(is_gone(producer.flush().map(|()| unreachable!("it fails"))));
    producer.flush().unwrap();
    assert_eq!(producer.buffered_bytes(), 0);
}

/// A broker on the log directories `data` and `b`, with a topic `t`, and which of its partitions are in `b`.
fn two_directories(disk: &TestDisk, partitions: u32) -> (Broker, BTreeSet<u32>) {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder = Broker::builder().log_dir("data").log_dir("b").storage(disk.clone()).clock(clock);
    let broker = builder.config(BrokerConfig::default().seed(7)).open().unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(partitions)).unwrap();
    let is_in_b = |number: &u32| disk.files().keys().any(|path| path.starts_with(format!("b/t-{number}")));
    let in_b = (0..partitions).filter(is_in_b).collect();
    (broker, in_b)
}

#[test]
fn a_log_directory_that_dies_fails_its_own_partitions_alone() {
    const PARTITIONS: u32 = 4;
    for (acks, fault, calls) in [
        (Acks::All, Fault::io().of("b/"), Calls::Syncs),
        (Acks::All, Fault::io().of("b/t-"), Calls::Writes),
        (Acks::Leader, Fault::io().of("b/t-"), Calls::Writes),
        (Acks::Leader, Fault::late_write().of("b/t-"), Calls::Writes),
    ] {
        let disk = TestDisk::new();
        let (broker, in_b) = two_directories(&disk, PARTITIONS);
        assert_eq!(in_b.len(), 2);
        let producer = broker.producer().acks(acks).linger(Duration::from_millis(5)).build().unwrap();
        let send = |number: u32| producer.send(Record::to("t").partition(number % PARTITIONS).value("v"));
        (0..PARTITIONS).for_each(|number| assert!(send(number).unwrap().wait().is_ok()));

        disk.inject(fault.clone().on(calls));
        let sent: Vec<Delivery> = (0..40).map(|number| send(number).unwrap()).collect();
        for (number, delivery) in (0..40).zip(sent) {
            let told = delivery.wait();
            let is_dead = in_b.contains(&(number % PARTITIONS));
            match told {
                Ok(metadata) => {
                    assert!(!is_dead && metadata.partition == number % PARTITIONS, "{acks:?}, {fault}")
                }
                Err(Error::DeliveryFailed { partition, source, .. }) => {
                    assert!(is_dead && partition == number % PARTITIONS, "{acks:?}, {fault}");
                    assert!(matches!(*source, Error::Io { .. } | Error::Poisoned { .. }), "{source:?}");
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(producer.buffered_bytes(), 0);
        producer.flush().unwrap();

        // What is there can be read, in all of them.
        let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
        let named = |number| TopicPartition::new("t", PartitionId::try_from(number).unwrap());
        consumer.assign((0..PARTITIONS).map(named)).unwrap();
        while !consumer.poll(Duration::ZERO).unwrap().is_empty() {}
        for number in 0..PARTITIONS {
            // A sync that failed takes back nothing that is in the page cache.
            let is_short = in_b.contains(&number) && calls != Calls::Syncs;
            let expected = if is_short { 1 } else { 11 };
            assert_eq!(consumer.position(&named(number)).unwrap(), expected, "{acks:?}, {fault}");
        }
        disk.heal();
        (0..PARTITIONS).for_each(|number| {
            let is_poisoned = in_b.contains(&number) && calls == Calls::Syncs;
            assert_eq!(send(number).unwrap().wait().is_err(), is_poisoned, "{acks:?}, {fault}");
        });
    }
}
