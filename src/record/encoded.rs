//! A finished batch, ready to be appended to a log, which has only to number it.
//!
//! Its base offset is 0 and it has no leader epoch until the log stamps it. Both lie in front of what the CRC covers, so
//! stamping them touches nothing but the header; stamping the append time changes the attributes too and costs a CRC.
//!
//! Our own builder makes it, or another implementation made it: then nothing of it is believed until it was checked as
//! Kafka's broker checks what a producer sends it.
//!
//! Invariants: the bytes are one whole valid batch that a producer may send, its offsets without gaps, and the header is what
//! they begin with.

use std::ops::Deref;

use crate::error::{Corruption, Error, Result};
use crate::offset::{LeaderEpoch, Offset, Timestamp};
use crate::record::batch::RecordBatch;
use crate::record::compression::Compression;
use crate::record::header::{BATCH_HEADER_BYTES, BatchHeader, TimestampType};
use crate::record::records::check_records;
use crate::record::spare;
use crate::storage::Slice;

/// How Kafka's formats say that a record has no timestamp.
const NO_TIMESTAMP: i64 = -1;

/// A batch in Kafka's format, as [`BatchBuilder`](crate::BatchBuilder) makes it, or as another implementation did.
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
    /// What is behind the batch is left over: kept, because clearing it again costs as much as a copy.
    memory: Vec<u8>,
    /// How much of `memory` is the batch.
    used: usize,
}

impl EncodedBatch {
    /// Takes a batch that another implementation encoded, checked as Kafka's broker checks what a producer sends.
    ///
    /// `bytes` must be exactly one batch of version 2 with a right CRC. It holds at least one record, with offsets that
    /// follow each other without a gap; each of them is decompressed, within
    /// [`DECOMPRESSED_BYTES_MAX`](RecordBatch::DECOMPRESSED_BYTES_MAX), and checked. A batch of a producer with an id has a
    /// sequence. Control batches are refused: only a log writes them.
    ///
    /// The records stay as they were encoded. What is not the producer's to say is taken back: base offset and leader
    /// epoch, the append time, the delete horizon of a compacted log. The largest timestamp becomes that of the records,
    /// where it was another; a header that had to be changed gets a new CRC.
    ///
    /// Costs a decompression of the batch and a look at every byte of its records, but no copy.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidBatch`] for anything else, [`Error::CodecDisabled`] if the codec is not built in, so that the records
    /// cannot be checked.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, EncodedBatch, NewTopic, Offset};
    ///
    /// // One record, as a producer of Kafka's protocol sends it.
    /// let sent = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\xff\xff\xff\xff\x02\xca\x0e\x29\x9b\
    ///     \x00\x00\x00\x00\x00\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00\
    ///     \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01\
    ///     \x1c\x00\x00\x00\x01\x103 apples\x00";
    /// let batch = EncodedBatch::from_bytes(sent.to_vec())?;
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// assert_eq!(orders.append_batch(batch)?, Offset::ZERO..Offset::from(1));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn from_bytes(bytes: Vec<u8>) -> Result<EncodedBatch> {
        let mut header = check_header(&bytes).map_err(|source| Error::InvalidBatch { source })?;
        header.clear_stamps();
        header.max_timestamp = largest_timestamp(&header, &bytes)?;
        // Where nothing had to be changed, this gives the CRC that was just found right.
        let used = bytes.len();
        Ok(EncodedBatch::seal(header, bytes, used))
    }

    /// Closes a batch whose records lie behind room for the header.
    pub(super) fn seal(mut header: BatchHeader, mut memory: Vec<u8>, used: usize) -> EncodedBatch {
        header.seal(memory.get_mut(..used).unwrap_or_default());
        EncodedBatch { header, memory, used }
    }

    /// The batch, header first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(..self.used).unwrap_or_default()
    }

    /// The batch, header first, in its buffer.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.memory.truncate(self.used);
        self.memory
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

    /// The buffer that it was encoded into, for the next one.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        self.memory
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
        self.header.write(&mut self.memory);
    }

    /// Numbers the batch anew among its producer's, and computes the CRC anew.
    pub(crate) fn renumber(&mut self, base_sequence: i32) {
        self.header.set_base_sequence(base_sequence);
        self.header.seal(self.memory.get_mut(..self.used).unwrap_or_default());
    }

    /// How the records are compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.header.compression()
    }

    /// The same batch in another codec: the same records, producer, sequence and times. The level is one that was checked.
    ///
    /// # Errors
    ///
    /// [`Error::CodecDisabled`] for a codec that is not built in, [`Error::InvalidBatch`] where the records decompress to more
    /// than [`DECOMPRESSED_BYTES_MAX`](RecordBatch::DECOMPRESSED_BYTES_MAX).
    pub(crate) fn recompressed(&self, codec: Compression, level: Option<i32>) -> Result<EncodedBatch> {
        let mut header = self.header;
        let batch = compressed(codec, level, &decompressed(&header, self.bytes())?)?;
        header.set_compression(codec);
        let used = batch.len();
        Ok(EncodedBatch::seal(header, batch, used))
    }

    /// The earliest of the records' own timestamps; `None` where no record has one. Looks at every record.
    pub(crate) fn smallest_timestamp(&self) -> Result<Option<Timestamp>> {
        let mut smallest: Option<Timestamp> = None;
        visit_timestamps(&self.header, self.bytes(), |timestamp| {
            if timestamp.as_millis() != NO_TIMESTAMP {
                smallest = Some(smallest.map_or(timestamp, |smallest| smallest.min(timestamp)));
            }
        })?;
        Ok(smallest)
    }

    /// Makes `now` the time of all its records, and computes the CRC anew.
    pub(crate) fn stamp_append_time(&mut self, now: Timestamp) {
        self.header.set_timestamp_type(TimestampType::Append);
        self.header.max_timestamp = now.as_millis();
        self.header.seal(self.memory.get_mut(..self.used).unwrap_or_default());
    }
}

