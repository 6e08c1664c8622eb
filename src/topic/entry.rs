//! A topic as the catalog knows it, with the logs of its partitions.

use super::catalog_record::TopicRecord;
use crate::error::{Error, Result};
use crate::log::{Log, TopicConfig};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// A topic and its partitions.
#[derive(Debug, Clone)]
pub(crate) struct TopicEntry {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) config: TopicConfig,
    /// How many partitions are known to be created; fewer than there are where one could not be.
    pub(super) created: u32,
    /// By partition number: the log directory that it is in.
    pub(super) directories: Vec<Uuid>,
    /// By partition number: the log, or why there is none.
    pub(crate) partitions: Vec<Result<Arc<Log>, Arc<Error>>>,
}

impl TopicEntry {
    /// The topic of a record, with its logs.
    pub(super) fn new(
        name: &str,
        record: TopicRecord,
        partitions: Vec<Result<Arc<Log>, Arc<Error>>>,
    ) -> TopicEntry {
        let TopicRecord { id, created, config, directories, .. } = record;
        TopicEntry { name: name.to_owned(), id, config, created, directories, partitions }
    }

    /// The record that tells of it.
    pub(super) fn record(&self) -> TopicRecord {
        TopicRecord {
            id: self.id,
            created: self.created,
            config: self.config.clone(),
            directories: self.directories.clone(),
            is_deleting: false,
        }
    }

    /// How many partitions there are.
    pub(crate) fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("a topic's partitions are counted in 31 bits")
    }

    /// The log of one partition.
    pub(crate) fn log(&self, partition: u32) -> Result<&Arc<Log>> {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        match self.partitions.get(index) {
            Some(Ok(log)) => Ok(log),
            Some(Err(source)) => Err(Error::PartitionOffline {
                topic: self.name.clone(),
                partition: partition.try_into()?,
                source: Arc::clone(source),
            }),
            None => {
                let (topic, count) = (self.name.clone(), self.partition_count());
                Err(Error::UnknownPartition { topic, partition, count })
            }
        }
    }

    /// The logs of the partitions that are online.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.partitions.iter().filter_map(|partition| partition.as_ref().ok())
    }
}
