//! A broker's settings as Kafka's properties, those of its topics among them under their broker-wide names.
//!
//! Settings of ours that Kafka does not have (`max_open_files`, `memory_bytes`, …) have no property.

use std::time::Duration;

use super::config::BrokerConfig;
use crate::error::Result;
use crate::settings::{Setting, Settings, boolean, millis, millis_text, whole};

/// The default of a topic's setting, by its broker-wide name.
macro_rules! topic_default {
    ($name:literal, $topic_name:literal) => {
        Setting {
            name: $name,
            read: |config: &BrokerConfig| config.topic_defaults.get($topic_name),
            write: |config, value| config.topic_defaults.put($topic_name, value),
        }
    };
    // A coarser unit of a time that is written in milliseconds.
    ($name:literal, $topic_name:literal, millis $unit:expr) => {
        Setting {
            name: $name,
            read: |_| None,
            write: |config: &mut BrokerConfig, value| {
                let count = whole(value, 0..=i64::MAX / $unit)?;
                config.topic_defaults.put($topic_name, &(count * $unit).to_string())
            },
        }
    };
}

const HOUR_MS: i64 = 60 * 60 * 1000;

static SETTINGS: Settings<BrokerConfig> = Settings {
    known: &[
        Setting {
            name: "auto.create.topics.enable",
            read: |config| Some(config.auto_create_topics.to_string()),
            write: |config, value| boolean(value).map(|is_on| config.auto_create_topics = is_on),
        },
        Setting {
            name: "num.partitions",
            read: |config| Some(config.num_partitions.to_string()),
            write: |config, value| whole(value, 0..=u32::MAX).map(|count| config.num_partitions = count),
        },
        Setting {
            name: "delete.topic.enable",
            read: |config| Some(config.delete_topics.to_string()),
            write: |config, value| boolean(value).map(|is_on| config.delete_topics = is_on),
        },
        Setting {
            name: "log.flush.offset.checkpoint.interval.ms",
            read: |config| Some(millis_text(config.checkpoint_interval)),
            write: |config, value| {
                millis(value, 1).map(|interval: Duration| config.checkpoint_interval = interval)
            },
        },
        topic_default!("log.segment.bytes", "segment.bytes"),
        topic_default!("log.roll.hours", "segment.ms", millis HOUR_MS),
        topic_default!("log.roll.ms", "segment.ms"),
        topic_default!("log.roll.jitter.hours", "segment.jitter.ms", millis HOUR_MS),
        topic_default!("log.roll.jitter.ms", "segment.jitter.ms"),
        topic_default!("log.index.size.max.bytes", "segment.index.bytes"),
        topic_default!("log.index.interval.bytes", "index.interval.bytes"),
        topic_default!("log.flush.interval.messages", "flush.messages"),
        topic_default!("log.flush.interval.ms", "flush.ms"),
        topic_default!("message.max.bytes", "max.message.bytes"),
        topic_default!("compression.type", "compression.type"),
        topic_default!("compression.gzip.level", "compression.gzip.level"),
        topic_default!("compression.zstd.level", "compression.zstd.level"),
        topic_default!("log.message.timestamp.type", "message.timestamp.type"),
        topic_default!("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms"),
        topic_default!("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms"),
        topic_default!("log.preallocate", "preallocate"),
    ],
    ignored: IGNORED,
};

