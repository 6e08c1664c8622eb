//! Reading: whole batches from any offset, within about so many bytes, while others append, and after the broker is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use streamlog::{Batches, Compression, Error, Offset, Partition, Record, TopicConfig};

use crate::kit::{Place, Row, Seed, all_rows, rows_of};

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

/// Appends `calls` calls of 1 to 6 records with one of the codecs each; the value begins with its offset.
fn fill(partition: &Partition, calls: usize, seed: u64) {
    let mut seed = Seed::new(seed);
    for _ in 0..calls {
        let end = u64::from(partition.log_end_offset());
        let values: Vec<Vec<u8>> = (end..=end + seed.below(6) as u64)
            .map(|number| {
                [number.to_be_bytes().to_vec(), {
                    let count = seed.below(120);
                    seed.bytes(count)
                }]
                .concat()
            })
            .collect();
        let records: Vec<Record<'_>> = values.iter().map(|value| Record::new().value(value)).collect();
        partition.clone().compression(seed.codec()).append(&records).unwrap();
    }
}

/// Whether a value is the one that [`fill`] gave the record at this offset.
fn is_own_value(row: &Row) -> bool {
    row.value.as_ref().is_some_and(|value| value.starts_with(&row.offset.to_be_bytes()))
}

/// The batches of the whole log, one after the other, as stored.
fn stored(partition: &Partition) -> Vec<Vec<u8>> {
    let (mut batches, mut next) = (Vec::new(), partition.log_start_offset());
    while next < partition.log_end_offset() {
        let read = partition.read(next, 1).unwrap();
        assert_eq!(read.len(), 1, "one batch, as one byte was asked for");
        next = read.next_offset().unwrap();
        batches.extend(read.iter().map(|batch| batch.bytes().to_vec()));
    }
    batches
}

/// Tells the readers to end, also where the appending thread panics.
struct ToldWhenDropped<'a>(&'a AtomicBool);

impl Drop for ToldWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn small_segments() -> TopicConfig {
    TopicConfig::default().segment_bytes(4096).index_interval_bytes(300)
}

#[test]
fn every_offset_can_be_read_from_with_every_bound() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments());
        fill(&partition, 150, 3);
        assert!(partition.segments().len() > 3);
        let all = all_rows(&partition, Offset::ZERO, usize::MAX);
        assert!(all.iter().all(is_own_value));
        let end = u64::from(partition.log_end_offset());
        // Backwards as well, so that where the last read ended is of no help.
        for from in (0..end).rev().chain(0..end) {
            for max_bytes in [0, 1, 500, 5000, usize::MAX] {
                let read = rows_of(&partition.read(offset(from), max_bytes).unwrap());
                let index = usize::try_from(from).unwrap();
                assert!(!read.is_empty());
                assert_eq!(read, all[index..index + read.len()], "{from}, {max_bytes} bytes");
            }
        }
    }
}

#[test]
fn a_read_stays_within_its_bytes_but_for_its_first_batch() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        fill(&partition, 60, 4);
        let sizes: Vec<usize> = stored(&partition).iter().map(Vec::len).collect();
        let counts = |max_bytes| partition.read(Offset::ZERO, max_bytes).unwrap().len();
        assert_eq!((counts(0), counts(1)), (1, 1));
        let mut sum = 0;
        for (index, size) in sizes.iter().enumerate() {
            assert_eq!(counts(sum + size - 1), index.max(1), "one byte less");
            sum += size;
            assert_eq!(counts(sum), index + 1, "exactly");
        }
        let read = partition.read(Offset::ZERO, usize::MAX).unwrap();
        assert_eq!((read.len(), read.bytes()), (sizes.len(), sum));
        assert_eq!(read.next_offset(), Some(partition.log_end_offset()));
    }
}

