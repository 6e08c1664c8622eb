//! Appending: which offsets records get, what of them comes back, and what is refused.

use std::thread;
use std::time::Duration;

use streamlog::{
    BatchBuilder, Compression, Error, Offset, Partition, Record, Timestamp, TimestampType, TopicConfig,
};

use crate::kit::{Place, Row, START, Seed, all_rows, values};

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

/// The size of the batch that this record makes alone.
fn batch_bytes(record: &Record<'_>) -> u32 {
    let now = Timestamp::from_millis(START);
    u32::try_from(BatchBuilder::new(Compression::None).encoded_bytes_with(record, now)).unwrap()
}

#[test]
fn offsets_are_dense_from_zero_and_their_range_is_returned() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        let mut end = 0;
        for count in [1, 2, 1, 7, 100, 1] {
            let texts: Vec<String> = (end..end + count).map(|number| number.to_string()).collect();
            let records: Vec<Record<'_>> = texts.iter().map(|text| Record::new().value(text)).collect();
            assert_eq!(partition.append(&records).unwrap(), offset(end)..offset(end + count));
            end += count;
            assert_eq!(partition.log_end_offset(), end);
        }
        assert_eq!(partition.log_start_offset(), 0);
        assert_eq!(values(&partition), (0..end).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn a_large_call_is_many_batches_and_one_range() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        let before = broker.metrics();
        let texts: Vec<String> = (0..500).map(|number| format!("{number:01000}")).collect();
        let records: Vec<Record<'_>> = texts.iter().map(|text| Record::new().value(text)).collect();
        assert_eq!(partition.append(&records).unwrap(), offset(0)..offset(500));
        assert_eq!(values(&partition), texts);

        let after = broker.metrics();
        let batches = partition.read(Offset::ZERO, usize::MAX).unwrap();
        assert_eq!(after.batches_appended - before.batches_appended, batches.len() as u64);
        assert_eq!(after.records_appended - before.records_appended, 500);
        assert_eq!(after.bytes_appended - before.bytes_appended, batches.bytes() as u64);
        assert!(batches.len() > 5, "{} batches", batches.len());
        assert!(batches.iter().all(|batch| batch.bytes().len() <= 64 << 10));
    }
}

#[test]
fn an_append_of_nothing_changes_nothing() {
    let place = Place::memory();
    let (broker, partition) = place.begin(TopicConfig::default());
    partition.append(&[Record::new().value("a")]).unwrap();
    let before = broker.metrics();
    assert_eq!(partition.append(&[]).unwrap(), offset(1)..offset(1));
    assert_eq!(broker.metrics(), before);
    assert_eq!(values(&partition), ["a"]);
}

#[test]
fn a_record_keeps_its_own_time_and_gets_the_clocks_without_one() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default().timestamp_after_max(None));
        let own = |millis| Record::new().timestamp(Timestamp::from_millis(millis));
        partition.append(&[own(5), Record::new(), own(i64::MAX), own(0)]).unwrap();
        place.clock.advance(Duration::from_millis(1500));
        partition.append(&[Record::new()]).unwrap();
        let times: Vec<i64> = all_rows(&partition, Offset::ZERO, 1).iter().map(|row| row.timestamp).collect();
        assert_eq!(times, [5, START, i64::MAX, 0, START + 1500]);
    }
}

#[test]
fn a_topic_with_append_time_stamps_every_record() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default().timestamp_type(TimestampType::Append));
        let old = Record::new().timestamp(Timestamp::from_millis(5));
        partition.append(&[old.clone(), Record::new()]).unwrap();
        place.clock.advance(Duration::from_millis(70));
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(&old, Timestamp::from_millis(6)).unwrap();
        partition.append_batch(builder.build().unwrap()).unwrap();

        let rows = all_rows(&partition, Offset::ZERO, usize::MAX);
        assert_eq!(rows.iter().map(|row| row.timestamp).collect::<Vec<_>>(), [START, START, START + 70]);
        let batches = partition.read(Offset::ZERO, usize::MAX).unwrap();
        assert!(batches.iter().all(|batch| batch.timestamp_type() == TimestampType::Append));
        assert_eq!(batches.iter().last().unwrap().max_timestamp().as_millis(), START + 70);
    }
}

