//! Another implementation of the format, the `kafka-protocol` crate, reads what we write, and we read what it writes.
//!
//! It keeps one header of each name, so names are unique here, and does not know append time.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression as TheirCompression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType as TheirTimestampType,
};
use streamlog::{BatchBuilder, Compression, Record, RecordBatch, Timestamp};

/// A record as both sides can hold it: key, value, headers.
pub(crate) type Row = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Nulls, empty fields, headers, and enough bytes to fill several blocks.
pub(crate) fn rows() -> Vec<Row> {
    let mut random = noise(1);
    let mut rows: Vec<Row> = vec![
        (None, None, vec![]),
        (Some(vec![]), Some(vec![]), vec![]),
        (Some(b"alice".to_vec()), None, vec![("trace".into(), Some(b"1".to_vec())), ("größe".into(), None)]),
        (None, Some(b"3 apples".to_vec()), vec![(String::new(), Some(vec![]))]),
    ];
    for size in [63, 64, 127, 128, 8191, 8192, 70_000] {
        rows.push((Some(vec![b'k'; size]), Some((0..size).map(|_| random()).collect()), vec![]));
    }
    rows
}

/// Bytes that do not compress, the same in every run.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56).to_be_bytes()[7]
    }
}

pub(crate) fn codecs() -> impl Iterator<Item = (Compression, TheirCompression)> {
    [
        (Compression::None, TheirCompression::None),
        (Compression::Gzip, TheirCompression::Gzip),
        (Compression::Snappy, TheirCompression::Snappy),
        (Compression::Lz4, TheirCompression::Lz4),
        (Compression::Zstd, TheirCompression::Zstd),
    ]
    .into_iter()
    .filter(|(codec, _)| codec.is_available())
}

/// The time of record `i`.
pub(crate) fn time(i: usize) -> i64 {
    1_700_000_000_000 + 7 * i64::try_from(i).unwrap()
}

/// A batch of `rows` as the other implementation encodes it: leader epoch 4, producer 42 epoch 3, sequences from 100 on.
pub(crate) fn encode(rows: &[Row], compression: TheirCompression) -> Vec<u8> {
    let records: Vec<TheirRecord> = rows
        .iter()
        .enumerate()
        .map(|(i, (key, value, headers))| TheirRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 4,
            producer_id: 42,
            producer_epoch: 3,
            timestamp_type: TheirTimestampType::Creation,
            offset: i64::try_from(i).unwrap(),
            sequence: 100 + i32::try_from(i).unwrap(),
            timestamp: time(i),
            key: key.clone().map(Bytes::from),
            value: value.clone().map(Bytes::from),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone().into(), value.clone().map(Bytes::from)))
                .collect(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.to_vec()
}

#[test]
fn what_we_write_others_read() {
    for (codec, _) in codecs() {
        let rows = rows();
        let mut builder = BatchBuilder::new(codec).producer(42, 3, 100);
        for (i, (key, value, headers)) in rows.iter().enumerate() {
            let mut record = Record::new().key_opt(key.as_deref()).value_opt(value.as_deref());
            for (name, value) in headers {
                record = record.header(name, value.as_deref());
            }
            builder
                .append(&record.timestamp(Timestamp::from_millis(time(i))), Timestamp::from_millis(0))
                .unwrap();
        }
        let mut bytes = Bytes::from(builder.build().unwrap().into_bytes());

        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        assert_eq!(set.records.len(), rows.len(), "{codec}");
        for (i, (record, (key, value, headers))) in set.records.iter().zip(&rows).enumerate() {
            assert_eq!(record.key.as_deref(), key.as_deref(), "{codec}");
            assert_eq!(record.value.as_deref(), value.as_deref(), "{codec}");
            let theirs: Vec<_> =
                record.headers.iter().map(|(name, value)| (name.to_string(), value.as_deref())).collect();
            let ours: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.as_deref())).collect();
            assert_eq!(theirs, ours, "{codec}");
            assert_eq!((record.timestamp, record.offset), (time(i), i64::try_from(i).unwrap()), "{codec}");
            assert_eq!((record.producer_id, record.producer_epoch), (42, 3), "{codec}");
        }
    }
}

#[test]
fn what_others_write_we_read() {
    for (codec, theirs) in codecs() {
        let rows = rows();
        let bytes = encode(&rows, theirs);

        let batch = RecordBatch::decode(&bytes).unwrap();
        assert_eq!(batch.compression(), codec);
        assert_eq!(batch.leader_epoch().map(u32::from), Some(4));
        let read = batch.records().unwrap();
        assert_eq!(read.len(), rows.len());
        for (i, (record, (key, value, headers))) in read.iter().zip(&rows).enumerate() {
            assert_eq!((record.key(), record.value()), (key.as_deref(), value.as_deref()), "{codec}");
            let read: Vec<_> = record.headers().map(|header| (header.name(), header.value())).collect();
            let written: Vec<_> = headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
            assert_eq!(read, written, "{codec}");
            assert_eq!(
                (record.timestamp().as_millis(), u64::from(record.offset())),
                (time(i), i as u64),
                "{codec}"
            );
            assert_eq!(record.sequence(), Some(100 + i32::try_from(i).unwrap()), "{codec}");
        }
    }
}
