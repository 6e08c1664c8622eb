//! Hostile files in a log directory, then a broker that is opened on them.
//!
//! The first byte says whether the log was closed in order, whether its recovery point is lost, and in which mode it is opened; then come changes of its files: bytes over others, cuts, batches
//! that are made up under a right checksum, checkpoints, epochs and durable slots that claim something, segments that are copied,
//! missing or new. Whatever they are:
//!
//! - The open succeeds, or fails for what is wrong with a file. Nothing panics, and memory is bounded.
//! - Nothing is lost: of each segment, what is in the file afterwards and what is in quarantine is what was in the file.
//!   A partition that does not open is not touched.
//! - Where nothing vouches for a part of the log, what is served is batches that are whole, one behind the other.
//! - Where no segment was changed, every record is served, or the partition is offline. Where bytes were changed and nothing was made up, a salvage
//!   serves every record of the batches before and behind the damage of a segment.
//! - A strict open that refuses changes no segment.
//! - A second open, after this process died and after it ended in order, serves the same.
//! - What is appended then is read back, also after another open, with all that there was.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use streamlog::{
    BatchBuilder, Broker, Compression, Error, MemoryStorage, Offset, Partition, Record, RecoveryMode,
    Timestamp,
};

use super::batch;
use super::files::{self, Files, without_zeros};
use super::input::Input;
use super::memory;
use super::rows::Row;
use super::whole::{PARTITION, TOPIC, Whole, path};

/// A few brokers, their buffers, and copies of the files.
const MEMORY_BYTES: usize = 48 << 20;
const CHANGES_MAX: usize = 16;
/// How many places are read from; a made up batch may say that it holds two thousand million records.
const READS_MAX: usize = 300;
const MARKER: &str = ".kafka_cleanshutdown";
const SLOTS: &str = "streamlog.durable";
const SLOT_BYTES: usize = 32;
const EPOCHS: &str = "leader-epoch-checkpoint";
const CHECKPOINTS: [&str; 3] =
    ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"];

/// Tries one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let whole = Whole::get(mode & 1 == 1);
    let recovery = match mode >> 2 & 3 {
        2 => RecoveryMode::Salvage,
        3 => RecoveryMode::Strict,
        _ => RecoveryMode::Repair,
    };
    let mut case =
        Case { files: whole.files.clone(), recovery, is_other: false, is_made_up: false, is_forged: false };
    if mode & 2 == 2 {
        case.files.remove(&path(CHECKPOINTS[0]));
    }
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        case.change(&mut input);
    }
    memory::within(MEMORY_BYTES, || check(whole, &case));
}

/// The files as they are being changed.
struct Case {
    files: Files,
    /// How they are opened first.
    recovery: RecoveryMode,
    /// Whether the directory may be another one's by now, or say that it is.
    is_other: bool,
    /// Whether there may be batches, or claims about them, under right checksums that nobody wrote; or such claims be missing.
    is_made_up: bool,
    /// The same, but for what is only missing.
    is_forged: bool,
}

impl Case {
    fn change(&mut self, input: &mut Input<'_>) {
        let kind = input.below(12);
        self.is_forged |= (4..11).contains(&kind);
        self.is_made_up |= self.is_forged;
        match kind {
            0 => self.overwrite(input),
            1 => self.cut(input),
            2 => self.replace(input),
            3 => self.remove(input),
            4 => self.put_batch(input),
            5 => self.change_batch(input),
            6 => self.put_slot(input),
            7 => self.put_checkpoint(input),
            8 => self.put_epochs(input),
            9 => self.copy_segment(input),
            10 => self.put_new(input),
            _ => self.toggle_marker(),
        }
    }

    /// One of the files, mostly of the partition's.
    fn pick(&self, input: &mut Input<'_>) -> PathBuf {
        let logs: Vec<&PathBuf> = self.files.keys().filter(|path| is_log(path)).collect();
        let choice = input.byte();
        let all: Vec<&PathBuf> =
            if choice < 128 && !logs.is_empty() { logs } else { self.files.keys().collect() };
        all[usize::from(choice) % all.len()].clone()
    }

