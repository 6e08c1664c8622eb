//! A topic's settings as Kafka's properties.
//!
//! Invariants: every property reads back as what it was written from; what a topic has of its own is the same before and
//! after.

use super::config::{ANY_BYTES, FLUSH_MESSAGES, INDEX_BYTES, SEGMENT_AGE_MS_MIN, SEGMENT_BYTES, TopicConfig};
use super::topic_compression::TopicCompression;
use crate::error::Result;
use crate::record::{Compression, TimestampType};
use crate::settings::{
    Setting, Settings, boolean, choice, choice_text, millis, millis_or, millis_or_text, millis_text, whole,
};

const TIMESTAMP_TYPES: [(&str, TimestampType); 2] =
    [("CreateTime", TimestampType::Create), ("LogAppendTime", TimestampType::Append)];
/// How Kafka says that a number has no limit.
const UNLIMITED: i64 = i64::MAX;

static SETTINGS: Settings<TopicConfig> = Settings {
    known: &[
        Setting {
            name: "segment.bytes",
            read: |config| Some(config.segment_bytes.to_string()),
            write: |config, value| whole(value, SEGMENT_BYTES).map(|bytes| config.segment_bytes = bytes),
        },
        Setting {
            name: "segment.ms",
            read: |config| Some(millis_text(config.segment_age)),
            write: |config, value| millis(value, SEGMENT_AGE_MS_MIN).map(|age| config.segment_age = age),
        },
        Setting {
            name: "segment.jitter.ms",
            read: |config| Some(millis_text(config.segment_jitter)),
            write: |config, value| millis(value, 0).map(|jitter| config.segment_jitter = jitter),
        },
        Setting {
            name: "segment.index.bytes",
            read: |config| Some(config.segment_index_bytes.to_string()),
            write: |config, value| whole(value, INDEX_BYTES).map(|bytes| config.segment_index_bytes = bytes),
        },
        Setting {
            name: "index.interval.bytes",
            read: |config| Some(config.index_interval_bytes.to_string()),
            write: |config, value| whole(value, ANY_BYTES).map(|bytes| config.index_interval_bytes = bytes),
        },
        Setting {
            name: "max.message.bytes",
            read: |config| Some(config.max_message_bytes.to_string()),
            write: |config, value| whole(value, ANY_BYTES).map(|bytes| config.max_message_bytes = bytes),
        },
        Setting {
            name: "compression.type",
            read: |config| choice_text(&config.compression, &TopicCompression::NAMES),
            write: |config, value| {
                choice(value, &TopicCompression::NAMES).map(|chosen| config.compression = chosen)
            },
        },
        Setting {
            name: "compression.gzip.level",
            read: |config| Some(config.gzip_level.to_string()),
            write: |config, value| {
                config.gzip_level = Compression::Gzip.level_from(value)?;
                Ok(())
            },
        },
        Setting {
            name: "compression.zstd.level",
            read: |config| Some(config.zstd_level.to_string()),
            write: |config, value| {
                config.zstd_level = Compression::Zstd.level_from(value)?;
                Ok(())
            },
        },
        Setting {
            name: "message.timestamp.type",
            read: |config| choice_text(&config.timestamp_type, &TIMESTAMP_TYPES),
            write: |config, value| {
                choice(value, &TIMESTAMP_TYPES).map(|chosen| config.timestamp_type = chosen)
            },
        },
        Setting {
            name: "message.timestamp.before.max.ms",
            read: |config| Some(millis_or_text(config.timestamp_before_max, UNLIMITED)),
            write: |config, value| {
                millis_or(value, 0, UNLIMITED).map(|limit| config.timestamp_before_max = limit)
            },
        },
        Setting {
            name: "message.timestamp.after.max.ms",
            read: |config| Some(millis_or_text(config.timestamp_after_max, UNLIMITED)),
            write: |config, value| {
                millis_or(value, 0, UNLIMITED).map(|limit| config.timestamp_after_max = limit)
            },
        },
        Setting {
            name: "flush.messages",
            read: |config| {
                Some(config.flush_messages.map_or(UNLIMITED.to_string(), |count| count.to_string()))
            },
            write: |config, value| {
                whole(value, FLUSH_MESSAGES)
                    .map(|count| config.flush_messages = (count < UNLIMITED.unsigned_abs()).then_some(count))
            },
        },
        Setting {
            name: "flush.ms",
            read: |config| Some(millis_or_text(config.flush_interval, UNLIMITED)),
            write: |config, value| {
                millis_or(value, 0, UNLIMITED).map(|interval| config.flush_interval = interval)
            },
        },
        Setting {
            name: "preallocate",
            read: |config| Some(config.preallocate.to_string()),
            write: |config, value| boolean(value).map(|is_preallocated| config.preallocate = is_preallocated),
        },
    ],
    ignored: &[
        // Of deleting and compacting, which nothing here does yet.
        "cleanup.policy",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "max.compaction.lag.ms",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "retention.bytes",
        "retention.ms",
        // Of replicas.
        "follower.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        "min.insync.replicas",
        "unclean.leader.election.enable",
        // Of tiered storage.
        "local.retention.bytes",
        "local.retention.ms",
        "remote.log.*",
        "remote.storage.enable",
        // Our lz4 has no levels.
        "compression.lz4.level",
        // Gone since Kafka 4.0.
        "message.downconversion.enable",
        "message.format.version",
        "message.timestamp.difference.max.ms",
    ],
};

