//! Proving that a program handles each record exactly once, whatever ends it: a crash at every step of its I/O.
//!
//! ```text
//! cargo run --example exactly_once
//! ```
//!
//! The program adds up apples. It stores the sum together with the offset of the next record, in one file, which it replaces whole; so
//! both are of the same moment, and whoever reads the file goes on from there. And it reads only what is on the device, with
//! [`IsolationLevel::ReadDurable`]. Is that enough? The example runs the program on a [`TestDisk`], beside a sender whose records are
//! readable before they are durable, ends both at each of their steps (killed, or the power goes), lets them go on with what is left,
//! and compares the sum with what is in the log.
//!
//! Then it does the same with two programs that are wrong, and shows a point at which each is. One stores sum and offset in two
//! files, one after the other, and counts apples twice. The other reads what a power cut can still take back: then its file holds a
//! record that the log does not, and the offset of that record is given to another one, which is never counted.
//!
//! Prints how many points were tried, and the points that fail. It needs the feature `testing`, and no disk.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

use streamlog::testing::{Crash, EveryCrash, Failed, Outcome, TestDisk};
use streamlog::{
    Access, Acks, AutoOffsetReset, Broker, BrokerConfig, IsolationLevel, ManualClock, NewTopic, Offset,
    PartitionId, Record, Result, Storage, Timestamp, TopicPartition,
};

/// What lies in the topic at first, durable.
const BEFORE: [u64; 5] = [3, 1, 4, 1, 5];
/// What is sent while the program runs, and is synced only later.
const MEANWHILE: [u64; 2] = [9, 2];
/// What is sent after the crash.
const AFTER: [u64; 3] = [7, 8, 6];

/// Where the program keeps its results.
const RESULTS: &str = "results";

/// A way to write the program.
#[derive(Clone, Copy)]
struct Program {
    /// What it reads.
    isolation: IsolationLevel,
    /// How it stores its sum and the offset of the next record.
    save: fn(&dyn Storage, u64, Offset) -> io::Result<()>,
}

fn main() -> Result<(), Failed> {
    let topic = topic();
    let right = Program { isolation: IsolationLevel::ReadDurable, save: save_together };
    let points = check(&topic, right)?;
    println!("one file: right after a crash at each of {points} points");
    match check(&topic, Program { save: save_apart, ..right }) {
        Ok(points) => println!("two files: right at each of {points} points, by luck"),
        Err(failed) => println!("two files: {failed}"),
    }
    match check(&topic, Program { isolation: IsolationLevel::ReadUncommitted, ..right }) {
        Ok(points) => println!("not yet durable: right at each of {points} points, by luck"),
        Err(failed) => println!("not yet durable: {failed}"),
    }
    Ok(())
}

/// Ends the program everywhere, and checks what its next run makes of what is left.
fn check(topic: &TestDisk, program: Program) -> Result<u64, Failed> {
    EveryCrash::new().begin_with(topic).run(
        |disk, _: &mut ()| {
            let broker = open(disk)?;
            send(&broker, MEANWHILE)?; // readable from here on
            add_up(&broker, disk, program)?;
            sync(&broker)?; // and durable from here on
            add_up(&broker, disk, program)
        },
        |disk, (), _point| {
            let broker = open(disk)?;
            send(&broker, AFTER)?;
            sync(&broker)?;
            add_up(&broker, disk, program)?;
            let (sum, _) = load(disk)?;
            match sent(&broker)? {
                apples if apples == sum => Ok(()),
                apples => Err(format!("{sum} apples of {apples}").into()),
            }
        },
    )
}

/// A disk with a topic on it.
fn topic() -> TestDisk {
    let disk = TestDisk::new();
    let made = open(&disk).and_then(|broker| {
        broker.admin().create_topic(NewTopic::new("apples"))?;
        send(&broker, BEFORE)?;
        broker.close()
    });
    made.expect("nothing goes wrong on this disk yet");
    disk.after(Crash::PowerCut)
}

