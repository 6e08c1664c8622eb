//! Several log directories: where partitions go, how they are found again, and what is wrong with a list of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use streamlog::{Broker, Error, NewTopic, Record, Uuid};

use crate::kit::{Place, values};

fn open(place: &Place, names: &[&str]) -> Broker {
    place.builder_on(names).open().unwrap()
}

/// A topic of so many partitions with one record in each: its own name.
fn create(broker: &Broker, name: &str, partitions: u32) {
    let topic = broker.admin().create_topic(NewTopic::new(name).partitions(partitions)).unwrap();
    for partition in topic.partitions() {
        let partition = partition.unwrap();
        partition.append(&[Record::new().value(&format!("{name}-{}", partition.id()))]).unwrap();
    }
}

/// Checks that each partition of the topic has its record.
fn check(broker: &Broker, name: &str, partitions: u32) {
    for number in 0..partitions {
        let partition = broker.topic(name).unwrap().partition(number).unwrap();
        assert_eq!(values(&partition), [format!("{name}-{number}")]);
    }
}

/// The directories of partitions in a log directory, sorted.
fn directories(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_partition_goes_to_the_directory_with_the_fewest() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b", "c"]);
    create(&broker, "one", 1);
    create(&broker, "four", 4);
    assert_eq!(directories(&place.path()), ["__topic_catalog-0", "four-2", "one-0"]);
    assert_eq!(directories(&place.path_of("b")), ["four-0", "four-3"]);
    assert_eq!(directories(&place.path_of("c")), ["four-1"]);
    drop(broker);
    // What is there counts after a reopen as well.
    let broker = open(&place, &["data", "b", "c"]);
    create(&broker, "next", 2);
    assert_eq!(directories(&place.path_of("c")), ["four-1", "next-0"]);
    assert_eq!(directories(&place.path()), ["__topic_catalog-0", "four-2", "next-1", "one-0"]);
}

#[test]
fn partitions_are_found_in_any_order_of_the_directories_but_the_first() {
    for place in Place::both() {
        let broker = open(&place, &["data", "b", "c"]);
        create(&broker, "t", 5);
        broker.close().unwrap();
        drop(broker);
        for order in [["data", "c", "b"], ["data", "b", "c"]] {
            let broker = open(&place, &order);
            assert!(broker.recovery_report().was_clean, "each directory has its marker");
            assert!(broker.recovery_report().unknown_directories.is_empty());
            check(&broker, "t", 5);
            broker.topic("t").unwrap().partition(4).unwrap().sync().unwrap();
        }
    }
}

#[test]
fn every_directory_is_recovered_after_a_crash() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 4);
    let killed = place.as_if_killed();
    let reopened = open(&killed, &["data", "b"]);
    assert!(!reopened.recovery_report().was_clean);
    assert!(reopened.recovery_report().partitions.iter().all(|found| found.scanned_bytes > 0));
    check(&reopened, "t", 4);
}

#[test]
fn a_directory_may_be_added_and_takes_what_comes_next() {
    for place in Place::both() {
        let broker = open(&place, &["data"]);
        create(&broker, "old", 3);
        drop(broker);
        let broker = open(&place, &["data", "b"]);
        create(&broker, "new", 3);
        check(&broker, "old", 3);
        check(&broker, "new", 3);
        drop(broker);
        // Without it the partitions in it are offline, and stay what they are.
        let broker = open(&place, &["data"]);
        check(&broker, "old", 3);
        let topic = broker.topic("new").unwrap();
        for number in 0..3 {
            let error = topic.partition(number).unwrap_err();
            assert_eq!(error.kafka_code(), Some(56));
            let Error::PartitionOffline { source, .. } = &error else { panic!("{error}") };
            assert!(matches!(**source, Error::UnknownLogDir { .. }), "{source}");
            assert_eq!(source.kafka_code(), Some(57));
        }
        drop((broker, topic));
        check(&open(&place, &["data", "b"]), "new", 3);
    }
}

