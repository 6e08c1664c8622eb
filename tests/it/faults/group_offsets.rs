//! Groups on a disk that refuses, is damaged, or forgets: what is committed is whole, and each group is told what is wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streamlog::testing::{Calls, Crash, Fault, TestDisk};
use streamlog::{
    Acks, Assignor, Broker, BrokerConfig, Consumer, CooperativeSticky, Error, ManualClock, NewTopic, Offset,
    Range as ByRange, RecoveryMode, Result, Timestamp, TopicPartition,
};

use super::power_cut::told;
use crate::groups::{builder, fill, partition, settle, shares};
use crate::kit::START;

const GROUP: &str = "g";

const OFFSETS: &str = "__consumer_offsets";
/// Two groups whose offsets lie in different partitions, of two.
const GROUPS: [&str; 2] = ["b", "a"];

fn open_in(disk: &TestDisk, mode: RecoveryMode) -> Broker {
    open_on(disk, &["data"], mode).0
}

fn open_on(disk: &TestDisk, dirs: &[&str], mode: RecoveryMode) -> (Broker, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let config = BrokerConfig::default().seed(7).offsets_topic_num_partitions(2);
    let builder = Broker::builder().storage(disk.clone()).clock(clock.clone()).config(config).recovery(mode);
    (dirs.iter().fold(builder, |builder, dir| builder.log_dir(dir)).open().unwrap(), clock)
}

fn open(disk: &TestDisk) -> Broker {
    open_in(disk, RecoveryMode::Repair)
}

/// A broker with a topic `t` of two partitions, of some durable records each.
fn begin(disk: &TestDisk) -> Broker {
    let broker = open(disk);
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    for number in 0..2 {
        fill(&broker, "t", number, 20);
        broker.topic("t").unwrap().partition(number).unwrap().sync().unwrap();
    }
    broker
}

fn subscribed(broker: &Broker, group: &str, assignor: &Arc<dyn Assignor>) -> Consumer {
    let builder = builder(broker).group(group).max_poll_records(1).assignors([Arc::clone(assignor)]);
    let mut consumer = builder.build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    consumer
}

type Offsets = BTreeMap<TopicPartition, u64>;

fn committed_of(broker: &Broker, group: &str) -> Result<Offsets> {
    let mut consumer = builder(broker).group(group).build()?;
    let found = consumer.committed(&[partition("t", 0), partition("t", 1)])?;
    Ok(found.into_iter().map(|(partition, committed)| (partition, committed.offset.into())).collect())
}

fn positions(consumer: &mut Consumer) -> Result<Offsets> {
    let assigned = consumer.assignment();
    let position = |partition: TopicPartition| Ok((partition.clone(), consumer.position(&partition)?.into()));
    assigned.into_iter().map(position).collect()
}

/// An error of the disk, which says where; or what follows from one in the log of offsets.
fn check_typed(error: &Error) {
    match error {
        Error::Io { .. } => {}
        Error::Poisoned { topic, .. } => assert_eq!(topic, OFFSETS, "{error:?}"),
        Error::DeliveryFailed { topic, source, .. } => {
            assert_eq!(topic, OFFSETS, "{error:?}");
            check_typed(source);
        }
        Error::Fetch { source, .. } => check_typed(source),
        error => panic!("{error:?}"),
    }
}

/// Whether the log of offsets is poisoned, and says so.
fn is_poisoned(error: &Error) -> bool {
    match error {
        Error::Poisoned { topic, .. } => topic == OFFSETS,
        Error::DeliveryFailed { source, .. } => is_poisoned(source),
        _ => false,
    }
}

/// A group at work while a call of the disk fails, and what it was told.
struct Scene {
    disk: TestDisk,
    broker: Broker,
    assignor: Arc<dyn Assignor>,
    members: Vec<Consumer>,
    /// What is committed, and what is on the device of it at least.
    known: Offsets,
    durable: Offsets,
    failed: usize,
}

