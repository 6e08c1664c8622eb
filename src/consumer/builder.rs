//! How a consumer is made.

use std::time::Duration;

use super::config::{ConsumerConfig, SETTINGS};
use super::handle::Consumer;
use super::isolation::IsolationLevel;
use super::offset_reset::AutoOffsetReset;
use crate::broker::Broker;
use crate::error::Result;

/// Makes a [`Consumer`]. From [`Broker::consumer`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker, NewTopic, PartitionId, Record, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// broker.topic("orders")?.partition(0)?.append(&[Record::new().key("alice").value("3 apples")])?;
///
/// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
/// consumer.assign([TopicPartition::new("orders", PartitionId::ZERO)])?;
/// for record in &consumer.poll(Duration::from_millis(500))? {
///     assert_eq!((record.offset(), record.value()), (0_u32.into(), Some(&b"3 apples"[..])));
/// }
///
/// // Little memory; and few polls, each of which has waited for its worth.
/// let consumer = broker
///     .consumer()
///     .fetch_max_bytes(1 << 20)
///     .max_partition_fetch_bytes(64 << 10)
///     .fetch_min_bytes(16 << 10)
///     .fetch_max_wait(Duration::from_millis(100))
///     .check_crcs(true)
///     .build()?;
/// # drop(consumer);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is read before `build`, `assign` and `poll`"]
pub struct ConsumerBuilder {
    broker: Broker,
    config: ConsumerConfig,
    ignored: Vec<String>,
}

impl Broker {
    /// To read records: begins a consumer with Kafka's default settings.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder { broker: self.clone(), config: ConsumerConfig::default(), ignored: Vec::new() }
    }
}

impl ConsumerBuilder {
    /// Where to begin in a partition without a position, or with one that does not exist. [`Latest`](AutoOffsetReset::Latest)
    /// by default. Kafka's `auto.offset.reset`.
    pub fn auto_offset_reset(mut self, reset: AutoOffsetReset) -> ConsumerBuilder {
        self.config.auto_offset_reset = reset;
        self
    }

    /// Which records are visible. [`ReadUncommitted`](IsolationLevel::ReadUncommitted) by default. Kafka's
    /// `isolation.level`.
    pub fn isolation(mut self, level: IsolationLevel) -> ConsumerBuilder {
        self.config.isolation = level;
        self
    }

    /// How many records one poll returns at most. At least 1; 500 by default. What was fetched beyond them is kept for the
    /// next poll. Kafka's `max.poll.records`.
    pub fn max_poll_records(mut self, count: usize) -> ConsumerBuilder {
        self.config.max_poll_records = count;
        self
    }

    /// How many bytes of batches, as stored, must be there before a poll returns, unless they are not within
    /// [`fetch_max_wait`](Self::fetch_max_wait). 1 by default: whatever is there is returned. At most
    /// [`fetch_max_bytes`](Self::fetch_max_bytes). Kafka's `fetch.min.bytes`.
    pub fn fetch_min_bytes(mut self, bytes: usize) -> ConsumerBuilder {
        self.config.fetch_min_bytes = bytes;
        self
    }

    /// How many bytes of batches, as stored, the consumer fetches and holds at a time for all of its partitions; one batch
    /// may always be larger. 50 MiB by default. Records that a poll has returned are not counted. Kafka's
    /// `fetch.max.bytes`.
    pub fn fetch_max_bytes(mut self, bytes: usize) -> ConsumerBuilder {
        self.config.fetch_max_bytes = bytes;
        self
    }

    /// How long a poll that has found some bytes, but fewer than [`fetch_min_bytes`](Self::fetch_min_bytes), waits for the
    /// rest before it returns what there is. 500 ms by default. Kafka's `fetch.max.wait.ms`.
    pub fn fetch_max_wait(mut self, wait: Duration) -> ConsumerBuilder {
        self.config.fetch_max_wait = wait;
        self
    }

    /// How many bytes of batches, as stored, are fetched from one partition at a time; one batch may always be larger.
    /// 1 MiB by default. Kafka's `max.partition.fetch.bytes`.
    pub fn max_partition_fetch_bytes(mut self, bytes: usize) -> ConsumerBuilder {
        self.config.max_partition_fetch_bytes = bytes;
        self
    }

    /// Whether the CRC of each batch is checked when it is fetched. On by default; without it, damage may be returned as
    /// records. Kafka's `check.crcs`.
    pub fn check_crcs(mut self, checks: bool) -> ConsumerBuilder {
        self.config.check_crcs = checks;
        self
    }

    /// Sets what Kafka's properties for a consumer say, by name and value.
    ///
    /// A property that means nothing here is accepted, and listed by [`ignored`](Self::ignored): also those of groups, as
    /// there are none yet.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting); [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a
    /// text that is no such value.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Broker;
    ///
    /// let broker = Broker::in_memory()?;
    /// let settings = [("max.poll.records", "100"), ("bootstrap.servers", "localhost:9092")];
    /// let builder = broker.consumer().properties(settings)?;
    /// assert_eq!(builder.ignored(), ["bootstrap.servers"]);
    /// assert!(builder.to_properties().contains(&("max.poll.records", "100".to_owned())));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn properties<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ConsumerBuilder> {
        self.ignored.extend(SETTINGS.apply_all(&mut self.config, pairs)?);
        Ok(self)
    }

    /// Every setting by Kafka's name.
    #[must_use]
    pub fn to_properties(&self) -> Vec<(&'static str, String)> {
        SETTINGS.properties(&self.config)
    }

    /// The names among all [`properties`](Self::properties) so far that mean nothing here, in their order. Until there are
    /// groups, `group.id` is one of them.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Makes the consumer. It has no partitions yet: [`assign`](Consumer::assign) some.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a setting out of its bounds, or that contradicts another;
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn build(self) -> Result<Consumer> {
        self.config.validate()?;
        self.broker.shared.check_open()?;
        Ok(Consumer::new(&self.broker.shared, self.config))
    }
}
