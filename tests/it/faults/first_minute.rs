//! The first minute of a directory's life: nothing was closed yet, and no checkpoint written. What a start that was killed has left is
//! relied upon by the next one, until the power goes.

use std::path::Path;

use streamlog::testing::{Calls, Crash, Fault, TestDisk};
use streamlog::{
    Broker, BrokerBuilder, Error, ManualClock, NewTopic, Partition, Record, RecoveryMode, Result, Severity,
    Storage, Timestamp,
};

use crate::kit::START;

const CATALOG: &str = "data/__topic_catalog-0";
const CATALOG_LOG: &str = "data/__topic_catalog-0/00000000000000000000.log";
const MODES: [RecoveryMode; 3] = [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage];
/// A first start takes fewer steps, and so does the creation of a topic.
const STEPS: u64 = 60;

fn builder(disk: &TestDisk, mode: RecoveryMode) -> BrokerBuilder {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).recovery(mode)
}

fn open(disk: &TestDisk, mode: RecoveryMode) -> Result<Broker> {
    builder(disk, mode).open()
}

/// Lets the process be killed at this step of a start.
fn start_killed_at(disk: &TestDisk, step: u64) -> TestDisk {
    disk.inject(Fault::power_cut().from_step(disk.step_count() + step));
    drop(open(disk, RecoveryMode::Repair));
    disk.after(Crash::Kill)
}

/// Appends a record, and waits until it is durable.
fn append(partition: &Partition) {
    partition.append(&[Record::new().value("acknowledged")]).unwrap();
    partition.sync().unwrap();
}

/// Does that in every partition there is of `t`.
fn append_to_all(broker: &Broker) -> usize {
    let Ok(topic) = broker.topic("t") else { return 0 };
    topic.partitions().flatten().inspect(append).count()
}

/// Each partition holds one record.
fn check_all(disk: &TestDisk, mode: RecoveryMode, count: usize, what: &str) {
    let broker = open(disk, mode).unwrap_or_else(|error| panic!("{what}, {mode:?}: {error:?}"));
    let topic = broker.topic("t").unwrap();
    let end = |partition: Result<Partition>| u64::from(partition.unwrap().log_end_offset());
    let ends: Vec<u64> = topic.partitions().map(end).collect();
    assert_eq!(ends, vec![1; count], "{what}, {mode:?}");
}

fn crashes() -> impl Iterator<Item = Crash> {
    let drawn = (1..6).flat_map(|seed| [Crash::Reordered { seed }, Crash::Torn { seed }]);
    [Crash::PowerCut].into_iter().chain(drawn)
}

#[test]
fn what_follows_a_start_that_was_killed_outlasts_the_power() {
    for step in 1..STEPS {
        let disk = start_killed_at(&TestDisk::new(), step);
        let broker = open(&disk, RecoveryMode::Strict).unwrap();
        let id = broker.producer().idempotence(true).build().unwrap().id().unwrap();
        let before: Vec<TestDisk> = crashes().map(|crash| disk.after(crash)).collect();
        broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
        assert_eq!(append_to_all(&broker), 2);
        for (crash, before) in crashes().zip(before) {
            let what = format!("killed at {step}, {crash:?}");
            for mode in MODES {
                let broker = open(&before.after(Crash::Kill), mode)
                    .unwrap_or_else(|error| panic!("{what}, {mode:?}: {error:?}"));
                let next = broker.producer().idempotence(true).build().unwrap().id().unwrap();
                assert!(next > id, "{what}, {mode:?}: the producer id {id} is given twice");
                check_all(&disk.after(crash).after(Crash::Kill), mode, 2, &what);
            }
        }
    }
}

