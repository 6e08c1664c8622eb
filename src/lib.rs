//! An embeddable streaming log: Kafka's topics, partitions and segments, inside your own process.

mod admin;
mod broker;
mod clock;
mod error;
mod log;
mod metrics;
mod offset;
mod record;
mod segment;
mod signal;
mod storage;
mod sync;
mod topic;
mod uuid;

pub use admin::{Admin, PartitionDescription, TopicDescription};
pub use broker::{Broker, BrokerBuilder, BrokerConfig, Partition, RecoveryReport, Topic};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Corruption, Error, Result};
pub use log::{Cut, PartitionRecovery, TopicConfig};
pub use metrics::Metrics;
pub use offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
pub use record::{
    BatchBuilder, BatchRecords, BatchRecordsIter, Compression, ControlType, EncodedBatch, Header, Headers,
    Record, RecordBatch, RecordView, TimestampType,
};
pub use segment::{Batches, Segment, SegmentBatches};
pub use storage::{
    Access, DiskStorage, Entry, EntryKind, MemoryStorage, Slice, Storage, StorageFile, StorageLock,
};
pub use topic::NewTopic;
pub use uuid::Uuid;
