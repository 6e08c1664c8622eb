//! The catalog of topics: itself a log, in the first log directory, opened before all others.
//!
//! A topic is created in three steps: a record that says so, synced; then the directories of its partitions; then a record
//! that names them, synced. An open completes a creation that was interrupted after the first step. A created partition
//! whose directory is missing is offline, and never created empty again; a directory that the catalog does not know is
//! reported, and never deleted.
//!
//! The catalog's own settings are constants, because nothing could be read before it.
//!
//! Lock order: `creating` is held only to reserve or publish a name, never over a sync; topics are read without a lock.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::catalog_record::{CatalogKey, TopicRecord, decode_key, decode_producer_ids, encode_key};
use super::entry::TopicEntry;
use super::name;
use super::new_topic::NewTopic;
use super::producer_ids::ProducerIds;
use crate::error::{Error, Result};
use crate::log::{self, Log, LogDir, PartitionRecovery, TopicConfig};
use crate::offset::{Offset, PartitionId, TopicPartition};
use crate::record::{Compression, Record, RecordView};
use crate::sync::{Acquire, Arc, ArcSwap, AtomicU64, Condvar, Mutex, Release};
use crate::uuid::Uuid;

/// The topic whose only partition the catalog is.
const CATALOG_TOPIC: &str = "__topic_catalog";
/// The most partitions that a topic may have: its record names a directory for each, and is one batch of the catalog.
const PARTITIONS_MAX: u32 = 10_000;
/// How much of the catalog is read at a time.
const READ_BYTES: usize = 1 << 20;

/// Topics by name.
type Topics = BTreeMap<String, Arc<TopicEntry>>;

/// The topics of a broker; see the [module](self).
#[derive(Debug)]
pub(crate) struct Catalog {
    dir: Arc<LogDir>,
    pub(super) log: Arc<Log>,
    pub(super) producer_ids: ProducerIds,
    topics: ArcSwap<Topics>,
    version: AtomicU64,
    /// Also held to publish a new list of topics.
    creating: Mutex<Creating>,
    /// Told when a creation has ended.
    ended: Condvar,
}

/// What is being created.
#[derive(Debug, Default)]
struct Creating {
    names: Vec<String>,
    /// Whether nothing more may be, because the broker closes.
    is_over: bool,
}

/// What opening a catalog found.
#[derive(Debug, Default)]
pub(crate) struct CatalogReport {
    pub(crate) partitions: Vec<PartitionRecovery>,
    /// Directories that belong to no topic.
    pub(crate) unknown_directories: Vec<PathBuf>,
}

impl Catalog {
    /// Opens the catalog in `dir`, or begins it, and with it every partition it knows.
    pub(crate) fn open(dir: &Arc<LogDir>) -> Result<(Catalog, CatalogReport)> {
        let mut report = CatalogReport::default();
        let log = open_log(dir, &mut report)?;
        let mut topics = Topics::new();
        let Replayed { topics: records, next_producer_id } = replay(&log)?;
        for (name, record) in records {
            let (entry, is_completed) = open_topic(dir, &name, &record, &mut report);
            if is_completed {
                append(&log, &name, Some(&created(dir, record)))?;
                log.sync()?;
            }
            topics.insert(name, Arc::new(entry));
        }
        report.unknown_directories = unknown_directories(dir, &topics)?;
        let topics = ArcSwap::from_pointee(topics);
        let (creating, ended) = (Mutex::default(), Condvar::new());
        let producer_ids = ProducerIds::new(next_producer_id);
        Ok((
            Catalog {
                dir: Arc::clone(dir),
                log,
                producer_ids,
                topics,
                version: AtomicU64::new(0),
                creating,
                ended,
            },
            report,
        ))
    }

    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<TopicEntry>> {
        let topic = self.topics.load().get(name).map(Arc::clone);
        topic.ok_or_else(|| Error::UnknownTopic { topic: name::shortened(name) })
    }

