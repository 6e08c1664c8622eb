//! Batches written by Kafka itself, kept in `tests/fixtures/v1/`, are read for ever.

use streamlog::{Compression, ControlType, Record, RecordBatch, RecordView, TimestampType};

/// The bytes of a fixture.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/v1/{name}.batch", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A fixture, decoded.
fn load(name: &str) -> RecordBatch {
    RecordBatch::decode(&fixture(name)).unwrap()
}

/// The codecs that this build has.
pub(crate) fn codecs() -> impl Iterator<Item = Compression> {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    [None, Gzip, Snappy, Lz4, Zstd].into_iter().filter(|codec| codec.is_available())
}

/// A record's offset, timestamp, sequence, key, value and headers, to compare.
pub(crate) type Row<'a> =
    (u64, i64, Option<i32>, Option<&'a [u8]>, Option<&'a [u8]>, Vec<(&'a str, Option<&'a [u8]>)>);

pub(crate) fn row<'a>(record: RecordView<'a>) -> Row<'a> {
    let headers = record.headers().map(|header| (header.name(), header.value())).collect();
    let (offset, timestamp) = (record.offset().into(), record.timestamp().as_millis());
    (offset, timestamp, record.sequence(), record.key(), record.value(), headers)
}

/// What `create-*.batch` hold.
fn expected() -> Vec<Row<'static>> {
    let headers = vec![("trace", Some(&b"\xca\xfe"[..])), ("trace", None), ("größe", Some(&b""[..]))];
    vec![
        (1000, 1_700_000_000_000, Some(2_147_483_646), Some(b"alice"), Some(b"3 apples"), vec![]),
        (1001, 1_700_000_000_007, Some(2_147_483_647), None, Some(b"no key"), headers),
        (1002, 1_699_999_999_990, Some(0), Some(b"bob"), None, vec![]),
        (1003, 1_700_000_000_500, Some(1), Some(b""), Some(b""), vec![]),
    ]
}

#[test]
fn every_codec_of_kafka_is_read() {
    for codec in codecs() {
        let batch = load(&format!("create-{codec}"));
        assert_eq!(batch.compression(), codec);
        assert_eq!((batch.base_offset().into(), batch.next_offset().into()), (1000_u64, 1004_u64));
        assert_eq!(batch.leader_epoch().map(u32::from), Some(5));
        assert_eq!((batch.producer_id(), batch.producer_epoch()), (Some(42), Some(3)));
        assert_eq!(batch.base_sequence(), Some(2_147_483_646));
        assert!(batch.is_transactional() && !batch.is_control());
        assert_eq!(batch.timestamp_type(), TimestampType::Create);
        assert_eq!(batch.max_timestamp().as_millis(), 1_700_000_000_500);
        assert_eq!(batch.records().unwrap().iter().map(row).collect::<Vec<_>>(), expected(), "{codec}");
    }
}

#[test]
fn streams_of_many_blocks_are_read() {
    for codec in codecs().filter(|&codec| codec != Compression::None) {
        let batch = load(&format!("long-{codec}"));
        assert_eq!((batch.producer_id(), batch.leader_epoch()), (None, None));
        let records = batch.records().unwrap();
        assert_eq!(records.len(), 100);
        for (i, record) in records.iter().enumerate() {
            let value: Vec<u8> = (0..1000).map(|j| u8::try_from((i * 31 + j / 10) % 256).unwrap()).collect();
            let i = u32::try_from(i).unwrap();
            assert_eq!(row(record), (i.into(), i.into(), None, None, Some(&value[..]), vec![]), "{codec}");
        }
    }
}

#[test]
fn append_time_is_the_time_of_every_record() {
    let batch = load("append-none");
    assert_eq!(batch.timestamp_type(), TimestampType::Append);
    let records = batch.records().unwrap();
    assert!(records.iter().all(|record| record.timestamp().as_millis() == 1_700_000_009_999));
    assert_eq!(records.len(), 4);
}

#[test]
fn markers_say_how_a_transaction_ended() {
    for (name, control_type, offset) in
        [("marker-commit", ControlType::Commit, 500_u64), ("marker-abort", ControlType::Abort, 501)]
    {
        let batch = load(name);
        assert!(batch.is_control() && batch.is_transactional());
        assert_eq!(batch.control_type().unwrap(), Some(control_type));
        assert_eq!((batch.producer_id(), batch.producer_epoch()), (Some(42), Some(3)));
        assert_eq!((batch.base_sequence(), u64::from(batch.base_offset())), (None, offset));
    }
}

#[test]
fn a_batch_that_compaction_emptied_has_no_records() {
    let batch = load("empty");
    assert!(batch.records().unwrap().is_empty());
    assert_eq!((batch.base_offset().into(), batch.next_offset().into()), (1000_u64, 1004_u64));
    assert_eq!(batch.control_type().unwrap(), None);
}

#[cfg(feature = "lz4")]
#[test]
fn a_compacted_batch_keeps_offsets_and_times() {
    let batch = load("compacted-lz4");
    let mut expected = expected();
    expected.remove(1);
    assert_eq!(batch.records().unwrap().iter().map(row).collect::<Vec<_>>(), expected);
}

#[test]
fn our_uncompressed_batch_is_kafkas_to_the_byte() {
    let mut builder =
        streamlog::BatchBuilder::new(Compression::None).producer(42, 3, 2_147_483_646).transactional(true);
    for (_, timestamp, _, key, value, headers) in expected() {
        let mut record = Record::new().key_opt(key).value_opt(value);
        for (name, value) in headers {
            record = record.header(name, value);
        }
        builder.append(&record, streamlog::Timestamp::from_millis(timestamp)).unwrap();
    }
    let ours = builder.build().unwrap().into_bytes();
    let theirs = load("create-none");
    // All but base offset and leader epoch, which the log stamps.
    assert_eq!(ours[8..12], theirs.bytes()[8..12]);
    assert_eq!(ours[16..], theirs.bytes()[16..]);
}
