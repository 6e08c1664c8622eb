//! What a producer refuses, and that a refusal costs nothing.

use std::panic;
use std::path::Path;
use std::time::Duration;

use streamlog::testing::Crash;
use streamlog::{
    Acks, Broker, Compression, Error, ManualClock, PartitionChoice, Partitioner, Record, Timestamp,
};

use crate::kit::{Faulty, Place};

/// Answers whatever it is told to.
#[derive(Debug)]
struct Answers(u32);

impl Partitioner for Answers {
    fn partition(&self, _: &PartitionChoice<'_>) -> u32 {
        self.0
    }
}

#[derive(Debug)]
struct Panics;

impl Partitioner for Panics {
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
        // Not through the hook, which would print it.
        assert!(choice.partition_count() > 0);
        panic::resume_unwind(Box::new("no idea"))
    }
}

#[test]
fn a_record_that_goes_nowhere_is_refused() {
    let stage = Faulty::new(2);
    let producer = stage.broker.producer().build().unwrap();
    assert!(matches!(producer.send(Record::new().value("v")), Err(Error::MissingTopic)));
    assert!(matches!(producer.send(Record::to("u")), Err(Error::UnknownTopic { topic }) if topic == "u"));
    for number in [2, u32::MAX >> 1] {
        match producer.send(Record::to("t").partition(number)) {
            Err(Error::UnknownPartition { topic, partition, count: 2 }) => {
                assert_eq!((topic.as_str(), partition), ("t", number));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(producer.send(Record::to("t").partition(u32::MAX)).is_err());
    assert_eq!(producer.buffered_bytes(), 0);
    // Nothing of it is remembered.
    stage.broker.admin().create_topic(streamlog::NewTopic::new("u")).unwrap();
    producer.send(Record::to("u")).unwrap().wait().unwrap();
    producer.send(Record::to("t").partition(1)).unwrap().wait().unwrap();
    assert_eq!(
        (stage.partition(0).log_end_offset(), stage.partition(1).log_end_offset()),
        (0_u32.into(), 1_u32.into())
    );
}

#[test]
fn a_partitioner_that_does_not_do_its_work_is_told_on() {
    let stage = Faulty::new(2);
    for answer in [2, u32::MAX] {
        let producer = stage.broker.producer().partitioner(Answers(answer)).build().unwrap();
        match producer.send(Record::to("t").key("k")) {
            Err(Error::InvalidPartitioning { topic, partition, count: 2 }) => {
                assert_eq!((topic.as_str(), partition), ("t", answer));
            }
            other => panic!("{other:?}"),
        }
        // It is not asked about a record that names its partition.
        producer.send(Record::to("t").partition(1)).unwrap().wait().unwrap();
    }
    // Also where there is nothing to choose from: what is wrong with it should show on the simplest topic.
    let alone = Faulty::new(1);
    let producer = alone.broker.producer().partitioner(Answers(1)).build().unwrap();
    assert!(matches!(producer.send(Record::to("t")), Err(Error::InvalidPartitioning { count: 1, .. })));
    let producer = stage.broker.producer().partitioner(Panics).build().unwrap();
    for _ in 0..2 {
        match producer.send(Record::to("t").key("k")) {
            Err(Error::PartitionerPanicked { topic, reason }) => {
                assert_eq!((topic.as_str(), reason.as_str()), ("t", "no idea"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(producer.buffered_bytes(), 0);
}

#[test]
fn an_offline_partition_refuses_and_the_others_take() {
    let stage = Faulty::new(2);
    let disk = stage.disk.after(Crash::Kill);
    drop(stage);
    disk.take(Path::new("data/t-0")).unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let broker = Broker::builder().log_dir("data").storage(disk).clock(clock).open().unwrap();
    let producer = broker.producer().build().unwrap();
    match producer.send(Record::to("t").partition(0)) {
        Err(Error::PartitionOffline { topic, partition, .. }) => {
            assert_eq!((topic.as_str(), u32::from(partition)), ("t", 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        producer.send(Record::to("t").partition(1)).unwrap().wait().unwrap().offset,
        Some(0_u32.into())
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused_by_name() {
    let place = Place::memory();
    let broker = place.open();
    let refused = |builder: streamlog::ProducerBuilder| match builder.build() {
        Err(Error::InvalidConfig { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let new = || broker.producer();
    let too_large = usize::try_from(i32::MAX).unwrap() + 1;
    assert_eq!(refused(new().batch_bytes(too_large)), "batch.size");
    assert_eq!(refused(new().buffer_bytes(0)), "buffer.memory");
    assert_eq!(refused(new().buffer_bytes(16_383)), "buffer.memory");
    assert_eq!(refused(new().max_request_bytes(0)), "max.request.size");
    assert_eq!(refused(new().max_in_flight(0)), "max.in.flight.requests.per.connection");
    assert_eq!(refused(new().max_in_flight(6)), "max.in.flight.requests.per.connection");
    assert_eq!(refused(new().idempotence(true).acks(Acks::None)), "enable.idempotence");
    assert_eq!(refused(new().idempotence(true).retries(0)), "enable.idempotence");
    assert_eq!(refused(new().linger(Duration::from_secs(121))), "delivery.timeout.ms");
    // Nearly the same, and allowed.
    for allowed in [
        new().max_in_flight(6).idempotence(false),
        new().max_in_flight(6).acks(Acks::None),
        new().linger(Duration::from_secs(120)),
        new().linger(Duration::MAX).delivery_timeout(Duration::MAX).max_block(Duration::MAX),
        new().buffer_bytes(1).batch_bytes(0),
        new().idempotence(true).acks(Acks::Leader),
    ] {
        allowed.build().unwrap();
    }
    if !Compression::Zstd.is_available() {
        assert!(matches!(new().compression(Compression::Zstd).build(), Err(Error::CodecDisabled { .. })));
    }
}

#[test]
fn properties_that_are_unknown_or_ill_typed_are_refused() {
    let broker = Place::memory().open();
    let set = |name: &str, value: &str| broker.producer().properties([(name, value)]);
    match set("linger", "5") {
        Err(Error::UnknownSetting { name, nearest }) => {
            assert_eq!((name.as_str(), nearest.as_deref()), ("linger", Some("linger.ms")));
        }
        other => panic!("{other:?}"),
    }
    for (name, value) in [
        ("acks", "2"),
        ("acks", ""),
        ("linger.ms", "-1"),
        ("linger.ms", "5 ms"),
        ("batch.size", "2147483648"),
        ("buffer.memory", "0"),
        ("compression.type", "brotli"),
        ("enable.idempotence", "yes"),
        ("retries", "-1"),
        ("retries", "2147483648"),
        ("max.in.flight.requests.per.connection", "0"),
        ("max.block.ms", "forever"),
    ] {
        match set(name, value) {
            Err(Error::InvalidConfig { setting, value: told, .. }) => {
                assert_eq!((setting, told.as_str()), (name, value))
            }
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    let builder =
        set("client.id", "c").unwrap().properties([("acks", "1"), ("ssl.protocol", "TLS")]).unwrap();
    assert_eq!(builder.ignored(), ["client.id", "ssl.protocol"]);
    let written = builder.to_properties();
    assert!(written.contains(&("acks", "1".to_owned())));
    let again = broker.producer().properties(written.clone()).unwrap();
    assert_eq!(again.to_properties(), written);
}
