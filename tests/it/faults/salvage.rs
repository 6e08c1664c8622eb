//! Salvages of what is lost as a whole, cut short at every step by a kill or the power.
//!
//! Another salvage goes on. Whoever opens the directory in another mode before that is told that it is damaged, or finds everything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::testing::{Calls, Crash, EveryCrash, EveryFault, Fault, Outcome, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Error, ManualClock, NewTopic, Offset, Record, RecoveryMode, Result, Severity,
    Storage, Timestamp,
};

use crate::kit::START;

const CATALOG: &str = "data/__topic_catalog-0";
const PARTITIONS: u32 = 3;
const RECORDS: u32 = 20;

fn open(disk: &TestDisk, mode: RecoveryMode) -> Result<Broker> {
    open_in(disk, &["data"], mode)
}

fn open_in(disk: &TestDisk, dirs: &[&str], mode: RecoveryMode) -> Result<Broker> {
    open_as(disk, dirs, mode, BrokerConfig::default())
}

fn open_as(disk: &TestDisk, dirs: &[&str], mode: RecoveryMode, config: BrokerConfig) -> Result<Broker> {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder = Broker::builder().storage(disk.clone()).clock(clock).recovery(mode);
    let builder = dirs.iter().fold(builder, |builder, dir| builder.log_dir(dir));
    builder.config(config.seed(7)).open()
}

fn fill(broker: &Broker, topic: &str) {
    for partition in broker.topic(topic).unwrap().partitions() {
        let partition = partition.unwrap();
        for record in 0..RECORDS {
            partition.append(&[Record::new().value(&record.to_string())]).unwrap();
        }
        partition.sync().unwrap();
    }
}

/// Two topics, each of whose records is durable.
fn begin(dirs: &[&str], is_clean: bool) -> TestDisk {
    let disk = TestDisk::new();
    let broker = open_in(&disk, dirs, RecoveryMode::Repair).unwrap();
    for name in ["t", "u"] {
        broker.admin().create_topic(NewTopic::new(name).partitions(PARTITIONS)).unwrap();
        fill(&broker, name);
    }
    if is_clean {
        broker.close().unwrap();
    }
    // Before the broker goes, which would close it. What it wrote has had the time to reach the device.
    let left = disk.after(Crash::Kill).files();
    let disk = TestDisk::new();
    for (path, bytes) in left {
        disk.create_dir(path.parent().unwrap()).unwrap();
        disk.put(path, bytes).unwrap();
    }
    disk
}

/// Empties a directory.
fn clear(disk: &TestDisk, directory: &str) {
    let files = disk.files().into_keys();
    files.filter(|path| path.starts_with(directory)).for_each(|path| disk.take(path).unwrap());
}

/// Damages every record of the catalog about a topic.
fn damage_catalog(disk: &TestDisk, topic: &str) {
    let path = Path::new(CATALOG).join("00000000000000000000.log");
    let mut bytes = disk.files().remove(&path).unwrap();
    let part = [b"\0\x01", topic.as_bytes()].concat();
    let found: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&part)).collect();
    assert!(found.len() > 1, "{found:?}");
    found.into_iter().for_each(|at| bytes[at] ^= 0x5a);
    disk.put(&path, bytes).unwrap();
}

/// Looks for everything up to `end`, where `lost` has lost its first records.
fn check_to(broker: &Broker, lost: &[(&str, u32)], end: u32) -> Outcome {
    for name in ["t", "u"] {
        let topic = broker.topic(name)?;
        if topic.partition_count() != PARTITIONS {
            return Err(format!("{name} has {} partitions", topic.partition_count()).into());
        }
        for number in 0..PARTITIONS {
            let partition = topic.partition(number)?;
            let place = format!("{name}-{number}, {}", broker.recovery_report());
            if partition.log_end_offset() != u64::from(end) {
                return Err(format!("ends at {}: {place}", partition.log_end_offset()).into());
            }
            match partition.read(Offset::ZERO, usize::MAX) {
                Ok(_) if !lost.contains(&(name, number)) => {}
                Err(Error::RecordsLost { offsets, .. })
                    if lost.contains(&(name, number)) && offsets.end == u64::from(RECORDS) => {}
                other => return Err(format!("{other:?}: {place}").into()),
            }
        }
    }
    Ok(())
}

