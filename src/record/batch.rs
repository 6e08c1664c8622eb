//! A whole batch as it is stored, not yet decompressed.
//!
//! Its header is parsed at once and answers most questions; the records cost more, so they are asked for apart.
//!
//! Invariants: the slice is exactly one batch, and its header is a possible one. Whether the CRC is right is known only to
//! who has checked it.

use crate::error::{Corruption, Error, Result};
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::compression::Compression;
use crate::record::control::ControlType;
use crate::record::header::{BATCH_HEADER_BYTES, BatchHeader, TimestampType};
use crate::record::records::BatchRecords;
use crate::storage::Slice;

/// A batch of records in Kafka's format, as a log stores it. Cloning copies no bytes.
///
/// # Examples
///
/// ```
/// use streamlog::{BatchBuilder, Compression, Record, RecordBatch, Timestamp};
///
/// let mut builder = BatchBuilder::new(Compression::None).producer(7, 0, 41);
/// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(5))?;
/// let batch = RecordBatch::decode(builder.build()?.bytes())?;
///
/// assert_eq!(batch.record_count(), 1);
/// assert_eq!(batch.producer_id(), Some(7));
/// assert_eq!(batch.base_sequence(), Some(41));
/// assert_eq!(batch.max_timestamp().as_millis(), 5);
/// assert_eq!((batch.base_offset(), batch.last_offset()), (0_u32.into(), 0_u32.into()));
/// assert!(!batch.is_control() && !batch.is_lost() && batch.leader_epoch().is_none());
/// assert_eq!(batch.records_within(1 << 20)?.len(), 1);
/// const { assert!(RecordBatch::DECOMPRESSED_BYTES_MAX == 128 << 20) };
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordBatch {
    bytes: Slice,
    header: BatchHeader,
    /// The first offset that was asked for.
    from: Offset,
}

impl RecordBatch {
    /// The size up to which [`records`](RecordBatch::records) decompresses a batch: 128 MiB.
    ///
    /// Kafka's brokers take batches of 1 MiB by default, and rarely of more than 10; the codecs shrink even logs and JSON
    /// less than twentyfold. What claims to be larger than this is more likely to be made for harm.
    pub const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;

    /// Takes `bytes` for one batch, without a look at its CRC or its records.
    pub(crate) fn parse(bytes: Slice) -> Result<RecordBatch, Corruption> {
        let header = BatchHeader::parse_whole(&bytes)?;
        Ok(RecordBatch { bytes, from: header.base_offset(), header })
    }

    /// Copies `bytes`, one whole batch, and checks its CRC: for tools and tests.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidBatch`] if the bytes are not exactly one batch, or damaged.
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
    pub fn decode(bytes: &[u8]) -> Result<RecordBatch> {
        let decode = || {
            // Before the copy: nothing is copied for what is no batch.
            BatchHeader::parse_whole(bytes)?.check_crc(bytes)?;
            RecordBatch::parse(Slice::from(bytes.to_vec()))
        };
        decode().map_err(|source| Error::InvalidBatch { source })
    }

    /// Computes the CRC of the batch and compares it with the one in the header.
    pub(crate) fn check_crc(&self) -> Result<(), Corruption> {
        self.header.check_crc(&self.bytes)
    }

    /// The same batch, read from an offset inside it: records before that are not yielded.
    pub(crate) fn starting_at(self, from: Offset) -> RecordBatch {
        RecordBatch { from, ..self }
    }

    /// The batch as it is stored, header first. It begins at the base offset, whatever offset was read from.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The header.
    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The offset of the first record that the batch ever held.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset()
    }

    /// The offset of the last record that the batch ever held. Compaction may have removed that record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset behind the batch, where reading goes on.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// The leader epoch in which the batch was appended; none if it has not been.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.header.leader_epoch()
    }

    /// How the records are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.header.compression()
    }

    /// What the records' timestamps are.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        self.header.timestamp_type()
    }

    /// The latest of the records' timestamps, or the append time.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.header.max_timestamp()
    }

    /// How many records it holds, from the base offset on.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.header.record_count()
    }

    /// The idempotent producer that wrote it, if one did.
    #[must_use]
    pub fn producer_id(&self) -> Option<i64> {
        self.header.producer_id()
    }

    /// The epoch of that producer.
    #[must_use]
    pub fn producer_epoch(&self) -> Option<i16> {
        self.header.producer_epoch()
    }

    /// The sequence of the first record that the batch ever held.
    #[must_use]
    pub fn base_sequence(&self) -> Option<i32> {
        self.header.base_sequence()
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.header.is_transactional()
    }

    /// Whether its record is the log's own, which consumers do not see.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.header.is_control()
    }

    /// Whether it stands for records that were damaged and could not be saved
    /// ([`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage)). It holds none, only their offsets.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.header.is_lost()
    }

    /// What a control batch says; `None` for any other batch, and for one that compaction has emptied.
    ///
    /// # Errors
    ///
    /// As for [`records`](RecordBatch::records), and [`Error::InvalidRecords`] for a key that is too short.
    pub fn control_type(&self) -> Result<Option<ControlType>> {
        if !self.is_control() {
            return Ok(None);
        }
        let records = self.records()?;
        let Some(record) = records.iter().next() else { return Ok(None) };
        let control_type = ControlType::from_key(record.key().unwrap_or_default());
        control_type.map(Some).map_err(|source| self.invalid_records(source))
    }

    /// Decompresses the records, if need be, and checks them all.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRecords`] if the records are damaged or decompress to more than
    /// [`DECOMPRESSED_BYTES_MAX`](RecordBatch::DECOMPRESSED_BYTES_MAX), [`Error::CodecDisabled`] if the codec is not built in.
    pub fn records(&self) -> Result<BatchRecords> {
        self.records_within(Self::DECOMPRESSED_BYTES_MAX)
    }

    /// Decompresses the records, if need be, to at most `limit_bytes`, and checks them all.
    ///
    /// A batch that is not compressed is as large as it is: its records are read in place.
    ///
    /// # Errors
    ///
    /// As for [`records`](RecordBatch::records).
    pub fn records_within(&self, limit_bytes: usize) -> Result<BatchRecords> {
        let records = self.decompressed(limit_bytes)?;
        BatchRecords::check(&self.header, records, self.from).map_err(|source| self.invalid_records(source))
    }

    /// As [`records`](RecordBatch::records), cut in two: the first `count` and the rest.
    pub(crate) fn records_in_two(&self, count: usize) -> Result<(BatchRecords, BatchRecords)> {
        let records = self.decompressed(Self::DECOMPRESSED_BYTES_MAX)?;
        let checked = BatchRecords::check_in_two(&self.header, records, self.from, count);
        checked.map_err(|source| self.invalid_records(source))
    }

    fn decompressed(&self, limit_bytes: usize) -> Result<Slice> {
        let stored = self.bytes.slice(BATCH_HEADER_BYTES..self.bytes.len()).unwrap_or_default();
        match self.compression() {
            Compression::None => Ok(stored),
            // Compaction leaves nothing at all behind the header of an emptied batch.
            _ if stored.is_empty() => Ok(stored),
            codec => codec.decompress(&stored, limit_bytes).map_err(|error| match error {
                Error::InvalidBatch { source } => self.invalid_records(source),
                other => other,
            }),
        }
    }

    /// What is wrong with the records, and in which batch.
    fn invalid_records(&self, source: Corruption) -> Error {
        Error::InvalidRecords { offsets: self.base_offset()..self.next_offset(), source }
    }
}
