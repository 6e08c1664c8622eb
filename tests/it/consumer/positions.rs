//! Where a consumer begins, where it stands, and going elsewhere.

use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Consumer, Error, IsolationLevel, Partition, PartitionId, Record, Timestamp, TopicConfig,
    TopicPartition,
};

use super::{NO_WAIT, append_batch, append_each, begin, consumer_of, from_the_start, named, offset, texts};
use crate::kit::{Place, START};

/// A record so many milliseconds behind the clock's start.
fn append_at(partition: &Partition, millis: i64) {
    let record = Record::new().value("v").timestamp(Timestamp::from_millis(START + millis));
    partition.append(&[record]).unwrap();
}

fn positions(consumer: &mut Consumer, count: u32) -> Vec<u64> {
    (0..count).map(|number| consumer.position(&named(number)).unwrap().into()).collect()
}

fn is_out_of_range(error: &Error, position: u64, upto: u64) -> bool {
    matches!(error, Error::Fetch { topic, partition, position: at, source }
        if topic == "t" && *partition == PartitionId::ZERO && *at == position
            && matches!(**source, Error::OffsetOutOfRange { requested, start, end }
                if requested == position && start == 0 && end == upto))
}

#[test]
fn without_a_position_the_policy_says_where_to_begin() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        (0..10).for_each(|second| append_at(&partitions[0], second * 1000));
        place.clock.advance(Duration::from_secs(12));
        let begin_of = |reset| {
            let mut consumer = consumer_of(broker.consumer().auto_offset_reset(reset), 1);
            let count = consumer.poll(NO_WAIT).unwrap().len();
            assert_eq!(consumer.position(&named(0)).unwrap(), 10, "{reset:?}");
            10 - count
        };
        assert_eq!(begin_of(AutoOffsetReset::Earliest), 0);
        assert_eq!(begin_of(AutoOffsetReset::Latest), 10);
        for (seconds, expected) in [(0, 10), (2, 10), (3, 9), (7, 5), (12, 0), (1 << 40, 0)] {
            let reset = AutoOffsetReset::ByDuration(Duration::from_secs(seconds));
            assert_eq!(begin_of(reset), expected, "{seconds} seconds");
        }
    }
}

#[test]
fn the_first_position_is_found_out_once_by_whoever_asks_first() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let [mut asks, mut polls] = [(); 2].map(|()| consumer_of(broker.consumer(), 1));
    append_each(&partitions[0], &["a"]);
    assert_eq!(asks.position(&named(0)).unwrap(), 1);
    append_each(&partitions[0], &["b"]);
    assert!(polls.poll(NO_WAIT).unwrap().is_empty());
    append_each(&partitions[0], &["c"]);
    assert_eq!(texts(&asks.poll(NO_WAIT).unwrap()), ["b", "c"]);
    assert_eq!(texts(&polls.poll(NO_WAIT).unwrap()), ["c"]);
}

#[test]
fn without_a_policy_a_position_must_be_given() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 2, TopicConfig::default());
    append_each(&partitions[0], &["a", "b"]);
    let mut consumer = consumer_of(broker.consumer().auto_offset_reset(AutoOffsetReset::None), 1);
    let is_told = |error: Error| {
        matches!(error, Error::NoPosition { topic, partition }
        if topic == "t" && partition == PartitionId::ZERO)
    };
    assert!(is_told(consumer.poll(Duration::from_secs(9)).unwrap_err()));
    assert!(is_told(consumer.position(&named(0)).unwrap_err()));
    assert!(is_told(consumer.lag(&named(0)).unwrap_err()));
    consumer.seek(&named(0), offset(1)).unwrap();
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["b"]);
}

