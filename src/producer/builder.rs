//! How a producer is made.

use std::time::Duration;

use super::config::{NamedPartitioner, ProducerConfig, SETTINGS};
use super::core::{Core, ProducerIdentity};
use super::handle::Producer;
use super::router::Router;
use crate::acks::Acks;
use crate::broker::Broker;
use crate::error::Result;
use crate::record::Compression;
use crate::sync::Arc;
use crate::topic::{Partitioner, RoundRobinPartitioner, StickyPartitioner};

/// Makes a [`Producer`]. From [`Broker::producer`].
///
/// Settings are checked by [`build`](ProducerBuilder::build). Each has Kafka's name, meaning and default, but where it says
/// otherwise.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Acks, Broker, ConsistentPartitioner};
///
/// let broker = Broker::in_memory()?;
/// let producer = broker
///     .producer()
///     .acks(Acks::Leader)
///     .linger(Duration::from_millis(5))
///     .batch_bytes(64 << 10)
///     .build()?;
///
/// let from_file = [("acks", "1"), ("linger.ms", "5"), ("bootstrap.servers", "localhost:9092")];
/// let builder = broker.producer().properties(from_file)?;
/// assert_eq!(builder.ignored(), ["bootstrap.servers"]);
///
/// // Each customer's orders keep their partition when partitions are added; what fails is given up after ten seconds.
/// let patient = broker
///     .producer()
///     .partitioner(ConsistentPartitioner)
///     .idempotence(true)
///     .max_in_flight(1)
///     .retries(10)
///     .retry_backoff(Duration::from_millis(10))
///     .retry_backoff_max(Duration::from_millis(500))
///     .delivery_timeout(Duration::from_secs(10))
///     .buffer_bytes(1 << 20)
///     .max_block(Duration::from_secs(1))
///     .build()?;
/// # let _ = (producer, builder.build()?, patient);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProducerBuilder {
    broker: Broker,
    config: ProducerConfig,
    partitioner: Option<Arc<dyn Partitioner>>,
    ignored: Vec<String>,
}

impl Broker {
    /// To send records: makes a [`Producer`].
    #[must_use]
    pub fn producer(&self) -> ProducerBuilder {
        let config = ProducerConfig::default();
        ProducerBuilder { broker: self.clone(), config, partitioner: None, ignored: Vec::new() }
    }
}

impl ProducerBuilder {
    /// What a delivery waits for; [`Acks::All`] by default, which waits for the disk. Kafka's `acks`.
    #[must_use]
    pub fn acks(mut self, acks: Acks) -> ProducerBuilder {
        self.config.acks = acks;
        self
    }

