//! The soak: who directs it, what it prints, and what must hold at its end.
//!
//! The disk stays bounded, because a topic that has taken its share ends and is deleted. A topic that is created and deleted leaves
//! some 1.6 KiB in the catalog's log, which is not compacted yet: one each few seconds is too little to be seen.

#![expect(clippy::print_stdout, reason = "it tells how far it is, and what is held")]

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use streamlog::{
    Admin, Broker, BrokerConfig, Clock, Compression, Error, NewTopic, Record, SystemClock, TopicCompression,
    TopicConfig,
};
use tempfile::TempDir;

use super::follower::{Follower, Manner};
use super::member::Member;
use super::process::Held;
use super::sender::Sender;
use super::stage::{Counts, Live, PARTITIONS_MAX, SENDERS, Stage};
use crate::kit::Seed;

/// How long it runs, in seconds; 600 where it is not said.
const SECONDS: &str = "STREAMLOG_SOAK_SECONDS";
/// How much is sent, in KiB of a second, by all together; 3072 where it is not said.
const RATE: &str = "STREAMLOG_SOAK_KIB_PER_SECOND";

/// How many heaps glibc may make.
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Topics that are sent to at one time.
const LIVE_TOPICS: usize = 3;
/// Members of the group.
const MEMBERS: u64 = 3;
/// A topic ends when so much was sent to it.
const TOPIC_BYTES: u64 = 16 << 20;
/// So long a step may take before it is said to hang. Far more than any takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn number_of(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn broker_config() -> BrokerConfig {
    let config = BrokerConfig::default().max_open_files(64);
    config.checkpoint_interval(Duration::from_secs(2)).checkpoint_bytes(8 << 20)
}

/// Whoever directs the soak.
struct Director {
    directory: TempDir,
    clock: SystemClock,
    seed: Seed,
    length: Duration,
    counts: Arc<Counts>,
    topics: Vec<Arc<Live>>,
    next_topic: u64,
    /// Each second's.
    samples: Vec<Held>,
    senders: Vec<Sender>,
    followers: Vec<Follower>,
    members: Vec<Member>,
    /// When it last said something, and how much had been done by then.
    said: (Duration, [u64; 3]),
}

#[test]
#[ignore = "runs for ten minutes, or for STREAMLOG_SOAK_SECONDS"]
fn everything_at_once_loses_nothing_and_leaks_nothing() {
    if env::var_os(HEAPS).is_none() {
        return run_with_one_heap("soak::run::everything_at_once_loses_nothing_and_leaks_nothing");
    }
    let (rate, seconds) = (number_of(RATE, 3072) * 1024 / SENDERS as u64, number_of(SECONDS, 600));
    assert!(seconds >= 30, "{seconds} s are too few to tell whether memory grows: at least 30");
    let mut director = Director {
        directory: tempfile::tempdir().unwrap(),
        clock: SystemClock::new(),
        seed: Seed::new(1),
        length: Duration::from_secs(seconds),
        counts: Arc::default(),
        topics: Vec::new(),
        next_topic: 0,
        samples: Vec::new(),
        senders: (0..SENDERS).map(|number| Sender::new(number, rate)).collect(),
        followers: Manner::ALL.into_iter().map(Follower::new).collect(),
        members: (0..MEMBERS).map(Member::new).collect(),
        said: (Duration::ZERO, [0; 3]),
    };
    fill_the_pools();
    while director.clock.monotonic() < director.length {
        director.run_once();
    }
    director.say();
    director.check_flat();
}

/// Runs the test in a process of its own, in which all threads share one heap of the C library's. Otherwise it makes one for each
/// few threads and keeps in each what was ever needed there: with nothing leaked, memory would grow for longer than this runs.
fn run_with_one_heap(test: &str) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--include-ignored", "--nocapture"]).env(HEAPS, "1");
    let ended = child.status().unwrap();
    assert!(ended.success(), "{ended}");
}

