//! Deleting topics: what is gone, what stays with those who hold it, and what may follow under the same name.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use streamlog::testing::Fault;
use streamlog::{
    AutoOffsetReset, Broker, Error, NewTopic, Offset, Partition, Record, Timestamp, Topic, TopicConfig,
    TopicPartition,
};

use crate::kit::{Faulty, Place, day_long, values};

/// A topic of so many partitions with small segments, and a few records in each, on several of them.
fn create(broker: &Broker, name: &str, partitions: u32) -> Topic {
    let config = TopicConfig::default().segment_bytes(1024);
    let topic =
        broker.admin().create_topic(NewTopic::new(name).partitions(partitions).config(config)).unwrap();
    for partition in topic.partitions() {
        fill(&partition.unwrap());
    }
    topic
}

fn fill(partition: &Partition) {
    for number in 0..5 {
        partition.append(&[Record::new().key(&[b'k'; 400]).value(&number.to_string())]).unwrap();
    }
    partition.sync().unwrap();
}

fn is_unknown<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::UnknownTopic { topic }) if topic == "t")
}

/// The names in a directory, sorted.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Those of them that begin with the topic's name.
fn of_topic(path: &Path) -> Vec<String> {
    names(path).into_iter().filter(|name| name.starts_with("t-")).collect()
}

#[test]
fn a_deleted_topic_is_gone_now_and_after_a_reopen() {
    for place in Place::both() {
        let broker = place.open();
        create(&broker, "t", 3);
        create(&broker, "other", 1);
        broker.admin().delete_topic("t").unwrap();
        assert_eq!(broker.admin().list_topics().unwrap(), ["other"]);
        assert!(is_unknown(broker.topic("t")));
        assert!(is_unknown(broker.admin().describe_topic("t")));
        assert!(is_unknown(broker.admin().delete_topic("t")));
        broker.close().unwrap();
        drop(broker);
        let broker = place.open();
        assert_eq!(broker.admin().list_topics().unwrap(), ["other"]);
        assert!(broker.recovery_report().was_clean);
        assert!(broker.recovery_report().unknown_directories.is_empty());
        assert_eq!(values(&broker.topic("other").unwrap().partition(0).unwrap()).len(), 5);
    }
}

#[test]
fn handles_of_a_deleted_topic_say_so_and_what_was_read_stays() {
    for place in Place::both() {
        let broker = place.open();
        let topic = create(&broker, "t", 1);
        let partition = topic.partition(0).unwrap();
        let (read, segments) = (partition.read(Offset::ZERO, 1 << 20).unwrap(), partition.segments());
        assert!(segments.len() > 1);
        broker.admin().delete_topic("t").unwrap();
        place.clock.advance(day_long());
        // Also where there is another one by now.
        for _ in 0..2 {
            assert!(is_unknown(topic.partition(0)) && is_unknown(topic.partition(7)));
            assert!(topic.partitions().all(is_unknown));
            assert!(is_unknown(partition.append(&[Record::new().value("v")])));
            assert!(is_unknown(partition.sync()));
            assert!(is_unknown(partition.read(Offset::ZERO, 1)));
            assert!(is_unknown(partition.offset_for_time(Timestamp::from_millis(0))));
            assert_eq!(
                (partition.log_start_offset(), partition.log_end_offset()),
                (Offset::ZERO, Offset::from(5))
            );
            for segment in &segments {
                assert!(segment.batches().next().is_some_and(|batch| batch.is_err()));
            }
            let held: usize = read.iter().map(|batch| batch.records().unwrap().iter().count()).sum();
            assert!(held > 0);
            create(&broker, "u", 1);
            broker.admin().delete_topic("u").unwrap();
            if broker.topic("t").is_err() {
                create(&broker, "t", 1);
            }
        }
        broker.close().unwrap();
        assert!(is_unknown(partition.sync()), "it is known why it ended");
    }
}

