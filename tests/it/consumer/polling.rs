//! What a poll returns: everything, in order, within its bounds, from the partitions in turn.

use std::collections::BTreeSet;
use std::thread;

use streamlog::{Error, LeaderEpoch, Record, Records, Timestamp, TimestampType, TopicConfig};

use super::{
    NO_WAIT, append_batch, append_each, begin, consumer_of, from_the_start, named, offset, overwrite, places,
    texts,
};
use crate::hostile::fix_crc;
use crate::kit::{Place, Seed};

#[test]
fn a_record_comes_with_all_that_was_written() {
    for codec in Seed::codecs() {
        for place in Place::both() {
            let (broker, partitions) = begin(&place, 1, TopicConfig::default());
            let record = Record::new().key("k").value("v").timestamp(Timestamp::from_millis(5));
            let record = record.header("a", Some(b"1")).header("b", None);
            partitions[0].clone().compression(codec).append(&[record, Record::new()]).unwrap();
            let records = consumer_of(from_the_start(&broker), 1).poll(NO_WAIT).unwrap();
            let [first, second] = records.iter().collect::<Vec<_>>()[..] else { panic!("{records:?}") };
            assert_eq!((first.topic(), u32::from(first.partition())), ("t", 0));
            assert_eq!(first.topic_partition(), &named(0));
            assert_eq!((first.offset().into(), second.offset().into()), (0_u64, 1_u64));
            assert_eq!((first.timestamp().as_millis(), first.timestamp_type()), (5, TimestampType::Create));
            assert_eq!((first.key(), first.value()), (Some(&b"k"[..]), Some(&b"v"[..])));
            assert_eq!((second.key(), second.value(), second.headers().len()), (None, None, 0));
            let headers: Vec<_> = first.headers().map(|header| (header.name(), header.value())).collect();
            assert_eq!(headers, [("a", Some(&b"1"[..])), ("b", None)]);
            assert_eq!(first.leader_epoch(), Some(LeaderEpoch::ZERO));
        }
    }
}

#[test]
fn a_poll_returns_at_most_so_many_records_and_keeps_the_rest() {
    for codec in Seed::codecs() {
        for limit in 1..=12 {
            let place = Place::memory();
            let (broker, partitions) = begin(&place, 1, TopicConfig::default());
            let partition = partitions[0].clone().compression(codec);
            [5, 1, 4].into_iter().for_each(|count| append_batch(&partition, count));
            let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(limit), 1);
            let mut next = 0;
            while next < 10 {
                let records = consumer.poll(NO_WAIT).unwrap();
                let upto = (next + limit as u64).min(10);
                let expected: Vec<String> = (next..upto).map(|number| number.to_string()).collect();
                assert_eq!(texts(&records), expected);
                assert_eq!(records.len(), expected.len());
                assert_eq!(consumer.position(&named(0)).unwrap(), upto);
                next = upto;
            }
            assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
        }
    }
}

#[test]
fn records_of_a_partition_stand_together_and_in_order() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 3, TopicConfig::default());
    for round in ["a", "b", "c"] {
        partitions.iter().for_each(|partition| append_each(partition, &[round]));
    }
    let mut consumer = consumer_of(from_the_start(&broker), 3);
    let records = consumer.poll(NO_WAIT).unwrap();
    assert_eq!((records.len(), records.iter().len()), (9, 9));
    for (number, (partition, mut of_one)) in (0..).zip(records.by_partition()) {
        assert_eq!((partition, of_one.len()), (&named(number), 3));
        assert_eq!(of_one.next().unwrap().value(), Some(&b"a"[..]));
        assert_eq!(of_one.len(), 2);
    }
    assert_eq!(records.by_partition().count(), 3);
    let flat: Vec<u32> = places(&records).iter().map(|&(partition, _)| partition).collect();
    assert_eq!(flat, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn every_partition_has_its_turn_however_much_the_others_have() {
    for (bounds, limit) in [(0, 1), (0, 7), (200, 1), (1 << 20, 3), (usize::MAX, 500)] {
        for place in Place::both() {
            let (broker, partitions) = begin(&place, 4, TopicConfig::default());
            let endless = |partition| (0..150).for_each(|_| append_batch(partition, 50));
            partitions.iter().take(3).for_each(endless);
            let builder = from_the_start(&broker).max_poll_records(limit);
            let mut consumer =
                consumer_of(builder.fetch_max_bytes(bounds).max_partition_fetch_bytes(bounds), 4);
            for _ in 0..10 {
                append_each(&partitions[3], &["rare"]);
                let mut seen = BTreeSet::new();
                for _ in 0..4 {
                    let records = consumer.poll(NO_WAIT).unwrap();
                    assert!((1..=limit).contains(&records.len()));
                    seen.extend(places(&records).into_iter().map(|(partition, _)| partition));
                }
                assert!(seen.contains(&3), "{bounds} bytes, {limit} records: only {seen:?}");
                assert!(limit > 7 || seen.len() == 4, "only {seen:?}");
            }
        }
    }
}

#[test]
fn a_poll_goes_on_to_the_next_partition_where_one_has_too_little() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 2, TopicConfig::default());
    append_batch(&partitions[0], 3);
    append_batch(&partitions[1], 4);
    let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(2), 2);
    let mut polled = || places(&consumer.poll(NO_WAIT).unwrap());
    assert_eq!(polled(), [(0, 0), (0, 1)]);
    assert_eq!(polled(), [(1, 0), (1, 1)]);
    assert_eq!(polled(), [(0, 2), (1, 2)]);
    append_batch(&partitions[0], 1);
    assert_eq!(polled(), [(1, 3), (0, 3)], "also where the next one has nothing fetched yet");
}

