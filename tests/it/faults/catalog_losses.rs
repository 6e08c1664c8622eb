//! A life in which the catalog of topics is lost again and again, in part or as a whole, by seed: flipped bits, files cut short or gone,
//! crashes of each kind, and salvages that are cut short among them.
//!
//! A salvage that came to its end has every topic with its id and its records; whoever opens the directory in another mode before
//! that is refused, or told by `verify`, or has them too; and no topic's or producer's id is given twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use streamlog::testing::{Crash, Fault, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Finding, FindingKind, ManualClock, NewTopic, Offset, Record, RecoveryMode, Result,
    Severity, Timestamp, Uuid, Verification,
};

use crate::kit::START;

const CATALOG: &str = "data/__topic_catalog-0";
const ROUNDS: u32 = 4;
const RECORDS: u32 = 5;
/// A salvage takes about as many steps.
const STEPS: u64 = 60;

fn open(disk: &TestDisk, mode: RecoveryMode) -> Result<Broker> {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder = Broker::builder().log_dir("data").storage(disk.clone()).clock(clock);
    builder.recovery(mode).config(BrokerConfig::default().seed(7)).open()
}

fn verify(disk: &TestDisk) -> Verification {
    Broker::builder().log_dir("data").storage(disk.clone()).verify().unwrap()
}

/// One of these lives.
struct Life {
    random: fastrand::Rng,
    disk: TestDisk,
    topics: BTreeMap<String, Uuid>,
    producers: BTreeSet<i64>,
    /// What was done, for who has to find out.
    story: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Life {
        Life {
            random: fastrand::Rng::with_seed(seed),
            disk: TestDisk::new(),
            topics: BTreeMap::new(),
            producers: BTreeSet::new(),
            story: Vec::new(),
        }
    }