#[test]
fn a_topic_of_the_same_name_begins_empty_with_another_id() {
    for place in Place::both() {
        let broker = place.open();
        let mut ids = Vec::new();
        for round in 0..4 {
            let topic = create(&broker, "t", 2);
            for partition in topic.partitions() {
                assert_eq!(partition.unwrap().log_end_offset(), 5);
            }
            assert!(!ids.contains(&topic.id()));
            ids.push(topic.id());
            if round % 2 == 0 {
                place.clock.advance(day_long());
            }
            broker.admin().delete_topic("t").unwrap();
        }
        broker.admin().create_topic(NewTopic::new("t")).unwrap();
        broker.close().unwrap();
        drop(broker);
        let broker = place.open();
        let topic = broker.topic("t").unwrap();
        assert_eq!((topic.partition_count(), ids.contains(&topic.id())), (1, false));
        assert!(values(&topic.partition(0).unwrap()).is_empty());
    }
}

#[test]
fn files_are_removed_in_the_background() {
    let place = Place::disk();
    let broker = place.open();
    let topic = create(&broker, "t", 2);
    let partition = topic.partition(0).unwrap();
    partition.read(Offset::ZERO, 1 << 20).unwrap();
    let appended = broker.metrics().records_appended;
    broker.admin().delete_topic("t").unwrap();
    assert_eq!(broker.metrics().records_appended, appended + 2, "the catalog's two, and none is forgotten");
    let aside = of_topic(&place.path());
    assert_eq!(aside.len(), 2);
    for (number, name) in aside.iter().enumerate() {
        let id = name.strip_prefix(&format!("t-{number}.")).and_then(|rest| rest.strip_suffix("-delete"));
        let id = id.unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }
    assert_eq!(broker.metrics().open_files, 1, "only the catalog's");
    place.clock.advance(Duration::ZERO);
    assert!(of_topic(&place.path()).is_empty());
}

#[test]
fn files_are_removed_by_the_housekeeper_on_the_systems_clock() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::open(directory.path().join("data")).unwrap();
    create(&broker, "t", 1);
    broker.admin().delete_topic("t").unwrap();
    while !of_topic(&directory.path().join("data")).is_empty() {
        thread::yield_now();
    }
}

#[test]
fn what_a_process_left_of_a_deletion_is_removed_after_the_next_open() {
    let place = Place::disk();
    let broker = place.open();
    create(&broker, "t", 2);
    broker.admin().delete_topic("t").unwrap();
    drop(broker);
    let kept = ["t-0.0123456789abcdef0123456789abcde-delete", "t-0-delete", "t-0.delete", "t-delete-0"];
    kept.iter().for_each(|name| fs::create_dir(place.path().join(name)).unwrap());
    let kafkas = place.path().join("x-7.0123456789ABCDEF0123456789abcdef-delete");
    fs::create_dir(&kafkas).unwrap();
    fs::write(kafkas.join("00000000000000000000.log"), "gone").unwrap();
    assert_eq!(of_topic(&place.path()).len(), 6);
    let broker = place.open();
    assert_eq!(broker.recovery_report().unknown_directories.len(), kept.len());
    place.clock.advance(Duration::ZERO);
    let mut expected = kept.map(str::to_owned);
    expected.sort();
    assert_eq!(of_topic(&place.path()), expected);
    assert!(!kafkas.exists());
}

#[test]
fn checkpoints_of_an_earlier_topic_do_not_speak_for_the_next() {
    let place = Place::disk();
    let broker = place.open();
    create(&broker, "t", 1);
    place.clock.advance(day_long());
    let points = place.path().join("recovery-point-offset-checkpoint");
    let starts = place.path().join("log-start-offset-checkpoint");
    assert!(fs::read_to_string(&points).unwrap().contains("t 0 5\n"));
    broker.admin().delete_topic("t").unwrap();
    assert!(!fs::read_to_string(&points).unwrap().contains("t 0 "));
    broker.close().unwrap();
    drop(broker);
    // As if they had not been dropped then: as Kafka, or a deletion that could not write them, leaves them.
    fs::write(&points, "0\n1\nt 0 5\n").unwrap();
    fs::write(&starts, "0\n1\nt 0 3\n").unwrap();
    let broker = place.open();
    let topic = broker.admin().create_topic(NewTopic::new("t")).unwrap();
    let partition = topic.partition(0).unwrap();
    partition.append(&[Record::new().value("new")]).unwrap();
    let killed = place.as_if_killed();
    // A torn tail, which would be damage below the old recovery point.
    let log = killed.path().join("t-0/00000000000000000000.log");
    let bytes = fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    fs::write(&log, &bytes[..end - 3]).unwrap();
    let broker = killed.open();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    assert_eq!((partition.log_start_offset(), partition.log_end_offset()), (Offset::ZERO, Offset::ZERO));
    assert!(broker.recovery_report().to_string().contains("cut"));
}

