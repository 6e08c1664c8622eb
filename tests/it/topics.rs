//! Topics: what may be created, what is told of it, and what an open makes of directories that do not fit.

use std::fs;
use std::thread;
use std::time::Duration;

use streamlog::{Broker, Error, NewTopic, Offset, Record, TimestampType, TopicConfig};

use crate::kit::{Place, values};

fn create(broker: &Broker, name: &str) -> Result<(), Error> {
    broker.admin().create_topic(NewTopic::new(name)).map(drop)
}

#[test]
fn topics_are_created_listed_and_described() {
    for place in Place::both() {
        let broker = place.open();
        let admin = broker.admin();
        assert!(admin.list_topics().unwrap().is_empty());
        let config = TopicConfig::default().segment_bytes(2000).timestamp_type(TimestampType::Append);
        let topic = admin.create_topic(NewTopic::new("b").partitions(3).config(config.clone())).unwrap();
        create(&broker, "a").unwrap();
        assert_eq!(admin.list_topics().unwrap(), ["a", "b"]);
        assert_eq!((topic.name(), topic.partition_count(), topic.config()), ("b", 3, &config));
        assert_ne!(topic.id(), broker.topic("a").unwrap().id());

        let value = [0; 800];
        let partition = topic.partition(2).unwrap();
        for _ in 0..5 {
            partition.append(&[Record::new().value(&value)]).unwrap();
        }
        partition.sync().unwrap();
        partition.append(&[Record::new().value(&value)]).unwrap();
        let told = admin.describe_topic("b").unwrap();
        assert_eq!((told.name.as_str(), told.id, &told.config), ("b", topic.id(), &config));
        let numbers: Vec<u32> = told.partitions.iter().map(|partition| partition.partition.into()).collect();
        assert_eq!(numbers, [0, 1, 2]);
        let [empty, _, full] = &told.partitions[..] else { panic!("three partitions") };
        assert_eq!((empty.end_offset.into(), empty.segments, empty.bytes), (0_u64, 1, 0));
        assert_eq!((full.start_offset.into(), full.end_offset.into()), (0_u64, 6_u64));
        assert_eq!((full.durable_offset.into(), full.segments), (5_u64, 3));
        assert_eq!(
            full.bytes,
            partition.segments().iter().map(|segment| segment.bytes().unwrap()).sum::<u64>()
        );
        assert!(told.partitions.iter().all(|partition| partition.offline.is_none()));
    }
}

#[test]
fn names_that_kafka_refuses_are_refused() {
    let broker = Place::memory().open();
    let longest = "x".repeat(249);
    for name in ["a", "A-z.0_9", "...", "-", "1", &longest] {
        create(&broker, name).unwrap();
    }
    for name in
        ["", ".", "..", "a/b", "../a", "a b", "ä", "a\n", "a\0", &"x".repeat(250), &"ä".repeat(10_000)]
    {
        let error = create(&broker, name).unwrap_err();
        assert!(matches!(error, Error::InvalidTopicName { .. }), "{name:?}: {error}");
        assert!(error.to_string().len() < 2000, "the error does not repeat a name of any length");
        assert!(matches!(broker.topic(name).unwrap_err(), Error::UnknownTopic { .. }));
    }
    assert_eq!(broker.admin().list_topics().unwrap().len(), 6);
}

#[test]
fn a_longest_name_with_a_large_partition_number_survives_a_reopen() {
    let place = Place::disk();
    let name = "x".repeat(249);
    let broker = place.open();
    broker.admin().create_topic(NewTopic::new(&name).partitions(12)).unwrap();
    broker.topic(&name).unwrap().partition(11).unwrap().append(&[Record::new().value("v")]).unwrap();
    drop(broker);
    assert_eq!(values(&place.open().topic(&name).unwrap().partition(11).unwrap()), ["v"]);
}

#[test]
fn names_that_collide_are_refused_with_the_other_name() {
    let broker = Place::memory().open();
    create(&broker, "a.b_c").unwrap();
    let error = create(&broker, "a.b_c").unwrap_err();
    assert!(matches!(&error, Error::TopicExists { topic } if topic == "a.b_c"), "{error}");
    let error = create(&broker, "a_b.c").unwrap_err();
    assert!(
        matches!(&error, Error::TopicNameCollision { topic, existing } if topic == "a_b.c" && existing == "a.b_c"),
        "{error}"
    );
    create(&broker, "a-b-c").unwrap();
}