fn check(broker: &Broker, lost: &[(&str, u32)]) -> Outcome {
    check_to(broker, lost, RECORDS)
}

/// One more record for each partition, durable when the power goes.
fn goes_on(broker: &Broker, disk: &TestDisk, lost: &[(&str, u32)]) -> Outcome {
    for name in ["t", "u"] {
        for partition in broker.topic(name)?.partitions() {
            let partition = partition?;
            partition.append(&[Record::new().value("more")])?;
            partition.sync()?;
        }
    }
    let disk = disk.after(Crash::PowerCut);
    check_to(&open(&disk, RecoveryMode::Strict)?, lost, RECORDS + 1)
}

/// Cuts a salvage of `disk` short at every step, and lets another go on.
fn cut_short(disk: &TestDisk, lost: &[(&str, u32)]) {
    let points = EveryCrash::new().begin_with(disk).seeds(4).run(
        |disk, is_salvaged: &mut bool| {
            let broker = open(disk, RecoveryMode::Salvage)?;
            *is_salvaged = true;
            drop(broker);
            Ok(())
        },
        |disk, &is_salvaged, _| {
            for mode in [RecoveryMode::Strict, RecoveryMode::Repair] {
                let disk = disk.after(Crash::Kill);
                let verified = Broker::builder().log_dir("data").storage(disk.clone()).verify()?;
                match open(&disk, mode) {
                    Ok(broker) if broker.topic("t").is_ok_and(|t| t.partitions().all(|one| one.is_ok())) => {
                        check(&broker, lost)?;
                        goes_on(&broker, &disk, lost)?;
                        continue;
                    }
                    Ok(_) | Err(_) if is_salvaged => return Err(format!("{mode:?} after a salvage").into()),
                    // Offline, which is reported.
                    Ok(broker) if broker.topic("t").is_ok_and(|t| t.partition_count() == PARTITIONS) => {}
                    Err(error) if error.is_corruption() && verified.worst() > Some(Severity::Note) => {}
                    other => return Err(format!("{mode:?}: {other:?}, verify: {verified}").into()),
                }
                drop(open(&disk, RecoveryMode::Salvage)?);
                check(&open(&disk, RecoveryMode::Strict)?, lost)?;
            }
            let broker = open(disk, RecoveryMode::Salvage)?;
            check(&broker, lost)?;
            goes_on(&broker, disk, lost)
        },
    );
    assert!(points.unwrap() > 100);
}

#[test]
fn a_salvage_of_the_catalog_that_is_cut_short_is_not_taken_for_a_whole_one() {
    for is_clean in [false, true] {
        let disk = begin(&["data"], is_clean);
        clear(&disk, CATALOG);
        cut_short(&disk, &[]);
    }
}

#[test]
fn a_further_loss_of_the_catalog_is_seen_to_like_the_first() {
    let disk = begin(&["data"], true);
    damage_catalog(&disk, "t");
    drop(open(&disk, RecoveryMode::Salvage).unwrap());
    check(&open(&disk, RecoveryMode::Strict).unwrap(), &[]).unwrap();
    damage_catalog(&disk, "u");
    cut_short(&disk, &[]);
}

#[test]
fn a_salvage_of_partitions_without_a_segment_that_is_cut_short_goes_on() {
    for is_clean in [false, true] {
        let disk = begin(&["data"], is_clean);
        clear(&disk, "data/t-1");
        cut_short(&disk, &[("t", 1)]);
        clear(&disk, CATALOG);
        cut_short(&disk, &[("t", 1)]);
    }
}

