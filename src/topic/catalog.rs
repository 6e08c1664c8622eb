//! The catalog of topics: itself a log, in the first log directory, opened before all others.
//!
//! What there is of topics is a list that is published whole, and read without a lock. Each change of it is a record of the
//! log first, synced; [`opening`](super::opening) reads the records back, [`create`](super::create) and
//! [`delete`](super::delete) write them.
//!
//! The catalog's own settings are constants, because nothing could be read before it.
//!
//! Lock order: `changing` is held only to take a name or to publish a list, never over I/O. Changes of one name, or of names
//! that collide, come one after the other.

use std::collections::BTreeMap;

use super::catalog_record::{TopicRecord, encode_key, encode_producer_ids};
use super::entry::TopicEntry;
use super::name::{self, CATALOG_TOPIC};
use super::producer_ids::{ProducerIds, Taken};
use crate::error::{Error, Result};
use crate::log::{Log, LogDirs};
use crate::metrics::Metrics;
use crate::offset::Offset;
use crate::record::{Compression, Record};
use crate::signal::Watchers;
use crate::sync::{Acquire, Arc, ArcSwap, AtomicU64, Condvar, Mutex, Release};

/// Topics by name.
pub(super) type Topics = BTreeMap<String, Arc<TopicEntry>>;

/// The topics of a broker; see the [module](self).
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(super) dirs: Arc<LogDirs>,
    pub(super) log: Arc<Log>,
    pub(super) producer_ids: ProducerIds,
    topics: ArcSwap<Topics>,
    /// How often a list has been published.
    version: AtomicU64,
    /// Also held to publish a new list of topics.
    changing: Mutex<Changing>,
    /// Told when a change has ended.
    ended: Condvar,
    /// Deleted topics whose directories could not be set aside yet.
    pub(super) leftovers: Mutex<BTreeMap<String, TopicRecord>>,
    /// What was counted in topics that are deleted. Held while one is taken off the list.
    pub(super) counted: Mutex<Metrics>,
}

/// What is being changed.
#[derive(Debug, Default)]
struct Changing {
    names: Vec<String>,
    /// Whether nothing more may be, because the broker closes.
    is_over: bool,
}

/// The right to change one topic; dropping it ends the change.
#[derive(Debug)]
pub(super) struct Change<'a> {
    catalog: &'a Catalog,
    name: &'a str,
}

impl Catalog {
    pub(super) fn new(
        dirs: &Arc<LogDirs>,
        log: Arc<Log>,
        topics: Topics,
        producer_ids: ProducerIds,
        leftovers: BTreeMap<String, TopicRecord>,
    ) -> Catalog {
        Catalog {
            dirs: Arc::clone(dirs),
            log,
            producer_ids,
            topics: ArcSwap::from_pointee(topics),
            version: AtomicU64::new(0),
            changing: Mutex::default(),
            ended: Condvar::new(),
            leftovers: Mutex::new(leftovers),
            counted: Mutex::default(),
        }
    }

    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<TopicEntry>> {
        let topic = self.topics.load().get(name).map(Arc::clone);
        topic.ok_or_else(|| Error::UnknownTopic { topic: name::shortened(name) })
    }

    /// Those to be told when a topic may have come or gone, and when the broker closes.
    pub(crate) fn watchers(&self) -> &Watchers {
        self.log.watchers()
    }

    /// A producer id that no other producer of these log directories has or had.
    pub(crate) fn next_producer_id(&self) -> Result<i64> {
        match self.producer_ids.take()? {
            Taken::Id(id) => Ok(id),
            Taken::Block { start, end } => {
                // Of several who come here at once, each tells of a block; the largest counts, in whatever order they stand.
                self.append_producer_ids(end)?;
                self.log.sync()?;
                Ok(self.producer_ids.take_first(start, end))
            }
        }
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> Arc<Topics> {
        self.topics.load_full()
    }

    /// How far its log goes: another place after each change.
    pub(crate) fn end(&self) -> Offset {
        self.log.end()
    }

    /// A number that is another one after each change: who has seen it before need not look again.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Every log there is: those of the partitions, then the catalog's own.
    pub(crate) fn logs(&self) -> Vec<Arc<Log>> {
        let topics = self.topics.load();
        let partitions = topics.values().flat_map(|topic| topic.logs());
        partitions.chain([&self.log]).map(Arc::clone).collect()
    }

    /// What has been counted in all topics, deleted ones included, and in the catalog.
    pub(crate) fn metrics(&self) -> Metrics {
        let counted = self.counted.lock();
        let mut metrics = counted.clone();
        self.logs().iter().for_each(|log| metrics.add(log.counters()));
        metrics
    }

    /// Lets no topic be changed any more, and waits for those that are.
    pub(crate) fn end_changes(&self) {
        let mut changing = self.changing.lock();
        changing.is_over = true;
        self.ended.wait_while(&mut changing, |changing| !changing.names.is_empty());
    }

    /// Begins a change of the topic of this name, or of one that is to get it, once no other is under way.
    pub(super) fn change<'a>(&'a self, name: &'a str) -> Result<Change<'a>> {
        if name::collide(name, CATALOG_TOPIC) {
            let reason = "it is reserved for the catalog of topics";
            return Err(Error::InvalidTopicName { name: name.to_owned(), reason });
        }
        let mut changing = self.changing.lock();
        let is_taken =
            |changing: &mut Changing| changing.names.iter().any(|taken| name::collide(taken, name));
        self.ended.wait_while(&mut changing, is_taken);
        if changing.is_over {
            return Err(Error::Closed);
        }
        changing.names.push(name.to_owned());
        Ok(Change { catalog: self, name })
    }

    /// Appends the record that every producer id below `next` may have been given away.
    pub(super) fn append_producer_ids(&self, next: i64) -> Result<()> {
        let (key, value) = encode_producer_ids(next);
        let record = Record::new().key(&key).value(&value);
        self.log.append(&[record], Compression::None).map(|_| ())
    }

    /// Appends the record that a topic has from now on, or the one that it has none.
    pub(super) fn append(&self, name: &str, record: Option<&TopicRecord>) -> Result<()> {
        append(&self.log, name, record)
    }
}

impl Change<'_> {
    /// Publishes the topic as it is now, or that there is none.
    pub(super) fn publish(&self, entry: Option<&Arc<TopicEntry>>) {
        let _changing = self.catalog.changing.lock();
        let mut topics = Topics::clone(&self.catalog.topics.load());
        match entry {
            Some(entry) => topics.insert(self.name.to_owned(), Arc::clone(entry)),
            None => topics.remove(self.name),
        };
        self.catalog.topics.store(Arc::new(topics));
        // After the list: who sees the number sees the list, and who has seen the list alone looks once more.
        self.catalog.version.fetch_add(1, Release);
        self.catalog.watchers().tell();
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.catalog.changing.lock().names.retain(|name| name != self.name);
        self.catalog.ended.notify_all();
    }
}

/// Appends a topic's record to the catalog's log.
pub(super) fn append(log: &Log, name: &str, record: Option<&TopicRecord>) -> Result<()> {
    let (key, value) = (encode_key(name), record.map(TopicRecord::encode));
    let record = Record::new().key(&key).value_opt(value.as_deref());
    log.append(&[record], Compression::None).map(|_| ())
}
