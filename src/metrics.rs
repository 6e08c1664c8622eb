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

/// What scrubbing counts.
#[derive(Debug, Default)]
pub(crate) struct ScrubCounters {
    pub(crate) bytes: Counter,
    pub(crate) segments: Counter,
    pub(crate) damage: Counter,
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
    /// Files and maps open now; at most `max_open_files`. Scrubbing has up to three of its own, which are not counted.
    pub open_files: u64,
    /// Bytes of sealed segments that scrubbing has checked ([`BrokerConfig::scrub_interval`](crate::BrokerConfig::scrub_interval())).
    pub bytes_scrubbed: u64,
    /// Sealed segments that it has checked to their ends.
    pub segments_scrubbed: u64,
    /// Damage that it has found, each once and a thousand at most: batches, indexes, and files that cannot be read.
    pub damage_found: u64,
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

    /// Sets what scrubbing has counted.
    pub(crate) fn set_scrubbed(&mut self, scrubbed: &ScrubCounters) {
        self.bytes_scrubbed = scrubbed.bytes.get();
        self.segments_scrubbed = scrubbed.segments.get();
        self.damage_found = scrubbed.damage.get();
    }
}

/// What one topic has taken since the broker was opened, by partition. From [`Topic::metrics`](crate::Topic::metrics).
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// let orders = broker.admin().create_topic(NewTopic::new("orders").partitions(4))?;
/// for (number, count) in [(0, 3), (1, 2), (2, 1)] {
///     orders.partition(number)?.append(&vec![Record::new().value("3 apples"); count])?;
/// }
/// let metrics = orders.metrics();
/// assert_eq!(metrics.records_appended(), 6);
/// assert_eq!(metrics.partitions[1].records_appended, 2);
/// assert!(metrics.bytes_appended() > 6 * 8);
/// assert_eq!(metrics.skew(), 2.0, "half of all in one of four");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicMetrics {
    /// By number; an offline one has taken nothing.
    pub partitions: Vec<PartitionMetrics>,
}

/// What one partition has taken since the broker was opened. In [`TopicMetrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionMetrics {
    /// Records appended.
    pub records_appended: u64,
    /// Bytes appended, as stored.
    pub bytes_appended: u64,
}

impl TopicMetrics {
    /// Records appended to all partitions.
    #[must_use]
    pub fn records_appended(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.records_appended).sum()
    }

    /// Bytes appended to all partitions, as stored.
    #[must_use]
    pub fn bytes_appended(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes_appended).sum()
    }

    /// How unevenly the records are spread: those of the partition that took the most, divided by the mean of all
    /// partitions. 1.0 is even, and the figure of a topic that took nothing; n is everything in one of n partitions.
    ///
    /// It counts records appended since the broker was opened, whatever their size and whether they are still there.
    /// Offline partitions count as ones that took nothing. A figure over few records says little: one record alone is all
    /// in one partition.
    #[must_use]
    pub fn skew(&self) -> f64 {
        let fullest = self.partitions.iter().map(|partition| partition.records_appended).max().unwrap_or(0);
        match self.records_appended() {
            0 => 1.0,
            all => fullest as f64 * self.partitions.len() as f64 / all as f64,
        }
    }
}

impl PartitionMetrics {
    /// One partition's numbers.
    pub(crate) fn of(log: &LogCounters) -> PartitionMetrics {
        PartitionMetrics {
            records_appended: log.records_appended.get(),
            bytes_appended: log.bytes_appended.get(),
        }
    }
}
