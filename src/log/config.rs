//! The settings of one topic, which its partitions' logs work by.
//!
//! A config holds the value of every setting, and which of them the topic has of its own: only those are stored, and the
//! rest are the broker's defaults, whatever these become. How it is read from properties and written is in
//! `properties.rs`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::topic_compression::TopicCompression;
use crate::error::{Error, Result};
use crate::record::{Compression, TimestampType};

/// What a segment cannot pass: positions in it are 31 bits.
const BYTES_MAX: u32 = i32::MAX.unsigned_abs();
/// What `segment.bytes` may be.
pub(super) const SEGMENT_BYTES: RangeInclusive<u32> = 1 << 10..=BYTES_MAX;
/// What `segment.index.bytes` may be; at least two time index entries, one of which is kept for the roll.
pub(super) const INDEX_BYTES: RangeInclusive<u32> = 24..=BYTES_MAX;
/// What `index.interval.bytes` and `max.message.bytes` may be.
pub(super) const ANY_BYTES: RangeInclusive<u32> = 0..=BYTES_MAX;
/// What `flush.messages` may be.
pub(super) const FLUSH_MESSAGES: RangeInclusive<u64> = 1..=i64::MAX.unsigned_abs();
/// The shortest `segment.ms`.
pub(super) const SEGMENT_AGE_MS_MIN: u32 = 1;

/// How a topic's partitions store what they are given. Kafka's topic settings, with the defaults of Kafka 4.
///
/// What is set, by a setter, from properties, or by assigning another value to a field, is the topic's own; everything else
/// is the broker's default ([`BrokerConfig::topic_defaults`](crate::BrokerConfig::topic_defaults())), also after that has
/// become another. A setting is the topic's own even where it was set to what the default is.
///
/// Settings are checked when the topic is created or altered, not before.
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
///
/// // What a power cut takes is bounded by time and count; what senders say of the time, by a day.
/// let config = TopicConfig::default()
///     .flush_interval(Duration::from_millis(100))
///     .flush_messages(10_000)
///     .timestamp_before_max(Duration::from_secs(24 * 3600))
///     .timestamp_after_max(Duration::from_secs(60));
/// // Denser indexes find faster and take more room; jitter lets partitions roll at different times.
/// let config = config
///     .index_interval_bytes(1024)
///     .segment_index_bytes(1 << 20)
///     .segment_jitter(Duration::from_secs(600))
///     .gzip_level(9)
///     .zstd_level(6);
/// broker.admin().create_topic(NewTopic::new("traces").config(config))?;
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
    /// See [`compression`](TopicConfig::compression()).
    pub compression: TopicCompression,
    /// See [`gzip_level`](TopicConfig::gzip_level()).
    pub gzip_level: i32,
    /// See [`zstd_level`](TopicConfig::zstd_level()).
    pub zstd_level: i32,
    /// See [`timestamp_type`](TopicConfig::timestamp_type()).
    pub timestamp_type: TimestampType,
    /// See [`timestamp_before_max`](TopicConfig::timestamp_before_max()).
    pub timestamp_before_max: Option<Duration>,
    /// See [`timestamp_after_max`](TopicConfig::timestamp_after_max()).
    pub timestamp_after_max: Option<Duration>,
    /// See [`flush_messages`](TopicConfig::flush_messages()).
    pub flush_messages: Option<u64>,
    /// See [`flush_interval`](TopicConfig::flush_interval()).
    pub flush_interval: Option<Duration>,
    /// See [`preallocate`](TopicConfig::preallocate()).
    pub preallocate: bool,
    /// Kafka's names of the settings that are the topic's own.
    pub(super) own: BTreeSet<&'static str>,
    /// Names that were read from properties and mean nothing here.
    pub(super) ignored: Vec<String>,
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
            compression: TopicCompression::Producer,
            gzip_level: -1,
            zstd_level: 3,
            timestamp_type: TimestampType::Create,
            timestamp_before_max: None,
            timestamp_after_max: Some(Duration::from_secs(60 * 60)),
            flush_messages: None,
            flush_interval: None,
            preallocate: false,
            own: BTreeSet::new(),
            ignored: Vec::new(),
        }
    }
}

