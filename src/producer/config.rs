//! The settings of a producer, by Kafka's names.

use std::time::Duration;

use crate::acks::Acks;
use crate::error::{Error, Result};
use crate::record::{BatchBuilder, Compression, spare};
use crate::settings::{Setting, Settings, boolean, choice, choice_text, millis, millis_text, whole};

/// Kafka's bound, from the number of batches that a broker remembers of each producer.
const IN_FLIGHT_MAX_IDEMPOTENT: usize = 5;
/// The largest size that Kafka's settings can say.
const BYTES_MAX: usize = i32::MAX.unsigned_abs() as usize;

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// What the setters of [`ProducerBuilder`](crate::ProducerBuilder) set.
#[derive(Debug, Clone)]
pub(super) struct ProducerConfig {
    pub(super) acks: Acks,
    pub(super) linger: Duration,
    pub(super) batch_bytes: usize,
    pub(super) buffer_bytes: usize,
    pub(super) max_block: Duration,
    pub(super) compression: Compression,
    /// What code says of the codec's level, whichever it is.
    pub(super) level: Option<i32>,
    /// What properties say, for each codec.
    pub(super) gzip_level: Option<i32>,
    pub(super) zstd_level: Option<i32>,
    /// What was asked for; where nothing was, it is on as far as the other settings allow.
    pub(super) idempotence: Option<bool>,
    pub(super) max_in_flight: usize,
    pub(super) retries: u32,
    pub(super) retry_backoff: Duration,
    pub(super) retry_backoff_max: Duration,
    pub(super) delivery_timeout: Duration,
    pub(super) max_request_bytes: usize,
    /// Whether a key says nothing about the partition.
    pub(super) ignores_keys: bool,
    /// What properties say of the partitioner, which one that code sets beats.
    pub(super) partitioner: Option<NamedPartitioner>,
}

/// A partitioner of Kafka's that a property can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedPartitioner {
    RoundRobin,
    Sticky,
}

impl NamedPartitioner {
    const NAMES: [(&'static str, NamedPartitioner); 2] = [
        ("org.apache.kafka.clients.producer.RoundRobinPartitioner", NamedPartitioner::RoundRobin),
        ("org.apache.kafka.clients.producer.UniformStickyPartitioner", NamedPartitioner::Sticky),
    ];
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            acks: Acks::All,
            linger: Duration::ZERO,
            batch_bytes: 16 << 10,
            buffer_bytes: 32 << 20,
            max_block: Duration::from_secs(60),
            compression: Compression::None,
            level: None,
            gzip_level: None,
            zstd_level: None,
            idempotence: None,
            max_in_flight: 5,
            retries: i32::MAX.unsigned_abs(),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            delivery_timeout: Duration::from_secs(120),
            max_request_bytes: 1 << 20,
            ignores_keys: false,
            partitioner: None,
        }
    }
}

impl ProducerConfig {
    /// A builder of the next batch.
    pub(super) fn builder(&self) -> BatchBuilder {
        BatchBuilder::with_buffer(self.compression, spare::take()).compression_level(self.level())
    }

    /// The codec's level; none for its default.
    fn level(&self) -> Option<i32> {
        self.level.or(match self.compression {
            Compression::Gzip => self.gzip_level,
            Compression::Zstd => self.zstd_level,
            Compression::None | Compression::Snappy | Compression::Lz4 => None,
        })
    }

    /// The level of one codec as text: what code said of it, or the properties.
    fn level_of(&self, codec: Compression, level: Option<i32>) -> Option<String> {
        let level = self.level.filter(|_| self.compression == codec).or(level)?;
        Some(level.to_string())
    }

    /// Whether batches are numbered.
    pub(super) fn is_idempotent(&self) -> bool {
        self.idempotence.unwrap_or_else(|| self.conflict().is_none())
    }