#[test]
fn a_salvage_of_a_log_that_lacks_its_end_though_it_was_closed_in_order_goes_on() {
    let disk = begin(&["data"], true);
    disk.put("data/t-1/00000000000000000000.log", b"").unwrap();
    // What is left to tell is the recovery point, for as long as there is the marker.
    disk.take("data/streamlog.durable").unwrap();
    cut_short(&disk, &[("t", 1)]);
}

#[test]
fn a_salvage_of_damaged_batches_that_is_cut_short_goes_on() {
    let disk = begin(&["data"], true);
    let path = Path::new("data/t-1/00000000000000000000.log");
    let mut bytes = disk.files().remove(path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[..=end].fill(0x5a);
    disk.put(path, bytes).unwrap();
    cut_short(&disk, &[("t", 1)]);
}

#[test]
fn directories_that_do_not_say_whose_they_are_fill_the_gaps_between_the_others_of_their_name() {
    let disk = begin(&["data"], true);
    clear(&disk, CATALOG);
    for directory in ["t-1", "u-0", "u-1"] {
        disk.take(Path::new("data").join(directory).join("partition.metadata")).unwrap();
    }
    // Somebody's own, that look like partitions.
    for directory in ["data/notes-1", "data/t-5"] {
        disk.create_dir(Path::new(directory)).unwrap();
        disk.put(Path::new(directory).join("00000000000000000000.log"), b"buy milk").unwrap();
    }
    cut_short(&disk, &[]);
    let broker = open(&disk, RecoveryMode::Salvage).unwrap();
    assert_eq!(broker.admin().list_topics().unwrap(), ["t", "u"]);
    let own = ["data/notes-1", "data/t-5"].map(PathBuf::from);
    assert_eq!(broker.recovery_report().unknown_directories, own);
}

#[test]
fn what_the_catalog_still_tells_counts_against_what_lies_about() {
    let dirs = ["data", "more"];
    let disk = begin(&dirs, true);
    // An earlier topic of that name has its first partition in the other directory, and all of the live one have lost their ids.
    let other = begin(&["data"], true);
    disk.create_dir(Path::new("more/t-0")).unwrap();
    for (path, bytes) in other.files().into_iter().filter(|(path, _)| path.starts_with("data/t-0")) {
        disk.put(Path::new("more/t-0").join(path.file_name().unwrap()), bytes).unwrap();
    }
    disk.put("more/t-0/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw").unwrap();
    for path in disk.files().into_keys().filter(|path| path.ends_with("partition.metadata")) {
        if !path.starts_with("more/t-0") && path.to_str().unwrap().contains("t-") {
            disk.take(path).unwrap();
        }
    }
    damage_catalog(&disk, "u");
    let broker = open_in(&disk, &dirs, RecoveryMode::Salvage).unwrap();
    check(&broker, &[]).unwrap();
    assert_eq!(broker.recovery_report().unknown_directories, [Path::new("more/t-0")]);
    assert_eq!(broker.recovery_report().restored_topics, ["u"]);
}

#[test]
fn a_topic_is_found_again_where_the_last_that_is_told_is_the_deletion_of_an_earlier_one() {
    let disk = begin(&["data"], false);
    let path = Path::new(CATALOG).join("00000000000000000000.log");
    let broker = open(&disk, RecoveryMode::Repair).unwrap();
    broker.admin().delete_topic("t").unwrap();
    let before = disk.files().remove(&path).unwrap().iter().rposition(|&byte| byte != 0).unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(PARTITIONS)).unwrap();
    fill(&broker, "t");
    drop(broker);
    let disk = disk.after(Crash::Kill);
    let mut bytes = disk.files().remove(&path).unwrap();
    // From within the record that there is no such topic any more.
    bytes[before - 10..].iter_mut().for_each(|byte| *byte ^= u8::from(*byte != 0) * 0x5a);
    disk.put(&path, bytes).unwrap();
    cut_short(&disk, &[]);
}

