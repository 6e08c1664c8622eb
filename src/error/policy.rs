//! What a caller may ask of an error without matching on its variants: whether it may pass, whether it is damage, and what Kafka
//! calls it. Where a variant only carries another error, that one answers.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::variants::Error;
use crate::offset::Offset;

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
            Error::BufferFull { .. } | Error::DeliveryTimeout { .. } | Error::RebalanceInProgress { .. } => {
                true
            }
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
            | Error::DamagedBatch { .. }
            | Error::InvalidFile { .. }
            | Error::Damaged { .. }
            | Error::RecordsLost { .. } => true,
            Error::PartitionOffline { source, .. }
            | Error::DeliveryFailed { source, .. }
            | Error::RecoveryRefused { source } => source.is_corruption(),
            Error::Fetch { source, .. } => source.is_corruption(),
            _ => false,
        }
    }

    /// Whether the disk, or the memory of a broker in memory, is full: this, or what caused it. What was stored stays, and the same
    /// append succeeds once there is space.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        match self {
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Error::DeliveryFailed { source, .. }
            | Error::DeliveryTimeout { source, .. }
            | Error::PartitionOffline { source, .. }
            | Error::RecoveryRefused { source }
            | Error::Poisoned { source, .. } => source.is_storage_full(),
            Error::BufferFull { source, .. } | Error::TimedOut { source, .. } => {
                source.as_ref().is_some_and(|source| source.is_storage_full())
            }
            Error::Fetch { source, .. } => source.is_storage_full(),
            _ => false,
        }
    }

    /// The offsets that cannot be read because they are damaged, were lost to damage, or cannot be decoded: this, or what caused it. Whoever can
    /// do without them reads on at their end; nothing does so by itself.
    ///
    /// A read gives everything in front of the damage first, so this begins at the offset that was to be read, or before it.
    /// It ends where the log can be read again: behind the one batch, unless its length is damaged too.
    ///
    /// `None` for a partition that is offline, also where damage is why: nothing of it can be read until it is mended or
    /// [salvaged](crate::RecoveryMode::Salvage).
    ///
    /// # Examples
    ///
    /// A consumer that takes what there is:
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::time::Duration;
    /// use streamlog::{
    ///     Access, AutoOffsetReset, Broker, MemoryStorage, NewTopic, PartitionId, Record, Storage, TopicPartition,
    /// };
    ///
    /// let storage = MemoryStorage::new();
    /// let broker = Broker::builder().log_dir("data").storage(storage.clone()).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// for value in ["3 apples", "1 pear", "2 plums"] {
    ///     orders.append(&[Record::new().value(value)])?;
    /// }
    /// // A byte of the second batch rots.
    /// let file = storage.open(orders.segments()[0].path(), Access::Write)?;
    /// let first_bytes = orders.read(0_u32.into(), 1)?.bytes() as u64;
    /// file.write_at(first_bytes + 70, &[IoSlice::new(b"?")])?;
    ///
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    /// consumer.assign([partition.clone()])?;
    /// let (mut values, mut lost) = (Vec::new(), Vec::new());
    /// while consumer.lag(&partition)? > 0 {
    ///     match consumer.poll(Duration::ZERO) {
    ///         Ok(records) => values.extend(records.iter().map(|record| record.value().map(<[u8]>::to_vec))),
    ///         Err(error) => {
    ///             let Some(offsets) = error.unreadable_offsets() else { return Err(error.into()) };
    ///             eprintln!("{error}: going on at {}", offsets.end);
    ///             consumer.seek(&partition, offsets.end)?;
    ///             lost.push(offsets);
    ///         }
    ///     }
    /// }
    /// assert_eq!(values, [Some(b"3 apples".to_vec()), Some(b"2 plums".to_vec())]);
    /// assert_eq!(lost, [1_u32.into()..2_u32.into()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unreadable_offsets(&self) -> Option<Range<Offset>> {
        match self {
            Error::DamagedBatch { offsets, .. }
            | Error::InvalidRecords { offsets, .. }
            | Error::RecordsLost { offsets, .. } => Some(offsets.clone()),
            Error::Fetch { source, .. } => source.unreadable_offsets(),
            _ => None,
        }
    }

    /// Kafka's protocol error code for the same failure, where it has one.
    #[must_use]
    pub fn kafka_code(&self) -> Option<i16> {
        Some(match self {
            Error::Fetch { source, .. } => return source.kafka_code(),
            Error::OffsetOutOfRange { .. } | Error::InvalidOffset { .. } => 1,
            Error::Corrupt { .. }
            | Error::DamagedBatch { .. }
            | Error::InvalidBatch { .. }
            | Error::InvalidRecords { .. }
            | Error::RecordsLost { .. } => 2,
            Error::UnknownTopic { .. } | Error::UnknownPartition { .. } => 3,
            Error::BufferFull { .. } | Error::DeliveryTimeout { .. } | Error::TimedOut { .. } => 7,
            Error::BatchTooLarge { .. } | Error::RecordTooLarge { .. } => 10,
            Error::DeliveryFailed { source, .. } => return source.kafka_code(),
            Error::InvalidTopicName { .. } | Error::TopicNameCollision { .. } => 17,
            Error::OffsetMetadataTooLarge { .. } => 12,
            Error::AppendTooLarge { .. } => 18,
            Error::IllegalGeneration { .. } => 22,
            Error::InconsistentProtocols { .. } => 23,
            Error::InvalidGroupId { .. } | Error::MissingGroup { .. } => 24,
            Error::UnknownMember { .. } => 25,
            Error::InvalidSessionTimeout { .. } => 26,
            Error::RebalanceInProgress { .. } => 27,
            Error::InvalidTimestamp { .. } | Error::TimestampOutOfBounds { .. } => 32,
            Error::TopicExists { .. } => 36,
            Error::InvalidPartitionCount { .. }
            | Error::InvalidPartition { .. }
            | Error::PartitionsNotAdded { .. } => 37,
            Error::InvalidConfig { .. } | Error::UnknownSetting { .. } => 40,
            Error::Damaged { .. }
            | Error::RecoveryRefused { .. }
            | Error::PartitionOffline { .. }
            | Error::Poisoned { .. }
            | Error::Io { .. } => 56,
            Error::UnknownLogDir { .. } => 57,
            Error::GroupNotEmpty { .. } => 68,
            Error::UnknownGroup { .. } => 69,
            Error::TopicDeletionDisabled { .. } => 73,
            Error::CodecDisabled { .. } => 76,
            Error::GroupFull { .. } => 81,
            Error::FencedInstance { .. } => 82,
            Error::GroupSubscribed { .. } => 86,
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
            | Error::NoLogDir { .. }
            | Error::ReadOnly { .. }
            | Error::NotAssigned { .. }
            | Error::AssignedTwice { .. }
            | Error::NoPosition { .. }
            | Error::WrongSubscription { .. }
            | Error::InvalidMemberData { .. }
            | Error::InvalidAssignment { .. }
            | Error::CallbackPanicked { .. }
            | Error::NotProcessed { .. }
            | Error::Closed => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::offset::PartitionId;

    #[test]
    fn a_full_disk_is_retriable_and_no_corruption() {
        let error = Error::Io {
            op: "write",
            path: PathBuf::from("x.log"),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        assert!(error.is_storage_full() && error.is_retriable() && !error.is_corruption());
        assert_eq!(error.to_string(), "cannot write x.log");
        let refused = Error::RecoveryRefused { source: Arc::new(error) };
        assert!(refused.is_storage_full() && !refused.is_corruption());
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