    /// What keeps batches from being numbered.
    fn conflict(&self) -> Option<&'static str> {
        if self.acks == Acks::None {
            Some("with acks=0 nothing is known of an append: use acks=1 or all, or turn it off")
        } else if self.retries == 0 {
            Some("it is for retries, and retries is 0: allow some, or turn it off")
        } else {
            None
        }
    }

    /// Refuses values outside their bounds, and values that contradict each other.
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |setting: &'static str, value: String, reason: String| {
            Err(Error::InvalidConfig { setting, value, reason })
        };
        let sizes = [
            ("batch.size", self.batch_bytes, 0),
            ("buffer.memory", self.buffer_bytes, 1),
            ("max.request.size", self.max_request_bytes, 1),
            ("max.in.flight.requests.per.connection", self.max_in_flight, 1),
        ];
        for (setting, value, minimum) in sizes {
            let maximum = if setting == "buffer.memory" { isize::MAX.unsigned_abs() } else { BYTES_MAX };
            if !(minimum..=maximum).contains(&value) {
                return refuse(setting, value.to_string(), format!("must be {minimum} to {maximum}"));
            }
        }
        if self.buffer_bytes < self.batch_bytes {
            let reason = format!("must hold a batch: batch.size is {}", self.batch_bytes);
            return refuse("buffer.memory", self.buffer_bytes.to_string(), reason);
        }
        if self.delivery_timeout < self.linger {
            let reason = format!("must not be below linger.ms, {}", millis_text(self.linger));
            return refuse("delivery.timeout.ms", millis_text(self.delivery_timeout), reason);
        }
        if self.idempotence == Some(true)
            && let Some(conflict) = self.conflict()
        {
            return refuse("enable.idempotence", "true".to_owned(), conflict.to_owned());
        }
        if self.is_idempotent() && self.max_in_flight > IN_FLIGHT_MAX_IDEMPOTENT {
            let reason = format!("with idempotence, must be at most {IN_FLIGHT_MAX_IDEMPOTENT}");
            return refuse("max.in.flight.requests.per.connection", self.max_in_flight.to_string(), reason);
        }
        let levels = [
            (self.compression, self.level),
            (Compression::Gzip, self.gzip_level),
            (Compression::Zstd, self.zstd_level),
        ];
        for (codec, level) in levels {
            level.map_or(Ok(()), |level| codec.check_level(level))?;
        }
        if !self.compression.is_available() {
            return Err(Error::CodecDisabled { codec: self.compression.name() });
        }
        Ok(())
    }
}

