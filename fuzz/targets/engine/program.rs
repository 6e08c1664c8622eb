//! The program: its steps, as the input gives them, and what they work on.

use std::collections::BTreeMap;
use std::time::Duration;

use streamlog::testing::TestDisk;
use streamlog::{Broker, BrokerConfig, ManualClock, Partition, Result, Timestamp, TopicConfig};

use super::super::files::{DATA, START};
use super::super::input::Input;
use super::super::memory;
use super::topics::Topic;
use super::writes::Model;

/// What one program may take: brokers, and a disk that remembers each change since the last sync.
const MEMORY_BYTES: usize = 256 << 20;
const STEPS_MAX: usize = 80;

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
}

impl Run {
    pub(super) fn new(mode: u8) -> Run {
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
        };
        run.broker = Some(run.open().unwrap());
        run
    }

    pub(super) fn open(&self) -> Result<Broker> {
        let builder = Broker::builder().log_dir(DATA).storage(self.disk.clone()).clock(self.clock.clone());
        builder.config(BrokerConfig::default().seed(7)).open()
    }

    pub(super) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("a broker is open between the steps")
    }

    pub(super) fn step(&mut self, input: &mut Input<'_>) {
        match input.below(32) {
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
        if self.disk.is_down() {
            self.crash(input);
        }
        self.check_offsets();
    }

    /// Everything once more; then closed in order, opened, and everything again.
    pub(super) fn finish(&mut self) {
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
    }
}
