//! Topics whose records a salvage of the catalog could not save, found again by their partitions' directories.
//!
//! A directory is named after its partition, and its `partition.metadata` has the topic's id: so name, id and partition count can be
//! told, and settings cannot. What the catalog still tells of a topic counts, unless there is no directory left of it and one of
//! another topic of its name: then it was deleted, and the records of that, and of the next one's creation, are lost.
//!
//! Where directories of two topics claim the same partition, neither is taken; where they claim different ones, an id is damaged, and
//! that of most counts. A directory that holds a log and does not say whose it is fills a gap between others, and is no topic by
//! itself: it may be anybody's. What is not taken is told as belonging to no topic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::catalog::append;
use super::catalog_record::TopicRecord;
use super::create::PARTITIONS_MAX;
use super::delete::finish_deletion;
use super::name::{self, CATALOG_TOPIC, partition_of};
use super::replay::Replayed;
use crate::error::{Chain, Result};
use crate::log::{self, Log, LogDir, LogDirs, TopicConfig};
use crate::uuid::Uuid;

/// By their numbers, the partitions that there are directories of, each with the log directories that have one.
type Partitions = BTreeMap<u32, BTreeSet<Uuid>>;

/// The directories of one name.
#[derive(Debug, Default)]
struct Found {
    /// By the topic that they say they belong to.
    by_id: BTreeMap<Uuid, Partitions>,
    /// Those that hold a log, and do not say whose it is.
    nameless: Partitions,
}

/// Whose a directory is that has the name of a partition.
enum Owner {
    Topic(Uuid),
    /// It holds a log, and does not say whose it is.
    Unknown,
    Nobody,
}

/// Where a part of the catalog is lost, adds to its topics what the directories tell, and to its log; and to that, last, that it was
/// done to the end. Gives the names of the topics.
pub(super) fn adopt(dirs: &LogDirs, catalog: &Log, replayed: &mut Replayed) -> Result<Vec<String>> {
    let mut adopted = Vec::new();
    if replayed.lost == 0 {
        return Ok(adopted);
    }
    let records = &mut replayed.topics;
    let mut undeleted = BTreeSet::new();
    for (name, record) in records.iter().filter(|(_, record)| record.is_deleting) {
        // So that what is found of its name is another's.
        if let Err(error) = finish_deletion(dirs, catalog, name, record) {
            ::log::warn!("topic {name} is deleted, but is still there: {}", Chain(&error));
            undeleted.insert(name.clone());
        }
    }
    let (found, mut is_whole) = find(dirs)?;
    is_whole &= dirs.offline().is_empty() && undeleted.is_empty();
    for (name, found) in found.into_iter().filter(|(name, _)| !undeleted.contains(name)) {
        let record = match records.get(&name) {
            Some(known) if !known.is_deleting && !found.is_another(dirs, known) => found.extend(dirs, known),
            None if records
                .iter()
                .any(|(other, known)| !known.is_deleting && name::collide(other, &name)) =>
            {
                None
            }
            Some(_) | None => found.topic(dirs),
        };
        let Some(record) = record.filter(|record| records.get(&name) != Some(record)) else { continue };
        append(catalog, &name, Some(&record))?;
        records.insert(name.clone(), record);
        adopted.push(name);
    }
    // Where there are places that could not be looked at, another salvage is to come.
    let is_settled = replayed.is_settled() || !is_whole;
    if !is_settled {
        replayed.settle(catalog)?;
    }
    if !adopted.is_empty() || !is_settled {
        catalog.sync()?;
    }
    Ok(adopted)
}

impl Found {
    /// Whether these are all of another topic than the one that the catalog tells of, which then was deleted.
    fn is_another(&self, dirs: &LogDirs, known: &TopicRecord) -> bool {
        // What a log directory has that is not there, is not known; and a partition in its place may have lost what it says.
        let is_gone = |(number, id): (u32, &Uuid)| {
            dirs.get(*id).is_ok() && !self.nameless.get(&number).is_some_and(|here| here.contains(id))
        };
        !self.by_id.contains_key(&known.id) && (0_u32..).zip(&known.directories).all(is_gone)
    }