    fn pick_log(&self, input: &mut Input<'_>) -> Option<PathBuf> {
        let logs: Vec<&PathBuf> = self.files.keys().filter(|path| is_log(path)).collect();
        (!logs.is_empty()).then(|| logs[input.below(logs.len())].clone())
    }

    fn overwrite(&mut self, input: &mut Input<'_>) {
        let path = self.pick(input);
        let bytes = self.file(&path);
        let at = input.below(bytes.len() + 1);
        let over = input.bytes();
        bytes.resize(bytes.len().max(at + over.len()), 0);
        bytes[at..at + over.len()].copy_from_slice(over);
    }

    fn cut(&mut self, input: &mut Input<'_>) {
        let path = self.pick(input);
        let bytes = self.file(&path);
        bytes.truncate(input.below(bytes.len() + 1));
    }

    fn replace(&mut self, input: &mut Input<'_>) {
        let path = self.pick(input);
        *self.file(&path) = input.long_bytes().to_vec();
    }

    fn remove(&mut self, input: &mut Input<'_>) {
        let path = self.pick(input);
        self.files.remove(&path);
        self.is_other |= !path.starts_with(PARTITION);
        self.is_made_up |= !is_log(&path);
    }

    /// Puts a batch that is whole behind the others of a segment, or over them.
    fn put_batch(&mut self, input: &mut Input<'_>) {
        let Some(path) = self.pick_log(input) else { return };
        let mut made = made_batch(input);
        let offset =
            if input.flag() { input.offset() } else { next_offset(&self.files[&path], base_of(&path)) };
        batch::stamp(&mut made, offset, u32::from(input.byte() % 4));
        let bytes = self.file(&path);
        let at = if input.flag() { input.below(bytes.len() + 1) } else { without_zeros(bytes).len() };
        bytes.resize(bytes.len().max(at + made.len()), 0);
        bytes[at..at + made.len()].copy_from_slice(&made);
    }

    /// Changes a byte of one batch and puts its checksum right.
    fn change_batch(&mut self, input: &mut Input<'_>) {
        let Some(path) = self.pick_log(input) else { return };
        let bytes = self.file(&path);
        let places = batches(bytes);
        if places.is_empty() {
            return;
        }
        let place = places[input.below(places.len())].clone();
        let at = place.start + input.below(place.len());
        bytes[at] ^= input.byte();
        batch::mend_crc(&mut bytes[place]);
    }

    /// Says of a partition that it is durable up to somewhere.
    fn put_slot(&mut self, input: &mut Input<'_>) {
        let catalog = input.byte() % 8 == 7;
        let mut slot = if catalog { catalog_id() } else { self.topic_id() };
        slot.extend_from_slice(&u32::from(input.byte() % 8 == 7).to_be_bytes());
        slot.extend_from_slice(&input.offset().to_be_bytes());
        slot.extend_from_slice(&batch::crc32(&slot).to_be_bytes());
        let bytes = self.file(&path(SLOTS));
        let at = SLOT_BYTES * (1 + input.below(4));
        bytes.resize(bytes.len().max(at + SLOT_BYTES), 0);
        bytes[at..at + SLOT_BYTES].copy_from_slice(&slot);
    }

    fn put_checkpoint(&mut self, input: &mut Input<'_>) {
        let name = CHECKPOINTS[input.below(CHECKPOINTS.len())];
        let count = input.below(3);
        let lines: String = (0..count)
            .map(|_| {
                let topic = ["t", "__topic_catalog", "u"][input.below(8).saturating_sub(5)];
                format!("{topic} 0 {}\n", input.offset())
            })
            .collect();
        *self.file(&path(name)) = format!("0\n{count}\n{lines}").into_bytes();
    }