impl Scene {
    fn new(assignor: Arc<dyn Assignor>) -> Scene {
        let disk = TestDisk::new();
        let broker = begin(&disk);
        let mut first = subscribed(&broker, GROUP, &assignor);
        first.poll(Duration::ZERO).unwrap();
        first.commit().unwrap();
        let known = committed_of(&broker, GROUP).unwrap();
        assert_eq!(known.values().sum::<u64>(), 1);
        let durable = known.clone();
        Scene { disk, broker, assignor, members: vec![first], known, durable, failed: 0 }
    }

    /// Commits and a rebalance, in which any call may fail: the calls that this makes.
    fn play(&mut self, fault: Option<Fault>) -> Range<u64> {
        let begin = self.disk.call_count();
        fault.into_iter().for_each(|fault| self.disk.inject(fault));
        self.poll(1);
        self.commit();
        self.members.push(subscribed(&self.broker, GROUP, &self.assignor));
        self.poll(5);
        self.commit();
        drop(self.members.remove(0));
        self.poll(3);
        self.commit();
        begin..self.disk.call_count()
    }

    fn poll(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for at in 0..self.members.len() {
                let polled = self.members[at].poll(Duration::ZERO).map(drop);
                self.note(polled);
            }
        }
        assert_eq!(
            committed_of(&self.broker, GROUP).unwrap(),
            self.known,
            "nobody commits but who is told to"
        );
    }

    fn note(&mut self, result: Result<()>) -> bool {
        let Err(error) = &result else { return true };
        check_typed(error);
        self.failed += 1;
        false
    }

    fn commit(&mut self) {
        for at in 0..self.members.len() {
            // Without any there is nothing to be told.
            let Some(positions) = positions(&mut self.members[at]).ok().filter(|all| !all.is_empty()) else {
                continue;
            };
            let committed = self.members[at].commit();
            let mut asked = self.known.clone();
            asked.extend(positions);
            let found = committed_of(&self.broker, GROUP).unwrap();
            match &committed {
                Ok(()) => {
                    assert_eq!(found, asked);
                    self.durable = found.clone();
                }
                // What was appended counts, whether or not it is on the device.
                Err(Error::Poisoned { .. }) if found == asked => {}
                // It has not settled after what failed in a rebalance.
                Err(
                    Error::RebalanceInProgress { .. }
                    | Error::IllegalGeneration { .. }
                    | Error::UnknownMember { .. },
                ) => {
                    assert!(self.failed > 0 && found == self.known, "{committed:?}");
                    continue;
                }
                Err(_) => assert_eq!(found, self.known, "{committed:?}"),
            }
            self.known = found;
            self.note(committed);
        }
    }

    /// The disk works again, and so does the group, without being opened again; or its log is poisoned, and says so. Gives whether
    /// it works.
    fn go_on(&mut self) -> bool {
        self.disk.heal();
        self.members.push(subscribed(&self.broker, GROUP, &self.assignor));
        let mut has_ended = false;
        for _ in 0..8 {
            for member in &mut self.members {
                match member.poll(Duration::ZERO) {
                    Ok(_) => {}
                    Err(error) if is_poisoned(&error) => has_ended = true,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        if !has_ended {
            assert_eq!(shares(&self.members), [1, 1]);
        }
        for at in 0..self.members.len() {
            match self.members[at].commit() {
                Ok(()) => {}
                Err(error) if is_poisoned(&error) => has_ended = true,
                Err(error) => assert!(has_ended, "{error:?}"),
            }
        }
        let now = committed_of(&self.broker, GROUP).unwrap();
        if has_ended {
            assert_eq!(now, self.known);
        } else {
            (self.known, self.durable) = (now.clone(), now);
        }
        !has_ended
    }

    /// Another process knows what was told, and a power cut takes no more than what was not said to be durable.
    fn check_others(&self) {
        let at = |crash| committed_of(&open(&self.disk.after(crash)), GROUP).unwrap();
        assert_eq!(at(Crash::Kill), self.known);
        let left = at(Crash::PowerCut);
        let is_between = |(partition, offset): (&TopicPartition, &u64)| {
            (self.durable.get(partition).copied().unwrap_or(0)..=self.known[partition]).contains(offset)
        };
        assert!(
            left.len() >= self.durable.len() && left.iter().all(is_between),
            "{left:?} of {:?}",
            self.durable
        );
    }
}

fn check_faults(fault: &Fault, is_once: bool, step_by: usize) {
    let assignors: [Arc<dyn Assignor>; 2] = [Arc::new(ByRange), Arc::new(CooperativeSticky)];
    let (mut failed, mut poisoned) = (0, 0);
    for assignor in assignors {
        let calls = Scene::new(Arc::clone(&assignor)).play(None);
        assert!(calls.end - calls.start > 5, "{calls:?}");
        for call in calls.step_by(step_by) {
            let fault = fault.clone();
            let fault = if is_once { fault.at_call(call + 1) } else { fault.from_call(call + 1) };
            told(&format!("{fault}, {}", assignor.name()), || {
                let mut scene = Scene::new(Arc::clone(&assignor));
                scene.play(Some(fault));
                failed += usize::from(scene.failed > 0);
                poisoned += usize::from(!scene.go_on());
                scene.check_others();
            });
        }
    }
    assert!(failed > 5 && poisoned < failed, "{failed}, {poisoned}");
}

#[test]
fn a_call_that_fails_once_around_a_commit_or_a_rebalance_leaves_nothing_half_committed() {
    for fault in [Fault::full(), Fault::io(), Fault::short_write(), Fault::late_write()] {
        check_faults(&fault.on(Calls::All), true, 1);
    }
}

#[test]
fn a_failed_sync_of_a_commit_is_told_and_poisons_the_groups_log_alone() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    let assignor: Arc<dyn Assignor> = Arc::new(ByRange);
    let mut consumers = GROUPS.map(|group| subscribed(&broker, group, &assignor));
    for consumer in &mut consumers {
        consumer.poll(Duration::ZERO).unwrap();
        consumer.commit().unwrap();
        consumer.poll(Duration::ZERO).unwrap();
    }
    disk.inject(Fault::io().on(Calls::Syncs).of(format!("{OFFSETS}-0")));
    let [hit, other] = &mut consumers;
    let error = hit.commit().unwrap_err();
    assert!(matches!(&error, Error::Poisoned { topic, .. } if topic == OFFSETS), "{error:?}");
    disk.heal();
    assert!(matches!(hit.commit(), Err(Error::Poisoned { .. })), "the device is not asked again");
    other.commit().unwrap();
    // What the program has read it may go on with, and the group knows it; only another process may not.
    assert_eq!(committed_of(&broker, GROUPS[0]).unwrap().values().sum::<u64>(), 2);
    hit.poll(Duration::ZERO).unwrap();
    drop(consumers);
    drop(broker);
    let broker = open(&disk.after(Crash::PowerCut));
    let left = GROUPS.map(|group| committed_of(&broker, group).unwrap().values().sum::<u64>());
    assert_eq!(left, [1, 2]);
    subscribed(&broker, GROUPS[0], &assignor).poll(Duration::ZERO).unwrap();
}

#[test]
fn a_full_disk_refuses_commits_and_joins_until_there_is_space() {
    let mut scene = Scene::new(Arc::new(ByRange));
    scene.disk.inject(Fault::full().on(Calls::Steps).of(OFFSETS));
    scene.poll(1);
    for _ in 0..3 {
        let error = scene.members[0].commit().unwrap_err();
        assert!(error.is_storage_full() && error.is_retriable(), "{error:?}");
    }
    scene.members.push(subscribed(&scene.broker, GROUP, &scene.assignor));
    let mut refused = 0;
    for _ in 0..4 {
        for member in &mut scene.members {
            if let Err(error) = member.poll(Duration::ZERO) {
                assert!(error.is_storage_full(), "{error:?}");
                refused += 1;
            }
            assert!(member.assignment().len() < 2 || refused == 0, "nobody is assigned what is not stored");
        }
    }
    assert!(refused > 0);
    assert_eq!(committed_of(&scene.broker, GROUP).unwrap(), scene.known);
    scene.disk.heal();
    settle(&mut scene.members);
    assert_eq!(shares(&scene.members), [1, 1]);
    scene.commit();
    scene.check_others();
}

/// The log of the offsets of one of the groups.
fn offsets_log(number: usize) -> PathBuf {
    PathBuf::from(format!("data/{OFFSETS}-{number}/00000000000000000000.log"))
}

/// Both groups have committed, record by record, up to these.
fn with_commits(acks: Acks, counts: [u64; 2]) -> (TestDisk, Broker) {
    let disk = TestDisk::new();
    drop(begin(&disk));
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let config = BrokerConfig::default().seed(7).offsets_topic_num_partitions(2).offsets_commit_acks(acks);
    let builder = Broker::builder().log_dir("data").storage(disk.clone()).clock(clock);
    let broker = builder.config(config).open().unwrap();
    for (group, count) in GROUPS.into_iter().zip(counts) {
        let mut consumer = builder_of(&broker, group);
        for number in 1..=count {
            consumer.commit_offsets([(partition("t", 0), Offset::try_from(number).unwrap())]).unwrap();
        }
    }
    (disk, broker)
}

/// A consumer outside its group, which commits without a record of members in between.
fn builder_of(broker: &Broker, group: &str) -> Consumer {
    let mut consumer = builder(broker).group(group).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    consumer
}

/// Where the batches of a log begin, and its end.
fn batches(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![0];
    loop {
        let begin = *at.last().unwrap();
        let length = bytes
            .get(begin + 8..begin + 12)
            .map_or(0, |length| u32::from_be_bytes(length.try_into().unwrap()));
        if length == 0 {
            return at;
        }
        at.push(begin + 12 + length as usize);
    }
}

fn sums(broker: &Broker) -> [u64; 2] {
    GROUPS.map(|group| committed_of(broker, group).unwrap().values().sum())
}

#[test]
fn a_torn_tail_of_the_offsets_is_cut_and_what_was_committed_before_it_counts() {
    let (disk, broker) = with_commits(Acks::Leader, [5, 3]);
    let log = disk.files().remove(&offsets_log(0)).unwrap();
    let ends = batches(&log);
    assert_eq!(ends.len(), 6);
    for cut in ends[4] + 1..ends[5] {
        let disk = disk.after(Crash::Kill);
        disk.put(offsets_log(0), &log[..cut]).unwrap();
        let broker = open(&disk);
        assert_eq!(sums(&broker), [4, 3], "cut at {cut} of {ends:?}");
        let mut consumer = builder_of(&broker, GROUPS[0]);
        assert_eq!(consumer.position(&partition("t", 0)).unwrap(), 4);
        consumer.commit_offsets([(partition("t", 0), Offset::from(9))]).unwrap();
        drop((consumer, broker));
        assert_eq!(sums(&open(&disk.after(Crash::PowerCut))), [9, 3]);
    }
    drop(broker);
}

#[test]
fn damage_in_what_was_acknowledged_fails_the_groups_of_that_partition_by_name() {
    let (disk, broker) = with_commits(Acks::All, [5, 3]);
    broker.close().unwrap();
    drop(broker);
    let log = disk.files().remove(&offsets_log(0)).unwrap();
    let at = batches(&log)[2] + 70;
    for is_clean in [true, false] {
        let disk = disk.after(Crash::Kill);
        if !is_clean {
            // Opened once more, and killed.
            let broker = open(&disk);
            builder_of(&broker, GROUPS[0]).commit_offsets([(partition("t", 0), Offset::from(6))]).unwrap();
            let _ = disk.restart(Crash::Kill);
        }
        let disk = disk.after(Crash::Kill);
        let mut log = disk.files().remove(&offsets_log(0)).unwrap();
        log[at] ^= 1;
        disk.put(offsets_log(0), &log).unwrap();
        let damaged = disk.after(Crash::Kill);

        let broker = open(&disk);
        let assignor: Arc<dyn Assignor> = Arc::new(ByRange);
        let of_group = |error: Error| {
            let is_named = matches!(&error, Error::PartitionOffline { topic, partition, source }
                if topic == OFFSETS && u32::from(*partition) == 0 && source.is_corruption());
            assert!(is_named, "clean {is_clean}: {error:?}");
        };
        of_group(committed_of(&broker, GROUPS[0]).unwrap_err());
        of_group(broker.admin().describe_group(GROUPS[0]).unwrap_err());
        // Not a consumer that begins where the group has not got to: nothing is passed over or read twice for want of knowing.
        of_group(builder(&broker).group(GROUPS[0]).build().unwrap_err());
        let mut other = subscribed(&broker, GROUPS[1], &assignor);
        assert_eq!(other.poll(Duration::ZERO).unwrap().len(), 1);
        other.commit().unwrap();
        assert_eq!(committed_of(&broker, GROUPS[1]).unwrap().values().sum::<u64>(), 4);
        drop((other, broker));

        let broker = open_in(&damaged, RecoveryMode::Salvage);
        let last = if is_clean { 5 } else { 6 };
        assert_eq!(sums(&broker), [last, 3], "what is behind the lost range counts");
        builder_of(&broker, GROUPS[0]).commit_offsets([(partition("t", 0), Offset::from(8))]).unwrap();
        drop(broker);
        let broker = open(&damaged.after(Crash::Kill));
        assert_eq!(sums(&broker), [8, 3], "and is passed over for good");
        let mut member = subscribed(&broker, GROUPS[0], &assignor);
        assert_eq!(member.poll(Duration::ZERO).unwrap().len(), 1);
    }
}

#[test]
fn offsets_of_a_deleted_topic_do_not_come_back_for_another_of_its_name() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    builder_of(&broker, GROUP).commit_offsets([(partition("t", 0), Offset::from(5))]).unwrap();
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    fill(&broker, "t", 0, 20);
    broker.topic("t").unwrap().partition(0).unwrap().sync().unwrap();
    assert_eq!(committed_of(&broker, GROUP).unwrap(), Offsets::new());
    let broker = open(&disk.after(Crash::PowerCut));
    assert_eq!(committed_of(&broker, GROUP).unwrap(), Offsets::new());
    assert_eq!(builder_of(&broker, GROUP).position(&partition("t", 0)).unwrap(), 0);
}

