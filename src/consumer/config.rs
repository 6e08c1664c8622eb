//! The settings of a consumer, and how Kafka's properties say them.

use std::time::Duration;

use super::isolation::IsolationLevel;
use super::offset_reset::AutoOffsetReset;
use crate::error::{Error, Result};
use crate::group::{Assignor, CooperativeSticky, Range, RoundRobin, Sticky};
use crate::settings::{Setting, Settings, boolean, choice, choice_text, count, millis, millis_text};
use crate::sync::Arc;

/// The least that `max.poll.records` may be.
const POLL_RECORDS_MIN: usize = 1;
/// The least that `max.poll.interval.ms` may be.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// What each means stands at the setters of [`ConsumerBuilder`](super::ConsumerBuilder).
#[derive(Debug, Clone)]
pub(super) struct ConsumerConfig {
    pub(super) group: Option<String>,
    pub(super) group_instance_id: Option<String>,
    /// The one that is liked best first.
    pub(super) assignors: Vec<Arc<dyn Assignor>>,
    /// Whether positions are committed without being asked for. Where it is not said, they are where there is a group.
    pub(super) enable_auto_commit: Option<bool>,
    pub(super) auto_commit_interval: Duration,
    pub(super) max_poll_interval: Duration,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) client_id: Option<String>,
    pub(super) client_rack: Option<String>,
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
            group: None,
            group_instance_id: None,
            assignors: vec![Arc::new(Range), Arc::new(CooperativeSticky)],
            enable_auto_commit: None,
            auto_commit_interval: Duration::from_secs(5),
            max_poll_interval: Duration::from_secs(300),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            client_id: None,
            client_rack: None,
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
        self.validate_group()
    }

    /// Whether positions are committed without being asked for.
    pub(super) fn commits_by_itself(&self) -> bool {
        self.enable_auto_commit.unwrap_or(self.group.is_some())
    }

    fn validate_group(&self) -> Result<()> {
        let refuse =
            |setting, value: String, reason: String| Err(Error::InvalidConfig { setting, value, reason });
        if self.enable_auto_commit == Some(true) && self.group.is_none() {
            let reason = "there is no group to commit to: set group.id";
            return refuse("enable.auto.commit", "true".to_owned(), reason.to_owned());
        }
        if self.group_instance_id.as_deref() == Some("") {
            return refuse("group.instance.id", String::new(), "must not be empty".to_owned());
        }
        if self.max_poll_interval < INTERVAL_MIN {
            let (value, reason) = (millis_text(self.max_poll_interval), "must be 1 or more".to_owned());
            return refuse("max.poll.interval.ms", value, reason);
        }
        if self.heartbeat_interval >= self.session_timeout {
            let value = millis_text(self.heartbeat_interval);
            let most = millis_text(self.session_timeout);
            return refuse(
                "heartbeat.interval.ms",
                value,
                format!("must be less than session.timeout.ms, {most}"),
            );
        }
        let names: Vec<&str> = self.assignors.iter().map(|assignor| assignor.name()).collect();
        let is_twice = |(place, name): (usize, &&str)| names.iter().take(place).any(|other| other == name);
        if names.is_empty() || names.iter().enumerate().any(is_twice) {
            let reason = "must name one assignor at least, and none twice".to_owned();
            return refuse("partition.assignment.strategy", names.join(","), reason);
        }
        Ok(())
    }
}

/// The assignors that a text can name: Kafka's name for each, and its class.
fn assignor(name: &str) -> Option<Arc<dyn Assignor>> {
    Some(match name.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(name) {
        "range" | "RangeAssignor" => Arc::new(Range),
        "roundrobin" | "RoundRobinAssignor" => Arc::new(RoundRobin),
        "sticky" | "StickyAssignor" => Arc::new(Sticky),
        "cooperative-sticky" | "CooperativeStickyAssignor" => Arc::new(CooperativeSticky),
        _ => return None,
    })
}

/// Reads a list of assignors, with commas between them.
fn assignors(value: &str) -> Result<Vec<Arc<dyn Assignor>>, String> {
    let all: Option<Vec<_>> = value.split(',').map(|name| assignor(name.trim())).collect();
    all.ok_or_else(|| "must name some of range, roundrobin, sticky, cooperative-sticky".to_owned())
}

/// A text; an empty one is none.
fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

pub(super) static SETTINGS: Settings<ConsumerConfig> = Settings {
    known: &[
        Setting {
            name: "group.id",
            read: |config| config.group.clone(),
            write: |config, value| {
                config.group = Some(value.to_owned());
                Ok(())
            },
        },
        Setting {
            name: "group.instance.id",
            read: |config| config.group_instance_id.clone(),
            write: |config, value| {
                config.group_instance_id = Some(value.to_owned());
                Ok(())
            },
        },
        Setting {
            name: "partition.assignment.strategy",
            read: |config| {
                let names: Vec<&str> = config.assignors.iter().map(|assignor| assignor.name()).collect();
                Some(names.join(","))
            },
            write: |config, value| assignors(value).map(|assignors| config.assignors = assignors),
        },
        Setting {
            name: "enable.auto.commit",
            read: |config| config.enable_auto_commit.map(|enables| enables.to_string()),
            write: |config, value| boolean(value).map(|enables| config.enable_auto_commit = Some(enables)),
        },
        Setting {
            name: "auto.commit.interval.ms",
            read: |config| Some(millis_text(config.auto_commit_interval)),
            write: |config, value| millis(value, 0).map(|interval| config.auto_commit_interval = interval),
        },
        Setting {
            name: "max.poll.interval.ms",
            read: |config| Some(millis_text(config.max_poll_interval)),
            write: |config, value| millis(value, 1).map(|interval| config.max_poll_interval = interval),
        },
        Setting {
            name: "session.timeout.ms",
            read: |config| Some(millis_text(config.session_timeout)),
            write: |config, value| millis(value, 1).map(|timeout| config.session_timeout = timeout),
        },
        Setting {
            name: "heartbeat.interval.ms",
            read: |config| Some(millis_text(config.heartbeat_interval)),
            write: |config, value| millis(value, 0).map(|interval| config.heartbeat_interval = interval),
        },
        Setting {
            name: "client.id",
            read: |config| config.client_id.clone(),
            write: |config, value| {
                config.client_id = text(value);
                Ok(())
            },
        },
        Setting {
            name: "client.rack",
            read: |config| config.client_rack.clone(),
            write: |config, value| {
                config.client_rack = text(value);
                Ok(())
            },
        },
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
    // Of groups: there is one protocol, and a predicate is never asked about internal topics.
    "group.protocol",
    "group.remote.assignor",
    "exclude.internal.topics",
    // Of clients that reach their broker over a network, or are written in Java.
    "allow.auto.create.topics",
    "auto.include.jmx.reporter",
    "bootstrap.servers",
    "client.dns.lookup",
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