    fn put_epochs(&mut self, input: &mut Input<'_>) {
        let count = input.below(4);
        let lines: String = (0..count)
            .map(|_| {
                let epoch = if input.flag() { u32::from(input.byte() % 8) } else { input.int() >> 1 };
                format!("{epoch} {}\n", input.offset())
            })
            .collect();
        let path = Path::new(PARTITION).join(EPOCHS);
        self.files.insert(path, format!("0\n{count}\n{lines}").into_bytes());
    }

    /// One segment in the place of another, or under a new name.
    fn copy_segment(&mut self, input: &mut Input<'_>) {
        let Some(source) = self.pick_log(input) else { return };
        let target = match input.flag() {
            true => log_path(input.offset()),
            false => self.pick_log(input).unwrap(),
        };
        let bytes = self.files[&source].clone();
        if input.flag() {
            self.files.remove(&source);
        }
        self.files.insert(target, bytes);
    }

    /// A file that was not there, of a name that means something.
    fn put_new(&mut self, input: &mut Input<'_>) {
        let base = files::name(&log_path(input.offset())).trim_end_matches(".log").to_owned();
        let names = [
            format!("{base}.log"),
            format!("{base}.index"),
            format!("{base}.timeindex"),
            format!("{base}.log.quarantine"),
            format!("{base}.log.{}.quarantine", input.below(400)),
            format!("{base}.log.swap"),
            format!("{base}.txnindex"),
            format!("{base}.snapshot"),
            format!("{EPOCHS}.tmp"),
            "partition.metadata".to_owned(),
            "partition.metadata.tmp".to_owned(),
            "+1.log".to_owned(),
        ];
        let path = Path::new(PARTITION).join(&names[input.below(names.len())]);
        self.files.insert(path, input.bytes().to_vec());
    }

    /// Whether an open looks at every batch: nothing says that the log was closed in order, or synced up to somewhere.
    fn is_checked(&self) -> bool {
        let points = self.files.get(&path(CHECKPOINTS[0])).map(Vec::as_slice).unwrap_or_default();
        let is_vouched_for =
            self.files.contains_key(&path(MARKER)) || points.windows(4).any(|line| line == b"t 0 ");
        // Of batches that somebody made up, with right checksums, and that contradict each other, a salvage may believe the wrong
        // one where nothing but the marker says how far the log went: then reads refuse what lies behind it.
        let is_salvaged = self.recovery == RecoveryMode::Salvage
            && !self.has_strange_segments()
            && !(self.is_made_up && self.files.contains_key(&path(MARKER)));
        !is_vouched_for || is_salvaged
    }

    /// Whether there is a segment that was not there. A salvage does not put segments in order that overlap.
    fn has_strange_segments(&self) -> bool {
        self.files.keys().any(|path| is_log(path) && !Whole::get(true).files.contains_key(path))
    }

    /// Whether any segment is another than it was.
    fn is_touched(&self, whole: &Whole) -> bool {
        let logs = |files: &Files| -> Vec<(PathBuf, Vec<u8>)> {
            let logs = files.iter().filter(|(path, _)| is_log(path));
            logs.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
        };
        logs(&self.files) != logs(&whole.files)
    }

    /// The offsets of the batches that stand where they stood, as they were, and that a salvage can tell for what they are: those
    /// before all damage of a segment, and those behind all of it, up to an end that is known from elsewhere.
    fn sound(&self, whole: &Whole) -> Vec<u64> {
        let mut sound = Vec::new();
        let logs: Vec<(&PathBuf, &Vec<u8>)> = whole.files.iter().filter(|(path, _)| is_log(path)).collect();
        for (number, (path, bytes)) in logs.iter().enumerate() {
            let Some(now) = self.files.get(*path) else { continue };
            let places = batches(bytes);
            let is_same =
                |place: &&std::ops::Range<usize>| now.get((*place).clone()) == Some(&bytes[(*place).clone()]);
            let front = places.iter().take_while(is_same);
            let is_end_known = match logs.get(number + 1) {
                Some((next, _)) => self.files.contains_key(*next),
                None => whole.durable == whole.rows.len() as u64,
            };
            let ends = places.last().map_or(0, |last| last.end);
            let is_end_there =
                is_end_known && now.get(ends..).is_some_and(|rest| without_zeros(rest).is_empty());
            let back = places.iter().rev().take_while(is_same).filter(|_| is_end_there);
            for place in front.chain(back) {
                let head = batch::good_head(&bytes[place.clone()]).unwrap();
                sound.extend(head.base_offset..=head.last_offset);
            }
        }
        sound
    }