#[test]
fn no_producer_id_is_given_twice_however_often_the_catalog_is_lost() {
    let disk = begin(&["data"], true);
    let mut last = -1;
    for _ in 0..4 {
        let broker = open(&disk, RecoveryMode::Salvage).unwrap();
        for _ in 0..3 {
            let producer = broker.producer().build().unwrap();
            producer.send(Record::to("t").partition(0).value("x")).unwrap().wait().unwrap();
            producer.close(Duration::MAX).unwrap();
        }
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        drop(broker);
        let mut newest = last;
        for partition in partition.segments() {
            for batch in partition.batches() {
                newest = newest.max(batch.unwrap().producer_id().unwrap_or(-1));
            }
        }
        assert!(newest > last, "{newest}");
        last = newest;
        drop(partition);
        clear(&disk, CATALOG);
    }
}

#[test]
fn a_topic_whose_deletion_and_creation_are_lost_is_found_again_as_the_new_one() {
    let disk = begin(&["data"], false);
    let path = Path::new(CATALOG).join("00000000000000000000.log");
    let before = disk.files().remove(&path).unwrap().iter().rposition(|&byte| byte != 0).unwrap();
    let broker = open(&disk, RecoveryMode::Repair).unwrap();
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(PARTITIONS)).unwrap();
    fill(&broker, "t");
    let id = broker.topic("t").unwrap().id();
    drop(broker);
    let disk = disk.after(Crash::Kill);
    let mut bytes = disk.files().remove(&path).unwrap();
    bytes[before + 1..].iter_mut().for_each(|byte| *byte ^= u8::from(*byte != 0) * 0x5a);
    disk.put(&path, bytes).unwrap();
    cut_short(&disk, &[]);
    assert_eq!(open(&disk, RecoveryMode::Salvage).unwrap().topic("t").unwrap().id(), id);
}

#[test]
fn a_salvage_with_all_log_directories_finds_what_one_with_some_had_guessed() {
    let dirs = ["data", "more"];
    let disk = begin(&dirs, true);
    clear(&disk, CATALOG);
    drop(open(&disk, RecoveryMode::Salvage).unwrap());
    drop(open_in(&disk, &dirs, RecoveryMode::Salvage).unwrap());
    check(&open_in(&disk, &dirs, RecoveryMode::Strict).unwrap(), &[]).unwrap();
}

#[test]
fn a_salvage_that_could_not_look_everywhere_is_not_taken_for_a_whole_one() {
    let dirs = ["data", "more"];
    for place in ["more/", "u-0/partition.metadata", "/u-0"] {
        let disk = begin(&dirs, true);
        damage_catalog(&disk, "u");
        disk.inject(Fault::io().of(place).from_call(1));
        let config = BrokerConfig::default().allow_offline_dirs(true);
        let broker = open_as(&disk, &dirs, RecoveryMode::Salvage, config).unwrap();
        assert!(broker.topic("t").is_ok(), "{place}");
        drop(broker);
        disk.heal();
        let verified =
            Broker::builder().log_dir("data").log_dir("more").storage(disk.clone()).verify().unwrap();
        assert_eq!(verified.worst(), Some(Severity::Damage), "{place}: {verified}");
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair] {
            let refused = open_in(&disk, &dirs, mode).unwrap_err();
            assert!(refused.is_corruption(), "{place}: {refused}");
        }
        check(&open_in(&disk, &dirs, RecoveryMode::Salvage).unwrap(), &[]).unwrap();
        check(&open_in(&disk, &dirs, RecoveryMode::Strict).unwrap(), &[]).unwrap();
    }
}

#[test]
fn a_deletion_that_cannot_be_finished_keeps_no_salvage_from_finding_other_topics() {
    let disk = begin(&["data"], true);
    disk.inject(Fault::io().of("t-1").on(Calls::Steps).from_call(1));
    let broker = open(&disk, RecoveryMode::Repair).unwrap();
    let _ = broker.admin().delete_topic("t");
    drop(broker);
    damage_catalog(&disk, "u");
    let broker = open(&disk, RecoveryMode::Salvage).unwrap();
    assert_eq!(broker.admin().list_topics().unwrap(), ["u"]);
    drop(broker);
    disk.heal();
    let broker = open(&disk, RecoveryMode::Salvage).unwrap();
    assert_eq!(broker.admin().list_topics().unwrap(), ["u"]);
    drop(broker);
    assert!(open(&disk, RecoveryMode::Strict).is_ok());
}

