//! The program: its steps, as the input gives them, and what they work on.

use std::collections::BTreeMap;
use std::time::Duration;

use streamlog::testing::TestDisk;
use streamlog::{Broker, BrokerConfig, ManualClock, Partition, Result, Timestamp, TopicConfig};

use super::super::files::{DATA, START};
use super::super::input::Input;
use super::super::memory;
use super::groups::{GROUPS, Group};
use super::members::Member;
use super::topics::Topic;
use super::writes::Model;

/// What one program may take: brokers, and a disk that remembers each change since the last sync.
const MEMORY_BYTES: usize = 256 << 20;
const STEPS_MAX: usize = 80;
/// A member that polls in shorter intervals stays one.
const SESSION_MILLIS: u64 = 45_000;
/// Longer than a program takes, so that no group forgets anything by itself.
const RETENTION: Duration = Duration::from_secs(1000 * 24 * 60 * 60);
/// From here on a byte stands for a step with groups. Those below keep their meaning, for the kept inputs' sake.
const GROUP_STEPS: u8 = 224;

/// Runs one program.
pub fn run(data: &[u8]) {
    memory::within(MEMORY_BYTES, || {
        let mut input = Input::new(data);
        let mut run = Run::new(input.byte());
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            run.step(&mut input);
        }
        run.finish();
    });
}

pub(super) struct Run {
    pub(super) disk: TestDisk,
    pub(super) clock: ManualClock,
    pub(super) broker: Option<Broker>,
    pub(super) topics: BTreeMap<&'static str, Topic>,
    /// Creations that failed, with their partitions: the next open may complete any of them.
    pub(super) may_appear: BTreeMap<&'static str, Vec<u32>>,
    pub(super) config: TopicConfig,
    /// Whether the disk has been made to fail since the broker was opened: then an operation may fail.
    pub(super) is_troubled: bool,
    /// Numbers the records, so that no two are alike.
    pub(super) next_number: u32,
    pub(super) groups: [Group; GROUPS.len()],
    /// Of any group, in the order in which they came.
    pub(super) members: Vec<Member>,
}

impl Run {
    fn new(mode: u8) -> Run {
        let config = TopicConfig::default().index_interval_bytes([0, 100, 4096][usize::from(mode % 3)]);
        let config = match mode / 3 % 5 {
            0 => config.segment_bytes(1024),
            1 => config.segment_age(Duration::from_millis(400)),
            2 => config.flush_messages(3).segment_bytes(2000),
            3 => config.flush_interval(Duration::from_millis(300)),
            _ => config.preallocate(true).segment_bytes(3000),
        };
        let (disk, clock) = (TestDisk::new(), ManualClock::new(Timestamp::from_millis(START)));
        let mut run = Run {
            disk,
            clock,
            broker: None,
            topics: BTreeMap::new(),
            may_appear: BTreeMap::new(),
            config,
            is_troubled: false,
            next_number: 0,
            groups: Default::default(),
            members: Vec::new(),
        };
        run.broker = Some(run.open().unwrap());
        run
    }

    pub(super) fn open(&self) -> Result<Broker> {
        let builder = Broker::builder().log_dir(DATA).storage(self.disk.clone()).clock(self.clock.clone());
        builder.config(BrokerConfig::default().seed(7).offsets_retention(RETENTION)).open()
    }

    pub(super) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("a broker is open between the steps")
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let byte = input.byte();
        if byte >= GROUP_STEPS {
            self.group_step(byte - GROUP_STEPS, input);
        } else {
            self.record_step(byte % 32, input);
        }
        if self.disk.is_down() {
            self.crash(input);
        }
        self.check_offsets();
        self.look_at_groups();
    }

    fn record_step(&mut self, step: u8, input: &mut Input<'_>) {
        match step {
            0..5 => self.append(input),
            5 => self.append_batch(input),
            6..9 => self.send(input),
            9..12 => self.sync(input),
            12..15 => self.read(input),
            15 => self.look_up(input),
            16 => self.poll(input),
            17 => self.read_flipped(input),
            18 | 19 => self.wait(input),
            20 => self.create(input),
            21 => self.extend(input),
            22 => self.alter(input),
            23 => self.delete(input),
            24 | 25 => self.break_disk(input),
            26 => self.disk.heal(),
            27 => self.reopen(input),
            28 | 29 => self.crash(input),
            30 => self.crash_in_recovery(input),
            _ => self.check_all(),
        }
    }

    fn group_step(&mut self, step: u8, input: &mut Input<'_>) {
        match step {
            0..4 => self.join(input),
            4..12 => self.poll_some(input),
            12..17 => self.commit(input),
            17 | 18 => self.poll_in_time(input),
            19..22 => self.leave(input),
            22..25 => self.come_to_rest(input),
            25 | 26 => self.commit_from_outside(input),
            27 | 28 => self.reset(input),
            29 => self.delete_offsets(input),
            30 => self.delete_group(input),
            _ => self.check_begins(),
        }
    }

    /// Everything once more; then closed in order, opened, and everything again.
    fn finish(&mut self) {
        self.disk.heal();
        self.check_all();
        self.reopen(&mut Input::new(&[]));
        self.check_all();
        self.crash(&mut Input::new(&[1]));
        self.check_all();
    }

    /// Where there are partitions.
    pub(super) fn places(&self) -> Vec<(&'static str, usize)> {
        let all = self.topics.iter();
        all.flat_map(|(name, topic)| (0..topic.partitions.len()).map(move |at| (*name, at))).collect()
    }

    /// One of the partitions that there are, and its model's place.
    pub(super) fn pick(&self, input: &mut Input<'_>) -> Option<(&'static str, usize, Partition)> {
        let places = self.places();
        if places.is_empty() {
            return None;
        }
        let (name, at) = places[input.below(places.len())];
        Some((name, at, self.partition(name, at)))
    }

    pub(super) fn partition(&self, name: &str, at: usize) -> Partition {
        self.broker().topic(name).unwrap().partition(u32::try_from(at).unwrap()).unwrap()
    }

    pub(super) fn model(&mut self, name: &str, at: usize) -> &mut Model {
        &mut self.topics.get_mut(name).unwrap().partitions[at]
    }

    pub(super) fn wait(&mut self, input: &mut Input<'_>) {
        let millis = [1, 100, 500, 70_000, 24 * 60 * 60 * 1000][input.below(5)];
        self.clock.advance(Duration::from_millis(millis));
        if millis >= SESSION_MILLIS {
            // Who did not poll for so long may be a member no more.
            self.unsettle();
        }
    }
}
