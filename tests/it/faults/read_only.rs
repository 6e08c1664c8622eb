//! A look at directories that a crash has left, or that another broker is changing at every moment of the look.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use streamlog::testing::{Call, Crash, Fault, TestDisk};
use streamlog::{
    Access, Broker, BrokerConfig, Entry, Error, ManualClock, NewTopic, Offset, Partition, Record, Result,
    Slice, Storage, StorageFile, StorageLock, Timestamp,
};

use super::acknowledgement::Ledger;
use super::power_cut::told;
use super::script::{self, DIR, LIFE};

fn look_at(storage: impl Storage) -> Result<Broker> {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let config = BrokerConfig::default().seed(7).max_open_files(8);
    Broker::builder().log_dir(DIR).storage(storage).clock(clock).config(config).read_only().open()
}

/// Everything that a broker shows of a partition.
fn shown(partition: &Partition) -> Vec<String> {
    let mut shown = vec![
        format!("{}..{}", partition.log_start_offset(), partition.log_end_offset()),
        format!("{} segments", partition.segments().len()),
    ];
    let mut next = partition.log_start_offset();
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 700).unwrap();
        for record in
            batches.iter().map(|batch| batch.records().unwrap()).collect::<Vec<_>>().iter().flatten()
        {
            shown.push(format!("{} {} {:?}", record.offset(), record.timestamp(), record.value()));
        }
        next = batches.next_offset().unwrap();
    }
    for segment in partition.segments() {
        let end = (segment.base_offset(), segment.end_offset().unwrap(), segment.bytes().unwrap());
        shown.push(format!("{end:?} with {} batches", segment.batches().map(Result::unwrap).count()));
    }
    for time in [0, 1_000_000, 1_005_001, i64::MAX] {
        shown.push(format!("{:?}", partition.offset_for_time(Timestamp::from_millis(time)).unwrap()));
    }
    shown
}

/// Everything that a broker shows of its topics.
pub(super) fn all_shown(broker: &Broker) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for name in broker.admin().list_topics().unwrap() {
        let topic = broker.topic(&name).unwrap();
        // An id that a creation has drawn is there with its record, or not at all.
        all.insert(name.clone(), vec![format!("{} {:?}", topic.id(), topic.config().overrides())]);
        for (number, partition) in topic.partitions().enumerate() {
            all.insert(format!("{name}-{number}"), shown(&partition.unwrap()));
        }
    }
    all
}

/// What a report says of each partition, but for times and where the bytes are that were cut.
fn told_of(broker: &Broker) -> Vec<String> {
    let told = broker.recovery_report().partitions.iter().map(|one| {
        let cut = one.cut.as_ref().map(|cut| (cut.from, cut.bytes, cut.reason.to_string()));
        let (end, offline) = (one.end_offset, one.offline.as_ref().map(ToString::to_string));
        format!("{} {end} {cut:?} {offline:?} {:?} {}", one.partition, one.mended_files, one.rebuilt_indexes)
    });
    told.collect()
}

/// A look shows what an open does, and changes nothing, also when it is over.
fn check_look(disk: &TestDisk) -> bool {
    let looked_at = disk.after(Crash::Kill);
    let before = looked_at.files();
    let look = look_at(looked_at.clone());
    let (opened, _) = script::open(disk).unwrap();
    let is_there = match &look {
        Ok(look) => {
            assert_eq!(all_shown(look), all_shown(&opened));
            assert_eq!(told_of(look), told_of(&opened));
            assert_eq!(look.recovery_report().was_clean, opened.recovery_report().was_clean);
            for name in look.admin().list_topics().unwrap() {
                let partitions = look.topic(&name).unwrap();
                for partition in partitions.partitions().map(Result::unwrap) {
                    assert!(partition.durable_offset() <= partition.log_end_offset());
                }
            }
            look.close().unwrap();
            true
        }
        // Before there is a catalog there is nothing to look at.
        Err(Error::NoLogDir { path }) => {
            assert_eq!(path, Path::new(DIR));
            assert!(opened.admin().list_topics().unwrap().is_empty());
            false
        }
        Err(error) => panic!("{error}"),
    };
    drop(look);
    for call in looked_at.calls() {
        let is_look =
            matches!(call, Call::Open(_) | Call::Read(..) | Call::Measure(_) | Call::List(_) | Call::Stat(_));
        assert!(is_look, "{call}");
    }
    assert!(looked_at.files() == before);
    is_there
}

