//! A broker's settings as Kafka's properties, those of its topics among them under their broker-wide names.
//!
//! Settings of ours that Kafka does not have (`max_open_files`, `memory_bytes`, …) have no property.

use std::time::Duration;

use super::config::BrokerConfig;
use crate::acks::Acks;
use crate::error::Result;
use crate::settings::{Setting, Settings, boolean, choice, count, millis, millis_text, whole};
use crate::topic::PARTITIONS_MAX;

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
            write: |config, value| {
                whole(value, 1..=PARTITIONS_MAX).map(|count| config.num_partitions = count)
            },
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
        Setting {
            name: "group.initial.rebalance.delay.ms",
            read: |config| Some(millis_text(config.group_initial_rebalance_delay)),
            write: |config, value| millis(value, 0).map(|delay| config.group_initial_rebalance_delay = delay),
        },
        Setting {
            name: "group.min.session.timeout.ms",
            read: |config| Some(millis_text(config.group_session_timeouts.0)),
            write: |config, value| millis(value, 0).map(|timeout| config.group_session_timeouts.0 = timeout),
        },
        Setting {
            name: "group.max.session.timeout.ms",
            read: |config| Some(millis_text(config.group_session_timeouts.1)),
            write: |config, value| millis(value, 0).map(|timeout| config.group_session_timeouts.1 = timeout),
        },
        Setting {
            name: "group.max.size",
            read: |config| Some(config.group_max_size.to_string()),
            write: |config, value| count(value, 1).map(|members| config.group_max_size = members),
        },
        Setting {
            name: "offset.metadata.max.bytes",
            read: |config| Some(config.offset_metadata_max_bytes.to_string()),
            write: |config, value| count(value, 0).map(|bytes| config.offset_metadata_max_bytes = bytes),
        },
        Setting {
            name: "offsets.commit.required.acks",
            read: |config| Some(config.offsets_commit_acks.to_string()),
            write: |config, value| choice(value, &Acks::NAMES).map(|acks| config.offsets_commit_acks = acks),
        },
        Setting {
            name: "offsets.retention.minutes",
            read: |config| Some((config.offsets_retention.as_secs() / 60).to_string()),
            write: |config, value| {
                let minutes = whole(value, 1..=u64::from(i32::MAX.unsigned_abs()))?;
                config.offsets_retention = Duration::from_secs(minutes * 60);
                Ok(())
            },
        },
        Setting {
            name: "offsets.retention.check.interval.ms",
            read: |config| Some(millis_text(config.offsets_retention_check_interval)),
            write: |config, value| {
                millis(value, 1).map(|interval| config.offsets_retention_check_interval = interval)
            },
        },
        Setting {
            name: "offsets.topic.num.partitions",
            read: |config| Some(config.offsets_topic_num_partitions.to_string()),
            write: |config, value| {
                whole(value, 1..=PARTITIONS_MAX).map(|count| config.offsets_topic_num_partitions = count)
            },
        },
        Setting {
            name: "offsets.topic.segment.bytes",
            read: |config| Some(config.offsets_topic_segment_bytes.to_string()),
            write: |config, value| {
                let most = i32::MAX.unsigned_abs();
                whole(value, 1..=most).map(|bytes| config.offsets_topic_segment_bytes = bytes)
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

/// Kafka's, without a meaning here, or not yet. Whole families, where none of their names will ever mean anything; of the
/// others each name, so that a misspelt one is found.
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
    // Threads and hooks of a server.
    "alter.config.policy.class.name",
    "alter.log.dirs.replication.quota.*",
    "background.threads",
    "compression.lz4.level",
    "config.providers*",
    "create.topic.policy.class.name",
    "log.dir.failure.timeout.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "max.request.partition.size.limit",
    "server.max.startup.time.ms",
    "unstable.*",
    // Groups.
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "group.consumer.*",
    "group.coordinator.*",
    "group.share.*",
    "offsets.commit.timeout.ms",
    "offsets.load.buffer.size",
    "offsets.topic.compression.codec",
    "offsets.topic.replication.factor",
    "share.*",
    // Transactions.
    "add.partitions.to.txn.*",
    "producer.id.expiration.*",
    "transaction.*",
    "transactional.id.expiration.ms",
    // Replicas, and who one is among brokers.
    "auto.leader.rebalance.enable",
    "broker.*",
    "controlled.shutdown.*",
    "controller.*",
    "default.replication.factor",
    "delete.records.purgatory.purge.interval.requests",
    "fetch.purgatory.purge.interval.requests",
    "follower.replication.*",
    "initial.broker.registration.timeout.ms",
    "leader.imbalance.*",
    "leader.replication.*",
    "metadata.*",
    "min.insync.replicas",
    "node.id",
    "num.replica.alter.log.dirs.threads",
    "num.replica.fetchers",
    "process.roles",
    "producer.purgatory.purge.interval.requests",
    "remote.*",
    "replica.*",
    "replication.quota.*",
    "reserved.broker.max.id",
    "unclean.leader.election.*",
    "zookeeper.*",
    // Serving clients.
    "advertised.*",
    "allow.everyone.if.no.acl.found",
    "authorizer.*",
    "auto.include.jmx.reporter",
    "client.quota.*",
    "connection.*",
    "connections.*",
    "delegation.token.*",
    "early.start.listeners",
    "fetch.max.bytes",
    "inter.broker.*",
    "kafka.metrics.*",
    "listener.*",
    "listeners",
    "max.connection.creation.rate",
    "max.connections*",
    "max.incremental.fetch.session.cache.slots",
    "metric.*",
    "metrics.*",
    "num.io.threads",
    "num.network.threads",
    "password.encoder.*",
    "principal.builder.class",
    "queued.max.*",
    "quota.*",
    "request.timeout.ms",
    "sasl.*",
    "security.*",
    "socket.*",
    "ssl.*",
    "super.users",
    "telemetry.*",
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
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a text that is no such value. Values are
    /// checked against each other when the broker is opened.
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
        let is_own = |setting: &&Setting<BrokerConfig>| setting.name != "log.segment.bytes";
        let wide = SETTINGS.known.iter().skip_while(is_own);
        let topics = wide.filter_map(|setting| (setting.read)(&broker));
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

    /// What stands in the `config/server.properties` that comes with Kafka 4.0, commented lines included.
    const SERVER_PROPERTIES: &str = "
        process.roles=broker,controller
        node.id=1
        controller.quorum.bootstrap.servers=localhost:9093
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093
        inter.broker.listener.name=PLAINTEXT
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
        controller.listener.names=CONTROLLER
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
        num.network.threads=3
        num.io.threads=8
        socket.send.buffer.bytes=102400
        socket.receive.buffer.bytes=102400
        socket.request.max.bytes=104857600
        log.dirs=/tmp/kraft-combined-logs
        num.partitions=1
        num.recovery.threads.per.data.dir=1
        offsets.topic.replication.factor=1
        share.coordinator.state.topic.replication.factor=1
        share.coordinator.state.topic.min.isr=1
        transaction.state.log.replication.factor=1
        transaction.state.log.min.isr=1
        log.flush.interval.messages=10000
        log.flush.interval.ms=1000
        log.retention.hours=168
        log.retention.bytes=1073741824
        log.segment.bytes=1073741824
        log.retention.check.interval.ms=300000";

    #[test]
    fn kafkas_own_file_is_accepted() {
        let pairs = || SERVER_PROPERTIES.lines().filter_map(|line| line.split_once('='));
        let config = BrokerConfig::from_properties(pairs()).unwrap();
        assert_eq!(config.topic_defaults.flush_messages, Some(10_000));
        assert_eq!(config.topic_defaults.flush_interval, Some(Duration::from_secs(1)));
        let heard =
            ["num.partitions", "log.flush.interval.messages", "log.flush.interval.ms", "log.segment.bytes"];
        let others = pairs().map(|(name, _)| name.trim()).filter(|name| !heard.contains(name));
        assert!(config.ignored().iter().map(String::as_str).eq(others), "{:?}", config.ignored());
    }

    #[test]
    fn what_is_set_for_a_cluster_is_accepted_too() {
        for name in [
            "authorizer.class.name",
            "broker.heartbeat.interval.ms",
            "broker.id",
            "broker.rack",
            "broker.session.timeout.ms",
            "client.quota.callback.class",
            "early.start.listeners",
            "group.share.enable",
            "kafka.metrics.reporters",
            "listener.name.internal.ssl.keystore.location",
            "max.connections.per.ip.overrides",
            "metadata.log.dir",
            "principal.builder.class",
            "quota.window.num",
            "remote.log.storage.system.enable",
            "replica.lag.time.max.ms",
            "super.users",
            "telemetry.max.bytes",
            "zookeeper.connect",
        ] {
            let config = BrokerConfig::from_properties([(name, "x")]).unwrap();
            assert_eq!(config.ignored(), [name]);
        }
        assert!(BrokerConfig::from_properties([("log.retention.hour", "1")]).is_err());
    }
}
