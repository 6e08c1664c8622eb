//! An embeddable streaming log: Kafka's topics, partitions and segments, inside your own process.
//!
//! A [`Broker`] keeps its topics in a directory, or in memory. A [`Producer`] sends records to them, a [`Consumer`] reads them
//! back, from any offset or point in time, alone or in a group that shares them and remembers how far it got. Each
//! [`Partition`] of a [`Topic`] is an append-only log, which can be used without either of them, too. There is no server and no
//! async runtime; a partition's files are Kafka's, byte for byte.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let data = directory.path().join("data");
//! use std::time::Duration;
//! use streamlog::{AutoOffsetReset, Broker, NewTopic, Record};
//!
//! let broker = Broker::open(&data)?; // or Broker::in_memory()?
//! broker.admin().create_topic(NewTopic::new("orders"))?;
//!
//! let producer = broker.producer().build()?;
//! producer.send(Record::to("orders").key("alice").value("3 apples"))?.wait()?;
//!
//! let group = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
//! let mut consumer = group.build()?;
//! consumer.subscribe(["orders"])?;
//! for record in &consumer.poll(Duration::from_millis(500))? {
//!     println!("{}@{} {:?}", record.topic_partition(), record.offset(), record.value());
//! }
//! consumer.commit()?;
//! # Ok::<(), streamlog::Error>(())
//! ```
//!
//! # A map of the types
//!
//! | to | look at |
//! |---|---|
//! | open, close, find out what recovery did | [`Broker`], [`BrokerBuilder`], [`BrokerConfig`], [`RecoveryMode`], [`RecoveryReport`] with its [`PartitionRecovery`]s, [`Cut`] and [`Lost`] |
//! | see what it has done, and what has rotted | [`Metrics`], [`ScrubReport`], [`TopicMetrics`] with its [`PartitionMetrics`] |
//! | create, list, describe, alter, extend and delete topics | [`Admin`], [`NewTopic`], [`TopicConfig`], [`TopicCompression`], [`TopicDescription`] |
//! | send records | [`Producer`], [`ProducerBuilder`] with [`Acks`] and [`Compression`], [`Record`]; [`Delivery`] with its [`RecordMetadata`] |
//! | choose partitions | [`Partitioner`] with its [`PartitionChoice`]; [`HashPartitioner`], [`ConsistentPartitioner`], [`RoundRobinPartitioner`], [`StickyPartitioner`] |
//! | read records, wait for more, and remember where | [`Consumer`], [`ConsumerBuilder`] with [`AutoOffsetReset`] and [`IsolationLevel`], [`ConsumerWaker`]; [`Records`] with [`RecordsIter`], [`ConsumerRecord`], [`OwnedRecord`] |
//! | share topics among the members of a group, and commit how far it got | [`Consumer::subscribe`], [`RebalanceListener`] with its [`Rebalance`], [`Commit`], [`OffsetAndMetadata`], [`CommittedOffset`] |
//! | share partitions out | [`Range`], [`RoundRobin`], [`Sticky`], [`CooperativeSticky`]; [`Assignor`] with [`Subscriptions`] of [`MemberSubscription`]s and [`SubscribedTopics`], [`PreviousAssignment`], [`RebalanceProtocol`], [`TopicPartitions`], [`Assignment`] |
//! | look after groups | [`GroupListing`], [`GroupDescription`] with its [`MemberDescription`]s and [`GroupState`], [`RebalanceReport`] with its [`MemberChange`]s and [`PartitionMove`]s, [`OffsetSpec`] |
//! | process records on several threads | [`ConsumerBuilder::workers`], [`ConsumerBuilder::worker_pool`]: [`Workers`] |
//! | append to, sync and read one partition, by batches | [`Topic`], [`Partition`], [`Batches`], [`RecordBatch`] with its [`TimestampType`] and [`ControlType`], [`BatchRecords`], [`RecordView`], [`Headers`] |
//! | encode batches yourself | [`BatchBuilder`], [`EncodedBatch`] |
//! | prove that a directory is sound, or say what is not | [`BrokerBuilder::verify`], [`Verification`] with its [`Finding`]s: [`FindingKind`], [`Severity`] |
//! | look into a directory that is in use, or into a file | [`BrokerBuilder::read_only`], [`Segment`] with its [`SegmentBatches`] |
//! | name places and times | [`Offset`], [`PartitionId`], [`TopicPartition`], [`LeaderEpoch`], [`Timestamp`], [`Uuid`] |
//! | tell what went wrong | [`Error`], [`Corruption`] |
//! | move the clock, replace the disk | [`Clock`], [`SystemClock`], [`ManualClock`]; [`Storage`], [`StorageFile`], [`Slice`], [`DiskStorage`], [`MemoryStorage`] |
//!
//! With the feature `testing`: `testing::TestDisk`, `testing::EveryCrash` and `testing::EveryFault` break the disk.
//!
//! # What a call promises
//!
//! [`send`](Producer::send) returns once the record is in the open batch of its partition. With no `linger`, and nobody else
//! sending there, that batch has been appended by then. [`wait`](Delivery::wait) returns once the record is delivered as
//! [`Acks`] demand:
//!
//! | | is known of the record | a crash of the process | a power cut |
//! |---|---|---|---|
//! | [`Acks::None`] | nothing | loses it, if it was still in its batch | loses it, if nothing has synced it yet |
//! | [`Acks::Leader`] | appended: readable, with its offset | loses nothing | loses it, if nothing has synced it yet |
//! | [`Acks::All`] | appended, and on the device | loses nothing | loses nothing |
//!
//! [`flush`](Producer::flush) and [`close`](Producer::close) say the same of all that was sent before. A [`Delivery`] that is
//! dropped keeps nothing from happening: with [`Acks::All`] the background syncs its record within moments, with
//! [`Acks::Leader`] the next checkpoint does.
//!
//! A poll returns records in the order of each partition's offsets, and moves the consumer's position behind them; none is
//! skipped. Positions live in memory. To go on after a restart, [commit](Consumer::commit) them with a group: records are then returned
//! once at least. So that nothing is done twice, store them together with what was done with the records, and
//! [`seek`](Consumer::seek) there, as `examples/resume.rs` in the repository does, and read with
//! [`IsolationLevel::ReadDurable`]. Records are readable before they are durable, and the offset of one that a power cut has
//! taken back is given to another: a group's commits know that, a position that is stored elsewhere would pass it over.
//!
//! Reads never wait for writers, and what a read returned stays valid for as long as it is held. Damage is an error that names
//! the place; nothing is passed over. [`Error::unreadable_offsets`] says where a reader goes on that can do without,
//! [`BrokerBuilder::verify`] what is damaged at all, and [`RecoveryMode`] what an open may do about it.
//!
//! What no call can tell goes to the facade of the [`log`](https://docs.rs/log) crate: failures with [`Acks::None`], appends
//! that are tried again, positions that were reset, checkpoints that failed. A program that installs no logger does not see
//! them.
//!
//! # One level down
//!
//! A [`Partition`] is what producers and consumers are built on. [`append`](Partition::append) returns once its records are in the
//! page cache and readable, as with [`Acks::Leader`]; [`sync`](Partition::sync) once everything appended before it is on the
//! device; [`read`](Partition::read) gives whole batches back, and [`Batches::next_offset`] says where to read on.
//!
//! ```
//! use streamlog::{Broker, NewTopic, Offset, Record};
//!
//! let broker = Broker::in_memory()?;
//! broker.admin().create_topic(NewTopic::new("orders"))?;
//! let orders = broker.topic("orders")?.partition(0)?;
//! orders.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
//! orders.sync()?;
//!
//! let mut next = Offset::ZERO;
//! while next < orders.durable_offset() {
//!     for batch in &orders.read(next, 1 << 20)? {
//!         for record in &batch.records()? {
//!             println!("{} {:?}", record.offset(), record.value());
//!         }
//!         next = batch.next_offset();
//!     }
//! }
//! assert_eq!(next, 2);
//! # Ok::<(), streamlog::Error>(())
//! ```
//!
//! An offset is a `u64` on the outside (`u64::from(offset)`, [`Offset::try_from`]). A remembered offset that lies behind the end
//! after a power cut ([`Error::OffsetOutOfRange`]) is of a record that was never durable.
//!
//! # Features
//!
//! Each codec is one, and on by default: `gzip`, `snappy`, `lz4`, `zstd` (which builds C). Without its feature, writing a batch
//! of that codec or looking at its records is [`Error::CodecDisabled`].
//!
//! `testing`, off by default, adds the module `testing`: a disk that breaks on purpose, and what breaks it at every step of a piece
//! of code, for your own tests. The crate's tests are written with it.