impl TopicConfig {
    /// How large a segment may grow: an append that would make it larger begins a new one. Bytes, 1 KiB to 2 GiB − 1; 1 GiB
    /// by default. It also bounds one append, which goes to one segment whole. Kafka's `segment.bytes`.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> TopicConfig {
        self.segment_bytes = bytes;
        self.own("segment.bytes")
    }

    /// How long a segment is appended to, measured between the records' timestamps. At least 1 ms; 7 days by default.
    /// Kafka's `segment.ms`.
    #[must_use]
    pub fn segment_age(mut self, age: Duration) -> TopicConfig {
        self.segment_age = age;
        self.own("segment.ms")
    }

    /// The most by which `segment_age` is cut, at random for each segment, so that partitions do not all roll at once.
    /// None by default. Kafka's `segment.jitter.ms`.
    #[must_use]
    pub fn segment_jitter(mut self, jitter: Duration) -> TopicConfig {
        self.segment_jitter = jitter;
        self.own("segment.jitter.ms")
    }

    /// The largest size of each index file; a segment whose index is full is rolled. Bytes, at least 24; 10 MiB by
    /// default, enough for 5 GiB of log. Kafka's `segment.index.bytes`.
    #[must_use]
    pub fn segment_index_bytes(mut self, bytes: u32) -> TopicConfig {
        self.segment_index_bytes = bytes;
        self.own("segment.index.bytes")
    }

    /// How many bytes of log lie between two index entries, at least: fewer find a batch sooner and take more memory. 4096
    /// by default. Kafka's `index.interval.bytes`.
    #[must_use]
    pub fn index_interval_bytes(mut self, bytes: u32) -> TopicConfig {
        self.index_interval_bytes = bytes;
        self.own("index.interval.bytes")
    }

    /// The largest batch, compressed, with its header of 61 bytes. 1048588 by default. Kafka's `max.message.bytes`.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: u32) -> TopicConfig {
        self.max_message_bytes = bytes;
        self.own("max.message.bytes")
    }

    /// Whether batches stay compressed as whoever appends them says (the default), or are all stored in one codec.
    /// Kafka's `compression.type`.
    #[must_use]
    pub fn compression(mut self, compression: TopicCompression) -> TopicConfig {
        self.compression = compression;
        self.own("compression.type")
    }

    /// How hard gzip tries where the topic's codec is gzip: 1 to 9, or -1 (the default) for gzip's own default. A batch that
    /// comes in gzip already stays as it is. Kafka's `compression.gzip.level`.
    #[must_use]
    pub fn gzip_level(mut self, level: i32) -> TopicConfig {
        self.gzip_level = level;
        self.own("compression.gzip.level")
    }

    /// How hard zstd tries where the topic's codec is zstd: -131072 to 22; 3 by default. A batch that comes in zstd already
    /// stays as it is. Kafka's `compression.zstd.level`.
    #[must_use]
    pub fn zstd_level(mut self, level: i32) -> TopicConfig {
        self.zstd_level = level;
        self.own("compression.zstd.level")
    }

    /// Whether records keep the timestamp that their writer gave them (the default) or get the time of the append. Kafka's
    /// `message.timestamp.type`.
    #[must_use]
    pub fn timestamp_type(mut self, timestamp_type: TimestampType) -> TopicConfig {
        self.timestamp_type = timestamp_type;
        self.own("message.timestamp.type")
    }

    /// How far before the time of the append a record's own timestamp may lie; an append with an older one is refused.
    /// No limit by default. A limit costs a look at every record of a batch that was encoded elsewhere. Without meaning where
    /// records get the time of the append. Kafka's `message.timestamp.before.max.ms`.
    #[must_use]
    pub fn timestamp_before_max(mut self, limit: impl Into<Option<Duration>>) -> TopicConfig {
        self.timestamp_before_max = limit.into();
        self.own("message.timestamp.before.max.ms")
    }

    /// How far behind the time of the append a record's own timestamp may lie; an append with a later one is refused. One
    /// hour by default, as since Kafka 4.0; `None` for no limit. Without meaning where records get the time of the append.
    /// Kafka's `message.timestamp.after.max.ms`.
    #[must_use]
    pub fn timestamp_after_max(mut self, limit: impl Into<Option<Duration>>) -> TopicConfig {
        self.timestamp_after_max = limit.into();
        self.own("message.timestamp.after.max.ms")
    }

    /// After how many records since the last sync an append syncs before it returns, at least 1: with 1, every append is
    /// durable. Never by default. Should that sync fail, the append has still happened: it is readable, the partition is
    /// poisoned, and the next append says so. Kafka's `flush.messages`.
    #[must_use]
    pub fn flush_messages(mut self, count: impl Into<Option<u64>>) -> TopicConfig {
        self.flush_messages = count.into();
        self.own("flush.messages")
    }

    /// How long after an append, at most, it is synced in the background. Never by default, but for the checkpoint
    /// ([`BrokerConfig::checkpoint_interval`](crate::BrokerConfig::checkpoint_interval())). Kafka's `flush.ms`.
    #[must_use]
    pub fn flush_interval(mut self, interval: impl Into<Option<Duration>>) -> TopicConfig {
        self.flush_interval = interval.into();
        self.own("flush.ms")
    }

    /// Whether a segment's file gets room for all of `segment_bytes` with its first append, rather than as it grows; what is
    /// left of it is given back when the segment is full, and at a close. Off by default. Kafka's `preallocate`.
    #[must_use]
    pub fn preallocate(mut self, is_preallocated: bool) -> TopicConfig {
        self.preallocate = is_preallocated;
        self.own("preallocate")
    }

    fn own(mut self, name: &'static str) -> TopicConfig {
        self.own.insert(name);
        self
    }

    /// Refuses values outside their bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        check("segment.bytes", self.segment_bytes, SEGMENT_BYTES)?;
        check("segment.index.bytes", self.segment_index_bytes, INDEX_BYTES)?;
        check("index.interval.bytes", self.index_interval_bytes, ANY_BYTES)?;
        check("max.message.bytes", self.max_message_bytes, ANY_BYTES)?;
        check_millis("segment.ms", self.segment_age, SEGMENT_AGE_MS_MIN)?;
        check_millis("segment.jitter.ms", self.segment_jitter, 0)?;
        check_millis("message.timestamp.before.max.ms", self.timestamp_before_max.unwrap_or_default(), 0)?;
        check_millis("message.timestamp.after.max.ms", self.timestamp_after_max.unwrap_or_default(), 0)?;
        check_millis("flush.ms", self.flush_interval.unwrap_or_default(), 0)?;
        check("flush.messages", self.flush_messages.unwrap_or(*FLUSH_MESSAGES.end()), FLUSH_MESSAGES)?;
        Compression::Gzip.check_level(self.gzip_level)?;
        Compression::Zstd.check_level(self.zstd_level)?;
        self.compression.validate()
    }

    /// The level of the topic's codec, if it has one and its codec has levels.
    pub(super) fn compression_level(&self) -> Option<i32> {
        match self.compression {
            TopicCompression::Codec(Compression::Gzip) => Some(self.gzip_level),
            TopicCompression::Codec(Compression::Zstd) => Some(self.zstd_level),
            TopicCompression::Codec(_) | TopicCompression::Producer => None,
        }
    }
}

