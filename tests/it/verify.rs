//! Verifying log directories: each thing that can be wrong, made on purpose.

use std::fs;
use std::path::{Path, PathBuf};

use streamlog::{
    Broker, Error, Finding, FindingKind, NewTopic, Offset, Record, Severity, TopicConfig, TopicPartition,
    Verification,
};

use crate::kit::Place;

/// A place with a topic `t` of three segments in one partition and `u` of two partitions, closed in order.
fn closed() -> Place {
    let place = Place::disk();
    let (broker, partition) =
        place.begin(TopicConfig::default().segment_bytes(1024).index_interval_bytes(100));
    for number in 0..24 {
        let value = vec![b'a' + number; 50];
        partition.append(&[Record::new().value(&value)]).unwrap();
    }
    assert_eq!(partition.segments().len(), 3);
    let topic = broker.admin().create_topic(NewTopic::new("u").partitions(2)).unwrap();
    topic.partition(1).unwrap().append(&[Record::new().value("v")]).unwrap();
    broker.close().unwrap();
    place
}

fn verify(place: &Place) -> Verification {
    Broker::builder().log_dir(place.path()).verify().unwrap()
}

/// The only finding.
fn only(found: &Verification) -> &Finding {
    let [finding] = &found.findings[..] else { panic!("{found}") };
    finding
}

/// Segments of `t`, oldest first.
fn logs(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.partition_path()).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|part| part == "log")).collect();
    logs.sort();
    logs
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// What is found of something that is done to a place.
type Break<'a> = (FindingKind, &'a dyn Fn(&Place));