    fn toggle_marker(&mut self) {
        if self.files.remove(&path(MARKER)).is_none() {
            self.files.insert(path(MARKER), Vec::new());
        }
    }

    fn file(&mut self, path: &Path) -> &mut Vec<u8> {
        self.is_forged |= !is_log(path);
        self.is_other |= !path.starts_with(PARTITION);
        self.is_made_up |= !is_log(path);
        self.files.entry(path.to_path_buf()).or_default()
    }

    /// The id in the catalog's only record, whose place is known because it is always written alike.
    fn topic_id(&self) -> Vec<u8> {
        let whole = &Whole::get(true).files;
        let slots = &whole[&path(SLOTS)];
        let ids = slots[SLOT_BYTES..].chunks_exact(SLOT_BYTES).map(|slot| slot[..16].to_vec());
        ids.into_iter().find(|id| *id != catalog_id() && id.iter().any(|&byte| byte != 0)).unwrap()
    }
}

fn catalog_id() -> Vec<u8> {
    let mut id = vec![0; 16];
    id[15] = 2;
    id
}

/// A batch with a right frame: of records that are records, or of bytes that may be none.
fn made_batch(input: &mut Input<'_>) -> Vec<u8> {
    if input.byte() % 4 == 3 {
        let count = u32::from(input.byte());
        return batch::headed(input.bytes(), count);
    }
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    let codec = codecs[input.below(codecs.len())];
    let codec = if codec.is_available() { codec } else { Compression::None };
    let mut builder = BatchBuilder::new(codec);
    for number in 0..=input.below(3) {
        let value = format!("made {number}");
        let time = Timestamp::from_millis(i64::try_from(input.offset()).unwrap_or(i64::MAX));
        builder.append(&Record::new().value(&value).timestamp(time), time).unwrap();
    }
    builder.build().unwrap().into_bytes()
}

fn is_log(path: &Path) -> bool {
    path.starts_with(PARTITION) && base_name(path).is_some()
}

/// The digits of a segment's name.
fn base_name(path: &Path) -> Option<u64> {
    let digits = files::name(path).strip_suffix(".log")?;
    let is_base = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&base: &u64| is_base && i64::try_from(base).is_ok())
}

fn base_of(path: &Path) -> u64 {
    base_name(path).unwrap_or(0)
}

fn log_path(base: u64) -> PathBuf {
    Path::new(PARTITION).join(format!("{base:020}.log"))
}

/// Where the batches at the front of a file are.
fn batches(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some(head) = batch::good_head(&bytes[at..]) {
        places.push(at..at + head.total_bytes);
        at += head.total_bytes;
    }
    places
}

fn next_offset(bytes: &[u8], base: u64) -> u64 {
    let last = batches(bytes).last().and_then(|place| batch::good_head(&bytes[place.clone()]));
    last.map_or(base, |last| last.last_offset.saturating_add(1))
}