pub(super) static SETTINGS: Settings<ProducerConfig> = Settings {
    known: &[
        Setting {
            name: "acks",
            read: |config| choice_text(&config.acks, &Acks::NAMES),
            write: |config, value| choice(value, &Acks::NAMES).map(|acks| config.acks = acks),
        },
        Setting {
            name: "enable.idempotence",
            read: |config| Some(config.is_idempotent().to_string()),
            write: |config, value| boolean(value).map(|is_on| config.idempotence = Some(is_on)),
        },
        Setting {
            name: "batch.size",
            read: |config| Some(config.batch_bytes.to_string()),
            write: |config, value| whole(value, 0..=BYTES_MAX).map(|bytes| config.batch_bytes = bytes),
        },
        Setting {
            name: "linger.ms",
            read: |config| Some(millis_text(config.linger)),
            write: |config, value| millis(value, 0).map(|linger| config.linger = linger),
        },
        Setting {
            name: "buffer.memory",
            read: |config| Some(config.buffer_bytes.to_string()),
            write: |config, value| {
                whole(value, 1..=isize::MAX.unsigned_abs()).map(|bytes| config.buffer_bytes = bytes)
            },
        },
        Setting {
            name: "max.block.ms",
            read: |config| Some(millis_text(config.max_block)),
            write: |config, value| millis(value, 0).map(|time| config.max_block = time),
        },
        Setting {
            name: "max.request.size",
            read: |config| Some(config.max_request_bytes.to_string()),
            write: |config, value| whole(value, 1..=BYTES_MAX).map(|bytes| config.max_request_bytes = bytes),
        },
        Setting {
            name: "compression.type",
            read: |config| choice_text(&config.compression, &CODECS),
            write: |config, value| choice(value, &CODECS).map(|codec| config.compression = codec),
        },
        Setting {
            name: "compression.gzip.level",
            read: |config| config.level_of(Compression::Gzip, config.gzip_level),
            write: |config, value| {
                config.gzip_level = Some(Compression::Gzip.level_from(value)?);
                Ok(())
            },
        },
        Setting {
            name: "compression.zstd.level",
            read: |config| config.level_of(Compression::Zstd, config.zstd_level),
            write: |config, value| {
                config.zstd_level = Some(Compression::Zstd.level_from(value)?);
                Ok(())
            },
        },
        Setting {
            name: "delivery.timeout.ms",
            read: |config| Some(millis_text(config.delivery_timeout)),
            write: |config, value| millis(value, 0).map(|time| config.delivery_timeout = time),
        },
        Setting {
            name: "retries",
            read: |config| Some(config.retries.to_string()),
            write: |config, value| {
                whole(value, 0..=i32::MAX.unsigned_abs()).map(|retries| config.retries = retries)
            },
        },
        Setting {
            name: "retry.backoff.ms",
            read: |config| Some(millis_text(config.retry_backoff)),
            write: |config, value| millis(value, 0).map(|time| config.retry_backoff = time),
        },
        Setting {
            name: "retry.backoff.max.ms",
            read: |config| Some(millis_text(config.retry_backoff_max)),
            write: |config, value| millis(value, 0).map(|time| config.retry_backoff_max = time),
        },
        Setting {
            name: "max.in.flight.requests.per.connection",
            read: |config| Some(config.max_in_flight.to_string()),
            write: |config, value| whole(value, 1..=BYTES_MAX).map(|count| config.max_in_flight = count),
        },
        Setting {
            name: "partitioner.ignore.keys",
            read: |config| Some(config.ignores_keys.to_string()),
            write: |config, value| boolean(value).map(|ignores| config.ignores_keys = ignores),
        },
        Setting {
            name: "partitioner.class",
            read: |config| choice_text(&config.partitioner?, &NamedPartitioner::NAMES),
            write: |config, value| {
                let own = |reason| format!("{reason}, or choose your own with ProducerBuilder::partitioner");
                config.partitioner = Some(choice(value, &NamedPartitioner::NAMES).map_err(own)?);
                Ok(())
            },
        },
        Setting {
            name: "transactional.id",
            read: |_| None,
            write: |_, _| Err("there are no transactions yet".to_owned()),
        },
    ],
    ignored: &[
        "bootstrap.servers",
        "client.dns.lookup",
        "client.id",
        "compression.lz4.level",
        "connections.max.idle.ms",
        "enable.metrics.push",
        "interceptor.classes",
        "key.serializer",
        "metadata.max.age.ms",
        "metadata.max.idle.ms",
        "metadata.recovery.strategy",
        "metric.reporters",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "partitioner.adaptive.partitioning.enable",
        "partitioner.availability.timeout.ms",
        "receive.buffer.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "sasl.*",
        "security.*",
        "send.buffer.bytes",
        "socket.connection.setup.timeout.max.ms",
        "socket.connection.setup.timeout.ms",
        "ssl.*",
        "transaction.timeout.ms",
        "value.serializer",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_read_back() {
        let pairs = [
            ("acks", "1"),
            ("batch.size", "100"),
            ("linger.ms", "7"),
            ("buffer.memory", "1000"),
            ("max.block.ms", "8"),
            ("max.request.size", "200"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "5"),
            ("delivery.timeout.ms", "9"),
            ("retries", "10"),
            ("retry.backoff.ms", "11"),
            ("retry.backoff.max.ms", "12"),
            ("max.in.flight.requests.per.connection", "4"),
            ("enable.idempotence", "false"),
            ("partitioner.ignore.keys", "true"),
            ("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner"),
        ];
        let mut config = ProducerConfig::default();
        let ignored = SETTINGS.apply_all(&mut config, pairs).unwrap();
        assert!(ignored.is_empty());
        let mut written = SETTINGS.properties(&config);
        let mut expected: Vec<_> = pairs.map(|(name, value)| (name, value.to_owned())).into();
        written.sort_unstable();
        expected.sort_unstable();
        assert_eq!(written, expected);
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let refused = |name: &str, value: &str| {
            SETTINGS.apply_all(&mut ProducerConfig::default(), [(name, value)]).unwrap_err().to_string()
        };
        assert_eq!(
            refused("transactional.id", "t"),
            "invalid value t for transactional.id: there are no transactions yet"
        );
        let told = refused("partitioner.class", "com.example.Own");
        assert!(told.ends_with("or choose your own with ProducerBuilder::partitioner"), "{told}");
        let mut config = ProducerConfig::default();
        let ignored = SETTINGS.apply_all(&mut config, [("transaction.timeout.ms", "60000")]).unwrap();
        assert_eq!(ignored, ["transaction.timeout.ms"]);
    }

    #[test]
    fn contradictions_are_named() {
        let refused = |pairs: &[(&str, &str)]| {
            let mut config = ProducerConfig::default();
            SETTINGS.apply_all(&mut config, pairs.iter().copied()).unwrap();
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            refused(&[("enable.idempotence", "true"), ("retries", "0")]),
            "invalid value true for enable.idempotence: it is for retries, and retries is 0: allow some, or turn it off"
        );
        assert!(refused(&[("enable.idempotence", "true"), ("acks", "0")]).contains("acks=0"));
        assert_eq!(
            refused(&[("delivery.timeout.ms", "5"), ("linger.ms", "6")]),
            "invalid value 5 for delivery.timeout.ms: must not be below linger.ms, 6"
        );
        assert_eq!(
            refused(&[("buffer.memory", "16383")]),
            "invalid value 16383 for buffer.memory: must hold a batch: batch.size is 16384"
        );
        assert!(refused(&[("max.in.flight.requests.per.connection", "6")]).contains("at most 5"));
    }

    #[test]
    fn idempotence_gives_way_unless_it_was_asked_for() {
        let idempotent = |pairs: &[(&str, &str)]| {
            let mut config = ProducerConfig::default();
            SETTINGS.apply_all(&mut config, pairs.iter().copied()).unwrap();
            config.validate().map(|()| config.is_idempotent())
        };
        assert!(idempotent(&[]).unwrap());
        assert!(!idempotent(&[("acks", "0")]).unwrap());
        assert!(!idempotent(&[("retries", "0")]).unwrap());
        assert!(
            !idempotent(&[("enable.idempotence", "false"), ("max.in.flight.requests.per.connection", "9")])
                .unwrap()
        );
    }
}