#[test]
fn a_look_at_what_a_crash_left_shows_what_the_next_open_serves() {
    let steps = {
        let disk = TestDisk::new();
        drop(script::live(&disk, LIFE, &mut Ledger::default()).unwrap());
        disk.step_count()
    };
    let (mut looks, mut refused) = (0, 0);
    for step in (1..=steps).step_by(3) {
        let disk = TestDisk::new();
        disk.inject(Fault::power_cut().at_step(step));
        let lived = script::live(&disk, LIFE, &mut Ledger::default());
        assert!(disk.is_down() || lived.is_ok());
        for crash in
            [Crash::Kill, Crash::PowerCut, Crash::Torn { seed: step }, Crash::Reordered { seed: step }]
        {
            told(&format!("step {step} of {steps}, {crash:?}"), || {
                let is_there = check_look(&disk.after(crash));
                (looks, refused) = (looks + 1, refused + usize::from(!is_there));
            });
        }
    }
    eprintln!("{looks} looks, {refused} of them before there was a catalog");
    assert!(looks > 200 && refused * 5 < looks);
}

#[test]
fn a_look_after_a_clean_close_scans_nothing_and_knows_that_all_is_durable() {
    let disk = TestDisk::new();
    script::live(&disk, LIFE, &mut Ledger::default()).unwrap().close().unwrap();
    assert!(check_look(&disk.after(Crash::Kill)));
    let look = look_at(disk.after(Crash::Kill)).unwrap();
    assert!(look.recovery_report().was_clean && look.recovery_report().is_read_only);
    assert!(look.recovery_report().partitions.iter().all(|one| one.scanned_bytes == 0));
    let partition = look.topic("a").unwrap().partition(0).unwrap();
    assert_eq!(partition.durable_offset(), partition.log_end_offset());
}

/// A disk on which something else happens in the middle of a look: before the call with a number.
#[derive(Clone)]
pub(super) struct Interrupted {
    state: Arc<Mutex<Interruption>>,
}

struct Interruption {
    disk: TestDisk,
    calls: u64,
    at: u64,
    /// Gives the disk that there is afterwards.
    action: Option<Box<dyn FnOnce() -> TestDisk + Send>>,
}

impl Interrupted {
    /// Does `action` before the call with the number `at`.
    pub(super) fn new(
        disk: &TestDisk,
        at: u64,
        action: impl FnOnce() -> TestDisk + Send + 'static,
    ) -> Interrupted {
        let state = Interruption { disk: disk.clone(), calls: 0, at, action: Some(Box::new(action)) };
        Interrupted { state: Arc::new(Mutex::new(state)) }
    }

    /// Counts a call; the disk that it goes to.
    fn step(&self) -> TestDisk {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        let action = if state.calls == state.at { state.action.take() } else { None };
        if let Some(action) = action {
            state.disk = action();
        }
        state.disk.clone()
    }

    pub(super) fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupted").finish_non_exhaustive()
    }
}

impl Storage for Interrupted {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        assert_eq!(access, Access::Read, "nothing is opened for writing, and nothing is mapped");
        let file = self.step().open(path, access)?;
        Ok(Box::new(InterruptedFile { file, disk: self.clone() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.step().list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.step().stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        panic!("{} is made", path.display())
    }

    fn rename(&self, source: &Path, _: &Path) -> io::Result<()> {
        panic!("{} is renamed", source.display())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        panic!("{} is removed", path.display())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        panic!("{} is removed", path.display())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        panic!("{} is synced", directory.display())
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        panic!("{} is locked", path.display())
    }
}

#[derive(Debug)]
struct InterruptedFile {
    file: Box<dyn StorageFile>,
    disk: Interrupted,
}

impl StorageFile for InterruptedFile {
    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        self.disk.step();
        self.file.slice(range)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.disk.step();
        self.file.bytes()
    }

    fn write_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<()> {
        panic!("a file is written")
    }

    fn set_bytes(&self, _: u64) -> io::Result<()> {
        panic!("a file is resized")
    }

    fn allocate(&self, _: Range<u64>) -> io::Result<()> {
        panic!("room is made in a file")
    }

    fn zero(&self, _: Range<u64>) -> io::Result<()> {
        panic!("a file is zeroed")
    }

    fn sync_data(&self) -> io::Result<()> {
        panic!("a file is synced")
    }
}

/// What another broker does in the middle of a look.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meanwhile {
    Append,
    Roll,
    AppendMuchAndCheckpoint,
    FailedAppend,
    CreateTopic,
    AddPartitions,
    DeleteTopic,
    DeleteTopicAndRemoveItsFiles,
    ReplaceTopic,
    ReplaceTopicTwice,
    Close,
    DieAndRecover,
}

