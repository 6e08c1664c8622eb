//! What is written, synced, renamed and removed, in which order, as the storage sees it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use streamlog::testing::{Call, TestDisk};
use streamlog::{Offset, Partition};

use super::acknowledgement::Ledger;
use super::script::{self, DIR, LIFE, Step, live};

/// Checks that each byte of the partition below `durable` has been synced since it was written, and that the names on
/// the way to it have been too.
fn check_covered(calls: &[Call], partition: &Partition, durable: Offset) {
    for segment in partition.segments() {
        let batches = segment.batches().map(Result::unwrap);
        let bytes: u64 = batches
            .take_while(|batch| batch.next_offset() <= durable)
            .map(|batch| batch.bytes().len() as u64)
            .sum();
        if bytes == 0 {
            continue;
        }
        let path = segment.path();
        let is_followed = |at: usize, by: &Call| calls[at..].contains(by);
        for (at, call) in calls.iter().enumerate() {
            match call {
                Call::Write(written, range) if written == path && range.start < bytes => {
                    assert!(is_followed(at, &Call::Sync(path.to_path_buf())), "{call:?} was not synced");
                }
                Call::Create(created) if created == path => {
                    let directory = path.parent().unwrap();
                    assert!(is_followed(at, &Call::SyncDir(directory.into())), "{call:?} may be forgotten");
                }
                Call::CreateDir(created) if path.starts_with(created) && created != Path::new(DIR) => {
                    assert!(is_followed(at, &Call::SyncDir(DIR.into())), "{call:?} may be forgotten");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_acknowledgement_of_durability_is_preceded_by_a_sync_that_covers_its_bytes() {
    let (disk, mut ledger) = (TestDisk::new(), Ledger::default());
    let (broker, clock) = script::open(&disk).unwrap();
    let mut checks = 0;
    for &step in LIFE {
        match step {
            Step::Create(name, partitions) => {
                ledger.creating(name, partitions);
                drop(broker.admin().create_topic(script::topic(name, partitions)).unwrap());
                ledger.created(name);
            }
            Step::Append(name, number, count, bytes) => {
                let partition = broker.topic(name).unwrap().partition(number).unwrap();
                script::append(&partition, &mut ledger, count, bytes).unwrap();
            }
            Step::Sync(name, number) => {
                broker.topic(name).unwrap().partition(number).unwrap().sync().unwrap();
            }
            Step::Checkpoint => clock.advance(std::time::Duration::from_secs(5)),
            Step::Reopen => {}
        }
        for name in broker.admin().list_topics().unwrap() {
            for partition in broker.topic(&name).unwrap().partitions().map(Result::unwrap) {
                check_covered(&disk.steps(), &partition, partition.durable_offset());
                checks += 1;
            }
        }
    }
    assert!(checks > 60, "{checks} checks");
}

#[test]
fn an_acknowledgement_among_threads_covers_what_was_appended_before_it() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 12;
    let disk = TestDisk::new();
    let (broker, _clock) = script::open(&disk).unwrap();
    let topic = broker.admin().create_topic(script::topic("t", 2)).unwrap();
    let checked = AtomicUsize::new(0);
    let appended = [Mutex::new(Offset::ZERO), Mutex::new(Offset::ZERO)];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (disk, checked, appended) = (&disk, &checked, &appended);
            let partition = topic.partition(u32::try_from(thread % 2).unwrap()).unwrap();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let value = vec![b'v'; 100 + 150 * (round % 5)];
                    let end = partition.append(&[streamlog::Record::new().value(&value)]).unwrap().end;
                    {
                        let mut most = appended[thread % 2].lock().unwrap();
                        *most = end.max(*most);
                    }
                    if round % 3 == thread % 3 {
                        let durable = partition.sync().unwrap();
                        let calls = disk.steps();
                        assert!(durable >= end, "a sync covers what was appended before it");
                        check_covered(&calls, &partition, durable);
                        checked.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(checked.into_inner(), THREADS * ROUNDS / 3);
    for (number, appended) in appended.iter().enumerate() {
        let partition = topic.partition(u32::try_from(number).unwrap()).unwrap();
        assert_eq!(partition.log_end_offset(), *appended.lock().unwrap());
    }
}

#[test]
fn the_marker_of_a_clean_shutdown_is_gone_for_good_before_anything_is_appended() {
    let disk = TestDisk::new();
    drop(live(&disk, LIFE, &mut Ledger::default()).unwrap());
    let marker = Path::new(DIR).join(".kafka_cleanshutdown");
    let (mut is_placed, mut is_gone, mut placed) = (false, true, 0);
    for call in disk.steps() {
        match &call {
            Call::Rename(_, target) if *target == marker => {
                (is_placed, is_gone, placed) = (true, false, placed + 1)
            }
            Call::Remove(path) if *path == marker => is_placed = false,
            Call::SyncDir(path) if path == Path::new(DIR) => is_gone = !is_placed,
            Call::Write(path, _) | Call::Create(path) | Call::Allocate(path, _) | Call::Zero(path, _) => {
                let is_log = path.extension().is_some_and(|extension| extension == "log");
                assert!(!is_log || is_gone, "{call:?} while the marker may still be there");
            }
            _ => {}
        }
    }
    assert_eq!(placed, 2);
}

#[test]
fn a_small_file_is_synced_before_it_is_renamed_and_its_directory_after() {
    let disk = TestDisk::new();
    drop(live(&disk, LIFE, &mut Ledger::default()).unwrap());
    let calls = disk.steps();
    let mut names: Vec<PathBuf> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let Call::Rename(source, target) = call else { continue };
        assert_eq!(calls[at - 1], Call::Sync(source.clone()), "{call:?}");
        assert!(matches!(&calls[at - 2], Call::Write(path, _) if path == source), "{call:?}");
        assert_eq!(calls[at + 1], Call::SyncDir(target.parent().unwrap().into()), "{call:?}");
        names.push(target.file_name().unwrap().into());
    }
    for name in ["meta.properties", "recovery-point-offset-checkpoint", ".kafka_cleanshutdown"] {
        assert!(names.iter().any(|renamed| renamed == Path::new(name)), "{name} was replaced");
    }
}
