//! A partition in trouble is told by name, when it is its turn, and the others are served.

use std::fs;
use std::time::Duration;

use streamlog::{Broker, Consumer, Error, Partition, TopicConfig};

use super::{
    NO_WAIT, append_batch, append_each, begin, consumer_of, from_the_start, named, offset, overwrite, texts,
};
use crate::kit::Place;

/// A poll that finds something or fails: it never has to wait here.
const LONG: Duration = Duration::from_secs(3600);

/// Damages the value of the record at an offset, each of which is a batch of its own.
fn damage(place: &Place, partition: &Partition, number: u32, at: u64) {
    let before = partition.read(offset(0), usize::MAX).unwrap();
    let upto = usize::try_from(at).unwrap();
    let end: u64 = before.iter().take(upto + 1).map(|batch| batch.bytes().len() as u64).sum();
    overwrite(place, number, end - 2, &[0xff]);
}

/// What polls give until there is nothing more: the texts of all, and how many errors came on the way.
fn drain(consumer: &mut Consumer, polls: usize) -> (Vec<String>, Vec<Error>) {
    let (mut seen, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..polls {
        match consumer.poll(NO_WAIT) {
            Ok(records) => seen.extend(texts(&records)),
            Err(error) => errors.push(error),
        }
    }
    seen.sort();
    (seen, errors)
}

fn is_damage_at(error: &Error, number: u32, at: u64) -> bool {
    matches!(error, Error::Fetch { topic, partition, position, source }
        if topic == "t" && *partition == number && *position == at && source.is_corruption())
}

#[test]
fn what_is_good_before_the_damage_comes_first_and_nothing_is_passed_over() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["a", "b", "c", "d"]);
    damage(&place, &partitions[0], 0, 2);
    for limit in [1, 500] {
        let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(limit), 1);
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(texts(&consumer.poll(LONG).unwrap()));
        }
        assert_eq!(seen, ["a", "b"]);
        for _ in 0..3 {
            let error = consumer.poll(LONG).unwrap_err();
            assert!(is_damage_at(&error, 0, 2), "{error:?}");
            assert!(error.is_corruption() && !error.is_retriable());
            assert_eq!((consumer.position(&named(0)).unwrap().into(), error.kafka_code()), (2_u64, Some(2)));
        }
        consumer.seek(&named(0), offset(3)).unwrap();
        assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["d"], "the user may pass over it");
    }
}

#[test]
fn records_that_cannot_be_decoded_are_told_behind_those_before_them() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["a", "b", "c"]);
    // A length that cannot be, at the front of the record: without a look at the CRC, decoding finds it.
    let batch = partitions[0].read(offset(0), 1).unwrap().bytes() as u64;
    overwrite(&place, 0, batch + 61, &[0xff; 4]);
    let mut consumer = consumer_of(from_the_start(&broker).check_crcs(false), 1);
    assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["a"]);
    for _ in 0..2 {
        let error = consumer.poll(LONG).unwrap_err();
        assert!(is_damage_at(&error, 0, 1), "{error:?}");
        assert!(matches!(&error, Error::Fetch { source, .. }
            if matches!(**source, Error::InvalidRecords { .. })));
        assert_eq!(error.unreadable_offsets(), Some(offset(1)..offset(2)));
    }
    consumer.seek(&named(0), offset(2)).unwrap();
    assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["c"]);
}

#[test]
fn the_other_partitions_are_served_before_and_after_an_error() {
    for limit in [1, 2, 500] {
        let place = Place::disk();
        let (broker, partitions) = begin(&place, 3, TopicConfig::default());
        partitions.iter().for_each(|partition| append_each(partition, &["a", "b", "c", "d"]));
        damage(&place, &partitions[1], 1, 0);
        let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(limit), 3);
        let (seen, errors) = drain(&mut consumer, 20);
        assert_eq!(seen, ["a", "a", "b", "b", "c", "c", "d", "d"]);
        assert!(errors.len() >= 5 && errors.iter().all(|error| is_damage_at(error, 1, 0)), "{errors:?}");
        append_each(&partitions[2], &["e"]);
        let (seen, errors) = drain(&mut consumer, 2);
        assert_eq!((seen, errors.len()), (vec!["e".to_owned()], 1));
        consumer.pause([&named(1)]).unwrap();
        assert!(drain(&mut consumer, 3).1.is_empty(), "who knows of it need not hear it");
    }
}

