//! An embeddable streaming log: Kafka's topics, partitions and segments, inside your own process.

mod error;
mod offset;
mod record;
mod storage;
mod sync;

pub use error::{Corruption, Error, Result};
pub use offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
pub use record::{
    BatchBuilder, BatchRecords, BatchRecordsIter, Compression, ControlType, EncodedBatch, Header, Headers,
    Record, RecordBatch, RecordView, TimestampType,
};
pub use storage::{
    Access, DiskStorage, Entry, EntryKind, MemoryStorage, Slice, Storage, StorageFile, StorageLock,
};
