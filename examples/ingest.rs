//! Lines of files to records, as fast as the disk acknowledges them: create a topic, send with a producer, read back with
//! a consumer.
//!
//! ```text
//! cargo run --release --example ingest -- --compression lz4 --verify
//! cargo run --release --example ingest -- --dir /tmp/log --partitions 4 access.log error.log
//! ```
//!
//! Every line becomes a record: its key is the file's path, its value the line without its newline (any bytes), and its
//! header `line` the line's number. A file's lines stay in order because they share a partition, which the producer
//! chooses by the key. Without a FILE, the crate's own sources are ingested.
//!
//! What an acknowledgement means is the caller's choice: with `all`, an acknowledged line survives a power cut; with
//! `leader` the death of the process alone; with `none` nothing is acknowledged. Lines are sent without waiting, up to a
//! window of them, and then waited for. Running it again appends the lines again, and `--verify` compares what this run has
//! sent with the files: a consumer that stood at the end when the run began returns just that.
//!
//! Prints how many records and bytes there were, how long it took, and what the topic takes on disk.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use streamlog::{
    Acks, AutoOffsetReset, Broker, Clock, Compression, Consumer, ConsumerRecord, Delivery, NewTopic, Offset,
    PartitionId, Producer, Record, RecordMetadata, SystemClock, Topic, TopicPartition,
};

const USAGE: &str = "\
usage: ingest [OPTION]... [FILE]...

Sends every line of every FILE to a topic as a record; without a FILE, those of this crate's own sources.

  --dir DIR            the log directory (default ./data)
  --topic NAME         the topic, created where it is missing (default lines)
  --partitions COUNT   how many partitions it is created with (default 1)
  --compression CODEC  none, gzip, snappy, lz4 or zstd (default none)
  --acks ACKS          when a line counts as stored: none, leader, all (synced; default)
  --linger-ms N        how long a batch waits for more lines (default 5)
  --print-acks         print `partition offset` of each record once it is acknowledged
  --verify             read back what was appended and compare it with the files
  --help               print this
";

/// How many lines are on their way at a time, before their deliveries are waited for.
const WINDOW_LINES: usize = 8_192;
/// The size of a batch, before compression.
const BATCH_BYTES: usize = 64 << 10;
/// How many records are read back at a time.
const POLL_RECORDS: usize = 8_192;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let args = match Args::parse(env::args_os().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            // There is nobody to tell that nobody wants to know.
            let _ = write!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprint!("ingest: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ingest: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let files = if args.files.is_empty() { own_sources()? } else { args.files.clone() };
    let progress = Progress::new(&files)?;

    let broker = Broker::open(&args.dir)?;
    let topic = open_topic(&broker, args)?;
    // It stays where this run begins.
    let mut consumer = consumer_at_end(&broker, &topic)?;

    let clock = SystemClock::new();
    let mut ingest = Ingest::new(args, &broker, progress)?;
    for file in &files {
        ingest.file(file)?;
    }
    let sent = ingest.finish()?;
    let seconds = clock.monotonic().as_secs_f64();

    let stored: u64 =
        broker.admin().describe_topic(topic.name())?.partitions.iter().map(|partition| partition.bytes).sum();
    let (records, bytes) = (sent.records, sent.bytes);
    let rate = records as f64 / seconds;
    args.report(&format!(
        "records        {records}\nbytes          {bytes}\nseconds        {seconds:.3}\n\
         records/s      {rate:.0}\nbytes on disk  {stored}\n"
    ))?;

    if args.verify {
        let verified = verify(&mut consumer, &sent.files)?;
        let count = files.len();
        args.report(&format!(
            "verified       {verified} records of {count} files: keys, values, headers, order\n"
        ))?;
    }
    consumer.close()?;
    broker.close()?;
    Ok(())
}

/// The topic as it is, or a new one.
fn open_topic(broker: &Broker, args: &Args) -> Result<Topic> {
    let topic = match broker.topic(&args.topic) {
        Err(streamlog::Error::UnknownTopic { .. }) => {
            let new = NewTopic::new(&args.topic).partitions(args.partitions.unwrap_or(1));
            return Ok(broker.admin().create_topic(new)?);
        }
        found => found?,
    };
    let count = topic.partition_count();
    if args.partitions.is_some_and(|wanted| wanted != count) {
        eprintln!("ingest: topic {} exists and keeps its partitions: {count}", args.topic);
    }
    Ok(topic)
}

/// A consumer of all partitions, that returns what is sent from now on.
fn consumer_at_end(broker: &Broker, topic: &Topic) -> Result<Consumer> {
    // There is nothing to fall back on: where it stands, records must be.
    let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::None).max_poll_records(POLL_RECORDS);
    let mut consumer = builder.build()?;
    let partitions: Vec<TopicPartition> = topic.topic_partitions().collect();
    consumer.assign(partitions.iter().cloned())?;
    consumer.seek_to_end(&partitions)?;
    Ok(consumer)
}

