//! Decodes hostile bytes as a record batch and looks at everything in it, for one codec at a time.
//!
//! The first byte says what is done to the rest before it is decoded: nothing; the frame put right (length, magic, codec,
//! checksum), so that the header and the records are what is looked at; or a right header put in front, so that the records are.
//!
//! Whatever comes: no panic; no more memory than the limit and a small multiple of the input; a batch that passes its check yields
//! exactly the records that it counts, the same each time, inside its range; a smaller limit refuses a batch or gives the
//! same; what was decoded and encoded again decodes to the same.

use streamlog::{
    BatchBuilder, BatchRecords, Compression, Corruption, EncodedBatch, Error, RecordBatch, Timestamp,
};

use super::batch::{self, ATTRIBUTES};
use super::memory;
use super::rows::Row;

/// How many bytes the records may decompress to: as many as a small input can be blown up to by every codec.
const LIMIT_BYTES: usize = 1 << 16;
/// What may be allocated beside the limit and what was handed in, each counted this often: the codecs' own buffers among it.
const MEMORY_TIMES: usize = 4;
const MEMORY_BYTES: usize = 2 << 20;

/// Tries one input.
pub fn run(codec: Compression, data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let batch = match mode % 4 {
        0 => data.to_vec(),
        1 => {
            let mut batch = data.to_vec();
            batch.resize(batch.len().max(batch::HEADER_BYTES), 0);
            set_codec(&mut batch, codec);
            batch::mend(&mut batch);
            batch
        }
        // The count of records is taken from what is left of the byte, so that it is often right.
        _ => {
            let mut batch = batch::headed(data, u32::from(mode >> 2));
            if mode % 4 == 2 {
                set_codec(&mut batch, codec);
                batch::mend_crc(&mut batch);
            }
            batch
        }
    };
    let limit = MEMORY_BYTES + MEMORY_TIMES * (LIMIT_BYTES + batch.len());
    let Some(decoded) = memory::within(limit, || decode(&batch)) else { return };
    check_again(&decoded);
    accept(&batch);
}

fn set_codec(batch: &mut [u8], codec: Compression) {
    let number = match codec {
        Compression::Gzip => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
        _ => 0,
    };
    let attributes = &mut batch[ATTRIBUTES.end - 1];
    *attributes = *attributes & !0b111 | number;
}

/// What one batch holds.
struct Decoded {
    batch: RecordBatch,
    rows: Vec<Row>,
}

fn decode(bytes: &[u8]) -> Option<Decoded> {
    let good = batch::good_head(bytes).filter(|head| head.total_bytes == bytes.len());
    let batch = match RecordBatch::decode(bytes) {
        Ok(batch) => batch,
        Err(Error::InvalidBatch { source }) => {
            assert!(!matches!(source, Corruption::Crc { .. }) || good.is_none());
            return None;
        }
        Err(error) => panic!("{error:?}"),
    };
    let good = good.expect("what is decoded has a right frame");
    assert_eq!(batch.bytes(), bytes);
    assert_eq!(
        (u64::from(batch.base_offset()), u64::from(batch.last_offset())),
        (good.base_offset, good.last_offset)
    );
    assert!(batch.next_offset() >= batch.last_offset());
    let records = match batch.records_within(LIMIT_BYTES) {
        Ok(records) => records,
        Err(Error::InvalidRecords { .. } | Error::CodecDisabled { .. }) => return None,
        Err(error) => panic!("{error:?}"),
    };
    let rows = rows_of(&batch, &records);
    let bytes_max = if batch.compression() == Compression::None { bytes.len() } else { LIMIT_BYTES };
    assert!(rows.iter().map(Row::bytes).sum::<usize>() <= bytes_max, "more came out than was allowed");
    Some(Decoded { batch, rows })
}

/// All records, each of which must be possible.
fn rows_of(batch: &RecordBatch, records: &BatchRecords) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for record in records {
        assert_eq!(record.headers().len(), record.headers().count());
        let row = Row::from(record);
        assert!(rows.last().is_none_or(|last| last.offset < row.offset), "offsets do not ascend");
        assert!((u64::from(batch.base_offset())..=u64::from(batch.last_offset())).contains(&row.offset));
        rows.push(row);
    }
    assert_eq!((rows.len(), records.len()), (records.iter().count(), batch.record_count() as usize));
    rows
}

/// What holds of a batch that was accepted.
fn check_again(decoded: &Decoded) {
    let Decoded { batch, rows } = decoded;
    if batch.is_control() {
        // A key may be too short to say anything.
        assert!(matches!(batch.control_type(), Ok(_) | Err(Error::InvalidRecords { .. })));
    } else {
        assert!(matches!(batch.control_type(), Ok(None)));
    }
    let needed: usize = rows.iter().map(Row::bytes).sum();
    for limit in [0, needed / 2, needed.saturating_sub(1), needed, LIMIT_BYTES * 2] {
        match batch.records_within(limit) {
            Ok(records) => {
                assert!(limit >= needed || batch.compression() == Compression::None);
                assert_eq!(rows_of(batch, &records), *rows);
            }
            Err(Error::InvalidRecords {
                source: Corruption::DecompressedTooLarge { limit: told }, ..
            }) => {
                assert!(limit < LIMIT_BYTES && told == limit as u64);
            }
            Err(error) => panic!("with a limit of {limit}: {error:?}"),
        }
    }
    encode_again(decoded);
}

fn encode_again(decoded: &Decoded) {
    let Decoded { batch, rows } = decoded;
    if rows.is_empty() || rows.iter().any(|row| row.timestamp < 0) {
        return;
    }
    let mut builder = BatchBuilder::new(batch.compression()).transactional(batch.is_transactional());
    if let (Some(id), Some(epoch), Some(sequence)) =
        (batch.producer_id(), batch.producer_epoch(), batch.base_sequence())
    {
        builder = builder.producer(id, epoch, sequence);
    }
    for row in rows {
        builder.append(&row.record(), Timestamp::from_millis(0)).unwrap();
    }
    let again = RecordBatch::decode(builder.build().unwrap().bytes()).unwrap();
    let records = again.records().unwrap();
    assert_eq!(records.len(), rows.len());
    for ((row, record), offset) in rows.iter().zip(&records).zip(0..) {
        assert_eq!(Row { offset, ..row.clone() }, Row::from(record));
    }
}

/// A batch from elsewhere that a log takes has records that can be read, and keeps them.
fn accept(bytes: &[u8]) {
    let Ok(accepted) = EncodedBatch::from_bytes(bytes.to_vec()) else { return };
    let before = RecordBatch::decode(bytes).unwrap().records().unwrap();
    let batch = RecordBatch::decode(accepted.bytes()).unwrap();
    let after = batch.records().unwrap();
    assert_eq!(u64::from(batch.base_offset()), 0);
    assert_eq!(after.len(), before.len());
    let is_append_time = RecordBatch::decode(bytes).unwrap().timestamp_type() != batch.timestamp_type();
    let mut largest = i64::MIN;
    for ((old, new), offset) in before.iter().zip(&after).zip(0..) {
        let (old, new) = (Row::from(old), Row::from(new));
        largest = largest.max(new.timestamp);
        let timestamp = if is_append_time { new.timestamp } else { old.timestamp };
        assert_eq!(Row { offset, timestamp, ..old }, new);
    }
    assert_eq!(batch.max_timestamp().as_millis(), largest);
}