#[test]
fn what_a_deletion_could_not_forget_for_good_does_not_come_back_for_another_topic() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    builder_of(&broker, GROUPS[0]).commit_offsets([(partition("t", 0), Offset::from(5))]).unwrap();
    disk.inject(Fault::io().on(Calls::Syncs).of(OFFSETS));
    broker.admin().delete_topic("t").unwrap();
    disk.heal();
    // It is forgotten, but a power cut could bring it back.
    let error = broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap_err();
    assert!(matches!(&error, Error::Poisoned { topic, .. } if topic == OFFSETS), "{error:?}");
    let broker = open(&disk.restart(Crash::PowerCut));
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    assert_eq!(committed_of(&broker, GROUPS[0]).unwrap(), Offsets::new());
}

#[test]
fn nothing_is_assigned_of_a_topic_that_cannot_be_created_because_groups_are_offline() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    for group in GROUPS {
        builder_of(&broker, group).commit_offsets([(partition("t", 0), Offset::from(5))]).unwrap();
    }
    broker.close().unwrap();
    drop(broker);
    let mut log = disk.files().remove(&offsets_log(0)).unwrap();
    log[70] ^= 1;
    disk.put(offsets_log(0), &log).unwrap();
    let config = BrokerConfig::default().seed(7).offsets_topic_num_partitions(2).auto_create_topics(true);
    let builder_on = Broker::builder().log_dir("data").storage(disk).config(config);
    let broker = builder_on.clock(ManualClock::new(Timestamp::from_millis(START))).open().unwrap();
    let mut consumer = builder(&broker).group(GROUPS[1]).build().unwrap();
    let error = consumer.assign([partition("t", 0), partition("new", 0)]).unwrap_err();
    assert!(matches!(&error, Error::PartitionOffline { topic, .. } if topic == OFFSETS), "{error:?}");
    assert!(consumer.assignment().is_empty());
    consumer.assign([partition("t", 0)]).unwrap();
}

