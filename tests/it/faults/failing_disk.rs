//! The disk refuses, once or for a while, at every call of a broker's life, and the process lives on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::testing::{Calls, Crash, Fault, TestDisk};
use streamlog::{Broker, Error, ManualClock, NewTopic, Partition, Storage};

use super::acknowledgement::{Kept, Ledger, Place, read_all};
use super::script::{self, LIFE, Step};

/// A life in which steps may fail; the ledger has what was promised all the same.
struct Tolerant {
    disk: TestDisk,
    ledger: Ledger,
    broker: Option<(Broker, ManualClock)>,
    /// After how many failed steps the disk works again.
    patience: usize,
    failed: usize,
    fails_once: bool,
}

impl Tolerant {
    fn new(fault: Fault, fails_once: bool, patience: usize) -> Tolerant {
        let disk = TestDisk::new();
        disk.inject(fault);
        Tolerant { disk, ledger: Ledger::default(), broker: None, patience, failed: 0, fails_once }
    }

    fn run(&mut self) {
        self.open();
        for &step in LIFE {
            self.step(step);
        }
        self.disk.heal();
    }

    /// Opens, until the disk lets it.
    fn open(&mut self) {
        loop {
            match script::open(&self.disk) {
                Ok(opened) => return self.broker = Some(opened),
                Err(error) => self.note_failure(&error),
            }
        }
    }

    fn note_failure(&mut self, error: &Error) {
        let is_typed = matches!(error, Error::Io { .. } | Error::Poisoned { .. })
            || matches!(error, Error::PartitionOffline { source, .. } if matches!(**source, Error::Io { .. }));
        assert!(is_typed, "{error:?}");
        self.failed += 1;
        assert!(self.failed < 40, "it fails for ever: {error:?}");
        if self.failed >= self.patience {
            self.disk.heal();
        }
    }

