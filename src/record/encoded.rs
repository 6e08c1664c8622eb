//! A finished batch, ready to be appended to a log, which has only to number it.
//!
//! Its base offset is 0 and it has no leader epoch until the log stamps it. Both lie in front of what the CRC covers, so
//! stamping them touches nothing but the header; stamping the append time changes the attributes too and costs a CRC.
//!
//! Invariants: the bytes are one whole valid batch, and the header is what they begin with.

use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::header::{BatchHeader, TimestampType};

/// A batch in Kafka's format, as [`BatchBuilder`](crate::BatchBuilder) makes it.
///
/// # Examples
///
/// ```
/// use streamlog::{BatchBuilder, Compression, Record, Timestamp};
///
/// let mut builder = BatchBuilder::new(Compression::None);
/// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(5))?;
/// let batch = builder.build()?;
/// assert_eq!(batch.record_count(), 1);
/// assert_eq!(batch.max_timestamp(), Timestamp::from_millis(5));
/// assert_eq!(batch.bytes().len(), 61 + 15);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    header: BatchHeader,
    bytes: Vec<u8>,
}

impl EncodedBatch {
    /// Closes a batch whose records lie behind room for the header.
    pub(super) fn seal(mut header: BatchHeader, mut bytes: Vec<u8>) -> EncodedBatch {
        header.seal(&mut bytes);
        EncodedBatch { header, bytes }
    }

    /// The batch, header first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The batch, header first, in its buffer.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many records it holds, at least one.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.header.record_count()
    }

    /// The latest of the records' timestamps, or the append time.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.header.max_timestamp()
    }

    /// The header, as it stands in the bytes.
    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Numbers the batch. The last offset must be an offset too.
    pub(crate) fn stamp(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        debug_assert!(base_offset.checked_add(u64::from(self.record_count()) - 1).is_some());
        self.header.base_offset = base_offset;
        self.header.leader_epoch = Some(leader_epoch);
        self.header.write(&mut self.bytes);
    }

    /// Makes `now` the time of all its records, and computes the CRC anew.
    pub(crate) fn stamp_append_time(&mut self, now: Timestamp) {
        self.header.set_timestamp_type(TimestampType::Append);
        self.header.max_timestamp = now.as_millis();
        self.header.seal(&mut self.bytes);
    }
}