#[test]
fn what_was_forgotten_for_its_age_does_not_come_back_for_another_topic() {
    let disk = TestDisk::new();
    let (broker, clock) = open_on(&disk, &["data"], RecoveryMode::Repair);
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    fill(&broker, "t", 0, 20);
    builder_of(&broker, GROUPS[0]).commit_offsets([(partition("t", 0), Offset::from(5))]).unwrap();
    clock.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(committed_of(&broker, GROUPS[0]).unwrap(), Offsets::new());
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    let broker = open(&disk.after(Crash::PowerCut));
    assert_eq!(committed_of(&broker, GROUPS[0]).unwrap(), Offsets::new());
}

#[test]
fn groups_in_a_directory_that_is_gone_keep_topics_from_being_created_but_in_a_salvage() {
    let disk = TestDisk::new();
    let (broker, _) = open_on(&disk, &["data", "more"], RecoveryMode::Repair);
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    for group in GROUPS {
        builder_of(&broker, group).commit_offsets([(partition("t", 0), Offset::from(0))]).unwrap();
    }
    broker.close().unwrap();
    drop(broker);
    let create = |mode, name| open_in(&disk, mode).admin().create_topic(NewTopic::new(name)).map(drop);
    let refused = |error: Error| {
        assert!(matches!(&error, Error::PartitionOffline { topic, .. } if topic == OFFSETS), "{error:?}");
    };
    refused(create(RecoveryMode::Repair, "new").unwrap_err());
    create(RecoveryMode::Salvage, "new").unwrap();
    // Nothing of that is kept: the directory may be back.
    refused(create(RecoveryMode::Repair, "newer").unwrap_err());
}