impl Director {
    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn open(&self) -> Broker {
        let builder = Broker::builder().log_dir(self.data()).clock(self.clock.clone());
        let broker = builder.config(broker_config()).open().unwrap();
        let report = broker.recovery_report();
        let is_first = self.counts.opened.fetch_add(1, SeqCst) == 0;
        assert_eq!(report.was_clean, !is_first, "{report}");
        assert!(report.partitions.iter().all(|one| !one.is_notable()), "{report}");
        assert!(report.unknown_directories.is_empty() && report.ignored_files.is_empty(), "{report}");
        for topic in &self.topics {
            let stored = broker.topic(&topic.name).unwrap();
            let partitions = stored.partitions().map(Result::unwrap);
            let ends: Vec<_> = partitions.map(|partition| u64::from(partition.log_end_offset())).collect();
            assert_eq!(ends, topic.totals(), "{}", topic.name);
        }
        broker
    }

    /// From one open to the close: all senders, followers and members at work, topics that come, change and go.
    fn run_once(&mut self) {
        let broker = self.open();
        let topics = std::mem::take(&mut self.topics);
        let stage = Arc::new(Stage::new(broker, self.clock.clone(), topics, Arc::clone(&self.counts)));
        while stage.topics.read().unwrap().iter().filter(|topic| topic.ends.get().is_none()).count()
            < LIVE_TOPICS
        {
            self.create(&stage);
        }
        let senders = start(&stage, std::mem::take(&mut self.senders), Sender::run);
        let followers = start(&stage, std::mem::take(&mut self.followers), Follower::run);
        let members = start(&stage, std::mem::take(&mut self.members), Member::run);

        let span = (self.length / 8).clamp(Duration::from_secs(4), Duration::from_secs(30));
        let began = self.clock.monotonic();
        let mut ticks = 0;
        while self.clock.monotonic() < began + span {
            ticks += 1;
            stage.rest_until(began + ticks * Duration::from_secs(1));
            self.direct(&stage);
            self.samples.push(Held::now(&self.data()));
            if self.clock.monotonic() >= self.said.0 + Duration::from_secs(30) {
                self.say();
            }
        }

        stage.is_over.store(true, SeqCst);
        self.senders = end(senders);
        self.members = end(members);
        for topic in stage.topics.read().unwrap().iter() {
            let stored = stage.broker.topic(&topic.name).unwrap();
            for partition in stored.partitions() {
                partition.unwrap().sync().unwrap();
            }
        }
        stage.is_ending.store(true, SeqCst);
        stage.announce();
        self.followers = end(followers);
        self.topics = stage.topics.read().unwrap().clone();
        stage.broker.close().unwrap();
    }

