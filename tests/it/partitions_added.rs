//! Adding partitions to a topic: what there is goes on, and what is new is there for good.

use std::thread;

use streamlog::{Broker, Error, NewTopic, Record, TopicConfig};

use crate::kit::{Place, values};

fn create(broker: &Broker, partitions: u32) {
    let config = TopicConfig::default().segment_bytes(2000);
    broker.admin().create_topic(NewTopic::new("t").partitions(partitions).config(config)).unwrap();
}

#[test]
fn a_topic_grows_and_what_there_was_goes_on() {
    for place in Place::both() {
        let broker = place.open();
        create(&broker, 2);
        let old = broker.topic("t").unwrap();
        let held = old.partition(1).unwrap();
        held.append(&[Record::new().value("before")]).unwrap();
        let grown = broker.admin().create_partitions("t", 5).unwrap();
        assert_eq!((grown.id(), grown.partition_count(), grown.config()), (old.id(), 5, old.config()));
        assert_eq!(broker.topic("t").unwrap().partition_count(), 5);
        assert_eq!(broker.admin().describe_topic("t").unwrap().partitions.len(), 5);

        // Who asked earlier has what there was then, and it works.
        assert!(matches!(old.partition(2), Err(Error::UnknownPartition { count: 2, .. })));
        assert_eq!(old.partition_count(), 2);
        held.append(&[Record::new().value("after")]).unwrap();
        assert_eq!(values(&grown.partition(1).unwrap()), ["before", "after"]);
        for number in 2..5 {
            let partition = grown.partition(number).unwrap();
            partition.append(&[Record::new().value(&number.to_string())]).unwrap();
        }
        broker.close().unwrap();
        drop((broker, old, held, grown));
        let broker = place.open();
        assert!(broker.recovery_report().was_clean);
        assert!(broker.recovery_report().unknown_directories.is_empty());
        let topic = broker.topic("t").unwrap();
        assert_eq!(topic.partition_count(), 5);
        assert_eq!(values(&topic.partition(1).unwrap()), ["before", "after"]);
        for number in 2..5 {
            assert_eq!(values(&topic.partition(number).unwrap()), [number.to_string()]);
        }
        assert_eq!(broker.admin().create_partitions("t", 6).unwrap().partition_count(), 6);
    }
}

#[test]
fn only_more_partitions_can_be_asked_for() {
    let broker = Place::memory().open();
    create(&broker, 3);
    for total in [1, 2, 3] {
        let error = broker.admin().create_partitions("t", total).unwrap_err();
        let is_right = matches!(&error, Error::PartitionsNotAdded { topic, current: 3, requested }
            if topic == "t" && *requested == total);
        assert!(is_right && error.kafka_code() == Some(37), "{error}");
        let told = format!("the partition count of topic t cannot go from 3 to {total}: it can only grow");
        assert_eq!(error.to_string(), told);
    }
    for total in [0, 10_001, u32::MAX] {
        let error = broker.admin().create_partitions("t", total).unwrap_err();
        assert!(matches!(error, Error::InvalidPartitionCount { limit: 10_000, .. }), "{error}");
    }
    assert!(matches!(broker.admin().create_partitions("u", 2), Err(Error::UnknownTopic { .. })));
    let error = broker.admin().create_partitions("__topic_catalog", 2).unwrap_err();
    assert!(matches!(error, Error::InvalidTopicName { .. }), "{error}");
    assert_eq!(broker.topic("t").unwrap().partition_count(), 3);
    broker.close().unwrap();
    assert!(matches!(broker.admin().create_partitions("t", 4), Err(Error::Closed)));
}

#[test]
fn new_partitions_go_to_the_directory_with_the_fewest() {
    let place = Place::disk();
    let broker = place.open();
    create(&broker, 3);
    drop(broker);
    let broker = place.builder_on(&["data", "b"]).open().unwrap();
    broker.admin().create_partitions("t", 7).unwrap();
    for (directory, numbers) in [("data", vec![0, 1, 2, 6]), ("b", vec![3, 4, 5])] {
        for number in numbers {
            assert!(place.path_of(directory).join(format!("t-{number}")).is_dir(), "{number}");
        }
    }
}

#[test]
fn a_grown_topic_is_deleted_whole() {
    let place = Place::disk();
    let broker = place.open();
    create(&broker, 1);
    let partition = broker.admin().create_partitions("t", 3).unwrap().partition(2).unwrap();
    broker.admin().delete_topic("t").unwrap();
    assert!(matches!(partition.sync(), Err(Error::UnknownTopic { .. })));
    place.clock.advance(std::time::Duration::ZERO);
    for number in 0..3 {
        assert!(!place.path().join(format!("t-{number}")).exists());
    }
}

#[test]
fn threads_that_grow_and_delete_one_topic_take_turns() {
    let place = Place::memory();
    let broker = place.open();
    for _ in 0..20 {
        create(&broker, 1);
        thread::scope(|scope| {
            for total in 2..6 {
                let broker = &broker;
                scope.spawn(move || match broker.admin().create_partitions("t", total) {
                    Ok(topic) => assert_eq!(topic.partition_count(), total),
                    Err(error) => assert!(
                        matches!(error, Error::PartitionsNotAdded { .. } | Error::UnknownTopic { .. }),
                        "{error}"
                    ),
                });
            }
            scope.spawn(|| broker.admin().delete_topic("t").unwrap());
        });
        assert!(broker.topic("t").is_err());
    }
}