fn check(whole: &Whole, case: &Case) {
    let storage = files::storage_of(&case.files);
    let mut recovery = case.recovery;
    let mut opened = files::open_as(&storage, recovery);
    if let Err(error @ Error::RecoveryRefused { .. }) = &opened {
        assert_eq!(recovery, RecoveryMode::Strict);
        check_refusal(error);
        check_untouched(&case.files, &files::read_all(&storage));
        recovery = RecoveryMode::Repair;
        opened = files::open_as(&storage, recovery);
    }
    let broker = match opened {
        Ok((broker, _)) => broker,
        Err(error) => {
            check_refusal(&error);
            assert!(case.is_other, "for the sake of a partition: {error:?}");
            check_untouched(&case.files, &files::read_all(&storage));
            return;
        }
    };
    let partition = match broker.topic(TOPIC).and_then(|topic| topic.partition(0)) {
        Ok(partition) => partition,
        Err(error) => {
            check_refusal(&error);
            assert!(recovery != RecoveryMode::Strict || case.is_other, "{error:?}");
            drop(broker);
            let after = files::read_all(&storage);
            if recovery == RecoveryMode::Salvage && case.has_strange_segments() {
                return check_somewhere(&case.files, &after);
            }
            check_untouched(&case.files, &after);
            // What is offline stays so, and untouched.
            if let Ok((broker, _)) = files::open(&storage) {
                assert!(broker.topic(TOPIC).and_then(|topic| topic.partition(0)).is_err());
            }
            check_untouched(&after, &files::read_all(&storage));
            return;
        }
    };
    let after = files::read_all(&storage);
    let served = serve(&partition);
    if recovery == RecoveryMode::Salvage {
        check_somewhere(&case.files, &after);
        if !case.is_made_up {
            check_saved(whole, &served, &case.sound(whole));
        }
    } else {
        check_kept(&case.files, &after);
    }
    if case.is_checked() {
        check_served(&served, &partition, &after);
    }
    if !case.is_touched(whole) {
        check_whole(whole, &served, &partition, recovery);
    }
    let killed = files::killed(&storage);
    let was_clean = broker.recovery_report().was_clean;
    // An index that was made anew does not lead past what is damaged, and after this close it stands in its file: the next open comes
    // to the damage, be it below the log's start.
    let is_remade = rebuilt_indexes(&broker) > 0 && recovery != RecoveryMode::Salvage;
    drop((partition, broker));
    // A salvage of the catalog may take a partition back to where it was being created: a slot of its own then contradicts it.
    let is_anew = recovery == RecoveryMode::Salvage && case.is_other;
    for storage in [&killed, &storage] {
        let before = files::read_all(storage);
        let (broker, _) = files::open(storage).expect("it opened before");
        // Something in the directory had to be put right, and took the marker with it: what that vouched for is looked at now, at least
        // from the beginning of the segment on that the recovery point is in. A salvage has looked at everything already.
        let is_looked_at =
            was_clean && !broker.recovery_report().was_clean && recovery != RecoveryMode::Salvage;
        match broker.topic(TOPIC).and_then(|topic| topic.partition(0)) {
            Err(error) if (is_looked_at || is_remade) && !is_anew => {
                drop(broker);
                check_found(whole, case, storage, &error, &before, &served);
            }
            Err(_) if is_anew => {}
            // A batch that was made up is walked over, that an index had passed over.
            Ok(partition) if (is_looked_at || is_remade) && case.is_made_up => {
                check_kept(&before, &files::read_all(storage));
                let now = serve(&partition);
                assert_eq!(now.start, served.start);
                assert!(now.end >= served.end, "offsets that were served are given again");
                go_on(storage, broker, partition, &now);
            }
            partition => {
                let partition = partition.expect("it opened before");
                assert_eq!(serve(&partition), served, "another open serves something else");
                go_on(storage, broker, partition, &served);
            }
        }
    }
}

