//! Encodes records into a batch, one behind the other, into one buffer.
//!
//! ```text
//! 0                 61                                     filled        memory.len()
//! +-----------------+----------+----------+----------+-----+--------------+
//! | kept for header | record 0 | record 1 | record 2 | …   | not yet used |
//! +-----------------+----------+----------+----------+-----+--------------+
//!
//! record   length | 0 | timestamp delta | offset delta | key length | key | value length | value | header count | headers
//! header   name length | name | value length | value       all lengths and deltas are varints, length -1 is null
//! ```
//!
//! A record's size is computed first and once; then it is written straight into its place. An uncompressed batch is that
//! buffer; a compressed one is made from it at the end.
//!
//! Invariants: the first 61 bytes are the header's; all of `memory` is initialised, and `filled` of it counts; the batch
//! never passes `i32::MAX` bytes; an append that fails changes nothing.

use crate::error::{Error, Result};
use crate::offset::Timestamp;
use crate::record::compression::Compression;
use crate::record::encoded::{EncodedBatch, compressed};
use crate::record::header::{BATCH_HEADER_BYTES, BatchHeader, TimestampType};
use crate::record::record::Record;
use crate::record::spare;
use crate::record::varint::{length_bytes, put_byte, put_length, put_varint, put_varlong, varlong_bytes};

/// The largest batch, and the largest field of a record, that the format can say.
const FORMAT_BYTES_MAX: usize = i32::MAX.unsigned_abs() as usize;
/// How much is made ready at first; it doubles from there.
const MEMORY_BYTES_MIN: usize = 1 << 10;
/// A record's attributes, of which none is defined.
const ATTRIBUTES: u8 = 0;
/// The length of a key or value that is null.
const NULL: i32 = -1;

/// Makes a batch out of records.
///
/// # Examples
///
/// ```
/// use streamlog::{BatchBuilder, Compression, Record, RecordBatch, Timestamp};
///
/// let now = Timestamp::from_millis(1_700_000_000_000);
/// let mut builder = BatchBuilder::new(Compression::Lz4);
/// builder.append(&Record::new().key("alice").value("3 apples"), now)?;
/// builder.append(&Record::new().key("bob"), now)?;
/// let carol = Record::new().key("carol");
/// assert!(builder.encoded_bytes_with(&carol, now) > builder.encoded_bytes());
/// let encoded = builder.build()?;
///
/// let batch = RecordBatch::decode(encoded.bytes())?;
/// let records = batch.records()?;
/// let values: Vec<_> = records.iter().map(|record| record.value()).collect();
/// assert_eq!(values, [Some(&b"3 apples"[..]), None]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    memory: Vec<u8>,
    filled: usize,
    header: BatchHeader,
    /// The codec's own default if there is none.
    level: Option<i32>,
    /// The latest time that an append was told.
    append_time: i64,
}

