//! Durability: what a sync promises, how threads share one, and what a checkpoint leaves.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use streamlog::{Offset, Partition, Record, TopicConfig};

use crate::kit::{Place, day_long, values};

fn append(partition: &Partition, count: usize) {
    partition.append(&vec![Record::new().value("v"); count]).unwrap();
}

fn append_of(partition: &Partition, value: &[u8]) {
    partition.append(&[Record::new().value(value)]).unwrap();
}

#[test]
fn the_durable_offset_moves_with_a_sync_and_with_nothing_else() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(1024));
        assert_eq!((partition.durable_offset(), partition.sync().unwrap()), (Offset::ZERO, Offset::ZERO));
        for round in 1..=20_u64 {
            append(&partition, 3);
            append(&partition, 4);
            partition.read(Offset::ZERO, usize::MAX).unwrap();
            assert_eq!(partition.log_end_offset(), 7 * round);
            assert_eq!(partition.durable_offset(), 7 * (round - 1), "an append promises nothing");
            assert_eq!(partition.high_watermark(), 7 * round, "and is visible all the same");
            assert_eq!(partition.sync().unwrap(), 7 * round);
            assert_eq!(partition.durable_offset(), 7 * round);
        }
        assert!(partition.segments().len() > 1);
        let rounds = broker.metrics().sync_rounds;
        partition.sync().unwrap();
        assert_eq!(broker.metrics().sync_rounds, rounds, "a sync of nothing is none");
    }
}

#[test]
fn everything_is_durable_after_a_close_and_after_an_unclean_open() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    append(&partition, 5);
    let killed = place.as_if_killed();
    broker.close().unwrap();
    assert_eq!(partition.durable_offset(), 5);
    drop((broker, partition));
    for place in [place, killed] {
        let (_, partition) = place.resume();
        assert_eq!((partition.log_end_offset().into(), partition.durable_offset().into()), (5_u64, 5_u64));
    }
}

#[test]
fn threads_that_sync_at_once_share_rounds() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default().segment_bytes(4096));
        let (threads, calls) = (8, 60);
        let before = broker.metrics();
        let barrier = Barrier::new(threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..calls {
                        let range = partition.append(&[Record::new().value("v")]).unwrap();
                        let synced = partition.sync().unwrap();
                        assert!(synced >= range.end && partition.durable_offset() >= synced);
                        assert!(partition.durable_offset() <= partition.log_end_offset());
                    }
                });
            }
        });
        let after = broker.metrics();
        let appends = (threads * calls) as u64;
        assert_eq!(after.records_appended - before.records_appended, appends);
        let rounds = after.sync_rounds - before.sync_rounds;
        assert!(rounds > 0 && rounds <= appends, "{rounds} rounds for {appends} appends");
        assert_eq!((after.sync_failures, after.append_failures), (0, 0));
        assert_eq!(partition.durable_offset(), appends);
        assert_eq!(values(&partition).len() as u64, appends);
    }
}

/// The recovery point of the partition, as its checkpoint file says.
fn recovery_point(place: &Place) -> Option<u64> {
    let text = fs::read_to_string(place.path().join("recovery-point-offset-checkpoint")).ok()?;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("0"), "the version");
    let count: usize = lines.next().unwrap().parse().unwrap();
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), count);
    lines.iter().find_map(|line| line.strip_prefix("t 0 ")).map(|offset| offset.parse().unwrap())
}

#[test]
fn a_checkpoint_comes_an_interval_after_the_first_append() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    place.clock.advance(day_long());
    append(&partition, 3);
    place.clock.advance(Duration::from_millis(59_999));
    append(&partition, 4);
    assert_eq!(partition.durable_offset(), 0);
    assert_eq!(recovery_point(&place), None);
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(partition.durable_offset(), 7);
    assert_eq!(recovery_point(&place), Some(7));

    // Once more for what came later, and then there is nothing left to do.
    append(&partition, 1);
    place.clock.advance(Duration::from_secs(60));
    assert_eq!((partition.durable_offset().into(), recovery_point(&place)), (8_u64, Some(8)));
    let before = broker.metrics();
    place.clock.advance(day_long());
    assert_eq!(broker.metrics().sync_rounds, before.sync_rounds);
}

#[test]
fn what_lies_before_a_checkpoint_is_not_looked_at_again() {
    let place = Place::disk();
    let (_, partition) = place.begin(TopicConfig::default().segment_bytes(32 << 10));
    let value = [b'v'; 400];
    let fill = |count| (0..count).for_each(|_| append_of(&partition, &value));
    fill(200);
    place.clock.advance(Duration::from_secs(60));
    fill(20);
    let killed = place.as_if_killed();
    let (broker, reopened) = killed.resume();
    let report = broker.recovery_report();
    assert!(!report.was_clean);
    let found = report.partitions.iter().find(|found| found.partition.topic() == "t").unwrap();
    // All that came later, and no more than what the last index entry does not lead past.
    let later = 20 * partition.read(Offset::from(200), 1).unwrap().bytes() as u64;
    assert!((later..later + 2 * 4096).contains(&found.scanned_bytes), "{later}, {found:?}");
    assert_eq!(found.end_offset, 220);
    assert_eq!(values(&reopened), values(&partition));
}

#[test]
fn a_checkpoint_comes_early_after_a_roll() {
    let place = Place::disk();
    let (_, partition) = place.begin(TopicConfig::default().segment_bytes(1024));
    while partition.segments().len() < 2 {
        append(&partition, 1);
        assert_eq!(partition.durable_offset(), 0);
    }
    place.clock.advance(Duration::ZERO);
    assert_eq!(partition.durable_offset(), partition.log_end_offset());
    assert_eq!(recovery_point(&place), Some(partition.log_end_offset().into()));
}

#[test]
fn a_checkpoint_comes_early_after_so_many_bytes() {
    let place = Place::disk().config(|config| config.checkpoint_bytes(1000));
    let (_, partition) = place.begin(TopicConfig::default());
    let mut point = None;
    let mut moved = 0;
    for count in 1..=60 {
        append(&partition, 1);
        // No time passes, but what is due now is run.
        place.clock.advance(Duration::ZERO);
        if recovery_point(&place) != point {
            point = recovery_point(&place);
            assert_eq!((point, partition.durable_offset().into()), (Some(count), count));
            moved += 1;
        }
    }
    assert!((4..30).contains(&moved), "{moved} checkpoints");
}

#[test]
fn a_partition_at_rest_holds_no_file_and_wakes_for_the_next_append() {
    let place = Place::disk();
    let (broker, partition) = place.begin(TopicConfig::default());
    append(&partition, 3);
    place.clock.advance(day_long());
    assert_eq!(broker.metrics().open_files, 0);
    append(&partition, 2);
    assert!(broker.metrics().open_files > 0);
    assert_eq!(values(&partition).len(), 5);
    place.clock.advance(day_long());
    assert_eq!(broker.metrics().open_files, 0);
    assert_eq!(values(&partition).len(), 5);
}
