//! The settings of a consumer, and how Kafka's properties say them.

use std::time::Duration;

use super::isolation::IsolationLevel;
use super::offset_reset::AutoOffsetReset;
use crate::error::{Error, Result};
use crate::settings::{Setting, Settings, boolean, choice, choice_text, count, millis, millis_text};

/// The least that `max.poll.records` may be.
const POLL_RECORDS_MIN: usize = 1;

/// What each means stands at the setters of [`ConsumerBuilder`](super::ConsumerBuilder).
#[derive(Debug, Clone)]
pub(super) struct ConsumerConfig {
    pub(super) auto_offset_reset: AutoOffsetReset,
    pub(super) isolation: IsolationLevel,
    pub(super) max_poll_records: usize,
    pub(super) fetch_min_bytes: usize,
    pub(super) fetch_max_bytes: usize,
    pub(super) fetch_max_wait: Duration,
    pub(super) max_partition_fetch_bytes: usize,
    pub(super) check_crcs: bool,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            auto_offset_reset: AutoOffsetReset::default(),
            isolation: IsolationLevel::default(),
            max_poll_records: 500,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            fetch_max_wait: Duration::from_millis(500),
            max_partition_fetch_bytes: 1 << 20,
            check_crcs: true,
        }
    }
}

impl ConsumerConfig {
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |setting, value: usize, reason: String| {
            Err(Error::InvalidConfig { setting, value: value.to_string(), reason })
        };
        if self.max_poll_records < POLL_RECORDS_MIN {
            let reason = format!("must be {POLL_RECORDS_MIN} or more");
            return refuse("max.poll.records", self.max_poll_records, reason);
        }
        let (least, most) = (self.fetch_min_bytes, self.fetch_max_bytes);
        // One batch always comes, so one byte can always be waited for.
        if least > most.max(1) {
            return refuse("fetch.min.bytes", least, format!("must be at most fetch.max.bytes, {most}"));
        }
        Ok(())
    }
}

pub(super) static SETTINGS: Settings<ConsumerConfig> = Settings {
    known: &[
        Setting {
            name: "auto.offset.reset",
            read: |config| Some(config.auto_offset_reset.to_text()),
            write: |config, value| {
                AutoOffsetReset::from_text(value).map(|reset| config.auto_offset_reset = reset)
            },
        },
        Setting {
            name: "isolation.level",
            read: |config| choice_text(&config.isolation, &IsolationLevel::NAMES),
            write: |config, value| {
                choice(value, &IsolationLevel::NAMES).map(|level| config.isolation = level)
            },
        },
        Setting {
            name: "max.poll.records",
            read: |config| Some(config.max_poll_records.to_string()),
            write: |config, value| {
                count(value, POLL_RECORDS_MIN).map(|count| config.max_poll_records = count)
            },
        },
        Setting {
            name: "fetch.min.bytes",
            read: |config| Some(config.fetch_min_bytes.to_string()),
            write: |config, value| count(value, 0).map(|bytes| config.fetch_min_bytes = bytes),
        },
        Setting {
            name: "fetch.max.bytes",
            read: |config| Some(config.fetch_max_bytes.to_string()),
            write: |config, value| count(value, 0).map(|bytes| config.fetch_max_bytes = bytes),
        },
        Setting {
            name: "fetch.max.wait.ms",
            read: |config| Some(millis_text(config.fetch_max_wait)),
            write: |config, value| millis(value, 0).map(|wait| config.fetch_max_wait = wait),
        },
        Setting {
            name: "max.partition.fetch.bytes",
            read: |config| Some(config.max_partition_fetch_bytes.to_string()),
            write: |config, value| count(value, 0).map(|bytes| config.max_partition_fetch_bytes = bytes),
        },
        Setting {
            name: "check.crcs",
            read: |config| Some(config.check_crcs.to_string()),
            write: |config, value| boolean(value).map(|checks| config.check_crcs = checks),
        },
    ],
    ignored: IGNORED,
};

/// Kafka's consumer settings that mean nothing here.
const IGNORED: &[&str] = &[
    // Of groups: TODO until a consumer can be in one.
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "exclude.internal.topics",
    // Of clients that reach their broker over a network, or are written in Java.
    "allow.auto.create.topics",
    "auto.include.jmx.reporter",
    "bootstrap.servers",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "enable.metrics.push",
    "interceptor.classes",
    "key.deserializer",
    "metadata.max.age.ms",
    "metadata.recovery.strategy",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metric.reporters",
    "metrics.*",
    "receive.buffer.bytes",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "sasl.*",
    "security.*",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "ssl.*",
    "value.deserializer",
];