fn check<N: PartialOrd + Display>(setting: &'static str, value: N, bounds: RangeInclusive<N>) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let reason = format!("must be {} to {}", bounds.start(), bounds.end());
    Err(Error::InvalidConfig { setting, value: value.to_string(), reason })
}

/// Durations are whole milliseconds in Kafka's formats, up to `i64::MAX` of them.
fn check_millis(setting: &'static str, value: Duration, minimum: u32) -> Result<()> {
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
    fn values_outside_their_bounds_are_named() {
        let refused = |config: TopicConfig| config.validate().unwrap_err().to_string();
        let config = TopicConfig::default;
        assert_eq!(
            refused(config().segment_bytes(1023)),
            "invalid value 1023 for segment.bytes: must be 1024 to 2147483647"
        );
        assert!(refused(config().segment_age(Duration::ZERO)).contains("segment.ms"));
        assert!(refused(config().segment_index_bytes(23)).contains("segment.index.bytes"));
        assert!(refused(config().segment_jitter(Duration::MAX)).contains("segment.jitter.ms"));
        assert!(refused(config().timestamp_before_max(Duration::MAX)).contains(".before.max.ms"));
        assert!(refused(config().timestamp_after_max(Duration::MAX)).contains(".after.max.ms"));
        assert!(refused(config().gzip_level(0)).contains("compression.gzip.level"));
        assert!(refused(config().zstd_level(23)).contains("compression.zstd.level"));
        assert!(refused(config().flush_interval(Duration::MAX)).contains("flush.ms"));
        assert!(refused(config().flush_messages(0)).contains("flush.messages: must be 1 to"));
        assert!(refused(config().flush_messages(u64::MAX)).contains("flush.messages: must be 1 to"));
    }
}
