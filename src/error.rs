//! The one error of the crate, and the small one that decoders return.
//!
//! [`Error`] carries plain values (a topic's name as text, never a topic), so that every floor can use it without
//! importing upward. Each variant is something a caller can act on and holds the numbers: what was asked for and what
//! was possible. [`Corruption`] is what pure decoders say of bytes: it knows no files; whoever read the bytes adds
//! path and position. The conversions whose failure is an [`Error`] stand here too, so that the plain numbers of
//! [`offset`](crate::offset) need no errors.
//!
//! Texts are lower case, end without a full stop, and never repeat their source, which is in the chain.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::offset::{Offset, PartitionId, Timestamp};
use crate::uuid::Uuid;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not happen.
///
/// Match on the variants that you can act on, or ask the predicates: [`is_retriable`](Error::is_retriable),
/// [`is_corruption`](Error::is_corruption), [`is_storage_full`](Error::is_storage_full). Where Kafka has an error code
/// for the same thing, [`kafka_code`](Error::kafka_code) gives it.
///
/// Printing an error gives what failed; why it did is in its [`source`](std::error::Error::source), and that one's: walk the
/// chain, or let an error reporter do it.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, Error};
///
/// let broker = Broker::in_memory()?;
/// let error = broker.topic("orders").unwrap_err();
/// assert!(matches!(error, Error::UnknownTopic { ref topic } if topic == "orders"));
/// assert_eq!(error.kafka_code(), Some(3));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number that cannot be an offset.
    #[error("{value} is not an offset: the largest is {}", Offset::MAX)]
    InvalidOffset {
        /// The number.
        value: u64,
    },

    /// A number that cannot be a partition's.
    #[error("{value} is not a partition number: the largest is {limit}")]
    InvalidPartition {
        /// The number.
        value: u32,
        /// The largest that there is.
        limit: u32,
    },

    /// A topic's name breaks Kafka's rules: 1 to 249 characters out of `a-z A-Z 0-9 . _ -`, not `.` or `..`.
    #[error("invalid topic name {name:?}: {reason}")]
    InvalidTopicName {
        /// The name, cut after 249 characters.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// The topic exists already.
    #[error("topic {topic} already exists")]
    TopicExists {
        /// Its name.
        topic: String,
    },

    /// Two names that differ only in `.` and `_`, which Kafka refuses because their metrics would collide.
    #[error("topic {topic} collides with {existing}: names may not differ only in '.' and '_'")]
    TopicNameCollision {
        /// The name that was asked for.
        topic: String,
        /// The name that exists.
        existing: String,
    },

    /// No topic of this name.
    #[error("unknown topic {topic:?}")]
    UnknownTopic {
        /// The name that was asked for.
        topic: String,
    },

    /// The topic has no partition of this number.
    #[error("topic {topic} has {count} partitions, so there is no partition {partition}")]
    UnknownPartition {
        /// The topic's name.
        topic: String,
        /// The number that was asked for.
        partition: u32,
        /// How many partitions the topic has.
        count: u32,
    },

    /// A topic needs at least one partition and takes at most so many.
    #[error("{requested} partitions for topic {topic}: must be 1 to {limit}")]
    InvalidPartitionCount {
        /// The topic's name.
        topic: String,
        /// The count that was asked for.
        requested: u32,
        /// The largest that is allowed.
        limit: u32,
    },

    /// A topic's partitions can only become more: records would have to move to another one, or be lost.
    #[error("topic {topic} has {current} partitions: {requested} are not more")]
    PartitionsNotAdded {
        /// The topic's name.
        topic: String,
        /// How many there are.
        current: u32,
        /// How many there were to be.
        requested: u32,
    },

    /// Topics may not be deleted: [`BrokerConfig::delete_topics`](crate::BrokerConfig::delete_topics()) is off.
    #[error("topic {topic} cannot be deleted: the deletion of topics is turned off")]
    TopicDeletionDisabled {
        /// The topic's name.
        topic: String,
    },

    /// A setting's value is outside its bounds, or contradicts another setting.
    #[error("invalid value {value} for {setting}: {reason}")]
    InvalidConfig {
        /// The setting, by Kafka's name where it has one.
        setting: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        reason: String,
    },

    /// No setting has this name, neither here nor in Kafka.
    #[error("unknown setting {name:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownSetting {
        /// The name, cut after 100 characters.
        name: String,
        /// The known one that is most like it, if any is.
        nearest: Option<String>,
    },

    /// A record that names one topic was given to a partition of another.
    #[error("a record for topic {record_topic} cannot go to topic {topic}")]
    WrongTopic {
        /// The topic in the record.
        record_topic: String,
        /// The partition's topic.
        topic: String,
    },

    /// A record that names one partition was given to another.
    #[error("a record for partition {record_partition} cannot go to partition {partition} of topic {topic}")]
    WrongPartition {
        /// The topic's name.
        topic: String,
        /// The partition in the record.
        record_partition: u32,
        /// The partition that it was given to.
        partition: PartitionId,
    },

    /// A key, a value or a header is longer than the record format can say.
    #[error("a {field} of {bytes} bytes is over the format's limit of {limit}")]
    FieldTooLarge {
        /// `key`, `value`, `header name`, `header value` or `header count`.
        field: &'static str,
        /// Its length (or count).
        bytes: u64,
        /// The largest that can be encoded.
        limit: u64,
    },

    /// A record's timestamp lies before 1970, which Kafka's formats keep for "none".
    #[error("timestamp {timestamp} is negative: records are timed in milliseconds since 1970")]
    InvalidTimestamp {
        /// The timestamp.
        timestamp: Timestamp,
    },

    /// A [`Partitioner`](crate::Partitioner) chose a partition that the topic does not have.
    #[error("the partitioner chose partition {partition} of topic {topic}, which has {count}")]
    InvalidPartitioning {
        /// The topic's name.
        topic: String,
        /// Its answer.
        partition: u32,
        /// How many partitions the topic has.
        count: u32,
    },

    /// A [`Partitioner`](crate::Partitioner) panicked over a record.
    #[error("the partitioner of topic {topic} panicked: {reason}")]
    PartitionerPanicked {
        /// The topic's name.
        topic: String,
        /// What the panic said.
        reason: String,
    },

    /// A record's timestamp lies too far from the time of its append.
    #[error("timestamp {timestamp} is farther from the append, at {now}, than {setting}, {} ms", .limit.as_millis())]
    TimestampOutOfBounds {
        /// The record's timestamp.
        timestamp: Timestamp,
        /// The time of the append.
        now: Timestamp,
        /// `message.timestamp.before.max.ms` or `message.timestamp.after.max.ms`.
        setting: &'static str,
        /// The topic's limit.
        limit: Duration,
    },

    /// A batch, or a record alone in its batch, is over `max.message.bytes`.
    #[error("a batch of {bytes} bytes is over max.message.bytes, {limit}")]
    BatchTooLarge {
        /// Its encoded size, with the 61 bytes of its header, compressed.
        bytes: u64,
        /// The topic's limit.
        limit: u64,
    },

    /// The records of one append are together over `segment.bytes`.
    #[error("an append of {bytes} bytes is over segment.bytes, {limit}")]
    AppendTooLarge {
        /// The encoded size of the whole append.
        bytes: u64,
        /// The topic's limit.
        limit: u64,
    },

    /// A record that was given to a producer names no topic.
    #[error("a record that is sent must name its topic: Record::to(topic)")]
    MissingTopic,

    /// A record is over one of the producer's own limits, before compression.
    #[error("a record of {bytes} bytes for topic {topic} is over {setting}, {limit}")]
    RecordTooLarge {
        /// The topic's name.
        topic: String,
        /// Its encoded size, at most.
        bytes: u64,
        /// `max.request.size` or `buffer.memory`.
        setting: &'static str,
        /// The setting's value.
        limit: u64,
    },

    /// The producer holds as many bytes of records as it may, and none became free in time.
    #[error("no room for {bytes} bytes of record within {} ms: buffer.memory is {limit}", .waited.as_millis())]
    BufferFull {
        /// What the record needs.
        bytes: u64,
        /// `buffer.memory`.
        limit: u64,
        /// How long was waited for it: `max.block.ms`, or nothing for `try_send`.
        waited: Duration,
    },

    /// A record that a producer had taken could not be appended, or not made durable.
    #[error("a record for {topic}-{partition} could not be delivered")]
    DeliveryFailed {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Why; one reason for all records of a batch.
        #[source]
        source: Arc<Error>,
    },

    /// A batch could not be appended within `delivery.timeout.ms`.
    #[error("not appended within {} ms, in {attempts} attempts", .timeout.as_millis())]
    DeliveryTimeout {
        /// `delivery.timeout.ms`.
        timeout: Duration,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt failed with.
        #[source]
        source: Arc<Error>,
    },

    /// A call did not finish in the time that it was given.
    #[error("{operation} did not finish within {} ms", .timeout.as_millis())]
    TimedOut {
        /// What was called.
        operation: &'static str,
        /// The time that it was given.
        timeout: Duration,
    },

    /// The partition has no offset left for what was to be appended.
    #[error("no offsets left: {count} records do not fit behind offset {end}")]
    OffsetsExhausted {
        /// The log's end offset.
        end: Offset,
        /// How many records were to be appended.
        count: u64,
    },

    /// Every producer id that there can be has been given away.
    #[error("no producer ids left")]
    ProducerIdsExhausted,

    /// The offset is not one of the log's: a read must start in `start..=end`.
    #[error("offset {requested} is outside {start}..{end}")]
    OffsetOutOfRange {
        /// The offset that was asked for.
        requested: Offset,
        /// The first readable offset.
        start: Offset,
        /// The next offset to be assigned.
        end: Offset,
    },

    /// The partition is not assigned to this consumer.
    #[error("partition {topic}-{partition} is not assigned to this consumer")]
    NotAssigned {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// The same partition was named twice in one assignment.
    #[error("partition {topic}-{partition} is assigned twice")]
    AssignedTwice {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// A consumer has no position in the partition, and `auto.offset.reset` is `none`: seek first.
    #[error("no position in partition {topic}-{partition}, and auto.offset.reset is none")]
    NoPosition {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// A consumer cannot go on in one of its partitions. Its position stays where it is, and the other partitions are served:
    /// seek, pause, or assign without it.
    #[error("cannot read partition {topic}-{partition} from offset {position}")]
    Fetch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The consumer's position: the first offset that it has not returned.
        position: Offset,
        /// Why.
        #[source]
        source: Box<Error>,
    },

    /// Bytes that were handed in as a record batch are not a valid one.
    #[error("invalid record batch")]
    InvalidBatch {
        /// What is wrong with them.
        #[source]
        source: Corruption,
    },

    /// A batch has the right CRC, and yet its records cannot be decoded: it was encoded wrongly, or decompresses to more
    /// than the reader's limit.
    #[error("cannot decode the records of the batch at offset {offset}")]
    InvalidRecords {
        /// The batch's base offset.
        offset: Offset,
        /// What is wrong with them.
        #[source]
        source: Corruption,
    },

    /// A batch uses a codec whose Cargo feature is off in this build.
    #[error("codec {codec} is not built in: turn on the Cargo feature \"{codec}\"")]
    CodecDisabled {
        /// The codec, named like its feature.
        codec: &'static str,
    },

    /// A codec failed to compress records, which only a lack of memory makes it do.
    #[error("{codec} cannot compress the records")]
    Compress {
        /// The codec.
        codec: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },

    /// Stored bytes are damaged. Nothing is skipped: reading stops here.
    #[error("damaged batch in {} at byte {position}, expected offset {offset}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The byte in the file at which the damaged batch starts.
        position: u64,
        /// The offset that the batch there should begin with, or the lowest that it may hold.
        offset: Offset,
        /// What is wrong.
        #[source]
        source: Corruption,
    },

    /// A small file (checkpoint, metadata, properties) does not say what it must.
    #[error("cannot understand {}: {reason}", .path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The data is of a format version that this build does not know.
    #[error("{} has version {found}; this build knows versions up to {supported}", .path.display())]
    UnsupportedVersion {
        /// The file that says so.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest that is understood.
        supported: i64,
    },

    /// Acknowledged records are damaged or missing: the partition is offline, and nothing in its directory has been
    /// changed. The files hold what can still be read ([`Segment::open`](crate::Segment::open)); a copy from a backup, put in
    /// their place while no broker has the directory open, is served at the next open.
    #[error(
        "{topic}-{partition}: acknowledged records from offset {from} up to {durable} are damaged or missing"
    )]
    Damaged {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The first offset that cannot be read.
        from: Offset,
        /// Every offset below this one had been acknowledged as durable.
        durable: Offset,
        /// What was found there; nothing, where the file simply ends.
        #[source]
        source: Option<Box<Error>>,
    },

    /// The partition could not be opened and serves nothing.
    #[error("partition {topic}-{partition} is offline")]
    PartitionOffline {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Why.
        #[source]
        source: Arc<Error>,
    },

    /// An fsync failed, so what lies beyond the durable offset may be lost: the partition takes no more appends
    /// until it is opened again. Reading goes on.
    #[error("partition {topic}-{partition} is poisoned by a failed sync; durable up to offset {durable}")]
    Poisoned {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Every offset below this one is on the device.
        durable: Offset,
        /// The sync's error.
        #[source]
        source: Arc<Error>,
    },

    /// Another process, or another broker of this one, holds the log directory.
    #[error("log directory {} is held by another broker, in this process or another", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },

    /// The log directory's path names something that is no directory.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },

    /// A partition lies in a log directory that is not among those that the broker was opened with, or that cannot be
    /// told, because it cannot be read.
    #[error("no log directory with directory.id {id} in its meta.properties is online")]
    UnknownLogDir {
        /// The directory's id, in its `meta.properties`.
        id: Uuid,
    },

    /// The broker, or the partition's log, has been closed.
    #[error("the broker is closed")]
    Closed,

    /// The disk, or whatever stands behind [`Storage`](crate::Storage), refused.
    #[error("cannot {op} {}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Names the operation and the file for an I/O error: `.map_err(Error::io("read", path))`.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { op, path: path.to_path_buf(), source }
    }

    /// Whether the same call may succeed later without a change by the caller: the disk may have space again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::WouldBlock
            ),
            Error::BufferFull { .. } | Error::DeliveryTimeout { .. } | Error::TimedOut { .. } => true,
            Error::DeliveryFailed { source, .. } => source.is_retriable(),
            Error::Fetch { source, .. } => source.is_retriable(),
            _ => false,
        }
    }

    /// Whether stored or given bytes are damaged.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{BatchBuilder, Compression, Corruption, Error, Record, RecordBatch, Timestamp};
    ///
    /// let mut builder = BatchBuilder::new(Compression::None);
    /// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(5))?;
    /// let mut bytes = builder.build()?.into_bytes();
    /// bytes[70] ^= 1;
    /// let error = RecordBatch::decode(&bytes).unwrap_err();
    /// assert!(error.is_corruption());
    /// assert!(matches!(error, Error::InvalidBatch { source: Corruption::Crc { .. } }));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Error::InvalidBatch { .. }
            | Error::InvalidRecords { .. }
            | Error::Corrupt { .. }
            | Error::InvalidFile { .. }
            | Error::Damaged { .. } => true,
            Error::PartitionOffline { source, .. } | Error::DeliveryFailed { source, .. } => {
                source.is_corruption()
            }
            Error::Fetch { source, .. } => source.is_corruption(),
            _ => false,
        }
    }

    /// Whether the disk, or the memory of a broker in memory, is full. What was stored stays, and the same append
    /// succeeds once there is space.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, NewTopic, Record};
    ///
    /// let config = BrokerConfig::default().memory_bytes(1 << 20);
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// let value = vec![7; 600_000];
    /// orders.append(&[Record::new().value(&value)])?;
    /// let error = orders.append(&[Record::new().value(&value)]).unwrap_err();
    /// assert!(error.is_storage_full() && error.is_retriable());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        match self {
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Error::DeliveryFailed { source, .. } | Error::DeliveryTimeout { source, .. } => {
                source.is_storage_full()
            }
            _ => false,
        }
    }

    /// Kafka's protocol error code for the same failure, where it has one.
    #[must_use]
    pub fn kafka_code(&self) -> Option<i16> {
        Some(match self {
            Error::Fetch { source, .. } => return source.kafka_code(),
            Error::OffsetOutOfRange { .. } | Error::InvalidOffset { .. } => 1,
            Error::Corrupt { .. } | Error::InvalidBatch { .. } | Error::InvalidRecords { .. } => 2,
            Error::UnknownTopic { .. } | Error::UnknownPartition { .. } => 3,
            Error::BufferFull { .. } | Error::DeliveryTimeout { .. } | Error::TimedOut { .. } => 7,
            Error::BatchTooLarge { .. } | Error::RecordTooLarge { .. } => 10,
            Error::DeliveryFailed { source, .. } => return source.kafka_code(),
            Error::InvalidTopicName { .. } | Error::TopicNameCollision { .. } => 17,
            Error::AppendTooLarge { .. } => 18,
            Error::InvalidTimestamp { .. } | Error::TimestampOutOfBounds { .. } => 32,
            Error::TopicExists { .. } => 36,
            Error::InvalidPartitionCount { .. }
            | Error::InvalidPartition { .. }
            | Error::PartitionsNotAdded { .. } => 37,
            Error::InvalidConfig { .. } | Error::UnknownSetting { .. } => 40,
            Error::Damaged { .. }
            | Error::PartitionOffline { .. }
            | Error::Poisoned { .. }
            | Error::Io { .. } => 56,
            Error::UnknownLogDir { .. } => 57,
            Error::TopicDeletionDisabled { .. } => 73,
            Error::CodecDisabled { .. } => 76,
            Error::FieldTooLarge { .. }
            | Error::MissingTopic
            | Error::WrongTopic { .. }
            | Error::WrongPartition { .. } => 87,
            Error::OffsetsExhausted { .. }
            | Error::ProducerIdsExhausted
            | Error::InvalidPartitioning { .. }
            | Error::PartitionerPanicked { .. }
            | Error::Compress { .. }
            | Error::InvalidFile { .. }
            | Error::UnsupportedVersion { .. }
            | Error::Locked { .. }
            | Error::NotADirectory { .. }
            | Error::NotAssigned { .. }
            | Error::AssignedTwice { .. }
            | Error::NoPosition { .. }
            | Error::Closed => return None,
        })
    }
}