/// An open finds damage that an earlier one served around: all that was served counts as durable, no segment is changed, and a salvage
/// gives none of its offsets again and saves what is sound.
fn check_found(
    whole: &Whole,
    case: &Case,
    storage: &MemoryStorage,
    error: &Error,
    before: &Files,
    served: &Answers,
) {
    let Error::PartitionOffline { source, .. } = error else { panic!("{error:?}") };
    let Error::Damaged { from, durable, .. } = **source else { panic!("{error:?}") };
    assert_eq!(u64::from(durable), served.end);
    assert!(from < durable);
    check_untouched(before, &files::read_all(storage));
    let (broker, _) = files::open_as(storage, RecoveryMode::Salvage).expect("it opened before");
    match broker.topic(TOPIC).and_then(|topic| topic.partition(0)) {
        Ok(partition) => {
            let saved = serve(&partition);
            assert!(saved.end >= served.end, "offsets that were served are given again");
            if !case.is_forged {
                check_saved(whole, &saved, &case.sound(whole));
            }
        }
        Err(error) => {
            check_refusal(&error);
            assert!(case.is_other || case.has_strange_segments(), "{error:?}");
        }
    }
    check_somewhere(before, &files::read_all(storage));
}

/// How many segments of the partition had an index made anew.
fn rebuilt_indexes(broker: &Broker) -> usize {
    let partitions = broker.recovery_report().partitions.iter();
    partitions.filter(|found| found.partition.topic() == TOPIC).map(|found| found.rebuilt_indexes).sum()
}

fn partition_of(broker: &Broker) -> Partition {
    broker.topic(TOPIC).unwrap().partition(0).unwrap()
}

/// What an open may fail for: something that is wrong with a file.
fn check_refusal(error: &Error) {
    match error {
        Error::PartitionOffline { source, .. } | Error::RecoveryRefused { source } => check_refusal(source),
        Error::Damaged { .. }
        | Error::InvalidFile { .. }
        | Error::Corrupt { .. }
        | Error::InvalidRecords { .. }
        | Error::UnsupportedVersion { .. }
        | Error::UnknownLogDir { .. }
        | Error::InvalidConfig { .. }
        | Error::UnknownTopic { .. } => {}
        // The directory, where all of its files were taken away.
        Error::Io { source, .. } => assert_eq!(source.kind(), ErrorKind::NotFound, "{error:?}"),
        error => panic!("{error:?}"),
    }
}

/// No segment was changed.
fn check_untouched(before: &Files, after: &Files) {
    for (path, bytes) in before.iter().filter(|(path, _)| is_log(path)) {
        assert_eq!(without_zeros(bytes), without_zeros(after.get(path).unwrap()), "{}", path.display());
    }
}

/// What is no longer in a segment is in quarantine.
fn check_kept(before: &Files, after: &Files) {
    for (path, bytes) in before.iter().filter(|(path, _)| is_log(path)) {
        let prefix = format!("{}.", files::name(path));
        let new = after.iter().filter(|(kept, bytes)| {
            kept.parent() == path.parent()
                && files::name(kept).starts_with(&prefix)
                && files::name(kept).contains(".quarantine")
                && before.get(*kept) != Some(bytes)
        });
        let new: Vec<_> = new.collect();
        assert!(new.len() <= 1, "{new:?}");
        let Some((kept_at, kept)) = new.first() else {
            let now = after.get(path).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(without_zeros(bytes), without_zeros(now), "{} was changed", path.display());
            continue;
        };
        let place =
            files::name(kept_at)[prefix.len()..].split('.').next().and_then(|place| place.parse().ok());
        let place: usize = place.unwrap_or(0);
        assert!(place <= bytes.len(), "{} of {} bytes", kept_at.display(), bytes.len());
        assert_eq!(without_zeros(&bytes[place..]), without_zeros(kept), "{}", kept_at.display());
        let now = after.get(path).map(Vec::as_slice).unwrap_or_default();
        // A segment may begin anew under the name of one that was put aside whole.
        assert_eq!(without_zeros(&bytes[..place]), without_zeros(now), "{} was changed", path.display());
    }
}

