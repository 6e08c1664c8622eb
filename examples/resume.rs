//! Stopping in the middle and going on, without losing or doubling anything: where a program stands is part of its result.
//!
//! ```text
//! cargo run --example resume
//! ```
//!
//! The players of a video platform tell where their viewers are: a record for every ten seconds that were watched, with the
//! viewer and the video as its key and the position as its value. A program adds up how long each viewer has watched. It
//! keeps the sums in a file, and beside them, in the same file, the offset of the next record of each partition. The file is
//! replaced whole, by writing another one and renaming it; so sums and offsets belong together at any moment, and whoever
//! reads the file goes on from there. It reads only records that are on the device, so that the file holds nothing of a record
//! that a power cut takes from the log.
//!
//! The example runs that program twice. The first time it dies after a few records that are in no file yet; the second time
//! they are read again, and the sums are right. Prints what each run does, and the sums. The log and the file are in a
//! temporary directory and are gone afterwards.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, ConsumerRecord, IsolationLevel, NewTopic, Offset, PartitionId, Record,
    TopicPartition,
};

const PARTITIONS: u32 = 2;
/// Each record stands for so many seconds.
const STEP: u32 = 10;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (data, file) = (directory.path().join("data"), directory.path().join("watched"));
    let broker = Broker::open(data)?;
    send_positions(&broker)?;

    // Two files' worth of records, and then some that the program has seen and that are in no file.
    let seen = add_up(&broker, &file, 25)?;
    println!(
        "first run: stopped after {seen} records, {} of them in the file",
        Watched::load(&file)?.records()
    );
    let seen = add_up(&broker, &file, usize::MAX)?;
    println!("second run: {seen} records");

    let watched = Watched::load(&file)?;
    println!("together: {} records", watched.records());
    for (viewer, seconds) in &watched.seconds {
        println!("{viewer} has watched {seconds} s");
    }
    broker.close()?;
    Ok(())
}

/// Sends what the players tell: three viewers, each with one video.
fn send_positions(broker: &Broker) -> Result<()> {
    broker.admin().create_topic(NewTopic::new("positions").partitions(PARTITIONS))?;
    let producer = broker.producer().linger(Duration::from_millis(5)).build()?;
    for (viewer, video, steps) in [("ann", "cats", 30), ("ben", "dogs", 12), ("cem", "cats", 7)] {
        for step in 1..=steps {
            let (key, position) = (format!("{viewer}/{video}"), (step * STEP).to_string());
            drop(producer.send(Record::to("positions").key(&key).value(&position))?);
        }
    }
    Ok(producer.flush()?)
}

/// The program: goes on where the file says, and ends at the end of the topic, or after `count_max` records without having
/// put the last of them away.
fn add_up(broker: &Broker, file: &Path, count_max: usize) -> Result<usize> {
    let mut watched = Watched::load(file)?;
    // Nothing that a power cut could take back: of a record that the log lost and the file did not, the offset would be given to
    // another one, which would be passed over. An offset that is gone all the same is an error, not a silent jump.
    let builder = broker.consumer().isolation(IsolationLevel::ReadDurable);
    let builder = builder.auto_offset_reset(AutoOffsetReset::None).max_poll_records(10);
    let mut consumer = builder.build()?;
    let partitions: Vec<TopicPartition> = broker.topic("positions")?.topic_partitions().collect();
    consumer.assign(partitions.iter().cloned())?;
    for partition in &partitions {
        consumer.seek(partition, watched.next(partition.partition()))?;
    }
    let mut count = 0;
    loop {
        let records = consumer.poll(Duration::ZERO)?;
        if records.is_empty() {
            return Ok(count);
        }
        for record in &records {
            if count == count_max {
                return Ok(count);
            }
            watched.add(record)?;
            count += 1;
        }
        watched.save(file)?;
    }
}

/// The result, and what it is the result of.
#[derive(Default)]
struct Watched {
    /// Seconds for each viewer.
    seconds: BTreeMap<String, u32>,
    /// The offset of the next record, for each partition.
    next: BTreeMap<u32, u64>,
}

impl Watched {
    fn next(&self, partition: PartitionId) -> Offset {
        let next = self.next.get(&partition.into()).copied();
        next.and_then(|offset| Offset::try_from(offset).ok()).unwrap_or_default()
    }

    /// How many records it is the result of.
    fn records(&self) -> u64 {
        self.next.values().sum()
    }

    fn add(&mut self, record: ConsumerRecord<'_>) -> Result<()> {
        let key = str::from_utf8(record.key().unwrap_or_default())?;
        let (viewer, _video) = key.split_once('/').ok_or("a key without a video")?;
        *self.seconds.entry(viewer.to_owned()).or_default() += STEP;
        self.next.insert(record.partition().into(), record.offset().next().into());
        Ok(())
    }

    /// Nothing where there is no file.
    fn load(file: &Path) -> Result<Watched> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Watched::default()),
            read => read?,
        };
        let mut watched = Watched::default();
        for line in text.lines() {
            match *line.split(' ').collect::<Vec<_>>().as_slice() {
                ["viewer", name, seconds] => {
                    watched.seconds.insert(name.to_owned(), seconds.parse()?).map(drop)
                }
                ["partition", id, next] => watched.next.insert(id.parse()?, next.parse()?).map(drop),
                _ => return Err(format!("{}: no such line: {line}", file.display()).into()),
            };
        }
        Ok(watched)
    }

    /// Replaces the file whole.
    fn save(&self, file: &Path) -> Result<()> {
        let temporary = file.with_extension("new");
        let mut new = File::create(&temporary)?;
        for (viewer, seconds) in &self.seconds {
            writeln!(new, "viewer {viewer} {seconds}")?;
        }
        for (partition, next) in &self.next {
            writeln!(new, "partition {partition} {next}")?;
        }
        // Before the name is given, so that a power cut leaves the old file or the new one.
        new.sync_all()?;
        Ok(fs::rename(temporary, file)?)
    }
}
