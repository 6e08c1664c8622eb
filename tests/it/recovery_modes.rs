//! Damaged logs, opened in each mode: refused, taken offline, or salvaged.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::records::RecordBatchDecoder;
use streamlog::testing::{Call, Crash, EveryCrash, EveryFault, Outcome, TestDisk};
use streamlog::{
    AutoOffsetReset, Broker, BrokerConfig, Error, ManualClock, NewTopic, Offset, Partition, PartitionId,
    PartitionRecovery, Record, RecoveryMode, Result, Timestamp, TopicConfig, TopicPartition,
};

use crate::kit::START;

const DIR: &str = "data/t-0";

/// A log directory whose files a test can damage.
struct Dir {
    disk: TestDisk,
}

/// Where a batch stands.
#[derive(Debug, Clone)]
struct Stored {
    path: PathBuf,
    position: u64,
    bytes: usize,
    offsets: Range<Offset>,
}

impl Dir {
    /// Some segments of batches of one to three records, all durable, closed in order or not.
    fn new(is_clean: bool) -> Dir {
        let dir = Dir { disk: TestDisk::new() };
        let broker = dir.open(RecoveryMode::Repair).unwrap();
        let config = TopicConfig::default().segment_bytes(1024).index_interval_bytes(200);
        broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        for number in 0..36 {
            append(&partition, 1 + number % 3);
        }
        partition.sync().unwrap();
        if is_clean {
            broker.close().unwrap();
            return dir;
        }
        dir.killed()
    }

    fn open(&self, mode: RecoveryMode) -> Result<Broker> {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let config = BrokerConfig::default().seed(7);
        let builder = Broker::builder().log_dir("data").storage(self.disk.clone()).clock(clock);
        builder.config(config).recovery(mode).open()
    }

    /// A copy, as a process that is killed now leaves it.
    fn killed(&self) -> Dir {
        Dir { disk: self.disk.after(Crash::Kill) }
    }

    fn names(&self) -> Vec<String> {
        let files = self.disk.files().into_keys().filter(|path| path.starts_with(DIR));
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn logs(&self) -> Vec<PathBuf> {
        let logs = self.names().into_iter().filter(|name| name.ends_with(".log"));
        logs.map(|name| Path::new(DIR).join(name)).collect()
    }

    fn read(&self, path: &Path) -> Vec<u8> {
        self.disk.files().remove(path).unwrap()
    }

    /// Every batch, by a walk over the files.
    fn batches(&self) -> Vec<Stored> {
        let broker = self.open(RecoveryMode::Repair).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let mut all = Vec::new();
        for segment in partition.segments() {
            let (path, mut position) = (segment.path().to_path_buf(), 0);
            for batch in segment.batches() {
                let batch = batch.unwrap();
                let bytes = batch.bytes().len();
                let offsets = batch.base_offset()..batch.next_offset();
                all.push(Stored { path: path.clone(), position, bytes, offsets });
                position += bytes as u64;
            }
        }
        all
    }

    fn flip(&self, path: &Path, position: u64) {
        let mut bytes = self.read(path);
        bytes[usize::try_from(position).unwrap()] ^= 0x5a;
        self.disk.put(path, &bytes).unwrap();
    }
}

/// Appends records that tell their offsets.
fn append(partition: &Partition, count: usize) {
    let end = u64::from(partition.log_end_offset());
    let values: Vec<_> = (end..end + count as u64).map(|offset| format!("this is record {offset}")).collect();
    let records: Vec<_> = values.iter().map(|value| Record::new().value(value)).collect();
    partition.append(&records).unwrap();
}

fn partition(broker: &Broker) -> Result<Partition> {
    broker.topic("t")?.partition(0)
}

/// The offsets of all records, each of which must be the one that was written there, and the ranges that are lost.
fn read_all(partition: &Partition) -> (Vec<u64>, Vec<Range<u64>>) {
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    let mut next = partition.log_start_offset();
    while next < partition.log_end_offset() {
        match partition.read(next, 300) {
            Ok(batches) => {
                for batch in &batches {
                    assert!(!batch.is_lost(), "a lost range is an error");
                    for record in &batch.records().unwrap() {
                        let offset = u64::from(record.offset());
                        assert_eq!(record.value().unwrap(), format!("this is record {offset}").as_bytes());
                        read.push(offset);
                    }
                }
                next = batches.next_offset().unwrap();
            }
            Err(Error::RecordsLost { offsets, .. }) => {
                assert!(offsets.contains(&next), "{offsets:?} at {next}");
                lost.push(offsets.start.into()..offsets.end.into());
                next = offsets.end;
            }
            Err(error) => panic!("at {next}: {error:?}"),
        }
    }
    (read, lost)
}

/// Salvages, and gives what was read, and what was lost by the report, which must agree; then goes on with it.
fn salvage(dir: &Dir, place: &str) -> (Vec<u64>, Vec<Range<u64>>) {
    let broker = dir.open(RecoveryMode::Salvage).unwrap();
    let partition_now = partition(&broker).unwrap();
    let (read, lost) = read_all(&partition_now);
    let report = broker.recovery_report().partitions.iter().find(|one| one.partition.topic() == "t").unwrap();
    let told: Vec<Range<u64>> = report
        .lost
        .iter()
        .filter(|one| !one.offsets.is_empty())
        .map(|one| one.offsets.start.into()..one.offsets.end.into())
        .collect();
    assert_eq!(told, lost, "{place}: {report}");
    for one in &report.lost {
        let kept = one.quarantine.as_ref().map_or(vec![], |path| dir.read(path));
        // A whole file is kept with its head room.
        let data = kept.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        assert!([kept.len(), data].contains(&usize::try_from(one.bytes).unwrap()), "{place}: {one:?}");
    }

    let end = partition_now.log_end_offset();
    append(&partition_now, 2);
    partition_now.sync().unwrap();
    let killed = dir.killed();
    broker.close().unwrap();
    drop((broker, partition_now));
    for dir in [dir, &killed] {
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage] {
            let broker = dir.open(mode).unwrap_or_else(|error| panic!("{place}, {mode:?}: {error:?}"));
            let partition = partition(&broker).unwrap();
            let (again, lost_again) = read_all(&partition);
            let more = [u64::from(end), u64::from(end) + 1];
            assert_eq!((again, &lost_again), ([&read[..], &more].concat(), &lost), "{place}, {mode:?}");
            assert!(broker.recovery_report().partitions.iter().all(|one| one.lost.is_empty()), "{place}");
            broker.close().unwrap();
        }
    }
    (read, lost)
}

