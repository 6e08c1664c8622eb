//! Opening the catalog, and every partition it knows.
//!
//! An open completes a creation, or a deletion, that was interrupted after its first record. A created partition whose directory, or whose
//! log directory, is missing is offline, and never created empty again; a directory that the catalog does not know is
//! reported, and never removed, unless it was set aside by a deletion.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::adopt::adopt;
use super::catalog::{Catalog, Topics, append};
use super::catalog_record::TopicRecord;
use super::delete::finish_deletion;
use super::entry::TopicEntry;
use super::name::{CATALOG_TOPIC, is_partition, partition_of};
use super::producer_ids::ProducerIds;
use super::replay::Replayed;
use crate::error::{Chain, Error, Result};
use crate::log::{self, Log, LogDir, LogDirs, PartitionRecovery, RecoveryMode, TopicConfig};
use crate::offset::{Offset, PartitionId, TopicPartition};
use crate::storage::Storage;
use crate::sync::Arc;
use crate::uuid::Uuid;

/// What opening a catalog found.
#[derive(Debug, Default)]
pub(crate) struct CatalogReport {
    pub(crate) partitions: Vec<PartitionRecovery>,
    /// Directories that belong to no topic.
    pub(crate) unknown_directories: Vec<PathBuf>,
    /// Topics whose records are lost, found by their directories.
    pub(crate) restored_topics: Vec<String>,
}

impl Catalog {
    /// Refuses log directories of which another than the first has a catalog: an open would begin a second one, or take
    /// one for the other. Nothing is changed.
    pub(crate) fn check_place(storage: &dyn Storage, log_dirs: &[PathBuf]) -> Result<()> {
        let Some((first, others)) = log_dirs.split_first() else { return Ok(()) };
        let name = TopicPartition::new(CATALOG_TOPIC, PartitionId::ZERO).to_string();
        let Some(other) = others.iter().find(|other| storage.stat(&other.join(&name)).is_ok()) else {
            return Ok(());
        };
        let (value, reason) = match storage.stat(&first.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (first, format!("the catalog of topics is in {}: name that one first", other.display()))
            }
            Ok(_) | Err(_) => {
                (other, format!("it has a catalog of topics of its own, as {} has", first.display()))
            }
        };
        Err(Error::InvalidConfig { setting: "log.dirs", value: value.display().to_string(), reason })
    }

    /// Opens the catalog in the first of `dirs`, or begins it, and with it every partition it knows.
    pub(crate) fn open(dirs: &Arc<LogDirs>) -> Result<(Catalog, CatalogReport)> {
        let mut report = CatalogReport::default();
        let log = open_log(dirs, &mut report)?;
        dirs.stir(log.end().into());
        for dir in dirs.online() {
            dir.aside()?.into_iter().for_each(|path| dir.remove_later(path));
        }
        let (mut topics, mut leftovers) = (Topics::new(), BTreeMap::new());
        let mut replayed = Replayed::read(&log)?;
        if dirs.first().config.recovery == RecoveryMode::Salvage {
            report.restored_topics = adopt(dirs, &log, &mut replayed)?;
        } else {
            replayed.check_settled(&log)?;
        }
        let next_producer_id = replayed.next_producer_id();
        for (name, mut record) in replayed.topics {
            if record.is_deleting {
                if let Err(error) = finish_deletion(dirs, &log, &name, &record) {
                    ::log::warn!("topic {name} is deleted, but is still there: {}", Chain(&error));
                    leftovers.insert(name, record);
                }
                continue;
            }
            record.config = record.config.over(&dirs.first().config.topic_defaults);
            let entry = open_topic(dirs, &log, &name, record, &mut report)?;
            topics.insert(name, Arc::new(entry));
        }
        if dirs.first().config.recovery == RecoveryMode::Strict {
            refuse_offline(&report)?;
        }
        for dir in dirs.online() {
            unknown_directories(dir, dirs.first(), &topics, &mut report.unknown_directories)?;
            free_slots(dir, &topics);
        }
        Ok((Catalog::new(dirs, log, topics, ProducerIds::new(next_producer_id), leftovers), report))
    }
}

/// Refuses partitions that are offline, but for those whose log directory is: that is allowed for all of them, or for none.
fn refuse_offline(report: &CatalogReport) -> Result<()> {
    for PartitionRecovery { partition, offline, .. } in &report.partitions {
        if let Some(source) = offline
            && !matches!(**source, Error::UnknownLogDir { .. })
        {
            let (topic, partition) = (partition.topic().to_owned(), partition.partition());
            let offline = Error::PartitionOffline { topic, partition, source: Arc::clone(source) };
            return Err(Error::RecoveryRefused { source: Arc::new(offline) });
        }
    }
    Ok(())
}