#[test]
fn keys_values_and_headers_come_back_as_they_were() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        let fields = [None, Some(&b""[..]), Some(&b"\x00\xff"[..]), Some(&b"alice"[..])];
        let headers =
            [("b", Some(&b"1"[..])), ("a", None), ("b", Some(&b""[..])), ("b", Some(&b"1"[..])), ("", None)];
        let mut expected = Vec::new();
        for (number, (key, value)) in
            (0..).zip(fields.iter().flat_map(|key| fields.map(|value| (*key, value))))
        {
            let mut record = Record::new().key_opt(key).value_opt(value);
            for &(name, value) in &headers[..number % (headers.len() + 1)] {
                record = record.header(name, value);
            }
            partition.append(&[record]).unwrap();
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            expected.push(Row {
                offset: number as u64,
                timestamp: START,
                key: owned(key),
                value: owned(value),
                headers: headers[..number % (headers.len() + 1)]
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), owned(*value)))
                    .collect(),
            });
        }
        assert_eq!(all_rows(&partition, Offset::ZERO, usize::MAX), expected);
    }
}

#[test]
fn each_handle_has_its_own_codec() {
    for place in Place::both() {
        let (broker, plain) = place.begin(TopicConfig::default());
        let text = "the same again and again, ".repeat(100);
        let mut expected = Vec::new();
        for codec in Seed::codecs() {
            let packed = plain.clone().compression(codec);
            let from =
                packed.append(&[Record::new().value(&text), Record::new().value(&text)]).unwrap().start;
            let read = plain.read(from, usize::MAX).unwrap();
            assert_eq!(read.len(), 1);
            let batch = read.iter().next().unwrap();
            assert_eq!(batch.compression(), codec);
            assert_eq!(batch.bytes().len() < text.len(), codec != Compression::None, "{codec}");
            expected.extend([text.clone(), text.clone()]);
        }
        assert_eq!(values(&plain), expected);
        plain.append(&[Record::new().value(&text)]).unwrap();
        expected.push(text);
        drop((broker, plain));
        assert_eq!(values(&place.resume().1), expected);
    }
}

#[test]
fn a_batch_that_was_built_before_is_stored_as_it_is() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        partition.append(&[Record::new().value("first")]).unwrap();
        for codec in Seed::codecs() {
            let mut builder = BatchBuilder::new(codec).producer(42, 3, 100);
            for number in 0..3 {
                let time = Timestamp::from_millis(1000 + number);
                builder.append(&Record::new().key("k").value("v").timestamp(time), time).unwrap();
            }
            let batch = builder.build().unwrap();
            let bytes = batch.bytes().to_vec();
            let range = partition.append_batch(batch).unwrap();
            assert_eq!(range.end.delta_from(range.start), Some(3));
            let read = partition.read(range.start, usize::MAX).unwrap();
            let stored = read.iter().next().unwrap();
            assert_eq!(stored.base_offset(), range.start);
            assert_eq!((stored.producer_id(), stored.base_sequence()), (Some(42), Some(100)));
            // All but the base offset and the leader epoch, which are the log's.
            assert_eq!(stored.bytes()[8..12], bytes[8..12]);
            assert_eq!(stored.bytes()[16..], bytes[16..]);
        }
    }
}

#[test]
fn records_of_every_size_up_to_the_limit_come_back() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default().max_message_bytes(3 << 20));
        let mut seed = Seed::new(1);
        let sizes = [0, 1, 63, 64, 65_400, 65_536, 65_537, 200_000, 1 << 20, 3_000_000, 1];
        let expected: Vec<Vec<u8>> = sizes.iter().map(|&size| seed.bytes(size)).collect();
        // All in one call, then one by one.
        let records: Vec<Record<'_>> = expected.iter().map(|value| Record::new().value(value)).collect();
        partition.append(&records).unwrap();
        for record in &records {
            partition.append(std::slice::from_ref(record)).unwrap();
        }
        for max_bytes in [0, 100_000, usize::MAX] {
            let rows = all_rows(&partition, Offset::ZERO, max_bytes);
            let read: Vec<Vec<u8>> = rows.into_iter().filter_map(|row| row.value).collect();
            assert!(read == [&expected[..], &expected[..]].concat(), "{max_bytes}");
        }
    }
}

