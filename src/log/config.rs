//! The settings of one topic, which its partitions' logs work by.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::record::TimestampType;

/// The smallest `segment.bytes` that is accepted.
const SEGMENT_BYTES_MIN: u32 = 1 << 10;
/// The largest `segment.bytes`: positions in a segment are 31 bits.
const SEGMENT_BYTES_MAX: u32 = i32::MAX.unsigned_abs();
/// Two time index entries, one of which is kept for the roll.
const INDEX_BYTES_MIN: u32 = 24;

/// How a topic's partitions store what they are given. Kafka's topic settings, with Kafka's defaults.
///
/// Settings are checked when the topic is created, not before.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Broker, NewTopic, TopicConfig};
///
/// let broker = Broker::in_memory()?;
/// let config = TopicConfig::default().segment_bytes(64 << 20).segment_age(Duration::from_secs(3600));
/// broker.admin().create_topic(NewTopic::new("metrics").config(config))?;
/// assert_eq!(broker.topic("metrics")?.config().segment_bytes, 64 << 20);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicConfig {
    /// See [`segment_bytes`](TopicConfig::segment_bytes()).
    pub segment_bytes: u32,
    /// See [`segment_age`](TopicConfig::segment_age()).
    pub segment_age: Duration,
    /// See [`segment_jitter`](TopicConfig::segment_jitter()).
    pub segment_jitter: Duration,
    /// See [`segment_index_bytes`](TopicConfig::segment_index_bytes()).
    pub segment_index_bytes: u32,
    /// See [`index_interval_bytes`](TopicConfig::index_interval_bytes()).
    pub index_interval_bytes: u32,
    /// See [`max_message_bytes`](TopicConfig::max_message_bytes()).
    pub max_message_bytes: u32,
    /// See [`timestamp_type`](TopicConfig::timestamp_type()).
    pub timestamp_type: TimestampType,
}

impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig {
            segment_bytes: 1 << 30,
            segment_age: Duration::from_secs(7 * 24 * 60 * 60),
            segment_jitter: Duration::ZERO,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: (1 << 20) + 12,
            timestamp_type: TimestampType::Create,
        }
    }
}

impl TopicConfig {
    /// The size over which a segment is not filled: the next append begins a new one. Bytes, 1 KiB to 2 GiB − 1; 1 GiB
    /// by default. It also bounds one append, which goes to one segment whole. Kafka's `segment.bytes`.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> TopicConfig {
        self.segment_bytes = bytes;
        self
    }

    /// How long a segment is appended to, measured between the records' timestamps. At least 1 ms; 7 days by default.
    /// Kafka's `segment.ms`.
    #[must_use]
    pub fn segment_age(mut self, age: Duration) -> TopicConfig {
        self.segment_age = age;
        self
    }

    /// The most by which `segment_age` is cut, at random for each segment, so that partitions do not all roll at once.
    /// None by default. Kafka's `segment.jitter.ms`.
    #[must_use]
    pub fn segment_jitter(mut self, jitter: Duration) -> TopicConfig {
        self.segment_jitter = jitter;
        self
    }

    /// The largest size of each index file; a segment whose index is full is rolled. Bytes, at least 24; 10 MiB by
    /// default, enough for 5 GiB of log. Kafka's `segment.index.bytes`.
    #[must_use]
    pub fn segment_index_bytes(mut self, bytes: u32) -> TopicConfig {
        self.segment_index_bytes = bytes;
        self
    }

    /// How many bytes of log lie between two index entries, at least: fewer find a batch sooner and take more memory. 4096
    /// by default. Kafka's `index.interval.bytes`.
    #[must_use]
    pub fn index_interval_bytes(mut self, bytes: u32) -> TopicConfig {
        self.index_interval_bytes = bytes;
        self
    }

    /// The largest batch, compressed, with its header of 61 bytes. 1048588 by default. Kafka's `max.message.bytes`.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: u32) -> TopicConfig {
        self.max_message_bytes = bytes;
        self
    }

    /// Whether records keep the timestamp that their writer gave them (the default) or get the time of the append. Kafka's
    /// `message.timestamp.type`.
    #[must_use]
    pub fn timestamp_type(mut self, timestamp_type: TimestampType) -> TopicConfig {
        self.timestamp_type = timestamp_type;
        self
    }

    /// Refuses values outside their bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        check("segment.bytes", self.segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        check("segment.index.bytes", self.segment_index_bytes, INDEX_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        check("index.interval.bytes", self.index_interval_bytes, 0, SEGMENT_BYTES_MAX)?;
        check("max.message.bytes", self.max_message_bytes, 0, SEGMENT_BYTES_MAX)?;
        check_millis("segment.ms", self.segment_age, 1)?;
        check_millis("segment.jitter.ms", self.segment_jitter, 0)
    }

    /// The settings that differ from the defaults, by Kafka's names.
    pub(crate) fn overrides(&self) -> Vec<(&'static str, String)> {
        let default = TopicConfig::default().properties();
        self.properties()
            .into_iter()
            .zip(default)
            .filter(|(own, other)| own != other)
            .map(|(own, _)| own)
            .collect()
    }

    /// Every setting, by Kafka's name.
    fn properties(&self) -> [(&'static str, String); 7] {
        let timestamp_type = match self.timestamp_type {
            TimestampType::Create => "CreateTime",
            TimestampType::Append => "LogAppendTime",
        };
        [
            ("segment.bytes", self.segment_bytes.to_string()),
            ("segment.ms", self.segment_age.as_millis().to_string()),
            ("segment.jitter.ms", self.segment_jitter.as_millis().to_string()),
            ("segment.index.bytes", self.segment_index_bytes.to_string()),
            ("index.interval.bytes", self.index_interval_bytes.to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
            ("message.timestamp.type", timestamp_type.to_owned()),
        ]
    }

    /// Sets one setting by Kafka's name, from text.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let millis = |setting| parse::<u64>(setting, value).map(Duration::from_millis);
        match name {
            "segment.bytes" => self.segment_bytes = parse("segment.bytes", value)?,
            "segment.ms" => self.segment_age = millis("segment.ms")?,
            "segment.jitter.ms" => self.segment_jitter = millis("segment.jitter.ms")?,
            "segment.index.bytes" => self.segment_index_bytes = parse("segment.index.bytes", value)?,
            "index.interval.bytes" => self.index_interval_bytes = parse("index.interval.bytes", value)?,
            "max.message.bytes" => self.max_message_bytes = parse("max.message.bytes", value)?,
            "message.timestamp.type" => {
                self.timestamp_type = match value {
                    "CreateTime" => TimestampType::Create,
                    "LogAppendTime" => TimestampType::Append,
                    _ => {
                        let reason = "must be CreateTime or LogAppendTime".to_owned();
                        let value = value.to_owned();
                        return Err(Error::InvalidConfig {
                            setting: "message.timestamp.type",
                            value,
                            reason,
                        });
                    }
                }
            }
            _ => {
                let reason = "no topic setting has this name".to_owned();
                return Err(Error::InvalidConfig {
                    setting: "topic setting",
                    value: name.to_owned(),
                    reason,
                });
            }
        }
        Ok(())
    }
}