/// The offset in a segment's name.
fn base(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn offsets(start: u64, end: u64) -> Option<std::ops::Range<Offset>> {
    Some(start.try_into().unwrap()..end.try_into().unwrap())
}

#[test]
fn what_is_sound_is_told_in_a_line() {
    let found = verify(&closed());
    assert!(found.is_sound() && found.worst().is_none());
    assert_eq!((found.partitions, found.segments), (4, 6));
    assert!(found.records >= 25);
    let text = found.to_string();
    assert!(text.starts_with("sound: 4 partitions, 6 segments, ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_damaged_batch_is_told_with_its_offsets_and_all_others_are_looked_at() {
    let place = closed();
    let [first, second, _] = &logs(&place)[..] else { panic!() };
    let batch = usize::try_from(fs::metadata(first).unwrap().len() / base(second)).unwrap();
    flip(first, 3 * batch + 70);
    flip(second, 2 * batch + 70);
    let found = verify(&place);
    let [one, other] = &found.findings[..] else { panic!("{found}") };
    assert_eq!((one.severity, one.kind), (Severity::Damage, FindingKind::DamagedBatch));
    assert_eq!((one.offsets.clone(), one.position), (offsets(3, 4), Some(3 * batch as u64)));
    assert_eq!(one.partition, Some(TopicPartition::new("t", 0.try_into().unwrap())));
    assert_eq!(one.path, *first);
    assert_eq!(other.offsets, offsets(base(second) + 2, base(second) + 3));
    assert!(!found.is_sound());
    let text = one.to_string();
    assert!(
        text.starts_with("damage: damaged batch in t-0, offsets 3..4, ") && text.contains("CRC-32C"),
        "{text}"
    );
    assert!(found.to_string().contains(", 2 damaged places\ndamage: "));
    // As much is lost as a read says.
    let broker = place.open();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    let refused = (0..24_u32).filter(|&offset| partition.read(offset.into(), 1).is_err());
    assert_eq!(refused.collect::<Vec<_>>(), [3, u32::try_from(base(second)).unwrap() + 2]);
}

#[test]
fn segments_that_are_missing_are_told_with_their_offsets() {
    for (gone, start, kind) in [(0, 0, FindingKind::MissingRecords), (1, 1, FindingKind::MissingRecords)] {
        let place = closed();
        let logs = logs(&place);
        fs::remove_file(&logs[gone]).unwrap();
        let found = verify(&place);
        let damage = &found.findings[0];
        assert_eq!((damage.severity, damage.kind), (Severity::Damage, kind), "{found}");
        assert_eq!(damage.offsets, offsets(base(&logs[start]), base(&logs[start + 1])), "{found}");
    }
    let place = closed();
    let last = logs(&place).pop().unwrap();
    fs::remove_file(&last).unwrap();
    let found = verify(&place);
    assert_eq!(found.findings[0].offsets, offsets(base(&last), 24), "{found}");
    logs(&place).iter().for_each(|log| fs::remove_file(log).unwrap());
    let found = verify(&place);
    assert_eq!(found.findings[0].offsets, offsets(0, 24), "{found}");
}

#[test]
fn a_log_that_is_cut_short_lacks_what_was_durable() {
    let place = closed();
    let last = logs(&place).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 5]).unwrap();
    let found = verify(&place);
    assert_eq!(
        (found.findings[0].severity, found.findings[0].offsets.clone()),
        (Severity::Damage, offsets(23, 24)),
        "{found}"
    );
    fs::write(&last, b"").unwrap();
    let found = verify(&place);
    assert_eq!(
        (found.findings[0].kind, found.findings[0].offsets.clone()),
        (FindingKind::MissingRecords, offsets(base(&last), 24)),
        "{found}"
    );
}

#[test]
fn what_is_torn_is_told_as_torn_and_gone_after_the_next_open() {
    let place = closed();
    let last = logs(&place).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let end = bytes.len();
    bytes.extend(b"half a batch");
    fs::write(&last, bytes).unwrap();
    fs::remove_file(place.path().join(".kafka_cleanshutdown")).unwrap();
    let found = verify(&place);
    let tail = only(&found);
    assert_eq!(
        (tail.severity, tail.kind, tail.position),
        (Severity::Mended, FindingKind::TornTail, Some(end as u64))
    );
    assert_eq!(tail.offsets, offsets(24, 24));
    assert!(found.is_sound() && !found.was_clean && found.to_string().contains("1 to be mended"), "{found}");
    place.open().close().unwrap();
    let found = verify(&place);
    let kept = only(&found);
    assert_eq!((kept.severity, kept.kind), (Severity::Note, FindingKind::Quarantine), "{found}");
    assert!(kept.reason.contains("12 bytes"));
}

#[test]
fn what_the_next_open_mends_is_told_and_gone_after_it() {
    use FindingKind::{Checkpoint, DurableSlots, Epochs, Index, PartitionMetadata};
    let partition = |place: &Place, name: &str| place.partition_path().join(name);
    let index = |place: &Place| logs(place)[0].with_extension("index");
    let breaks: [Break<'_>; 11] = [
        (Index, &|place| fs::remove_file(index(place)).unwrap()),
        (Index, &|place| fs::remove_file(logs(place)[1].with_extension("timeindex")).unwrap()),
        (Index, &|place| flip(&index(place), 9)),
        (Index, &|place| flip(&logs(place)[1].with_extension("timeindex"), 3)),
        (Index, &|place| fs::write(index(place), b"12345").unwrap()),
        (Epochs, &|place| fs::remove_file(partition(place, "leader-epoch-checkpoint")).unwrap()),
        (Epochs, &|place| fs::write(partition(place, "leader-epoch-checkpoint"), "0\n1\nx y\n").unwrap()),
        (PartitionMetadata, &|place| fs::remove_file(partition(place, "partition.metadata")).unwrap()),
        (Checkpoint, &|place| {
            fs::write(place.path().join("recovery-point-offset-checkpoint"), "nonsense").unwrap()
        }),
        (Checkpoint, &|place| {
            fs::write(place.path().join("replication-offset-checkpoint"), "0\n1\nt 0 99\n").unwrap()
        }),
        (DurableSlots, &|place| flip(&place.path().join("streamlog.durable"), 40)),
    ];
    for (number, (kind, break_it)) in breaks.into_iter().enumerate() {
        let place = closed();
        break_it(&place);
        let found = verify(&place);
        let finding = only(&found);
        assert_eq!((finding.severity, finding.kind), (Severity::Mended, kind), "{number}: {found}");
        assert!(found.is_sound());
        // As after a crash, because after a clean close indexes are not looked into.
        fs::remove_file(place.path().join(".kafka_cleanshutdown")).unwrap();
        let broker = place.open();
        let _ = broker.topic("t").unwrap().partition(0).unwrap().append(&[Record::new().value("v")]);
        broker.close().unwrap();
        let found = verify(&place);
        let is_served_all_the_same = matches!(number, 2..=4);
        assert!(found.findings.is_empty() || is_served_all_the_same, "{number}: {found}");
    }
}

#[test]
fn what_keeps_a_directory_or_a_partition_from_being_opened_is_damage() {
    use FindingKind::{LeftOver, MetaProperties, MissingDirectory, PartitionMetadata};
    let write = |path: PathBuf, text: &str| fs::write(path, text).unwrap();
    let breaks: [Break<'_>; 5] = [
        (MetaProperties, &|place| write(place.path().join("meta.properties"), "version=1\n")),
        (PartitionMetadata, &|place| {
            write(
                place.partition_path().join("partition.metadata"),
                "version: 0\ntopic_id: MkU3OEVBNTcwNTJENDM2Qg",
            );
        }),
        (LeftOver, &|place| write(place.partition_path().join("00000000000000000000.log.swap"), "")),
        (MissingDirectory, &|place| fs::remove_dir_all(place.path().join("u-1")).unwrap()),
        (MissingDirectory, &|place| {
            let path = place.path().join("meta.properties");
            let text = fs::read_to_string(&path).unwrap();
            // Without the first line, which holds a checksum.
            let text = text.split_once('\n').unwrap().1;
            let id = text.lines().find(|line| line.starts_with("directory.id")).unwrap();
            write(path, &text.replace(id, "directory.id=MkU3OEVBNTcwNTJENDM2Qg"));
        }),
    ];
    for (kind, break_it) in breaks {
        let place = closed();
        break_it(&place);
        let found = verify(&place);
        assert!(!found.is_sound() && found.findings[0].kind == kind, "{found}");
        let opened = place.try_open();
        let is_offline =
            |broker: Broker| broker.recovery_report().partitions.iter().any(|one| one.offline.is_some());
        assert!(opened.map_or(true, is_offline), "{kind}");
    }
}

#[test]
fn where_the_catalog_is_damaged_partitions_are_found_by_their_directories() {
    let place = closed();
    flip(&place.path().join("__topic_catalog-0/00000000000000000000.log"), 80);
    flip(&logs(&place)[1], 80);
    let found = verify(&place);
    let kinds: Vec<_> = found
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.partition.as_ref().map(ToString::to_string)))
        .collect();
    assert!(kinds.contains(&(FindingKind::DamagedBatch, Some("__topic_catalog-0".to_owned()))), "{found}");
    assert!(kinds.contains(&(FindingKind::DamagedBatch, Some("t-0".to_owned()))), "{found}");
    assert_eq!(found.partitions, 4, "{found}");
    fs::remove_dir_all(place.path().join("__topic_catalog-0")).unwrap();
    let found = verify(&place);
    assert_eq!((found.findings[0].kind, found.partitions), (FindingKind::Catalog, 3), "{found}");
    assert!(found.findings.iter().any(|finding| finding.kind == FindingKind::DamagedBatch), "{found}");
}