    /// What is done each second.
    fn direct(&mut self, stage: &Stage) {
        let topics = stage.topics.read().unwrap().clone();
        let (ended, live): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|topic| topic.ends.get().is_some());
        for topic in ended.iter().filter(|topic| topic.finished.load(SeqCst) == Manner::ALL.len()) {
            self.delete(stage, topic);
        }
        let is_due = |topic: &&Arc<Live>| topic.bytes.load(SeqCst) > TOPIC_BYTES;
        match live.iter().find(is_due) {
            // One after the other: who follows needs time to come to its end.
            Some(topic) if ended.len() < 2 => self.replace(stage, topic),
            _ => {
                let topic = &live[self.seed.below(live.len())];
                match self.seed.below(5) {
                    0 => self.grow(stage, topic),
                    1 | 2 => self.alter(stage, topic),
                    3 => self.create_and_delete(stage),
                    _ => {}
                }
            }
        }
    }

    fn config(&mut self) -> TopicConfig {
        let codecs: Vec<_> = Seed::codecs().collect();
        let compression = match self.seed.below(3) {
            0 => TopicCompression::Codec(codecs[self.seed.below(codecs.len())]),
            1 => TopicCompression::Codec(Compression::None),
            _ => TopicCompression::Producer,
        };
        let config = TopicConfig::default()
            .segment_bytes([256 << 10, 1 << 20, 4 << 20][self.seed.below(3)])
            .index_interval_bytes([1_000, 4_096][self.seed.below(2)])
            .compression(compression)
            .preallocate(self.seed.below(8) == 0);
        match self.seed.below(3) {
            0 => config.flush_messages(200),
            1 => config.flush_interval(Duration::from_millis(200)),
            _ => config,
        }
    }

    fn create(&mut self, stage: &Stage) {
        let name = format!("soak-{}", self.next_topic);
        self.next_topic += 1;
        let count = 1 + u32::try_from(self.seed.below(3)).unwrap();
        let topic = NewTopic::new(&name).partitions(count).config(self.config());
        stage.broker.admin().create_topic(topic).unwrap();
        let live = Live::new(name, count);
        stage.topics.write().unwrap().push(Arc::new(live));
        stage.announce();
        self.counts.created.fetch_add(1, SeqCst);
    }

    /// Ends a topic, so that it is deleted once all have read it, and begins another.
    fn replace(&mut self, stage: &Stage, topic: &Arc<Live>) {
        self.create(stage);
        {
            // Nothing is on its way while this is held.
            let _no_sender = stage.topics.write().unwrap();
            topic.ends.set(topic.totals()).unwrap();
        }
        let stored = stage.broker.topic(&topic.name).unwrap();
        for (partition, total) in stored.partitions().map(Result::unwrap).zip(topic.totals()) {
            partition.sync().unwrap();
            assert_eq!(partition.log_end_offset(), total, "{}", topic.name);
        }
        stage.announce();
    }

    fn delete(&self, stage: &Stage, topic: &Arc<Live>) {
        stage.topics.write().unwrap().retain(|known| !Arc::ptr_eq(known, topic));
        stage.announce();
        stage.broker.admin().delete_topic(&topic.name).unwrap();
        self.counts.committed.forget(&topic.name);
        self.counts.deleted.fetch_add(1, SeqCst);
    }

    fn grow(&self, stage: &Stage, topic: &Arc<Live>) {
        let count = topic.partition_count() + 1;
        if count <= PARTITIONS_MAX {
            let total = u32::try_from(count).unwrap();
            stage.broker.admin().create_partitions(&topic.name, total).unwrap();
            topic.partitions.store(total, SeqCst);
            stage.announce();
            self.counts.grown.fetch_add(1, SeqCst);
        }
    }

    fn alter(&mut self, stage: &Stage, topic: &Arc<Live>) {
        let reset: &[&str] = if self.seed.below(2) == 0 { &["flush.messages", "flush.ms"] } else { &[] };
        let changes = if reset.is_empty() { self.config() } else { TopicConfig::default() };
        stage.broker.admin().alter_topic_config(&topic.name, changes, reset).unwrap();
        self.counts.altered.fetch_add(1, SeqCst);
    }

    /// A topic that is deleted while records are on their way to it: each is told to have come, or not.
    fn create_and_delete(&self, stage: &Stage) {
        let admin: Admin = stage.broker.admin();
        admin.create_topic(NewTopic::new("passing").partitions(2)).unwrap();
        let producer = stage.broker.producer().linger(Duration::from_millis(5)).build().unwrap();
        let deliveries: Vec<_> =
            (0..20).map(|_| producer.send(Record::to("passing").value("x")).unwrap()).collect();
        admin.delete_topic("passing").unwrap();
        for delivery in deliveries {
            if let Err(error) = delivery.wait() {
                assert!(matches!(error, Error::DeliveryFailed { .. }), "{error}");
            }
        }
        self.counts.passed.fetch_add(1, SeqCst);
    }

    fn say(&mut self) {
        let now = self.clock.monotonic();
        let counts = &self.counts;
        let done = [&counts.sent, &counts.read, &counts.sent_bytes].map(|count| count.load(SeqCst));
        let seconds = (now - self.said.0).as_secs_f64();
        let rate = |at: usize| (done[at] - self.said.1[at]) as f64 / seconds;
        println!(
            "{:>5.0} s: {:.0} records/s sent ({:.2} MiB/s), {:.0} records/s read; {}",
            now.as_secs_f64(),
            rate(0),
            rate(2) / f64::from(1 << 20),
            rate(1),
            Held::now(&self.data()),
        );
        println!("         {counts:?}");
        self.said = (now, done);
    }

    /// What is held does not grow: the last quarter against the second, with room for what comes and goes.
    fn check_flat(&self) {
        let quarter = self.samples.len() / 4;
        let before = Held::median(&self.samples[quarter..2 * quarter]);
        let after = Held::median(&self.samples[self.samples.len() - quarter..]);
        println!("second quarter: {before}");
        println!("last quarter:   {after}");
        let mib = |count: u64| count << 20;
        let (from, to) = (before.allocated, after.allocated);
        // Exact, and the pools are full: no share of it may come on top.
        assert!(to <= from + mib(2), "allocated memory went from {from} to {to}");
        for (what, before, after, more) in [
            ("private memory", before.private, after.private, mib(16)),
            ("resident memory", before.resident, after.resident, mib(64)),
            ("descriptors", before.descriptors, after.descriptors, 16),
            ("files", before.files, after.files, 100),
            ("bytes on disk", before.file_bytes, after.file_bytes, mib(64)),
        ] {
            assert!(after <= before + before / 4 + more, "{what} went from {before} to {after}");
        }
        let held = self.samples.iter().map(|held| held.file_bytes).max().unwrap_or(0);
        // Those that are sent to and those that are read to their end, with what was prepared ahead.
        assert!(held < 12 * TOPIC_BYTES + mib(256), "{held} bytes on disk");
    }
}