impl BatchBuilder {
    /// A builder of a batch that will be compressed like this.
    #[must_use]
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder::with_buffer(compression, Vec::new())
    }

    /// A builder that writes into `memory`, an old buffer whose contents no longer matter.
    pub(crate) fn with_buffer(compression: Compression, mut memory: Vec<u8>) -> BatchBuilder {
        if memory.len() < MEMORY_BYTES_MIN {
            memory.resize(MEMORY_BYTES_MIN, 0);
        }
        BatchBuilder {
            memory,
            filled: BATCH_HEADER_BYTES,
            header: BatchHeader::empty(compression),
            level: None,
            append_time: i64::MIN,
        }
    }

    /// Says what the records' timestamps are. Only a log may make them the append time, so this is not for callers.
    ///
    /// With [`TimestampType::Append`] readers see the latest `now` of all appends as the time of every record.
    pub(crate) fn timestamp_type(mut self, timestamp_type: TimestampType) -> BatchBuilder {
        self.header.set_timestamp_type(timestamp_type);
        self
    }

    /// Says how hard the codec tries: smaller batches for more time. Kafka's `compression.gzip.level` and
    /// `compression.zstd.level`. `None`, the default, leaves it at 6 for gzip and 3 for zstd.
    ///
    /// gzip takes 1 to 9, and -1 for its default; zstd takes -131072 to 22. The other codecs have no levels: for them,
    /// as for a level out of these bounds, [`build`](BatchBuilder::build) fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{BatchBuilder, Compression, Record, Timestamp};
    ///
    /// let mut builder = BatchBuilder::new(Compression::Zstd).compression_level(19);
    /// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(5))?;
    /// builder.build()?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn compression_level(mut self, level: impl Into<Option<i32>>) -> BatchBuilder {
        self.level = level.into();
        self
    }

    /// Stamps the batch as written by an idempotent producer. `base_sequence` is the first record's sequence.
    #[must_use]
    pub fn producer(mut self, producer_id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.header.set_producer(producer_id, epoch, base_sequence);
        self
    }

    /// Says whether the records are part of the producer's transaction.
    #[must_use]
    pub fn transactional(mut self, is_transactional: bool) -> BatchBuilder {
        self.header.set_transactional(is_transactional);
        self
    }

    /// Encodes one more record. A record without a timestamp gets `now`.
    ///
    /// # Errors
    ///
    /// [`Error::FieldTooLarge`] for a key, value or header over `i32::MAX` bytes, [`Error::BatchTooLarge`] if the batch would
    /// pass `i32::MAX` bytes, [`Error::InvalidTimestamp`] for a time before 1970. The batch then stays as it was.
    #[inline]
    pub fn append(&mut self, record: &Record<'_>, now: Timestamp) -> Result<()> {
        self.append_within(record, now, usize::MAX).map(drop)
    }

    /// As [`append`](BatchBuilder::append), unless that would take a batch that holds a record already over `bytes_max`:
    /// then it answers `false`, and nothing has changed. The record's size is computed once for both.
    #[inline]
    pub(crate) fn append_within(
        &mut self,
        record: &Record<'_>,
        now: Timestamp,
        bytes_max: usize,
    ) -> Result<bool> {
        let layout = self.layout(record, now);
        let end = self.filled as u64 + layout.total_bytes();
        if end > bytes_max as u64 && !self.is_empty() {
            return Ok(false);
        }
        if end > FORMAT_BYTES_MAX as u64 {
            return Err(refusal(record, end));
        }
        if layout.timestamp < 0 {
            return Err(Error::InvalidTimestamp { timestamp: Timestamp::from_millis(layout.timestamp) });
        }
        // What fits in 31 bits fits in a usize.
        let end = usize::try_from(end).unwrap_or(FORMAT_BYTES_MAX);
        if end > self.memory.len() {
            self.grow(end);
        }
        let mut room = self.memory.get_mut(self.filled..end).unwrap_or_default();
        layout.write(record, &mut room);
        debug_assert!(room.is_empty(), "a record takes the bytes that were computed for it");

        let timestamp = layout.timestamp;
        if self.header.record_count == 0 {
            self.header.base_timestamp = timestamp;
            self.header.max_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.append_time = self.append_time.max(now.as_millis());
        self.header.last_offset_delta = layout.offset_delta;
        self.header.record_count = layout.offset_delta + 1;
        self.filled = end;
        Ok(true)
    }

    /// Whether no record has been appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// How many records have been appended.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.header.record_count()
    }

    /// The size of the batch so far, header included, before compression.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.filled
    }

    /// The size, before compression, that the batch would have with `record` appended at `now`.
    #[must_use]
    pub fn encoded_bytes_with(&self, record: &Record<'_>, now: Timestamp) -> usize {
        let end = self.filled as u64 + self.layout(record, now).total_bytes();
        usize::try_from(end).unwrap_or(usize::MAX)
    }

    /// Compresses the records and closes the batch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidBatch`] without a record or with a producer but no sequence, [`Error::CodecDisabled`] if the codec is not built in,
    /// [`Error::InvalidConfig`] for a level that the codec does not have, [`Error::BatchTooLarge`] if compression makes it
    /// larger than `i32::MAX` bytes.
    pub fn build(self) -> Result<EncodedBatch> {
        let BatchBuilder { memory, filled, mut header, level, append_time } = self;
        header.check_produced().map_err(|source| Error::InvalidBatch { source })?;
        if let Some(level) = level {
            header.compression().check_level(level)?;
        }
        let (memory, used) = match header.compression() {
            Compression::None => (memory, filled),
            codec => {
                let compressed =
                    compressed(codec, level, memory.get(BATCH_HEADER_BYTES..filled).unwrap_or_default())?;
                spare::give(memory);
                let used = compressed.len();
                (compressed, used)
            }
        };
        if used > FORMAT_BYTES_MAX {
            let (bytes, limit) = (used as u64, FORMAT_BYTES_MAX as u64);
            return Err(Error::BatchTooLarge { bytes, limit });
        }
        if header.timestamp_type() == TimestampType::Append {
            header.max_timestamp = append_time;
        }
        Ok(EncodedBatch::seal(header, memory, used))
    }

    #[inline]
    fn layout(&self, record: &Record<'_>, now: Timestamp) -> Layout {
        let timestamp = record.own_timestamp().unwrap_or(now).as_millis();
        let base = if self.header.record_count == 0 { timestamp } else { self.header.base_timestamp };
        // Readers add the delta with the same wrap-around, so that every timestamp comes back as it was.
        let timestamp_delta = timestamp.wrapping_sub(base);
        let offset_delta = self.header.record_count;
        let mut body_bytes = size_of_val(&ATTRIBUTES) as u64
            + varlong_bytes(timestamp_delta)
            + varlong_bytes(offset_delta.into())
            + field_bytes(record.key_bytes())
            + field_bytes(record.value_bytes())
            + length_bytes(record.header_list().len());
        for (name, value) in record.header_list() {
            body_bytes += field_bytes(Some(name.as_bytes())) + field_bytes(*value);
        }
        Layout { timestamp, timestamp_delta, offset_delta, body_bytes }
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        let bytes = end.max(self.memory.len().saturating_mul(2)).min(FORMAT_BYTES_MAX);
        self.memory.resize(bytes.max(self.memory.capacity().min(FORMAT_BYTES_MAX)), 0);
    }
}

