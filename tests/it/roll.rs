//! Rolling: when a new segment begins, what the files are called, and what stands in them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use streamlog::{Offset, Partition, Record, Segment, Timestamp, TimestampType, TopicConfig};

use crate::kit::{Place, START, Seed, all_rows, day_long};

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

/// Appends a record with this timestamp and a value of so many bytes.
fn append(partition: &Partition, time: i64, bytes: usize) {
    let value = vec![b'v'; bytes];
    let record = Record::new().value(&value).timestamp(Timestamp::from_millis(time));
    partition.append(&[record]).unwrap();
}

fn bases(partition: &Partition) -> Vec<u64> {
    partition.segments().iter().map(|segment| segment.base_offset().into()).collect()
}

/// Where the segments begin and end, and how long they are.
fn outline(partition: &Partition) -> Vec<(u64, u64, u64)> {
    let outline = |segment: &Segment| {
        (segment.base_offset().into(), segment.end_offset().unwrap().into(), segment.bytes().unwrap())
    };
    partition.segments().iter().map(outline).collect()
}

/// The segments follow each other from 0 to the end, and the records are all there.
fn assert_whole(partition: &Partition, records: u64) {
    let outline = outline(partition);
    assert_eq!(outline[0].0, 0);
    assert!(outline.windows(2).all(|pair| pair[0].1 == pair[1].0), "{outline:?}");
    assert_eq!(outline.last().unwrap().1, records);
    assert_eq!(partition.log_end_offset(), records);
    assert_eq!(all_rows(partition, Offset::ZERO, usize::MAX).len() as u64, records);
}

#[test]
fn a_segment_rolls_when_the_next_append_would_pass_its_size() {
    for place in Place::both() {
        let config = TopicConfig::default().segment_bytes(2000);
        let (broker, partition) = place.begin(config);
        let mut seed = Seed::new(1);
        for _ in 0..60 {
            append(&partition, START, seed.below(700));
        }
        let sizes: Vec<Vec<u64>> = partition
            .segments()
            .iter()
            .map(|segment| segment.batches().map(|batch| batch.unwrap().bytes().len() as u64).collect())
            .collect();
        assert!(sizes.len() > 5);
        for pair in sizes.windows(2) {
            let bytes: u64 = pair[0].iter().sum();
            assert!(bytes <= 2000 && bytes + pair[1][0] > 2000, "{bytes} and {}", pair[1][0]);
        }
        assert_eq!(broker.metrics().segments_rolled, sizes.len() as u64 - 1);
        assert_whole(&partition, 60);

        let before = outline(&partition);
        drop((broker, partition));
        let (_, partition) = place.resume();
        assert_eq!(outline(&partition), before);
        // The active segment goes on where it was, and is as full as it was.
        let left = usize::try_from(2000 - before.last().unwrap().2).unwrap();
        let overhead = 61 + 10;
        append(&partition, START, left.saturating_sub(overhead));
        assert_eq!(bases(&partition).len(), before.len() + usize::from(left < overhead));
        append(&partition, START, 600);
        assert_whole(&partition, 62);
        assert!(bases(&partition).len() > before.len());
    }
}

#[test]
fn an_append_that_just_fits_does_not_roll() {
    let place = Place::memory();
    let config = TopicConfig::default().segment_bytes(1024);
    let (_, partition) = place.begin(config);
    append(&partition, START, 400);
    let half = partition.segments()[0].bytes().unwrap();
    append(&partition, START, 400 + usize::try_from(1024 - 2 * half).unwrap());
    assert_eq!(outline(&partition), [(0, 2, 1024)]);
    append(&partition, START, 0);
    assert_eq!(bases(&partition), [0, 2]);
}

#[test]
fn a_segment_rolls_when_its_records_span_more_than_its_age() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default().segment_age(Duration::from_millis(1000)));
        let times = [0, 500, 1000, 1001, 1500, 700, 2001, 2002, 9000];
        times.iter().for_each(|time| append(&partition, START + time, 10));
        assert_eq!(bases(&partition), [0, 3, 7, 8]);
        assert_whole(&partition, 9);
        // The wall does not count, the records do.
        place.clock.advance(day_long());
        append(&partition, START + 10_000, 10);
        assert_eq!(bases(&partition), [0, 3, 7, 8]);
        append(&partition, START + 10_001, 10);
        assert_eq!(bases(&partition), [0, 3, 7, 8, 10]);
    }
}

#[test]
fn the_age_counts_on_after_every_kind_of_reopen() {
    let age = TopicConfig::default().segment_age(Duration::from_millis(1000));
    for how in ["closed", "killed", "without indexes"] {
        let place = Place::disk();
        let (broker, partition) = place.begin(age.clone());
        append(&partition, START, 10);
        append(&partition, START + 900, 10);
        let place = if how == "killed" { place.as_if_killed() } else { place };
        drop((broker, partition));
        if how == "without indexes" {
            remove_indexes(&place.partition_path());
        }
        let (_, partition) = place.resume();
        append(&partition, START + 1000, 10);
        assert_eq!(bases(&partition), [0], "{how}");
        append(&partition, START + 1001, 10);
        assert_eq!(bases(&partition), [0, 3], "{how}");
        assert_whole(&partition, 4);
    }
}

