//! Creating topics, and more partitions of one, in three steps: a record that says which partitions are being created, and in which log directories,
//! synced; then the partitions; then a record that they are, synced.
//!
//! A crash after the first step leaves what the next open completes. An error takes the creation back, by a record that the
//! topic is as before, and sets aside what was made. Where not even that record can be written, the next open completes the
//! creation, although it was reported as failed.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::catalog_record::TopicRecord;
use super::delete::set_aside;
use super::entry::TopicEntry;
use super::name;
use super::new_topic::NewTopic;
use crate::error::{Chain, Error, Result};
use crate::log::{self, Log};
use crate::offset::{PartitionId, TopicPartition};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// The most partitions that a topic may have: its record names a directory for each, and is one batch of the catalog.
pub(crate) const PARTITIONS_MAX: u32 = 10_000;

impl Catalog {
    /// Creates a topic, durably.
    pub(crate) fn create_topic(&self, new: NewTopic) -> Result<Arc<TopicEntry>> {
        self.create_topic_after(new, || Ok(()))
    }

    /// As [`create_topic`](Catalog::create_topic), after `before`, which is done once there is known to be no such topic: until this
    /// returns, nobody else makes one.
    pub(crate) fn create_topic_after(
        &self,
        new: NewTopic,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<Arc<TopicEntry>> {
        let NewTopic { name, partitions, config } = new;
        name::check(&name)?;
        check_count(&name, partitions)?;
        let config = config.with_assigned();
        config.validate()?;
        let config = config.over(&self.dirs.first().config.topic_defaults);
        let change = self.change(&name)?;
        self.check_free(&name)?;
        before()?;
        self.clear_leftovers(&name)?;
        let id = Uuid::random(&mut self.dirs.first().random.lock());
        let directories = self.plan(partitions);
        let record = TopicRecord { id, created: 0, config, directories, is_deleting: false };
        let logs = self.extend(&name, &record, None)?;
        let partitions = logs.into_iter().map(Ok).collect();
        let entry = Arc::new(TopicEntry::new(&name, record.completed(), partitions));
        change.publish(Some(&entry));
        Ok(entry)
    }

    /// Gives a topic more partitions, `total` in all, durably.
    pub(crate) fn create_partitions(&self, name: &str, total: u32) -> Result<Arc<TopicEntry>> {
        let change = self.change(name)?;
        let entry = self.topic(name)?;
        check_count(name, total)?;
        let current = entry.partition_count();
        let missing = total.checked_sub(current).filter(|&missing| missing > 0);
        let missing = missing.ok_or_else(|| Error::PartitionsNotAdded {
            topic: name.to_owned(),
            current,
            requested: total,
        })?;
        let before = entry.record();
        for (number, _) in before.new_partitions() {
            // Where the creation of some could not be completed, the next open must do that first.
            entry.log(number.into())?;
        }
        let mut growing = before.clone();
        growing.directories.extend(self.plan(missing));
        let logs = self.extend(name, &growing, Some(&before))?;
        let partitions = entry.partitions.iter().cloned().chain(logs.into_iter().map(Ok)).collect();
        let entry = Arc::new(TopicEntry::new(name, growing.completed(), partitions));
        change.publish(Some(&entry));
        Ok(entry)
    }

    /// Refuses a name that a topic has, or that collides with one.
    fn check_free(&self, name: &str) -> Result<()> {
        let topics = self.topics();
        match topics.keys().find(|taken| name::collide(taken, name)) {
            None => Ok(()),
            Some(taken) if taken == name => Err(Error::TopicExists { topic: taken.clone() }),
            Some(existing) => {
                let (topic, existing) = (name.to_owned(), existing.clone());
                Err(Error::TopicNameCollision { topic, existing })
            }
        }
    }

    /// The log directories for so many new partitions.
    fn plan(&self, count: u32) -> Vec<Uuid> {
        let mut held: BTreeMap<Uuid, usize> = BTreeMap::new();
        for id in self.topics().values().flat_map(|topic| &topic.directories) {
            *held.entry(*id).or_default() += 1;
        }
        let online = self.dirs.online().iter().map(|dir| dir.id());
        let mut held: Vec<(Uuid, usize)> =
            online.map(|id| (id, held.get(&id).copied().unwrap_or(0))).collect();
        (0..count).map(|_| least_held(&mut held)).collect()
    }

    /// Creates the partitions that `growing` has beyond those that are created, durably. `before` is the topic's record until
    /// now.
    fn extend(
        &self,
        name: &str,
        growing: &TopicRecord,
        before: Option<&TopicRecord>,
    ) -> Result<Vec<Arc<Log>>> {
        self.append(name, Some(growing))?;
        let mut made = Vec::new();
        let result = self.log.sync().and_then(|_| self.make(name, growing, &mut made));
        let Err(error) = result else { return Ok(made) };
        made.into_iter().for_each(|log| log.retire());
        // Without this, the next open would complete the creation that is reported as failed. Nothing is set aside before:
        // where it cannot be made durable, the catalog may have it that the partitions are created.
        if self.append(name, before).and_then(|()| self.log.sync()).is_ok()
            && let Err(error) = set_aside(&self.dirs, name, growing.id, growing.new_partitions())
        {
            ::log::warn!("what a failed creation of {name} made is still there: {}", Chain(&error));
        }
        Err(error)
    }

    fn make(&self, name: &str, growing: &TopicRecord, made: &mut Vec<Arc<Log>>) -> Result<()> {
        for (number, dir) in growing.new_partitions() {
            made.push(self.create_partition(name, growing, number, dir)?);
        }
        self.append(name, Some(&growing.completed()))?;
        let ids = self.producer_ids.take_ahead();
        ids.map_or(Ok(()), |(_, end)| self.append_producer_ids(end))?;
        self.log.sync()?;
        if let Some((start, end)) = ids {
            self.producer_ids.give(start, end);
        }
        Ok(())
    }

    fn create_partition(
        &self,
        topic: &str,
        record: &TopicRecord,
        partition: PartitionId,
        dir: Uuid,
    ) -> Result<Arc<Log>> {
        let offline = |source| Error::PartitionOffline { topic: topic.to_owned(), partition, source };
        let dir = self.dirs.get(dir).map_err(offline)?;
        log::create(dir, TopicPartition::new(topic, partition), record.id, record.config.clone())
    }
}

fn check_count(topic: &str, requested: u32) -> Result<()> {
    let limit = PARTITIONS_MAX;
    if (1..=limit).contains(&requested) {
        Ok(())
    } else {
        Err(Error::InvalidPartitionCount { topic: topic.to_owned(), requested, limit })
    }
}

/// Puts one more partition into the directory with the fewest, and of those into the first.
fn least_held(held: &mut [(Uuid, usize)]) -> Uuid {
    let (id, count) = held.iter_mut().min_by_key(|(_, count)| *count).expect("the first directory is online");
    *count += 1;
    *id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_go_where_the_fewest_are_and_to_the_first_of_those() {
        let ids = [1, 2, 3].map(|number| Uuid::from_bytes([number; 16]));
        let mut held = vec![(ids[0], 2), (ids[1], 0), (ids[2], 1)];
        let planned: Vec<Uuid> = (0..6).map(|_| least_held(&mut held)).collect();
        assert_eq!(planned, [ids[1], ids[1], ids[2], ids[0], ids[1], ids[2]]);
    }
}
