//! Salvages of what is lost as a whole, cut short at every step by a kill or the power.
//!
//! Another salvage goes on. Whoever opens the directory in another mode before that is told that it is damaged, or finds everything.

use std::path::Path;

use streamlog::testing::{Crash, EveryCrash, Outcome, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Error, ManualClock, NewTopic, Offset, Record, RecoveryMode, Result, Severity,
    Timestamp,
};

use crate::kit::START;

const CATALOG: &str = "data/__topic_catalog-0";
const PARTITIONS: u32 = 3;
const RECORDS: u32 = 20;

fn open(disk: &TestDisk, mode: RecoveryMode) -> Result<Broker> {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let config = BrokerConfig::default().seed(7);
    Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).config(config).recovery(mode).open()
}

/// Two topics, each of whose records is durable.
fn begin(is_clean: bool) -> TestDisk {
    let disk = TestDisk::new();
    let broker = open(&disk, RecoveryMode::Repair).unwrap();
    for name in ["t", "u"] {
        broker.admin().create_topic(NewTopic::new(name).partitions(PARTITIONS)).unwrap();
        for number in 0..PARTITIONS {
            let partition = broker.topic(name).unwrap().partition(number).unwrap();
            for record in 0..RECORDS {
                partition.append(&[Record::new().value(&record.to_string())]).unwrap();
            }
            partition.sync().unwrap();
        }
    }
    if is_clean {
        broker.close().unwrap();
    }
    drop(broker);
    disk.after(Crash::Kill)
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

/// Looks for everything, where `lost` has lost its records.
fn check(broker: &Broker, lost: &[(&str, u32)]) -> Outcome {
    for name in ["t", "u"] {
        let topic = broker.topic(name)?;
        if topic.partition_count() != PARTITIONS {
            return Err(format!("{name} has {} partitions", topic.partition_count()).into());
        }
        for number in 0..PARTITIONS {
            let partition = topic.partition(number)?;
            let place = format!("{name}-{number}, {}", broker.recovery_report());
            if partition.log_end_offset() != u64::from(RECORDS) {
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
            check(&open(disk, RecoveryMode::Salvage)?, lost)?;
            check(&open(&disk.after(Crash::PowerCut), RecoveryMode::Strict)?, lost)
        },
    );
    assert!(points.unwrap() > 100);
}

#[test]
fn a_salvage_of_the_catalog_that_is_cut_short_is_not_taken_for_a_whole_one() {
    for is_clean in [false, true] {
        let disk = begin(is_clean);
        clear(&disk, CATALOG);
        cut_short(&disk, &[]);
    }
}

#[test]
fn a_further_loss_of_the_catalog_is_seen_to_like_the_first() {
    let disk = begin(true);
    damage_catalog(&disk, "t");
    drop(open(&disk, RecoveryMode::Salvage).unwrap());
    check(&open(&disk, RecoveryMode::Strict).unwrap(), &[]).unwrap();
    damage_catalog(&disk, "u");
    cut_short(&disk, &[]);
}

#[test]
fn a_salvage_of_partitions_without_a_segment_that_is_cut_short_goes_on() {
    for is_clean in [false, true] {
        let disk = begin(is_clean);
        clear(&disk, "data/t-1");
        cut_short(&disk, &[("t", 1)]);
        clear(&disk, CATALOG);
        cut_short(&disk, &[("t", 1)]);
    }
}