fn key_of(file: &Path) -> &[u8] {
    file.as_os_str().as_encoded_bytes()
}

/// One run: what it sends with, what is on its way, and how far it is.
struct Ingest<'a> {
    args: &'a Args,
    producer: Producer,
    window: Vec<Sent<'a>>,
    acks: BufWriter<io::Stdout>,
    progress: Progress,
    done: Done<'a>,
}

/// A line that was sent.
struct Sent<'a> {
    file: &'a Path,
    number: u64,
    delivery: Delivery,
}

/// What a run has sent.
#[derive(Default)]
struct Done<'a> {
    records: u64,
    bytes: u64,
    /// The files that have any lines, in their order, with the partition of each.
    files: Vec<(&'a Path, PartitionId)>,
}

impl<'a> Ingest<'a> {
    fn new(args: &'a Args, broker: &Broker, progress: Progress) -> Result<Ingest<'a>> {
        let producer = broker
            .producer()
            .acks(args.acks)
            .compression(args.compression)
            .linger(args.linger)
            .batch_bytes(BATCH_BYTES)
            // How long a line may be is for the topic to say.
            .max_request_bytes(i32::MAX.unsigned_abs() as usize)
            .build()?;
        let (window, acks) = (Vec::with_capacity(WINDOW_LINES), BufWriter::new(io::stdout()));
        Ok(Ingest { args, producer, window, acks, progress, done: Done::default() })
    }

    /// Sends the lines of a file. No more of it is held than what the producer holds and where the lines of a window went.
    fn file(&mut self, file: &'a Path) -> Result<()> {
        for line in Lines::of(file) {
            let line = line?;
            let sent = self.producer.send(line.record(&self.args.topic));
            let delivery = sent.map_err(|error| cannot_append(file, line.number, error))?;
            self.window.push(Sent { file, number: line.number, delivery });
            let bytes = line.value.len() as u64;
            self.done.records += 1;
            self.done.bytes += bytes + key_of(file).len() as u64;
            // In the file, the line has a newline too.
            self.progress.done += bytes + 1;
            if self.window.len() == WINDOW_LINES {
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Waits until every line of the window is acknowledged. With `all`, the first wait syncs for all of them.
    fn settle(&mut self) -> Result<()> {
        for Sent { file, number, delivery } in self.window.drain(..) {
            let metadata = delivery.wait().map_err(|error| cannot_append(file, number, error))?;
            let RecordMetadata { partition, offset, .. } = metadata;
            if number == 1 {
                self.done.files.push((file, partition));
            }
            if let Some(offset) = offset.filter(|_| self.args.print_acks) {
                writeln!(self.acks, "{partition} {offset}").map_err(cannot_write)?;
            }
        }
        self.acks.flush().map_err(cannot_write)?;
        self.progress.tell();
        Ok(())
    }

    /// Returns once all is acknowledged, or, where nothing is, written.
    fn finish(mut self) -> Result<Done<'a>> {
        self.settle()?;
        self.producer.close(Duration::MAX)?;
        // The progress bar ends here, before the report begins.
        Ok(self.done)
    }
}

/// Lines that are expected of one partition, and where the next one is.
struct Expected<'a> {
    lines: Box<dyn Iterator<Item = Result<Line<'a>>> + 'a>,
    next: Offset,
}

/// Compares all that a consumer has still to return with the lines of these files.
fn verify(consumer: &mut Consumer, files: &[(&Path, PartitionId)]) -> Result<u64> {
    let mut expected = BTreeMap::new();
    for partition in consumer.assignment() {
        let here = partition.partition();
        let files = files.iter().filter(move |(_, place)| *place == here);
        let lines = Box::new(files.flat_map(|(file, _)| Lines::of(file)));
        let next = consumer.position(&partition)?;
        expected.insert(partition, Expected { lines, next });
    }
    let mut count = 0;
    loop {
        let records = consumer.poll(Duration::ZERO)?;
        if records.is_empty() {
            break;
        }
        for (partition, records) in records.by_partition() {
            count += records.len() as u64;
            let expected =
                expected.get_mut(partition).ok_or("a record of a partition that was not assigned")?;
            for record in records {
                expected.compare(record)?;
            }
        }
    }
    for (partition, mut expected) in expected {
        if let Some(line) = expected.lines.next().transpose()? {
            let (partition, next) = (partition.partition(), expected.next);
            return Err(format!("partition {partition} ends at offset {next}, before {line}").into());
        }
    }
    Ok(count)
}

impl Expected<'_> {
    /// Compares the next record.
    fn compare(&mut self, record: ConsumerRecord<'_>) -> Result<()> {
        let place = || format!("partition {}, offset {}", record.partition(), record.offset());
        let Some(line) = self.lines.next().transpose()? else {
            return Err(format!("{}: a record that no line was sent for", place()).into());
        };
        if let Some(what) = difference(record, &line, self.next) {
            return Err(format!("{}: the {what} is not that of {line}", place()).into());
        }
        self.next = self.next.next();
        Ok(())
    }
}

/// What of a record is not as the line says, if anything.
fn difference(record: ConsumerRecord<'_>, line: &Line<'_>, offset: Offset) -> Option<&'static str> {
    let headers = record.headers().map(|header| (header.name(), header.value()));
    if record.offset() != offset {
        Some("offset")
    } else if record.key() != Some(key_of(line.file)) {
        Some("key")
    } else if record.value() != Some(&line.value) {
        Some("value")
    } else if !headers.eq([("line", Some(line.number_text.as_bytes()))]) {
        Some("header")
    } else {
        None
    }
}