    /// The topic that the catalog tells of, with the partitions that it does not tell of.
    fn extend(&self, dirs: &LogDirs, known: &TopicRecord) -> Option<TopicRecord> {
        let partitions = self.by_id.get(&known.id)?;
        Some(self.with_partitions(dirs, known.clone(), partitions))
    }

    /// A topic that the catalog does not tell of.
    fn topic(&self, dirs: &LogDirs) -> Option<TopicRecord> {
        let (&id, _) = self.by_id.iter().max_by_key(|(_, partitions)| partitions.len())?;
        let mut partitions = Partitions::new();
        for (&number, here) in self.by_id.values().flatten() {
            if partitions.insert(number, here.clone()).is_some() {
                return None;
            }
        }
        let (config, directories) = (TopicConfig::default(), Vec::new());
        let unknown = TopicRecord { id, created: 0, config, directories, is_deleting: false };
        Some(self.with_partitions(dirs, unknown, &partitions))
    }

    /// The topic with all of these partitions. One below the last of them that has no directory is missing, and will be offline.
    fn with_partitions(
        &self,
        dirs: &LogDirs,
        mut record: TopicRecord,
        partitions: &Partitions,
    ) -> TopicRecord {
        let count = partitions.last_key_value().map_or(0, |(&last, _)| last + 1);
        for number in 0_u32..count {
            let named = partitions.get(&number);
            let nameless = self.nameless.get(&number);
            match record.directories.get_mut(number as usize) {
                None => {
                    let here = named.or(nameless.filter(|here| here.len() == 1));
                    let first = here.or(partitions.values().next()).and_then(|dirs| dirs.first());
                    record.directories.extend(first);
                }
                Some(told) => {
                    let is_here =
                        |here: Option<&BTreeSet<Uuid>>| here.is_some_and(|here| here.contains(told));
                    // Not where an earlier salvage thought, which did not see all log directories.
                    let is_elsewhere = dirs.get(*told).is_ok() && !is_here(named) && !is_here(nameless);
                    if is_elsewhere && let Some(&first) = named.and_then(|here| here.first()) {
                        *told = first;
                    }
                }
            }
        }
        record.created = record.created.max(count);
        record
    }
}

/// Every directory of a partition, by the name of its topic, and whether all of them could be looked at.
fn find(dirs: &LogDirs) -> Result<(BTreeMap<String, Found>, bool)> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut is_whole = true;
    for dir in dirs.online() {
        for directory in dir.directories()? {
            let Some(name) = partition_of(&directory) else { continue };
            let (topic, number) = (name.topic(), u32::from(name.partition()));
            let is_ours = name::check(topic).is_ok() && !name::collide(topic, CATALOG_TOPIC);
            if !is_ours || number >= PARTITIONS_MAX {
                continue;
            }
            let path = dir.path().join(&directory);
            let of_topic = found.entry(topic.to_owned()).or_default();
            let partitions = match whose(dir, &path) {
                Ok(Owner::Topic(id)) => of_topic.by_id.entry(id).or_default(),
                Ok(Owner::Unknown) => &mut of_topic.nameless,
                Ok(Owner::Nobody) => continue,
                Err(error) => {
                    ::log::warn!("{} cannot be looked at: {}", path.display(), Chain(&error));
                    is_whole = false;
                    continue;
                }
            };
            partitions.entry(number).or_default().insert(dir.id());
        }
    }
    Ok((found, is_whole))
}

/// Whose a directory is.
fn whose(dir: &LogDir, path: &Path) -> Result<Owner> {
    Ok(match topic_of(dir, path)? {
        Some(id) => Owner::Topic(id),
        None if log::has_segments(dir.storage(), path)? => Owner::Unknown,
        None => Owner::Nobody,
    })
}

/// The id of the topic that a directory says it belongs to, read until the same is read twice: a read may err, and the file has no
/// checksum.
fn topic_of(dir: &LogDir, path: &Path) -> Result<Option<Uuid>> {
    let mut id = log::topic_of(dir.storage(), path)?;
    for _ in 0..3 {
        let again = log::topic_of(dir.storage(), path)?;
        if std::mem::replace(&mut id, again) == again {
            break;
        }
    }
    Ok(id)
}