#[test]
fn durable_slots_are_used_again() {
    let place = Place::disk();
    let broker = place.open();
    for _ in 0..10 {
        create(&broker, "t", 3);
        broker.admin().delete_topic("t").unwrap();
    }
    broker.close().unwrap();
    drop(broker);
    let slots = || fs::metadata(place.path().join("streamlog.durable")).unwrap().len() / 32;
    assert_eq!(slots(), 5, "the header, the catalog's, and three");
    let broker = place.open();
    create(&broker, "t", 3);
    assert_eq!(slots(), 5);
    let killed = place.as_if_killed();
    assert_eq!(values(&killed.open().topic("t").unwrap().partition(2).unwrap()).len(), 5);
}

#[test]
fn the_catalogs_own_topic_and_what_may_not_be_deleted_stay() {
    let broker = Place::memory().open();
    for name in ["__topic_catalog", "__topic.catalog"] {
        let error = broker.admin().delete_topic(name).unwrap_err();
        assert!(matches!(error, Error::InvalidTopicName { .. }), "{error}");
    }
    for name in ["", "t", &"x".repeat(100_000)] {
        let error = broker.admin().delete_topic(name).unwrap_err();
        assert!(matches!(error, Error::UnknownTopic { .. }) && error.to_string().len() < 1000);
    }
    let broker = Place::memory().config(|config| config.delete_topics(false)).open();
    create(&broker, "t", 1);
    let error = broker.admin().delete_topic("t").unwrap_err();
    assert!(matches!(&error, Error::TopicDeletionDisabled { topic } if topic == "t"), "{error}");
    assert_eq!(error.kafka_code(), Some(73));
    assert!(is_unknown_of(broker.admin().delete_topic("none"), "none"));
    assert_eq!(values(&broker.topic("t").unwrap().partition(0).unwrap()).len(), 5);
    broker.close().unwrap();
    assert!(matches!(broker.admin().delete_topic("t"), Err(Error::Closed)));
}

fn is_unknown_of<T>(result: Result<T, Error>, name: &str) -> bool {
    matches!(result, Err(Error::UnknownTopic { topic }) if topic == name)
}

#[test]
fn a_topic_with_a_partition_offline_is_deleted_and_a_strangers_directory_left() {
    let place = Place::disk();
    let broker = place.open();
    create(&broker, "t", 3);
    drop(broker);
    fs::remove_dir_all(place.path().join("t-0")).unwrap();
    let metadata = place.path().join("t-1/partition.metadata");
    fs::write(&metadata, "version: 0\ntopic_id: MkU3OEVBNTcwNTJENDM2Qg").unwrap();
    let broker = place.open();
    broker.admin().delete_topic("t").unwrap();
    place.clock.advance(Duration::ZERO);
    assert_eq!(of_topic(&place.path()), ["t-1"]);
    drop(broker);
    let broker = place.open();
    assert_eq!(broker.recovery_report().unknown_directories, [place.path().join("t-1")]);
    assert!(metadata.exists());
}

#[test]
fn what_lies_in_a_directory_that_is_away_is_deleted_when_it_is_back() {
    let place = Place::disk();
    let broker = place.builder_on(&["data", "b"]).open().unwrap();
    create(&broker, "t", 2);
    drop(broker);
    let broker = place.open();
    assert!(broker.topic("t").unwrap().partition(1).is_err());
    broker.admin().delete_topic("t").unwrap();
    drop(broker);
    assert!(place.open().topic("t").is_err());
    assert_eq!(of_topic(&place.path_of("b")), ["t-1"]);
    let broker = place.builder_on(&["data", "b"]).open().unwrap();
    assert!(broker.recovery_report().unknown_directories.is_empty());
    assert!(is_unknown(broker.topic("t")));
    place.clock.advance(Duration::ZERO);
    assert!(of_topic(&place.path_of("b")).is_empty() && of_topic(&place.path()).is_empty());
}

