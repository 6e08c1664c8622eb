//! A process under load is killed, again and again over the same directory: several producers, partitions and codecs, rolls,
//! checkpoints, topics that come and go. What it had acknowledged is there afterwards, once, in order, uncorrupted.
//!
//! The child says on its output what was acknowledged, and is killed after so many lines, the number of which is drawn. So no
//! test sleeps, and a round takes as long as those lines take.
//!
//! A few rounds are run with all other tests. The campaign is `--ignored`: `cargo test --release --test it campaign_ -- --ignored
//! --nocapture`.

#![expect(
    clippy::print_stdout,
    reason = "the child is heard by its output, and a campaign tells how far it is"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use streamlog::{
    Acks, Broker, BrokerConfig, Compression, NewTopic, Offset, Partition, Producer, Record, TopicConfig,
};
use tempfile::TempDir;

use crate::kit::{Seed, rows_of};

/// What the child is told; without the directory it is a test that does nothing.
const DIRECTORY: &str = "STREAMLOG_TEST_LOADED_DIR";
const ACKS: &str = "STREAMLOG_TEST_LOADED_ACKS";
const ROUND: &str = "STREAMLOG_TEST_LOADED_ROUND";
const CHILD: &str = "faults::killed_under_load::a_child_under_load_until_it_is_killed";

/// The child's senders, each with a producer of its own.
const SENDERS: u64 = 4;
/// How many records one sender sends, should nobody kill it.
const RECORDS_MAX: u64 = 1_000_000;
/// The most that is acknowledged before a kill.
const ACKNOWLEDGED_MAX: usize = 1_500;
/// Rounds of the campaign, for each kind of acknowledgement.
const CAMPAIGN_ROUNDS: u64 = 200;

/// The topics that stay, with their partitions.
const TOPICS: [(&str, u32); 2] = [("small", 3), ("large", 2)];
/// How many partitions the first of them has.
const SMALL_PARTITIONS: usize = 3;

fn config_of(topic: &str) -> TopicConfig {
    match topic {
        // Rolls all the time.
        "small" => TopicConfig::default().segment_bytes(64 << 10).index_interval_bytes(500),
        _ => TopicConfig::default().segment_bytes(4 << 20).flush_messages(500),
    }
}

fn broker_config() -> BrokerConfig {
    // Few files, so that handles are closed and opened under the load; and checkpoints all the time.
    let config = BrokerConfig::default().max_open_files(16);
    config.checkpoint_interval(Duration::from_millis(20)).checkpoint_bytes(256 << 10)
}

/// The value that a sender gives to a record: who sent it, as which one, and bytes that follow from that.
fn value(sender: u64, round: u64, partition: usize, number: u64) -> Vec<u8> {
    let mut value = format!("{sender} {round} {partition} {number} ").into_bytes();
    let seed = ((sender * 1_000 + round) * 10 + partition as u64) * RECORDS_MAX + number;
    let mut seed = Seed::new(seed);
    // Now and then one that takes long to write, so that some kill comes in the middle of it.
    let most = if partition >= SMALL_PARTITIONS && number.is_multiple_of(61) { 600_000 } else { 300 };
    let count = seed.below(most);
    value.extend(seed.bytes(count));
    value
}

/// What [`value`] was made of, where it was made by it.
fn made_of(stored: &[u8]) -> Option<(u64, u64, usize, u64)> {
    let mut words = stored.split(|byte| *byte == b' ').take(4);
    let mut next = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
    let (sender, round, partition, number) = (next()?, next()?, usize::try_from(next()?).ok()?, next()?);
    (value(sender, round, partition, number) == stored).then_some((sender, round, partition, number))
}

/// All partitions that stay, in one order.
fn partitions(broker: &Broker) -> Vec<Partition> {
    let topics = TOPICS.iter().map(|(name, _)| broker.topic(name).unwrap());
    topics.flat_map(|topic| topic.partitions().map(Result::unwrap).collect::<Vec<_>>()).collect()
}

