//! Looking into directories that another broker has open, or where nobody may write: what is seen, and what is refused.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, BatchBuilder, Broker, BrokerConfig, Compression, Error, IsolationLevel, MemoryStorage,
    NewTopic, Offset, PartitionId, Record, Timestamp, TopicConfig, TopicPartition,
};

use crate::kit::{Place, START, values};

fn look(place: &Place) -> Broker {
    place.builder().read_only().open().unwrap()
}

fn partition(broker: &Broker, topic: &str) -> streamlog::Partition {
    broker.topic(topic).unwrap().partition(0).unwrap()
}

/// Every name below a directory, with the bytes of files and the time of their last change.
fn tree(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        let bytes = if metadata.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        if metadata.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path, (bytes, metadata.modified().unwrap()));
    }
    found
}

#[test]
fn a_look_beside_a_broker_shows_what_there_is_when_it_is_opened() {
    for place in Place::both() {
        let (broker, written) = place.begin(TopicConfig::default().segment_bytes(1024));
        let append = |value: &str| written.append(&[Record::new().value(value)]).map(|_| ()).unwrap();
        append("0");
        let first = look(&place);
        assert_eq!(values(&partition(&first, "t")), ["0"]);

        for number in 1..40 {
            append(&number.to_string());
        }
        assert!(written.segments().len() > 1);
        broker.admin().create_topic(NewTopic::new("other").partitions(2)).unwrap();
        broker.admin().create_partitions("other", 3).unwrap();
        let second = look(&place);
        assert_eq!(values(&partition(&second, "t")), values(&written));
        assert_eq!(partition(&second, "t").segments().len(), written.segments().len());
        let (seen, real) = (second.topic("other").unwrap(), broker.topic("other").unwrap());
        assert_eq!((seen.id(), seen.partition_count()), (real.id(), 3));
        assert_eq!(values(&partition(&first, "t")), ["0"], "a look does not move");
        assert!(first.topic("other").is_err());

        broker.admin().delete_topic("other").unwrap();
        assert_eq!(look(&place).admin().list_topics().unwrap(), ["t"]);
        append("the broker is not disturbed");
        broker.close().unwrap();
        let third = look(&place);
        assert!(third.recovery_report().was_clean);
        assert_eq!(values(&partition(&third, "t")).len(), 41);
        // Nor is anybody else held up by a look.
        drop(place.open());
        assert_eq!(values(&partition(&second, "t")).len(), 40);
    }
}

#[test]
fn reading_works_in_every_way() {
    let place = Place::disk();
    let (_broker, written) = place.begin(TopicConfig::default().segment_bytes(1024).index_interval_bytes(50));
    for number in 0..30 {
        let time = Timestamp::from_millis(START + number * 1000);
        written.append(&[Record::new().value(&number.to_string()).timestamp(time)]).unwrap();
    }
    let broker = look(&place);
    let seen = partition(&broker, "t");
    for number in [0, 7, 29] {
        let time = Timestamp::from_millis(START + number * 1000 - 500);
        assert_eq!(seen.offset_for_time(time).unwrap(), written.offset_for_time(time).unwrap());
    }
    for (seen, written) in seen.segments().iter().zip(written.segments()) {
        assert_eq!((seen.path(), seen.base_offset()), (written.path(), written.base_offset()));
        assert_eq!(seen.end_offset().unwrap(), written.end_offset().unwrap());
        assert_eq!(seen.bytes().unwrap(), written.bytes().unwrap());
    }
    let described = broker.admin().describe_topic("t").unwrap();
    assert_eq!(described.partitions[0].end_offset, 30);
    assert_eq!(broker.metrics().records_appended, 0);
    assert!(broker.recovery_report().to_string().starts_with("looked at 2 partitions"));

    let name = TopicPartition::new("t", PartitionId::ZERO);
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
    consumer.assign([name.clone()]).unwrap();
    let mut count = 0;
    while consumer.position(&name).unwrap() < 30 {
        count += consumer.poll(Duration::ZERO).unwrap().len();
    }
    assert_eq!(count, 30);
    assert!(consumer.poll(Duration::from_secs(3600)).unwrap().is_empty(), "nothing more comes");
}

