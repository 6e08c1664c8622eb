//! A life in which calls of the disk fail: the process lives, and works on once the disk does.

use std::time::Duration;

use streamlog::testing::{Crash, TestDisk};
use streamlog::{Error, NewTopic, Result};

use super::ledger::{Kept, Ledger};
use super::live::{Life, config, open};
use super::steps::{LIFE, Step};

/// Longer than a producer tries to deliver.
const PATIENCE: Duration = Duration::from_secs(130);

/// Lives until a call tells of a failure; then the disk works again, and the broker works on without being opened again.
pub(crate) fn live_on(disk: &TestDisk, ledger: &mut Ledger) -> Result<()> {
    let (broker, clock) = open(disk).inspect_err(check_typed)?;
    let mut life = Life { disk: disk.clone(), broker, clock, ledger, has_faults: true };
    let mut failed = Ok(());
    for &step in LIFE.iter().filter(|step| !matches!(step, Step::End(_))) {
        failed = life.make(step);
        // What failed without acks is told to nobody.
        if failed.is_err() || life.ledger.is_short(&life.broker) {
            break;
        }
        life.ledger.look(&life.broker);
    }
    if let Err(error) = &failed {
        check_typed(error);
    }
    if matches!(failed, Err(Error::Closed | Error::Locked { .. }))
        || life.broker.admin().list_topics().is_err()
    {
        // It failed at the close, or between that and the next opening.
        return failed;
    }
    disk.heal();
    life.clock.advance(PATIENCE);
    life.ledger.settle(&life.broker);
    life.work_on();
    failed
}

impl Life<'_> {
    /// Every partition takes records and makes them durable, or says that it is poisoned; so does the catalog.
    fn work_on(&mut self) {
        let names: Vec<_> =
            self.ledger.names().into_iter().filter(|name| self.ledger.is_told(name)).collect();
        for name in names {
            for number in 0..self.broker.topic(name).unwrap().partition_count() {
                let partition = match self.broker.topic(name).unwrap().partition(number) {
                    Ok(partition) => partition,
                    // It could not be opened, and is until the next opening.
                    Err(error @ Error::PartitionOffline { .. }) => {
                        check_typed(&error);
                        continue;
                    }
                    Err(error) => panic!("{name}-{number}: {error:?}"),
                };
                let before = partition.durable_offset();
                let worked = self.make(Step::Append(name, number, 1, 300));
                match worked.and_then(|()| self.make(Step::Sync(name, number))) {
                    Ok(()) => assert_eq!(partition.durable_offset(), partition.log_end_offset()),
                    Err(Error::Poisoned { topic, partition: told, durable, .. }) => {
                        assert_eq!((&*topic, u32::from(told), durable), (name, number, before));
                        assert!(partition.sync().is_err() && partition.durable_offset() == before);
                    }
                    Err(error) => panic!("{name}-{number} does not work on: {error:?}"),
                }
            }
        }
        self.ledger.settle(&self.broker);
        self.ledger.look(&self.broker);
        for group in self.ledger.commits.groups() {
            match self.read_as_group(group) {
                Ok(()) => {}
                Err(error) if is_poisoned(&error) => {}
                // It could not be opened.
                Err(error @ Error::PartitionOffline { .. }) => check_typed(&error),
                Err(error) => panic!("group {group} does not work on: {error:?}"),
            }
        }
        match self.broker.admin().create_topic(NewTopic::new("new").config(config())) {
            Ok(_) => self.broker.admin().delete_topic("new").unwrap(),
            Err(Error::Poisoned { topic, .. }) => assert!(topic.starts_with("__"), "{topic}"),
            // What groups have committed of an earlier one cannot be read.
            Err(Error::PartitionOffline { topic, .. }) => assert_eq!(topic, "__consumer_offsets"),
            Err(error) => panic!("no topic can be created: {error:?}"),
        }
    }
}

/// What another process finds, and what a power cut leaves, after a failure that was outlived.
pub(crate) fn check_outlived(disk: &TestDisk, ledger: &Ledger) {
    for crash in [Crash::Kill, Crash::PowerCut] {
        let disk = disk.after(crash);
        let (broker, _clock) = open(&disk).unwrap();
        let report = broker.recovery_report();
        assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
        ledger.clone().check(&broker, Kept::after(crash));
    }
}

/// Whether the log of the offsets is poisoned, and that is told.
fn is_poisoned(error: &Error) -> bool {
    match error {
        Error::Poisoned { topic, .. } => topic == "__consumer_offsets",
        // A group could not store who has which share.
        Error::DeliveryFailed { source, .. } => is_poisoned(source),
        _ => false,
    }
}

/// An error of the disk, by its kind and place; or what follows from one.
fn check_typed(error: &Error) {
    let is_typed = match error {
        Error::Io { .. } | Error::Poisoned { .. } | Error::Corrupt { .. } | Error::DamagedBatch { .. } => {
            true
        }
        Error::Damaged { .. } | Error::InvalidFile { .. } | Error::UnsupportedVersion { .. } => true,
        Error::DeliveryFailed { source, .. } | Error::PartitionOffline { source, .. } => {
            return check_typed(source);
        }
        Error::DeliveryTimeout { source, .. } => return check_typed(source),
        Error::Fetch { source, .. } => return check_typed(source),
        Error::TimedOut { source, .. } => return source.iter().for_each(|source| check_typed(source)),
        _ => false,
    };
    assert!(is_typed, "{error:?}");
}
