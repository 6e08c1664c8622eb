//! Appenders, syncers, readers and checkpoints at work on one partition at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use streamlog::testing::{Crash, TestDisk};
use streamlog::{Offset, Partition, Record};

use super::script;

const APPENDERS: u64 = 3;
const APPENDS: u64 = 60;

fn value(appender: u64, number: u64) -> Vec<u8> {
    let text = format!("{appender}:{number} ");
    text.bytes().cycle().take(20 + usize::try_from(number % 7).unwrap() * 60).collect()
}

/// Reads from `from` to the end, and checks that offsets are dense and that each appender's records are in its order.
fn read_on(partition: &Partition, from: Offset, numbers: &mut [u64]) -> Offset {
    let end = partition.log_end_offset();
    let mut next = from;
    while next < end {
        let batches = partition.read(next, 1000).unwrap();
        for record in
            batches.iter().map(|batch| batch.records().unwrap()).collect::<Vec<_>>().iter().flatten()
        {
            assert_eq!(record.offset(), next);
            let bytes = record.value().unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let appender: u64 = text.split(':').next().unwrap().parse().unwrap();
            let number = &mut numbers[usize::try_from(appender).unwrap()];
            assert!(bytes == value(appender, *number), "{text}");
            *number += 1;
            next = next.next();
        }
    }
    next
}

#[test]
fn readers_appenders_syncers_and_checkpoints_do_not_disturb_each_other() {
    let disk = TestDisk::new();
    let (broker, clock) = script::open(&disk).unwrap();
    let partition = broker.admin().create_topic(script::topic("t", 1)).unwrap().partition(0).unwrap();
    let (is_over, synced) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (partition, is_over, synced, disk) = (&partition, &is_over, &synced, &disk);
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|appender| {
                scope.spawn(move || {
                    for number in 0..APPENDS {
                        let end =
                            partition.append(&[Record::new().value(&value(appender, number))]).unwrap().end;
                        if number % 8 == appender {
                            let durable = partition.sync().unwrap();
                            assert!(durable >= end);
                            synced.fetch_max(durable.into(), SeqCst);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(move || {
                let (mut next, mut numbers) = (Offset::ZERO, [0; 3]);
                loop {
                    // Asked before the last look, so that the last look sees the whole.
                    let is_last = is_over.load(SeqCst);
                    next = read_on(partition, next, &mut numbers);
                    if is_last {
                        break;
                    }
                    std::thread::yield_now();
                }
                assert_eq!(numbers, [APPENDS; 3]);
            });
        }
        scope.spawn(move || {
            while !is_over.load(SeqCst) {
                clock.advance(Duration::from_secs(5));
                std::thread::yield_now();
            }
        });
        scope.spawn(move || {
            for _ in 0..10 {
                let promised = synced.load(SeqCst);
                let (broker, _) = script::open(&disk.after(Crash::PowerCut)).unwrap();
                let partition = broker.topic("t").unwrap().partition(0).unwrap();
                let end = read_on(&partition, Offset::ZERO, &mut [0; 3]);
                assert!(u64::from(end) >= promised, "{end} of {promised} that were promised");
            }
        });
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        is_over.store(true, SeqCst);
    });
    assert_eq!(partition.log_end_offset(), APPENDERS * APPENDS);
    assert!(partition.segments().len() > 10);
    broker.close().unwrap();
    drop((broker, partition));
    let (broker, _) = script::open(&disk).unwrap();
    assert!(broker.recovery_report().was_clean);
    read_on(&broker.topic("t").unwrap().partition(0).unwrap(), Offset::ZERO, &mut [0; 3]);
}