#[test]
fn an_error_is_told_in_time_however_much_the_others_have() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 3, TopicConfig::default());
    append_each(&partitions[1], &["a"]);
    damage(&place, &partitions[1], 1, 0);
    append_batch(&partitions[0], 1000);
    append_batch(&partitions[2], 1000);
    let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(10), 3);
    let errors = (0..30).filter(|_| consumer.poll(NO_WAIT).is_err()).count();
    assert_eq!(errors, 10, "one poll in three");
}

fn without_partition_1(place: &Place) -> Broker {
    let (broker, partitions) = begin(place, 2, TopicConfig::default());
    append_each(&partitions[0], &["a"]);
    broker.close().unwrap();
    drop((partitions, broker));
    fs::remove_dir_all(place.path().join("t-1")).unwrap();
    place.open()
}

#[test]
fn an_offline_partition_can_be_assigned_and_is_told() {
    let place = Place::disk();
    let broker = without_partition_1(&place);
    let mut consumer = consumer_of(from_the_start(&broker), 2);
    let is_told = |error: &Error| {
        matches!(error, Error::PartitionOffline { topic, partition, .. }
        if topic == "t" && *partition == 1)
    };
    assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["a"]);
    assert!(is_told(&consumer.poll(LONG).unwrap_err()));
    assert!(is_told(&consumer.position(&named(1)).unwrap_err()));
    assert!(is_told(&consumer.lag(&named(1)).unwrap_err()));
    assert!(is_told(&consumer.seek_to_end([&named(1)]).unwrap_err()));
    assert!(is_told(&consumer.end_offsets([&named(1)]).unwrap_err()));
    append_each(&broker.topic("t").unwrap().partition(0).unwrap(), &["b"]);
    let (seen, errors) = drain(&mut consumer, 2);
    assert_eq!((seen, errors.len()), (vec!["b".to_owned()], 1));
    assert!(is_told(&errors[0]));

    consumer.pause([&named(1)]).unwrap();
    append_each(&broker.topic("t").unwrap().partition(0).unwrap(), &["c"]);
    assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["c"]);
    assert!(consumer.poll(Duration::ZERO).unwrap().is_empty(), "whoever has paused it is not told any more");
}

#[test]
fn after_its_end_every_call_fails() {
    for ends_broker in [false, true] {
        let place = Place::memory();
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        append_batch(&partitions[0], 5);
        let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(1), 1);
        consumer.poll(LONG).unwrap();
        if ends_broker {
            broker.close().unwrap();
        } else {
            consumer.close().unwrap();
            consumer.close().unwrap();
            assert!(consumer.assignment().is_empty() && consumer.paused().is_empty());
        }
        let one = &named(0);
        let results = [
            consumer.poll(LONG).map(drop),
            consumer.assign([named(0)]),
            consumer.position(one).map(drop),
            consumer.lag(one).map(drop),
            consumer.seek(one, offset(0)),
            consumer.seek_to_beginning([one]),
            consumer.seek_to_end([one]),
            consumer.pause([one]),
            consumer.resume([one]),
            consumer.beginning_offsets([one]).map(drop),
            consumer.end_offsets([one]).map(drop),
            consumer.offsets_for_times([(one, streamlog::Timestamp::from_millis(0))]).map(drop),
        ];
        for (number, result) in results.into_iter().enumerate() {
            assert!(matches!(result, Err(Error::Closed)), "call {number}: {result:?}");
        }
        consumer.waker().wake();
        assert!(matches!(consumer.poll(NO_WAIT), Err(Error::Closed)));
    }
}

#[test]
fn a_consumer_keeps_the_broker_open_until_it_is_closed() {
    let place = Place::disk();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    append_each(&partitions[0], &["a"]);
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    drop((broker, partitions));
    assert!(matches!(place.try_open(), Err(Error::Locked { .. })));
    assert_eq!(texts(&consumer.poll(LONG).unwrap()), ["a"]);
    consumer.close().unwrap();
    assert!(place.open().recovery_report().was_clean);
}