fn open_log(dirs: &LogDirs, report: &mut CatalogReport) -> Result<Arc<Log>> {
    let dir = dirs.first();
    let (topic, partition) = (CATALOG_TOPIC.to_owned(), PartitionId::ZERO);
    let name = TopicPartition::new(CATALOG_TOPIC, partition);
    let path = dir.partition_path(&name);
    match dir.storage().stat(&path) {
        Ok(_) => {
            let config = TopicConfig::default();
            if !log::has_segments(dir.storage(), &path)? {
                begin_anew(dirs, &name)?;
            }
            let open = |found: &mut _| log::open(dir, &name, Uuid::CATALOG, &config, found);
            let log = reported(dir, &name, report, open);
            let log = log.map_err(|source| Error::PartitionOffline { topic, partition, source })?;
            if log.end() == Offset::ZERO {
                // Before the first partition there is a record that tells of it.
                check_holds_none(dirs)?;
            }
            Ok(log)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (_, durable) = dir.slots.slot(Uuid::CATALOG, partition);
            let durable = durable.max(dir.recovery_point(&name)).unwrap_or(Offset::ZERO);
            if durable > Offset::ZERO {
                let source = Some(Box::new(Error::io("look at", &path)(error)));
                return Err(Error::Damaged { topic, partition, from: Offset::ZERO, durable, source });
            }
            if dir.config.is_read_only {
                return Err(Error::NoLogDir { path: dir.path().to_path_buf() });
            }
            check_is_unused(dirs)?;
            log::create(dir, name, Uuid::CATALOG, TopicConfig::default())
        }
        Err(error) => Err(Error::io("look at", &path)(error)),
    }
}

/// Sees to it that a catalog of which nothing is left does not begin as if there had been no topic.
fn begin_anew(dirs: &LogDirs, name: &TopicPartition) -> Result<()> {
    let dir = dirs.first();
    let durable = dir.recovery_point(name).max(dir.slots.slot(Uuid::CATALOG, name.partition()).1);
    if durable > Some(Offset::ZERO) {
        return Ok(());
    }
    match check_is_unused(dirs) {
        // However much it held: something is lost, and topics are looked for.
        Err(Error::InvalidConfig { .. }) if dir.config.recovery == RecoveryMode::Salvage => {
            dir.raise_recovery_point(name, Offset::ZERO.next())
        }
        checked => checked,
    }
}

/// Refuses to begin a catalog where there may have been one: it was lost, or is in another log directory, which was not named.
fn check_is_unused(dirs: &LogDirs) -> Result<()> {
    match dirs.offline().first() {
        Some(offline) => Err(no_catalog(&offline.path, "it cannot be looked at")),
        None => check_holds_none(dirs),
    }
}

/// Refuses partitions of ours, of which no catalog tells. In a directory without slots they are somebody else's.
fn check_holds_none(dirs: &LogDirs) -> Result<()> {
    for dir in dirs.online().iter().filter(|dir| dir.slots.hold_any()) {
        let directories = dir.directories()?;
        if let Some(partition) = directories.iter().filter(|name| is_partition(name)).min() {
            return Err(no_catalog(dir.path(), &format!("it holds {partition}")));
        }
    }
    Ok(())
}

fn no_catalog(path: &Path, what: &str) -> Error {
    let advice = "name the directory first that has it; if it is lost, make an empty one, and salvage";
    let reason = format!("{what}, and there is no catalog of topics: {advice}");
    Error::InvalidConfig { setting: "log.dirs", value: path.display().to_string(), reason }
}

/// Opens the partitions of one topic, and creates those whose creation was interrupted.
fn open_topic(
    dirs: &LogDirs,
    catalog: &Log,
    name: &str,
    record: TopicRecord,
    report: &mut CatalogReport,
) -> Result<TopicEntry> {
    let mut partitions: Vec<Result<Arc<Log>, Arc<Error>>> = Vec::new();
    let (mut created, mut is_restored) = (record.created, false);
    for (number, dir) in record.partitions() {
        let name = TopicPartition::new(name, number);
        let opened = match partitions.last() {
            // One before it could not be created. It is not created either: the record tells of the first so many, and what
            // it does not tell of must hold nothing at the next open.
            Some(Err(error)) if u32::from(number) > created => Err(offline(name, Arc::clone(error), report)),
            _ => open_partition(dirs, dir, name, &record, report),
        };
        is_restored |= opened.as_ref().is_ok_and(|log| {
            // What is created begins empty.
            u32::from(number) >= record.created && log.end() > Offset::ZERO
        });
        created += u32::from(opened.is_ok() && u32::from(number) == created);
        partitions.push(opened);
    }
    if is_restored {
        report.restored_topics.push(name.to_owned());
    }
    let is_more = created > record.created;
    let record = TopicRecord { created, ..record };
    if is_more {
        append(catalog, name, Some(&record))?;
        catalog.sync()?;
    }
    Ok(TopicEntry::new(name, record, partitions))
}

