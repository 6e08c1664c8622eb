//! How far from the time of the append a record's own timestamp may lie.

use std::ops::Range;
use std::time::Duration;

use streamlog::{
    BatchBuilder, Compression, EncodedBatch, Error, Offset, Partition, Record, Result, Timestamp,
    TimestampType, TopicConfig,
};

use crate::kit::{Place, START, values};

const BEFORE: i64 = 10_000;
const AFTER: i64 = 500;

fn limited() -> TopicConfig {
    let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
    TopicConfig::default().timestamp_before_max(millis(BEFORE)).timestamp_after_max(millis(AFTER))
}

fn record(time: i64) -> Record<'static> {
    Record::new().value("v").timestamp(Timestamp::from_millis(time))
}

fn batch(codec: Compression, times: &[i64]) -> EncodedBatch {
    let mut builder = BatchBuilder::new(codec);
    for &time in times {
        builder.append(&record(time), Timestamp::from_millis(0)).unwrap();
    }
    builder.build().unwrap()
}

/// Appends records of these times in every way there is.
fn append_each(partition: &Partition, times: &[i64]) -> Vec<Result<Range<Offset>>> {
    let records: Vec<Record<'_>> = times.iter().map(|&time| record(time)).collect();
    let mut results =
        vec![partition.append(&records), partition.append_batch(batch(Compression::None, times))];
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        if codec.is_available() {
            let sent = batch(codec, times).into_bytes();
            results.push(partition.append_batch(EncodedBatch::from_bytes(sent).unwrap()));
        }
    }
    results
}

fn check_all_taken(results: Vec<Result<Range<Offset>>>) {
    for result in results {
        result.unwrap();
    }
}

#[test]
fn an_append_with_one_record_too_far_off_is_refused_whole() {
    let (oldest, latest) = (START - BEFORE, START + AFTER);
    for place in Place::both() {
        let (broker, partition) = place.begin(limited());
        let before = broker.metrics();
        for (times, wrong, setting, limit) in [
            (&[START, oldest - 1, START][..], oldest - 1, "message.timestamp.before.max.ms", BEFORE),
            (&[0], 0, "message.timestamp.before.max.ms", BEFORE),
            (&[START, latest + 1], latest + 1, "message.timestamp.after.max.ms", AFTER),
            (&[i64::MAX, START], i64::MAX, "message.timestamp.after.max.ms", AFTER),
        ] {
            for result in append_each(&partition, times) {
                let error = result.unwrap_err();
                let side = if wrong < START { "before" } else { "after" };
                let told = format!(
                    "timestamp {wrong} lies {side} the append, at {START}, by more than {setting}, {limit} ms"
                );
                assert_eq!((error.to_string(), error.kafka_code()), (told, Some(32)));
            }
        }
        assert_eq!(broker.metrics(), before, "nothing was written");
        let results = append_each(&partition, &[oldest, START, latest]);
        let count = 3 * results.len() + 1;
        check_all_taken(results);
        // Without a time of its own, a record is of now.
        partition.append(&[Record::new().value("v")]).unwrap();
        assert_eq!(values(&partition).len(), count);
    }
}

#[test]
fn the_limits_move_with_the_clock() {
    let place = Place::memory();
    let (_, partition) = place.begin(limited());
    assert!(partition.append(&[record(START + AFTER + 1)]).is_err());
    place.clock.advance(Duration::from_millis(1));
    partition.append(&[record(START + AFTER + 1)]).unwrap();
    assert!(partition.append(&[record(START - BEFORE)]).is_err());
}

#[test]
fn by_default_the_past_is_free_and_the_future_an_hour_long() {
    let place = Place::memory();
    let (broker, partition) = place.begin(TopicConfig::default());
    let hour = 60 * 60 * 1000;
    check_all_taken(append_each(&partition, &[0, START + hour]));
    assert!(append_each(&partition, &[START + hour + 1]).iter().all(Result::is_err));
    broker.admin().alter_topic_config("t", TopicConfig::default().timestamp_after_max(None), &[]).unwrap();
    check_all_taken(append_each(&partition, &[i64::MAX]));
}

#[test]
fn where_the_append_is_the_time_there_is_no_limit() {
    let place = Place::memory();
    let (_, partition) = place.begin(limited().timestamp_type(TimestampType::Append));
    check_all_taken(append_each(&partition, &[0, i64::MAX]));
}

#[test]
fn a_header_that_lies_about_its_first_record_hides_nothing() {
    let place = Place::memory();
    let (_, partition) = place.begin(limited());
    // The base timestamp is of the first record; the smallest is in the middle.
    let sent = batch(Compression::None, &[START, START - BEFORE - 1, START]);
    assert!(matches!(partition.append_batch(sent), Err(Error::TimestampOutOfBounds { .. })));
}
