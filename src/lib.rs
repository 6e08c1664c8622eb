//! An embeddable streaming log: Kafka's topics, partitions and segments, inside your own process.
//!
//! A [`Broker`] keeps its topics in a directory, or in memory. Each [`Partition`] of a [`Topic`] is an append-only log:
//! [`append`](Partition::append) gives records their offsets, [`sync`](Partition::sync) makes them survive a power cut,
//! [`read`](Partition::read) gives whole batches back, by offset. There is no server and no async runtime; a partition's
//! files are Kafka's, byte for byte.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let data = directory.path().join("data");
//! use streamlog::{Broker, NewTopic, Offset, Record};
//!
//! let broker = Broker::open(&data)?;
//! broker.admin().create_topic(NewTopic::new("orders").partitions(3))?;
//! let orders = broker.topic("orders")?.partition(0)?;
//!
//! orders.append(&[Record::new().key("alice").value("3 apples")])?;
//! orders.sync()?;
//!
//! for batch in &orders.read(Offset::ZERO, 1 << 20)? {
//!     for record in &batch.records()? {
//!         println!("{} {:?} {:?}", record.offset(), record.key(), record.value());
//!     }
//! }
//! # Ok::<(), streamlog::Error>(())
//! ```
//!
//! # A map of the types
//!
//! | to | look at |
//! |---|---|
//! | open, close, find out what recovery did | [`Broker`], [`BrokerBuilder`], [`BrokerConfig`], [`RecoveryReport`] with its [`PartitionRecovery`]s |
//! | see what it has done | [`Metrics`], [`TopicMetrics`] with its [`PartitionMetrics`] |
//! | create, list, describe, extend and delete topics | [`Admin`], [`NewTopic`], [`TopicConfig`], [`TopicCompression`], [`TopicDescription`] |
//! | append, sync, read | [`Topic`], [`Partition`], [`Record`], [`Compression`] |
//! | follow partitions: wait for records, and remember where | [`Consumer`], [`ConsumerBuilder`] with [`AutoOffsetReset`] and [`IsolationLevel`], [`ConsumerWaker`]; [`Records`] with [`RecordsIter`], [`ConsumerRecord`], [`OwnedRecord`] |
//! | choose partitions | [`Partitioner`] with its [`PartitionChoice`]; [`HashPartitioner`], [`ConsistentPartitioner`], [`RoundRobinPartitioner`], [`StickyPartitioner`] |
//! | look at what was read | [`Batches`], [`RecordBatch`] with its [`TimestampType`] and [`ControlType`], [`BatchRecords`], [`RecordView`], [`Headers`] |
//! | encode batches yourself | [`BatchBuilder`], [`EncodedBatch`] |
//! | look into a file | [`Segment`], [`SegmentBatches`] |
//! | name places and times | [`Offset`], [`PartitionId`], [`TopicPartition`], [`LeaderEpoch`], [`Timestamp`], [`Uuid`] |
//! | tell what went wrong | [`Error`], [`Corruption`] |
//! | move the clock, replace the disk | [`Clock`], [`SystemClock`], [`ManualClock`]; [`Storage`], [`StorageFile`], [`Slice`], [`DiskStorage`], [`MemoryStorage`] |
//!
//! # What a call promises
//!
//! `append` returns once its records are in the page cache and readable: a crash of the process loses none of them.
//! `sync` returns once everything appended before it is on the device. Reads never wait for writers, and what a read
//! returned stays valid for as long as it is held. Damage is an error that names the place; nothing is skipped.
//!
//! # Following a partition
//!
//! A [`Consumer`] follows any number of partitions: it remembers where it stands in each and waits for more. Without one:
//!
//! Remember where to read on ([`Batches::next_offset`]) together with what was done with the records, and read from there:
//! an offset is a `u64` on the outside (`u64::from(offset)`, [`Offset::try_from`]). Records are readable before they are
//! durable; who must not act on one that a power cut could take back stops at [`durable_offset`](Partition::durable_offset).
//! A remembered offset that lies behind the end after a power cut ([`Error::OffsetOutOfRange`]) is of a record that was never
//! durable.
//!
//! # Features
//!
//! Each codec is one, and on by default: `gzip`, `snappy`, `lz4`, `zstd` (which builds C). Without its feature, writing a batch
//! of that codec or looking at its records is [`Error::CodecDisabled`].

mod admin;
mod broker;
mod clock;
mod consumer;
mod error;
mod log;
mod metrics;
mod offset;
mod producer;
mod record;
mod segment;
mod settings;
mod signal;
mod storage;
mod sync;
mod topic;
mod uuid;

/// The README's program, compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use admin::{Admin, PartitionDescription, TopicDescription};
pub use broker::{Broker, BrokerBuilder, BrokerConfig, Partition, RecoveryReport, Topic};
pub use clock::{Clock, ManualClock, SystemClock};
pub use consumer::{
    AutoOffsetReset, Consumer, ConsumerBuilder, ConsumerRecord, ConsumerWaker, IsolationLevel, OwnedRecord,
    Records, RecordsIter,
};
pub use error::{Corruption, Error, Result};
pub use log::{Cut, PartitionRecovery, TopicCompression, TopicConfig};
pub use metrics::{Metrics, PartitionMetrics, TopicMetrics};
pub use offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
pub use producer::{Acks, Delivery, Producer, ProducerBuilder, RecordMetadata};
pub use record::{
    BatchBuilder, BatchRecords, BatchRecordsIter, Compression, ControlType, EncodedBatch, Header, Headers,
    Record, RecordBatch, RecordView, TimestampType,
};
pub use segment::{Batches, Segment, SegmentBatches};
pub use storage::{
    Access, DiskStorage, Entry, EntryKind, MemoryStorage, Slice, Storage, StorageFile, StorageLock,
};
pub use topic::{
    ConsistentPartitioner, HashPartitioner, NewTopic, PartitionChoice, Partitioner, RoundRobinPartitioner,
    StickyPartitioner,
};
pub use uuid::Uuid;