fn producer(broker: &Broker, sender: u64, acks: Acks) -> Producer {
    let builder = broker.producer().acks(acks);
    let codecs: Vec<_> = Seed::codecs().collect();
    let codec = |number: usize| codecs[number % codecs.len()];
    let builder = match sender {
        0 => builder,
        1 => builder.compression(codec(3)).linger(Duration::from_millis(1)),
        2 => builder.compression(codec(4)).batch_bytes(4_000),
        _ => builder.compression(Compression::None).linger(Duration::from_millis(2)).batch_bytes(800_000),
    };
    builder.build().unwrap()
}

fn send_for_ever(broker: &Broker, sender: u64, round: u64, acks: Acks) {
    let producer = producer(broker, sender, acks);
    let places: Vec<_> =
        TOPICS.iter().flat_map(|(topic, count)| (0..*count).map(move |p| (topic, p))).collect();
    let mut seed = Seed::new(round * SENDERS + sender);
    let mut numbers = vec![0; places.len()];
    while numbers.iter().sum::<u64>() < RECORDS_MAX {
        let burst: Vec<_> = (0..=seed.below(30))
            .map(|_| {
                let at = seed.below(places.len());
                let (number, (topic, partition)) = (numbers[at], places[at]);
                numbers[at] += 1;
                let value = value(sender, round, at, number);
                let record = Record::to(topic).partition(partition).value(&value);
                (at, number, producer.send(record).unwrap())
            })
            .collect();
        for (at, number, delivery) in burst {
            let offset = delivery.wait().unwrap().offset.unwrap();
            println!("acknowledged {at} {offset} {sender} {number}");
        }
    }
}

/// Creates topics and deletes them, one at a time.
fn create_and_delete(broker: &Broker, round: u64, is_over: &AtomicBool) {
    let admin = broker.admin();
    for number in 0..RECORDS_MAX {
        if is_over.load(Relaxed) {
            return;
        }
        let name = format!("passing-{round}-{number}");
        admin.create_topic(NewTopic::new(&name).partitions(2)).unwrap();
        println!("created {name}");
        let producer = broker.producer().build().unwrap();
        for _ in 0..20 {
            producer.send(Record::to(&name).value("x")).unwrap().wait().unwrap();
        }
        println!("deleting {name}");
        admin.delete_topic(&name).unwrap();
        println!("deleted {name}");
    }
}

#[test]
fn a_child_under_load_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let told = |name| std::env::var(name).unwrap();
    let (acks, round) = (told(ACKS).parse::<Acks>().unwrap(), told(ROUND).parse::<u64>().unwrap());
    println!("opening");
    let broker = Broker::builder().log_dir(directory).config(broker_config()).open().unwrap();
    for (name, count) in TOPICS {
        if broker.topic(name).is_err() {
            let topic = NewTopic::new(name).partitions(count).config(config_of(name));
            broker.admin().create_topic(topic).unwrap();
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| create_and_delete(&broker, round, &is_over));
        let senders = (0..SENDERS).map(|sender| {
            let broker = &broker;
            scope.spawn(move || send_for_ever(broker, sender, round, acks))
        });
        senders.collect::<Vec<_>>().into_iter().for_each(|sender| sender.join().unwrap());
        is_over.store(true, Relaxed);
    });
}

/// What is known of a passing topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Created,
    /// A deletion has begun.
    Undecided,
    Deleted,
}

/// One directory that is opened, loaded, and killed over, and what must be in it.
struct Campaign {
    directory: TempDir,
    acks: Acks,
    seed: Seed,
    round: u64,
    /// What has been found in each partition, offset by offset: it stays.
    found: Vec<Vec<Vec<u8>>>,
    /// What was acknowledged and not looked for yet: by partition and offset, the sender and its number, and the round.
    acknowledged: BTreeMap<(usize, u64), (u64, u64, u64)>,
    passing: BTreeMap<String, Passing>,
    acknowledged_count: u64,
    cuts: u64,
    cut_bytes: u64,
    /// Opens that were given up by a kill before anything was acknowledged.
    killed_opens: u64,
    rounds_unseen: u64,
    /// Opens that were checked. One that is refused, and a partition that is offline, ends the campaign.
    opens: u64,
}