/// A batch of these records, compressed, with room for the header, in a buffer of just that size: it may wait long for its
/// append. What a codec needs at worst is more than the records take, so it works in a spare buffer.
pub(super) fn compressed(codec: Compression, level: Option<i32>, records: &[u8]) -> Result<Vec<u8>> {
    let mut room = spare::take();
    let bytes = codec.compress(level, records, &mut room)?;
    let mut batch = Vec::with_capacity(BATCH_HEADER_BYTES + bytes);
    batch.resize(BATCH_HEADER_BYTES, 0);
    batch.extend_from_slice(room.get(..bytes).unwrap_or_default());
    spare::give(room);
    Ok(batch)
}

/// The header of exactly one batch, undamaged, that a producer may send.
fn check_header(batch: &[u8]) -> Result<BatchHeader, Corruption> {
    let header = BatchHeader::parse_whole(batch)?;
    header.check_crc(batch)?;
    header.check_produced()?;
    Ok(header)
}

/// Checks all records of a batch, and says which of their own timestamps is the largest.
fn largest_timestamp(header: &BatchHeader, batch: &[u8]) -> Result<i64> {
    let mut largest = i64::MIN;
    visit_timestamps(header, batch, |timestamp| largest = largest.max(timestamp.as_millis()))?;
    Ok(largest)
}

/// Checks all records of a batch, and shows the timestamp of each.
fn visit_timestamps(header: &BatchHeader, batch: &[u8], mut visit: impl FnMut(Timestamp)) -> Result<()> {
    let records = decompressed(header, batch)?;
    // Offset deltas that rise from 0 or more to at most the last, and are as many as that allows, leave no gap.
    check_records(header, &records, |record, _| visit(record.timestamp()))
        .map_err(|source| Error::InvalidBatch { source })
}

/// The records of a batch: where they lie, if they are not compressed.
fn decompressed<'a>(header: &BatchHeader, batch: &'a [u8]) -> Result<Decompressed<'a>> {
    let stored = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    match header.compression() {
        Compression::None => Ok(Decompressed::InPlace(stored)),
        codec => codec.decompress(stored, RecordBatch::DECOMPRESSED_BYTES_MAX).map(Decompressed::Apart),
    }
}

/// The records of a batch, decompressed if need be.
enum Decompressed<'a> {
    InPlace(&'a [u8]),
    Apart(Slice),
}

impl Deref for Decompressed<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Decompressed::InPlace(records) => records,
            Decompressed::Apart(records) => records,
        }
    }
}