#[test]
fn a_position_outside_the_log_is_reset_or_told() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        append_each(&partitions[0], &["a", "b", "c"]);
        for (reset, expected) in [
            (AutoOffsetReset::Earliest, &["a", "b", "c"][..]),
            (AutoOffsetReset::Latest, &[]),
            (AutoOffsetReset::ByDuration(Duration::from_secs(1)), &["a", "b", "c"]),
        ] {
            let mut consumer = consumer_of(broker.consumer().auto_offset_reset(reset), 1);
            consumer.seek(&named(0), offset(4)).unwrap();
            assert_eq!(consumer.position(&named(0)).unwrap(), 4, "as it was told");
            assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), expected);
            assert_eq!(consumer.position(&named(0)).unwrap(), 3);
        }
        let mut consumer = consumer_of(broker.consumer().auto_offset_reset(AutoOffsetReset::None), 1);
        consumer.seek(&named(0), offset(4)).unwrap();
        for _ in 0..2 {
            let error = consumer.poll(Duration::from_secs(9)).unwrap_err();
            assert!(is_out_of_range(&error, 4, 3), "{error:?}");
            assert_eq!((error.kafka_code(), consumer.position(&named(0)).unwrap().into()), (Some(1), 4_u64));
        }
        assert_eq!(consumer.lag(&named(0)).unwrap(), 0);
        append_each(&partitions[0], &["d", "e"]);
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["e"], "the log has come as far");
        consumer.seek(&named(0), offset(1)).unwrap();
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["b", "c", "d", "e"]);
    }
}

#[test]
fn a_seek_forgets_what_was_fetched() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        [7, 6, 5].into_iter().for_each(|count| append_batch(&partitions[0], count));
        let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(2), 1);
        for from in (0..18).rev().chain([3, 0, 17]) {
            consumer.seek(&named(0), offset(from)).unwrap();
            let expected: Vec<String> = (from..18).take(2).map(|number| number.to_string()).collect();
            assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), expected);
            assert_eq!(consumer.lag(&named(0)).unwrap(), 18 - (from + expected.len() as u64));
        }
    }
}

#[test]
fn beginnings_ends_and_times_are_looked_up_and_gone_to() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 3, TopicConfig::default());
        for (partition, count) in partitions.iter().zip([4, 0, 7]) {
            (0..count).for_each(|second| append_at(partition, second * 1000));
        }
        let all = [named(0), named(1), named(2)];
        let mut consumer = consumer_of(from_the_start(&broker), 2);
        let ends: Vec<u64> = consumer.end_offsets(&all).unwrap().into_values().map(u64::from).collect();
        assert_eq!(ends, [4, 0, 7], "also of what is not assigned");
        assert!(consumer.beginning_offsets(&all).unwrap().into_values().all(|start| start == 0));
        assert_eq!(consumer.beginning_offsets(&all[2..]).unwrap().len(), 1);

        let time = |millis| Timestamp::from_millis(START + millis);
        let times = [(&all[0], time(1_001)), (&all[1], time(0)), (&all[2], time(6_001))];
        let found = consumer.offsets_for_times(times).unwrap();
        assert_eq!(found[&all[0]], Some((offset(2), time(2000))));
        assert_eq!((found[&all[1]], found[&all[2]]), (None, None));

        consumer.seek_to_end(&all[..2]).unwrap();
        assert_eq!(positions(&mut consumer, 2), [4, 0]);
        append_at(&partitions[0], 0);
        assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 1, "what came after the call");
        consumer.seek_to_beginning([&all[0]]).unwrap();
        assert_eq!(positions(&mut consumer, 2), [0, 0]);
        assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 5);
    }
}

#[test]
fn only_what_is_durable_is_seen_where_that_is_asked_for() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        let durable = || from_the_start(&broker).isolation(IsolationLevel::ReadDurable);
        let mut consumer = consumer_of(durable(), 1);
        append_each(&partitions[0], &["a", "b"]);
        partitions[0].sync().unwrap();
        append_each(&partitions[0], &["c", "d"]);
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["a", "b"]);
        assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
        assert_eq!(consumer.lag(&named(0)).unwrap(), 0);
        assert_eq!(consumer.end_offsets([&named(0)]).unwrap()[&named(0)], 2);
        consumer.seek(&named(0), offset(3)).unwrap();
        assert!(consumer.poll(NO_WAIT).unwrap().is_empty(), "it exists, and is not durable");
        consumer.seek_to_end([&named(0)]).unwrap();
        assert_eq!(consumer.position(&named(0)).unwrap(), 2);
        let mut latest = consumer_of(durable().auto_offset_reset(AutoOffsetReset::Latest), 1);
        assert_eq!(latest.position(&named(0)).unwrap(), 2);
        let since = [(&named(0), Timestamp::from_millis(START + 1))];
        append_at(&partitions[0], 5);
        assert_eq!(consumer.offsets_for_times(since).unwrap()[&named(0)], None);
        partitions[0].sync().unwrap();
        assert!(consumer.offsets_for_times(since).unwrap()[&named(0)].is_some());
        assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 3);
    }
}