    fn partition(&mut self, name: &str, number: u32) -> Option<Partition> {
        let (broker, _) = self.broker.as_ref().unwrap();
        match broker.topic(name).and_then(|topic| topic.partition(number)) {
            Ok(partition) => Some(partition),
            // Its creation failed.
            Err(Error::UnknownTopic { .. }) => None,
            Err(error) => {
                self.note_failure(&error);
                None
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Create(name, partitions) => {
                self.ledger.creating(name, partitions);
                for _ in 0..3 {
                    match self
                        .broker
                        .as_ref()
                        .unwrap()
                        .0
                        .admin()
                        .create_topic(script::topic(name, partitions))
                    {
                        Ok(_) => return self.ledger.created(name),
                        Err(error) => self.note_failure(&error),
                    }
                }
            }
            Step::Append(name, number, count, bytes) => {
                let Some(partition) = self.partition(name, number) else { return };
                let end = partition.log_end_offset();
                if let Err(error) = script::append(&partition, &mut self.ledger, count, bytes) {
                    self.ledger.refused(&partition);
                    assert_eq!(partition.log_end_offset(), end, "a failed append shows nothing");
                    // Undone at once, where the disk lets it.
                    if self.fails_once {
                        let after = self.disk.after(Crash::Kill);
                        self.ledger.clone().check(&script::open(&after).unwrap().0, Kept::Appended);
                    }
                    self.note_failure(&error);
                }
            }
            Step::Sync(name, number) => {
                let Some(partition) = self.partition(name, number) else { return };
                let before = partition.durable_offset();
                if let Err(error) = script::sync(&partition, &mut self.ledger) {
                    assert!(
                        matches!(error, Error::Poisoned { durable, .. } if durable == before),
                        "{error:?}"
                    );
                    assert_eq!(partition.durable_offset(), before);
                    self.note_failure(&error);
                }
            }
            Step::Checkpoint => self.broker.as_ref().unwrap().1.advance(Duration::from_secs(5)),
            Step::Reopen => {
                let (broker, _) = self.broker.take().unwrap();
                let closed = broker.close();
                drop(broker);
                match closed {
                    Ok(()) => self.ledger.all_durable(),
                    Err(error) => self.note_failure(&error),
                }
                self.open();
                self.check_online();
            }
        }
    }

    /// A partition that could not be read at the open is offline until the next one.
    fn check_online(&mut self) {
        for _ in 0..3 {
            let (broker, _) = self.broker.as_ref().unwrap();
            let offline = broker.recovery_report().partitions.iter().find_map(|one| one.offline.clone());
            let Some(error) = offline else { return };
            self.note_failure(&error);
            self.broker = None;
            self.open();
        }
    }
}

/// Every partition, with its place.
fn partitions(broker: &Broker) -> Vec<(Place, Partition)> {
    let names = broker.admin().list_topics().unwrap();
    let topics = names.into_iter().map(|name| broker.topic(&name).unwrap());
    topics
        .flat_map(|topic| topic.partitions().map(Result::unwrap).collect::<Vec<_>>())
        .map(|partition| ((partition.topic().to_owned(), partition.id().into()), partition))
        .collect()
}

/// After the disk has recovered: partitions work on unless they are poisoned, which at most `poisoned_max` are, and
/// nothing comes back that was refused, whatever ends the process.
fn check_aftermath(tolerant: Tolerant, poisoned_max: usize) -> usize {
    let Tolerant { disk, mut ledger, broker, .. } = tolerant;
    let (broker, _clock) = broker.unwrap();
    let mut poisoned = BTreeSet::new();
    for (place, partition) in partitions(&broker) {
        let (end, durable) = (ledger.end(&place), partition.durable_offset());
        assert!(durable >= ledger.durable_end(&place) as u64);
        match script::append(&partition, &mut ledger, 1, 300) {
            Ok(_) => match script::sync(&partition, &mut ledger) {
                Ok(()) => {}
                Err(Error::Poisoned { durable: told, .. }) if told == durable => {
                    poisoned.insert(place.clone());
                }
                Err(error) => panic!("{place:?}: {error:?}"),
            },
            Err(Error::Poisoned { durable: told, .. }) => {
                ledger.refused(&partition);
                assert_eq!((told, partition.log_end_offset()), (durable, (end as u64).try_into().unwrap()));
                assert!(matches!(partition.sync(), Err(Error::Poisoned { .. })));
                poisoned.insert(place.clone());
            }
            Err(error) => panic!("{place:?} does not work on: {error:?}"),
        }
        let values = ledger.values(&place);
        assert!(read_all(&partition) == values, "{place:?}: reading goes on, and shows what was appended");
    }
    assert!(poisoned.len() <= poisoned_max, "{poisoned:?}");

    for after in [Crash::Kill, Crash::PowerCut] {
        let kept = if after == Crash::Kill { Kept::Appended } else { Kept::Durable };
        ledger.clone().check(&script::open(&disk.after(after)).unwrap().0, kept);
    }
    let closed = broker.close();
    drop(broker);
    assert!(poisoned.is_empty() || closed.is_err());
    let (broker, _) = script::open(&disk).unwrap();
    assert_eq!(broker.recovery_report().was_clean, closed.is_ok());
    ledger.check(&broker, Kept::Appended);

    // What the failed sync left in the page cache alone is on the device now, or it is not told as durable.
    let after = disk.after(Crash::PowerCut);
    ledger.clone().check(&script::open(&after).unwrap().0, Kept::Durable);
    for (_, partition) in partitions(&broker) {
        script::append(&partition, &mut ledger, 1, 100).unwrap();
        script::sync(&partition, &mut ledger).unwrap();
    }
    ledger.check(&script::open(&disk.after(Crash::PowerCut)).unwrap().0, Kept::Durable);
    poisoned.len()
}

/// The number of calls that the whole life makes.
fn life_calls() -> u64 {
    let disk = TestDisk::new();
    drop(script::live(&disk, LIFE, &mut Ledger::default()).unwrap());
    disk.call_count()
}

fn check_failures(step_by: usize, fault: &Fault, is_once: bool, patience: usize, poisoned_max: usize) {
    let calls = life_calls();
    let (mut points, mut poisoned) = (0, 0);
    for call in (1..=calls).step_by(step_by) {
        let fault = fault.clone();
        let fault =
            if is_once { fault.on(Calls::All).at_call(call) } else { fault.on(Calls::Steps).from_call(call) };
        poisoned += super::power_cut::told(&format!("{fault} of {calls}"), || {
            let mut tolerant = Tolerant::new(fault, is_once, patience);
            tolerant.run();
            check_aftermath(tolerant, poisoned_max)
        });
        points += 1;
    }
    eprintln!("{points} points, {poisoned} poisoned partitions");
    assert!(poisoned > 0, "some failures hit a sync");
}

#[test]
fn a_disk_that_is_full_once_at_any_call_costs_no_more_than_that_call() {
    check_failures(1, &Fault::full(), true, 1, 1);
}

#[test]
fn a_disk_that_fails_once_at_any_call_costs_no_more_than_that_call() {
    check_failures(1, &Fault::io(), true, 1, 1);
}

#[test]
fn a_write_cut_short_at_any_call_is_undone() {
    check_failures(2, &Fault::short_write(), true, 1, 1);
}

#[test]
fn a_write_that_was_made_and_failed_all_the_same_is_undone() {
    check_failures(1, &Fault::late_write(), true, 1, 1);
}

#[test]
fn a_disk_that_fails_for_a_while_from_any_call_on_is_outlived() {
    for (failure, patience) in
        [(Fault::full(), 2), (Fault::short_write(), 3), (Fault::late_write(), 1), (Fault::io(), 5)]
    {
        check_failures(5, &failure, false, patience, 4);
    }
}

#[test]
fn a_failed_sync_poisons_its_partition_and_no_other() {
    let disk = TestDisk::new();
    let mut ledger = Ledger::default();
    let (broker, clock) = script::open(&disk).unwrap();
    broker.admin().create_topic(script::topic("t", 2)).unwrap();
    let topic = broker.topic("t").unwrap();
    let (hit, other) = (topic.partition(0).unwrap(), topic.partition(1).unwrap());
    ledger.creating("t", 2);
    script::append(&hit, &mut ledger, 2, 50).unwrap();
    script::sync(&hit, &mut ledger).unwrap();
    script::append(&hit, &mut ledger, 3, 50).unwrap();
    script::append(&other, &mut ledger, 1, 50).unwrap();
    disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
    for _ in 0..2 {
        match hit.sync() {
            Err(Error::Poisoned { topic, partition, durable, .. }) => {
                assert_eq!((topic.as_str(), u32::from(partition)), ("t", 0));
                assert_eq!(durable, 2);
            }
            other => panic!("{other:?}"),
        }
        // The device is not asked again.
        disk.heal();
    }
    assert!(matches!(script::append(&hit, &mut ledger, 1, 9), Err(Error::Poisoned { .. })));
    ledger.refused(&hit);
    clock.advance(Duration::from_secs(3600));
    assert_eq!((hit.durable_offset(), hit.log_end_offset()), (2_u32.into(), 5_u32.into()));
    assert_eq!(read_all(&hit).len(), 5);
    script::sync(&other, &mut ledger).unwrap();
    assert!(matches!(broker.close(), Err(Error::Poisoned { .. })));
    drop((hit, other, topic, broker));

    ledger.created("t");
    ledger.clone().check(&script::open(&disk.after(Crash::PowerCut)).unwrap().0, Kept::Durable);
    let (broker, _) = script::open(&disk).unwrap();
    assert!(!broker.recovery_report().was_clean);
    ledger.check(&broker, Kept::Appended);
    // Only a page cache has what the failed sync was to write, and a sync alone does not write it.
    ledger.check(&script::open(&disk.after(Crash::PowerCut)).unwrap().0, Kept::Durable);
}

#[test]
fn a_disk_that_is_full_in_an_append_takes_it_once_there_is_space() {
    let disk = TestDisk::new();
    let mut ledger = Ledger::default();
    let (broker, _) = script::open(&disk).unwrap();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    ledger.creating("t", 1);
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    script::append(&partition, &mut ledger, 1, 100).unwrap();
    for failure in [Fault::full(), Fault::short_write()] {
        disk.inject(failure.clone().on(Calls::Steps).from_call(0));
        for _ in 0..3 {
            let error = script::append(&partition, &mut ledger, 4, 30_000).unwrap_err();
            assert!(error.is_storage_full() && error.is_retriable(), "{error:?}");
            ledger.refused(&partition);
            assert_eq!(read_all(&partition).len(), ledger.end(&("t".to_owned(), 0)));
        }
        disk.heal();
        script::append(&partition, &mut ledger, 1, 40).unwrap();
        script::append(&partition, &mut ledger, 4, 30_000).unwrap();
    }
    drop((partition, broker));
    ledger.check(&script::open(&disk).unwrap().0, Kept::Appended);
}

#[test]
fn a_creation_that_failed_and_could_not_be_taken_back_is_completed_from_the_ground_up() {
    let begun = |fault: Option<Fault>| {
        let disk = TestDisk::new();
        let (broker, _) = script::open(&disk).unwrap();
        let calls = disk.call_count();
        fault.into_iter().for_each(|fault| disk.inject(fault));
        let created = broker.admin().create_topic(script::topic("t", 2)).is_ok();
        let calls = calls..disk.call_count();
        disk.heal();
        broker.close().unwrap_or(());
        (disk, created, calls)
    };
    for call in begun(None).2 {
        super::power_cut::told(&format!("call {call}"), || {
            let (disk, created, _) = begun(Some(Fault::full().on(Calls::Steps).from_call(call + 1)));
            let (broker, _) = script::open(&disk).unwrap();
            let mut ledger = Ledger::default();
            ledger.creating("t", 2);
            assert!(!created || broker.topic("t").is_ok());
            if broker.topic("t").is_err() {
                broker.admin().create_topic(script::topic("t", 2)).unwrap();
            }
            for (_, partition) in partitions(&broker) {
                script::append(&partition, &mut ledger, 1, 10).unwrap();
                script::sync(&partition, &mut ledger).unwrap();
            }
            ledger.created("t");
            ledger.check(&script::open(&disk.after(Crash::PowerCut)).unwrap().0, Kept::Durable);
        });
    }
}

#[test]
fn a_creation_that_was_refused_is_not_completed_by_the_next_open() {
    let mut refused = 0;
    for call in 1..60 {
        let disk = TestDisk::new();
        let (broker, _) = script::open(&disk).unwrap();
        disk.inject(Fault::full().on(Calls::All).at_call(disk.call_count() + call));
        let created = broker.admin().create_topic(script::topic("t", 2)).map(drop);
        disk.heal();
        // After a failed sync of the catalog nobody knows.
        let is_known = !matches!(created, Err(Error::Poisoned { .. }));
        broker.close().unwrap_or(());
        drop(broker);
        let (broker, _) = script::open(&disk).unwrap();
        assert!(!is_known || broker.topic("t").is_ok() == created.is_ok(), "call {call}: {created:?}");
        refused += usize::from(is_known && created.is_err());
    }
    assert!(refused > 15, "{refused}");
}

#[test]
fn a_directory_with_records_in_it_is_not_touched_by_a_creation() {
    let disk = TestDisk::new();
    let (broker, _) = script::open(&disk).unwrap();
    for name in ["00000000000000000000.log", "00000000000000000020.log"] {
        let stray = Path::new("data/t-0").join(name);
        Storage::create_dir(&disk, Path::new("data/t-0")).unwrap();
        disk.put(&stray, b"somebody's records").unwrap();
        disk.put(Path::new("data/t-0/partition.metadata"), b"somebody's").unwrap();
        let before = disk.files();
        let error = broker.admin().create_topic(script::topic("t", 1)).unwrap_err();
        assert!(matches!(&error, Error::InvalidFile { path, .. } if *path == stray), "{error:?}");
        let inside = |files: BTreeMap<PathBuf, Vec<u8>>| {
            files.into_iter().filter(|(path, _)| path.starts_with("data/t-0")).collect::<Vec<_>>()
        };
        assert_eq!(inside(disk.files()), inside(before));
        disk.take(&stray).unwrap();
    }
}

#[test]
fn a_roll_whose_append_failed_leaves_no_name_behind_that_a_power_cut_takes() {
    let name = Path::new("data/t-0/00000000000000000001.log");
    let mut rolled = 0;
    for call in 1..10 {
        let disk = TestDisk::new();
        let mut ledger = Ledger::default();
        let (broker, _) = script::open(&disk).unwrap();
        ledger.creating("t", 1);
        let partition = broker.admin().create_topic(script::topic("t", 1)).unwrap().partition(0).unwrap();
        script::append(&partition, &mut ledger, 1, 1000).unwrap();
        script::sync(&partition, &mut ledger).unwrap();
        disk.inject(Fault::full().on(Calls::All).at_call(disk.call_count() + call));
        let appended = script::append(&partition, &mut ledger, 1, 1000);
        disk.heal();
        drop(partition);
        broker.close().unwrap();
        rolled += usize::from(appended.is_err() && disk.files().contains_key(name));
        let is_there = disk.after(Crash::PowerCut).files().contains_key(name);
        assert_eq!(is_there, disk.files().contains_key(name), "call {call}");
    }
    assert!(rolled > 0);
}