/// A disk of two log directories, of which the first was replaced: there is what tells whose it is.
fn replaced(has_catalog: bool) -> TestDisk {
    let disk = begin(&["data", "more"], true);
    let of_first = disk.files().into_keys().filter(|path| path.starts_with("data"));
    of_first.filter(|path| !path.ends_with("meta.properties")).for_each(|path| disk.take(path).unwrap());
    for directory in disk.list(Path::new("data")).unwrap() {
        disk.remove_dir(&Path::new("data").join(directory.name)).unwrap_or_default();
    }
    if has_catalog {
        disk.create_dir(Path::new(CATALOG)).unwrap();
        disk.sync_dir(Path::new("data")).unwrap();
    }
    disk
}

#[test]
fn no_catalog_begins_where_one_may_have_been_lost() {
    let dirs = ["data", "more"];
    for (has_catalog, is_offline) in [(false, false), (false, true), (true, false), (true, true)] {
        let disk = replaced(has_catalog);
        if is_offline {
            disk.inject(Fault::io().of("more/").from_call(1));
        }
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage] {
            let config = BrokerConfig::default().allow_offline_dirs(true);
            let opened = open_as(&disk, &dirs, mode, config);
            if has_catalog && mode == RecoveryMode::Salvage {
                // What it found, it found; another one goes on.
                drop(opened.unwrap());
                disk.heal();
                let next = open_in(&disk, &dirs, RecoveryMode::Repair);
                assert_eq!(next.is_err_and(|error| error.is_corruption()), is_offline);
                let broker = open_in(&disk, &dirs, RecoveryMode::Salvage).unwrap();
                assert_eq!(broker.admin().list_topics().unwrap(), ["t", "u"]);
            } else {
                let refused = opened.unwrap_err();
                assert!(matches!(refused, Error::InvalidConfig { setting: "log.dirs", .. }), "{refused}");
            }
        }
        if has_catalog {
            continue;
        }
        disk.heal();
        disk.create_dir(Path::new(CATALOG)).unwrap();
        let verified = Broker::builder().log_dir("data").log_dir("more").storage(disk).verify().unwrap();
        assert_eq!(verified.worst(), Some(Severity::Damage), "{verified}");
    }
}

#[test]
fn a_catalog_of_which_only_a_torn_record_is_left_is_not_taken_for_a_new_one() {
    let disk = begin(&["data"], false);
    let path = Path::new(CATALOG).join("00000000000000000000.log");
    let bytes = disk.files().remove(&path).unwrap();
    disk.put(&path, &bytes[..8]).unwrap();
    let slots = Path::new("data/streamlog.durable");
    let mut bytes = disk.files().remove(slots).unwrap();
    bytes.chunks_mut(32).skip(1).filter(|slot| slot.starts_with(&[0; 15])).for_each(|slot| slot.fill(0));
    disk.put(slots, bytes).unwrap();
    for _ in 0..2 {
        let verified = Broker::builder().log_dir("data").storage(disk.clone()).verify().unwrap();
        assert_eq!(verified.worst(), Some(Severity::Damage), "{verified}");
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage] {
            let refused = open(&disk, mode).unwrap_err();
            assert!(matches!(refused, Error::InvalidConfig { setting: "log.dirs", .. }), "{refused}");
        }
    }
    clear(&disk, CATALOG);
    check(&open(&disk, RecoveryMode::Salvage).unwrap(), &[]).unwrap();
    check(&open(&disk, RecoveryMode::Strict).unwrap(), &[]).unwrap();
}