fn parse<N: std::str::FromStr>(setting: &'static str, value: &str) -> Result<N> {
    value.parse().map_err(|_| Error::InvalidConfig {
        setting,
        value: value.to_owned(),
        reason: "must be a whole number in range".to_owned(),
    })
}

fn check(setting: &'static str, value: u32, minimum: u32, maximum: u32) -> Result<()> {
    if (minimum..=maximum).contains(&value) {
        return Ok(());
    }
    let reason = format!("must be {minimum} to {maximum}");
    Err(Error::InvalidConfig { setting, value: value.to_string(), reason })
}

/// Durations are whole milliseconds in Kafka's formats, up to `i64::MAX` of them.
fn check_millis(setting: &'static str, value: Duration, minimum: u64) -> Result<()> {
    if value.as_millis() >= u128::from(minimum) && i64::try_from(value.as_millis()).is_ok() {
        return Ok(());
    }
    let reason = format!("must be {minimum} ms to {} ms", i64::MAX);
    Err(Error::InvalidConfig { setting, value: format!("{} ms", value.as_millis()), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_override_nothing() {
        TopicConfig::default().validate().unwrap();
        assert!(TopicConfig::default().overrides().is_empty());
    }

    #[test]
    fn overrides_read_back() {
        let config = TopicConfig::default()
            .segment_bytes(4096)
            .segment_age(Duration::from_secs(5))
            .segment_jitter(Duration::from_millis(7))
            .segment_index_bytes(240)
            .index_interval_bytes(100)
            .max_message_bytes(2000)
            .timestamp_type(TimestampType::Append);
        let overrides = config.overrides();
        assert_eq!(overrides.len(), 7);
        let mut read = TopicConfig::default();
        for (name, value) in &overrides {
            read.set(name, value).unwrap();
        }
        assert_eq!(read, config);
    }

    #[test]
    fn values_outside_their_bounds_are_named() {
        let refused = |config: TopicConfig| config.validate().unwrap_err().to_string();
        assert_eq!(
            refused(TopicConfig::default().segment_bytes(1023)),
            "invalid value 1023 for segment.bytes: must be 1024 to 2147483647"
        );
        assert!(refused(TopicConfig::default().segment_age(Duration::ZERO)).contains("segment.ms"));
        assert!(refused(TopicConfig::default().segment_index_bytes(23)).contains("segment.index.bytes"));
        assert!(refused(TopicConfig::default().segment_jitter(Duration::MAX)).contains("segment.jitter.ms"));
    }
}
