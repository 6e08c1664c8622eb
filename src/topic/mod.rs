//! Names, the partitioning of records, and the catalog of topics with the partitions under each.

mod adopt;
mod alter;
mod catalog;
mod catalog_record;
mod create;
mod delete;
mod entry;
mod name;
mod new_topic;
mod opening;
mod partitioning;
mod producer_ids;
mod replay;
mod verifying;

pub(crate) use catalog::Catalog;
pub(crate) use create::PARTITIONS_MAX;
pub(crate) use entry::TopicEntry;
pub(crate) use name::{OFFSETS_TOPIC, check_not_internal, is_internal};
pub use new_topic::NewTopic;
pub(crate) use opening::CatalogReport;
pub use partitioning::{
    ConsistentPartitioner, HashPartitioner, PartitionChoice, Partitioner, RoundRobinPartitioner,
    StickyPartitioner,
};
pub(crate) use partitioning::{StickyChoice, choose};