/// Lets the process have what it keeps for reuse, 32 MiB of buffers of all sizes, from the start. They would come one after the
/// other, over minutes, and look like a leak.
fn fill_the_pools() {
    let codec = Compression::Lz4;
    if !codec.is_available() {
        return;
    }
    let broker = Broker::in_memory().unwrap();
    let topic = broker.admin().create_topic(NewTopic::new("pools")).unwrap();
    let partition = topic.partition(0).unwrap().compression(codec);
    let mut held = Vec::new();
    for bytes in (12..=22).map(|power| 1_usize << power) {
        // A little less than a power of two is taken from the buffers of that size.
        let from = partition.append(&[Record::new().value(&vec![b'x'; bytes - bytes / 8])]).unwrap().start;
        for _ in 0..((4 << 20) / bytes).min(64) {
            let batches = partition.read(from, 1).unwrap();
            held.extend(batches.iter().map(|batch| batch.records().unwrap()).collect::<Vec<_>>());
        }
    }
}

type Ended<T> = (Vec<thread::JoinHandle<()>>, mpsc::Receiver<T>);

fn start<T: Send + 'static>(stage: &Arc<Stage>, those: Vec<T>, run: fn(T, &Stage) -> T) -> Ended<T> {
    let (tell, told) = mpsc::channel();
    let threads = those.into_iter().map(|one| {
        let (stage, tell) = (Arc::clone(stage), tell.clone());
        thread::spawn(move || {
            let one = run(one, &stage);
            // Not before it has let the broker go.
            drop(stage);
            tell.send(one).unwrap();
        })
    });
    (threads.collect(), told)
}

/// Those that have come to their end, all of them.
fn end<T>((threads, told): Ended<T>) -> Vec<T> {
    let mut ended = Vec::new();
    while ended.len() < threads.len() {
        match told.recv_timeout(PATIENCE) {
            Ok(one) => ended.push(one),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody sleeps for ever"),
            // One of them has failed, and says itself why.
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    ended
}