#[test]
fn topics_are_found_in_the_other_log_directories_where_the_first_is_replaced() {
    let dirs = ["data", "more"];
    let disk = replaced(true);
    let points = EveryCrash::new().begin_with(&disk).seeds(2).run(
        |disk, (): &mut ()| {
            drop(open_in(disk, &dirs, RecoveryMode::Salvage)?);
            Ok(())
        },
        |disk, (), _| {
            let broker = open_in(disk, &dirs, RecoveryMode::Salvage)?;
            for name in ["t", "u"] {
                let topic = broker.topic(name)?;
                let is_there =
                    |number| disk.stat(&Path::new("more").join(format!("{name}-{number}"))).is_ok();
                for number in 0..topic.partition_count() {
                    match topic.partition(number) {
                        Ok(one) if is_there(number) && one.log_end_offset() == u64::from(RECORDS) => {}
                        Err(Error::PartitionOffline { .. }) if !is_there(number) => {}
                        other => return Err(format!("{name}-{number}: {other:?}").into()),
                    }
                }
            }
            Ok(())
        },
    );
    assert!(points.unwrap() > 100);
}

#[test]
fn partitions_whose_creation_the_catalog_has_lost_are_taken_as_they_are() {
    for is_slot_lost in [false, true] {
        let disk = begin(&["data"], false);
        let path = Path::new(CATALOG).join("00000000000000000000.log");
        let mut bytes = disk.files().remove(&path).unwrap();
        // Of each topic one batch tells that it is being created, and one that it is.
        let next =
            |at: usize| at + 12 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let last = (0..4).fold(0, |at, _| next(at));
        bytes[last..].fill(0);
        disk.put(&path, bytes).unwrap();
        let slots = Path::new("data/streamlog.durable");
        let mut bytes = disk.files().remove(slots).unwrap();
        let of_catalog = |slot: &&mut [u8]| is_slot_lost || slot.starts_with(&[0; 15]);
        bytes.chunks_mut(32).skip(1).filter(of_catalog).for_each(|slot| slot.fill(0));
        disk.put(slots, bytes).unwrap();

        let verified = Broker::builder().log_dir("data").storage(disk.clone()).verify().unwrap();
        assert_eq!((verified.worst(), verified.partitions), (Some(Severity::Mended), 7), "{verified}");
        let refused = open(&disk, RecoveryMode::Strict).unwrap_err();
        assert!(matches!(refused, Error::RecoveryRefused { .. }), "{refused}");
        let broker = open(&disk, RecoveryMode::Repair).unwrap();
        check(&broker, &[]).unwrap();
        assert_eq!(broker.recovery_report().restored_topics, ["u"]);
        drop(broker);
        let broker = open(&disk.after(Crash::PowerCut), RecoveryMode::Strict).unwrap();
        check(&broker, &[]).unwrap();
        assert!(broker.recovery_report().restored_topics.is_empty());
    }
}

#[test]
fn a_disk_that_fails_at_any_call_of_a_salvage_of_the_catalog_hides_nothing() {
    let disk = begin(&["data"], true);
    damage_catalog(&disk, "t");
    let faults =
        [Fault::full(), Fault::io(), Fault::short_write(), Fault::late_write(), Fault::flipped_bit(1)];
    for is_lasting in [false, true] {
        // A disk that flips a bit in all that is read has nothing to salvage.
        let every =
            EveryFault::new().begin_with(&disk).faults(faults[..if is_lasting { 4 } else { 5 }].to_vec());
        let points = if is_lasting { every.lasting() } else { every }.run(
            |disk, (): &mut ()| {
                drop(open(disk, RecoveryMode::Salvage)?);
                Ok(())
            },
            |disk, (), _| {
                disk.heal();
                match open(&disk.after(Crash::Kill), RecoveryMode::Repair) {
                    Ok(broker) => check(&broker, &[])?,
                    Err(error) if error.is_corruption() => {}
                    Err(error) => return Err(error.into()),
                }
                check(&open(disk, RecoveryMode::Salvage)?, &[])?;
                check(&open(&disk.after(Crash::PowerCut), RecoveryMode::Strict)?, &[])
            },
        );
        assert!(points.unwrap() > 100);
    }
}
