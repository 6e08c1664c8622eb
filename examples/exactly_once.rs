//! Proving that a program handles each record exactly once, whatever ends it: a crash at every step of its I/O.
//!
//! ```text
//! cargo run --example exactly_once
//! ```
//!
//! The program adds up apples. It stores the sum together with the offset of the next record, in one file, which it replaces whole; so
//! both are of the same moment, and whoever reads the file goes on from there. Is that enough? The example runs the program on a
//! [`TestDisk`], ends it at each of its steps (killed, or the power goes), lets it go on with what is left, and compares the sum. Then
//! it does the same with a program that stores sum and offset in two files, one after the other, and shows the point at which that one
//! counts apples twice.
//!
//! Prints how many points were tried, and the point that fails. It needs the feature `testing`, and no disk.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

use streamlog::testing::{Crash, EveryCrash, Failed, Outcome, TestDisk};
use streamlog::{
    Access, AutoOffsetReset, Broker, BrokerConfig, ManualClock, NewTopic, Offset, PartitionId, Record,
    Result, Storage, Timestamp, TopicPartition,
};

/// What is sent, and what the sum must be in the end, however often the program was ended on the way.
const APPLES: [u64; 5] = [3, 1, 4, 1, 5];

/// Where the program keeps its results.
const RESULTS: &str = "results";

fn main() -> Result<(), Failed> {
    let sent = send();
    let points = check(&sent, save_together)?;
    println!("one file: right after a crash at each of {points} points");
    match check(&sent, save_apart) {
        Ok(points) => println!("two files: right at each of {points} points, by luck"),
        Err(failed) => println!("two files: {failed}"),
    }
    Ok(())
}

/// Ends the program everywhere, and checks what its next run makes of what is left.
fn check(sent: &TestDisk, save: Save) -> Result<u64, Failed> {
    EveryCrash::new().begin_with(sent).run(
        |disk, _: &mut ()| add_up(disk, save),
        |disk, (), _point| {
            add_up(disk, save)?;
            match load(disk)? {
                (sum, _) if sum == APPLES.iter().sum::<u64>() => Ok(()),
                (sum, _) => Err(format!("{sum} apples").into()),
            }
        },
    )
}

/// A disk with the records on it.
fn send() -> TestDisk {
    let disk = TestDisk::new();
    let sent = open(&disk).and_then(|broker| {
        broker.admin().create_topic(NewTopic::new("apples"))?;
        let producer = broker.producer().build()?;
        for apples in APPLES {
            drop(producer.send(Record::to("apples").value(&apples.to_string()))?);
        }
        producer.close(Duration::ZERO)?;
        broker.close()
    });
    sent.expect("nothing goes wrong on this disk yet");
    disk.after(Crash::PowerCut)
}

fn open(disk: &TestDisk) -> Result<Broker> {
    // With a clock of its own the broker has no threads, and takes the same steps each time.
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let config = BrokerConfig::default().seed(1);
    Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).config(config).open()
}

/// How the program stores its sum and the offset of the next record.
type Save = fn(&dyn Storage, u64, Offset) -> io::Result<()>;

/// The program: goes on where it stood, to the end of the topic.
fn add_up(disk: &TestDisk, save: Save) -> Outcome {
    let broker = open(disk)?;
    let (mut sum, next) = load(disk)?;
    let apples = TopicPartition::new("apples", PartitionId::ZERO);
    // An offset that is gone would be an error, not a silent jump.
    let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::None);
    let mut consumer = builder.max_poll_records(2).build()?;
    consumer.assign([apples.clone()])?;
    consumer.seek(&apples, next)?;
    loop {
        let records = consumer.poll(Duration::ZERO)?;
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            sum += str::from_utf8(record.value().unwrap_or_default())?.parse::<u64>()?;
        }
        save(disk, sum, consumer.position(&apples)?)?;
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
fn load(storage: &dyn Storage) -> Result<(u64, Offset), Box<dyn std::error::Error + Send + Sync>> {
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
