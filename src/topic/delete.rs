//! Deleting topics: a record that says so, synced; then the directories of the partitions are set aside; then a record that
//! there is no such topic.
//!
//! The first record decides: a crash before it has been synced leaves the topic whole or gone, one after it leaves it gone,
//! and the next open does what is left to do. So does whoever creates a topic of the same name, where the disk refused to
//! set a directory aside. A log directory that is offline keeps its part until it is back.

use super::catalog::{Catalog, append};
use super::catalog_record::TopicRecord;
use crate::error::{Chain, Result};
use crate::log::{Log, LogDirs};
use crate::offset::{PartitionId, TopicPartition};
use crate::uuid::Uuid;

impl Catalog {
    /// Deletes a topic, durably, and then does `after`: until this returns, nobody makes another of its name. What is left of the
    /// topic is removed in the background.
    pub(crate) fn delete_topic(&self, name: &str, after: impl FnOnce()) -> Result<()> {
        let change = self.change(name)?;
        let entry = self.topic(name)?;
        let record = TopicRecord { is_deleting: true, ..entry.record() };
        self.append(name, Some(&record))?;
        self.log.sync()?;
        {
            let mut counted = self.counted.lock();
            change.publish(None);
            entry.logs().for_each(|log| counted.add(log.counters()));
        }
        entry.logs().for_each(|log| log.retire());
        if let Err(error) = finish_deletion(&self.dirs, &self.log, name, &record) {
            ::log::warn!("topic {name} is deleted, but its directories are still there: {}", Chain(&error));
            self.leftovers.lock().insert(name.to_owned(), record);
        }
        after();
        Ok(())
    }

    /// Does what is left to do of the deletion of an earlier topic, whose name is wanted again.
    pub(super) fn clear_leftovers(&self, name: &str) -> Result<()> {
        let leftover = self.leftovers.lock().get(name).cloned();
        if let Some(record) = leftover {
            finish_deletion(&self.dirs, &self.log, name, &record)?;
            self.leftovers.lock().remove(name);
        }
        Ok(())
    }
}

/// Sets aside what a deleted topic has, and notes that there is none, unless a part of it cannot be reached.
pub(super) fn finish_deletion(dirs: &LogDirs, catalog: &Log, name: &str, record: &TopicRecord) -> Result<()> {
    set_aside(dirs, name, record.id, record.partitions())?;
    if record.directories.iter().all(|&id| dirs.get(id).is_ok()) {
        // Without a sync: where this is lost, the next open finds nothing to do and writes it again.
        append(catalog, name, None)?;
    }
    Ok(())
}

/// Sets the directories of these partitions aside, durably, and has them removed.
pub(super) fn set_aside(
    dirs: &LogDirs,
    topic: &str,
    topic_id: Uuid,
    partitions: impl Iterator<Item = (PartitionId, Uuid)> + Clone,
) -> Result<()> {
    for dir in dirs.online() {
        let here = partitions.clone().filter(|&(_, id)| id == dir.id());
        let names: Vec<TopicPartition> = here.map(|(number, _)| TopicPartition::new(topic, number)).collect();
        if names.is_empty() {
            continue;
        }
        let aside = names.iter().map(|name| dir.set_aside(name, topic_id)).collect::<Result<Vec<_>>>()?;
        // Also what an attempt before renamed. And nothing is removed before: a directory without its metadata that a power
        // cut gave its name back would be nobody's.
        dir.sync_names()?;
        // On a full disk, what follows may need the space that this gives back.
        aside.into_iter().flatten().for_each(|path| dir.remove_later(path));
        dir.forget(&names)?;
    }
    Ok(())
}