#[test]
fn the_catalog_must_be_in_the_first_directory() {
    for place in Place::both() {
        let broker = open(&place, &["data", "b"]);
        create(&broker, "t", 2);
        drop(broker);
        for order in [["b", "data"], ["new", "data"]] {
            let error = place.builder_on(&order).open().unwrap_err();
            let Error::InvalidConfig { setting: "log.dirs", value, reason } = &error else {
                panic!("{error}")
            };
            assert_eq!(*value, place.path_of(order[0]).display().to_string());
            assert!(reason.contains(&place.path().display().to_string()), "{reason}");
        }
        check(&open(&place, &["data", "b"]), "t", 2);
    }
}

#[test]
fn no_second_catalog_is_begun_where_partitions_of_another_lie() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    for names in [&["b"][..], &["b", "c"]] {
        let error = place.builder_on(names).open().unwrap_err();
        let is_right = matches!(&error, Error::InvalidConfig { setting: "log.dirs", value, .. }
            if *value == place.path_of("b").display().to_string());
        assert!(is_right, "{error}");
    }
    check(&open(&place, &["data", "b"]), "t", 2);
}

#[test]
fn the_directory_of_another_broker_is_refused() {
    let place = Place::memory();
    for own in ["data", "b"] {
        create(&open(&place, &[own]), own, 1);
    }
    for (order, other) in [(["data", "b"], "b"), (["b", "data"], "data")] {
        let error = place.builder_on(&order).open().unwrap_err();
        let is_right = matches!(&error, Error::InvalidConfig { setting: "log.dirs", value, .. }
            if *value == place.path_of(other).display().to_string());
        assert!(is_right, "{error}");
    }
}

fn assert_refused(place: &Place, paths: &[PathBuf]) {
    let builder = Broker::builder().config(place.config.clone().allow_offline_dirs(true));
    let error = paths.iter().fold(builder, |builder, path| builder.log_dir(path)).open().unwrap_err();
    let is_right = matches!(&error, Error::InvalidConfig { setting: "log.dirs", value, .. }
        if *value == paths.last().unwrap().display().to_string());
    assert!(is_right, "{error}");
}

#[test]
fn one_directory_twice_is_refused_by_whatever_name() {
    let place = Place::disk();
    let first = place.path();
    assert_refused(&place, &[first.clone(), first.clone()]);
    assert_refused(&place, &[first.clone(), place.path_of("b"), first.join("")]);
    assert!(!first.exists(), "nothing was made");
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    let link = place.path_of("link");
    std::os::unix::fs::symlink(place.path_of("b"), &link).unwrap();
    assert_refused(&place, &[first.clone(), place.path_of("b"), link]);
    // A copy has the id of the original.
    fs::create_dir(place.path_of("copy")).unwrap();
    fs::copy(place.path_of("b").join("meta.properties"), place.path_of("copy").join("meta.properties"))
        .unwrap();
    assert_refused(&place, &[first, place.path_of("b"), place.path_of("copy")]);
    check(&open(&place, &["data", "b"]), "t", 2);
}

#[test]
fn every_directory_is_held() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    for alone in ["data", "b"] {
        let error = Broker::builder().log_dir(place.path_of(alone)).open().unwrap_err();
        assert!(matches!(&error, Error::Locked { path } if *path == place.path_of(alone)), "{error}");
    }
    broker.close().unwrap();
    Broker::open(place.path_of("b")).unwrap();
}

#[test]
fn what_belongs_to_no_topic_is_reported_for_each_directory() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    // A partition that has its place elsewhere, and a catalog that cannot be one, are strangers as well.
    let strangers = ["data/t-1", "b/t-0", "b/x-0"].map(|name| place.path_of(name));
    strangers.iter().for_each(|path| fs::create_dir(path).unwrap());
    let broker = open(&place, &["data", "b"]);
    let mut found = broker.recovery_report().unknown_directories.clone();
    found.sort();
    let mut expected = strangers.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    check(&broker, "t", 2);
}