#[test]
fn a_consumer_that_waits_for_more_gives_up_in_time() {
    // On the system's clock: what ends the wait is a thread's work, although nothing else is done in the background.
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::open(directory.path()).unwrap();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    partition(&broker, "t").append(&[Record::new().value("v")]).unwrap();
    let look = Broker::builder().log_dir(directory.path()).read_only().open().unwrap();
    let consumer = look.consumer().auto_offset_reset(AutoOffsetReset::Earliest);
    let mut consumer =
        consumer.fetch_min_bytes(1 << 20).fetch_max_wait(Duration::from_millis(5)).build().unwrap();
    consumer.assign([TopicPartition::new("t", PartitionId::ZERO)]).unwrap();
    assert_eq!(consumer.poll(Duration::MAX).unwrap().len(), 1);
}

#[test]
fn what_was_not_known_to_be_durable_is_not_said_to_be() {
    for place in Place::both() {
        let (broker, written) = place.begin(TopicConfig::default());
        written.append(&[Record::new().value("synced")]).unwrap();
        written.sync().unwrap();
        written.append(&[Record::new().value("not synced")]).unwrap();
        let look = look(&place);
        let seen = partition(&look, "t");
        assert_eq!((seen.durable_offset(), seen.log_end_offset()), (1_u32.into(), 2_u32.into()));
        let name = TopicPartition::new("t", PartitionId::ZERO);
        let consumer = look.consumer().auto_offset_reset(AutoOffsetReset::Earliest);
        let mut consumer = consumer.isolation(IsolationLevel::ReadDurable).build().unwrap();
        consumer.assign([name]).unwrap();
        let read: usize = (0..3).map(|_| consumer.poll(Duration::ZERO).unwrap().len()).sum();
        assert_eq!(read, 1, "nothing that a power cut could take back");
        drop(broker);
    }
}

#[test]
fn every_change_is_refused_by_name() {
    let place = Place::disk();
    let (broker, written) = place.begin(TopicConfig::default());
    written.append(&[Record::new().value("v")]).unwrap();
    let before = tree(&place.path());
    let look = place.builder().config(BrokerConfig::default().auto_create_topics(true)).read_only();
    let look = look.open().unwrap();
    let (seen, admin) = (partition(&look, "t"), look.admin());
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(&Record::new().value("v"), Timestamp::from_millis(5)).unwrap();
    let refusals = [
        seen.append(&[Record::new().value("v")]).map(drop),
        seen.append(&[]).map(drop),
        seen.append_batch(builder.build().unwrap()).map(drop),
        seen.sync().map(drop),
        admin.create_topic(NewTopic::new("new")).map(drop),
        admin.create_partitions("t", 2).map(drop),
        admin.delete_topic("t"),
        admin.alter_topic_config("t", TopicConfig::default().preallocate(true), &[]).map(drop),
        look.producer().build().map(drop),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
        assert!(!error.is_retriable() && !error.is_corruption() && error.kafka_code().is_none());
    }
    // To name a topic that there is not makes none, whatever the settings say.
    let mut consumer = look.consumer().build().unwrap();
    let error = consumer.assign([TopicPartition::new("named", PartitionId::ZERO)]);
    let error = error.and_then(|()| consumer.poll(Duration::ZERO).map(drop)).unwrap_err();
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error}");
    look.close().unwrap();
    assert!(matches!(look.topic("t"), Err(Error::Closed)));
    drop((consumer, seen, admin, look));
    assert!(tree(&place.path()) == before);
    drop(broker);
}

