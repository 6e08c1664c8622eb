//! Syncs that a topic asks for: after so many records, or so long after an append.

use std::time::Duration;

use streamlog::{Broker, Partition, Record, TopicConfig};

use crate::kit::{Place, day_long};

fn append(partition: &Partition, count: usize) {
    partition.append(&vec![Record::new().value("v"); count]).unwrap();
}

fn durable(partition: &Partition) -> u64 {
    partition.durable_offset().into()
}

fn rounds(broker: &Broker) -> u64 {
    broker.metrics().sync_rounds
}

/// Far enough off that no checkpoint comes between.
fn quiet(place: Place) -> Place {
    place.config(|config| config.checkpoint_interval(10 * day_long()))
}

#[test]
fn the_append_that_reaches_the_count_syncs_before_it_returns() {
    for place in Place::both().map(quiet) {
        let (broker, partition) = place.begin(TopicConfig::default().flush_messages(4).segment_bytes(1024));
        let before = rounds(&broker);
        let mut expected = Vec::new();
        for (count, durable_then, rounds_then) in
            [(1, 0, 0), (2, 0, 0), (1, 4, 1), (3, 4, 1), (7, 14, 2), (4, 18, 3), (3, 18, 3)]
        {
            append(&partition, count);
            expected.push(count);
            assert_eq!(
                (durable(&partition), rounds(&broker) - before),
                (durable_then, rounds_then),
                "{expected:?}"
            );
        }
        // A sync from elsewhere begins the count anew.
        partition.sync().unwrap();
        append(&partition, 3);
        assert_eq!((durable(&partition), rounds(&broker) - before), (21, 4));
        append(&partition, 1);
        assert_eq!((durable(&partition), rounds(&broker) - before), (25, 5));
    }
}

#[test]
fn with_a_count_of_one_every_append_is_durable() {
    for place in Place::both().map(quiet) {
        let (broker, partition) = place.begin(TopicConfig::default());
        append(&partition, 1);
        assert_eq!(durable(&partition), 0);
        broker.admin().alter_topic_config("t", TopicConfig::default().flush_messages(1), &[]).unwrap();
        let before = rounds(&broker);
        for count in 1..10 {
            append(&partition, 1);
            assert_eq!((durable(&partition), rounds(&broker) - before), (count + 1, count));
        }
    }
}

#[test]
fn what_is_unsynced_is_synced_an_interval_after_the_first_append() {
    for place in Place::both().map(quiet) {
        let (broker, partition) =
            place.begin(TopicConfig::default().flush_interval(Duration::from_millis(100)));
        let start = rounds(&broker);
        let check = |wait, durable_then, rounds_then| {
            place.clock.advance(Duration::from_millis(wait));
            assert_eq!((durable(&partition), rounds(&broker) - start), (durable_then, rounds_then));
        };
        append(&partition, 2);
        check(60, 0, 0);
        append(&partition, 3);
        check(39, 0, 0);
        check(1, 5, 1);
        // Nothing is unsynced, so nothing happens.
        check(day_long().as_millis().try_into().unwrap(), 5, 1);
        // A sync in between: the interval counts from the first append that is not synced.
        append(&partition, 1);
        check(50, 5, 1);
        partition.sync().unwrap();
        append(&partition, 1);
        check(99, 6, 2);
        check(1, 7, 3);
        append(&partition, 1);
        check(99, 7, 3);
        check(1, 8, 4);
    }
}

#[test]
fn an_interval_that_is_set_later_covers_what_was_there() {
    for place in Place::both().map(quiet) {
        let (broker, partition) = place.begin(TopicConfig::default());
        append(&partition, 1);
        place.clock.advance(day_long());
        assert_eq!(durable(&partition), 0);
        let set = |millis| TopicConfig::default().flush_interval(Duration::from_millis(millis));
        broker.admin().alter_topic_config("t", set(50), &[]).unwrap();
        place.clock.advance(Duration::from_millis(49));
        assert_eq!(durable(&partition), 0);
        place.clock.advance(Duration::from_millis(1));
        assert_eq!(durable(&partition), 1);
        // A shorter one overtakes a longer one that runs, and none ends it.
        append(&partition, 1);
        broker.admin().alter_topic_config("t", set(5), &[]).unwrap();
        place.clock.advance(Duration::from_millis(5));
        assert_eq!(durable(&partition), 2);
        append(&partition, 1);
        broker.admin().alter_topic_config("t", TopicConfig::default(), &["flush.ms"]).unwrap();
        place.clock.advance(Duration::from_secs(60));
        assert_eq!(durable(&partition), 2);
    }
}

#[test]
fn many_partitions_are_each_synced_in_their_time_and_none_when_closed() {
    let place = quiet(Place::memory());
    let broker = place.open();
    let config = TopicConfig::default().flush_interval(Duration::from_millis(100));
    let topic = streamlog::NewTopic::new("many").partitions(10).config(config);
    let topic = broker.admin().create_topic(topic).unwrap();
    let partitions: Vec<Partition> = topic.partitions().map(Result::unwrap).collect();
    for partition in &partitions {
        append(partition, 1);
        place.clock.advance(Duration::from_millis(10));
    }
    for (number, partition) in partitions.iter().enumerate() {
        assert_eq!(partitions.iter().filter(|partition| durable(partition) == 1).count(), number + 1);
        assert_eq!(durable(partition), 1);
        place.clock.advance(Duration::from_millis(10));
    }
    append(&partitions[0], 1);
    broker.close().unwrap();
    let before = rounds(&broker);
    place.clock.advance(day_long());
    assert_eq!(rounds(&broker), before);
}