#[test]
fn no_topic_is_created_while_what_was_committed_of_an_earlier_one_cannot_be_read() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    builder_of(&broker, GROUPS[0]).commit_offsets([(partition("t", 0), Offset::from(5))]).unwrap();
    broker.close().unwrap();
    drop(broker);
    let whole = disk.files().remove(&offsets_log(0)).unwrap();
    let mut damaged = whole.clone();
    damaged[batches(&whole)[0] + 70] ^= 1;
    disk.put(offsets_log(0), &damaged).unwrap();

    let broker = open(&disk);
    broker.admin().delete_topic("t").unwrap();
    for name in ["t", "new"] {
        let error = broker.admin().create_topic(NewTopic::new(name)).unwrap_err();
        assert!(matches!(&error, Error::PartitionOffline { topic, .. } if topic == OFFSETS), "{error:?}");
    }
    broker.close().unwrap();
    drop(broker);
    disk.put(offsets_log(0), &whole).unwrap();
    let broker = open(&disk);
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    assert_eq!(committed_of(&broker, GROUPS[0]).unwrap(), Offsets::new());
    drop(broker);
    assert_eq!(committed_of(&open(&disk.after(Crash::PowerCut)), GROUPS[0]).unwrap(), Offsets::new());
}

#[test]
fn a_group_that_committed_what_a_power_cut_took_reads_what_comes_in_its_place() {
    let disk = TestDisk::new();
    let broker = begin(&disk);
    fill(&broker, "t", 0, 5);
    builder_of(&broker, GROUP).commit_offsets([(partition("t", 0), Offset::from(25))]).unwrap();
    let disk = disk.restart(Crash::PowerCut);
    drop(broker);
    let broker = open(&disk);
    let end = broker.topic("t").unwrap().partition(0).unwrap().log_end_offset();
    assert_eq!(end, 20, "they were not durable");
    fill(&broker, "t", 0, 10);
    assert_eq!(builder_of(&broker, GROUP).position(&partition("t", 0)).unwrap(), 20);
}