    /// How long a batch waits for more records, for those who do not wait for its records themselves. Nothing by default (Kafka's
    /// is 5 ms), so that a lone sender's record is readable when `send` returns; for throughput, a millisecond or more.
    /// Kafka's `linger.ms`.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> ProducerBuilder {
        self.config.linger = linger;
        self
    }

    /// The size at which a batch is closed, before compression: bytes, up to 2 GiB − 1; 16 KiB by default. A larger record is a
    /// batch of its own, and with 0 each record is. Kafka's `batch.size`.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> ProducerBuilder {
        self.config.batch_bytes = bytes;
        self
    }

    /// How many bytes of records are held at most, appended ones not counted; at least `batch_bytes`; 32 MiB by default. A
    /// record counts with its headers and what the format adds at most. Kafka's `buffer.memory`.
    #[must_use]
    pub fn buffer_bytes(mut self, bytes: usize) -> ProducerBuilder {
        self.config.buffer_bytes = bytes;
        self
    }

    /// How long [`send`](Producer::send) waits for room in the buffer; 60 s by default. Kafka's `max.block.ms`.
    #[must_use]
    pub fn max_block(mut self, time: Duration) -> ProducerBuilder {
        self.config.max_block = time;
        self
    }

    /// The codec of the batches; none by default. It compresses a batch as a whole, so it wants full ones: a batch of a single
    /// small record, as [`linger`](Self::linger) 0 makes them, grows under a codec. Set a linger with it, 5 ms for instance.
    /// Kafka's `compression.type`.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> ProducerBuilder {
        self.config.compression = compression;
        self
    }

    /// How hard the codec tries: smaller batches for more time. gzip takes 1 to 9, and −1 for its default, 6; zstd −131072 to
    /// 22, 3 by default; the others have no levels, and [`build`](Self::build) refuses one. Kafka's `compression.gzip.level`
    /// and `compression.zstd.level`.
    #[must_use]
    pub fn compression_level(mut self, level: i32) -> ProducerBuilder {
        self.config.level = Some(level);
        self
    }

    /// Who chooses the partition of a record that names none: [`HashPartitioner`](crate::HashPartitioner) by default. Kafka's `partitioner.class`.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> ProducerBuilder {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Whether batches carry an id of the producer and a number, without gaps, as Kafka's do. On by default, where the other
    /// settings allow it: not with [`Acks::None`], nor without retries. A repetition never leaves a record twice, with or
    /// without: an append that failed is undone before it is tried again. Kafka's `enable.idempotence`.
    #[must_use]
    pub fn idempotence(mut self, is_on: bool) -> ProducerBuilder {
        self.config.idempotence = Some(is_on);
        self
    }

    /// How many batches of a partition go into one append at most, and are on their way together; 1 to 5 with idempotence; 5
    /// by default. Order is kept with any number. Kafka's `max.in.flight.requests.per.connection`.
    #[must_use]
    pub fn max_in_flight(mut self, count: usize) -> ProducerBuilder {
        self.config.max_in_flight = count;
        self
    }

    /// How often an append that failed for a reason that may pass (a full disk) is tried again, within
    /// [`delivery_timeout`](Self::delivery_timeout); 2³¹ − 1 by default. Kafka's `retries`.
    #[must_use]
    pub fn retries(mut self, count: u32) -> ProducerBuilder {
        self.config.retries = count;
        self
    }

    /// The pause before the first repetition, doubled for each that follows, up to
    /// [`retry_backoff_max`](Self::retry_backoff_max), a fifth more or less; 100 ms by default. Kafka's `retry.backoff.ms`.
    #[must_use]
    pub fn retry_backoff(mut self, time: Duration) -> ProducerBuilder {
        self.config.retry_backoff = time;
        self
    }

    /// The longest pause between two repetitions; 1 s by default. Kafka's `retry.backoff.max.ms`.
    #[must_use]
    pub fn retry_backoff_max(mut self, time: Duration) -> ProducerBuilder {
        self.config.retry_backoff_max = time;
        self
    }

    /// How long after its batch was opened a record may still be appended; at least `linger`; 120 s by default. Kafka's
    /// `delivery.timeout.ms`.
    #[must_use]
    pub fn delivery_timeout(mut self, time: Duration) -> ProducerBuilder {
        self.config.delivery_timeout = time;
        self
    }

    /// The largest record, before compression, with its headers and what the format adds at most; 1 MiB by default. What a batch
    /// may have after compression is the topic's `max.message.bytes`. Kafka's `max.request.size`.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> ProducerBuilder {
        self.config.max_request_bytes = bytes;
        self
    }

    /// Sets what these properties say, by Kafka's names for a producer's settings. `partitioner.class` takes the class names of
    /// Kafka's `RoundRobinPartitioner` and `UniformStickyPartitioner`, which [`partitioner`](Self::partitioner) beats.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting) with the nearest name,
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a text that is no such value.
    pub fn properties<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ProducerBuilder> {
        self.ignored.extend(SETTINGS.apply_all(&mut self.config, properties)?);
        Ok(self)
    }

    /// The settings as properties, by Kafka's names.
    #[must_use]
    pub fn to_properties(&self) -> Vec<(&'static str, String)> {
        SETTINGS.properties(&self.config)
    }

    /// The properties that were accepted and mean nothing here, because there is no network or no cluster.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Makes the producer. With idempotence it gets an id that no other producer of this log directory ever has, for which
    /// now and then something must be written and synced.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for a value outside its bounds, or one that contradicts another;
    /// [`Error::CodecDisabled`](crate::Error::CodecDisabled); [`Error::ReadOnly`](crate::Error::ReadOnly);
    /// [`Error::Closed`](crate::Error::Closed); and the errors of an
    /// append to the catalog.
    pub fn build(self) -> Result<Producer> {
        let ProducerBuilder { broker, config, partitioner, .. } = self;
        config.validate()?;
        let named = match config.partitioner {
            Some(NamedPartitioner::RoundRobin) => {
                Some(Arc::new(RoundRobinPartitioner) as Arc<dyn Partitioner>)
            }
            Some(NamedPartitioner::Sticky) => Some(Arc::new(StickyPartitioner) as _),
            None => config.ignores_keys.then(|| Arc::new(StickyPartitioner) as _),
        };
        let partitioner = partitioner.or(named);
        broker.shared.check_open()?;
        broker.shared.check_writable("make a producer")?;
        let identity = if config.is_idempotent() {
            Some(ProducerIdentity { id: broker.shared.catalog.next_producer_id()?, epoch: 0 })
        } else {
            None
        };
        let random = broker.shared.random();
        let background = broker.shared.background.clone();
        let router = Arc::new(Router::new(Core::new(config, identity, background, random), partitioner));
        broker.shared.end_with_broker(Arc::<Router>::clone(&router))?;
        Ok(Producer::new(broker, router))
    }
}