#[test]
fn a_partition_that_a_salvage_takes_for_created_outlasts_the_power() {
    let mut appended = 0;
    for step in 1..STEPS {
        let disk = TestDisk::new();
        let broker = open(&disk, RecoveryMode::Repair).unwrap();
        broker.admin().create_topic(NewTopic::new("u")).unwrap();
        disk.inject(Fault::power_cut().from_step(disk.step_count() + step));
        if broker.admin().create_topic(NewTopic::new("t").partitions(2)).is_ok() {
            break;
        }
        let killed = disk.after(Crash::Kill);
        // Some record of the catalog is damaged.
        let catalog = killed.files().remove(Path::new(CATALOG_LOG)).unwrap();
        for at in (70..catalog.len().min(1200)).step_by(40) {
            let disk = killed.after(Crash::Kill);
            let mut flipped = catalog.clone();
            flipped[at] ^= 0x55;
            disk.put(CATALOG_LOG, flipped).unwrap();
            let Ok(broker) = open(&disk, RecoveryMode::Salvage) else { continue };
            let count = append_to_all(&broker);
            appended += count;
            if count > 0 {
                let what = format!("step {step}, flipped at {at}");
                crashes().for_each(|crash| check_all(&disk.after(crash), RecoveryMode::Repair, count, &what));
            }
        }
    }
    assert!(appended > 50, "{appended}");
}

#[test]
fn a_directory_of_a_partition_that_was_made_by_hand_outlasts_the_power() {
    for mode in MODES {
        let disk = TestDisk::new();
        let broker = open(&disk, RecoveryMode::Repair).unwrap();
        broker.admin().create_topic(NewTopic::new("t")).unwrap();
        let disk = disk.after(Crash::Kill);
        disk.take("data/t-0").unwrap();
        disk.create_dir(Path::new("data/t-0")).unwrap();
        let broker = open(&disk, mode).unwrap();
        assert_eq!(append_to_all(&broker), 1);
        check_all(&disk.after(Crash::PowerCut), RecoveryMode::Strict, 1, "by hand");
    }
}

#[test]
fn a_lost_catalog_is_missed_although_the_power_took_all_that_was_not_synced() {
    for is_directory_lost in [false, true] {
        for second_life in [false, true] {
            let disk = TestDisk::new();
            let broker = open(&disk, RecoveryMode::Repair).unwrap();
            if second_life {
                // As after a deletion: the directory has nothing of a topic when the next one is made.
                broker.admin().create_topic(NewTopic::new("u")).unwrap();
                broker.admin().delete_topic("u").unwrap();
            }
            broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
            assert_eq!(append_to_all(&broker), 2);
            let disk = disk.after(Crash::PowerCut);
            disk.take(if is_directory_lost { CATALOG } else { CATALOG_LOG }).unwrap();
            let verified = builder(&disk, RecoveryMode::Repair).verify().unwrap();
            assert_eq!(verified.worst(), Some(Severity::Damage), "{verified}");
            for mode in [RecoveryMode::Strict, RecoveryMode::Repair] {
                let error = open(&disk, mode).unwrap_err();
                // The others where the power left the catalog's own slot.
                let is_told = matches!(
                    error,
                    Error::InvalidConfig { .. } | Error::PartitionOffline { .. } | Error::Damaged { .. }
                );
                assert!(is_told, "{mode:?}: {error:?}");
            }
            if is_directory_lost {
                disk.create_dir(Path::new(CATALOG)).unwrap();
            }
            let broker = open(&disk, RecoveryMode::Salvage).unwrap();
            assert_eq!(broker.recovery_report().restored_topics, ["t"]);
            drop(broker);
            check_all(&disk, RecoveryMode::Strict, 2, "salvaged");
        }
    }
}

