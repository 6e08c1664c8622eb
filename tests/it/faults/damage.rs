//! Every byte of a small log directory flipped, and every file cut at every length.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};

use streamlog::testing::{Crash, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Cut, Error, ManualClock, NewTopic, Offset, Partition, Record, RecordView,
    RecoveryMode, Timestamp, TopicConfig,
};

use super::power_cut::told;
use super::script;

/// A log directory with sealed segments, and what is in it.
struct Whole {
    disk: TestDisk,
    /// Value and timestamp of each record.
    records: Vec<(Vec<u8>, i64)>,
    durable: usize,
    is_clean: bool,
}

/// What came of the damage.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    unopened: usize,
    offline: usize,
    refused_reads: usize,
    /// Cases in which only the leader epoch of a batch, which no checksum covers, is another.
    other_epochs: BTreeMap<PathBuf, usize>,
    /// Cases in which nothing shows.
    unseen: BTreeMap<PathBuf, usize>,
    /// What a salvage of the same damage could not save.
    salvaged: Salvaged,
}

#[derive(Debug, Default)]
struct Salvaged {
    cases: usize,
    /// Cases in which even a salvage cannot open the directory: an identity that has no second copy.
    unopened: BTreeMap<PathBuf, usize>,
    /// Cases in which so many records are lost.
    lost: BTreeMap<usize, usize>,
}

const TIMES: &[i64] = &[100, 150, 120, 300, 290, 310, 400, 400, 390, 500, 620, 610, 615, 700, 705];

impl Whole {
    fn new(is_clean: bool) -> Whole {
        let disk = TestDisk::new();
        let (broker, clock) = script::open(&disk).unwrap();
        let age = std::time::Duration::from_millis(200);
        let config = TopicConfig::default().index_interval_bytes(50).segment_age(age);
        broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let mut records = Vec::new();
        let mut durable = 0;
        for (number, times) in TIMES.chunks(2).enumerate() {
            let values: Vec<_> =
                times.iter().map(|time| format!("{number} at {time}").into_bytes()).collect();
            let batch = times.iter().zip(&values);
            let batch: Vec<_> = batch
                .map(|(&time, value)| Record::new().value(value).timestamp(Timestamp::from_millis(time)))
                .collect();
            partition.append(&batch).unwrap();
            records.extend(values.into_iter().zip(times.iter().copied()));
            if number == 4 {
                clock.advance(std::time::Duration::from_secs(5));
            }
            if number == 6 {
                durable = usize::try_from(u64::from(partition.sync().unwrap())).unwrap();
            }
        }
        assert!(partition.segments().len() >= 3, "{}", partition.segments().len());
        if is_clean {
            broker.close().unwrap();
            durable = records.len();
        }
        let disk = disk.after(Crash::Kill);
        Whole { disk, records, durable, is_clean }
    }

    /// Opens the directory with this file changed, and checks every answer.
    fn check(&self, path: &Path, bytes: Option<&[u8]>, tally: &mut Tally) {
        let disk = self.disk.after(Crash::Kill);
        match bytes {
            Some(bytes) => disk.put(path, bytes).unwrap(),
            None => disk.take(path).unwrap(),
        }
        tally.cases += 1;
        let is_index = path.extension().is_some_and(|one| one == "index" || one == "timeindex");
        let broker = match script::open(&disk) {
            Ok((broker, _)) => broker,
            Err(error) => {
                assert!(!is_index);
                assert!(is_told(&error, path), "{}", chain(&error));
                tally.unopened += 1;
                return;
            }
        };
        let report = broker.recovery_report();
        let cuts =
            report.partitions.iter().filter_map(|one| Some((one.partition.topic(), one.cut.as_ref()?)));
        let durable = |topic: &str| if topic == "t" { self.durable } else { 2 };
        let is_after = |(topic, cut): (&str, &Cut)| u64::from(cut.from) >= durable(topic) as u64;
        assert!(cuts.clone().all(is_after), "{report}");
        assert!(!self.is_clean || cuts.count() == 0);
        match broker.topic("t").unwrap().partition(0) {
            Err(error) => {
                assert!(!is_index && report.partitions.iter().any(|one| one.offline.is_some()));
                assert!(is_told(&error, path), "{}", chain(&error));
                tally.offline += 1;
            }
            Ok(partition) => self.check_answers(&partition, path, is_index, tally, &broker),
        }
    }