mod acks;
mod admin;
mod broker;
mod clock;
mod consumer;
mod error;
mod group;
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
#[cfg(feature = "testing")]
pub mod testing;
mod topic;
mod uuid;

/// The README's program, run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of `docs/consuming.md`, run with the documentation's: each behind what all of them begin with.
#[cfg(doctest)]
macro_rules! ways_of_consuming {
    ($($name:ident: $program:literal,)*) => {
        $(
            #[doc = "```"]
            #[doc = include_str!("../docs/consuming/orders.rs")]
            #[doc = include_str!($program)]
            #[doc = "```"]
            struct $name;
        )*
    };
}

#[cfg(doctest)]
ways_of_consuming! {
    AtMostOnce: "../docs/consuming/at_most_once.rs",
    PerPoll: "../docs/consuming/per_poll.rs",
    PerRecord: "../docs/consuming/per_record.rs",
    PerInterval: "../docs/consuming/per_interval.rs",
    OnceInEffect: "../docs/consuming/once_in_effect.rs",
    ManyThreads: "../docs/consuming/many_threads.rs",
}

pub use acks::Acks;
pub use admin::{Admin, OffsetSpec, PartitionDescription, TopicDescription};
pub use broker::{
    Broker, BrokerBuilder, BrokerConfig, Partition, RecoveryReport, ScrubReport, Topic, Verification,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use consumer::{
    AutoOffsetReset, Commit, Consumer, ConsumerBuilder, ConsumerRecord, ConsumerWaker, IsolationLevel,
    OffsetAndMetadata, OwnedRecord, Rebalance, RebalanceListener, Records, RecordsIter, Workers,
};
pub use error::{Corruption, Error, Result};
pub use group::{
    Assignment, Assignor, CommittedOffset, CooperativeSticky, GroupDescription, GroupListing, GroupState,
    MemberChange, MemberDescription, MemberSubscription, PartitionMove, PreviousAssignment, Range,
    RebalanceProtocol, RebalanceReport, RoundRobin, Sticky, SubscribedTopics, Subscriptions, TopicPartitions,
};
pub use log::{
    Cut, Finding, FindingKind, Lost, PartitionRecovery, RecoveryMode, Severity, TopicCompression, TopicConfig,
};
pub use metrics::{Metrics, PartitionMetrics, TopicMetrics};
pub use offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
pub use producer::{Delivery, Producer, ProducerBuilder, RecordMetadata};
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