#[test]
fn what_anothers_checkpoints_tell_of_is_no_lost_topic() {
    let begin = || {
        let disk = TestDisk::new();
        disk.create_dir(Path::new("data/orders-0")).unwrap();
        let id =
            "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAABQ\n";
        disk.put("data/meta.properties", id).unwrap();
        disk.put("data/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n").unwrap();
        disk.put("data/orders-0/00000000000000000000.log", "").unwrap();
        disk.put("data/orders-0/partition.metadata", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw").unwrap();
        disk
    };
    let check = |disk: &TestDisk, what: &str| {
        let verified = builder(disk, RecoveryMode::Repair).verify().unwrap();
        // Before there is a directory of the catalog's, it may be lost, or another place may be meant.
        let is_begun = disk.stat(Path::new(CATALOG)).is_ok();
        assert_eq!(verified.is_sound(), is_begun, "{what}: {verified}");
        for mode in MODES {
            let disk = disk.after(Crash::Kill);
            let broker = open(&disk, mode).unwrap_or_else(|error| panic!("{what}, {mode:?}: {error:?}"));
            assert_eq!(broker.recovery_report().unknown_directories, [Path::new("data/orders-0")]);
            assert!(broker.admin().list_topics().unwrap().is_empty());
        }
    };
    for step in 1..STEPS {
        check(&start_killed_at(&begin(), step), &format!("killed at {step}"));
    }
    let disk = begin();
    open(&disk, RecoveryMode::Strict).unwrap().close().unwrap();
    check(&disk, "closed");
}

#[test]
fn a_partition_whose_creation_was_taken_back_and_tried_again_has_one_durable_offset() {
    for is_told in [false, true] {
        let disk = TestDisk::new();
        let broker = open(&disk, RecoveryMode::Repair).unwrap();
        for name in ["x", "y", "t"] {
            broker.admin().create_topic(NewTopic::new(name)).unwrap();
            append(&broker.topic(name).unwrap().partition(0).unwrap());
        }
        broker.close().unwrap();
        let broker = open(&disk, RecoveryMode::Strict).unwrap();
        // Slots that are free are taken again in another order than they were given back in.
        if is_told {
            broker.admin().delete_topic("x").unwrap();
            broker.admin().delete_topic("y").unwrap();
            disk.inject(Fault::full().of("t-3"));
        } else {
            disk.inject(Fault::io().on(Calls::Syncs).of("streamlog.durable"));
        }
        broker.admin().create_partitions("t", 4).unwrap_err();
        disk.heal();
        if !is_told {
            broker.admin().delete_topic("x").unwrap();
        }
        broker.admin().create_partitions("t", 4).unwrap();
        let new = broker.topic("t").unwrap().partition(1).unwrap();
        append(&new);
        let killed = disk.after(Crash::Kill);
        let looked = builder(&killed, RecoveryMode::Repair).read_only().open().unwrap();
        let known = looked.topic("t").unwrap().partition(1).unwrap().durable_offset();
        assert_eq!(known, 1, "told: {is_told}");
        // What was acknowledged is damaged, and no torn tail.
        let log = Path::new("data/t-1/00000000000000000000.log");
        let mut bytes = killed.files().remove(log).unwrap();
        bytes[70] ^= 0x10;
        killed.put(log, bytes).unwrap();
        let broker = open(&killed, RecoveryMode::Repair).unwrap();
        assert!(broker.topic("t").unwrap().partition(1).is_err(), "told: {is_told}");
    }
}

#[test]
fn a_close_after_a_failed_sync_of_the_slots_leaves_no_marker() {
    let disk = TestDisk::new();
    let broker = open(&disk, RecoveryMode::Repair).unwrap();
    disk.inject(Fault::io().on(Calls::Syncs).of("streamlog.durable"));
    broker.admin().create_topic(NewTopic::new("t")).unwrap_err();
    disk.heal();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    assert_eq!(append_to_all(&broker), 1);
    broker.close().unwrap();
    let disk = disk.after(Crash::PowerCut);
    assert!(!open(&disk, RecoveryMode::Strict).unwrap().recovery_report().was_clean);
    check_all(&disk, RecoveryMode::Strict, 1, "closed");
}

#[test]
fn empty_partitions_whose_slots_were_lost_have_some_again() {
    let in_two = |disk: &TestDisk, mode| builder(disk, mode).log_dir("more").open();
    let disk = TestDisk::new();
    let broker = in_two(&disk, RecoveryMode::Repair).unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    broker.close().unwrap();
    disk.take("more/streamlog.durable").unwrap();
    in_two(&disk, RecoveryMode::Strict).unwrap().close().unwrap();
    // The first disk is replaced.
    let id = disk.files().remove(Path::new("data/meta.properties")).unwrap();
    disk.take("data").unwrap();
    disk.put("data/meta.properties", id).unwrap();
    assert!(in_two(&disk, RecoveryMode::Repair).is_err(), "a catalog is begun");
    disk.create_dir(Path::new(CATALOG)).unwrap();
    let broker = in_two(&disk, RecoveryMode::Salvage).unwrap();
    assert_eq!(broker.recovery_report().restored_topics, ["t"]);
}