    fn check_answers(
        &self,
        partition: &Partition,
        path: &Path,
        is_index: bool,
        tally: &mut Tally,
        broker: &Broker,
    ) {
        let end = usize::try_from(u64::from(partition.log_end_offset())).unwrap();
        assert!(end >= self.durable && end <= self.records.len(), "ends at {end}, durable {}", self.durable);
        let (mut refused, mut other_epochs) = (0, 0);
        for first in 0..end {
            match partition.read(Offset::try_from(first as u64).unwrap(), 1 << 20) {
                Err(error @ Error::DamagedBatch { .. }) => {
                    assert!(!is_index, "{}", chain(&error));
                    let lost = error.unreadable_offsets().unwrap();
                    assert!(lost.contains(&Offset::try_from(first as u64).unwrap()), "{}", chain(&error));
                    refused += 1;
                }
                Err(error) => panic!("{}", chain(&error)),
                Ok(batches) => {
                    let mut at = first;
                    for batch in &batches {
                        other_epochs +=
                            usize::from(batch.leader_epoch().is_none_or(|one| one.to_string() != "0"));
                        for record in &batch.records().unwrap() {
                            let (value, time) = &self.records[at];
                            assert_eq!(record.offset(), at as u64);
                            assert_eq!(
                                (record.value(), record.timestamp().as_millis()),
                                (Some(&value[..]), *time)
                            );
                            at += 1;
                        }
                    }
                    assert!(at > first);
                }
            }
        }
        for time in (90..720).step_by(5) {
            let expect = self.records[..end].iter().position(|(_, one)| *one >= time).map(|at| at as u64);
            match partition.offset_for_time(Timestamp::from_millis(time)) {
                Ok(found) => assert_eq!(found.map(u64::from), expect, "for the time {time}"),
                Err(error @ Error::DamagedBatch { .. }) => {
                    assert!(!is_index, "{}", chain(&error));
                    refused += 1;
                }
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        let report = broker.recovery_report();
        let is_told = report.partitions.iter().any(streamlog::PartitionRecovery::is_notable)
            || !report.ignored_files.is_empty()
            || report.was_clean != self.is_clean;
        tally.refused_reads += usize::from(refused > 0);
        if other_epochs > 0 {
            *tally.other_epochs.entry(path.to_path_buf()).or_default() += 1;
        } else if refused == 0 && !is_told {
            *tally.unseen.entry(path.to_path_buf()).or_default() += 1;
        }
    }

    /// Salvages the directory with this file changed: records that are not in the changed bytes are saved, and none is wrong.
    fn check_salvage(&self, path: &Path, bytes: Option<&[u8]>, lost_max: usize, tally: &mut Salvaged) {
        let disk = self.disk.after(Crash::Kill);
        match bytes {
            Some(bytes) => disk.put(path, bytes).unwrap(),
            None => disk.take(path).unwrap(),
        }
        tally.cases += 1;
        let broker = match open_to_salvage(&disk) {
            Ok(broker) => broker,
            Err(error) => {
                assert!(is_told(&error, path), "{}", chain(&error));
                *tally.unopened.entry(path.to_path_buf()).or_default() += 1;
                return;
            }
        };
        // Where the catalog does not know it any more, its directory tells of it.
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let (mut next, mut saved) = (partition.log_start_offset(), 0);
        assert!(partition.log_end_offset() >= self.durable as u64, "offsets are given again");
        while next < partition.log_end_offset() {
            match partition.read(next, 1 << 20) {
                Ok(batches) => {
                    for record in batches
                        .iter()
                        .flat_map(|batch| batch.records().unwrap().iter().map(own).collect::<Vec<_>>())
                    {
                        let (offset, value, time) = record;
                        assert_eq!((&value, time), (&self.records[offset].0, self.records[offset].1));
                        saved += usize::from(offset < self.durable);
                    }
                    next = batches.next_offset().unwrap();
                }
                Err(Error::RecordsLost { offsets, .. }) => next = offsets.end,
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        let lost = self.durable - saved;
        assert!(lost <= lost_max, "{lost} records are lost: {}", broker.recovery_report());
        *tally.lost.entry(lost).or_default() += 1;
    }

    /// The files with something in them, up to where only zeros follow.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>, usize)> {
        let files = self.disk.files().into_iter().filter(|(_, bytes)| !bytes.is_empty());
        let with_end = |(path, bytes): (PathBuf, Vec<u8>)| {
            let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let end = bytes.len().min(end + 3);
            (path, bytes, end)
        };
        files.map(with_end).collect()
    }
}

/// A record's offset, value and time.
fn own(record: RecordView<'_>) -> (usize, Vec<u8>, i64) {
    let offset = usize::try_from(u64::from(record.offset())).unwrap();
    (offset, record.value().unwrap().to_vec(), record.timestamp().as_millis())
}

fn open_to_salvage(disk: &TestDisk) -> streamlog::Result<Broker> {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let builder = Broker::builder().log_dir(script::DIR).storage(disk.clone()).clock(clock);
    builder.config(BrokerConfig::default().seed(7)).recovery(RecoveryMode::Salvage).open()
}

/// An error with its sources.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Whether the error names the file, or the partition whose acknowledged records it holds.
fn is_told(error: &Error, path: &Path) -> bool {
    let text = chain(error);
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let directory = name(path.parent().unwrap());
    text.contains(&name(path)) || text.contains(&format!("acknowledged records of partition {directory} are"))
}

fn flip_every_byte(is_clean: bool) {
    let whole = Whole::new(is_clean);
    let mut tally = Tally::default();
    for (path, bytes, end) in whole.files() {
        for position in 0..end {
            for flip in [0x01, 0x80, 0xff] {
                let mut hit = bytes.clone();
                hit[position] ^= flip;
                told(&format!("{} byte {position} ^ {flip:#x}", path.display()), || {
                    whole.check(&path, Some(&hit), &mut tally);
                    if flip == 0xff && position % 3 == 0 {
                        // A batch has two records, and the only damage is in one of them.
                        whole.check_salvage(&path, Some(&hit), 2, &mut tally.salvaged);
                    }
                });
            }
        }
    }
    eprintln!("{tally:#?}");
}

fn cut_every_file(is_clean: bool) {
    let whole = Whole::new(is_clean);
    let mut tally = Tally::default();
    for (path, bytes, end) in whole.files() {
        for length in (0..end).map(Some).chain([None]) {
            // A log may begin anywhere, so nothing tells a first segment that is gone from one that retention took.
            if length.is_none() && path.ends_with("t-0/00000000000000000000.log") {
                continue;
            }
            told(&format!("{} cut at {length:?}", path.display()), || {
                let cut = length.map(|length| &bytes[..length]);
                whole.check(&path, cut, &mut tally);
                if length.is_none_or(|length| length % 3 == 0) {
                    whole.check_salvage(&path, cut, whole.durable, &mut tally.salvaged);
                }
            });
        }
    }
    eprintln!("{tally:#?}");
}

#[test]
fn a_flipped_byte_after_a_clean_close_is_never_a_wrong_record() {
    flip_every_byte(true);
}

#[test]
fn a_flipped_byte_after_an_unclean_end_is_never_a_wrong_record() {
    flip_every_byte(false);
}

#[test]
fn a_file_cut_short_after_a_clean_close_is_never_a_silent_loss() {
    cut_every_file(true);
}

#[test]
fn a_file_cut_short_after_an_unclean_end_is_never_a_silent_loss() {
    cut_every_file(false);
}

#[test]
fn a_value_that_holds_batches_is_never_served_as_batches() {
    let disk = TestDisk::new();
    let (broker, _) = script::open(&disk).unwrap();
    broker.admin().create_topic(script::topic("t", 1)).unwrap();
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    partition.append(&[Record::new().value("false")]).unwrap();
    let batch = partition.read(Offset::ZERO, 1).unwrap().iter().next().unwrap().bytes().to_vec();
    // The same batch at every offset that could be looked for: the base offset is outside its CRC.
    let hidden: Vec<u8> =
        (0..6_i64).flat_map(|offset| [&offset.to_be_bytes()[..], &batch[8..]].concat()).collect();
    let mut values = vec![b"false".to_vec()];
    for value in [b"true".to_vec(), hidden, b"also true".to_vec(), b"true again".to_vec()] {
        partition.append(&[Record::new().value(&value)]).unwrap();
        values.push(value);
    }
    partition.sync().unwrap();
    let disk = disk.after(Crash::Kill);
    let path = Path::new("data/t-0/00000000000000000000.log");
    let bytes = disk.files()[path].clone();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let mut served = 0;
    for position in 0..=end {
        for flip in [0x01, 0x20, 0xff] {
            let hit = disk.after(Crash::Kill);
            let mut damaged = bytes.clone();
            damaged[position] ^= flip;
            hit.put(path, &damaged).unwrap();
            let (broker, _) = script::open(&hit).unwrap();
            // Damage in what was acknowledged: nothing of it is served, or just what was appended.
            let Ok(partition) = broker.topic("t").unwrap().partition(0) else { continue };
            for batch in &partition.read(Offset::ZERO, 1 << 20).unwrap() {
                for record in &batch.records().unwrap() {
                    let offset = usize::try_from(u64::from(record.offset())).unwrap();
                    assert!(record.value() == Some(&values[offset][..]), "byte {position} ^ {flip:#x}");
                }
            }
            served += 1;
        }
    }
    // Five batches, each with three flips of the four bytes of its leader epoch.
    assert_eq!(served, 5 * 4 * 3);
}