#[test]
fn the_catalogs_own_name_is_taken_and_not_listed() {
    let broker = Place::memory().open();
    for name in ["__topic_catalog", "__topic.catalog"] {
        let error = create(&broker, name).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidTopicName { reason, .. } if reason.contains("reserved")),
            "{error}"
        );
    }
    assert!(broker.topic("__topic_catalog").is_err());
    assert!(broker.admin().list_topics().unwrap().is_empty());
}

#[test]
fn counts_of_partitions_have_bounds() {
    let broker = Place::memory().open();
    for count in [0, 10_001, u32::MAX] {
        let error = broker.admin().create_topic(NewTopic::new("t").partitions(count)).unwrap_err();
        let is_right = matches!(&error, Error::InvalidPartitionCount { topic, requested, limit: 10_000 }
            if topic == "t" && *requested == count);
        assert!(is_right, "{error}");
    }
    assert!(broker.admin().list_topics().unwrap().is_empty());
    create(&broker, "t").unwrap();
}

#[test]
fn as_many_partitions_as_there_may_be_fit_the_catalog() {
    let place = Place::memory();
    let broker = place.open();
    broker.admin().create_topic(NewTopic::new("t").partitions(10_000)).unwrap();
    broker.close().unwrap();
    assert_eq!(place.open().topic("t").unwrap().partition_count(), 10_000);
}

#[test]
fn unknown_topics_and_partitions_are_named() {
    let broker = Place::memory().open();
    let error = broker.topic("t").unwrap_err();
    assert!(matches!(&error, Error::UnknownTopic { topic } if topic == "t"), "{error}");
    assert!(matches!(broker.admin().describe_topic("t").unwrap_err(), Error::UnknownTopic { .. }));
    let topic = broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    for number in [2, u32::MAX] {
        let error = topic.partition(number).unwrap_err();
        let is_right = matches!(&error, Error::UnknownPartition { topic, partition, count: 2 }
            if topic == "t" && *partition == number);
        assert!(is_right, "{error}");
        let told = format!("topic t has no partition {number}: its partition count is 2");
        assert_eq!(error.to_string(), told);
    }
    assert_eq!(topic.partitions().filter(Result::is_ok).count(), 2);
}

#[test]
fn settings_out_of_bounds_are_refused_by_their_kafka_names() {
    let broker = Place::memory().open();
    let config = TopicConfig::default;
    for (config, name) in [
        (config().segment_bytes(1023), "segment.bytes"),
        (config().segment_bytes(1 << 31), "segment.bytes"),
        (config().segment_age(Duration::ZERO), "segment.ms"),
        (config().segment_age(Duration::MAX), "segment.ms"),
        (config().segment_jitter(Duration::MAX), "segment.jitter.ms"),
        (config().segment_index_bytes(23), "segment.index.bytes"),
        (config().index_interval_bytes(u32::MAX), "index.interval.bytes"),
        (config().max_message_bytes(u32::MAX), "max.message.bytes"),
    ] {
        let error = broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { setting, .. } if setting == name), "{error}");
    }
    assert!(broker.admin().list_topics().unwrap().is_empty());
    let smallest = config().segment_bytes(1024).segment_age(Duration::from_millis(1)).segment_index_bytes(24);
    broker.admin().create_topic(NewTopic::new("t").config(smallest)).unwrap();
}

#[test]
fn topics_survive_every_kind_of_reopen() {
    let origin = Place::disk();
    let config = TopicConfig::default()
        .segment_bytes(5000)
        .segment_age(Duration::from_secs(7))
        .segment_jitter(Duration::from_millis(3))
        .segment_index_bytes(240)
        .index_interval_bytes(100)
        .max_message_bytes(2000)
        .timestamp_type(TimestampType::Append);
    let broker = origin.open();
    let plain = broker.admin().create_topic(NewTopic::new("plain")).unwrap();
    let other =
        broker.admin().create_topic(NewTopic::new("other").partitions(3).config(config.clone())).unwrap();
    for (number, partition) in other.partitions().enumerate() {
        partition.unwrap().append(&[Record::new().value(&number.to_string())]).unwrap();
    }
    let killed = origin.as_if_killed();
    let ids = (plain.id(), other.id());
    drop((plain, other, broker));
    for place in [killed, origin] {
        let broker = place.open();
        let (plain, other) = (broker.topic("plain").unwrap(), broker.topic("other").unwrap());
        assert_eq!((plain.id(), other.id()), ids);
        assert_eq!((plain.config(), other.config()), (&TopicConfig::default(), &config));
        assert_eq!((plain.partition_count(), other.partition_count()), (1, 3));
        for (number, partition) in other.partitions().enumerate() {
            assert_eq!(values(&partition.unwrap()), [number.to_string()]);
        }
        assert!(broker.recovery_report().unknown_directories.is_empty());
    }
}

