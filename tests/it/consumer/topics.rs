//! Consumers of topics that come and go.

use streamlog::{AutoOffsetReset, Broker, BrokerConfig, Error, NewTopic, TopicConfig};

use super::{NO_WAIT, append_each, begin, consumer_of, from_the_start, named, offset, texts};
use crate::kit::Place;

#[test]
fn a_topic_that_was_deleted_is_told_and_one_of_its_name_is_another() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        append_each(&partitions[0], &["a", "b"]);
        let mut consumer = consumer_of(from_the_start(&broker), 1);
        let held = consumer.poll(NO_WAIT).unwrap();
        consumer.pause([&named(0)]).unwrap();
        broker.admin().delete_topic("t").unwrap();
        assert_eq!(texts(&held), ["a", "b"]);
        consumer.resume([&named(0)]).unwrap();
        assert!(matches!(consumer.poll(NO_WAIT), Err(Error::UnknownTopic { .. })));
        assert!(matches!(consumer.assign([named(0)]), Err(Error::UnknownTopic { .. })));

        let again = broker.admin().create_topic(NewTopic::new("t")).unwrap().partition(0).unwrap();
        append_each(&again, &["c"]);
        assert!(matches!(consumer.poll(NO_WAIT), Err(Error::UnknownTopic { .. })), "it reads the old one");
        consumer.assign([named(0)]).unwrap();
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["c"], "from where the policy says, not from 2");
    }
}

#[test]
fn a_topic_that_was_deleted_while_it_was_offline_is_another_too() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["a", "b"]);
    drop((broker, partitions));
    std::fs::remove_dir_all(place.path().join("t-0")).unwrap();
    let broker = place.open();
    let mut consumer = consumer_of(from_the_start(&broker).group("g"), 1);
    consumer.seek(&named(0), offset(1)).unwrap();
    assert!(matches!(consumer.poll(NO_WAIT), Err(Error::PartitionOffline { .. })));

    broker.admin().delete_topic("t").unwrap();
    let again = broker.admin().create_topic(NewTopic::new("t")).unwrap().partition(0).unwrap();
    append_each(&again, &["c", "d"]);
    assert!(matches!(consumer.poll(NO_WAIT), Err(Error::UnknownTopic { .. })), "it reads the old one");
    consumer.commit().unwrap();
    assert!(matches!(consumer.commit_offsets([(named(0), offset(1))]), Err(Error::UnknownTopic { .. })));
    assert!(consumer.committed(&[named(0)]).unwrap().is_empty(), "nothing was read of this one");
    consumer.assign([named(0)]).unwrap();
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["c", "d"], "from where the policy says, not from 1");
}

#[test]
fn a_deleted_topic_is_what_is_wrong_where_no_position_is_known_either() {
    let (broker, _) = begin(&Place::memory(), 1, TopicConfig::default());
    let mut consumer = consumer_of(broker.consumer().auto_offset_reset(AutoOffsetReset::None), 1);
    assert!(matches!(consumer.poll(NO_WAIT), Err(Error::NoPosition { .. })));
    broker.admin().delete_topic("t").unwrap();
    assert!(matches!(consumer.poll(NO_WAIT), Err(Error::UnknownTopic { .. })));
}

#[test]
fn a_deletion_wakes_who_waits() {
    let broker = Broker::in_memory().unwrap();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let (send, receive) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        send.send(()).unwrap();
        consumer.poll(std::time::Duration::MAX).map(drop)
    });
    receive.recv().unwrap();
    broker.admin().delete_topic("t").unwrap();
    assert!(matches!(waiter.join().unwrap(), Err(Error::UnknownTopic { .. })));
}

#[test]
fn naming_a_topic_creates_it_where_that_is_allowed() {
    let place = Place::memory();
    assert!(matches!(
        place.open().consumer().build().unwrap().assign([named(0)]),
        Err(Error::UnknownTopic { .. })
    ));
    let allowed =
        Place::memory().config(|config: BrokerConfig| config.auto_create_topics(true).num_partitions(2));
    let broker = allowed.open();
    broker.consumer().build().unwrap().assign([named(1)]).unwrap();
    assert_eq!(broker.topic("t").unwrap().partition_count(), 2);
    assert!(matches!(
        broker.consumer().build().unwrap().assign([named(2)]),
        Err(Error::UnknownPartition { .. })
    ));
}