use Meanwhile::{
    AddPartitions, Append, AppendMuchAndCheckpoint, Close, CreateTopic, DeleteTopic,
    DeleteTopicAndRemoveItsFiles, DieAndRecover, FailedAppend, ReplaceTopic, ReplaceTopicTwice, Roll,
};

pub(super) const ALL: [Meanwhile; 12] = [
    Append,
    Roll,
    AppendMuchAndCheckpoint,
    FailedAppend,
    CreateTopic,
    AddPartitions,
    DeleteTopic,
    DeleteTopicAndRemoveItsFiles,
    ReplaceTopic,
    ReplaceTopicTwice,
    Close,
    DieAndRecover,
];

/// A broker with topics `a`, which the look reads, and `t`, which comes and goes.
pub(super) struct Alive {
    pub(super) disk: TestDisk,
    broker: Broker,
    clock: ManualClock,
}

fn append(broker: &Broker, topic: &str, number: u32, text: &str, bytes: usize) -> Result<()> {
    let value: Vec<u8> = text.bytes().cycle().take(bytes).collect();
    let partition = broker.topic(topic)?.partition(number)?;
    partition.append(&[Record::new().key("k").value(&value)]).map(drop)
}

impl Alive {
    pub(super) fn new() -> Alive {
        let disk = TestDisk::new();
        let (broker, clock) = script::open(&disk).unwrap();
        broker.admin().create_topic(script::topic("a", 1)).unwrap();
        broker.admin().create_topic(script::topic("t", 2)).unwrap();
        for number in 0..4 {
            append(&broker, "a", 0, &format!("a{number} "), 600).unwrap();
            append(&broker, "t", number % 2, &format!("t{number} "), 600).unwrap();
        }
        broker.topic("a").unwrap().partition(0).unwrap().sync().unwrap();
        append(&broker, "a", 0, "not synced ", 300).unwrap();
        Alive { disk, broker, clock }
    }

    pub(super) fn act(self, meanwhile: Meanwhile) -> Alive {
        let Alive { disk, broker, clock } = &self;
        let admin = broker.admin();
        match meanwhile {
            Append => append(broker, "a", 0, "more ", 100).unwrap(),
            Roll => append(broker, "a", 0, "roll ", 1400).unwrap(),
            AppendMuchAndCheckpoint => {
                for number in 0..9 {
                    append(broker, "a", 0, "much ", 100 + 300 * (number % 3)).unwrap();
                    append(broker, "t", 1, "much ", 900).unwrap();
                }
                clock.advance(std::time::Duration::from_secs(60));
                append(broker, "a", 0, "and more ", 100).unwrap();
            }
            FailedAppend => {
                disk.inject(Fault::late_write().of("a-0"));
                assert!(append(broker, "a", 0, "taken back ", 200).is_err());
                disk.heal();
                append(broker, "a", 0, "instead ", 90).unwrap();
            }
            CreateTopic => {
                admin.create_topic(script::topic("new", 2)).unwrap();
                append(broker, "new", 1, "new ", 30).unwrap();
            }
            AddPartitions => {
                admin.create_partitions("t", 4).unwrap();
                append(broker, "t", 3, "new ", 30).unwrap();
            }
            DeleteTopic => admin.delete_topic("t").unwrap(),
            DeleteTopicAndRemoveItsFiles => {
                admin.delete_topic("t").unwrap();
                clock.advance(std::time::Duration::from_secs(1));
            }
            ReplaceTopic => replace(broker, "second "),
            ReplaceTopicTwice => {
                replace(broker, "second ");
                clock.advance(std::time::Duration::from_secs(1));
                replace(broker, "third ");
            }
            Close => broker.close().unwrap(),
            DieAndRecover => {
                append(broker, "a", 0, "the last one ", 300).unwrap();
                let disk = disk.after(Crash::Kill);
                let path = broker.topic("a").unwrap().partition(0).unwrap().segments().pop().unwrap();
                let mut bytes = disk.files().remove(path.path()).unwrap();
                bytes.truncate(usize::try_from(path.bytes().unwrap()).unwrap());
                bytes.extend([7; 100]);
                disk.put(path.path(), &bytes).unwrap();
                let (broker, clock) = script::open(&disk).unwrap();
                assert!(broker.recovery_report().partitions.iter().any(|one| one.cut.is_some()));
                append(&broker, "a", 0, "after ", 300).unwrap();
                return Alive { disk, broker, clock };
            }
        }
        self
    }
}