/// Sends records that are not synced yet.
fn send<const N: usize>(broker: &Broker, apples: [u64; N]) -> Result<()> {
    let producer = broker.producer().acks(Acks::Leader).build()?;
    for count in apples {
        drop(producer.send(Record::to("apples").value(&count.to_string()))?);
    }
    producer.close(Duration::ZERO)
}

/// What a checkpoint does sooner or later.
fn sync(broker: &Broker) -> Result<Offset> {
    broker.topic("apples")?.partition(0)?.sync()
}

/// What the sum must be: that of all records that the log holds.
fn sent(broker: &Broker) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let (apples, mut next, mut sum) = (broker.topic("apples")?.partition(0)?, Offset::ZERO, 0);
    while next < apples.log_end_offset() {
        for batch in &apples.read(next, 1 << 20)? {
            for record in &batch.records()? {
                sum += count(record.value())?;
            }
            next = batch.next_offset();
        }
    }
    Ok(sum)
}

fn count(value: Option<&[u8]>) -> Result<u64, Box<dyn Error + Send + Sync>> {
    Ok(str::from_utf8(value.unwrap_or_default())?.parse()?)
}

fn open(disk: &TestDisk) -> Result<Broker> {
    // With a clock of its own the broker has no threads, and takes the same steps each time.
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let config = BrokerConfig::default().seed(1);
    Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).config(config).open()
}

/// The program: goes on where it stood, to the end of what it may read.
fn add_up(broker: &Broker, disk: &TestDisk, program: Program) -> Outcome {
    let (mut sum, next) = load(disk)?;
    let apples = TopicPartition::new("apples", PartitionId::ZERO);
    // Nothing that a power cut could take back: what is in the file must be in the log. Then no stored offset can be behind the end
    // of the log, nor be given to another record; without a policy to reset it, one that is gone all the same would be an error.
    let builder = broker.consumer().isolation(program.isolation).auto_offset_reset(AutoOffsetReset::None);
    let mut consumer = builder.max_poll_records(2).build()?;
    consumer.assign([apples.clone()])?;
    consumer.seek(&apples, next)?;
    loop {
        let records = consumer.poll(Duration::ZERO)?;
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            sum += count(record.value())?;
        }
        (program.save)(disk, sum, consumer.position(&apples)?)?;
    }
}

/// Sum and offset in one file.
fn save_together(storage: &dyn Storage, sum: u64, next: Offset) -> io::Result<()> {
    replace(storage, "sum and next", &format!("{sum} {next}"))
}

/// Sum and offset in a file each. Each file is replaced as it should be; what is wrong is that there are two.
fn save_apart(storage: &dyn Storage, sum: u64, next: Offset) -> io::Result<()> {
    replace(storage, "sum", &sum.to_string())?;
    replace(storage, "next", &next.to_string())
}

/// The sum so far, and the offset of the next record; 0 and 0 at the very beginning.
fn load(storage: &dyn Storage) -> Result<(u64, Offset), Box<dyn Error + Send + Sync>> {
    let both = match read(storage, "sum and next")? {
        text if text.is_empty() => format!("{} {}", read(storage, "sum")?, read(storage, "next")?),
        text => text,
    };
    let (sum, next) = both.split_once(' ').ok_or("no such results")?;
    let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>() };
    Ok((number(sum)?, Offset::try_from(number(next)?)?))
}

/// Replaces a file whole: the new one is written aside and synced before it gets the name, and then the name is synced.
fn replace(storage: &dyn Storage, name: &str, text: &str) -> io::Result<()> {
    let directory = Path::new(RESULTS);
    let (new, file) = (directory.join("new"), directory.join(name));
    storage.create_dir(directory)?;
    storage.sync_dir(Path::new(""))?;
    match storage.remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let opened = storage.open(&new, Access::Create)?;
    opened.write_at(0, &[IoSlice::new(text.as_bytes())])?;
    opened.sync_data()?;
    storage.rename(&new, &file)?;
    storage.sync_dir(directory)
}

/// A whole file; nothing where there is none.
fn read(storage: &dyn Storage, name: &str) -> io::Result<String> {
    match storage.open(&Path::new(RESULTS).join(name), Access::Read) {
        Ok(file) => {
            let bytes = file.slice(0..file.bytes()?)?.to_vec();
            String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}
