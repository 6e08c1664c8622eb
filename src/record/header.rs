//! The 61 bytes in front of a batch's records.
//!
//! ```text
//!  0                   8         12        16  17        21     23        27
//!  +-------------------+---------+---------+---+---------+------+---------+
//!  | base offset       | length  | epoch   | 2 | crc     | attr | last    |   epoch  of the partition's leader, -1 none
//!  +-------------------+---------+---------+---+---------+------+---------+   crc    CRC-32C of 21..end
//!  27                  35                  43                  51     53        57        61
//!  +-------------------+-------------------+-------------------+------+---------+---------+
//!  | base timestamp    | max timestamp     | producer id       | p.ep.| sequence| records |
//!  +-------------------+-------------------+-------------------+------+---------+---------+
//!
//!  length  bytes behind this field            attr  0-2 codec, 3 append time, 4 transactional, 5 control,
//!  last    last offset - base offset                6 the base timestamp is a delete horizon,
//!                                                   14 (not Kafka's) stands for records that are lost
//! ```
//!
//! Invariants of a parsed header: the length covers the header; base offset and last offset are offsets; there are at most
//! as many records as offsets (fewer after compaction); the codec is known. The CRC is not checked here.
//!
//! Base offset, length and epoch lie in front of what the CRC covers, so a log numbers a batch without touching the rest.

use std::ops::Range;

use crate::error::Corruption;
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::compression::Compression;

const BASE_OFFSET_AT: usize = 0;
const LENGTH_AT: usize = BASE_OFFSET_AT + size_of::<i64>();
const LEADER_EPOCH_AT: usize = LENGTH_AT + size_of::<i32>();
const MAGIC_AT: usize = LEADER_EPOCH_AT + size_of::<i32>();
const CRC_AT: usize = MAGIC_AT + size_of::<i8>();
const ATTRIBUTES_AT: usize = CRC_AT + size_of::<u32>();
const LAST_OFFSET_DELTA_AT: usize = ATTRIBUTES_AT + size_of::<i16>();
const BASE_TIMESTAMP_AT: usize = LAST_OFFSET_DELTA_AT + size_of::<i32>();
const MAX_TIMESTAMP_AT: usize = BASE_TIMESTAMP_AT + size_of::<i64>();
const PRODUCER_ID_AT: usize = MAX_TIMESTAMP_AT + size_of::<i64>();
const PRODUCER_EPOCH_AT: usize = PRODUCER_ID_AT + size_of::<i64>();
const BASE_SEQUENCE_AT: usize = PRODUCER_EPOCH_AT + size_of::<i16>();
const RECORD_COUNT_AT: usize = BASE_SEQUENCE_AT + size_of::<i32>();

/// The size of the header, and of the smallest batch.
pub(crate) const BATCH_HEADER_BYTES: usize = RECORD_COUNT_AT + size_of::<i32>();
const _: () = assert!(BATCH_HEADER_BYTES == 61);

/// What the length field does not count: itself, and what is in front of it.
const UNCOUNTED_BYTES: usize = LEADER_EPOCH_AT;
/// The smallest length field.
const LENGTH_MIN: i32 = 49;
const _: () = assert!(BATCH_HEADER_BYTES - UNCOUNTED_BYTES == LENGTH_MIN as usize);

/// The format version, the only one that is known.
const MAGIC: i8 = 2;
/// What the numbers of a producer, its epoch and its sequence are where there is none, and the leader's epoch too.
const NONE: i8 = -1;

const CODEC_BITS: i16 = 0b111;
const APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;
/// Ours: Kafka uses bits 0 to 6, and reads over the others.
const LOST_BIT: i16 = 1 << 14;

/// What the timestamps of a batch's records are. Kafka's `message.timestamp.type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimestampType {
    /// When the record was made, as its producer says. Kafka's `CreateTime`.
    #[default]
    Create,
    /// When the batch was appended to the log, the same for all of its records. Kafka's `LogAppendTime`.
    Append,
}

/// All fields of a batch's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(super) base_offset: Offset,
    /// Bytes behind the length field.
    pub(super) length: i32,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) crc: u32,
    attributes: i16,
    compression: Compression,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    pub(super) record_count: i32,
}