#[test]
fn what_lies_about_is_a_note() {
    let place = closed();
    fs::create_dir(place.path().join("stray")).unwrap();
    fs::create_dir(place.path().join("t-0.00000000000000000000000000000001-delete")).unwrap();
    fs::write(place.path().join("meta.properties.tmp"), "").unwrap();
    fs::write(place.partition_path().join("partition.metadata.tmp"), "").unwrap();
    fs::write(place.partition_path().join("00000000000000000000.log.7.quarantine"), "kept").unwrap();
    let found = verify(&place);
    assert!(found.findings.iter().all(|finding| finding.severity == Severity::Note) && found.is_sound());
    let mut kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind.to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["left-over", "left-over", "quarantine", "unfinished deletion", "unknown directory"]);
}

#[test]
fn what_a_salvage_could_not_save_stays_known() {
    let place = closed();
    flip(&logs(&place)[0], 80);
    place.builder().recovery(streamlog::RecoveryMode::Salvage).open().unwrap().close().unwrap();
    let found = verify(&place);
    let lost: Vec<_> =
        found.findings.iter().filter(|finding| finding.kind == FindingKind::LostRecords).collect();
    assert!(found.is_sound() && lost.len() == 1 && lost[0].offsets == offsets(0, 1), "{found}");
}