    /// How often the list of topics has changed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> Arc<Topics> {
        self.topics.load_full()
    }

    /// Every log there is: those of the partitions, then the catalog's own.
    pub(crate) fn logs(&self) -> Vec<Arc<Log>> {
        let topics = self.topics.load();
        let partitions = topics.values().flat_map(|topic| topic.logs());
        partitions.chain([&self.log]).map(Arc::clone).collect()
    }

    /// Whether a partition could not be opened.
    pub(crate) fn has_offline_partitions(&self) -> bool {
        self.topics.load().values().any(|topic| topic.logs().count() < topic.partitions.len())
    }

    /// Creates a topic, durably.
    pub(crate) fn create_topic(&self, new: NewTopic) -> Result<Arc<TopicEntry>> {
        let NewTopic { name, partitions, config } = new;
        name::check(&name)?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let (requested, limit) = (partitions, PARTITIONS_MAX);
            return Err(Error::InvalidPartitionCount { topic: name, requested, limit });
        }
        config.validate()?;
        self.reserve(&name)?;
        let id = Uuid::random(&mut self.dir.random.lock());
        let record = TopicRecord { id, partition_count: partitions, config, directories: None };
        let result = self.create_reserved(&name, record);
        let mut creating = self.creating.lock();
        creating.names.retain(|reserved| *reserved != name);
        self.ended.notify_all();
        let entry = Arc::new(result?);
        let mut topics = Topics::clone(&self.topics.load());
        topics.insert(name, Arc::clone(&entry));
        self.topics.store(Arc::new(topics));
        self.version.fetch_add(1, Release);
        Ok(entry)
    }

    /// Lets no more topics be created, and waits for those that are.
    pub(crate) fn end_creations(&self) {
        let mut creating = self.creating.lock();
        creating.is_over = true;
        self.ended.wait_while(&mut creating, |creating| !creating.names.is_empty());
    }

    /// Takes a name that nobody has, and that collides with none.
    fn reserve(&self, name: &str) -> Result<()> {
        let mut creating = self.creating.lock();
        if name::collide(name, CATALOG_TOPIC) {
            let reason = "it is reserved for the catalog of topics";
            return Err(Error::InvalidTopicName { name: name.to_owned(), reason });
        }
        if creating.is_over {
            return Err(Error::Closed);
        }
        let topics = self.topics.load();
        let taken = topics.keys().chain(creating.names.iter()).map(String::as_str);
        let colliding = taken.filter(|taken| name::collide(taken, name)).map(str::to_owned).next();
        match colliding {
            Some(taken) if taken == name => Err(Error::TopicExists { topic: taken }),
            Some(existing) => Err(Error::TopicNameCollision { topic: name.to_owned(), existing }),
            None => {
                creating.names.push(name.to_owned());
                Ok(())
            }
        }
    }

    fn create_reserved(&self, name: &str, record: TopicRecord) -> Result<TopicEntry> {
        append(&self.log, name, Some(&record))?;
        let created = self.log.sync().and_then(|_| self.create_partitions(name, record));
        if created.is_err() {
            // Without this, the next open would complete the creation that is reported as failed.
            let _ = append(&self.log, name, None);
        }
        created
    }

    fn create_partitions(&self, name: &str, record: TopicRecord) -> Result<TopicEntry> {
        let TopicRecord { id, partition_count, config, .. } = record.clone();
        let create = |partition| {
            let name = TopicPartition::new(name, PartitionId::try_from(partition)?);
            log::create(&self.dir, name, id, config.clone())
        };
        let logs = (0..partition_count).map(create).collect::<Result<Vec<_>>>()?;
        append(&self.log, name, Some(&created(&self.dir, record)))?;
        self.log.sync()?;
        let partitions = logs.into_iter().map(Ok).collect();
        Ok(TopicEntry { name: name.to_owned(), id, config, partitions })
    }
}