impl BatchHeader {
    /// Bytes before those that the length field counts.
    pub(crate) const LOG_OVERHEAD_BYTES: usize = LEADER_EPOCH_AT;

    /// The length field of the batch that begins these bytes, whatever it says; `None` where there are too few.
    pub(crate) fn length_field(bytes: &[u8]) -> Option<i32> {
        Some(i32::from_be_bytes(*bytes.get(LENGTH_AT..)?.first_chunk()?))
    }

    /// The offsets that these bytes claim if they are a header, whatever else they say; `None` where they cannot be any.
    pub(crate) fn claimed_offsets(bytes: &[u8]) -> Option<Range<Offset>> {
        let header = bytes.first_chunk::<BATCH_HEADER_BYTES>()?;
        let base = Offset::from_i64(i64::from_be_bytes(field(header, BASE_OFFSET_AT)))?;
        let delta = i32::from_be_bytes(field(header, LAST_OFFSET_DELTA_AT));
        Some(base..base.saturating_add(u64::try_from(delta).ok()?).next())
    }

    /// The size of the batch that begins these bytes, as its length field says, whatever else is wrong with it; `None` for a
    /// length that no batch has.
    pub(crate) fn total_bytes_of(bytes: &[u8]) -> Option<u64> {
        let length = Self::length_field(bytes).filter(|&length| length >= LENGTH_MIN)?;
        Some(UNCOUNTED_BYTES as u64 + u64::from(length.unsigned_abs()))
    }

    /// How many offsets the batch that begins these bytes says that it holds, by its last offset delta and by its record
    /// count: the same unless compaction took records, or one of the two is damaged. What cannot be is left out.
    pub(crate) fn claimed_counts(bytes: &[u8]) -> [Option<u64>; 2] {
        let field = |at| Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let last_delta = field(LAST_OFFSET_DELTA_AT).and_then(|delta| u64::try_from(delta).ok());
        let record_count = field(RECORD_COUNT_AT).and_then(|count| u64::try_from(count).ok());
        [last_delta.map(|delta| delta + 1), record_count.filter(|&count| count > 0)]
    }

    /// The header of a batch without records, for a builder to fill in.
    pub(super) fn empty(compression: Compression) -> BatchHeader {
        BatchHeader {
            base_offset: Offset::ZERO,
            length: LENGTH_MIN,
            leader_epoch: None,
            crc: 0,
            attributes: i16::from(compression.number()),
            compression,
            last_offset_delta: 0,
            base_timestamp: i64::from(NONE),
            max_timestamp: i64::from(NONE),
            producer_id: i64::from(NONE),
            producer_epoch: i16::from(NONE),
            base_sequence: i32::from(NONE),
            record_count: 0,
        }
    }