#[test]
fn directories_that_are_none_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let error = Broker::builder().log_dir(root.path()).verify().unwrap_err();
    assert!(matches!(error, Error::NoLogDir { .. }), "{error}");
    assert!(matches!(Broker::builder().verify(), Err(Error::InvalidConfig { .. })));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_is_open_is_verified_and_so_are_several() {
    let place = Place::disk();
    let broker = place.builder_on(&["data", "more"]).open().unwrap();
    let topic = broker.admin().create_topic(NewTopic::new("t").partitions(4)).unwrap();
    for partition in topic.partitions() {
        partition.unwrap().append(&[Record::new().value("v")]).unwrap();
    }
    let builder = || Broker::builder().log_dir(place.path()).log_dir(place.path_of("more"));
    let found = builder().verify().unwrap();
    assert!(found.findings.is_empty() && !found.is_changing && found.partitions == 5, "{found}");
    let found = verify(&place);
    assert_eq!(
        found.findings.iter().filter(|finding| finding.kind == FindingKind::MissingDirectory).count(),
        2,
        "{found}"
    );
    broker.close().unwrap();
    assert!(builder().verify().unwrap().was_clean);
}

#[test]
fn an_index_of_damaged_batches_is_no_fault_of_its_own() {
    let place = closed();
    // The last batch of the first segment, which the index names and nothing follows, and the last batch of all.
    let logs = logs(&place);
    for path in [&logs[0], &logs[2]] {
        let end = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        flip(path, end - 1);
    }
    let found = verify(&place);
    let last = base(&logs[1]) - 1;
    let [one, other] = &found.findings[..] else { panic!("{found}") };
    assert_eq!((one.kind, one.offsets.clone()), (FindingKind::DamagedBatch, offsets(last, last + 1)));
    assert_eq!((other.kind, other.offsets.clone()), (FindingKind::DamagedBatch, offsets(23, 24)));
}

#[test]
fn notes_do_not_hide_damage() {
    let place = closed();
    flip(&logs(&place)[0], 70);
    for number in 0..10_001 {
        fs::write(place.path().join(format!("{number}.tmp")), "").unwrap();
    }
    let found = verify(&place);
    assert!(!found.is_sound() && found.findings[0].kind == FindingKind::DamagedBatch);
    assert_eq!((found.findings.len(), found.findings_left_off), (10_000, 2));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_told_and_not_waited_for() {
    let names =
        ["t-0/00000000000000000000.index", "t-0/partition.metadata", "meta.properties", "streamlog.durable"];
    for name in names {
        let place = closed();
        let path = place.path().join(name);
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let found = verify(&place);
        assert!(found.findings.iter().any(|finding| finding.path == path), "{name}: {found}");
    }
}

#[test]
fn an_index_larger_than_any_is_told_and_not_read() {
    let place = closed();
    // Beside a segment without batches zeros are room that was set aside; so many would be read for minutes.
    let index = place.path().join("u-0/00000000000000000000.index");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&index).unwrap();
    file.set_len(1 << 40).unwrap();
    let found = verify(&place);
    assert_eq!((only(&found).kind, &only(&found).path), (FindingKind::Index, &index));
    assert!(only(&found).reason.contains("1099511627776 bytes"), "{found}");
}
