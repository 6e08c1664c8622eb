//! Sending: what is delivered, when, in which batches.

use std::time::Duration;

use streamlog::{
    Acks, Error, HashPartitioner, NewTopic, Offset, Producer, ProducerBuilder, Record, TopicConfig,
};

use crate::kit::Place;

/// A broker in each kind of place, with a topic `t` of one partition, and a producer on it.
fn each(
    build: impl Fn(ProducerBuilder) -> ProducerBuilder,
    check: impl Fn(&Place, &streamlog::Broker, &Producer),
) {
    for place in Place::both() {
        let (broker, _) = place.begin(TopicConfig::default());
        let producer = build(broker.producer()).build().unwrap();
        check(&place, &broker, &producer);
    }
}

fn values(broker: &streamlog::Broker, partition: u32) -> Vec<String> {
    let partition = broker.topic("t").unwrap().partition(partition).unwrap();
    let mut next = partition.log_start_offset();
    let mut values = Vec::new();
    loop {
        let batches = partition.read(next, 1 << 20).unwrap();
        let Some(end) = batches.next_offset() else { return values };
        for batch in &batches {
            let records = batch.records().unwrap();
            values.extend(
                records.iter().map(|r| String::from_utf8(r.value().unwrap_or_default().to_vec()).unwrap()),
            );
        }
        next = end;
    }
}

#[test]
fn a_lone_senders_record_is_readable_when_send_returns() {
    each(
        |builder| builder,
        |_, broker, producer| {
            let partition = broker.topic("t").unwrap().partition(0).unwrap();
            for number in 0..5_u32 {
                let delivery = producer.send(Record::to("t").value(&number.to_string())).unwrap();
                assert_eq!(partition.log_end_offset(), u64::from(number) + 1);
                let metadata = delivery.wait().unwrap();
                assert_eq!(metadata.offset, Some(Offset::from(number)));
                assert_eq!(metadata.acks, Acks::All);
                assert_eq!(partition.durable_offset(), u64::from(number) + 1);
            }
            assert_eq!(values(broker, 0), ["0", "1", "2", "3", "4"]);
            assert_eq!(producer.buffered_bytes(), 0);
        },
    );
}

#[test]
fn a_batch_waits_until_it_has_lingered() {
    each(
        |builder| builder.linger(Duration::from_millis(10)).acks(Acks::Leader),
        |place, broker, producer| {
            let partition = broker.topic("t").unwrap().partition(0).unwrap();
            let first = producer.send(Record::to("t").value("a")).unwrap();
            place.clock.advance(Duration::from_millis(9));
            let second = producer.send(Record::to("t").value("b")).unwrap();
            assert_eq!(partition.log_end_offset(), 0);
            place.clock.advance(Duration::from_millis(1));
            assert_eq!(partition.log_end_offset(), 2);
            let batches = partition.read(Offset::ZERO, 1 << 20).unwrap();
            assert_eq!(batches.iter().map(|batch| batch.record_count()).collect::<Vec<_>>(), [2]);
            assert_eq!(second.wait().unwrap().offset, Some(Offset::from(1)));
            assert_eq!(first.wait().unwrap().offset, Some(Offset::ZERO));
        },
    );
}

#[test]
fn waiting_and_flushing_let_nothing_linger() {
    each(
        |builder| builder.linger(Duration::from_secs(3600)).delivery_timeout(Duration::from_secs(3600)),
        |place, broker, producer| {
            let partition = broker.topic("t").unwrap().partition(0).unwrap();
            let began = place.clock.clone();
            assert_eq!(
                producer.send(Record::to("t").value("a")).unwrap().wait().unwrap().offset,
                Some(Offset::ZERO)
            );
            drop(producer.send(Record::to("t").value("b")).unwrap());
            assert_eq!(partition.log_end_offset(), 1);
            producer.flush().unwrap();
            assert_eq!(
                (partition.log_end_offset(), partition.durable_offset()),
                (Offset::from(2), Offset::from(2))
            );
            assert_eq!(streamlog::Clock::monotonic(&began), Duration::ZERO);
            drop(producer.send(Record::to("t").value("c")).unwrap());
            producer.close(Duration::from_secs(1)).unwrap();
            assert_eq!(values(broker, 0), ["a", "b", "c"]);
            assert!(matches!(producer.send(Record::to("t").value("d")), Err(Error::Closed)));
        },
    );
}