/// What is no batch of a segment is where it was, in some file in quarantine, whole, or part of a batch that is served.
fn check_somewhere(before: &Files, after: &Files) {
    let kept: Vec<&Vec<u8>> = after
        .iter()
        .filter(|(path, _)| path.starts_with(PARTITION) && files::name(path).contains(".quarantine"))
        .map(|(_, bytes)| bytes)
        .collect();
    let served: Vec<&[u8]> = after
        .iter()
        .filter(|(path, _)| is_log(path))
        .flat_map(|(_, bytes)| batches(bytes).into_iter().map(|place| &bytes[place]))
        .collect();
    for (path, bytes) in before.iter().filter(|(path, _)| is_log(path)) {
        let (mut at, mut bad) = (0, 0);
        while at <= bytes.len() {
            let head = batch::good_head(&bytes[at..]);
            let good = head.filter(|head| served.contains(&&bytes[at..at + head.total_bytes]));
            if good.is_some() || at == bytes.len() {
                let lost = without_zeros(&bytes[bad..at]);
                let is_there = after.get(path).and_then(|now| now.get(bad..bad + lost.len())) == Some(lost);
                let mut left = kept.iter().map(|kept| kept.as_slice()).chain(served.iter().copied());
                let mut is_kept = || left.any(|left| left.windows(lost.len()).any(|part| part == lost));
                let is_kept = lost.is_empty() || is_there || is_kept();
                assert!(is_kept, "bytes {bad}..{at} of {} are nowhere", path.display());
                bad = at + good.map_or(0, |head| head.total_bytes);
            }
            at += good.map_or(1, |head| head.total_bytes);
        }
    }
}

/// Every record of a batch that was not touched is served by a salvage.
fn check_saved(whole: &Whole, answers: &Answers, sound: &[u64]) {
    let served: Vec<&Row> = answers.rows().collect();
    for row in whole.rows.iter().filter(|row| sound.contains(&row.offset)) {
        assert!(served.contains(&row), "the record at {} was not saved: {answers:?}", row.offset);
    }
}

/// What a reader gets from some place on.
#[derive(Debug, PartialEq, Eq)]
enum Served {
    Rows(Vec<Row>),
    /// A batch whose records cannot be read.
    Unreadable(u64),
    /// What is damaged, and reading goes on behind it.
    Refused(u64, u64),
    /// What a salvage could not save.
    Lost(u64, u64),
}

#[derive(Debug, PartialEq, Eq)]
struct Answers {
    start: u64,
    end: u64,
    served: Vec<Served>,
}

impl Answers {
    /// What reading came to that is records.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.served.iter().flat_map(|served| match served {
            Served::Rows(rows) => rows.as_slice(),
            _ => &[],
        })
    }

    fn is_damaged(&self) -> bool {
        self.served.iter().any(|one| matches!(one, Served::Refused(..)))
    }
}