#[test]
fn threads_that_create_one_topic_create_it_once() {
    for place in Place::both() {
        let broker = place.open();
        let created = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&broker, "t"))).collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results
                .filter(|result| match result {
                    Ok(()) => true,
                    Err(error) => {
                        assert!(matches!(error, Error::TopicExists { .. }), "{error}");
                        false
                    }
                })
                .count()
        });
        assert_eq!(created, 1);
        assert_eq!(broker.admin().list_topics().unwrap(), ["t"]);
    }
}

#[test]
fn directories_of_no_topic_are_reported_and_left() {
    let place = Place::disk();
    drop(place.begin(TopicConfig::default()));
    // Another partition of a topic that has one, a number that no directory is named with, and something else.
    let strangers = ["stranger-0", "t-1", "t-00", "no_number"].map(|name| place.path().join(name));
    for path in &strangers {
        fs::create_dir(path).unwrap();
        fs::write(path.join("00000000000000000000.log"), "what is it").unwrap();
    }
    fs::write(place.path().join("a file"), "").unwrap();
    let (broker, partition) = place.resume();
    let mut found = broker.recovery_report().unknown_directories.clone();
    found.sort();
    let mut expected = strangers.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let printed = broker.recovery_report().to_string();
    assert!(strangers.iter().all(|path| printed.contains(&path.display().to_string())), "{printed}");
    partition.append(&[Record::new().value("v")]).unwrap();
    broker.close().unwrap();
    for path in &strangers {
        assert_eq!(fs::read(path.join("00000000000000000000.log")).unwrap(), b"what is it");
    }
}

/// The directories of a topic of three partitions with a record in each; 1 is then treated by `treat`.
fn assert_offline(treat: impl Fn(&Place), says: &str) {
    let place = Place::disk();
    let broker = place.open();
    let topic = broker.admin().create_topic(NewTopic::new("t").partitions(3)).unwrap();
    for partition in topic.partitions() {
        let partition = partition.unwrap();
        partition.append(&[Record::new().value("v")]).unwrap();
        partition.sync().unwrap();
    }
    drop((broker, topic));
    treat(&place);

    // Twice: what is offline stays so, and is not made anew.
    for round in 0..2_u64 {
        let broker = place.open();
        let topic = broker.topic("t").unwrap();
        let error = topic.partition(1).unwrap_err();
        let Error::PartitionOffline { topic: name, partition, source } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), *partition == 1), ("t", true));
        let mut told = source.to_string();
        if let Some(source) = std::error::Error::source(source.as_ref()) {
            told = format!("{told}: {source}");
        }
        assert!(told.contains(says), "{told}");
        let report = broker.recovery_report();
        let reported = report.partitions.iter().find(|found| found.partition.to_string() == "t-1").unwrap();
        assert!(reported.offline.is_some() && reported.is_notable());
        let described = broker.admin().describe_topic("t").unwrap();
        let offline: Vec<bool> = described.partitions.iter().map(|found| found.offline.is_some()).collect();
        assert_eq!(offline, [false, true, false]);
        for number in [0, 2] {
            let partition = topic.partition(number).unwrap();
            partition.append(&[Record::new().value("w")]).unwrap();
            assert_eq!(partition.log_end_offset(), 2 + round);
            assert_eq!(partition.read(Offset::ZERO, 1).unwrap().len(), 1);
        }
        broker.close().unwrap();
    }
}

#[test]
fn a_partition_without_its_directory_is_offline_and_not_made_anew() {
    assert_offline(|place| fs::remove_dir_all(place.path().join("t-1")).unwrap(), "t-1");
}

#[test]
fn a_directory_of_another_topics_id_is_refused() {
    let write = |place: &Place| {
        let path = place.path().join("t-1/partition.metadata");
        assert!(fs::read_to_string(&path).unwrap().starts_with("version: 0\ntopic_id: "));
        fs::write(path, "version: 0\ntopic_id: MkU3OEVBNTcwNTJENDM2Qg").unwrap();
    };
    assert_offline(write, "belongs to topic id MkU3OEVBNTcwNTJENDM2Qg");
}
