//! Batches that another implementation encoded are checked, appended as they are, and read back.

use std::ops::Range;

use streamlog::{
    Broker, Compression, Corruption, EncodedBatch, Error, ManualClock, NewTopic, Offset, Partition,
    RecordBatch, Timestamp, TimestampType, TopicConfig,
};

use crate::golden::{self, fixture, row};
use crate::hostile::{fix_crc, samples};
use crate::interop;

/// Where the fields of a batch lie.
const BASE_OFFSET: Range<usize> = 0..8;
const LENGTH: Range<usize> = 8..12;
const LEADER_EPOCH: Range<usize> = 12..16;
const ATTRIBUTES: usize = 22;
const LAST_OFFSET_DELTA: Range<usize> = 23..27;
const MAX_TIMESTAMP: Range<usize> = 35..43;
const PRODUCER_ID: Range<usize> = 43..51;
const BASE_SEQUENCE: Range<usize> = 53..57;
const RECORD_COUNT: Range<usize> = 57..61;

/// The time at which everything is appended here.
const NOW: i64 = 1_800_000_000_000;

/// A partition of a new topic, on a clock that stands still.
fn partition(timestamp_type: TimestampType) -> Partition {
    let clock = ManualClock::new(Timestamp::from_millis(NOW));
    let broker = Broker::builder().in_memory().clock(clock).open().unwrap();
    let config = TopicConfig::default().timestamp_type(timestamp_type).timestamp_after_max(None);
    broker.admin().create_topic(NewTopic::new("orders").config(config)).unwrap();
    broker.topic("orders").unwrap().partition(0).unwrap()
}

/// Appends a batch behind others, and gives it as it is read back.
fn through(partition: &Partition, batch: EncodedBatch) -> RecordBatch {
    let offsets = partition.append_batch(batch).unwrap();
    let read = partition.read(offsets.start, 1).unwrap();
    let batch = read.iter().next().unwrap().clone();
    assert_eq!(batch.base_offset()..batch.next_offset(), offsets);
    batch
}

/// Why `bytes`, under a right CRC, are refused.
fn refusal(mut bytes: Vec<u8>) -> Corruption {
    fix_crc(&mut bytes);
    match EncodedBatch::from_bytes(bytes) {
        Err(Error::InvalidBatch { source }) => source,
        other => panic!("not refused as a batch: {other:?}"),
    }
}

fn field(field: &'static str, value: i64) -> Corruption {
    Corruption::Field { field, value }
}

/// Kafka's own batch of four records, not compressed, with some bytes replaced.
fn patched(patches: &[(Range<usize>, &[u8])]) -> Vec<u8> {
    let mut bytes = fixture("create-none");
    for (range, patch) in patches {
        bytes[range.clone()].copy_from_slice(patch);
    }
    bytes
}