impl TopicConfig {
    /// The settings that Kafka's properties say: names as `segment.bytes`, values as text. Each of them is the topic's own.
    ///
    /// A name of Kafka's without a meaning here is accepted and told by [`ignored`](TopicConfig::ignored), so that one file
    /// serves both.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting) for a name that is nobody's;
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a text that is no such value. Values are
    /// checked against each other when the topic is created.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::TopicConfig;
    ///
    /// let config = TopicConfig::from_properties([("segment.bytes", "65536"), ("min.insync.replicas", "2")])?;
    /// assert_eq!((config.segment_bytes, config.overrides().len()), (65536, 1));
    /// assert_eq!(config.ignored(), ["min.insync.replicas"]);
    ///
    /// let error = TopicConfig::from_properties([("segmnt.bytes", "65536")]).unwrap_err();
    /// assert_eq!(error.to_string(), r#"unknown setting "segmnt.bytes": did you mean "segment.bytes"?"#);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<TopicConfig> {
        let mut config = TopicConfig::default();
        for (name, value) in pairs {
            config.set(name.as_ref(), value.as_ref())?;
        }
        Ok(config)
    }

    /// Every setting and its value, by Kafka's names, those included that are the broker's defaults.
    #[must_use]
    pub fn to_properties(&self) -> Vec<(&'static str, String)> {
        SETTINGS.properties(self)
    }

    /// The settings that are the topic's own, by Kafka's names.
    #[must_use]
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut properties = self.to_properties();
        properties.retain(|(name, _)| self.own.contains(name));
        properties
    }

    /// The names that [`from_properties`](TopicConfig::from_properties) was given and that mean nothing here. Until
    /// there are retention and compaction, `retention.ms` and `cleanup.policy` are among them.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Sets one setting by Kafka's name, from text, and makes it the topic's own.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let mut ignored = std::mem::take(&mut self.ignored);
        let result = SETTINGS.apply(self, &mut ignored, name, value);
        self.ignored = ignored;
        self.own.extend(SETTINGS.known_name(name));
        result
    }

    /// Checks that a setting has this name, also one without a meaning here.
    pub(crate) fn check_name(name: &str) -> Result<()> {
        SETTINGS.check_name(name)
    }

    /// The value of one setting as text, by its name in the table.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        SETTINGS.get(self, name)
    }

    /// Sets one setting without making it the topic's own, or says what is allowed.
    pub(crate) fn put(&mut self, name: &str, value: &str) -> Result<(), String> {
        SETTINGS.put(self, name, value)
    }

    /// As it was handed in by the user: what was assigned to a field, and is not Kafka's default, is the topic's own too.
    pub(crate) fn with_assigned(mut self) -> TopicConfig {
        let default = TopicConfig::default().to_properties();
        let assigned = self.to_properties().into_iter().filter(|property| !default.contains(property));
        self.own.extend(assigned.map(|(name, _)| name));
        self
    }

    /// The same overrides over other defaults.
    pub(crate) fn over(&self, defaults: &TopicConfig) -> TopicConfig {
        let (own, ignored) = (self.own.clone(), self.ignored.clone());
        let mut config = TopicConfig { own, ignored, ..defaults.clone() };
        for (name, value) in self.overrides() {
            config.put(name, &value).expect("what a table writes, it reads back");
        }
        config
    }

    /// The overrides of `changes` over these, and without those named in `reset`.
    pub(crate) fn changed(
        &self,
        changes: &TopicConfig,
        reset: &[&str],
        defaults: &TopicConfig,
    ) -> TopicConfig {
        let mut config = self.clone();
        config.own.retain(|name| !reset.contains(name));
        for (name, value) in changes.overrides() {
            config.set(name, &value).expect("what a table writes, it reads back");
        }
        config.over(defaults)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn all_set() -> TopicConfig {
        TopicConfig::default()
            .segment_bytes(4096)
            .segment_age(Duration::from_secs(5))
            .segment_jitter(Duration::from_millis(7))
            .segment_index_bytes(240)
            .index_interval_bytes(100)
            .max_message_bytes(2000)
            .compression(TopicCompression::Codec(Compression::None))
            .gzip_level(4)
            .zstd_level(-5)
            .timestamp_type(TimestampType::Append)
            .timestamp_before_max(Duration::from_millis(8))
            .timestamp_after_max(None)
            .flush_messages(9)
            .flush_interval(Duration::ZERO)
            .preallocate(true)
    }

    #[test]
    fn defaults_are_valid_and_override_nothing() {
        TopicConfig::default().validate().unwrap();
        assert!(TopicConfig::default().overrides().is_empty());
        assert_eq!(TopicConfig::default().with_assigned(), TopicConfig::default());
    }

    #[test]
    fn overrides_read_back() {
        let config = all_set();
        assert_eq!(
            config.overrides(),
            config.to_properties(),
            "every setting has a setter that says its name"
        );
        assert_eq!(TopicConfig::from_properties(config.overrides()).unwrap(), config);
        let default = TopicConfig::default();
        let read = TopicConfig::from_properties(default.to_properties()).unwrap();
        assert_eq!(read.to_properties(), default.to_properties());
        assert_eq!(read.overrides(), default.to_properties(), "also where it is the default");
    }

    #[test]
    fn every_setting_but_the_own_ones_follows_the_defaults() {
        let defaults = all_set();
        let own = TopicConfig::default().segment_bytes(1 << 30);
        let resolved = own.over(&defaults);
        assert_eq!(resolved.overrides(), [("segment.bytes", (1 << 30).to_string())]);
        assert_eq!(resolved.index_interval_bytes, 100);
        assert_eq!(resolved.over(&TopicConfig::default()), own);
        let changes = TopicConfig::default().preallocate(false);
        let changed = resolved.changed(&changes, &["segment.bytes"], &defaults);
        assert_eq!(changed.overrides(), [("preallocate", "false".to_owned())]);
        assert_eq!((changed.segment_bytes, changed.preallocate), (4096, false));
    }

    #[test]
    fn an_assignment_is_an_override_as_well() {
        let config = TopicConfig { flush_messages: Some(3), ..TopicConfig::default() };
        assert_eq!(config.with_assigned().overrides(), [("flush.messages", "3".to_owned())]);
    }
}
