//! What all handles of one broker share, and how it ends.
//!
//! Every handle (the broker, a topic, a partition) keeps the broker open, and the last one closes it. A close lets the
//! producers append what they hold, syncs every log, saves the indexes, replaces the checkpoints, and places the marker of
//! a clean shutdown last in each log directory, so that the next open need not look into any segment. Where anything in it
//! could not be closed, or was never opened, a directory gets no marker, and the next open looks.

use std::fmt;

use super::background::Background;
use super::config::BrokerConfig;
use super::report::RecoveryReport;
use super::scrubber::Scrubber;
use super::worker::Worker;
use crate::error::{Chain, Error, Result};
use crate::group::Coordinator;
use crate::log::{LogDirs, RecoveryMode};
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release};
use crate::topic::{Catalog, NewTopic, TopicEntry, is_internal};

/// Something above the broker that must be ended in order before the logs close: a producer with records inside.
pub(crate) trait EndsWithBroker: fmt::Debug + Send + Sync {
    /// Ends it. Its handles may still be held, and fail from now on.
    fn end(&self);

    /// Whether there is nothing left to end.
    fn is_over(&self) -> bool;
}

/// What all handles of one broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    pub(super) dirs: Arc<LogDirs>,
    pub(crate) catalog: Catalog,
    pub(super) report: RecoveryReport,
    pub(crate) background: Background,
    /// None until somebody asks for it. Held over its beginning, which makes a topic or reads one.
    pub(super) groups: Mutex<Option<Arc<Coordinator>>>,
    /// None where it is off.
    pub(super) scrubber: Option<Arc<Scrubber>>,
    /// Held through a close, so that a second one waits for the first.
    workers: Mutex<Vec<Worker>>,
    /// What has to be ended before the logs are closed.
    ends: Mutex<Vec<Arc<dyn EndsWithBroker>>>,
    is_closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        config: BrokerConfig,
        dirs: Arc<LogDirs>,
        catalog: Catalog,
        report: RecoveryReport,
        background: Background,
        workers: Vec<Worker>,
    ) -> Shared {
        let (workers, ends, is_closed) = (Mutex::new(workers), Mutex::default(), AtomicBool::new(false));
        let storage = dirs.first().files.storage();
        let scrubber = config
            .scrub_interval
            .map(|interval| Arc::new(Scrubber::new(interval, config.scrub_bytes_per_second, storage)));
        let groups = Mutex::default();
        Shared { config, dirs, catalog, report, background, groups, scrubber, workers, ends, is_closed }
    }

    /// Refuses everything once the broker is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses what would change anything where the broker was opened to look only.
    pub(crate) fn check_writable(&self, operation: &'static str) -> Result<()> {
        if self.report.is_read_only { Err(Error::ReadOnly { operation }) } else { Ok(()) }
    }

    /// The topic of this name, for a producer or a consumer: created where there is none and that is allowed. Whoever else
    /// creates it at the same time gets the same one.
    pub(crate) fn topic_or_create(&self, name: &str) -> Result<Arc<TopicEntry>> {
        self.check_open()?;
        let known = self.catalog.topic(name);
        if is_internal(name) || known.is_ok() || !self.config.auto_create_topics || self.report.is_read_only {
            return known;
        }
        match self.create_topic(NewTopic::new(name).partitions(self.config.num_partitions)) {
            Err(Error::TopicExists { .. }) => self.catalog.topic(name),
            created => created,
        }
    }

    /// Creates a topic, of which no group has committed anything.
    pub(crate) fn create_topic(&self, topic: NewTopic) -> Result<Arc<TopicEntry>> {
        let name = topic.name.clone();
        let gives_up = self.dirs.first().config.recovery == RecoveryMode::Salvage;
        self.catalog.create_topic_after(topic, || {
            // What a deletion of one of this name left, where it was cut short. Nobody commits anything of that one any more, nor of the
            // new one yet; and where there is no group now, nobody has.
            self.known_coordinator()?.map_or(Ok(()), |groups| groups.topic_creating(&name, gives_up))
        })
    }

    /// Deletes a topic, and what groups have committed of it.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        self.catalog.delete_topic(name, || {
            let groups = self.known_coordinator();
            let forgotten =
                groups.and_then(|groups| groups.map_or(Ok(()), |groups| groups.topic_deleted(name)));
            // The topic is gone, whatever came of this; who creates another of its name does it first.
            if let Err(error) = forgotten {
                log::warn!(
                    "topic {name} is deleted, but not what groups have committed of it: {}",
                    Chain(&error)
                );
            }
        })
    }

    /// A generator of its own for who draws at random, the same in every run with a seed.
    pub(crate) fn random(&self) -> fastrand::Rng {
        self.dirs.first().random.lock().fork()
    }

    /// Ends `held` before the logs are closed. Refused once that has begun.
    pub(crate) fn end_with_broker(&self, held: Arc<dyn EndsWithBroker>) -> Result<()> {
        let mut ends = self.ends.lock();
        // Under the lock that the close takes after it is marked as begun: either it sees this one, or this one sees it.
        self.check_open()?;
        ends.retain(|held| !held.is_over());
        ends.push(held);
        Ok(())
    }

    /// Forgets what has ended by itself.
    pub(crate) fn forget(&self, held: &Arc<dyn EndsWithBroker>) {
        self.ends.lock().retain(|known| !Arc::ptr_eq(known, held));
    }

    pub(super) fn close(&self) -> Result<()> {
        // Held to the end: who closes a second time returns when the first time is through.
        let mut workers = self.workers.lock();
        if self.is_closed.swap(true, Release) {
            return Ok(());
        }
        let ends = std::mem::take(&mut *self.ends.lock());
        ends.iter().for_each(|held| held.end());
        self.end_groups();
        // Then background work, so that nothing checkpoints what is being closed; then what makes or removes logs.
        workers.clear();
        self.background.end();
        self.scrubber.iter().for_each(|scrubber| scrubber.end());
        self.catalog.end_changes();
        self.dirs.end_checkpoints();
        let mut first_error = None;
        for log in self.catalog.logs() {
            if let Err(error) = log.close() {
                log.dir().forgo_marker();
                first_error.get_or_insert(error);
            }
        }
        let closed = self.dirs.close();
        first_error.map_or(closed, Err)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            log::error!("a broker could not be closed in order: {}", Chain(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;
    use crate::broker::{Broker, BrokerConfig};

    fn open(config: BrokerConfig) -> Broker {
        Broker::builder().in_memory().config(config).open().unwrap()
    }

    #[test]
    fn a_topic_is_created_by_naming_it_only_where_that_is_allowed() {
        let broker = open(BrokerConfig::default());
        assert!(matches!(broker.shared.topic_or_create("t"), Err(Error::UnknownTopic { .. })));
        assert!(broker.admin().list_topics().unwrap().is_empty());

        let broker = open(BrokerConfig::default().auto_create_topics(true).num_partitions(3));
        let created = broker.shared.topic_or_create("t").unwrap();
        assert_eq!((created.partition_count(), created.id), (3, broker.topic("t").unwrap().id()));
        assert!(Arc::ptr_eq(&created, &broker.shared.topic_or_create("t").unwrap()));
        for name in ["", "a b", "__topic_catalog"] {
            assert!(matches!(broker.shared.topic_or_create(name), Err(Error::InvalidTopicName { .. })));
        }
        assert!(matches!(broker.shared.topic_or_create("T.x").unwrap().name.as_str(), "T.x"));
        assert!(matches!(broker.shared.topic_or_create("T_x"), Err(Error::TopicNameCollision { .. })));
        broker.close().unwrap();
        assert!(matches!(broker.shared.topic_or_create("t"), Err(Error::Closed)));
    }

    #[test]
    fn all_who_name_a_topic_at_once_get_the_same_one() {
        let broker = open(BrokerConfig::default().auto_create_topics(true));
        let ids: BTreeSet<_> = thread::scope(|scope| {
            let name = || broker.shared.topic_or_create("t").unwrap().id;
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(name)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn the_catalogs_version_is_another_one_after_each_change_and_no_other_call() {
        let broker = open(BrokerConfig::default());
        let (admin, version) = (broker.admin(), || broker.shared.catalog.version());
        let mut seen = BTreeSet::from([version()]);
        admin.create_topic(NewTopic::new("t")).unwrap();
        assert!(seen.insert(version()));
        admin.create_partitions("t", 2).unwrap();
        assert!(seen.insert(version()));
        assert!(admin.create_partitions("t", 2).is_err() && admin.delete_topic("u").is_err());
        broker.topic("t").unwrap();
        assert!(!seen.insert(version()));
        admin.delete_topic("t").unwrap();
        assert!(seen.insert(version()));
    }

    #[test]
    fn offsets_of_a_former_topic_are_forgotten_while_there_is_none_of_its_name() {
        let broker = open(BrokerConfig::default());
        let catalog = &broker.shared.catalog;
        let make = || broker.admin().create_topic(NewTopic::new("t")).is_ok();
        thread::scope(|scope| {
            let before = || {
                scope.spawn(make);
                (0..1000).for_each(|_| thread::yield_now());
                assert!(catalog.topic("t").is_err(), "it is being created");
                Ok(())
            };
            catalog.create_topic_after(NewTopic::new("t"), before).unwrap();
        });
        let refused = catalog.create_topic_after(NewTopic::new("t"), || panic!("there is one"));
        assert!(matches!(refused, Err(Error::TopicExists { .. })));
        thread::scope(|scope| {
            let after = || {
                scope.spawn(make);
                (0..1000).for_each(|_| thread::yield_now());
                assert!(catalog.topic("t").is_err(), "it is being deleted");
            };
            catalog.delete_topic("t", after).unwrap();
        });
        assert!(catalog.topic("t").is_ok(), "made again");
    }
}