impl Campaign {
    fn new(acks: Acks, seed: u64) -> Campaign {
        Campaign {
            directory: tempfile::tempdir().unwrap(),
            acks,
            seed: Seed::new(seed),
            round: 0,
            found: vec![Vec::new(); TOPICS.iter().map(|(_, count)| *count as usize).sum()],
            acknowledged: BTreeMap::new(),
            passing: BTreeMap::new(),
            acknowledged_count: 0,
            cuts: 0,
            cut_bytes: 0,
            killed_opens: 0,
            rounds_unseen: 0,
            opens: 0,
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Lets a child work until it has said so many lines, and kills it. What it had said before it died counts too, where the
    /// line is whole.
    fn kill_after(&mut self, lines: usize) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, self.data())
            .env(ACKS, self.acks.to_string())
            .env(ROUND, self.round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut told) = (String::new(), 0);
        while told < lines && output.read_line(&mut line).unwrap() > 0 {
            told += usize::from(self.note(&line));
            line.clear();
        }
        child.kill().unwrap();
        while output.read_line(&mut line).unwrap() > 0 {
            if line.ends_with('\n') {
                self.note(&line);
            }
            line.clear();
        }
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(told == lines, "round {}: {told} lines of {lines}, and then: {said}", self.round);
        assert!(!ended.status.success(), "it was killed: {said}");
    }

    /// Whether the line is one of those that count.
    fn note(&mut self, line: &str) -> bool {
        // The test harness writes its own words in front of the first.
        let Some(start) = ["opening", "acknowledged ", "created ", "deleting ", "deleted "]
            .into_iter()
            .find_map(|word| line.find(word))
        else {
            return false;
        };
        let mut words = line[start..].split_whitespace();
        let (word, mut rest) = (words.next().unwrap(), words);
        match word {
            "acknowledged" => {
                let mut number = || rest.next().unwrap().parse::<u64>().unwrap();
                let (at, offset, sender, number) = (number(), number(), number(), number());
                let place = (usize::try_from(at).unwrap(), offset);
                let is_second = self.acknowledged.insert(place, (sender, number, self.round)).is_some();
                assert!(!is_second, "the offset {offset} of {at} was told twice");
                self.acknowledged_count += 1;
            }
            "opening" => {}
            _ => {
                let state = match word {
                    "created" => Passing::Created,
                    "deleting" => Passing::Undecided,
                    _ => Passing::Deleted,
                };
                self.passing.insert(rest.next().unwrap().to_owned(), state);
            }
        }
        true
    }

    /// One child and one kill; then, most of the time, a look at what it left.
    fn run_round(&mut self) {
        // Some are killed while they open what the last one left.
        let lines = if self.seed.below(8) == 0 { 1 } else { 2 + self.seed.below(ACKNOWLEDGED_MAX) };
        self.killed_opens += u64::from(lines == 1);
        self.kill_after(lines);
        self.round += 1;
        // Now and then nobody looks, and the next child recovers.
        if self.seed.below(5) == 0 {
            self.rounds_unseen += 1;
        } else {
            self.check();
        }
    }

    /// Opens what the killed ones left, and compares. The broker is closed in order afterwards.
    fn check(&mut self) {
        let broker = Broker::builder().log_dir(self.data()).config(broker_config()).open().unwrap();
        self.opens += 1;
        let report = broker.recovery_report().clone();
        assert!(report.partitions.iter().all(|one| one.offline.is_none()), "round {}: {report}", self.round);
        assert!(report.unknown_directories.is_empty(), "round {}: {report}", self.round);
        for cut in report.partitions.iter().filter_map(|one| one.cut.as_ref()) {
            self.cuts += 1;
            self.cut_bytes += cut.bytes;
        }
        let is_begun = TOPICS.iter().all(|(name, _)| broker.topic(name).is_ok());
        assert!(is_begun || self.acknowledged.is_empty(), "round {}: {report}", self.round);
        if is_begun {
            for (at, partition) in partitions(&broker).into_iter().enumerate() {
                self.check_partition(at, &partition);
            }
        }
        assert!(self.acknowledged.is_empty(), "acknowledged and not there: {:?}", self.acknowledged);
        self.check_passing(&broker);
        broker.close().unwrap();
    }

