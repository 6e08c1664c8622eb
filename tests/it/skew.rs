//! What a topic's metrics say of its partitions, and of how evenly they are used.

use std::fs;

use streamlog::{
    ConsistentPartitioner, HashPartitioner, NewTopic, PartitionChoice, Partitioner, Record,
    RoundRobinPartitioner, Topic,
};

use crate::kit::Place;

/// A topic of `partitions` in memory.
fn topic(partitions: u32) -> Topic {
    Place::memory().open().admin().create_topic(NewTopic::new("t").partitions(partitions)).unwrap()
}

/// Appends so many records to one partition, in one batch.
fn append(topic: &Topic, partition: u32, count: usize) {
    topic.partition(partition).unwrap().append(&vec![Record::new().value("v"); count]).unwrap();
}

#[test]
fn an_even_topic_has_a_skew_of_one() {
    let topic = topic(5);
    for round in 1..=3 {
        (0..5).for_each(|partition| append(&topic, partition, round));
        assert_eq!(topic.metrics().skew(), 1.0);
    }
}

#[test]
fn everything_in_one_of_n_is_a_skew_of_n() {
    for count in [1, 2, 7, 100] {
        let topic = topic(count);
        append(&topic, count - 1, 10);
        assert_eq!(topic.metrics().skew(), f64::from(count));
    }
}

#[test]
fn a_topic_that_took_nothing_is_even() {
    assert_eq!(topic(3).metrics().skew(), 1.0);
}

#[test]
fn skew_is_the_fullest_partition_by_the_mean() {
    let topic = topic(4);
    for (partition, count) in [(0, 9), (1, 2), (3, 1)] {
        append(&topic, partition, count);
    }
    assert_eq!(topic.metrics().skew(), 9.0 / (12.0 / 4.0));
    append(&topic, 2, 9);
    append(&topic, 1, 7);
    append(&topic, 3, 8);
    assert_eq!(topic.metrics().skew(), 1.0);
}

#[test]
fn each_partition_tells_its_records_and_its_bytes_as_stored() {
    for place in Place::both() {
        let broker = place.open();
        let topic = broker.admin().create_topic(NewTopic::new("t").partitions(3)).unwrap();
        let before = broker.metrics();
        append(&topic, 1, 4);
        append(&topic, 1, 1);
        append(&topic, 2, 3);

        let metrics = topic.metrics();
        let records: Vec<u64> =
            metrics.partitions.iter().map(|partition| partition.records_appended).collect();
        assert_eq!(records, [0, 5, 3]);
        let stored = topic.partitions().map(|partition| {
            partition.unwrap().segments().iter().map(|segment| segment.bytes().unwrap()).sum::<u64>()
        });
        assert!(stored.eq(metrics.partitions.iter().map(|partition| partition.bytes_appended)));

        let after = broker.metrics();
        assert_eq!(metrics.records_appended(), after.records_appended - before.records_appended);
        assert_eq!(metrics.bytes_appended(), after.bytes_appended - before.bytes_appended);
        assert_eq!(broker.topic("t").unwrap().metrics(), metrics);
    }
}

#[test]
fn another_topics_records_do_not_count() {
    let broker = Place::memory().open();
    let [one, other] = ["one", "other"].map(|name| broker.admin().create_topic(NewTopic::new(name)).unwrap());
    append(&one, 0, 5);
    assert_eq!((one.metrics().records_appended(), other.metrics().records_appended()), (5, 0));
}

#[test]
fn counting_begins_anew_with_every_open() {
    let place = Place::disk();
    let broker = place.open();
    append(&broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap(), 0, 5);
    drop(broker);
    let topic = place.open().topic("t").unwrap();
    assert_eq!((topic.metrics().records_appended(), topic.metrics().skew()), (0, 1.0));
    (0..2).for_each(|partition| append(&topic, partition, 1));
    assert_eq!((topic.metrics().records_appended(), topic.metrics().skew()), (2, 1.0));
}

#[test]
fn an_offline_partition_counts_as_one_that_took_nothing() {
    let place = Place::disk();
    drop(place.open().admin().create_topic(NewTopic::new("t").partitions(3)).unwrap());
    fs::remove_dir_all(place.path().join("t-1")).unwrap();
    let topic = place.open().topic("t").unwrap();
    append(&topic, 0, 1);
    append(&topic, 2, 1);
    let metrics = topic.metrics();
    assert_eq!((metrics.partitions.len(), metrics.partitions[1].records_appended), (3, 0));
    assert_eq!(metrics.skew(), 1.5);
}

/// The skew of 8 partitions after `keys`, each a record, went where `partitioner` says.
fn skew_after(partitioner: &dyn Partitioner, keys: impl Iterator<Item = String>) -> f64 {
    let topic = topic(8);
    for (number, key) in (0..).zip(keys) {
        let record = Record::to("t").key(&key).value("v");
        let choice = PartitionChoice::new(&record, topic.partition_count()).with_number(number);
        topic.partition(partitioner.partition(&choice)).unwrap().append(&[record]).unwrap();
    }
    topic.metrics().skew()
}

#[test]
fn a_hot_key_shows_as_skew_and_goes_with_another_partitioner() {
    let keys = || (0..4000).map(|number| format!("customer {}", if number % 2 == 0 { 0 } else { number }));
    for partitioner in [&HashPartitioner as &dyn Partitioner, &ConsistentPartitioner] {
        let even = skew_after(partitioner, (0..4000).map(|number| format!("customer {number}")));
        assert!((1.0..1.2).contains(&even), "{partitioner:?}: {even}");
        // Half of all in one partition of 8, beside an eighth of the other half.
        let skewed = skew_after(partitioner, keys());
        assert!((4.3..4.7).contains(&skewed), "{partitioner:?}: {skewed}");
    }
    assert_eq!(skew_after(&RoundRobinPartitioner, keys()), 1.0);
}