#[test]
fn a_path_without_a_log_directory_is_named_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (empty, file, kafka) =
        (root.path().join("empty"), root.path().join("file"), root.path().join("kafka"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, "mine").unwrap();
    fs::create_dir_all(kafka.join("orders-0")).unwrap();
    fs::write(kafka.join("meta.properties"), "version=1\ncluster.id=x\nnode.id=1\n").unwrap();
    fs::write(kafka.join("orders-0/00000000000000000000.log"), "").unwrap();
    let before = tree(root.path());
    let open = |path: &Path| Broker::builder().log_dir(path).read_only().open().unwrap_err();
    for path in [&empty, &kafka, &root.path().join("missing"), &root.path().join("missing/below")] {
        let error = open(path);
        assert!(matches!(&error, Error::NoLogDir { path: named } if named == path), "{error}");
    }
    assert!(matches!(open(&file), Error::NotADirectory { path } if path == file));
    assert!(matches!(open(&file.join("below")), Error::Io { .. }));
    assert_eq!(tree(root.path()), before);
    let in_memory = Broker::builder().in_memory().read_only().open().unwrap_err();
    assert!(matches!(in_memory, Error::InvalidConfig { setting: "log.dirs", .. }));
    let storage = Broker::builder().log_dir("d").storage(MemoryStorage::new()).read_only().open();
    assert!(matches!(storage, Err(Error::NoLogDir { .. })));
}

#[test]
fn several_directories_are_looked_at_together() {
    for place in Place::both() {
        let names = ["data", "second"];
        let broker = place.builder_on(&names).open().unwrap();
        broker.admin().create_topic(NewTopic::new("t").partitions(4)).unwrap();
        for (number, partition) in (0..).zip(broker.topic("t").unwrap().partitions()) {
            partition.unwrap().append(&vec![Record::new().value("v"); number + 1]).unwrap();
        }
        let look = place.builder_on(&names).read_only().open().unwrap();
        let topic = look.topic("t").unwrap();
        let ends = topic.partitions().map(|one| one.unwrap().log_end_offset());
        assert_eq!(ends.map(u64::from).collect::<Vec<_>>(), [1, 2, 3, 4]);
        // Without one of them, what is in it is offline, as ever.
        let first = place.builder_on(&["data"]).read_only().open().unwrap();
        assert_eq!(first.topic("t").unwrap().partitions().filter(Result::is_err).count(), 2);
        let second = place.builder_on(&["second"]).read_only().open().unwrap_err();
        assert!(matches!(second, Error::NoLogDir { .. } | Error::InvalidConfig { .. }), "{second}");
        let missing = place.builder_on(&["data", "second", "third"]);
        assert!(matches!(missing.read_only().open(), Err(Error::NoLogDir { .. })));
        drop(broker);
    }
}

/// Makes a directory, with all that is in it, writable or not.
fn set_writable(path: &Path, is_writable: bool) {
    let is_dir = fs::metadata(path).unwrap().is_dir();
    let mode = match (is_dir, is_writable) {
        (true, true) => 0o700,
        (true, false) => 0o500,
        (false, true) => 0o600,
        (false, false) => 0o400,
    };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if is_dir {
        fs::read_dir(path).unwrap().for_each(|entry| set_writable(&entry.unwrap().path(), is_writable));
    }
}