#[test]
fn a_damaged_partition_denies_the_clean_marker_to_its_own_directory_alone() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    fs::remove_dir_all(place.path_of("b").join("t-1")).unwrap();
    let broker = open(&place, &["data", "b"]);
    let topic = broker.topic("t").unwrap();
    topic.partition(0).unwrap().append(&[Record::new().value("more")]).unwrap();
    assert!(topic.partition(1).is_err());
    create(&broker, "u", 2);
    broker.close().unwrap();
    let has_marker = |name| place.path_of(name).join(".kafka_cleanshutdown").exists();
    assert!(has_marker("data") && !has_marker("b"));
}

#[test]
fn directories_that_are_added_by_brokers_of_one_seed_have_ids_of_their_own() {
    let place = Place::memory();
    for names in [&["data"][..], &["data", "b"], &["data", "b", "c"], &["data", "b", "c", "d"]] {
        let broker = open(&place, names);
        create(&broker, &format!("t{}", names.len()), 1);
    }
    let broker = open(&place, &["data", "b", "c", "d"]);
    let topics = broker.admin().list_topics().unwrap();
    let ids: BTreeSet<Uuid> = topics.iter().map(|name| broker.topic(name).unwrap().id()).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn directories_of_one_broker_are_of_one_cluster() {
    let place = Place::disk();
    drop(open(&place, &["data"]));
    drop(open(&place, &["data", "b"]));
    let properties = |name| fs::read_to_string(place.path_of(name).join("meta.properties")).unwrap();
    let line =
        |text: &str, key: &str| text.lines().find(|line| line.starts_with(key)).map(str::to_owned).unwrap();
    let (first, second) = (properties("data"), properties("b"));
    assert_eq!(line(&first, "cluster.id="), line(&second, "cluster.id="));
    assert_ne!(line(&first, "directory.id="), line(&second, "directory.id="));
}

#[test]
fn a_directory_that_belongs_to_other_ones_is_refused_and_not_touched() {
    let place = Place::disk();
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    let slots = || fs::read(place.path_of("b").join("streamlog.durable")).unwrap();
    let before = slots();
    // As if the first one was on a disk that was replaced.
    fs::rename(place.path(), place.path_of("kept")).unwrap();
    let mut config = place.config.clone().allow_offline_dirs(true);
    for seed in [8, 9] {
        config = config.seed(seed);
        let error = place.builder_on(&["data", "b"]).config(config.clone()).open().unwrap_err();
        let Error::InvalidConfig { setting: "log.dirs", value, reason } = &error else { panic!("{error}") };
        assert_eq!(*value, place.path_of("b").display().to_string());
        assert!(reason.contains("cluster.id"), "{reason}");
    }
    assert!(slots() == before);
    fs::remove_dir_all(place.path()).unwrap();
    fs::rename(place.path_of("kept"), place.path()).unwrap();
    check(&open(&place, &["data", "b"]), "t", 2);
}

fn allowing(place: Place) -> Place {
    place.config(|config| config.allow_offline_dirs(true))
}

/// Two directories with a topic of four partitions, of which the second is then treated so.
fn assert_offline(spoil: impl Fn(&Path), mend: impl Fn(&Path), is_identified: bool) {
    let place = allowing(Place::disk());
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 4);
    drop(broker);
    let path = place.path_of("b");
    spoil(&path);
    let strict = place.config(|config| config.allow_offline_dirs(false));
    strict.builder_on(&["data", "b"]).open().unwrap_err();
    let place = allowing(strict);
    // Twice: nothing is made in its place.
    for round in 0..2 {
        let broker = open(&place, &["data", "b"]);
        let report = broker.recovery_report();
        let [(told, why)] = &report.offline_directories[..] else { panic!("{report}") };
        assert_eq!(*told, path);
        assert!(report.to_string().contains(&path.display().to_string()), "{report}");
        let topic = broker.topic("t").unwrap();
        for number in [1, 3] {
            let error = topic.partition(number).unwrap_err();
            let Error::PartitionOffline { source, .. } = &error else { panic!("{error}") };
            assert_eq!(source.to_string() == why.to_string(), is_identified, "{source} and {why}");
            assert!(is_identified || matches!(**source, Error::UnknownLogDir { .. }));
            let described = broker.admin().describe_topic("t").unwrap();
            assert!(described.partitions[usize::try_from(number).unwrap()].offline.is_some());
        }
        for number in [0, 2] {
            assert_eq!(values(&topic.partition(number).unwrap()), [format!("t-{number}")]);
            topic.partition(number).unwrap().sync().unwrap();
        }
        // What is new goes to what there is, and what is not there denies nothing to what is.
        create(&broker, &format!("new{round}"), 2);
        check(&broker, &format!("new{round}"), 2);
        broker.close().unwrap();
        assert!(place.path().join(".kafka_cleanshutdown").exists());
    }
    mend(&path);
    let broker = open(&place, &["data", "b"]);
    assert!(broker.recovery_report().was_clean && broker.recovery_report().offline_directories.is_empty());
    check(&broker, "t", 4);
    check(&broker, "new1", 2);
}