fn serve(partition: &Partition) -> Answers {
    let (start, end) = (partition.log_start_offset(), partition.log_end_offset());
    assert!(start <= end);
    let (mut next, mut served) = (start, Vec::new());
    while next < end && served.len() < READS_MAX {
        match partition.read(next, 1) {
            Ok(batches) => {
                let batch = batches.iter().next().expect("something is there");
                let (base, behind) = (batch.base_offset(), batch.next_offset());
                assert!(
                    base <= next && next < behind && behind <= end,
                    "{base}..{behind} at {next} before {end}"
                );
                served.push(match batch.records() {
                    Ok(records) => Served::Rows(records.iter().map(Row::from).collect()),
                    Err(Error::InvalidRecords { .. }) => Served::Unreadable(next.into()),
                    Err(error) => panic!("{error:?}"),
                });
                next = batch.next_offset();
            }
            Err(error @ (Error::RecordsLost { .. } | Error::DamagedBatch { .. })) => {
                let offsets = error.unreadable_offsets().unwrap();
                assert!(offsets.contains(&next) && offsets.end <= end, "{offsets:?} at {next} before {end}");
                let (start, end) = (next.into(), offsets.end.into());
                let is_lost = matches!(error, Error::RecordsLost { .. });
                served.push(if is_lost { Served::Lost(start, end) } else { Served::Refused(start, end) });
                next = offsets.end;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    for time in [0, 301, 905, i64::MAX] {
        match partition.offset_for_time(Timestamp::from_millis(time)) {
            Ok(found) => assert!(found.is_none_or(|found| found < end)),
            Err(error) if error.unreadable_offsets().is_some() => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    Answers { start: start.into(), end: end.into(), served }
}

/// What is served is what stands in the files, and that is batches one behind the other.
fn check_served(answers: &Answers, partition: &Partition, files: &Files) {
    let refused = answers.served.iter().find(|served| matches!(served, Served::Refused(..)));
    let mut end = None;
    for (path, bytes) in files.iter().filter(|(path, _)| is_log(path)) {
        let base = base_of(path);
        assert!(end.is_none_or(|end| end == base), "{} does not begin at {end:?}", path.display());
        let mut next = base;
        let places = batches(bytes);
        for place in &places {
            let head = batch::good_head(&bytes[place.clone()]).unwrap();
            assert_eq!(head.base_offset, next, "{}", path.display());
            next = head.last_offset + 1;
        }
        let behind = places.last().map_or(0, |last| last.end);
        assert!(
            without_zeros(&bytes[behind..]).is_empty(),
            "{} has something behind its batches",
            path.display()
        );
        end = Some(next);
    }
    assert_eq!((refused, end), (None, Some(answers.end)));
    assert_eq!(partition.durable_offset(), partition.log_end_offset(), "an open makes durable what it keeps");
}

/// No segment was touched, so every record is there.
fn check_whole(whole: &Whole, answers: &Answers, partition: &Partition, recovery: RecoveryMode) {
    let count = whole.rows.len() as u64;
    // A salvage notes what is missing behind them, or before them, if something claims that there was more.
    let is_salvaged = recovery == RecoveryMode::Salvage;
    assert!(answers.end == count || answers.end > count && is_salvaged);
    assert!(u64::from(partition.durable_offset()) >= whole.durable);
    let served = answers.served.iter().flat_map(|served| match served {
        Served::Rows(rows) => rows.clone(),
        Served::Lost(..) if is_salvaged => Vec::new(),
        served => panic!("{served:?}, and nothing is wrong"),
    });
    let start = usize::try_from(answers.start).unwrap();
    assert!(served.eq(whole.rows.get(start..).unwrap_or_default().iter().cloned()), "{answers:?}");
}

/// Appends, and looks at everything once more after another open.
fn go_on(storage: &MemoryStorage, broker: Broker, partition: Partition, before: &Answers) {
    let end = partition.log_end_offset();
    let records = [Record::new().key("new").value("1"), Record::new().value("2")];
    let is_damaged = before.is_damaged();
    match partition.append(&records) {
        Ok(range) => assert_eq!(range, end..end.saturating_add(2)),
        Err(Error::OffsetsExhausted { .. }) => return,
        // The last batches of the active segment say how its index goes on.
        Err(Error::Corrupt { .. }) if is_damaged => return,
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!(partition.sync().unwrap(), end.saturating_add(2));
    check_new(&partition, end);
    drop((partition, broker));
    let (broker, _) = files::open(storage).unwrap();
    let partition = partition_of(&broker);
    check_new(&partition, end);
    let mut after = serve(&partition);
    if before.served.len() < READS_MAX {
        after.served.truncate(before.served.len());
    }
    assert_eq!((after.start, &after.served), (before.start, &before.served));
}

fn check_new(partition: &Partition, end: Offset) {
    assert_eq!(partition.log_end_offset(), end.saturating_add(2));
    let batches = partition.read(end, 1000).unwrap();
    let values: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.records().unwrap().iter().map(Row::from).collect::<Vec<_>>())
        .collect();
    assert_eq!(values.len(), 2);
    assert_eq!((values[0].value.as_deref(), values[1].value.as_deref()), (Some(&b"1"[..]), Some(&b"2"[..])));
}
