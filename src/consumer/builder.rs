//! How a consumer is made.

use std::time::Duration;

use super::config::{ConsumerConfig, SETTINGS};
use super::handle::Consumer;
use super::isolation::IsolationLevel;
use super::offset_reset::AutoOffsetReset;
use crate::broker::Broker;
use crate::error::Result;
use crate::group::Assignor;
use crate::sync::Arc;

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
    pub(super) config: ConsumerConfig,
    ignored: Vec<String>,
}

impl Broker {
    /// To read records: begins a consumer with Kafka's default settings.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder { broker: self.clone(), config: ConsumerConfig::default(), ignored: Vec::new() }
    }
}

impl ConsumerBuilder {
    /// The group that the consumer belongs to: it shares the partitions of what it [subscribes](Consumer::subscribe) to with
    /// the group's other members, and [commits](Consumer::commit) how far it got. Without one it reads only what it is
    /// [given](Consumer::assign), and remembers nothing. Kafka's `group.id`.
    pub fn group(mut self, group: impl Into<String>) -> ConsumerBuilder {
        self.config.group = Some(group.into());
        self
    }

    /// Makes it a static member (KIP-345): one that is known by this name, keeps its partitions for
    /// [`session_timeout`](Self::session_timeout) after it was closed or dropped, and gets them back without a rebalance where
    /// it returns before that. Must be unique in the group: a second one fences the first. Members end with the broker: one that
    /// is opened again knows of none, static or not, and those that come begin with a rebalance. Kafka's `group.instance.id`.
    pub fn group_instance_id(mut self, id: impl Into<String>) -> ConsumerBuilder {
        self.config.group_instance_id = Some(id.into());
        self
    }

    /// How the partitions are shared out, the best first: the group takes the one that most of its members like best, of those
    /// that all of them have. [`Range`](crate::Range) and [`CooperativeSticky`](crate::CooperativeSticky) by default, which
    /// means the first. With one among them that is not cooperative, rebalances are eager. Kafka's
    /// `partition.assignment.strategy`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use streamlog::{Broker, CooperativeSticky, Sticky};
    ///
    /// let broker = Broker::in_memory()?;
    /// let one = broker.consumer().group("billing").assignor(CooperativeSticky);
    /// let both = broker.consumer().group("shipping").assignors([Arc::new(CooperativeSticky) as _, Arc::new(Sticky) as _]);
    /// # (one.build()?, both.build()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Arc<dyn Assignor>>) -> ConsumerBuilder {
        self.config.assignors = assignors.into_iter().collect();
        self
    }

    /// How often the positions are committed without being asked for; `None`: never. They are committed in a poll, once so long
    /// is over; before the partitions are given up in a rebalance; and by [`close`](Consumer::close) and
    /// [`unsubscribe`](Consumer::unsubscribe). What is committed then is all that earlier polls returned: it counts as
    /// processed. Nobody waits for the disk but the last two. What has not moved is left out, but for a consumer that was
    /// [given](Consumer::assign) its partitions: it commits that again in time, so that it does not expire. Every 5 s by default where there is a group. Kafka's
    /// `enable.auto.commit` and `auto.commit.interval.ms`.
    pub fn auto_commit(mut self, interval: Option<Duration>) -> ConsumerBuilder {
        self.config.enable_auto_commit = Some(interval.is_some());
        self.config.auto_commit_interval = interval.unwrap_or(self.config.auto_commit_interval);
        self
    }

    /// As [`assignors`](Self::assignors), with this one alone.
    pub fn assignor(self, assignor: impl Assignor) -> ConsumerBuilder {
        self.assignors([Arc::new(assignor) as _])
    }

    /// How long a member may stay away between two polls before its partitions go to others; and how long a rebalance waits
    /// for members to take part in it, which they do in their polls. 5 min by default; at least 1 ms. Kafka's
    /// `max.poll.interval.ms`.
    pub fn max_poll_interval(mut self, interval: Duration) -> ConsumerBuilder {
        self.config.max_poll_interval = interval;
        self
    }

    /// How long a [static member](Self::group_instance_id) that was closed or dropped keeps its partitions. A consumer whose
    /// handle lives needs no heartbeats in this process: [`max_poll_interval`](Self::max_poll_interval) tells whether it works.
    /// 45 s by default, and within the broker's bounds, 6 s to 30 min. Kafka's `session.timeout.ms`.
    pub fn session_timeout(mut self, timeout: Duration) -> ConsumerBuilder {
        self.config.session_timeout = timeout;
        self
    }

    /// Less than [`session_timeout`](Self::session_timeout). Nothing is sent in this process; it is kept for who shares a
    /// configuration with Kafka. 3 s by default. Kafka's `heartbeat.interval.ms`.
    pub fn heartbeat_interval(mut self, interval: Duration) -> ConsumerBuilder {
        self.config.heartbeat_interval = interval;
        self
    }

    /// What the member's id begins with, for whoever reads a description of the group. `consumer` by default. Kafka's
    /// `client.id`.
    pub fn client_id(mut self, id: impl Into<String>) -> ConsumerBuilder {
        self.config.client_id = Some(id.into());
        self
    }

    /// Where the consumer is, for assignors that know where replicas are. Kafka's `client.rack`.
    pub fn client_rack(mut self, rack: impl Into<String>) -> ConsumerBuilder {
        self.config.client_rack = Some(rack.into());
        self
    }

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
    /// A property that means nothing here is accepted, and listed by [`ignored`](Self::ignored).
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

    /// The names among all [`properties`](Self::properties) so far that mean nothing here, in their order.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Makes the consumer. It has no partitions yet: [`subscribe`](Consumer::subscribe) to topics, or
    /// [`assign`](Consumer::assign) some. The first consumer with a group makes the topic that holds their offsets.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a setting out of its bounds, or that contradicts another;
    /// [`Error::InvalidGroupId`](crate::Error::InvalidGroupId); [`Error::Closed`](crate::Error::Closed); those of
    /// [creating a topic](crate::Admin::create_topic), and of reading the offsets' topic, with the first group.
    pub fn build(self) -> Result<Consumer> {
        self.config.validate()?;
        Consumer::new(&self.broker.shared, self.config)
    }
}