#[test]
fn dropping_and_closing_lose_nothing() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        let linger = Duration::from_secs(10);
        let producer = broker.producer().linger(linger).build().unwrap();
        drop(producer.send(Record::to("t").value("a")).unwrap());
        drop(producer);
        assert_eq!(partition.log_end_offset(), 1);
        let producer = broker.producer().linger(linger).build().unwrap();
        let delivery = producer.send(Record::to("t").value("b")).unwrap();
        broker.close().unwrap();
        assert_eq!(delivery.wait().unwrap().offset, Some(Offset::from(1)));
        assert!(matches!(producer.send(Record::to("t").value("c")), Err(Error::Closed)));
        drop((producer, broker, partition));
        let (broker, _) = place.resume();
        assert_eq!(values(&broker, 0), ["a", "b"]);
    }
}

#[test]
fn keys_keep_their_partition_and_their_order() {
    let place = Place::memory();
    let broker = place.open();
    broker.admin().create_topic(NewTopic::new("t").partitions(4)).unwrap();
    let producer = broker.producer().linger(Duration::from_millis(1)).build().unwrap();
    for number in 0..400_u32 {
        let key = format!("key {}", number % 40);
        drop(producer.send(Record::to("t").key(&key).value(&number.to_string())).unwrap());
    }
    producer.flush().unwrap();
    let mut seen = 0;
    for partition in 0..4 {
        let values: Vec<u32> =
            values(&broker, partition).iter().map(|value| value.parse().unwrap()).collect();
        assert!(!values.is_empty() && values.is_sorted());
        seen += values.len();
    }
    assert_eq!(seen, 400);
}

#[test]
fn no_two_producers_of_a_directory_ever_have_the_same_id() {
    for place in Place::both() {
        let mut seen = Vec::new();
        for count in [2, 1001, 2] {
            let broker = place.open();
            for _ in 0..count {
                seen.push(broker.producer().build().unwrap().id().unwrap());
            }
            assert_eq!(broker.producer().idempotence(false).build().unwrap().id(), None);
        }
        assert!(seen.is_sorted_by(|one, other| one < other), "{seen:?}");
    }
}

#[test]
fn a_property_names_kafkas_partitioners_and_code_beats_it() {
    let (broker, _) = Place::memory().begin(TopicConfig::default());
    broker.admin().create_topic(NewTopic::new("wide").partitions(3)).unwrap();
    let class = |name: &str| {
        let name = format!("org.apache.kafka.clients.producer.{name}");
        broker.producer().batch_bytes(100).properties([("partitioner.class", name)]).unwrap()
    };
    // How many of 60 records with one key went to each partition.
    let counts = |builder: ProducerBuilder| {
        let producer = builder.build().unwrap();
        let mut counts = [0_u32; 3];
        for _ in 0..60 {
            let delivery = producer.send(Record::to("wide").key("k").value("v")).unwrap();
            let partition = delivery.wait().unwrap().partition;
            counts[usize::try_from(u32::from(partition)).unwrap()] += 1;
        }
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(broker.producer()), [0, 0, 60], "by the key");
    assert_eq!(counts(class("RoundRobinPartitioner")), [20, 20, 20]);
    let sticky = counts(class("UniformStickyPartitioner"));
    assert!(sticky[1] > 0, "not by the key: {sticky:?}");
    assert_eq!(counts(class("RoundRobinPartitioner").partitioner(HashPartitioner)), [0, 0, 60]);
}