#[test]
fn an_assignment_keeps_the_position_and_the_pause_of_what_stays() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 3, TopicConfig::default());
    partitions.iter().for_each(|partition| append_each(partition, &["a", "b", "c"]));
    let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(2), 2);
    assert_eq!(consumer.assignment(), [named(0), named(1)]);
    assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 2);
    consumer.pause([&named(1)]).unwrap();
    consumer.assign([named(2), named(1), named(0)]).unwrap();
    assert_eq!(
        (consumer.assignment(), consumer.paused()),
        (vec![named(0), named(1), named(2)], vec![named(1)])
    );
    assert_eq!(positions(&mut consumer, 3), [2, 0, 0]);
    consumer.assign([named(1)]).unwrap();
    consumer.assign([named(0), named(1)]).unwrap();
    assert_eq!(positions(&mut consumer, 2), [0, 0], "what went has no position any more");
    assert_eq!(consumer.paused(), [named(1)]);
    consumer.assign([]).unwrap();
    assert!(consumer.assignment().is_empty() && consumer.poll(Duration::from_secs(1)).unwrap().is_empty());
}

#[test]
fn an_assignment_that_cannot_be_changes_nothing() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 2, TopicConfig::default());
    append_each(&partitions[0], &["a"]);
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let twice = consumer.assign([named(1), named(0), named(1)]).unwrap_err();
    assert!(matches!(twice, Error::AssignedTwice { topic, partition } if topic == "t" && partition == 1));
    let unknown = TopicPartition::new("u", PartitionId::ZERO);
    let told = consumer.assign([named(1), unknown.clone()]).unwrap_err();
    assert!(matches!(told, Error::UnknownTopic { topic } if topic == "u"));
    let told = consumer.assign([named(1), named(2)]).unwrap_err();
    assert!(matches!(told, Error::UnknownPartition { partition: 2, count: 2, .. }));
    assert_eq!(consumer.assignment(), [named(0)]);
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["a"]);

    let is_told = |error: Error| matches!(error, Error::NotAssigned { partition, .. } if partition == 1);
    assert!(is_told(consumer.position(&named(1)).unwrap_err()));
    assert!(is_told(consumer.lag(&named(1)).unwrap_err()));
    assert!(is_told(consumer.seek(&named(1), offset(0)).unwrap_err()));
    let both = [named(0), named(1)];
    assert!(is_told(consumer.seek_to_beginning(&both).unwrap_err()));
    assert!(is_told(consumer.pause(&both).unwrap_err()));
    assert!(consumer.paused().is_empty());
    assert_eq!(consumer.position(&named(0)).unwrap(), 1, "and neither was the other one moved");
    assert!(matches!(consumer.end_offsets([&unknown]), Err(Error::UnknownTopic { .. })));
}

#[test]
fn a_paused_partition_is_left_out_and_goes_on_where_it_was() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 2, TopicConfig::default());
        partitions.iter().for_each(|partition| append_batch(partition, 5));
        let mut consumer = consumer_of(from_the_start(&broker).max_poll_records(3), 2);
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["0", "1", "2"]);
        consumer.pause([&named(0)]).unwrap();
        let mut others = Vec::new();
        (0..4).for_each(|_| others.extend(texts(&consumer.poll(NO_WAIT).unwrap())));
        assert_eq!(others, ["0", "1", "2", "3", "4"]);
        consumer.seek(&named(0), offset(1)).unwrap();
        assert!(consumer.poll(NO_WAIT).unwrap().is_empty(), "a seek is no resumption");
        consumer.resume(&[named(0), named(1)]).unwrap();
        assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["1", "2", "3"]);
        assert_eq!(positions(&mut consumer, 2), [4, 5]);
    }
}
