//! Looking up by time: the first record at or after it, against a walk over all of them.

use std::fs;

use streamlog::{Offset, Partition, Record, Timestamp, TimestampType, TopicConfig};

use crate::kit::{Place, START, Seed, day_long};

/// The timestamps of a log, by offset.
type Times = Vec<i64>;

/// Appends records in batches, in calls, with timestamps that mostly grow.
fn fill(partition: &Partition, times: &mut Times, calls: i64, seed: &mut Seed) {
    let base = i64::try_from(times.len()).unwrap();
    for call in base..base + calls {
        let own: Vec<i64> = (0..=seed.below(5)).map(|_| START + 10 * call + seed.between(-60, 60)).collect();
        let value = seed.bytes(60);
        let records: Vec<Record<'_>> = own
            .iter()
            .map(|&time| Record::new().value(&value).timestamp(Timestamp::from_millis(time)))
            .collect();
        partition.clone().compression(seed.codec()).append(&records).unwrap();
        times.extend(own);
    }
}

fn small_segments() -> TopicConfig {
    TopicConfig::default().segment_bytes(4096).index_interval_bytes(300)
}

/// Asks for every time that a record has, and for those before and after it.
fn assert_agrees(partition: &Partition, times: &Times, when: &str) {
    let ends = [0, i64::MAX];
    for time in times.iter().flat_map(|&time| [time - 1, time, time + 1]).chain(ends) {
        let expected = times.iter().position(|&own| own >= time).map(|index| index as u64);
        let found = partition.offset_for_time(Timestamp::from_millis(time)).unwrap();
        assert_eq!(found.map(u64::from), expected, "{when}: at {time}, {} ms after the start", time - START);
    }
}

#[test]
fn a_log_without_records_has_none_at_any_time() {
    let (_, partition) = Place::memory().begin(TopicConfig::default());
    for time in [0, START, i64::MAX, -1, i64::MIN] {
        assert_eq!(partition.offset_for_time(Timestamp::from_millis(time)).unwrap(), None);
    }
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_in_any_order_of_times() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments());
        let (mut times, mut seed) = (Times::new(), Seed::new(1));
        for _ in 0..4 {
            fill(&partition, &mut times, 60, &mut seed);
            assert_agrees(&partition, &times, "while appended to");
        }
        assert!(partition.segments().len() > 3);
        // Twice, so that the log is put to rest, and its index is in its files alone.
        place.clock.advance(day_long());
        place.clock.advance(day_long());
        assert_agrees(&partition, &times, "at rest");
        fill(&partition, &mut times, 20, &mut seed);
        assert_agrees(&partition, &times, "appended to after a rest");
    }
}

#[test]
fn the_answers_are_the_same_after_every_kind_of_reopen() {
    let origin = Place::disk();
    let (broker, partition) = origin.begin(small_segments());
    let (mut times, mut seed) = (Times::new(), Seed::new(2));
    fill(&partition, &mut times, 120, &mut seed);
    let fresh = origin.as_if_killed();
    origin.clock.advance(day_long());
    fill(&partition, &mut times, 1, &mut seed);
    let checkpointed = origin.as_if_killed();
    drop((broker, partition));

    let without = |suffixes: &[&str]| {
        let place = origin.as_if_killed();
        for entry in fs::read_dir(place.partition_path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| suffixes.iter().any(|suffix| found == *suffix)) {
                fs::remove_file(path).unwrap();
            }
        }
        place
    };
    let places = [
        ("killed before a checkpoint", fresh),
        ("killed after a checkpoint", checkpointed),
        ("closed, without any index", without(&["index", "timeindex"])),
        ("closed, without time indexes", without(&["timeindex"])),
        ("closed, without offset indexes", without(&["index"])),
        ("closed", origin),
    ];
    for (when, place) in places {
        let (_, partition) = place.resume();
        let end = usize::try_from(u64::from(partition.log_end_offset())).unwrap();
        let mut times = times[..end].to_vec();
        assert_agrees(&partition, &times, when);
        fill(&partition, &mut times, 30, &mut Seed::new(3));
        assert_agrees(&partition, &times, when);
    }
}

#[test]
fn equal_times_give_the_first_of_them() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments().index_interval_bytes(0));
        let mut times = Times::new();
        for step in 0..40 {
            let time = START + step / 8;
            let value = [0; 200];
            let record = Record::new().value(&value).timestamp(Timestamp::from_millis(time));
            partition.append(&[record.clone(), record]).unwrap();
            times.extend([time, time]);
        }
        assert!(partition.segments().len() > 1);
        assert_agrees(&partition, &times, "equal times");
    }
}

#[test]
fn a_latest_time_at_the_very_start_hides_nothing() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments().segment_age(day_long() * 365));
        let mut times = vec![START + 1_000_000];
        let value = [0; 200];
        let record = Record::new().value(&value);
        partition.append(&[record.clone().timestamp(Timestamp::from_millis(times[0]))]).unwrap();
        for step in 0..60 {
            partition.append(&[record.clone().timestamp(Timestamp::from_millis(START - step))]).unwrap();
            times.push(START - step);
        }
        assert!(partition.segments().len() > 2);
        assert_agrees(&partition, &times, "backwards");
    }
}

#[test]
fn append_times_are_found_for_every_record_of_a_batch() {
    let place = Place::memory();
    let (_, partition) = place.begin(TopicConfig::default().timestamp_type(TimestampType::Append));
    let mut times = Times::new();
    for _ in 0..20 {
        let old = Record::new().timestamp(Timestamp::from_millis(1));
        let end = partition.append(&[old.clone(), old]).unwrap().end;
        times.resize(
            usize::try_from(u64::from(end)).unwrap(),
            START + i64::try_from(times.len()).unwrap() / 2,
        );
        place.clock.advance(std::time::Duration::from_millis(1));
    }
    assert_agrees(&partition, &times, "append time");
    assert_eq!(partition.offset_for_time(Timestamp::from_millis(START + 3)).unwrap(), Some(Offset::from(6)));
}

#[test]
fn a_time_index_that_is_gone_alone_is_made_again_whole() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().index_interval_bytes(100));
    // The largest time stands before everything that the offset index leads to.
    let mut times = vec![START + 1_000_000];
    times.extend((0..60).map(|step| START + step));
    for &time in &times {
        partition.append(&[Record::new().value("v").timestamp(Timestamp::from_millis(time))]).unwrap();
    }
    drop((broker, partition));
    fs::remove_file(place.partition_path().join("00000000000000000000.timeindex")).unwrap();
    let (_, partition) = place.resume();
    assert_agrees(&partition, &times, "after the open");
}
