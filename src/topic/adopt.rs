//! Topics whose records a salvage of the catalog could not save, found again by their partitions' directories.
//!
//! A directory is named after its partition, and its `partition.metadata` has the topic's id: so name, id and partition count can be
//! told, and settings cannot. A directory that holds a log and does not say whose it is belongs with the others of its name. Where
//! directories of two topics claim a name, neither is taken; but where all of them are of a topic other than the one that the catalog
//! tells of, that one was deleted, and the records of that, and of the next one's creation, are lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::catalog::{CATALOG_TOPIC, append};
use super::catalog_record::TopicRecord;
use super::create::PARTITIONS_MAX;
use super::name::{self, parse_directory};
use super::replay::Replayed;
use crate::error::Result;
use crate::log::{self, Log, LogDir, LogDirs, TopicConfig};
use crate::uuid::Uuid;

/// By their numbers, the partitions that there are directories of, each with the log directories that have one.
type Partitions = BTreeMap<u32, BTreeSet<Uuid>>;

/// By topic and id, the partitions that there are directories of; without an id, those that do not say whose they are.
type Found = BTreeMap<String, BTreeMap<Option<Uuid>, Partitions>>;

/// Where a part of the catalog is lost, adds to its topics what the directories tell, and to its log; and to that, last, that it was
/// done to the end. Gives the names of the topics.
pub(super) fn adopt(dirs: &LogDirs, catalog: &Log, replayed: &mut Replayed) -> Result<Vec<String>> {
    let mut adopted = Vec::new();
    if replayed.lost == 0 {
        return Ok(adopted);
    }
    let records = &mut replayed.topics;
    for (name, by_id) in find(dirs)? {
        let record = match records.get(&name) {
            Some(known) if known.is_deleting => continue,
            None if records.keys().any(|known| name::collide(known, &name)) => continue,
            known => complete(dirs, known, by_id),
        };
        let Some(record) = record.filter(|record| records.get(&name) != Some(record)) else { continue };
        append(catalog, &name, Some(&record))?;
        records.insert(name.clone(), record);
        adopted.push(name);
    }
    let is_settled = replayed.is_settled();
    if !is_settled {
        replayed.settle(catalog)?;
    }
    if !adopted.is_empty() || !is_settled {
        catalog.sync()?;
    }
    Ok(adopted)
}

/// What is to be known of a topic, after what is `known` and what its directories say.
fn complete(
    dirs: &LogDirs,
    known: Option<&TopicRecord>,
    mut by_id: BTreeMap<Option<Uuid>, Partitions>,
) -> Option<TopicRecord> {
    let mut found = by_id.remove(&None).unwrap_or_default();
    let (record, partitions) = match known {
        // A log directory that is not there may have its own.
        Some(known)
            if by_id.contains_key(&Some(known.id))
                || by_id.is_empty()
                || known.directories.iter().any(|&id| dirs.get(id).is_err()) =>
        {
            (known.clone(), by_id.remove(&Some(known.id)))
        }
        Some(_) | None if by_id.len() > 1 => return None,
        Some(_) | None => {
            let (id, partitions) = by_id.pop_first().unzip();
            let id = id.flatten().unwrap_or_else(|| Uuid::random(&mut dirs.first().random.lock()));
            let (config, directories) = (TopicConfig::default(), Vec::new());
            (TopicRecord { id, created: 0, config, directories, is_deleting: false }, partitions)
        }
    };
    // Where one says whose it is, that counts.
    found.extend(partitions.unwrap_or_default());
    Some(with_partitions(dirs, record, &found))
}

/// Every directory of a partition, by its name.
fn find(dirs: &LogDirs) -> Result<Found> {
    let mut found = Found::new();
    for dir in dirs.online() {
        for directory in dir.directories()? {
            let Some((topic, number)) = parse_directory(&directory) else { continue };
            let Some(number) = u32::try_from(number).ok().filter(|&number| number < PARTITIONS_MAX) else {
                continue;
            };
            let is_ours = name::check(topic).is_ok()
                && !name::collide(topic, CATALOG_TOPIC)
                && directory == format!("{topic}-{number}");
            let path = dir.path().join(&directory);
            if is_ours && let Some(id) = topic_of(dir, &path)? {
                let of_topic = found.entry(topic.to_owned()).or_default().entry(id).or_default();
                of_topic.entry(number).or_default().insert(dir.id());
            }
        }
    }
    Ok(found)
}

/// The id of the topic that a directory belongs to, if it says that; nothing at all where it is no partition's.
fn topic_of(dir: &LogDir, path: &Path) -> Result<Option<Option<Uuid>>> {
    for _ in 0..2 {
        // Once more where it makes no sense, as a read may err.
        if let Some(id) = log::topic_of(dir.storage(), path)? {
            return Ok(Some(Some(id)));
        }
    }
    Ok(log::has_segments(dir.storage(), path)?.then_some(None))
}

/// The topic with all partitions up to the last that there is a directory of. One that has none is missing, and will be offline.
fn with_partitions(dirs: &LogDirs, mut record: TopicRecord, found: &Partitions) -> TopicRecord {
    let count = found.last_key_value().map_or(0, |(&last, _)| last + 1);
    for number in 0_u32..count {
        let here = found.get(&number);
        let first = here.or(found.values().next()).and_then(|dirs| dirs.first()).copied();
        match (record.directories.get_mut(number as usize), here) {
            (None, _) => record.directories.extend(first),
            // It is not where it was thought to be, by an earlier salvage that did not see all log directories.
            (Some(told), Some(here)) if !here.contains(told) && dirs.get(*told).is_ok() => {
                first.into_iter().for_each(|first| *told = first);
            }
            (Some(_), _) => {}
        }
    }
    record.created = record.created.max(count);
    record
}