#[test]
fn the_end_reads_as_nothing_and_what_lies_outside_is_refused_with_the_numbers() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        let refused = |from, end| {
            let error = partition.read(from, 1 << 20).unwrap_err();
            let is_right = matches!(error, Error::OffsetOutOfRange { requested, start, end: to }
                if requested == from && start == 0 && to == end);
            assert!(is_right, "{error}");
        };
        let empty = partition.read(Offset::ZERO, 1 << 20).unwrap();
        assert!(empty.is_empty() && empty.next_offset().is_none() && empty.bytes() == 0);
        refused(offset(1), 0);
        fill(&partition, 1, 5);
        let end = partition.log_end_offset();
        assert!(partition.read(end, usize::MAX).unwrap().is_empty());
        refused(end.next(), end.into());
        refused(Offset::MAX, end.into());
    }
}

#[test]
fn a_read_in_the_middle_of_a_batch_begins_with_the_asked_record() {
    for place in Place::both() {
        let (_, partition) = place.begin(TopicConfig::default());
        for codec in Seed::codecs() {
            let records = vec![Record::new().value("v"); 10];
            let range = partition.clone().compression(codec).append(&records).unwrap();
            for skipped in 0..10 {
                let from = range.start.checked_add(skipped).unwrap();
                let read = partition.read(from, 1).unwrap();
                let batch = read.iter().next().unwrap();
                assert_eq!(batch.base_offset(), range.start, "the batch is whole");
                assert_eq!(batch.records().unwrap().len() as u64, 10 - skipped, "{codec}");
                assert_eq!(rows_of(&read)[0].offset, u64::from(from));
            }
        }
    }
}

#[test]
fn reads_go_on_across_segments() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments());
        fill(&partition, 150, 6);
        let segments = partition.segments();
        for pair in segments.windows(2) {
            let border = pair[1].base_offset();
            assert_eq!(pair[0].end_offset().unwrap(), border);
            let before = partition.read(pair[0].base_offset(), usize::MAX).unwrap();
            assert_eq!(
                before.next_offset(),
                Some(partition.log_end_offset()),
                "one read gives all that it may"
            );
            let bytes = usize::try_from(pair[0].bytes().unwrap()).unwrap();
            for max_bytes in [bytes, bytes + 1] {
                let within = partition.read(pair[0].base_offset(), max_bytes).unwrap();
                assert_eq!(
                    within.next_offset(),
                    Some(border),
                    "no batch is given over the bound but the first"
                );
            }
            assert_eq!(rows_of(&partition.read(border, 1).unwrap())[0].offset, u64::from(border));
        }
    }
}

#[test]
fn a_reader_sees_a_dense_prefix_while_another_thread_appends_and_rolls() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments());
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            for max_bytes in [1, 700, usize::MAX] {
                let (partition, is_done) = (&partition, &is_done);
                scope.spawn(move || {
                    let mut next = Offset::ZERO;
                    loop {
                        // Asked before the end is, so that the last look is at all there is.
                        let is_last = is_done.load(Ordering::Acquire);
                        let seen = partition.log_end_offset();
                        for row in all_rows(partition, next, max_bytes) {
                            assert!(is_own_value(&row), "{row:?}");
                            next = offset(row.offset + 1);
                        }
                        assert!(next >= seen, "what was published stays published");
                        if is_last {
                            break;
                        }
                    }
                });
            }
            // One reader that looks anywhere, most of all at the newest.
            scope.spawn(|| {
                let mut seed = Seed::new(8);
                while !is_done.load(Ordering::Acquire) {
                    let end = usize::try_from(u64::from(partition.log_end_offset())).unwrap();
                    let from = end - seed.below(end.min(200) + 1);
                    let read = rows_of(&partition.read(offset(from as u64), 2000).unwrap());
                    assert!(from == end || read[0].offset == from as u64);
                    assert!(read.iter().all(is_own_value));
                }
            });
            let _told = ToldWhenDropped(&is_done);
            fill(&partition, 1200, 7);
        });
        assert!(partition.segments().len() > 20);
    }
}

