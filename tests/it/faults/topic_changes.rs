//! The process dies, the power goes or the disk refuses at every step of a life in which topics are created, extended and
//! deleted, over two log directories.
//!
//! Whatever happens, a topic is as it was before the change or as it is after it, with all of its partitions; what was
//! durable in it is there; nothing of a deleted topic is seen in the next one of its name; and nothing of it stays on the disk.
//! A log directory that a topic is in keeps its id, or is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use streamlog::testing::{Calls, Crash, EveryCrash, Fault, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Error, ManualClock, NewTopic, Partition, Record, Result, Storage, Timestamp,
};

use super::power_cut::told;
use super::script::topic;

const DIRS: [&str; 2] = ["data", "more"];
/// How long after an append a checkpoint is due.
const CHECKPOINT: Duration = Duration::from_secs(5);

fn open(disk: &TestDisk) -> Result<(Broker, ManualClock)> {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let config = BrokerConfig::default().seed(7).max_open_files(8).checkpoint_interval(CHECKPOINT);
    let builder = Broker::builder().storage(disk.clone()).clock(clock.clone()).config(config);
    let broker = DIRS.iter().fold(builder, |builder, dir| builder.log_dir(dir)).open()?;
    Ok((broker, clock))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Create(&'static str, u32),
    Extend(&'static str, u32),
    Delete(&'static str),
    /// Two appends to each partition, of which the first is synced.
    Fill(&'static str),
    /// Checkpoints, and removes what was set aside.
    Tick,
    Reopen,
}

use Step::{Create, Delete, Extend, Fill, Reopen, Tick};

const LIFE: &[Step] = &[
    Create("t", 3),
    Fill("t"),
    Tick,
    Create("u.v", 1),
    Fill("u.v"),
    Extend("t", 5),
    Fill("t"),
    Tick,
    Delete("t"),
    Create("t", 2),
    Fill("t"),
    Tick,
    Extend("t", 3),
    Delete("u.v"),
    Fill("t"),
    Reopen,
    Delete("t"),
    Tick,
    // Gone before a checkpoint names it.
    Create("w", 2),
    Delete("w"),
    Tick,
    Create("u.v", 2),
    Create("t", 1),
    Fill("t"),
];

/// A topic, by what tells it from others of its name, and how many partitions it has.
type State = Option<(usize, u32)>;

/// What was asked for and promised.
#[derive(Debug, Clone, Default)]
struct Model {
    /// By name, what there is, and what there is to be where that has not been answered.
    topics: BTreeMap<String, (State, Option<State>)>,
    /// By topic and partition: the values, how many were appended for sure, and how many are durable.
    records: BTreeMap<(usize, u32), (Vec<String>, usize, usize)>,
    topics_made: usize,
}

impl Model {
    fn state(&self, name: &str) -> State {
        self.topics.get(name).and_then(|(state, _)| *state)
    }

    /// What a change makes of its topic.
    fn asks(&mut self, step: Step) -> Option<(&'static str, State)> {
        match step {
            Create(name, count) => {
                self.topics_made += 1;
                Some((name, Some((self.topics_made, count))))
            }
            Extend(name, count) => Some((name, self.state(name).map(|(id, _)| (id, count)))),
            Delete(name) => Some((name, None)),
            Fill(_) | Tick | Reopen => None,
        }
    }

    fn fill(&mut self, broker: &Broker, name: &str) -> Result<()> {
        let (id, _) = self.state(name).unwrap();
        for partition in broker.topic(name)?.partitions() {
            let partition = partition?;
            let key = (id, u32::from(partition.id()));
            for is_synced in [true, false] {
                let (values, appended, durable) = self.records.entry(key).or_default();
                let value = format!("{name}/{id}/{}/{}", partition.id(), values.len());
                values.push(value.clone());
                partition.append(&[Record::new().key(&[b'k'; 300]).value(&value)])?;
                *appended = values.len();
                if is_synced {
                    partition.sync()?;
                    *durable = values.len();
                }
            }
        }
        Ok(())
    }

    /// Checks that every topic is in one of the states that it may be in, and goes on from that.
    fn check(&mut self, broker: &Broker, is_kill: bool) {
        let listed = broker.admin().list_topics().unwrap();
        for (name, (state, next)) in &mut self.topics {
            let found = broker.topic(name).ok();
            assert_eq!(listed.contains(name), found.is_some());
            let count = found.as_ref().map(|topic| topic.partition_count());
            let mut states = [Some(*state), *next].into_iter().flatten();
            let now = states.find(|state| state.map(|(_, count)| count) == count);
            (*state, *next) =
                (now.unwrap_or_else(|| panic!("{name}: {count:?} of {state:?}, {next:?}")), None);
            let (Some(topic), Some((id, count))) = (found, *state) else { continue };
            for number in 0..count {
                let values = values_of(&topic.partition(number).unwrap());
                let (known, appended, durable) = self.records.entry((id, number)).or_default();
                let least = if is_kill { *appended } else { *durable };
                assert!(values.len() >= least, "{name}-{number}: {values:?} of {known:?}");
                assert_eq!(values[..], known[..values.len()], "{name}-{number}");
                known.truncate(values.len());
                (*appended, *durable) = (values.len(), values.len());
            }
        }
        assert!(listed.iter().all(|name| self.topics.contains_key(name)));
    }
}

fn values_of(partition: &Partition) -> Vec<String> {
    let mut values = Vec::new();
    let mut next = partition.log_start_offset();
    assert_eq!(next, 0);
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        for batch in &batches {
            let records = batch.records().unwrap();
            let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
            values.extend(records.iter().map(|record| text(record.value())));
        }
        next = batches.next_offset().unwrap();
    }
    values
}

/// Makes one change of a topic, or whatever else the step says but a reopening.
fn make(broker: &Broker, clock: &ManualClock, step: Step, model: &mut Model) -> Result<()> {
    let asked = model.asks(step);
    if let Some((name, next)) = asked {
        model.topics.entry(name.to_owned()).or_default().1 = Some(next);
    }
    match step {
        Create(name, count) => drop(broker.admin().create_topic(topic(name, count))?),
        Extend(name, count) => drop(broker.admin().create_partitions(name, count)?),
        Delete(name) => broker.admin().delete_topic(name)?,
        Fill(name) => model.fill(broker, name)?,
        Tick => clock.advance(CHECKPOINT),
        Reopen => broker.close()?,
    }
    if let Some((name, next)) = asked {
        model.topics.insert(name.to_owned(), (next, None));
    }
    Ok(())
}

/// Lives, and notes what was promised. Ends at the first error, or with the broker open.
fn live(disk: &TestDisk, model: &mut Model) -> Result<Broker> {
    let (mut broker, mut clock) = open(disk)?;
    for &step in LIFE {
        make(&broker, &clock, step, model)?;
        if matches!(step, Reopen) {
            model.records.values_mut().for_each(|(_, appended, durable)| *durable = *appended);
            (broker, clock) = open(disk)?;
            assert!(broker.recovery_report().was_clean);
        }
    }
    Ok(broker)
}

/// The names in the log directories that begin with this.
fn names(disk: &TestDisk, start: &str) -> Vec<String> {
    let all = DIRS.iter().flat_map(|dir| disk.list(Path::new(dir)).unwrap());
    let names = all.map(|entry| entry.name.into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

/// Opens what survived, checks it, and goes on with it.
fn check_survivor(disk: &TestDisk, mut model: Model, is_kill: bool) {
    let (broker, clock) = open(disk).unwrap();
    let report = broker.recovery_report();
    assert!(report.unknown_directories.is_empty(), "{report}");
    assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
    model.check(&broker, is_kill);
    // What this open has decided stays so.
    let mut again = model.clone();
    again.check(&open(&disk.after(Crash::PowerCut)).unwrap().0, false);

    clock.advance(CHECKPOINT);
    let left = names(disk, "").into_iter().filter(|name| name.ends_with("-delete"));
    assert_eq!(left.count(), 0, "what was set aside is removed");
    for name in ["t", "u.v"] {
        match model.state(name) {
            Some((_, count)) => make(&broker, &clock, Extend(name, count + 1), &mut model).unwrap(),
            None => make(&broker, &clock, Create(name, 2), &mut model).unwrap(),
        }
        make(&broker, &clock, Fill(name), &mut model).unwrap();
    }
    make(&broker, &clock, Delete("t"), &mut model).unwrap();
    make(&broker, &clock, Create("t", 3), &mut model).unwrap();
    make(&broker, &clock, Fill("t"), &mut model).unwrap();
    model.clone().check(&open(&disk.after(Crash::PowerCut)).unwrap().0, false);
    broker.close().unwrap();
    drop(broker);
    let (broker, _) = open(disk).unwrap();
    assert!(broker.recovery_report().was_clean && broker.recovery_report().unknown_directories.is_empty());
    model.check(&broker, true);
}

fn ways(step: u64) -> [Crash; 4] {
    [Crash::Kill, Crash::PowerCut, Crash::Torn { seed: step }, Crash::Reordered { seed: step }]
}

/// Lives until the change with number `step`, where the disk goes down.
fn die_at(step: u64) -> (TestDisk, Model) {
    let (disk, mut model) = (TestDisk::new(), Model::default());
    disk.inject(Fault::power_cut().at_step(step));
    let lived = live(&disk, &mut model);
    assert!(disk.is_down() || lived.is_ok(), "{:?}", lived.err());
    (disk, model)
}

fn life_steps() -> u64 {
    let disk = TestDisk::new();
    drop(live(&disk, &mut Model::default()).unwrap());
    disk.step_count()
}

#[test]
fn a_topic_is_as_before_or_as_after_a_crash_at_any_step_of_a_change() {
    let steps = life_steps();
    for step in 1..=steps {
        let (disk, model) = die_at(step);
        for after in ways(step) {
            told(&format!("step {step} of {steps}, {after:?}"), || {
                check_survivor(&disk.after(after), model.clone(), after == Crash::Kill);
            });
        }
    }
    eprintln!("{steps} steps, {} crashes", 3 * steps);
}

#[test]
fn a_crash_while_a_change_is_completed_leaves_it_to_the_next_open() {
    let steps = life_steps();
    for step in (1..=steps).step_by(7) {
        let (disk, model) = die_at(step);
        for first in ways(step) {
            let survivor = disk.after(first);
            let counted = survivor.after(Crash::Kill);
            let (broker, clock) = open(&counted).unwrap();
            clock.advance(CHECKPOINT);
            drop(broker);
            let at = fastrand::Rng::with_seed(step).u64(1..=counted.step_count().max(1));
            let dying = survivor.after(Crash::Kill);
            dying.inject(Fault::power_cut().at_step(at));
            if let Ok((broker, clock)) = open(&dying) {
                clock.advance(CHECKPOINT);
                drop(broker);
            }
            for second in [Crash::Kill, Crash::Reordered { seed: step + at }] {
                let is_kill = (first, second) == (Crash::Kill, Crash::Kill);
                told(&format!("step {step}, {first:?}, then step {at}, {second:?}"), || {
                    check_survivor(&dying.after(second), model.clone(), is_kill);
                });
            }
        }
    }
}

/// A broker with a topic of two partitions on a disk, and what is known of it.
fn begin() -> (TestDisk, Model, Broker, ManualClock) {
    let (disk, mut model) = (TestDisk::new(), Model::default());
    let (broker, clock) = open(&disk).unwrap();
    for step in [Create("t", 2), Fill("t"), Tick] {
        make(&broker, &clock, step, &mut model).unwrap();
    }
    (disk, model, broker, clock)
}

/// How many calls a change makes, with what it leaves to be done later.
fn calls_of(step: Step) -> u64 {
    let (disk, mut model, broker, clock) = begin();
    let before = disk.call_count();
    make(&broker, &clock, step, &mut model).unwrap();
    clock.advance(Duration::ZERO);
    disk.call_count() - before
}

/// Makes the change on a disk with this fault, then has the disk recover.
fn refuse(step: Step, fault: impl Fn(u64) -> Fault, is_once: bool) -> (usize, usize) {
    let (mut refused, mut unknown) = (0, 0);
    for call in 1..=calls_of(step) {
        let (disk, mut model, broker, clock) = begin();
        let before = model.clone();
        disk.inject(fault(disk.call_count() + call));
        let result = make(&broker, &clock, step, &mut model);
        clock.advance(Duration::ZERO);
        disk.heal();
        told(&format!("{step:?}, call {call}: {result:?}"), || match result {
            Ok(()) => {}
            Err(Error::Poisoned { .. }) => {
                unknown += 1;
                before.clone().check(&broker, true);
            }
            Err(Error::Io { .. }) => {
                refused += 1;
                before.clone().check(&broker, true);
                if is_once {
                    // It was taken back, and stays so.
                    let (after, _) = open(&disk.after(Crash::Kill)).unwrap();
                    // A directory that does not say yet whose it is stays, for the next creation to complete.
                    let strangers = &after.recovery_report().unknown_directories;
                    let strangers = strangers.iter().map(|path| disk.list(path).unwrap());
                    let is_empty = |mut entries: std::vec::IntoIter<streamlog::Entry>| {
                        entries.all(|entry| entry.bytes == 0)
                    };
                    assert!(strangers.len() <= 1 && strangers.map(Vec::into_iter).all(is_empty));
                    before.clone().check(&after, true);
                }
                model.clone().check(&open(&disk.after(Crash::PowerCut)).unwrap().0, false);
                make(&broker, &clock, step, &mut model).unwrap();
            }
            Err(error) => panic!("{error:?}"),
        });
        told(&format!("after {step:?}, call {call}"), || {
            model.clone().check(&open(&disk.after(Crash::PowerCut)).unwrap().0, false);
            let _ = broker.close();
            drop(broker);
            check_survivor(&disk, model, true);
        });
    }
    eprintln!("{step:?}: {refused} refused, {unknown} unknown");
    (refused, unknown)
}

#[test]
fn a_change_that_a_disk_refuses_once_is_made_or_not_and_can_be_tried_again() {
    for step in [Create("u.v", 3), Extend("t", 4), Delete("t")] {
        for failure in [Fault::full(), Fault::io(), Fault::late_write()] {
            let (refused, unknown) = refuse(step, |call| failure.clone().on(Calls::All).at_call(call), true);
            assert!(refused + unknown > 1);
        }
    }
}

#[test]
fn a_change_that_a_disk_refuses_for_a_while_loses_nothing() {
    for step in [Create("u.v", 3), Extend("t", 4), Delete("t")] {
        let (refused, _) = refuse(step, |call| Fault::full().on(Calls::Steps).from_call(call), false);
        assert!(refused > 0);
    }
}

#[test]
fn what_a_disk_would_not_rename_is_set_aside_when_the_name_is_wanted_again() {
    for call in 1..=calls_of(Delete("t")) {
        let (disk, mut model, broker, clock) = begin();
        disk.inject(Fault::io().on(Calls::Steps).from_call(disk.call_count() + call));
        let deleted = make(&broker, &clock, Delete("t"), &mut model);
        disk.heal();
        if deleted.is_err() {
            continue;
        }
        told(&format!("call {call}"), || {
            make(&broker, &clock, Create("t", 3), &mut model).unwrap();
            make(&broker, &clock, Fill("t"), &mut model).unwrap();
            model.check(&broker, true);
            broker.close().unwrap();
            check_survivor(&disk, model, true);
        });
    }
}

#[test]
fn a_completion_that_a_disk_refuses_goes_on_at_the_next_open() {
    let begun = || {
        let (disk, mut model, broker, clock) = begin();
        // The record of the creation is there, and nothing more.
        disk.inject(Fault::power_cut().at_step(disk.step_count() + 4));
        assert!(make(&broker, &clock, Extend("t", 6), &mut model).is_err());
        (disk.after(Crash::Kill), model)
    };
    let (disk, mut model) = begun();
    drop(open(&disk).unwrap());
    let calls = disk.call_count();
    model.check(&open(&disk).unwrap().0, true);
    assert_eq!(model.state("t").map(|(_, count)| count), Some(6));
    let mut served = 0;
    for call in 1..=calls {
        let (disk, mut model) = begun();
        disk.inject(Fault::full().on(Calls::All).at_call(call));
        let Ok((broker, clock)) = open(&disk) else { continue };
        told(&format!("call {call}"), || {
            disk.heal();
            let topic = broker.topic("t").unwrap();
            let offline = topic.partitions().filter(Result::is_err).count();
            assert_eq!(topic.partition_count(), 6);
            // What is served is there for good, and what is not is made by the next open.
            for partition in topic.partitions().skip(2).filter_map(Result::ok) {
                partition.append(&[Record::new().key("k").value("kept")]).unwrap();
                partition.sync().unwrap();
                served += usize::from(offline > 0);
            }
            drop((topic, broker, clock));
            for after in [Crash::PowerCut, Crash::Kill] {
                let (broker, _) = open(&disk.after(after)).unwrap();
                let topic = broker.topic("t").unwrap();
                let ends = topic.partitions().map(|one| u64::from(one.unwrap().log_end_offset()));
                let kept = ends.skip(2).filter(|&end| end == 1).count();
                assert!(kept + offline.min(4) >= 4, "{kept} kept, {offline} were offline");
            }
            for number in 2..6 {
                let kept = vec!["kept".to_owned(); 1];
                model.records.insert((1, number), (kept, 0, 0));
            }
            check_survivor(&disk, model, true);
        });
    }
    assert!(served > 0, "some were refused after others were made");
}

#[test]
fn what_failed_to_be_created_is_not_created_by_a_power_cut() {
    let disk = TestDisk::new();
    let (broker, _clock) = open(&disk).unwrap();
    broker.admin().create_topic(NewTopic::new("u")).unwrap();
    disk.inject(Fault::full().of("t-1"));
    assert!(broker.admin().create_topic(NewTopic::new("t").partitions(2)).is_err());
    disk.heal();
    disk.inject(Fault::full().of("u-1"));
    assert!(broker.admin().create_partitions("u", 2).is_err());
    let (broker, _clock) = open(&disk.after(Crash::PowerCut)).unwrap();
    assert_eq!(broker.admin().list_topics().unwrap(), ["u"]);
    assert_eq!(broker.topic("u").unwrap().partition_count(), 1);
}

/// How many opens are refused of two: with the second directory's file gone, and with it lacking its id. Where one is not refused,
/// nothing is offline.
fn refusals_without_the_id(disk: &TestDisk) -> usize {
    let path = Path::new(DIRS[1]).join("meta.properties");
    let Some(meta) = disk.files().remove(&path) else { return 0 };
    let text = String::from_utf8(meta).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("directory.id"));
    let without_id: String = lines.map(|line| format!("{line}\n")).collect();
    let is_refused = |left: &Option<String>| {
        let disk = disk.after(Crash::Kill);
        match left {
            None => disk.take(&path).unwrap(),
            Some(left) => disk.put(&path, left).unwrap(),
        }
        match open(&disk) {
            // Nothing named it, so it was as good as new.
            Ok((broker, _clock)) => {
                let report = broker.recovery_report();
                assert!(report.partitions.iter().all(|one| one.offline.is_none()), "{report}");
                false
            }
            Err(Error::InvalidFile { path: told, .. }) if told == path => true,
            Err(error) => panic!("{error:?}"),
        }
    };
    [None, Some(without_id)].iter().filter(|left| is_refused(left)).count()
}

fn create_over_both(disk: &TestDisk) -> Result<()> {
    let (broker, _clock) = open(disk)?;
    broker.admin().create_topic(NewTopic::new("t").partitions(2))?;
    // It ends here: what a broker does when it is dropped is not part of it.
    let _ = disk.restart(Crash::Kill);
    Ok(())
}

#[test]
fn a_directory_that_a_topic_is_in_gets_no_other_id_whatever_a_crash_left_of_it() {
    let mut refused = 0;
    let points = EveryCrash::new().run(
        |disk, (): &mut ()| Ok(create_over_both(disk)?),
        |disk, (), _| {
            refused += refusals_without_the_id(disk);
            Ok(())
        },
    );
    assert!(points.unwrap() > 50 && refused > 50, "{refused}");
}

#[test]
fn a_directory_whose_first_start_was_killed_gets_no_other_id_once_a_topic_is_in_it() {
    let points = EveryCrash::new().crashes([Crash::Kill]).run(
        |disk, (): &mut ()| {
            let _opened = open(disk)?;
            // As above.
            let _ = disk.restart(Crash::Kill);
            Ok(())
        },
        |disk, (), _| {
            create_over_both(disk)?;
            assert_eq!(refusals_without_the_id(&disk.after(Crash::PowerCut)), 2);
            Ok(())
        },
    );
    assert!(points.unwrap() > 20);
}