impl TryFrom<u64> for Offset {
    type Error = Error;

    fn try_from(value: u64) -> Result<Offset> {
        let offset = i64::try_from(value).ok().and_then(Offset::from_i64);
        offset.ok_or(Error::InvalidOffset { value })
    }
}

impl TryFrom<u32> for PartitionId {
    type Error = Error;

    fn try_from(value: u32) -> Result<PartitionId> {
        PartitionId::from_u32(value).ok_or(Error::InvalidPartition { value, limit: PartitionId::MAX.into() })
    }
}

/// What an unknown name's error says of the one that was probably meant.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest:?}?"))
}

/// An error with its sources, on one line: for logs and reports, where nobody walks the chain.
#[derive(Debug)]
pub(crate) struct Chain<'a>(pub(crate) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// What is wrong with bytes that should be a record batch or a record.
///
/// It knows no file: [`Error::Corrupt`] and [`Error::InvalidBatch`] carry it with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// Fewer bytes than what is to be read from them.
    #[error("{available} bytes where {needed} are needed")]
    Truncated {
        /// How many there must be.
        needed: u64,
        /// How many there are.
        available: u64,
    },

    /// A batch's length field that no batch can have.
    #[error("batch length {length} is outside {minimum}..={maximum}")]
    BatchLength {
        /// The field: bytes after itself.
        length: i64,
        /// The smallest possible.
        minimum: i64,
        /// The largest possible here.
        maximum: i64,
    },

    /// A format version other than 2.
    #[error("batch format version {magic}, where only 2 is known")]
    Magic {
        /// The version.
        magic: i8,
    },

    /// The checksum does not match.
    #[error("CRC-32C is {computed:#010x} where {stored:#010x} is stored")]
    Crc {
        /// The checksum in the batch.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },

    /// A codec number that Kafka has not defined.
    #[error("unknown codec {codec}")]
    UnknownCodec {
        /// The number in the attributes.
        codec: u8,
    },

    /// A header field that is negative or contradicts another.
    #[error("{field} is {value}, which cannot be")]
    Field {
        /// The field, by its name in docs/format.md.
        field: &'static str,
        /// Its value.
        value: i64,
    },

    /// A batch whose offsets do not follow those before it.
    #[error("batch begins at offset {found} where {expected} or more was expected")]
    OffsetOrder {
        /// The lowest offset it may begin with.
        expected: Offset,
        /// The offset with which it begins.
        found: i64,
    },

    /// Offsets that no batch holds, in a log that has no gaps.
    #[error("offsets {from}..{to} are missing")]
    MissingOffsets {
        /// The first offset that is missing.
        from: Offset,
        /// The next offset that is there.
        to: Offset,
    },

    /// A variable-length number with too many bytes, or cut short.
    #[error("malformed variable-length number at byte {position} of the records")]
    Varint {
        /// Its place in the decompressed records.
        position: u64,
    },

    /// A length inside a record that is negative or reaches past its end.
    #[error("{field} of length {length} at byte {position} of the records, where {available} bytes are left")]
    Length {
        /// What the length is of.
        field: &'static str,
        /// The length.
        length: i64,
        /// Its place in the decompressed records.
        position: u64,
        /// How many bytes are left.
        available: u64,
    },

    /// A header's name that is not UTF-8.
    #[error("a header name at byte {position} of the records is not UTF-8")]
    HeaderName {
        /// Its place in the decompressed records.
        position: u64,
    },

    /// Bytes after the last record.
    #[error("{bytes} bytes after the last of {records} records")]
    TrailingBytes {
        /// How many.
        bytes: u64,
        /// The batch's record count.
        records: u64,
    },

    /// A compressed stream that its codec refuses.
    #[error("{codec} cannot decompress the records: {reason}")]
    Decompress {
        /// The codec.
        codec: &'static str,
        /// Its answer.
        reason: String,
    },

    /// The records are larger, decompressed, than the reader's limit.
    #[error("the records decompress to more than the limit of {limit} bytes")]
    DecompressedTooLarge {
        /// The limit.
        limit: u64,
    },

    /// A zero length field, which ends a log, with something behind it.
    #[error("a zero length with data behind it")]
    ZeroLength,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_retriable_and_no_corruption() {
        let error = Error::Io {
            op: "write",
            path: PathBuf::from("x.log"),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        assert!(error.is_storage_full() && error.is_retriable() && !error.is_corruption());
        assert_eq!(error.to_string(), "cannot write x.log");
    }

    #[test]
    fn numbers_past_the_largest_are_refused_by_name() {
        let largest = i64::MAX.unsigned_abs();
        assert_eq!(Offset::try_from(largest).unwrap(), Offset::MAX);
        let error = Offset::try_from(largest + 1).unwrap_err();
        assert!(matches!(error, Error::InvalidOffset { value } if value == largest + 1));

        let largest = u32::from(PartitionId::MAX);
        assert_eq!(PartitionId::try_from(largest).unwrap(), PartitionId::MAX);
        let error = PartitionId::try_from(largest + 1).unwrap_err();
        assert!(matches!(error, Error::InvalidPartition { value, limit } if value == limit + 1));
    }

    #[test]
    fn corruption_is_seen_through_an_offline_partition() {
        let inner = Error::InvalidFile { path: PathBuf::from("a"), reason: "version 9".into() };
        let error = Error::PartitionOffline {
            topic: "t".into(),
            partition: PartitionId::ZERO,
            source: Arc::new(inner),
        };
        assert!(error.is_corruption());
        assert_eq!(error.to_string(), "partition t-0 is offline");
    }
}