#[test]
fn a_segment_of_append_time_rolls_by_the_clock() {
    for place in Place::both() {
        let config = TopicConfig::default()
            .segment_age(Duration::from_millis(1000))
            .timestamp_type(TimestampType::Append);
        let (_, partition) = place.begin(config);
        append(&partition, 5, 10);
        place.clock.advance(Duration::from_millis(1000));
        append(&partition, 5, 10);
        assert_eq!(bases(&partition), [0]);
        place.clock.advance(Duration::from_millis(1));
        append(&partition, 5, 10);
        assert_eq!(bases(&partition), [0, 2]);
    }
}

#[test]
fn jitter_cuts_the_age_at_random_and_by_the_seed() {
    let rolled = |seed: u64| {
        let place = Place::memory().config(|config| config.seed(seed));
        let config = TopicConfig::default()
            .segment_age(Duration::from_millis(100))
            .segment_jitter(Duration::from_millis(60));
        let (_, partition) = place.begin(config);
        (0..2000).for_each(|millis| append(&partition, START + millis, 1));
        assert_whole(&partition, 2000);
        bases(&partition)
    };
    let once = rolled(1);
    assert_eq!(once, rolled(1));
    assert_ne!(once, rolled(2));
    let spans: Vec<u64> = once.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(spans.iter().all(|span| (41..=101).contains(span)), "{spans:?}");
    assert!(spans.iter().max().unwrap() - spans.iter().min().unwrap() > 30, "{spans:?}");
}

#[test]
fn a_segment_rolls_when_one_of_its_indexes_is_full() {
    // Each batch but a segment's first gets an entry. An index of 48 bytes has room for six offsets; for four times,
    // of which the last is kept for the roll.
    let config = TopicConfig::default().index_interval_bytes(0).segment_index_bytes(48);
    for place in Place::both() {
        let (broker, partition) = place.begin(config.clone());
        (0..20).for_each(|_| append(&partition, START, 10));
        assert_eq!(bases(&partition), [0, 7, 14], "by the offsets, as no later time comes");
        (1..=10).for_each(|millis| append(&partition, START + millis, 10));
        let before = bases(&partition);
        assert_eq!(before, [0, 7, 14, 21, 25, 29], "by the times");
        assert_whole(&partition, 30);
        drop((broker, partition));

        let (_, partition) = place.resume();
        assert_eq!(bases(&partition), before);
        (11..=13).for_each(|millis| append(&partition, START + millis, 10));
        assert_eq!(bases(&partition), before, "a full segment takes four");
        append(&partition, START + 14, 10);
        assert_eq!(bases(&partition), [0, 7, 14, 21, 25, 29, 33]);
        assert_whole(&partition, 34);
    }
}

#[test]
fn files_are_named_and_trimmed_as_kafkas_are() {
    let place = Place::disk();
    let (broker, partition) =
        place.begin(TopicConfig::default().segment_bytes(2000).index_interval_bytes(100));
    (0..40).for_each(|_| append(&partition, START, 300));
    let segments = partition.segments();
    assert!(segments.len() > 3);
    let directory = place.partition_path();
    for segment in &segments {
        let name = format!("{:020}.log", u64::from(segment.base_offset()));
        assert_eq!(segment.path(), directory.join(name));
    }
    let bytes = |segment: &Segment| fs::metadata(segment.path()).unwrap().len();
    let (active, sealed) = segments.split_last().unwrap();
    assert!(
        sealed.iter().all(|segment| bytes(segment) == segment.bytes().unwrap()),
        "sealed files are trimmed"
    );
    assert!(bytes(active) >= active.bytes().unwrap());
    broker.close().unwrap();
    assert_eq!(bytes(active), active.bytes().unwrap(), "a close trims");

    let mut expected = vec!["leader-epoch-checkpoint".to_owned(), "partition.metadata".to_owned()];
    for segment in &segments {
        let base = u64::from(segment.base_offset());
        expected.extend(["index", "log", "timeindex"].map(|suffix| format!("{base:020}.{suffix}")));
    }
    expected.sort();
    let mut found: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_segment_that_is_opened_alone_is_the_partitions() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(2000));
    (0..20).for_each(|_| append(&partition, START, 300));
    for segment in partition.segments() {
        // The active one too, with its head room behind it.
        let alone = Segment::open(segment.path()).unwrap();
        assert_eq!(alone.base_offset(), segment.base_offset());
        assert_eq!(alone.end_offset().unwrap(), segment.end_offset().unwrap());
        assert_eq!(alone.bytes().unwrap(), segment.bytes().unwrap());
        let bytes = |segment: &Segment| -> Vec<Vec<u8>> {
            segment.batches().map(|batch| batch.unwrap().bytes().to_vec()).collect()
        };
        assert!(bytes(&alone) == bytes(&segment));
    }
    drop(broker);
}