#[test]
fn a_reader_at_the_very_end_is_never_told_of_a_gap_while_every_append_rolls() {
    let (_, partition) = Place::memory().begin(TopicConfig::default().segment_bytes(1024));
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    let end = partition.log_end_offset();
                    // Nothing yet, or what has been appended since.
                    let read = rows_of(&partition.read(end, 1).unwrap());
                    assert!(read.first().is_none_or(|row| end == row.offset));
                }
            });
        }
        let _told = ToldWhenDropped(&is_done);
        let value = [0; 800];
        for _ in 0..600 {
            partition.append(&[Record::new().value(&value)]).unwrap();
        }
    });
    assert_eq!(partition.segments().len(), 600);
}

#[test]
fn what_was_read_stays_valid_after_the_close_and_without_the_files() {
    for is_mapped in [true, false] {
        let place = Place::disk().config(|config| config.map_sealed_segments(is_mapped));
        let (broker, partition) = place.begin(small_segments());
        fill(&partition, 100, 9);
        let expected = all_rows(&partition, Offset::ZERO, usize::MAX);
        let held: Vec<Batches> = partition
            .segments()
            .iter()
            .map(|segment| {
                let bytes = usize::try_from(segment.bytes().unwrap()).unwrap();
                partition.read(segment.base_offset(), bytes).unwrap()
            })
            .collect();
        let segment = partition.segments().remove(0);
        broker.close().unwrap();
        assert!(
            matches!(segment.batches().next(), Some(Err(Error::Closed))),
            "the files may be another's now"
        );
        drop((broker, partition, segment));
        place.remove_files();
        let read: Vec<Row> = held.iter().flat_map(rows_of).collect();
        assert!(read == expected, "mapped: {is_mapped}");
        // It may go to another thread, and outlive everything here.
        let counted = thread::spawn(move || held.iter().map(|batches| rows_of(batches).len()).sum::<usize>());
        assert_eq!(counted.join().unwrap(), expected.len());
    }
}

#[test]
fn maps_and_positional_reads_give_the_same_bytes() {
    let place = Place::disk();
    let (broker, partition) = place.begin(small_segments());
    fill(&partition, 150, 10);
    let expected = stored(&partition);
    drop((broker, partition));
    for is_mapped in [true, false] {
        let place = place.as_if_killed().config(|config| config.map_sealed_segments(is_mapped));
        let (_, partition) = place.resume();
        assert!(partition.segments().len() > 3);
        assert!(stored(&partition) == expected, "mapped: {is_mapped}");
    }
}

#[test]
fn the_batches_of_the_segments_are_the_log() {
    for place in Place::both() {
        let (_, partition) = place.begin(small_segments());
        fill(&partition, 80, 11);
        let mut walked = Vec::new();
        for segment in partition.segments() {
            let batches: Vec<_> = segment.batches().map(|batch| batch.unwrap()).collect();
            assert_eq!(batches[0].base_offset(), segment.base_offset());
            assert_eq!(batches.last().unwrap().next_offset(), segment.end_offset().unwrap());
            assert_eq!(
                batches.iter().map(|batch| batch.bytes().len() as u64).sum::<u64>(),
                segment.bytes().unwrap()
            );
            walked.extend(batches.into_iter().map(|batch| batch.bytes().to_vec()));
        }
        assert!(walked == stored(&partition));
    }
}

#[test]
fn a_large_batch_is_read_whole_whatever_the_bound() {
    for place in Place::both() {
        let (_, partition) =
            place.begin(TopicConfig::default().max_message_bytes(20 << 20).index_interval_bytes(0));
        // More than a read fetches at a time, and more than it returns at most.
        let mut seed = Seed::new(12);
        let sizes = [10, 100_000, 17 << 20, 10];
        let values: Vec<Vec<u8>> = sizes.iter().map(|&size| seed.bytes(size)).collect();
        for value in &values {
            partition.clone().compression(Compression::None).append(&[Record::new().value(value)]).unwrap();
        }
        for max_bytes in [0, 1, 70_000, 200_000, usize::MAX] {
            let rows = all_rows(&partition, Offset::ZERO, max_bytes);
            assert!(rows.iter().zip(&values).all(|(row, value)| row.value.as_ref() == Some(value)));
            assert_eq!(rows.len(), values.len());
        }
    }
}