    /// Reads the header that `bytes` begin with. Does not look at the CRC, nor at what follows.
    pub(crate) fn parse(bytes: &[u8]) -> Result<BatchHeader, Corruption> {
        let header = bytes.first_chunk::<BATCH_HEADER_BYTES>().ok_or(Corruption::Truncated {
            needed: BATCH_HEADER_BYTES as u64,
            available: bytes.len() as u64,
        })?;

        let magic = i8::from_be_bytes(field(header, MAGIC_AT));
        if magic != MAGIC {
            return Err(Corruption::Magic { magic });
        }
        let length = i32::from_be_bytes(field(header, LENGTH_AT));
        if length < LENGTH_MIN {
            let (minimum, maximum) = (LENGTH_MIN.into(), i32::MAX.into());
            return Err(Corruption::BatchLength { length: length.into(), minimum, maximum });
        }
        let base_offset = i64::from_be_bytes(field(header, BASE_OFFSET_AT));
        let last_offset_delta = i32::from_be_bytes(field(header, LAST_OFFSET_DELTA_AT));
        let record_count = i32::from_be_bytes(field(header, RECORD_COUNT_AT));
        let refused = |field, value: i64| Corruption::Field { field, value };
        let Some(base) = Offset::from_i64(base_offset) else {
            return Err(refused("baseOffset", base_offset));
        };
        if last_offset_delta < 0 || base_offset.checked_add(last_offset_delta.into()).is_none() {
            return Err(refused("lastOffsetDelta", last_offset_delta.into()));
        }
        if record_count < 0 || i64::from(record_count) > i64::from(last_offset_delta) + 1 {
            return Err(refused("recordsCount", record_count.into()));
        }
        let attributes = i16::from_be_bytes(field(header, ATTRIBUTES_AT));
        let codec = u8::try_from(attributes & CODEC_BITS).expect("three bits fit in a byte");

        Ok(BatchHeader {
            base_offset: base,
            length,
            leader_epoch: LeaderEpoch::from_i32(i32::from_be_bytes(field(header, LEADER_EPOCH_AT))),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes,
            compression: Compression::from_number(codec)?,
            last_offset_delta,
            base_timestamp: i64::from_be_bytes(field(header, BASE_TIMESTAMP_AT)),
            max_timestamp: i64::from_be_bytes(field(header, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(header, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(field(header, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(field(header, BASE_SEQUENCE_AT)),
            record_count,
        })
    }

    /// Reads the header of `batch`, which must be exactly one batch. Looks neither at the CRC nor at the records.
    pub(super) fn parse_whole(batch: &[u8]) -> Result<BatchHeader, Corruption> {
        let header = BatchHeader::parse(batch)?;
        let (needed, available) = (header.total_bytes(), batch.len() as u64);
        if available < needed {
            return Err(Corruption::Truncated { needed, available });
        }
        if available > needed {
            let (bytes, records) = (available - needed, header.record_count().into());
            return Err(Corruption::TrailingBytes { bytes, records });
        }
        Ok(header)
    }

    /// Computes the CRC of `batch`, whose header this is, and compares it with the one in the header.
    pub(super) fn check_crc(&self, batch: &[u8]) -> Result<(), Corruption> {
        let (stored, computed) = (self.crc, checksum(batch));
        if stored == computed { Ok(()) } else { Err(Corruption::Crc { stored, computed }) }
    }

    /// Refuses what a log may write but no producer: gaps, no records, control records, a producer without a sequence.
    pub(super) fn check_produced(&self) -> Result<(), Corruption> {
        let refused = |field, value: i32| Err(Corruption::Field { field, value: value.into() });
        if self.record_count == 0 || i64::from(self.record_count) != i64::from(self.last_offset_delta) + 1 {
            return refused("recordsCount", self.record_count);
        }
        if self.is_control() {
            return refused("isControlBatch", 1);
        }
        if self.producer_id().is_some() && self.base_sequence().is_none() {
            return refused("baseSequence", self.base_sequence);
        }
        Ok(())
    }

    /// Writes the header over the first bytes of `batch`, which must hold it.
    pub(crate) fn write(&self, batch: &mut [u8]) {
        let epoch = self.leader_epoch.map_or(i32::from(NONE), LeaderEpoch::to_i32);
        put(batch, BASE_OFFSET_AT, self.base_offset.to_i64().to_be_bytes());
        put(batch, LENGTH_AT, self.length.to_be_bytes());
        put(batch, LEADER_EPOCH_AT, epoch.to_be_bytes());
        put(batch, MAGIC_AT, MAGIC.to_be_bytes());
        put(batch, CRC_AT, self.crc.to_be_bytes());
        put(batch, ATTRIBUTES_AT, self.attributes.to_be_bytes());
        put(batch, LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        put(batch, BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        put(batch, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put(batch, PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        put(batch, PRODUCER_EPOCH_AT, self.producer_epoch.to_be_bytes());
        put(batch, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(batch, RECORD_COUNT_AT, self.record_count.to_be_bytes());
    }

    /// Writes the header over the first bytes of `batch`, a whole batch, with the length and the CRC that it has.
    pub(super) fn seal(&mut self, batch: &mut [u8]) {
        let length = batch.len().saturating_sub(UNCOUNTED_BYTES);
        self.length = i32::try_from(length).expect("the builder refuses batches over i32::MAX bytes");
        self.write(batch);
        self.crc = checksum(batch);
        put(batch, CRC_AT, self.crc.to_be_bytes());
    }

    /// The size of the whole batch.
    pub(crate) fn total_bytes(&self) -> u64 {
        UNCOUNTED_BYTES as u64 + u64::from(self.length.unsigned_abs())
    }

    /// The offset of the first record that the batch ever held.
    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset of the last record that the batch ever held.
    pub(crate) fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.last_offset_delta.unsigned_abs()))
    }

    /// The offset behind the batch.
    pub(crate) fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The leader's epoch in which the batch was appended; none before that.
    pub(crate) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epoch
    }

    /// How the records are compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// What the records' timestamps are.
    pub(crate) fn timestamp_type(&self) -> TimestampType {
        if self.has(APPEND_TIME_BIT) { TimestampType::Append } else { TimestampType::Create }
    }

    /// The latest of the records' timestamps, or the append time.
    pub(crate) fn max_timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.max_timestamp)
    }

    /// The idempotent producer that wrote the batch.
    pub(crate) fn producer_id(&self) -> Option<i64> {
        (self.producer_id >= 0).then_some(self.producer_id)
    }

    /// Its epoch.
    pub(crate) fn producer_epoch(&self) -> Option<i16> {
        (self.producer_epoch >= 0).then_some(self.producer_epoch)
    }

    /// The sequence of the first record that the batch ever held. Control batches have none.
    pub(crate) fn base_sequence(&self) -> Option<i32> {
        (self.base_sequence >= 0).then_some(self.base_sequence)
    }

    /// How many records the batch holds: fewer than offsets, or none, after compaction.
    pub(crate) fn record_count(&self) -> u32 {
        self.record_count.unsigned_abs()
    }

    /// Whether the records are part of a transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.has(TRANSACTIONAL_BIT)
    }

    /// Whether the record is the log's own.
    pub(crate) fn is_control(&self) -> bool {
        self.has(CONTROL_BIT)
    }

    /// Whether the batch stands for records that are lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.record_count == 0 && self.has(LOST_BIT)
    }

    pub(super) fn set_lost(&mut self) {
        self.set(LOST_BIT, true);
    }

    /// Takes back what only a log says of a batch: its place, the append time, the delete horizon, a loss. The records' deltas
    /// count from the base timestamp as before, whatever it was called.
    pub(super) fn clear_stamps(&mut self) {
        self.base_offset = Offset::ZERO;
        self.leader_epoch = None;
        self.set(APPEND_TIME_BIT | DELETE_HORIZON_BIT | LOST_BIT, false);
    }

    pub(super) fn set_timestamp_type(&mut self, timestamp_type: TimestampType) {
        self.set(APPEND_TIME_BIT, timestamp_type == TimestampType::Append);
    }

    pub(super) fn set_compression(&mut self, compression: Compression) {
        self.attributes = (self.attributes & !CODEC_BITS) | i16::from(compression.number());
        self.compression = compression;
    }

    pub(super) fn set_transactional(&mut self, is_transactional: bool) {
        self.set(TRANSACTIONAL_BIT, is_transactional);
    }

    pub(super) fn set_producer(&mut self, id: i64, epoch: i16, base_sequence: i32) {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
    }

    pub(super) fn set_base_sequence(&mut self, base_sequence: i32) {
        self.base_sequence = base_sequence;
    }

    fn has(&self, bit: i16) -> bool {
        self.attributes & bit != 0
    }

    fn set(&mut self, bit: i16, on: bool) {
        if on {
            self.attributes |= bit;
        } else {
            self.attributes &= !bit;
        }
    }
}

/// The sequence `delta` records after `base`: 0 follows `i32::MAX`.
pub(crate) fn sequence_after(base: i32, delta: i32) -> i32 {
    base.wrapping_add(delta) & i32::MAX
}

/// The CRC-32C (Castagnoli) of what a batch's CRC covers.
fn checksum(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(batch.get(ATTRIBUTES_AT..).unwrap_or_default())
}

fn field<const N: usize>(header: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    *header.get(at..).and_then(|tail| tail.first_chunk()).expect("every field lies within the header")
}

fn put<const N: usize>(batch: &mut [u8], at: usize, field: [u8; N]) {
    let place = batch.get_mut(at..).and_then(|tail| tail.first_chunk_mut());
    *place.expect("a batch has room for its header") = field;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with every field set, and the bytes that Kafka's table gives for it.
    fn sample() -> (BatchHeader, [u8; BATCH_HEADER_BYTES]) {
        let mut header = BatchHeader {
            base_offset: Offset::from(0x0102_0304),
            length: 49,
            leader_epoch: LeaderEpoch::from_i32(5),
            crc: 0xdead_beef,
            last_offset_delta: 9,
            base_timestamp: 1000,
            max_timestamp: 2000,
            record_count: 3,
            ..BatchHeader::empty(Compression::Zstd)
        };
        header.set_timestamp_type(TimestampType::Append);
        header.set_transactional(true);
        header.set_producer(7, 2, i32::MAX);
        let bytes = *b"\x00\x00\x00\x00\x01\x02\x03\x04\x00\x00\x00\x31\x00\x00\x00\x05\x02\xde\xad\xbe\xef\
            \x00\x1c\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x03\xe8\x00\x00\x00\x00\x00\x00\x07\xd0\
            \x00\x00\x00\x00\x00\x00\x00\x07\x00\x02\x7f\xff\xff\xff\x00\x00\x00\x03";
        (header, bytes)
    }

    #[test]
    fn fields_lie_where_kafka_has_them() {
        let (header, bytes) = sample();
        let mut written = [0xee; BATCH_HEADER_BYTES];
        header.write(&mut written);
        assert_eq!(written, bytes);
        assert_eq!(BatchHeader::parse(&bytes), Ok(header));
    }

    #[test]
    fn a_header_answers_in_plain_values() {
        let (header, _) = sample();
        assert_eq!(header.total_bytes(), 61);
        assert_eq!(header.last_offset(), 0x0102_030d);
        assert_eq!(header.next_offset(), 0x0102_030e);
        assert_eq!(header.timestamp_type(), TimestampType::Append);
        assert_eq!((header.producer_id(), header.producer_epoch()), (Some(7), Some(2)));
        assert_eq!(header.base_sequence(), Some(i32::MAX));
        assert!(header.is_transactional() && !header.is_control());
        let empty = BatchHeader::empty(Compression::None);
        assert_eq!((empty.leader_epoch(), empty.producer_id(), empty.base_sequence()), (None, None, None));
    }

    #[test]
    fn fields_that_cannot_be_are_refused() {
        let check = |at: usize, patch: &[u8], expected: Corruption| {
            let mut bytes = sample().1;
            bytes[at..at + patch.len()].copy_from_slice(patch);
            assert_eq!(BatchHeader::parse(&bytes), Err(expected));
        };
        let field = |field, value| Corruption::Field { field, value };
        let length = |length| Corruption::BatchLength { length, minimum: 49, maximum: 0x7fff_ffff };
        check(BASE_OFFSET_AT, &[0xff; 8], field("baseOffset", -1));
        check(BASE_OFFSET_AT, &i64::MAX.to_be_bytes(), field("lastOffsetDelta", 9));
        check(LENGTH_AT, &48_i32.to_be_bytes(), length(48));
        check(LENGTH_AT, &[0xff; 4], length(-1));
        check(MAGIC_AT, &[1], Corruption::Magic { magic: 1 });
        check(ATTRIBUTES_AT, &[0, 5], Corruption::UnknownCodec { codec: 5 });
        check(LAST_OFFSET_DELTA_AT, &[0xff; 4], field("lastOffsetDelta", -1));
        check(RECORD_COUNT_AT, &[0xff; 4], field("recordsCount", -1));
        check(RECORD_COUNT_AT, &11_i32.to_be_bytes(), field("recordsCount", 11));
    }

    #[test]
    fn sixty_bytes_are_too_few() {
        let (_, bytes) = sample();
        let expected = Corruption::Truncated { needed: 61, available: 60 };
        assert_eq!(BatchHeader::parse(&bytes[..60]), Err(expected));
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        let mut batch = [0; ATTRIBUTES_AT].to_vec();
        batch.extend_from_slice(b"123456789");
        assert_eq!(checksum(&batch), 0xe306_9283);
    }
}