fn remove_indexes(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "index" || suffix == "timeindex") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// A batch of a segment: where it stands, and its last offset and largest timestamp.
struct Placed {
    position: u64,
    delta: u64,
    timestamp: i64,
}

fn placed(segment: &Segment) -> Vec<Placed> {
    let mut position = 0;
    let place = |batch: streamlog::RecordBatch| {
        let at = position;
        position += batch.bytes().len() as u64;
        let delta = batch.last_offset().delta_from(segment.base_offset()).unwrap();
        Placed { position: at, delta, timestamp: batch.max_timestamp().as_millis() }
    };
    segment.batches().map(|batch| batch.unwrap()).map(place).collect()
}

fn words<const N: usize>(path: &Path) -> Vec<[u8; N]> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len() % N, 0, "{}", path.display());
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().unwrap()).collect()
}

/// Delta and position.
type OffsetEntries = Vec<(u64, u64)>;
/// Timestamp and delta.
type TimeEntries = Vec<(i64, u64)>;

/// The entries that Kafka would have made.
fn expected_entries(batches: &[Placed], interval: u64) -> (OffsetEntries, TimeEntries) {
    let (mut offsets, mut times) = (OffsetEntries::new(), TimeEntries::new());
    let (mut since, mut largest) = (0, (-1, 0));
    for (index, batch) in batches.iter().enumerate() {
        if batch.timestamp > largest.0 {
            largest = (batch.timestamp, batch.delta);
        }
        if since > interval {
            offsets.push((batch.delta, batch.position));
            times.push(largest);
            since = 0;
        }
        let next = batches.get(index + 1).map_or(batch.position, |next| next.position);
        since += next - batch.position;
    }
    // At a roll and at a close the largest is noted, if it is not there.
    times.push(largest);
    times.dedup();
    (offsets, times)
}

#[test]
fn index_files_hold_kafkas_entries() {
    let interval = 500;
    let place = Place::disk();
    let config = TopicConfig::default().segment_bytes(8000).index_interval_bytes(interval);
    let (broker, partition) = place.begin(config);
    let mut seed = Seed::new(2);
    for number in 0..600 {
        let time = Timestamp::from_millis(START + 10 * number + seed.between(-40, 40));
        let value = vec![b'v'; seed.below(300)];
        let records = vec![Record::new().value(&value).timestamp(time); 1 + seed.below(4)];
        partition.append(&records).unwrap();
    }
    let segments = partition.segments();
    broker.close().unwrap();
    assert!(segments.len() > 10);
    let mut seen = 0;
    for segment in &segments {
        let alone = Segment::open(segment.path()).unwrap();
        let (offsets, times) = expected_entries(&placed(&alone), interval.into());
        let path = segment.path();
        let read = words::<8>(&path.with_extension("index")).into_iter().map(|entry| {
            let [a, b, c, d, rest @ ..] = entry;
            (u64::from(u32::from_be_bytes([a, b, c, d])), u64::from(u32::from_be_bytes(rest)))
        });
        assert_eq!(read.collect::<Vec<_>>(), offsets);
        let read = words::<12>(&path.with_extension("timeindex")).into_iter().map(|entry| {
            let (timestamp, delta) = entry.split_first_chunk().unwrap();
            let delta = u32::from_be_bytes(delta.try_into().unwrap());
            (i64::from_be_bytes(*timestamp), u64::from(delta))
        });
        assert_eq!(read.collect::<Vec<_>>(), times);
        seen += offsets.len();
    }
    assert!(seen > 100, "{seen} entries");
}

#[test]
fn indexes_that_are_gone_are_made_again_as_they_were() {
    let place = Place::disk();
    let config = TopicConfig::default().segment_bytes(4000).index_interval_bytes(200);
    let (broker, partition) = place.begin(config);
    (0..100).for_each(|number| append(&partition, START + number, 100));
    drop((broker, partition));
    let directory = place.partition_path();
    let files = |suffix: &str| {
        let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().extension().is_some_and(|found| found == suffix))
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = (files("index"), files("timeindex"));
    remove_indexes(&directory);
    let (broker, partition) = place.resume();
    let report = &broker.recovery_report().partitions;
    assert!(
        report.iter().any(|found| found.rebuilt_indexes == before.0.len()),
        "{}",
        broker.recovery_report()
    );
    assert_eq!(partition.offset_for_time(Timestamp::from_millis(START + 3)).unwrap(), Some(offset(3)));
    assert_whole(&partition, 100);
    drop((broker, partition));
    assert!((files("index"), files("timeindex")) == before);
}