#[test]
fn kafkas_own_batches_are_stored_as_they_are() {
    let partition = partition(TimestampType::Create);
    let long =
        golden::codecs().filter(|&codec| codec != Compression::None).map(|codec| format!("long-{codec}"));
    for name in golden::codecs().map(|codec| format!("create-{codec}")).chain(long) {
        let bytes = fixture(&name);
        let sent = RecordBatch::decode(&bytes).unwrap();
        let batch = EncodedBatch::from_bytes(bytes.clone()).unwrap();
        assert_eq!(batch.max_timestamp(), sent.max_timestamp(), "{name}");
        let read = through(&partition, batch);
        assert_eq!(read.bytes()[LENGTH], bytes[LENGTH], "{name}");
        assert_eq!(read.bytes()[LEADER_EPOCH.end..], bytes[LEADER_EPOCH.end..], "{name}");

        let (sent_records, read_records) = (sent.records().unwrap(), read.records().unwrap());
        assert_eq!(read_records.len(), sent_records.len());
        let moved = u64::from(read.base_offset()).wrapping_sub(sent.base_offset().into());
        for (ours, theirs) in read_records.iter().map(row).zip(sent_records.iter().map(row)) {
            let theirs = (theirs.0.wrapping_add(moved), theirs.1, theirs.2, theirs.3, theirs.4, theirs.5);
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

#[test]
fn what_kafka_protocol_encodes_is_read_back() {
    for timestamp_type in [TimestampType::Create, TimestampType::Append] {
        let partition = partition(timestamp_type);
        for (codec, theirs) in interop::codecs() {
            let rows = interop::rows();
            let batch = EncodedBatch::from_bytes(interop::encode(&rows, theirs)).unwrap();
            let read = through(&partition, batch);
            assert_eq!((read.compression(), read.timestamp_type()), (codec, timestamp_type));
            assert_eq!((read.producer_id(), read.base_sequence()), (Some(42), Some(100)));
            let records = read.records().unwrap();
            assert_eq!(records.len(), rows.len());
            for (i, (record, (key, value, headers))) in records.iter().zip(&rows).enumerate() {
                assert_eq!((record.key(), record.value()), (key.as_deref(), value.as_deref()), "{codec}");
                assert_eq!(record.headers().len(), headers.len(), "{codec}");
                let is_create = timestamp_type == TimestampType::Create;
                let expected = if is_create { interop::time(i) } else { NOW };
                assert_eq!(record.timestamp().as_millis(), expected, "{codec}");
            }
        }
    }
}

#[test]
fn a_foreign_append_time_gives_way_to_the_logs() {
    let batch = || EncodedBatch::from_bytes(fixture("append-none")).unwrap();
    // Kafka wrote both from the same records, so without the append time they are the same to the byte.
    assert_eq!(batch().bytes(), EncodedBatch::from_bytes(fixture("create-none")).unwrap().bytes());

    let read = through(&partition(TimestampType::Create), batch());
    assert_eq!(read.timestamp_type(), TimestampType::Create);
    assert_eq!(read.max_timestamp().as_millis(), 1_700_000_000_500);
    let times: Vec<_> = read.records().unwrap().iter().map(|record| record.timestamp().as_millis()).collect();
    assert_eq!(times, [1_700_000_000_000, 1_700_000_000_007, 1_699_999_999_990, 1_700_000_000_500]);

    let read = through(&partition(TimestampType::Append), batch());
    assert_eq!((read.timestamp_type(), read.max_timestamp().as_millis()), (TimestampType::Append, NOW));
    assert!(read.records().unwrap().iter().all(|record| record.timestamp().as_millis() == NOW));
}

#[test]
fn a_wrong_largest_timestamp_is_put_right() {
    let right = EncodedBatch::from_bytes(fixture("create-none")).unwrap();
    for wrong in [i64::MIN, -1, 0, 1_700_000_000_499, i64::MAX] {
        let mut bytes = patched(&[(MAX_TIMESTAMP, &wrong.to_be_bytes())]);
        fix_crc(&mut bytes);
        assert_eq!(EncodedBatch::from_bytes(bytes).unwrap().bytes(), right.bytes());
    }
}

#[test]
fn what_only_a_log_says_is_taken_back() {
    let right = EncodedBatch::from_bytes(fixture("create-none")).unwrap();
    let read = RecordBatch::decode(right.bytes()).unwrap();
    assert_eq!((read.base_offset(), read.leader_epoch()), (Offset::ZERO, None));
    // The bit of the delete horizon.
    let mut bytes = fixture("create-none");
    bytes[ATTRIBUTES] |= 1 << 6;
    fix_crc(&mut bytes);
    assert_eq!(EncodedBatch::from_bytes(bytes).unwrap().bytes(), right.bytes());
}

#[test]
fn what_a_producer_may_not_send_is_refused() {
    for name in ["marker-commit", "marker-abort"] {
        assert_eq!(refusal(fixture(name)), field("isControlBatch", 1));
    }
    assert_eq!(refusal(fixture("empty")), field("recordsCount", 0));
    assert_eq!(refusal(fixture("compacted-lz4")), field("recordsCount", 3));
    assert_eq!(refusal(patched(&[(BASE_OFFSET, &[0xff; 8])])), field("baseOffset", -1));
    assert_eq!(refusal(patched(&[(BASE_SEQUENCE, &[0xff; 4])])), field("baseSequence", -1));
    assert_eq!(refusal(patched(&[(16..17, &[1])])), Corruption::Magic { magic: 1 });

    // Without a producer there is no sequence.
    let mut bytes = patched(&[(PRODUCER_ID, &[0xff; 8]), (BASE_SEQUENCE, &[0xff; 4])]);
    fix_crc(&mut bytes);
    assert!(EncodedBatch::from_bytes(bytes).is_ok());
}

#[test]
fn a_wrong_crc_is_refused() {
    let error = EncodedBatch::from_bytes(patched(&[(17..21, b"oops")])).unwrap_err();
    assert!(matches!(error, Error::InvalidBatch { source: Corruption::Crc { stored: 0x6f6f_7073, .. } }));
}

#[test]
fn gaps_between_offsets_are_refused() {
    // length, attributes, time, offset, key, value, headers
    let records = |deltas: [u8; 2]| deltas.map(|delta| [0x0c, 0, 0, 2 * delta, 1, 1, 0]).concat();
    let batch = |deltas: [u8; 2], last: i32, count: i32| {
        let mut bytes = patched(&[
            (LENGTH, &(49_i32 + 14).to_be_bytes()),
            (LAST_OFFSET_DELTA, &last.to_be_bytes()),
            (RECORD_COUNT, &count.to_be_bytes()),
        ]);
        bytes.truncate(RECORD_COUNT.end);
        bytes.extend(records(deltas));
        fix_crc(&mut bytes);
        bytes
    };
    assert!(EncodedBatch::from_bytes(batch([0, 1], 1, 2)).is_ok());
    assert_eq!(refusal(batch([0, 2], 1, 2)), field("offsetDelta", 2));
    assert_eq!(refusal(batch([0, 2], 2, 2)), field("recordsCount", 2));
    assert_eq!(refusal(batch([1, 1], 1, 2)), field("offsetDelta", 1));
    assert_eq!(refusal(batch([1, 0], 1, 2)), field("offsetDelta", 0));
    assert_eq!(refusal(batch([0, 2], 2, 3)), Corruption::Varint { position: 14 });
}

#[test]
fn part_of_a_batch_and_more_than_one_are_refused() {
    for (codec, batch) in samples() {
        for cut in 0..batch.len() {
            let error = EncodedBatch::from_bytes(batch[..cut].to_vec()).unwrap_err();
            assert!(error.is_corruption(), "{codec} cut at {cut}: {error}");
        }
        let glued = batch.repeat(2);
        let expected = Corruption::TrailingBytes { bytes: batch.len() as u64, records: 3 };
        assert_eq!(refusal(glued), expected, "{codec}");
    }
    // Not even under one length that covers both.
    let mut glued = fixture("create-none").repeat(2);
    let (bytes, length) = (glued.len() / 2, u32::try_from(glued.len() - LENGTH.end).unwrap());
    glued[LENGTH].copy_from_slice(&length.to_be_bytes());
    assert_eq!(refusal(glued), Corruption::TrailingBytes { bytes: bytes as u64, records: 4 });
}

#[test]
fn a_flipped_byte_that_the_crc_covers_is_refused() {
    for (codec, batch) in samples() {
        let right = EncodedBatch::from_bytes(batch.clone()).unwrap();
        for at in 0..batch.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut flipped = batch.clone();
                flipped[at] ^= mask;
                match EncodedBatch::from_bytes(flipped) {
                    // Base offset and leader epoch are the log's to say.
                    Ok(taken) => assert_eq!(taken.bytes(), right.bytes(), "{codec}: byte {at} ^ {mask:#04x}"),
                    Err(error) => {
                        assert!(
                            error.is_corruption() && !LEADER_EPOCH.contains(&at),
                            "{codec}: byte {at}: {error}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn whatever_is_taken_can_be_read_back() {
    for timestamp_type in [TimestampType::Create, TimestampType::Append] {
        let partition = partition(timestamp_type);
        let mut taken = 0;
        for (codec, batch) in samples() {
            for at in 0..batch.len() {
                for mask in [0x01, 0x02, 0x08, 0x40, 0x80, 0xff] {
                    let mut flipped = batch.clone();
                    flipped[at] ^= mask;
                    fix_crc(&mut flipped);
                    let Ok(batch) = EncodedBatch::from_bytes(flipped) else { continue };
                    let read = through(&partition, batch.clone());
                    assert_eq!(read.timestamp_type(), timestamp_type);
                    let records = read.records().unwrap();
                    assert_eq!(records.len(), batch.record_count() as usize, "{codec}: byte {at}");
                    let largest = records.iter().map(|record| record.timestamp()).max();
                    assert_eq!(largest, Some(read.max_timestamp()), "{codec}: byte {at}");
                    taken += 1;
                }
            }
        }
        assert!(taken > 0, "some fields may hold anything");
    }
}

#[cfg(feature = "zstd")]
#[test]
fn a_batch_that_decompresses_to_too_much_is_refused() {
    const BLOCK_BYTES: usize = 128 << 10;
    let limit = RecordBatch::DECOMPRESSED_BYTES_MAX;
    // A frame with a window of one block, and blocks that say: this byte, so many times.
    let mut records = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    for i in 0..=limit / BLOCK_BYTES {
        let header = BLOCK_BYTES << 3 | 1 << 1 | usize::from(i == limit / BLOCK_BYTES);
        let [.., high, middle, low] = u32::try_from(header).unwrap().to_be_bytes();
        records.extend([low, middle, high, 0]);
    }
    let length = u32::try_from(RECORD_COUNT.end - LENGTH.end + records.len()).unwrap();
    let mut bytes = patched(&[(LENGTH, &length.to_be_bytes()), (ATTRIBUTES..ATTRIBUTES + 1, &[4])]);
    bytes.truncate(RECORD_COUNT.end);
    bytes.extend(records);
    assert!(bytes.len() < 5 << 10);
    assert_eq!(refusal(bytes), Corruption::DecompressedTooLarge { limit: limit as u64 });
}

#[test]
fn a_batch_whose_codec_is_not_built_in_says_so() {
    use Compression::{Gzip, Lz4, Snappy, Zstd};
    for codec in [Gzip, Snappy, Lz4, Zstd].into_iter().filter(|codec| !codec.is_available()) {
        let error = EncodedBatch::from_bytes(fixture(&format!("create-{codec}"))).unwrap_err();
        assert!(matches!(error, Error::CodecDisabled { codec: name } if name == codec.to_string()));
    }
}