/// What must be known of a record before it is written.
struct Layout {
    timestamp: i64,
    timestamp_delta: i64,
    offset_delta: i32,
    /// What the record's length field says: the bytes behind it.
    body_bytes: u64,
}

impl Layout {
    #[inline]
    fn total_bytes(&self) -> u64 {
        varlong_bytes(self.body_bytes.cast_signed()) + self.body_bytes
    }

    #[inline]
    fn write(&self, record: &Record<'_>, room: &mut &mut [u8]) {
        put_varlong(room, self.body_bytes.cast_signed());
        put_byte(room, ATTRIBUTES);
        put_varlong(room, self.timestamp_delta);
        put_varint(room, self.offset_delta);
        put_field(room, record.key_bytes());
        put_field(room, record.value_bytes());
        put_length(room, record.header_list().len());
        for (name, value) in record.header_list() {
            put_field(room, Some(name.as_bytes()));
            put_field(room, *value);
        }
    }
}

#[inline]
fn field_bytes(field: Option<&[u8]>) -> u64 {
    field.map_or(varlong_bytes(NULL.into()), |bytes| length_bytes(bytes.len()) + bytes.len() as u64)
}

#[inline]
fn put_field(room: &mut &mut [u8], field: Option<&[u8]>) {
    let Some(bytes) = field else { return put_varint(room, NULL) };
    put_length(room, bytes.len());
    if let Some(place) = room.split_off_mut(..bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Why a record does not fit: one of its fields is too large, or all of them together are.
#[cold]
fn refusal(record: &Record<'_>, batch_bytes: u64) -> Error {
    let limit = FORMAT_BYTES_MAX as u64;
    let headers = record.header_list();
    let fields = [
        ("key", record.key_bytes().map_or(0, <[u8]>::len)),
        ("value", record.value_bytes().map_or(0, <[u8]>::len)),
        ("header count", headers.len()),
        ("header name", headers.iter().map(|(name, _)| name.len()).max().unwrap_or(0)),
        ("header value", headers.iter().map(|(_, value)| value.map_or(0, <[u8]>::len)).max().unwrap_or(0)),
    ];
    match fields.into_iter().find(|&(_, bytes)| bytes > FORMAT_BYTES_MAX) {
        Some((field, bytes)) => Error::FieldTooLarge { field, bytes: bytes as u64, limit },
        None => Error::BatchTooLarge { bytes: batch_bytes, limit },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Corruption;
    use crate::offset::{LeaderEpoch, Offset};
    use crate::record::batch::RecordBatch;

    const NOW: Timestamp = Timestamp::from_millis(1000);

    fn decode(batch: &EncodedBatch) -> RecordBatch {
        RecordBatch::decode(batch.bytes()).unwrap()
    }

    #[test]
    fn a_record_is_laid_out_as_kafka_has_it() {
        let mut builder = BatchBuilder::new(Compression::None);
        let record = Record::new().key("k").value("").header("h", None).header("h", Some(b"v"));
        builder.append(&record.timestamp(NOW), NOW).unwrap();
        builder.append(&Record::new().timestamp(Timestamp::from_millis(999)), NOW).unwrap();
        let first = b"\x1c\x00\x00\x00\x02k\x00\x04\x02h\x01\x02h\x02v";
        let second = b"\x0c\x00\x01\x02\x01\x01\x00";
        assert_eq!(builder.build().unwrap().bytes()[BATCH_HEADER_BYTES..], [&first[..], second].concat());
    }

    #[test]
    fn the_size_is_known_before_the_record_is_there() {
        let mut builder = BatchBuilder::new(Compression::None);
        assert_eq!(builder.encoded_bytes(), BATCH_HEADER_BYTES);
        for size in [0, 1, 55, 56, 57, 63, 64, 8180, 8191, 8192, 1 << 20, (1 << 20) - 12] {
            let value = vec![7; size];
            for record in [
                Record::new().value(&value),
                Record::new().key(&value).timestamp(Timestamp::from_millis(i64::MAX)),
                Record::new()
                    .header("größe", Some(&value))
                    .header("", None)
                    .timestamp(Timestamp::from_millis(0)),
            ] {
                let expected = builder.encoded_bytes_with(&record, NOW);
                builder.append(&record, NOW).unwrap();
                assert_eq!(builder.encoded_bytes(), expected);
            }
        }
        let (count, bytes) = (builder.record_count(), builder.encoded_bytes());
        let batch = builder.build().unwrap();
        assert_eq!((batch.record_count(), batch.bytes().len()), (count, bytes));
        assert_eq!(decode(&batch).records().unwrap().len(), count as usize);
    }

    #[test]
    fn timestamps_as_far_apart_as_can_be_come_back() {
        let times = [i64::MAX, 0, i64::MAX, 1, 0].map(Timestamp::from_millis);
        let mut builder = BatchBuilder::new(Compression::None);
        for time in times {
            builder.append(&Record::new().timestamp(time), NOW).unwrap();
        }
        let batch = builder.build().unwrap();
        assert_eq!(batch.max_timestamp().as_millis(), i64::MAX);
        let read: Vec<_> =
            decode(&batch).records().unwrap().iter().map(|record| record.timestamp()).collect();
        assert_eq!(read, times);
    }

    #[test]
    fn a_time_before_1970_is_refused_and_changes_nothing() {
        let mut builder = BatchBuilder::new(Compression::None);
        for millis in [-1, i64::MIN] {
            let error =
                builder.append(&Record::new().timestamp(Timestamp::from_millis(millis)), NOW).unwrap_err();
            assert!(
                matches!(error, Error::InvalidTimestamp { timestamp } if timestamp.as_millis() == millis)
            );
        }
        assert!(builder.is_empty());
    }

    #[test]
    fn a_record_that_does_not_fit_changes_nothing() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(&Record::new().value("v"), NOW).unwrap();
        let before = builder.encoded_bytes();
        // Never touched, so these pages cost no memory.
        let vast = vec![0_u8; FORMAT_BYTES_MAX + 1];
        let fits_alone = &vast[..FORMAT_BYTES_MAX];
        let error = builder.append(&Record::new().key(&vast), NOW).unwrap_err();
        assert!(matches!(
            error,
            Error::FieldTooLarge { field: "key", bytes: 0x8000_0000, limit: 0x7fff_ffff }
        ));
        let error = builder.append(&Record::new().header("h", Some(&vast)), NOW).unwrap_err();
        assert!(matches!(error, Error::FieldTooLarge { field: "header value", .. }));
        let error = builder.append(&Record::new().value(fits_alone), NOW).unwrap_err();
        assert!(matches!(error, Error::BatchTooLarge { limit: 0x7fff_ffff, .. }));
        assert_eq!((builder.encoded_bytes(), builder.record_count()), (before, 1));
        assert_eq!(decode(&builder.build().unwrap()).records().unwrap().len(), 1);
    }

    #[test]
    fn a_batch_without_records_is_refused() {
        let error = BatchBuilder::new(Compression::None).build().unwrap_err();
        let expected = Corruption::Field { field: "recordsCount", value: 0 };
        assert!(matches!(error, Error::InvalidBatch { source } if source == expected));
    }

    #[test]
    fn a_producer_without_a_sequence_is_refused() {
        let mut builder = BatchBuilder::new(Compression::None).producer(42, 3, -1);
        builder.append(&Record::new(), NOW).unwrap();
        let expected = Corruption::Field { field: "baseSequence", value: -1 };
        assert!(matches!(builder.build(), Err(Error::InvalidBatch { source }) if source == expected));
    }

    #[test]
    fn an_old_buffer_leaves_no_trace() {
        let fill = |mut builder: BatchBuilder| {
            builder.append(&Record::new().key("k").value("v"), NOW).unwrap();
            builder.build().unwrap().into_bytes()
        };
        let fresh = fill(BatchBuilder::new(Compression::None));
        assert_eq!(fill(BatchBuilder::with_buffer(Compression::None, vec![0xee; 5000])), fresh);
    }

    #[test]
    fn a_level_that_the_codec_does_not_have_is_refused_at_the_end() {
        let build = |level| {
            let mut builder = BatchBuilder::new(Compression::None).compression_level(level);
            builder.append(&Record::new().value("v"), NOW).unwrap();
            builder.build()
        };
        assert!(build(None).is_ok());
        assert!(matches!(build(Some(1)), Err(Error::InvalidConfig { value, .. }) if value == "none"));
    }

    #[test]
    fn stamping_leaves_the_crc_right() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(&Record::new().value("v"), NOW).unwrap();
        let mut batch = builder.build().unwrap();
        let crc = batch.header().crc;
        batch.stamp(Offset::from(77), LeaderEpoch::ZERO.next());
        assert_eq!(batch.header().crc, crc);
        let read = decode(&batch);
        assert_eq!(
            (read.base_offset(), read.leader_epoch()),
            (Offset::from(77), Some(LeaderEpoch::ZERO.next()))
        );
        batch.stamp_append_time(Timestamp::from_millis(5));
        let read = decode(&batch);
        assert_eq!(read.header(), batch.header());
        assert_eq!(read.timestamp_type(), TimestampType::Append);
        assert_eq!(read.records().unwrap().iter().next().unwrap().timestamp().as_millis(), 5);
        assert_eq!(read.base_offset(), 77);
    }

    #[test]
    fn append_time_is_the_latest_that_was_told() {
        let mut builder = BatchBuilder::new(Compression::None).timestamp_type(TimestampType::Append);
        builder.append(&Record::new().timestamp(Timestamp::from_millis(9999)), NOW).unwrap();
        builder.append(&Record::new(), NOW.saturating_add(std::time::Duration::from_millis(3))).unwrap();
        assert_eq!(builder.build().unwrap().max_timestamp().as_millis(), 1003);
    }
}