#[test]
fn a_directory_that_cannot_be_used_is_offline_where_that_is_allowed() {
    let aside = |path: &Path| path.with_extension("aside");
    // A file in its place, which says nothing of an id.
    assert_offline(
        |path| {
            fs::rename(path, aside(path)).unwrap();
            fs::write(path, "a disk that is not mounted").unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            fs::rename(aside(path), path).unwrap();
        },
        false,
    );
    // A newer version of something in it, which leaves its id to be read.
    let points = "recovery-point-offset-checkpoint";
    assert_offline(
        |path| {
            fs::copy(path.join(points), aside(path)).unwrap();
            fs::write(path.join(points), "7\n0\n").unwrap();
        },
        |path| fs::rename(aside(path), path.join(points)).unwrap(),
        true,
    );
    // An id that makes no sense.
    let properties = "meta.properties";
    assert_offline(
        |path| {
            fs::copy(path.join(properties), aside(path)).unwrap();
            fs::write(path.join(properties), "nonsense").unwrap();
        },
        |path| fs::rename(aside(path), path.join(properties)).unwrap(),
        false,
    );
}

#[test]
fn the_first_directory_must_be_usable_and_one_that_is_held_is_no_offline_one() {
    let place = allowing(Place::disk());
    drop(open(&place, &["data", "b"]));
    let held = open(&place, &["c", "b"]);
    let error = place.builder_on(&["data", "b"]).open().unwrap_err();
    assert!(matches!(&error, Error::Locked { path } if *path == place.path_of("b")), "{error}");
    drop(held);
    fs::remove_dir_all(place.path_of("b")).unwrap();
    fs::remove_dir_all(place.path()).unwrap();
    fs::write(place.path(), "no directory").unwrap();
    let error = place.builder_on(&["data", "b"]).open().unwrap_err();
    assert!(matches!(&error, Error::NotADirectory { path } if *path == place.path()), "{error}");
}

#[test]
fn a_topic_with_a_part_in_an_offline_directory_is_extended_and_deleted() {
    let place = allowing(Place::disk());
    let broker = open(&place, &["data", "b"]);
    create(&broker, "t", 2);
    drop(broker);
    let (path, aside) = (place.path_of("b"), place.path_of("aside"));
    fs::rename(&path, &aside).unwrap();
    fs::write(&path, "").unwrap();
    let broker = open(&place, &["data", "b"]);
    broker.admin().create_partitions("t", 3).unwrap();
    assert!(place.path().join("t-2").is_dir());
    broker.admin().delete_topic("t").unwrap();
    drop(broker);
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    let broker = open(&place, &["data", "b"]);
    assert!(broker.topic("t").is_err() && broker.recovery_report().unknown_directories.is_empty());
    place.clock.advance(std::time::Duration::ZERO);
    assert!(directories(&path).is_empty());
    assert_eq!(directories(&place.path()), ["__topic_catalog-0"]);
}
