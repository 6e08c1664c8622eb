//! Counters that any floor bumps, and the snapshot of them that a user reads.
//!
//! Counting is a relaxed addition to a number of the partition's own, so partitions do not slow each other down. The
//! numbers of one snapshot are read one after the other: each is right, their sum is not of one moment.

use crate::sync::{AtomicU64, Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Adds one.
    pub(crate) fn bump(&self) {
        self.add(1);
    }

    /// What has been counted so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one partition's log counts.
#[derive(Debug, Default)]
pub(crate) struct LogCounters {
    pub(crate) records_appended: Counter,
    pub(crate) batches_appended: Counter,
    pub(crate) bytes_appended: Counter,
    pub(crate) append_failures: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) segments_rolled: Counter,
    pub(crate) sync_rounds: Counter,
    pub(crate) sync_failures: Counter,
    pub(crate) index_failures: Counter,
}

/// What a broker has done since it was opened, over all its partitions. From [`Broker::metrics`](crate::Broker::metrics).
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let before = broker.metrics().records_appended;
/// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
/// assert_eq!(broker.metrics().records_appended, before + 1);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Records appended, the catalog's own among them.
    pub records_appended: u64,
    /// Batches appended.
    pub batches_appended: u64,
    /// Bytes appended, as stored.
    pub bytes_appended: u64,
    /// Appends that failed for reasons of the disk.
    pub append_failures: u64,
    /// Bytes handed to readers, as stored.
    pub bytes_read: u64,
    /// Segments begun because the one before was full, old, or out of index or offsets.
    pub segments_rolled: u64,
    /// Rounds of fsync; one round serves all who wait for it.
    pub sync_rounds: u64,
    /// Rounds that failed; each poisons its partition.
    pub sync_failures: u64,
    /// Index files that could not be written; they stay in memory and are tried again.
    pub index_failures: u64,
    /// Files and maps open now; at most `max_open_files`.
    pub open_files: u64,
}

impl Metrics {
    /// Adds one partition's numbers.
    pub(crate) fn add(&mut self, log: &LogCounters) {
        self.records_appended += log.records_appended.get();
        self.batches_appended += log.batches_appended.get();
        self.bytes_appended += log.bytes_appended.get();
        self.append_failures += log.append_failures.get();
        self.bytes_read += log.bytes_read.get();
        self.segments_rolled += log.segments_rolled.get();
        self.sync_rounds += log.sync_rounds.get();
        self.sync_failures += log.sync_failures.get();
        self.index_failures += log.index_failures.get();
    }
}