    fn live(&mut self) -> Result<(), String> {
        for round in 0..ROUNDS {
            self.tell(format!("round {round}"));
            self.go_on()?;
            for _ in 0..=self.random.u8(..2) {
                self.lose();
                if self.random.u8(..3) > 0 {
                    self.salvage_in_part()?;
                }
            }
            self.salvage()?;
        }
        Ok(())
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    fn crash(&mut self, crash: Crash) {
        self.tell(format!("{crash:?}"));
        self.disk = self.disk.after(crash);
    }

    /// Makes topics and producers, which must be new, and ends in some way.
    fn go_on(&mut self) -> Result<(), String> {
        let mode = [RecoveryMode::Strict, RecoveryMode::Repair][self.random.usize(..2)];
        let broker = open(&self.disk, mode).map_err(|error| format!("{mode:?}: {error}"))?;
        for _ in 0..=self.random.u8(..2) {
            let name = format!("t{}", self.topics.len());
            broker.admin().create_topic(NewTopic::new(&name)).unwrap();
            let topic = broker.topic(&name).unwrap();
            let partition = topic.partition(0).unwrap();
            for _ in 0..RECORDS {
                partition.append(&[Record::new().value("x")]).unwrap();
            }
            partition.sync().unwrap();
            if self.topics.values().any(|&other| other == topic.id()) {
                return Err(format!("{name} has an id that another topic has had"));
            }
            self.topics.insert(name, topic.id());
        }
        for _ in 0..self.random.u8(..3) {
            let id = broker.producer().idempotence(true).build().unwrap().id().unwrap();
            if !self.producers.insert(id) {
                return Err(format!("the producer id {id} is given twice"));
            }
        }
        // In order, in either way.
        if self.random.bool() {
            broker.close().unwrap();
        }
        drop(broker);
        let crash = [Crash::Kill, Crash::PowerCut][self.random.usize(..2)];
        self.crash(crash);
        Ok(())
    }

    /// Something happens to the catalog's files.
    fn lose(&mut self) {
        let files = self.disk.files().into_iter().filter(|(path, _)| path.starts_with(CATALOG));
        let mut files: Vec<(PathBuf, Vec<u8>)> = files.collect();
        let kind = self.random.u8(..6);
        self.tell(format!("loss {kind}"));
        if kind == 0 {
            files.iter().for_each(|(path, _)| self.disk.take(path).unwrap());
            return;
        }
        files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
        let Some((path, mut bytes)) = files.pop() else { return };
        let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let at = self.random.usize(..=length);
        match kind {
            1 => self.disk.take(path).unwrap(),
            2 => {
                bytes.truncate(at);
                self.disk.put(path, bytes).unwrap();
            }
            _ if at < length => {
                bytes[at] ^= 1 << self.random.u8(..8);
                self.disk.put(path, bytes).unwrap();
            }
            _ => {}
        }
    }

    /// A salvage that does not come to its end, and what others make of that.
    fn salvage_in_part(&mut self) -> Result<(), String> {
        let step = self.random.u64(..STEPS);
        self.disk.inject(Fault::power_cut().from_step(self.disk.step_count() + step));
        drop(open(&self.disk, RecoveryMode::Salvage));
        let seed = self.random.u64(..1000);
        let crash = [Crash::Kill, Crash::PowerCut, Crash::Reordered { seed }][self.random.usize(..3)];
        self.tell(format!("a salvage ends at its step {step}"));
        self.crash(crash);
        let verified = verify(&self.disk);
        let is_told = verified.worst() == Some(Severity::Damage);
        for mode in [RecoveryMode::Strict, RecoveryMode::Repair] {
            match open(&self.disk.after(Crash::Kill), mode) {
                Ok(broker) if !is_told => self.check(&broker).map_err(|why| format!("{mode:?}: {why}"))?,
                Err(error) if !is_told && mode == RecoveryMode::Repair => {
                    return Err(format!("{mode:?}: {error}, and nobody is told: {verified}"));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// One that does, after which nothing is wrong any more.
    fn salvage(&mut self) -> Result<(), String> {
        let broker = open(&self.disk, RecoveryMode::Salvage).map_err(|error| format!("Salvage: {error}"))?;
        self.check(&broker)?;
        drop(broker);
        let crash = [Crash::Kill, Crash::PowerCut][self.random.usize(..2)];
        self.crash(crash);
        let verified = verify(&self.disk);
        // The epoch in front of a batch is outside its CRC, and stays as it is.
        let is_wrong =
            |found: &Finding| found.severity == Severity::Damage && found.kind != FindingKind::WrongEpoch;
        if !verified.findings.iter().any(is_wrong) {
            Ok(())
        } else {
            Err(format!("after a salvage: {verified}"))
        }
    }

    /// Looks for every topic.
    fn check(&self, broker: &Broker) -> Result<(), String> {
        let report = broker.recovery_report();
        for (name, &id) in &self.topics {
            let topic = broker.topic(name).map_err(|error| format!("{error}: {report}"))?;
            let partition = topic.partition(0).map_err(|error| format!("{error}: {report}"))?;
            let end = partition.log_end_offset();
            let is_whole = end == u64::from(RECORDS) && partition.read(Offset::ZERO, 1).is_ok();
            if topic.id() != id || !is_whole {
                return Err(format!("{name} is {}, ends at {end}: {report}", topic.id()));
            }
        }
        Ok(())
    }
}

fn live(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut life = Life::new(seed);
        if let Err(why) = life.live() {
            panic!("seed {seed}: {why}\n{:#?}", life.story);
        }
    }
}

#[test]
fn whatever_is_lost_of_the_catalog_a_salvage_finds_its_topics() {
    live(0..150);
}

#[test]
#[ignore = "takes half a minute, in release mode: 9,850 lives; `whatever_is_lost_of_the_catalog_a_salvage_finds_its_topics` does 150"]
fn whatever_is_lost_of_the_catalog_a_salvage_finds_its_topics_more_often() {
    live(150..10_000);
}