fn replace(broker: &Broker, text: &str) {
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(script::topic("t", 2)).unwrap();
    for number in 0..4 {
        append(broker, "t", number % 2, &format!("{text}{number} "), 700).unwrap();
    }
}

/// The values that a broker has of each partition.
type Values = BTreeMap<String, (String, Vec<Vec<u8>>)>;

fn values(broker: &Broker) -> Values {
    let mut all = Values::new();
    for name in broker.admin().list_topics().unwrap() {
        let topic = broker.topic(&name).unwrap();
        for partition in topic.partitions() {
            let partition = partition.unwrap();
            let records = (topic.id().to_string(), super::acknowledgement::read_all(&partition));
            all.insert(format!("{name}-{}", partition.id()), records);
        }
    }
    all
}

#[test]
fn whatever_happens_at_any_call_of_a_look_it_shows_what_there_was_before_or_after() {
    interrupt_every(1);
}

/// Does each thing before every so many of the calls that a look makes.
fn interrupt_every(stride: u64) {
    let mut looks = 0;
    for (first, meanwhile) in (0..).zip(ALL) {
        let mut at = 1 + first % stride;
        loop {
            let is_over = told(&format!("{meanwhile:?} before call {at}"), || look_while(meanwhile, at));
            looks += 1;
            if is_over {
                break;
            }
            at += stride;
        }
    }
    eprintln!("{looks} looks");
    assert!(looks * stride > 2000);
}

/// Looks, with something done before the call with this number; `true`: there were not so many.
fn look_while(meanwhile: Meanwhile, at: u64) -> bool {
    let alive = Alive::new();
    let before = values(&alive.broker);
    let disk = alive.disk.clone();
    let (done, acting) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Some(alive))));
    let action = {
        let (done, acting) = (Arc::clone(&done), Arc::clone(&acting));
        move || {
            let alive = acting.lock().unwrap().take().unwrap().act(meanwhile);
            let disk = alive.disk.clone();
            *done.lock().unwrap() = Some(alive);
            disk
        }
    };
    let storage = Interrupted::new(&disk, at, action);
    let look = look_at(storage.clone()).unwrap();
    let report = look.recovery_report();
    assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
    if storage.calls() < at {
        assert_eq!(values(&look), before);
        return true;
    }
    let seen = values(&look);
    let alive = done.lock().unwrap().take().unwrap();
    if let Close = meanwhile {
        assert_eq!(seen, before);
        return false;
    }
    let after = values(&alive.broker);
    for (name, (id, records)) in &seen {
        let of = |values: &Values| {
            values.get(name).filter(|(other, _)| other == id).map(|(_, records)| records.clone())
        };
        let (old, new) = (of(&before), of(&after));
        // The second of three was there for a moment, too.
        let is_known = old.is_some() || new.is_some() || matches!(meanwhile, ReplaceTopicTwice);
        assert!(is_known, "{name} of {id} is nobody's");
        let least = old.as_ref().map_or(0, Vec::len).min(new.as_ref().map_or(usize::MAX, Vec::len));
        assert!(records.len() >= least, "{name}: {} records of {least}", records.len());
        let newest = new.or(old).unwrap_or_default();
        assert!(newest.starts_with(records), "{name}: {} records are not the first", records.len());
    }
    let names = |values: &Values| values.keys().cloned().collect::<Vec<_>>();
    let known = [names(&before), names(&after)];
    let is_between = matches!(meanwhile, ReplaceTopic | ReplaceTopicTwice);
    assert!(known.contains(&names(&seen)) || is_between, "{:?}", names(&seen));
    let durable = look.topic("a").unwrap().partition(0).unwrap().durable_offset();
    assert!(durable >= 4, "what was known to be durable");
    assert!(durable <= alive.broker.topic("a").unwrap().partition(0).unwrap().durable_offset());
    false
}