#[test]
fn fetches_stay_within_their_bytes_but_for_one_batch() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 3, TopicConfig::default());
        for partition in &partitions {
            (0..20).for_each(|_| append_batch(partition, 10));
        }
        let batch = partitions[0].read(offset(0), 1).unwrap().bytes() as u64 + 20;
        let read_by = |of_one: usize, of_all: usize| {
            let before = broker.metrics().bytes_read;
            let builder = from_the_start(&broker).max_poll_records(usize::MAX);
            let builder = builder.max_partition_fetch_bytes(of_one).fetch_max_bytes(of_all);
            assert!(!consumer_of(builder, 3).poll(NO_WAIT).unwrap().is_empty());
            broker.metrics().bytes_read - before
        };
        let whole = read_by(usize::MAX, usize::MAX);
        assert!(whole > 20 * batch, "everything, in one poll");
        for bytes in [0, 1, 300, 1000, 2000] {
            let (read, bound) = (read_by(bytes, usize::MAX), bytes as u64);
            assert!(read <= 3 * bound.max(batch) && read > 2 * bound, "{bytes} of each: {read}");
            let read = read_by(usize::MAX, bytes);
            assert!(read <= bound + batch && 2 * read > bound, "{bytes} of all: {read}");
        }
        let held = consumer_of(from_the_start(&broker).max_poll_records(1).fetch_max_bytes(1000), 3);
        let (before, mut held) = (broker.metrics().bytes_read, held);
        (0..3).for_each(|_| assert_eq!(held.poll(NO_WAIT).unwrap().len(), 1));
        assert!(broker.metrics().bytes_read - before <= 1000 + 2 * batch, "also over several polls");
    }
}

#[test]
fn what_was_returned_makes_room_for_what_follows() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let builder = from_the_start(&broker).max_poll_records(usize::MAX).fetch_max_bytes(5000);
    let mut consumer = consumer_of(builder, 1);
    for _ in 0..10 {
        (0..20).for_each(|_| append_batch(&partitions[0], 10));
        assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 200);
    }
}

#[test]
fn a_paused_partition_holds_nothing_that_was_fetched() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 2, TopicConfig::default());
    for partition in &partitions {
        (0..20).for_each(|_| append_batch(partition, 10));
    }
    let all = partitions[0].read(offset(0), usize::MAX).unwrap().bytes() as u64;
    let builder = from_the_start(&broker).fetch_max_bytes(usize::try_from(all).unwrap());
    let mut consumer = consumer_of(builder.max_poll_records(1), 2);
    let mut read_by_poll = |partition| {
        let before = broker.metrics().bytes_read;
        assert_eq!(places(&consumer.poll(NO_WAIT).unwrap()), [(partition, 0)]);
        consumer.pause([&named(partition)]).unwrap();
        broker.metrics().bytes_read - before
    };
    assert_eq!((read_by_poll(0), read_by_poll(1)), (all, all));
}

#[test]
fn control_batches_are_not_returned_and_are_passed() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["a", "b", "c", "d"]);
    let batches = partitions[0].read(offset(0), usize::MAX).unwrap();
    let mut position = 0;
    for (batch, is_control) in batches.iter().zip([true, false, true, true]) {
        let mut bytes = batch.bytes().to_vec();
        bytes[22] |= if is_control { 0x20 } else { 0 };
        fix_crc(&mut bytes);
        overwrite(&place, 0, position, &bytes);
        position += bytes.len() as u64;
    }
    let mut consumer = consumer_of(from_the_start(&broker).max_partition_fetch_bytes(1), 1);
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["b"]);
    assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
    assert_eq!(consumer.position(&named(0)).unwrap(), 4);
    assert_eq!(consumer.lag(&named(0)).unwrap(), 0);
    append_each(&partitions[0], &["e"]);
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["e"]);
}

#[test]
fn what_was_returned_outlives_the_consumer_the_broker_and_the_files() {
    fn check<T: Send + Sync + Clone + 'static>(_: &T) {}
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default().segment_bytes(1024));
        for codec in Seed::codecs() {
            append_batch(&partitions[0].clone().compression(codec), 5);
        }
        let end = u64::from(partitions[0].log_end_offset());
        let mut consumer = consumer_of(from_the_start(&broker), 1);
        let records: Records = consumer.poll(NO_WAIT).unwrap();
        let owned: Vec<_> = records.iter().map(|record| record.to_owned()).collect();
        check(&records);
        check(&owned);
        broker.close().unwrap();
        drop((consumer, partitions, broker));
        place.remove_files();
        let expected: Vec<String> = (0..end).map(|number| number.to_string()).collect();
        let kept = expected.clone();
        thread::spawn(move || assert_eq!(texts(&records), kept)).join().unwrap();
        for (number, (owned, text)) in (0..).zip(owned.iter().zip(&expected)) {
            let record = owned.record();
            assert_eq!((record.value(), record.offset().into()), (Some(text.as_bytes()), number));
            assert_eq!((record.topic(), record.to_owned().record().offset().into()), ("t", number));
        }
    }
}

#[test]
fn a_wrong_crc_is_an_error_where_crcs_are_checked() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["v"]);
    let end = partitions[0].read(offset(0), 1).unwrap().bytes() as u64;
    // The value is the last but one byte, before the count of headers.
    overwrite(&place, 0, end - 2, b"w");
    let error = consumer_of(from_the_start(&broker), 1).poll(NO_WAIT).unwrap_err();
    assert!(error.is_corruption() && matches!(error, Error::Fetch { .. }), "{error}");
    let mut trusting = consumer_of(from_the_start(&broker).check_crcs(false), 1);
    assert_eq!(texts(&trusting.poll(NO_WAIT).unwrap()), ["w"]);
}