#[test]
fn a_directory_where_nobody_may_write_is_looked_at_and_stays_as_it_is() {
    let place = Place::disk();
    let (broker, written) = place.begin(TopicConfig::default().segment_bytes(1024));
    for number in 0..40 {
        written.append(&[Record::new().value(&number.to_string())]).unwrap();
    }
    let killed = place.as_if_killed();
    drop((broker, written));
    let last = fs::read_dir(killed.partition_path()).unwrap().map(|entry| entry.unwrap().path());
    let last = last.filter(|path| path.extension().is_some_and(|part| part == "log")).max().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&last).unwrap();
    file.write_all(b"torn in the middle of an append").unwrap();
    drop(file);
    // An index that is missing is made in memory.
    let index = killed.partition_path().join("00000000000000000000.index");
    let _ = fs::remove_file(&index);
    let before = tree(&killed.path_of(""));
    set_writable(&killed.path(), false);
    let look = look(&killed);
    let (all, report) = (values(&partition(&look, "t")), look.recovery_report().to_string());
    assert_eq!(all, (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
    let cut = look.recovery_report().partitions.iter().find_map(|one| one.cut.as_ref()).expect("a torn tail");
    assert!(cut.from == 40 && cut.quarantine.iter().all(|path| !path.exists()), "{report}");
    look.close().unwrap();
    drop(look);
    set_writable(&killed.path(), true);
    assert!(tree(&killed.path_of("")) == before, "not a byte, a name or a time is another");
    let opened = killed.open();
    assert_eq!(values(&partition(&opened, "t")), all);
}

#[test]
fn what_is_not_synced_and_what_is_torn_takes_no_memory() {
    // More of either than the 64 MiB that a look may keep.
    let place = Place::disk();
    let (broker, written) = place.begin(TopicConfig::default().max_message_bytes(16 << 20));
    written.append(&[Record::new().value("v")]).unwrap();
    let killed = place.as_if_killed();
    let value = vec![7; 11 << 20];
    for _ in 0..6 {
        written.append(&[Record::new().value(&value)]).unwrap();
    }
    let first = look(&place);
    let seen = partition(&first, "t");
    assert_eq!((seen.log_end_offset(), seen.durable_offset()), (7_u32.into(), Offset::ZERO));
    for offset in 1..7_u32 {
        let batches = seen.read(offset.into(), 1).unwrap();
        let records = batches.iter().next().unwrap().records().unwrap();
        assert_eq!(records.iter().next().unwrap().value(), Some(&value[..]));
    }
    drop((broker, written));

    let log = killed.partition_path().join("00000000000000000000.log");
    let mut file = fs::OpenOptions::new().write(true).open(log).unwrap();
    file.seek(SeekFrom::End(65 << 20)).unwrap();
    file.write_all(b"torn").unwrap();
    drop(file);
    let look = look(&killed);
    assert_eq!(values(&partition(&look, "t")), ["v"]);
    let report = look.recovery_report();
    assert!(report.partitions.iter().any(|one| one.cut.as_ref().is_some_and(|cut| cut.bytes > 64 << 20)));
}

#[test]
fn looks_beside_threads_that_append_create_and_delete_are_all_whole() {
    const APPENDS: u64 = 600;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let broker = Broker::open(&data).unwrap();
    let config = TopicConfig::default().segment_bytes(2000).index_interval_bytes(200);
    broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
    let (appended, synced, looks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (broker, appended, synced) = (&broker, &appended, &synced);
        scope.spawn(move || {
            let partition = partition(broker, "t");
            for number in 0..APPENDS {
                let value: Vec<u8> = number.to_string().bytes().cycle().take(80).collect();
                partition.append(&[Record::new().value(&value)]).unwrap();
                appended.store(number + 1, Ordering::SeqCst);
                if number % 20 == 0 {
                    synced.store(partition.sync().unwrap().into(), Ordering::SeqCst);
                }
            }
        });
        scope.spawn(move || {
            let admin = broker.admin();
            while appended.load(Ordering::SeqCst) < APPENDS {
                admin.create_topic(NewTopic::new("passing").partitions(2)).unwrap();
                partition(broker, "passing").append(&[Record::new().value("v")]).unwrap();
                admin.delete_topic("passing").unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while last < APPENDS {
                    let (least, durable) = (appended.load(Ordering::SeqCst), synced.load(Ordering::SeqCst));
                    let look = Broker::builder().log_dir(&data).read_only().open().unwrap();
                    let seen = partition(&look, "t");
                    last = seen.log_end_offset().into();
                    assert!(last >= least && u64::from(seen.durable_offset()) >= durable);
                    let all = values(&seen);
                    assert_eq!(all.len() as u64, last);
                    for (number, value) in all.iter().enumerate() {
                        assert!(value.starts_with(&number.to_string()));
                    }
                    looks.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(looks.load(Ordering::SeqCst) > 2);
}