#[test]
fn threads_that_work_on_a_topic_hear_that_it_is_deleted() {
    for place in Place::both() {
        let broker = place.open();
        for _ in 0..10 {
            let topic = create(&broker, "t", 2);
            let partition = topic.partition(1).unwrap();
            thread::scope(|scope| {
                let append = || loop {
                    match partition.append(&[Record::new().value(&[7; 300])]) {
                        Ok(_) => {}
                        Err(error) => break assert!(is_unknown::<()>(Err(error))),
                    }
                };
                let sync = || loop {
                    match partition.sync() {
                        Ok(_) => {}
                        Err(error) => break assert!(is_unknown::<()>(Err(error))),
                    }
                };
                let read = || loop {
                    match partition.read(Offset::ZERO, 1 << 20) {
                        Ok(batches) => assert!(!batches.is_empty()),
                        Err(error) => break assert!(is_unknown::<()>(Err(error))),
                    }
                };
                scope.spawn(append);
                scope.spawn(sync);
                scope.spawn(read);
                let deleted: Vec<_> =
                    (0..2).map(|_| scope.spawn(|| broker.admin().delete_topic("t"))).collect();
                let deleted = deleted.into_iter().map(|thread| thread.join().unwrap());
                assert_eq!(deleted.filter(Result::is_ok).count(), 1);
            });
            place.clock.advance(Duration::ZERO);
        }
        broker.close().unwrap();
    }
}

#[test]
fn who_sleeps_on_a_topic_hears_of_its_deletion_although_a_directory_is_away() {
    let place = Place::disk();
    let broker = place.builder_on(&["data", "b"]).open().unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    drop(broker);
    // On the system's clock, where a sleeper is woken or sleeps on.
    let broker = Broker::open(place.path()).unwrap();
    let here = broker.topic("t").unwrap().partitions().find_map(Result::ok).unwrap().id();
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
    consumer.assign([TopicPartition::new("t", here)]).unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| consumer.poll(Duration::MAX));
        broker.admin().delete_topic("t").unwrap();
        assert!(is_unknown(sleeper.join().unwrap()));
    });
}

#[test]
fn a_full_disk_gets_the_space_of_a_deleted_topic_back() {
    let Faulty { disk, clock, broker } = Faulty::new(1);
    broker.topic("t").unwrap().partition(0).unwrap().append(&[Record::new().value("v")]).unwrap();
    clock.advance(day_long());
    disk.inject(Fault::full().of("checkpoint"));
    broker.admin().delete_topic("t").unwrap();
    clock.advance(Duration::ZERO);
    let left = disk
        .files()
        .into_keys()
        .find(|path| path.starts_with("data/t-0") || path.to_string_lossy().contains("-delete/"));
    assert_eq!(left, None);
    disk.heal();
    create(&broker, "t", 1);
}

#[test]
fn a_segment_that_was_held_since_before_it_was_full_never_shows_another_topics_records() {
    for place in Place::both() {
        let place = place.config(|config| config.max_open_files(8));
        let broker = place.open();
        let config = TopicConfig::default().segment_bytes(1024);
        let topic = broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        let partition = topic.partition(0).unwrap();
        // As large as the first of the next topic, so that it would be taken for it.
        partition.append(&[Record::new().key(&[b'k'; 400]).value("f")]).unwrap();
        let held = partition.segments().remove(0);
        fill(&partition);
        // So many files are used meanwhile that its own is closed.
        create(&broker, "u", 8);
        broker.admin().delete_topic("t").unwrap();
        create(&broker, "t", 1);
        create(&broker, "v", 8);
        assert!(held.batches().next().is_some_and(|batch| batch.is_err()));
    }
}