/// A line of a file, without its newline.
struct Line<'a> {
    file: &'a Path,
    /// From 1.
    number: u64,
    number_text: String,
    value: Vec<u8>,
}

impl Line<'_> {
    fn record<'a>(&'a self, topic: &'a str) -> Record<'a> {
        let number = Some(self.number_text.as_bytes());
        Record::to(topic).key(key_of(self.file)).value(&self.value).header("line", number)
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.number)
    }
}

/// The lines of a file, which is opened for the first of them.
struct Lines<'a> {
    file: &'a Path,
    reader: Option<BufReader<File>>,
    count: u64,
}

impl<'a> Lines<'a> {
    fn of(file: &'a Path) -> Lines<'a> {
        Lines { file, reader: None, count: 0 }
    }

    fn read(&mut self) -> io::Result<Option<Line<'a>>> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(BufReader::new(File::open(self.file)?)),
        };
        let mut value = Vec::new();
        if reader.read_until(b'\n', &mut value)? == 0 {
            return Ok(None);
        }
        value.pop_if(|last| *last == b'\n');
        self.count += 1;
        Ok(Some(Line { file: self.file, number: self.count, number_text: self.count.to_string(), value }))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>>;

    fn next(&mut self) -> Option<Result<Line<'a>>> {
        self.read().map_err(|error| cannot_read(self.file, error)).transpose()
    }
}

/// Every Rust file of this crate, sorted.
fn own_sources() -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        ["src", "examples", "tests", "benches"].map(|name| root.join(name)).into();
    folders.retain(|folder| folder.is_dir());
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| cannot_read(&folder, error))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A bar on the terminal, if there is one, drawn at most ten times a second.
struct Progress {
    clock: SystemClock,
    is_shown: bool,
    next_draw: Duration,
    done: u64,
    total: u64,
}