/// Reports a partition that is not even looked at.
fn offline(name: TopicPartition, error: Arc<Error>, report: &mut CatalogReport) -> Arc<Error> {
    let why = Some(Arc::clone(&error));
    report.partitions.push(PartitionRecovery { offline: why, ..PartitionRecovery::new(name) });
    error
}

fn open_partition(
    dirs: &LogDirs,
    dir: Uuid,
    name: TopicPartition,
    record: &TopicRecord,
    report: &mut CatalogReport,
) -> Result<Arc<Log>, Arc<Error>> {
    let dir = match dirs.get(dir) {
        Ok(dir) => dir,
        Err(error) => return Err(offline(name, error, report)),
    };
    reported(dir, &name, report, |found| {
        if u32::from(name.partition()) < record.created || was_created(dir, &name, record.id)? {
            log::open(dir, &name, record.id, &record.config, found)
        } else {
            // Whatever an interrupted creation left, nothing of it is known to be durable, and no record can be in it.
            log::create(dir, name.clone(), record.id, record.config.clone())
        }
    })
}

/// Whether a partition was created, although the catalog does not tell so: it has lost that. `Strict` takes no such one.
fn was_created(dir: &LogDir, name: &TopicPartition, topic_id: Uuid) -> Result<bool> {
    let (path, (_, slot)) = (dir.partition_path(name), dir.slots.slot(topic_id, name.partition()));
    let was_created = log::was_created(dir.storage(), &path, topic_id, slot)?;
    if was_created && dir.config.recovery == RecoveryMode::Strict {
        let reason = "it holds records, and the catalog has lost that it was created".to_owned();
        return Err(Error::InvalidFile { path, reason });
    }
    Ok(was_created)
}

/// Opens one partition, and reports on it whether that succeeds or not.
fn reported(
    dir: &LogDir,
    name: &TopicPartition,
    report: &mut CatalogReport,
    open: impl FnOnce(&mut PartitionRecovery) -> Result<Arc<Log>>,
) -> Result<Arc<Log>, Arc<Error>> {
    let mut found = PartitionRecovery::new(name.clone());
    let began = dir.clock.monotonic();
    let opened = open(&mut found).map_err(Arc::new);
    found.elapsed = dir.clock.monotonic().saturating_sub(began);
    found.offline = opened.as_ref().err().map(Arc::clone);
    if opened.is_err() {
        dir.forgo_marker();
    }
    // Who only looks has done nothing of it.
    if found.is_notable() && !dir.config.is_read_only {
        ::log::warn!("{found}");
    }
    report.partitions.push(found);
    opened
}

/// Frees the durable slots of partitions that there are no more.
fn free_slots(dir: &LogDir, topics: &Topics) {
    let mut known = HashSet::new();
    for topic in topics.values() {
        let record = topic.record();
        let here = record.partitions().filter(|&(_, id)| id == dir.id());
        known.extend(here.map(|(number, _)| (topic.id, number)));
    }
    dir.slots.retain(|topic_id, number| topic_id == Uuid::CATALOG || known.contains(&(topic_id, number)));
}

/// Adds the directories in `dir` that belong to no partition in it.
fn unknown_directories(
    dir: &Arc<LogDir>,
    first: &Arc<LogDir>,
    topics: &Topics,
    unknown: &mut Vec<PathBuf>,
) -> Result<()> {
    let is_known = |directory: &str| {
        partition_of(directory).is_some_and(|name| {
            if name.topic() == CATALOG_TOPIC {
                return name.partition() == PartitionId::ZERO && Arc::ptr_eq(dir, first);
            }
            let directories = topics.get(name.topic()).map(|topic| &topic.directories);
            let told = directories.and_then(|all| all.get(u32::from(name.partition()) as usize));
            told.is_some_and(|&id| id == dir.id())
        })
    };
    let directories = dir.directories()?.into_iter().filter(|name| !is_known(name) && !log::is_aside(name));
    unknown.extend(directories.map(|directory| dir.path().join(directory)));
    Ok(())
}