fn all_but(lost: &[Range<u64>], end: u64) -> Vec<u64> {
    (0..end).filter(|offset| !lost.iter().any(|lost| lost.contains(offset))).collect()
}

#[test]
fn damage_is_refused_taken_offline_or_salvaged() {
    let whole = Dir::new(false);
    let batches = whole.batches();
    // In the last segment: what lies before a checkpoint is not looked at again, but by a salvage.
    let hit = &batches[batches.len() - 3];
    let dir = whole.killed();
    dir.flip(&hit.path, hit.position + 70);
    let damaged = dir.killed();

    match dir.open(RecoveryMode::Strict) {
        Err(Error::RecoveryRefused { source }) => match &*source {
            Error::PartitionOffline { topic, source, .. } => {
                assert_eq!(topic, "t");
                assert!(
                    matches!(**source, Error::Damaged { from, .. } if from == hit.offsets.start),
                    "{source:?}, {hit:?}"
                );
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    let broker = dir.open(RecoveryMode::Repair).unwrap();
    assert!(matches!(partition(&broker), Err(Error::PartitionOffline { .. })));
    drop(broker);
    assert!(dir.names().iter().all(|name| !name.contains("quarantine") && !name.contains("salvage")));
    for path in dir.logs() {
        assert!(dir.read(&path) == damaged.read(&path), "{} was changed", path.display());
    }

    let lost = u64::from(hit.offsets.start)..u64::from(hit.offsets.end);
    let (read, told) = salvage(&dir, "one batch");
    assert_eq!(told, std::slice::from_ref(&lost));
    assert_eq!(read, all_but(&[lost], 72));
    let kept = Path::new(DIR).join(format!(
        "{}.{}.quarantine",
        hit.path.file_name().unwrap().to_str().unwrap(),
        hit.position
    ));
    let was = damaged.read(&hit.path);
    let position = usize::try_from(hit.position).unwrap();
    assert_eq!(dir.read(&kept), was[position..position + hit.bytes]);
}

#[test]
fn a_salvage_of_a_sound_directory_changes_nothing() {
    for is_clean in [true, false] {
        let dir = Dir::new(is_clean);
        let before = dir.killed();
        drop(dir.open(RecoveryMode::Salvage).unwrap());
        for path in before.logs() {
            let data = |dir: &Dir| {
                let bytes = dir.read(&path);
                let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                bytes[..end].to_vec()
            };
            assert!(data(&dir) == data(&before), "{}", path.display());
        }
        let names =
            |dir: &Dir| dir.names().into_iter().filter(|name| !name.contains("index")).collect::<Vec<_>>();
        assert_eq!(names(&dir), names(&before));
    }
}

#[test]
fn whatever_byte_of_the_log_is_damaged_a_salvage_saves_all_other_batches() {
    for is_clean in [true, false] {
        let whole = Dir::new(is_clean);
        let batches = whole.batches();
        let is_border = |number: &usize| {
            let path = |number: usize| batches.get(number).map(|batch| &batch.path);
            *number == 0 || path(number - 1) != path(*number) || path(number + 1) != path(*number)
        };
        // The first and the last of each segment, and one in between.
        for number in (0..batches.len()).filter(|number| is_border(number) || *number == 5) {
            let batch = &batches[number];
            // Most of the header, and some of the records.
            for byte in (0..61).step_by(3).chain((61..batch.bytes as u64).step_by(37)) {
                let dir = whole.killed();
                dir.flip(&batch.path, batch.position + byte);
                let place = format!("batch {number}, byte {byte}, clean {is_clean}");
                let (read, lost) = salvage(&dir, &place);
                let hit = u64::from(batch.offsets.start)..u64::from(batch.offsets.end);
                // The leader epoch is outside the CRC, and says nothing of the records.
                let expected = if (12..16).contains(&byte) { vec![] } else { vec![hit] };
                assert_eq!(lost, expected, "{place}");
                assert_eq!(read, all_but(&expected, 72), "{place}");
            }
        }
    }
}

#[test]
fn segments_that_are_gone_are_lost_and_their_offsets_are_not_given_again() {
    let whole = Dir::new(false);
    let logs = whole.logs();
    let base = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let bases: Vec<u64> = logs.iter().map(base).collect();
    for gone in [0..1, 1..2, 2..4, logs.len() - 1..logs.len(), 0..logs.len()] {
        let dir = whole.killed();
        for path in &logs[gone.clone()] {
            dir.disk.take(path).unwrap();
        }
        let lost = bases[gone.start]..bases.get(gone.end).copied().unwrap_or(72);
        let (read, told) = salvage(&dir, &format!("without segments {gone:?}"));
        assert_eq!(told, std::slice::from_ref(&lost), "without segments {gone:?}");
        assert_eq!(read, all_but(&[lost], 72));
    }
}

#[test]
fn a_salvage_keeps_what_is_sound_behind_a_torn_batch_too() {
    let whole = Dir::new(false);
    {
        let broker = whole.open(RecoveryMode::Repair).unwrap();
        let partition = partition(&broker).unwrap();
        append(&partition, 2);
        append(&partition, 1);
        let killed = whole.killed();
        let batches = killed.killed().batches();
        let [.., torn, _] = &batches[..] else { panic!() };
        killed.flip(&torn.path, torn.position + 80);

        let repaired = killed.killed().open(RecoveryMode::Repair).unwrap();
        assert_eq!(self::partition(&repaired).unwrap().log_end_offset(), 72, "all of it is cut");
        let (read, lost) = salvage(&killed, "a torn batch");
        assert_eq!(lost, std::slice::from_ref(&(72..74)));
        assert_eq!(read, all_but(&lost, 75));
    }
    // With nothing sound behind it, nobody was told of it.
    let broker = whole.open(RecoveryMode::Repair).unwrap();
    append(&partition(&broker).unwrap(), 2);
    let killed = whole.killed();
    let batches = killed.killed().batches();
    let torn = batches.last().unwrap();
    killed.flip(&torn.path, torn.position + 80);
    let (read, lost) = salvage(&killed, "a torn tail");
    assert_eq!((read, lost), (all_but(&[], u64::from(torn.offsets.start)), vec![]));
}

#[test]
fn whatever_of_the_catalog_is_damaged_a_salvage_finds_its_topics() {
    let whole = Dir::new(false);
    {
        let broker = whole.open(RecoveryMode::Repair).unwrap();
        broker.admin().create_topic(NewTopic::new("grown").partitions(1)).unwrap();
        broker.admin().create_partitions("grown", 3).unwrap();
        broker.admin().create_topic(NewTopic::new("deleted")).unwrap();
        broker.admin().delete_topic("deleted").unwrap();
        broker.producer().build().unwrap().close(Duration::MAX).unwrap();
    }
    let catalog = Path::new("data/__topic_catalog-0/00000000000000000000.log");
    let bytes = whole.read(catalog);
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let mut restored = 0;
    for position in (0..=end).step_by(7) {
        let dir = whole.killed();
        dir.flip(catalog, position as u64);
        let broker = dir.open(RecoveryMode::Salvage).unwrap();
        let report = broker.recovery_report();
        let place = format!("byte {position}: {report}");
        assert_eq!(broker.admin().list_topics().unwrap(), ["grown", "t"], "{place}");
        assert_eq!(broker.topic("grown").unwrap().partition_count(), 3, "{place}");
        assert_eq!(read_all(&partition(&broker).unwrap()).0, all_but(&[], 72), "{place}");
        assert!(report.unknown_directories.is_empty(), "{place}");
        restored += report.restored_topics.len();
        drop(broker);

        let broker = dir.open(RecoveryMode::Repair).unwrap();
        assert_eq!(broker.admin().list_topics().unwrap(), ["grown", "t"], "{place}");
        assert_eq!(read_all(&partition(&broker).unwrap()).0, all_but(&[], 72), "{place}");
    }
    assert!(restored > 10, "{restored}");
}

#[test]
fn strict_takes_a_torn_tail_and_nothing_else() {
    let whole = Dir::new(false);
    let broker = whole.open(RecoveryMode::Repair).unwrap();
    append(&partition(&broker).unwrap(), 2);
    let killed = whole.killed();
    drop(broker);
    let torn = killed.killed().batches().last().unwrap().clone();
    killed.flip(&torn.path, torn.position + 80);
    let opened = killed.killed().open(RecoveryMode::Strict).unwrap();
    assert!(opened.recovery_report().partitions.iter().any(|one| one.cut.is_some()));
    drop(opened);

    let refused = |dir: &Dir, file: &str| match dir.open(RecoveryMode::Strict) {
        Err(error @ Error::RecoveryRefused { .. }) => {
            let text = format!("{error:?}");
            assert!(error.is_corruption() && text.contains(file), "{text}");
            assert!(!dir.open(RecoveryMode::Repair).unwrap().recovery_report().to_string().is_empty());
        }
        other => panic!("{file}: {other:?}"),
    };
    for file in ["partition.metadata", "leader-epoch-checkpoint"] {
        for is_removed in [true, false] {
            let dir = Dir::new(false);
            let path = Path::new(DIR).join(file);
            dir.disk.take(&path).unwrap();
            if !is_removed {
                dir.disk.put(&path, b"nonsense").unwrap();
            }
            refused(&dir, file);
        }
    }
    let dir = Dir::new(true);
    let checkpoint = Path::new("data/recovery-point-offset-checkpoint");
    dir.flip(checkpoint, 0);
    refused(&dir, "recovery-point-offset-checkpoint");
}

/// A directory in which two batches of different segments are damaged and one segment is gone, with what is left of it.
fn damaged(is_clean: bool) -> (Dir, Vec<u64>) {
    let dir = Dir::new(is_clean);
    let (batches, logs) = (dir.batches(), dir.logs());
    let hits = [&batches[5], &batches[batches.len() - 3]];
    let mut lost: Vec<_> =
        hits.iter().map(|hit| u64::from(hit.offsets.start)..u64::from(hit.offsets.end)).collect();
    for hit in hits {
        dir.flip(&hit.path, hit.position + 70);
    }
    let gone = &logs[1];
    dir.disk.take(gone).unwrap();
    let of_gone: Vec<_> = batches.iter().filter(|batch| batch.path == *gone).collect();
    lost.push(of_gone[0].offsets.start.into()..of_gone[of_gone.len() - 1].offsets.end.into());
    (dir, all_but(&lost, 72))
}

fn check_saved(disk: &TestDisk, mode: RecoveryMode, saved: &[u64]) -> Outcome {
    let broker = Dir { disk: disk.clone() }.open(mode)?;
    let (read, _) = read_all(&partition(&broker)?);
    if read != saved {
        return Err(format!("{read:?} where {saved:?} can be saved").into());
    }
    Ok(())
}

/// The bytes that were damaged, as they were found.
fn damaged_bytes(dir: &Dir, saved: &[u64]) -> Vec<Vec<u8>> {
    let batches = Dir::new(false).batches().into_iter();
    let hits = batches.filter(|batch| !saved.contains(&batch.offsets.start.into()));
    let files = dir.disk.files();
    let found = hits.filter_map(|hit| {
        let start = usize::try_from(hit.position).unwrap();
        Some(files.get(&hit.path)?[start..start + hit.bytes].to_vec())
    });
    found.collect()
}

#[test]
fn a_crash_at_any_step_of_a_salvage_loses_nothing_more() {
    for is_clean in [false, true] {
        let (dir, saved) = damaged(is_clean);
        let damaged = damaged_bytes(&dir, &saved);
        assert_eq!(damaged.len(), 2);
        let points = EveryCrash::new().begin_with(&dir.disk).seeds(8).run(
            |disk, is_salvaged: &mut bool| {
                let broker = Dir { disk: disk.clone() }.open(RecoveryMode::Salvage)?;
                *is_salvaged = true;
                drop(broker);
                Ok(())
            },
            |disk, &is_salvaged, _| {
                if is_salvaged {
                    check_saved(&disk.after(Crash::PowerCut), RecoveryMode::Repair, &saved)?;
                }
                check_saved(disk, RecoveryMode::Salvage, &saved)?;
                let survivor = disk.after(Crash::PowerCut);
                for bytes in &damaged {
                    let files = survivor.files();
                    let has = |file: &Vec<u8>| file.windows(bytes.len()).any(|window| window == bytes);
                    assert!(files.values().any(has), "what was damaged is kept");
                }
                check_saved(&survivor, RecoveryMode::Repair, &saved)
            },
        );
        assert!(points.unwrap() > 100);
    }
}

#[test]
fn a_disk_that_fails_at_any_call_of_a_salvage_loses_nothing_more() {
    let (dir, saved) = damaged(false);
    for is_lasting in [false, true] {
        let every = EveryFault::new().begin_with(&dir.disk);
        let points = if is_lasting { every.lasting() } else { every }.run(
            |disk, (): &mut ()| {
                let broker = Dir { disk: disk.clone() }.open(RecoveryMode::Salvage)?;
                let _ = partition(&broker)?;
                Ok(())
            },
            |disk, (), _| {
                check_saved(&disk.after(Crash::PowerCut), RecoveryMode::Salvage, &saved)?;
                check_saved(disk, RecoveryMode::Salvage, &saved)?;
                check_saved(disk, RecoveryMode::Repair, &saved)
            },
        );
        assert!(points.unwrap() > 100);
    }
}

#[test]
fn a_consumer_is_told_of_what_is_lost_and_may_go_on_behind_it() {
    let (dir, saved) = damaged(false);
    let broker = dir.open(RecoveryMode::Salvage).unwrap();
    let name = TopicPartition::new("t", PartitionId::ZERO);
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
    consumer.assign([name.clone()]).unwrap();
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    while consumer.lag(&name).unwrap() > 0 {
        match consumer.poll(Duration::ZERO) {
            Ok(records) => read.extend(records.iter().map(|record| u64::from(record.offset()))),
            Err(error) => {
                assert!(error.is_corruption());
                let offsets = error.unreadable_offsets().unwrap();
                consumer.seek(&name, offsets.end).unwrap();
                lost.push(offsets);
            }
        }
    }
    assert_eq!(read, saved);
    assert_eq!(lost.len(), 3);
}

#[test]
fn a_copy_of_a_segment_under_another_name_costs_a_salvage_nothing() {
    let whole = Dir::new(false);
    let logs = whole.logs();
    for (number, path) in logs.iter().enumerate() {
        let base: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        for contents in [whole.read(path), whole.read(&logs[0]), vec![], vec![0; 1000]] {
            let dir = whole.killed();
            let copy = Path::new(DIR).join(format!("{:020}.log", base + 1));
            dir.disk.put(&copy, &contents).unwrap();
            let place = format!("a copy of {} bytes beside segment {number}", contents.len());
            let (read, lost) = salvage(&dir, &place);
            assert_eq!((read, lost), (all_but(&[], 72), vec![]), "{place}");
            let is_kept = dir.names().iter().any(|name| name.ends_with(".log.quarantine"));
            assert_eq!(is_kept, contents.iter().any(|&byte| byte != 0), "{place}");
        }
    }
}

#[test]
fn a_recovery_point_far_behind_the_log_is_believed_only_where_it_can_be() {
    for (point, is_believed) in [(10_000_000_000_u64, true), (i64::MAX.unsigned_abs(), false)] {
        let dir = Dir::new(false);
        let batches = dir.batches();
        let hit = batches.last().unwrap();
        dir.flip(&hit.path, hit.position + 70);
        let path = "data/recovery-point-offset-checkpoint";
        dir.disk.take(path).unwrap();
        dir.disk.put(path, format!("0\n1\nt 0 {point}\n")).unwrap();
        let broker = dir.open(RecoveryMode::Salvage).unwrap();
        let partition_now = partition(&broker).unwrap();
        let end = if is_believed { point } else { 72 };
        assert_eq!(partition_now.log_end_offset(), end);
        append(&partition_now, 1);
        broker.close().unwrap();
        drop((broker, partition_now));
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair, RecoveryMode::Salvage] {
            let broker = dir.open(mode).unwrap();
            let (read, lost) = read_all(&partition(&broker).unwrap());
            let lost = lost[0].start..lost[lost.len() - 1].end;
            assert_eq!(lost, u64::from(hit.offsets.start)..end, "{mode:?}");
            assert_eq!(read, (0..lost.start).chain([end]).collect::<Vec<_>>(), "{mode:?}");
            broker.close().unwrap();
        }
    }
}

#[test]
fn strict_refuses_a_log_start_behind_the_end() {
    let dir = Dir::new(false);
    dir.disk.put("data/log-start-offset-checkpoint", "0\n1\nt 0 1000\n").unwrap();
    match dir.open(RecoveryMode::Strict) {
        Err(Error::RecoveryRefused { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_salvaged_log_answers_for_times_and_segments() {
    let (dir, saved) = damaged(false);
    let broker = dir.open(RecoveryMode::Salvage).unwrap();
    let partition = partition(&broker).unwrap();
    assert_eq!(
        partition.offset_for_time(Timestamp::from_millis(0)).unwrap().map(u64::from),
        saved.first().copied()
    );
    assert_eq!(partition.offset_for_time(Timestamp::from_millis(i64::MAX)).unwrap(), None);
    let mut next = Offset::ZERO;
    for segment in partition.segments() {
        assert_eq!(segment.base_offset(), next);
        for batch in segment.batches() {
            let batch = batch.unwrap();
            assert_eq!(batch.base_offset(), next);
            next = batch.next_offset();
        }
    }
    assert_eq!(next, partition.log_end_offset());
}

#[test]
fn a_look_in_each_mode_at_a_damaged_directory_changes_nothing() {
    let (dir, saved) = damaged(false);
    let before = dir.disk.files();
    let steps = dir.disk.step_count();
    for mode in [RecoveryMode::Salvage, RecoveryMode::Repair, RecoveryMode::Strict] {
        let builder = Broker::builder().log_dir("data").storage(dir.disk.clone()).recovery(mode).read_only();
        match (mode, builder.open()) {
            (RecoveryMode::Salvage, Ok(broker)) => {
                assert_eq!(read_all(&partition(&broker).unwrap()).0, saved);
            }
            (RecoveryMode::Repair, Ok(broker)) => assert!(partition(&broker).is_err()),
            (_, opened) => assert!(matches!(opened, Err(Error::RecoveryRefused { .. })), "{opened:?}"),
        }
        assert!(dir.disk.files() == before);
        assert_eq!(dir.disk.step_count(), steps);
    }
}

#[test]
fn bytes_made_for_harm_do_not_keep_a_salvage_busy() {
    const SIZE: usize = 8 << 20;
    let dir = Dir::new(false);
    let batches = dir.batches();
    let hit = &batches[batches.len() - 1];
    let bytes = dir.read(&hit.path);
    let start = usize::try_from(hit.position).unwrap();
    // Behind a batch whose length is damaged, thousands of headers, each of a batch that goes on to the end of the file.
    let (mut hostile, header) = (bytes[..start + hit.bytes].to_vec(), &bytes[start..start + 61]);
    hostile[start + 8] = 0x7f;
    while hostile.len() < 1 << 20 {
        let left = i32::try_from(SIZE - hostile.len() - 12).unwrap();
        hostile.extend_from_slice(&header[..8]);
        hostile.extend_from_slice(&left.to_be_bytes());
        hostile.extend_from_slice(&header[12..]);
    }
    hostile.resize(SIZE, 1);
    dir.disk.put(&hit.path, &hostile).unwrap();
    let before = dir.disk.call_count();
    let broker = dir.open(RecoveryMode::Salvage).unwrap();
    let _ = partition(&broker).unwrap();
    let calls = dir.disk.calls();
    let read: u64 = calls[usize::try_from(before).unwrap()..]
        .iter()
        .map(|call| match call {
            Call::Read(path, range) if *path == hit.path => range.end - range.start,
            _ => 0,
        })
        .sum();
    assert!(read < 40 * SIZE as u64, "{read} bytes were read of a segment of {SIZE}");
}

/// Segments of which one holds offsets that the one before it has too, as a copy by hand may leave them.
#[test]
fn what_only_an_overlapping_segment_holds_is_saved() {
    let whole = Dir::new(false);
    let (batches, logs) = (whole.batches(), whole.logs());
    let base = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    for number in 1..logs.len() {
        // The last batch of the segment before, and all of this one, under the name of neither.
        let before = batches.iter().rfind(|batch| batch.path == logs[number - 1]).unwrap();
        let start = usize::try_from(before.position).unwrap();
        let joined =
            [&whole.read(&before.path)[start..start + before.bytes], &whole.read(&logs[number])].concat();
        let dir = whole.killed();
        dir.disk.take(&logs[number]).unwrap();
        let name = format!("{:020}.log", u64::from(before.offsets.start));
        assert!(u64::from(before.offsets.start) > base(&before.path));
        dir.disk.put(Path::new(DIR).join(name), joined).unwrap();
        let (read, lost) = salvage(&dir, &format!("segment {number} of {}", logs.len()));
        assert_eq!((read, lost), (all_but(&[], 72), vec![]), "segment {number}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_salvage_of_overlapping_segments_loses_nothing_more() {
    let dir = Dir::new(false);
    let (batches, logs) = (dir.batches(), dir.logs());
    let before = batches.iter().rfind(|batch| batch.path == logs[1]).unwrap();
    let start = usize::try_from(before.position).unwrap();
    let joined = [&dir.read(&before.path)[start..start + before.bytes], &dir.read(&logs[2])].concat();
    dir.disk.take(&logs[2]).unwrap();
    let name = format!("{:020}.log", u64::from(before.offsets.start));
    dir.disk.put(Path::new(DIR).join(name), joined).unwrap();
    let saved = all_but(&[], 72);
    let points = EveryCrash::new().begin_with(&dir.disk).run(
        |disk, (): &mut ()| {
            drop(Dir { disk: disk.clone() }.open(RecoveryMode::Salvage)?);
            Ok(())
        },
        |disk, (), _| {
            check_saved(disk, RecoveryMode::Salvage, &saved)?;
            check_saved(&disk.after(Crash::PowerCut), RecoveryMode::Repair, &saved)
        },
    );
    assert!(points.unwrap() > 50);
}

#[test]
fn what_stands_for_lost_records_is_a_batch_to_others() {
    let (dir, saved) = damaged(false);
    let broker = dir.open(RecoveryMode::Salvage).unwrap();
    let mut read = Vec::new();
    for segment in partition(&broker).unwrap().segments() {
        for batch in segment.batches() {
            let mut bytes = Bytes::copy_from_slice(batch.unwrap().bytes());
            let theirs = RecordBatchDecoder::decode(&mut bytes).unwrap();
            read.extend(theirs.records.iter().map(|record| u64::try_from(record.offset).unwrap()));
        }
    }
    assert_eq!(read, saved);
}

#[test]
fn a_directory_that_is_refused_is_as_it_was() {
    for mode in [RecoveryMode::Strict, RecoveryMode::Repair] {
        let dir = Dir::new(true);
        let files = dir.disk.files().into_keys();
        files
            .filter(|path| path.starts_with("data/__topic_catalog-0"))
            .for_each(|path| dir.disk.take(path).unwrap());
        let before = dir.disk.files();
        assert!(dir.open(mode).unwrap_err().is_corruption());
        assert_eq!(dir.disk.files(), before, "{mode:?}");
    }
}

#[test]
fn a_checkpoint_that_makes_no_sense_is_replaced_by_the_next_close() {
    let dir = Dir::new(true);
    let path = Path::new("data/recovery-point-offset-checkpoint");
    dir.disk.put(path, b"x").unwrap();
    let broker = dir.open(RecoveryMode::Repair).unwrap();
    assert_eq!(broker.recovery_report().ignored_files.len(), 1);
    broker.close().unwrap();
    drop(broker);
    let broker = dir.open(RecoveryMode::Strict).unwrap();
    assert!(broker.recovery_report().was_clean);
    assert_eq!(read_all(&partition(&broker).unwrap()).0, all_but(&[], 72));
}

#[test]
fn a_salvage_counts_each_batch_once() {
    for is_clean in [false, true] {
        let (dir, _) = damaged(is_clean);
        let broker = dir.open(RecoveryMode::Salvage).unwrap();
        let report = broker.recovery_report().clone();
        let counted: u64 = report.partitions.iter().map(|partition| partition.scanned_batches).sum();
        drop(broker);
        let verified = Broker::builder().log_dir("data").storage(dir.disk.clone()).verify().unwrap();
        assert!(counted <= verified.batches, "{report}\n{verified}");
    }
}

#[test]
fn a_log_that_ends_before_its_recovery_point_was_not_closed_like_that() {
    let dir = Dir::new(true);
    let last = dir.logs().pop().unwrap();
    dir.disk.put(&last, b"").unwrap();
    dir.disk.take(Path::new("data/streamlog.durable")).unwrap();
    assert!(!Broker::builder().log_dir("data").storage(dir.disk.clone()).verify().unwrap().is_sound());
    assert!(matches!(dir.open(RecoveryMode::Strict), Err(Error::RecoveryRefused { .. })));
    assert!(matches!(
        partition(&dir.open(RecoveryMode::Repair).unwrap()),
        Err(Error::PartitionOffline { .. })
    ));
    // It stays so, although another partition's append takes away what says that it was closed.
    let broker = dir.open(RecoveryMode::Repair).unwrap();
    let other = broker.admin().create_topic(NewTopic::new("u")).unwrap().partition(0).unwrap();
    append(&other, 1);
    other.sync().unwrap();
    drop((broker, other));
    for crash in [Crash::Kill, Crash::PowerCut] {
        let broker = Dir { disk: dir.disk.after(crash) }.open(RecoveryMode::Repair).unwrap();
        assert!(matches!(partition(&broker), Err(Error::PartitionOffline { .. })), "{crash:?}");
    }
    let (_, lost) = read_all(&partition(&dir.open(RecoveryMode::Salvage).unwrap()).unwrap());
    assert_eq!(lost.last().unwrap().end, 72);

    // After an unclean end the point may be what is wrong. It does not stay.
    let dir = Dir::new(false);
    let path = Path::new("data/recovery-point-offset-checkpoint");
    dir.disk.put(path, b"0\n1\nt 0 90\n").unwrap();
    let broker = dir.open(RecoveryMode::Repair).unwrap();
    let ignored = |one: &PartitionRecovery| one.ignored_recovery_point == Some(Offset::from(90));
    assert!(broker.recovery_report().partitions.iter().any(ignored));
    append(&partition(&broker).unwrap(), 30);
    let torn = dir.disk.after(Crash::PowerCut);
    assert_eq!(
        partition(&Dir { disk: torn }.open(RecoveryMode::Strict).unwrap()).unwrap().log_end_offset(),
        72
    );
}

#[test]
fn a_history_of_epochs_that_all_begin_behind_the_end_takes_nothing_from_older_ones() {
    let dir = Dir::new(false);
    let path = Path::new(DIR).join("leader-epoch-checkpoint");
    dir.disk.put(&path, b"0\n1\n5 100\n").unwrap();
    let broker = dir.open(RecoveryMode::Repair).unwrap();
    assert_eq!(read_all(&partition(&broker).unwrap()).0, all_but(&[], 72));
    assert_eq!(dir.read(&path), b"0\n2\n0 0\n6 72\n");
}