impl Progress {
    /// Nothing of these files is done yet.
    fn new(files: &[PathBuf]) -> Result<Progress> {
        let mut total = 0;
        for file in files {
            total += fs::metadata(file).map_err(|error| cannot_read(file, error))?.len();
        }
        let is_shown = io::stderr().is_terminal();
        Ok(Progress { clock: SystemClock::new(), is_shown, next_draw: Duration::ZERO, done: 0, total })
    }

    fn tell(&mut self) {
        let now = self.clock.monotonic();
        if self.is_shown && now >= self.next_draw {
            self.draw();
            self.next_draw = now + Duration::from_millis(100);
        }
    }

    fn draw(&self) {
        let percent = (100 * self.done / self.total.max(1)).min(100);
        let bar = "#".repeat((percent / 2) as usize);
        eprint!("\r[{bar:.<50}] {percent:>3} %  {} of {} KiB", self.done >> 10, self.total >> 10);
    }
}

impl Drop for Progress {
    /// Leaves the bar as it stands, also where an error ended the run, and the cursor below it.
    fn drop(&mut self) {
        if self.is_shown {
            self.draw();
            eprintln!();
        }
    }
}

/// An error with what was tried when it came up.
#[derive(Debug)]
struct Failure {
    what: String,
    source: Box<dyn Error>,
}

impl Failure {
    fn new(what: String, source: impl Into<Box<dyn Error>>) -> Failure {
        Failure { what, source: source.into() }
    }
}

fn cannot_read(path: &Path, error: io::Error) -> Box<dyn Error> {
    Failure::new(format!("cannot read {}", path.display()), error).into()
}

fn cannot_append(file: &Path, line: u64, error: streamlog::Error) -> Box<dyn Error> {
    Failure::new(format!("cannot append {}, line {line}", file.display()), error).into()
}

fn cannot_write(error: io::Error) -> Box<dyn Error> {
    Failure::new("cannot write to stdout or stderr".to_owned(), error).into()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// An error and all that led to it.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(chain);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn acks(name: &str) -> Result<Acks, String> {
    match name {
        "none" => Ok(Acks::None),
        "leader" => Ok(Acks::Leader),
        "all" => Ok(Acks::All),
        _ => Err("must be none, leader or all".to_owned()),
    }
}

/// What the command line asks for.
#[derive(Debug)]
struct Args {
    dir: PathBuf,
    topic: String,
    partitions: Option<u32>,
    compression: Compression,
    acks: Acks,
    linger: Duration,
    print_acks: bool,
    verify: bool,
    files: Vec<PathBuf>,
}

impl Args {
    /// `None` where help is all that is asked for.
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
        let mut args = Args {
            dir: PathBuf::from("data"),
            topic: "lines".to_owned(),
            partitions: None,
            compression: Compression::None,
            acks: Acks::All,
            linger: Duration::from_millis(5),
            print_acks: false,
            verify: false,
            files: Vec::new(),
        };
        while let Some(word) = words.next() {
            let Some(option) = word.to_str().filter(|word| word.starts_with('-')) else {
                args.files.push(word.into());
                continue;
            };
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option {
                "--help" | "-h" => return Ok(None),
                "--dir" => args.dir = value()?.into(),
                "--topic" => args.topic = parsed(option, &value()?, str::parse)?,
                "--partitions" => args.partitions = Some(parsed(option, &value()?, str::parse)?),
                "--compression" => args.compression = parsed(option, &value()?, str::parse)?,
                "--acks" => args.acks = parsed(option, &value()?, acks)?,
                "--linger-ms" => args.linger = Duration::from_millis(parsed(option, &value()?, str::parse)?),
                "--print-acks" => args.print_acks = true,
                "--verify" => args.verify = true,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        Ok(Some(args))
    }

    /// Tells the user, where no acknowledgements are expected.
    fn report(&self, text: &str) -> Result<()> {
        let done = if self.print_acks {
            io::stderr().write_all(text.as_bytes())
        } else {
            io::stdout().write_all(text.as_bytes())
        };
        done.map_err(cannot_write)
    }
}

fn parsed<T, E: fmt::Display>(
    option: &str,
    value: &OsString,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let text = value.to_str().ok_or_else(|| format!("{option} {value:?}: not UTF-8"))?;
    parse(text).map_err(|error| format!("{option} {text}: {error}"))
}