/// Kafka's, without a meaning here, or not yet.
const IGNORED: &[&str] = &[
    // Where things are is said to the builder.
    "log.dir",
    "log.dirs",
    // Of deleting and compacting, which nothing here does yet.
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.enable",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.threads",
    "log.cleanup.policy",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.segment.delete.delay.ms",
    // The pace of background work, which is done when it is due.
    "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.initial.task.delay.ms",
    "num.recovery.threads.per.data.dir",
    "replica.high.watermark.checkpoint.interval.ms",
    // Threads and hooks of a server.
    "alter.config.policy.class.name",
    "background.threads",
    "compression.lz4.level",
    "create.topic.policy.class.name",
    "log.dir.failure.timeout.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "max.request.partition.size.limit",
    // Groups.
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "group.consumer.*",
    "group.coordinator.append.linger.ms",
    "group.coordinator.rebalance.protocols",
    "group.coordinator.threads",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "group.share.*",
    "offset.metadata.max.bytes",
    "offsets.commit.timeout.ms",
    "offsets.load.buffer.size",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.compression.codec",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "offsets.topic.segment.bytes",
    // Transactions.
    "producer.id.expiration.check.interval.ms",
    "producer.id.expiration.ms",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
    "transaction.partition.verification.enable",
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "transaction.state.log.load.buffer.size",
    "transaction.state.log.min.isr",
    "transaction.state.log.num.partitions",
    "transaction.state.log.replication.factor",
    "transaction.state.log.segment.bytes",
    "transactional.id.expiration.ms",
    // Replicas, and who one is among brokers.
    "auto.leader.rebalance.enable",
    "broker.id",
    "broker.rack",
    "controlled.shutdown.enable",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "controller.*",
    "default.replication.factor",
    "delete.records.purgatory.purge.interval.requests",
    "fetch.purgatory.purge.interval.requests",
    "leader.imbalance.check.interval.seconds",
    "leader.imbalance.per.broker.percentage",
    "min.insync.replicas",
    "node.id",
    "num.replica.fetchers",
    "process.roles",
    "producer.purgatory.purge.interval.requests",
    "remote.log.*",
    "replica.fetch.backoff.ms",
    "replica.fetch.max.bytes",
    "replica.fetch.min.bytes",
    "replica.fetch.response.max.bytes",
    "replica.fetch.wait.max.ms",
    "replica.lag.time.max.ms",
    "replica.selector.class",
    "replica.socket.receive.buffer.bytes",
    "replica.socket.timeout.ms",
    "unclean.leader.election.enable",
    "unclean.leader.election.interval.ms",
    // Serving clients.
    "advertised.listeners",
    "connection.failed.authentication.delay.ms",
    "connections.max.idle.ms",
    "fetch.max.bytes",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.incremental.fetch.session.cache.slots",
    "metric.reporters",
    "metrics.*",
    "num.io.threads",
    "num.network.threads",
    "queued.max.request.bytes",
    "queued.max.requests",
    "request.timeout.ms",
    "sasl.*",
    "security.*",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.request.max.bytes",
    "socket.send.buffer.bytes",
    "ssl.*",
];

impl BrokerConfig {
    /// The settings that Kafka's properties say, as they stand in a `server.properties`: names as `log.segment.bytes`, values
    /// as text. Of one time in several units, milliseconds beat hours.
    ///
    /// A name of Kafka's without a meaning here is accepted and told by [`ignored`](BrokerConfig::ignored), so that one
    /// file serves both; `log.dirs` is among them, because the [`BrokerBuilder`](crate::BrokerBuilder) is told where.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting) for a name that is nobody's;
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a text that is no such value. Bounds are checked when the
    /// broker is opened.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::BrokerConfig;
    ///
    /// let properties = [("log.roll.ms", "5000"), ("log.roll.hours", "168"), ("num.io.threads", "8")];
    /// let config = BrokerConfig::from_properties(properties)?;
    /// assert_eq!(config.topic_defaults.segment_age, Duration::from_secs(5));
    /// assert_eq!(config.ignored(), ["num.io.threads"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<BrokerConfig> {
        let mut config = BrokerConfig::default();
        config.ignored = SETTINGS.apply_all(&mut config, pairs)?;
        Ok(config)
    }

    /// Every setting that Kafka has a name for, and its value, those of
    /// [`topic_defaults`](BrokerConfig::topic_defaults()) among them.
    #[must_use]
    pub fn to_properties(&self) -> Vec<(&'static str, String)> {
        SETTINGS.properties(self)
    }

    /// The names that [`from_properties`](BrokerConfig::from_properties) was given and that mean nothing here, so far.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TopicConfig;

    #[test]
    fn every_topic_setting_has_its_broker_wide_name() {
        let broker = BrokerConfig::default();
        let topics = SETTINGS.known.iter().skip(4).filter_map(|setting| (setting.read)(&broker));
        let values: Vec<_> =
            TopicConfig::default().to_properties().into_iter().map(|(_, value)| value).collect();
        let mut wide: Vec<_> = topics.collect();
        let mut own = values;
        wide.sort();
        own.sort();
        assert_eq!(wide, own);
    }

    #[test]
    fn properties_read_back() {
        let config = BrokerConfig::default()
            .auto_create_topics(true)
            .num_partitions(7)
            .delete_topics(false)
            .checkpoint_interval(Duration::from_millis(9))
            .topic_defaults(TopicConfig::default().flush_messages(5).preallocate(true));
        let read = BrokerConfig::from_properties(config.to_properties()).unwrap();
        assert_eq!(read.to_properties(), config.to_properties());
        assert_eq!(read.topic_defaults.flush_messages, Some(5));
    }
}