#[test]
fn a_broker_that_begins_in_the_middle_of_a_look_makes_nothing_durable_that_is_not() {
    let mut at = 1;
    loop {
        let alive = Alive::new();
        let records = values_of(&alive.broker, "a").len();
        alive.broker.close().unwrap();
        let (disk, begun) = (alive.disk.clone(), Arc::new(Mutex::new(None)));
        let action = {
            let (disk, begun) = (disk.clone(), Arc::clone(&begun));
            move || {
                let (broker, _) = script::open(&disk).unwrap();
                append(&broker, "a", 0, "not synced ", 100).unwrap();
                *begun.lock().unwrap() = Some(broker);
                disk
            }
        };
        let storage = Interrupted::new(&disk, at, action);
        told(&format!("before call {at}"), || {
            let look = look_at(storage.clone()).unwrap();
            let seen = look.topic("a").unwrap().partition(0).unwrap();
            assert!(seen.log_end_offset() >= records as u64);
            assert!(seen.durable_offset() <= records as u64, "nobody has synced more");
        });
        if storage.calls() < at {
            break;
        }
        at += 1;
    }
    assert!(at > 50);
}

#[test]
fn what_is_deleted_after_a_look_is_read_as_it_was_or_not_at_all() {
    for meanwhile in [DeleteTopicAndRemoveItsFiles, ReplaceTopic, ReplaceTopicTwice] {
        // With segments that the look does not open yet.
        let alive = Alive::new().act(AppendMuchAndCheckpoint);
        let before = values(&alive.broker);
        let look = look_at(alive.disk.clone()).unwrap();
        let topic = look.topic("t").unwrap();
        let partitions: Vec<Partition> = topic.partitions().map(Result::unwrap).collect();
        let alive = alive.act(meanwhile);
        for partition in &partitions {
            let (_, records) = &before[&format!("t-{}", partition.id())];
            for (offset, value) in (0_u32..).zip(records) {
                match partition.read(Offset::from(offset), 1) {
                    Ok(batches) => {
                        let records = batches.iter().next().unwrap().records().unwrap();
                        assert_eq!(records.iter().next().unwrap().value(), Some(&value[..]));
                    }
                    Err(Error::Io { op: "open", source, .. }) => {
                        assert_eq!(source.kind(), io::ErrorKind::NotFound);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        // What is there now is seen by a look that is opened now.
        assert_eq!(values(&look_at(alive.disk.clone()).unwrap()), values(&alive.broker));
    }
}

#[test]
fn a_topic_that_comes_and_goes_all_the_time_ends_no_look() {
    // Each look at the catalog is followed by a deletion of what it tells of.
    let alive = Alive::new();
    let before = values(&alive.broker);
    let broker = alive.broker.clone();
    let again = move |_: u64| {
        broker.admin().delete_topic("t").unwrap();
        broker.admin().create_topic(NewTopic::new("t")).unwrap();
    };
    let storage = Restless { disk: alive.disk.clone(), calls: Arc::default(), act: Arc::new(again) };
    let look = look_at(storage).unwrap();
    let seen = values_of(&look, "a");
    assert_eq!(seen, before["a-0"].1);
    for one in &look.recovery_report().partitions {
        assert!(one.offline.is_none() || one.partition.topic() == "t", "{one}");
    }
}

fn values_of(broker: &Broker, topic: &str) -> Vec<Vec<u8>> {
    super::acknowledgement::read_all(&broker.topic(topic).unwrap().partition(0).unwrap())
}

/// A disk on which something happens each time that a partition's directory is about to be listed.
#[derive(Clone)]
struct Restless {
    disk: TestDisk,
    calls: Arc<Mutex<u64>>,
    act: Arc<dyn Fn(u64) + Send + Sync>,
}

impl fmt::Debug for Restless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restless").finish_non_exhaustive()
    }
}

impl Storage for Restless {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.disk.open(path, access)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        if directory.ends_with("t-0") {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            (self.act)(*calls);
            assert!(*calls < 100, "the look is never over");
        }
        self.disk.list(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.disk.stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.disk.rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_dir(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        self.disk.lock(path)
    }
}
