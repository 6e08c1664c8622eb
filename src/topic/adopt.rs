//! Topics whose records a salvage of the catalog could not save, found again by their partitions' directories.
//!
//! A directory is named after its partition, and its `partition.metadata` has the topic's id: so name, id and partition count can be
//! told, and settings cannot. Where directories of two topics claim a name, neither is taken.

use std::collections::BTreeMap;

use super::catalog::{CATALOG_TOPIC, append};
use super::catalog_record::TopicRecord;
use super::create::PARTITIONS_MAX;
use super::name::{self, parse_directory};
use super::replay::Replayed;
use crate::error::Result;
use crate::log::{self, Log, LogDirs, TopicConfig};
use crate::uuid::Uuid;

/// By topic and id, the partitions that there are directories of, each with its log directory.
type Found = BTreeMap<String, BTreeMap<Uuid, BTreeMap<u32, Uuid>>>;

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
            Some(known) => by_id.get(&known.id).map(|partitions| with_partitions(known, partitions)),
            None if records.keys().any(|known| name::collide(known, &name)) => None,
            None => match by_id.first_key_value() {
                Some((&id, partitions)) if by_id.len() == 1 => {
                    let (config, directories) = (TopicConfig::default(), Vec::new());
                    let unknown = TopicRecord { id, created: 0, config, directories, is_deleting: false };
                    Some(with_partitions(&unknown, partitions))
                }
                Some(_) | None => None,
            },
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

/// Every directory of a partition that says to which topic it belongs.
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
            if is_ours && let Some(id) = log::topic_of(dir.storage(), &dir.path().join(&directory))? {
                let of_topic = found.entry(topic.to_owned()).or_default().entry(id).or_default();
                of_topic.insert(number, dir.id());
            }
        }
    }
    Ok(found)
}

/// The topic with all partitions up to the last that there is a directory of. One that has none is missing, and will be offline.
fn with_partitions(known: &TopicRecord, found: &BTreeMap<u32, Uuid>) -> TopicRecord {
    let mut record = known.clone();
    let count = found.last_key_value().map_or(0, |(&last, _)| last + 1);
    for number in 0_u32..count {
        let directory = found.get(&number).or(found.values().next()).copied();
        if record.directories.len() <= number as usize {
            record.directories.extend(directory);
        }
    }
    record.created = record.created.max(count);
    record
}