#[test]
fn a_batch_over_the_limit_is_refused_and_nothing_of_the_call_is_stored() {
    for place in Place::both() {
        let large = [7; 500];
        let record = Record::new().value(&large);
        let limit = batch_bytes(&record);
        let (broker, partition) = place.begin(TopicConfig::default().max_message_bytes(limit));
        partition.append(&[record]).unwrap();
        let before = broker.metrics();

        let larger = [7; 501];
        let larger = Record::new().value(&larger);
        let is_refusal = |error: Error| {
            matches!(error, Error::BatchTooLarge { bytes, limit: of }
                if bytes == u64::from(limit) + 1 && of == u64::from(limit))
        };
        let small = Record::new().value("small");
        assert!(is_refusal(partition.append(&[small.clone(), larger.clone()]).unwrap_err()));
        assert!(is_refusal(partition.append(&[larger.clone(), small.clone()]).unwrap_err()));
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(&larger, Timestamp::from_millis(START)).unwrap();
        assert!(is_refusal(partition.append_batch(builder.build().unwrap()).unwrap_err()));
        assert_eq!(broker.metrics(), before);
        assert_eq!(partition.log_end_offset(), 1);

        assert_eq!(partition.append(&[small]).unwrap(), offset(1)..offset(2));
        assert_eq!(all_rows(&partition, Offset::ZERO, 1).len(), 2);
    }
}

#[test]
fn an_append_over_a_segment_is_refused_and_nothing_of_it_is_stored() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default().segment_bytes(4096).max_message_bytes(1000));
        let value = [7; 800];
        let records = vec![Record::new().value(&value); 5];
        let error = partition.append(&records).unwrap_err();
        assert!(matches!(error, Error::AppendTooLarge { bytes, limit: 4096 } if bytes > 4096), "{error}");
        assert_eq!(partition.log_end_offset(), 0);
        assert_eq!(partition.append(&records[..4]).unwrap(), offset(0)..offset(4));
        assert_eq!(partition.append(&records[..4]).unwrap(), offset(4)..offset(8));
        assert_eq!(all_rows(&partition, Offset::ZERO, usize::MAX).len(), 8);
    }
}

#[test]
fn a_record_for_another_place_is_refused_and_nothing_of_the_call_is_stored() {
    let place = Place::memory();
    let (_, partition) = place.begin(TopicConfig::default());
    let own = Record::to("t").partition(0).value("own");
    let error = partition.append(&[own.clone(), Record::to("u")]).unwrap_err();
    assert!(
        matches!(&error, Error::WrongTopic { record_topic, topic } if record_topic == "u" && topic == "t"),
        "{error}"
    );
    let error = partition.append(&[own.clone(), Record::new().partition(1)]).unwrap_err();
    assert!(
        matches!(&error, Error::WrongPartition { record_partition: 1, partition, .. } if *partition == 0),
        "{error}"
    );
    assert_eq!(partition.append(&[own]).unwrap(), offset(0)..offset(1));
    assert_eq!(values(&partition), ["own"]);
}

/// Appends in calls of 1 to 4 records; gives for each record its offset and what it says.
fn append_numbered(partition: &Partition, thread: usize, calls: usize) -> Vec<(u64, String)> {
    let (mut seed, mut told) = (Seed::new(thread as u64), Vec::new());
    for call in 0..calls {
        let texts: Vec<String> = (0..=seed.below(4))
            .map(|part| format!("{thread} {call} {part} {}", "x".repeat(seed.below(90))))
            .collect();
        let records: Vec<Record<'_>> = texts.iter().map(|text| Record::new().value(text)).collect();
        let range = partition.append(&records).unwrap();
        assert_eq!(range.end.delta_from(range.start), Some(texts.len() as u64));
        told.extend((u64::from(range.start)..).zip(texts));
    }
    told
}

#[test]
fn threads_that_append_at_once_each_get_their_own_offsets_in_their_own_order() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(16 << 10));
        let mut told: Vec<(u64, String)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let partition = &partition;
                    scope.spawn(move || append_numbered(partition, thread, 150))
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| {
                    let told = thread.join().unwrap();
                    assert!(told.is_sorted_by_key(|&(offset, _)| offset), "a thread's order is kept");
                    told
                })
                .collect()
        });
        told.sort();
        let expected: Vec<u64> = (0..told.len() as u64).collect();
        assert_eq!(told.iter().map(|&(offset, _)| offset).collect::<Vec<_>>(), expected);
        let texts: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
        assert_eq!(values(&partition), texts);
        assert!(partition.segments().len() > 1);
        drop((broker, partition));
        assert_eq!(values(&place.resume().1), texts);
    }
}