fn open_log(dir: &Arc<LogDir>, report: &mut CatalogReport) -> Result<Arc<Log>> {
    let (topic, partition) = (CATALOG_TOPIC.to_owned(), PartitionId::ZERO);
    let name = TopicPartition::new(CATALOG_TOPIC, partition);
    let path = dir.partition_path(&name);
    match dir.storage().stat(&path) {
        Ok(_) => {
            let (log, found) = open_reported(dir, &name, Uuid::CATALOG, &TopicConfig::default());
            report.partitions.push(found);
            log.map_err(|source| Error::PartitionOffline { topic, partition, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (_, durable) = dir.slots.slot(Uuid::CATALOG, partition);
            let durable = durable.max(dir.recovery_point(&name)).unwrap_or(Offset::ZERO);
            if durable > Offset::ZERO {
                return Err(Error::Damaged { topic, partition, from: Offset::ZERO, durable, source: None });
            }
            log::create(dir, name, Uuid::CATALOG, TopicConfig::default())
        }
        Err(error) => Err(Error::io("look at", &path)(error)),
    }
}

/// What the catalog's records say, taken together.
#[derive(Debug, Default)]
struct Replayed {
    /// The last record of each topic.
    topics: BTreeMap<String, TopicRecord>,
    next_producer_id: i64,
}

fn replay(log: &Log) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut next = log.start();
    while next < log.end() {
        for batch in &log.read(next, READ_BYTES)? {
            for record in &batch.records()? {
                replayed.apply(&record).map_err(|reason| Error::InvalidFile {
                    path: log.path().to_path_buf(),
                    reason: format!(
                        "the record at offset {} is not the catalog's: {reason}",
                        record.offset()
                    ),
                })?;
            }
            next = batch.next_offset();
        }
    }
    Ok(replayed)
}

impl Replayed {
    /// Takes one record in, or says what is wrong with it.
    fn apply(&mut self, record: &RecordView<'_>) -> Result<(), String> {
        let key = record.key().and_then(decode_key).ok_or("its key is malformed")?;
        match (key, record.value()) {
            (CatalogKey::Topic(name), Some(value)) => {
                drop(self.topics.insert(name, TopicRecord::decode(value)?))
            }
            (CatalogKey::Topic(name), None) => drop(self.topics.remove(&name)),
            (CatalogKey::ProducerIds, Some(value)) => {
                self.next_producer_id = self.next_producer_id.max(decode_producer_ids(value)?);
            }
            (CatalogKey::ProducerIds, None) => return Err("producer ids are never deleted".to_owned()),
        }
        Ok(())
    }
}

/// Opens the partitions of one topic; `true`: its creation had been interrupted, and is complete now.
fn open_topic(
    dir: &Arc<LogDir>,
    name: &str,
    record: &TopicRecord,
    report: &mut CatalogReport,
) -> (TopicEntry, bool) {
    let mut partitions = Vec::new();
    for number in 0..record.partition_count {
        let Ok(partition) = PartitionId::try_from(number) else { break };
        let partition = TopicPartition::new(name, partition);
        // Whatever an interrupted creation left, nothing of it is known to be durable, and no record can be in it.
        let opened = if record.directories.is_none() {
            log::create(dir, partition, record.id, record.config.clone()).map_err(Arc::new)
        } else {
            let (opened, found) = open_reported(dir, &partition, record.id, &record.config);
            report.partitions.push(found);
            opened
        };
        partitions.push(opened);
    }
    let is_completed = record.directories.is_none() && partitions.iter().all(Result::is_ok);
    let (id, config) = (record.id, record.config.clone());
    (TopicEntry { name: name.to_owned(), id, config, partitions }, is_completed)
}

/// Opens one partition, and reports on it whether that succeeds or not.
fn open_reported(
    dir: &Arc<LogDir>,
    name: &TopicPartition,
    topic_id: Uuid,
    config: &TopicConfig,
) -> (Result<Arc<Log>, Arc<Error>>, PartitionRecovery) {
    let mut report = PartitionRecovery::new(name.clone());
    let began = dir.clock.monotonic();
    let opened = log::open(dir, name, topic_id, config, &mut report).map_err(Arc::new);
    report.elapsed = dir.clock.monotonic().saturating_sub(began);
    report.offline = opened.as_ref().err().map(Arc::clone);
    if report.is_notable() {
        ::log::warn!("{report}");
    }
    (opened, report)
}

fn unknown_directories(dir: &LogDir, topics: &Topics) -> Result<Vec<PathBuf>> {
    let is_known = |directory: &str| {
        let parts = directory.rsplit_once('-');
        let parts = parts.and_then(|(topic, number)| Some((topic, number.parse::<usize>().ok()?)));
        parts.is_some_and(|(topic, number)| {
            let count =
                if topic == CATALOG_TOPIC { Some(1) } else { topics.get(topic).map(|t| t.partitions.len()) };
            count.is_some_and(|count| number < count) && directory == format!("{topic}-{number}")
        })
    };
    let directories = dir.directories()?.into_iter().filter(|directory| !is_known(directory));
    Ok(directories.map(|directory| dir.path().join(directory)).collect())
}

/// The record of a topic whose partitions are all in `dir`.
fn created(dir: &LogDir, record: TopicRecord) -> TopicRecord {
    let count = usize::try_from(record.partition_count).expect("a topic's partitions are counted in 31 bits");
    TopicRecord { directories: Some(vec![dir.id(); count]), ..record }
}

fn append(log: &Log, name: &str, record: Option<&TopicRecord>) -> Result<()> {
    let (key, value) = (encode_key(name), record.map(TopicRecord::encode));
    let record = Record::new().key(&key).value_opt(value.as_deref());
    log.append(&[record], Compression::None).map(|_| ())
}