    /// What was found before is still there, then comes what a sender has sent, in its order, without a gap; and what was
    /// acknowledged is where that was said.
    fn check_partition(&mut self, at: usize, partition: &Partition) {
        let values = all_values(partition);
        let known = &self.found[at];
        assert!(values.len() >= known.len(), "{} of {} are left of {at}", values.len(), known.len());
        let mut next = BTreeMap::new();
        for (offset, value) in (0..).zip(&values) {
            let made = made_of(value);
            let Some((sender, round, place, number)) = made else {
                panic!("nobody sent what is at {offset} of {at}: {}", value.escape_ascii());
            };
            assert_eq!(place, at, "what is at {offset} was sent to another partition");
            let due = next.insert((sender, round), number + 1).unwrap_or(0);
            assert_eq!(number, due, "at {offset} of {at}, from sender {sender} in round {round}");
            if let Some(told) = self.acknowledged.remove(&(at, offset)) {
                assert_eq!(told, (sender, number, round), "at {offset} of {at}");
            }
        }
        assert!(values.iter().zip(known).all(|(now, before)| now == before), "{at} has changed");
        self.found[at] = values;
    }

    fn check_passing(&mut self, broker: &Broker) {
        for (name, state) in &self.passing {
            let is_there = broker.topic(name).is_ok();
            match state {
                Passing::Created => assert!(is_there, "{name} was created, and is gone"),
                Passing::Deleted => assert!(!is_there, "{name} was deleted, and is there"),
                Passing::Undecided => {}
            }
        }
        // Also those that nobody was told of.
        for name in broker.admin().list_topics().unwrap() {
            if name.starts_with("passing-") {
                broker.admin().delete_topic(&name).unwrap();
            }
        }
        self.passing.clear();
    }

    fn run(mut self, rounds: u64) {
        while self.round < rounds {
            self.run_round();
            if self.round.is_multiple_of(20) {
                println!("{self}");
            }
        }
        self.check();
        println!("{self}");
        assert!(self.found.iter().all(|found| !found.is_empty()));
    }
}

impl std::fmt::Display for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "acks={}: {} rounds ({} killed while opening, {} not looked at), {} records acknowledged, {} found, \
             {} cuts ({} bytes), {} opens, none refused",
            self.acks,
            self.round,
            self.killed_opens,
            self.rounds_unseen,
            self.acknowledged_count,
            self.found.iter().map(Vec::len).sum::<usize>(),
            self.cuts,
            self.cut_bytes,
            self.opens,
        )
    }
}

fn all_values(partition: &Partition) -> Vec<Vec<u8>> {
    let (mut values, mut next) = (Vec::new(), Offset::ZERO);
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        for row in rows_of(&batches) {
            assert_eq!(row.offset, values.len() as u64);
            values.push(row.value.unwrap());
        }
        next = batches.next_offset().unwrap();
    }
    values
}

#[test]
fn what_a_loaded_process_acknowledged_survives_its_kills() {
    Campaign::new(Acks::Leader, 1).run(4);
    Campaign::new(Acks::All, 2).run(4);
}

#[test]
#[ignore = "takes minutes: 200 rounds; `what_a_loaded_process_acknowledged_survives_its_kills` does 8"]
fn campaign_of_kills_with_acks_leader() {
    Campaign::new(Acks::Leader, 11).run(CAMPAIGN_ROUNDS);
}

#[test]
#[ignore = "takes minutes: 200 rounds; `what_a_loaded_process_acknowledged_survives_its_kills` does 8"]
fn campaign_of_kills_with_acks_all() {
    Campaign::new(Acks::All, 12).run(CAMPAIGN_ROUNDS);
}
