//! Lines of files to records, as fast as the disk acknowledges them: create a topic, append in batches, sync, read back.
//!
//! ```text
//! cargo run --release --example ingest -- --compression lz4 --verify
//! cargo run --release --example ingest -- --dir /tmp/log --partitions 4 access.log error.log
//! ```
//!
//! Every line becomes a record: its key is the file's path, its value the line without its newline (any bytes), and its
//! header `line` the line's number. A file's lines stay in order because they share a partition, which is the FNV-1a
//! hash of the path modulo the number of partitions. Without a FILE, the crate's own sources are ingested.
//!
//! What an acknowledgement means is the caller's choice: `all` syncs after each append, so that an acknowledged line
//! survives a power cut; with `leader` it survives the process alone. Running it again appends the lines again, and
//! `--verify` compares what this run has appended with the files.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use streamlog::{
    Broker, Clock, Compression, NewTopic, Offset, Partition, Record, RecordView, SystemClock, Topic,
};

const USAGE: &str = "\
usage: ingest [OPTION]... [FILE]...

Appends every line of every FILE to a topic as a record; without a FILE, those of this crate's own sources.

  --dir DIR            the log directory (default ./data)
  --topic NAME         the topic, created where it is missing (default lines)
  --partitions COUNT   how many partitions it is created with (default 1)
  --compression CODEC  none, gzip, snappy, lz4 or zstd (default none)
  --acks ACKS          when a line counts as stored: none, leader, all (synced; default)
  --print-acks         print `partition offset` of each record once it is acknowledged
  --verify             read back what was appended and compare it with the files
  --help               print this
";

/// How many lines go into one append, at most.
const CHUNK_LINES: usize = 1_000;
/// How many bytes go into one append, at most, unless one line is longer.
const CHUNK_BYTES: u32 = 256 << 10;
/// How many bytes are read back at a time.
const READ_BYTES: usize = 1 << 20;
/// More than a record takes beyond its key and value: numbers, lengths, the header `line`, and its batch's header.
const OVERHEAD_BYTES: usize = 128;

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
    let mut ingest = Ingest::new(args, &files)?;

    let broker = Broker::open(&args.dir)?;
    let topic = open_topic(&broker, args)?;
    let partitions: Vec<Partition> = topic.partitions().collect::<streamlog::Result<_>>()?;
    let ends_before: Vec<Offset> = partitions.iter().map(Partition::log_end_offset).collect();

    let clock = SystemClock::new();
    for file in &files {
        let partition = topic.partition(partition_of(file, &topic))?.compression(args.compression);
        ingest.file(file, &partition, chunk_bytes(&topic))?;
    }
    let seconds = clock.monotonic().as_secs_f64();

    let (records, bytes) = (ingest.records, ingest.bytes);
    // The progress bar ends before the report begins.
    drop(ingest);
    let stored: u64 =
        broker.admin().describe_topic(topic.name())?.partitions.iter().map(|partition| partition.bytes).sum();
    let rate = records as f64 / seconds;
    args.report(&format!(
        "records        {records}\nbytes          {bytes}\nseconds        {seconds:.3}\n\
         records/s      {rate:.0}\nbytes on disk  {stored}\n"
    ))?;

    if args.verify {
        let mut verified = 0;
        for (partition, from) in partitions.iter().zip(ends_before) {
            let files = files.iter().map(PathBuf::as_path);
            let files = files.filter(|file| partition.id() == partition_of(file, &topic));
            verified += verify(partition, from, files)?;
        }
        let count = files.len();
        args.report(&format!(
            "verified       {verified} records of {count} files: keys, values, headers, order\n"
        ))?;
    }
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

/// FNV-1a of the path, so that a file has the same partition every time.
fn partition_of(file: &Path, topic: &Topic) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    key_of(file).iter().fold(0x811c_9dc5, step) % topic.partition_count()
}

fn key_of(file: &Path) -> &[u8] {
    file.as_os_str().as_encoded_bytes()
}

/// How many bytes go into one append. No more than what a topic takes at once, so that a line that it does not take is
/// alone in its append, and the error is about that line.
fn chunk_bytes(topic: &Topic) -> usize {
    let config = topic.config();
    let bytes = CHUNK_BYTES.min(config.max_message_bytes).min(config.segment_bytes);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// One run: where its acknowledgements go, and how far it is.
struct Ingest<'a> {
    args: &'a Args,
    acks: BufWriter<io::Stdout>,
    progress: Progress,
    records: u64,
    bytes: u64,
}

impl Ingest<'_> {
    fn new<'a>(args: &'a Args, files: &[PathBuf]) -> Result<Ingest<'a>> {
        let acks = BufWriter::new(io::stdout());
        Ok(Ingest { args, acks, progress: Progress::new(files)?, records: 0, bytes: 0 })
    }

    /// Appends the lines of a file in chunks, so that memory does not grow with the file.
    fn file(&mut self, file: &Path, partition: &Partition, chunk_bytes: usize) -> Result<()> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for line in Lines::of(file) {
            let line = line?;
            let line_bytes = key_of(file).len() + line.value.len() + OVERHEAD_BYTES;
            if chunk.len() == CHUNK_LINES || bytes + line_bytes > chunk_bytes {
                self.append(partition, &chunk)?;
                chunk.clear();
                bytes = 0;
            }
            chunk.push(line);
            bytes += line_bytes;
        }
        self.append(partition, &chunk)
    }

    /// Appends lines of one file at once, and acknowledges them.
    fn append(&mut self, partition: &Partition, lines: &[Line<'_>]) -> Result<()> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
        let records: Vec<Record<'_>> = lines.iter().map(Line::record).collect();
        let offsets = partition.append(&records).map_err(|error| {
            let until = if lines.len() > 1 { format!(" to {}", last.number) } else { String::new() };
            Failure::new(format!("cannot append {first}{until}"), error)
        })?;
        if self.args.acks == Acks::All {
            partition.sync()?;
        }
        if self.args.print_acks && self.args.acks != Acks::None {
            self.print_acks(partition, offsets).map_err(cannot_write)?;
        }

        let value_bytes: u64 = lines.iter().map(|line| line.value.len() as u64).sum();
        let count = lines.len() as u64;
        self.records += count;
        self.bytes += value_bytes + count * key_of(first.file).len() as u64;
        // In the file, each line has a newline too.
        self.progress.advance(value_bytes + count);
        Ok(())
    }

    fn print_acks(&mut self, partition: &Partition, offsets: Range<Offset>) -> io::Result<()> {
        for offset in u64::from(offsets.start)..u64::from(offsets.end) {
            writeln!(self.acks, "{} {offset}", partition.id())?;
        }
        self.acks.flush()
    }
}

/// Compares all that a partition holds from an offset on with the lines of these files, one file after the other.
fn verify<'a>(partition: &Partition, from: Offset, files: impl Iterator<Item = &'a Path>) -> Result<u64> {
    let mut lines = files.flat_map(Lines::of);
    let mut next = from;
    let mut expected = from;
    loop {
        let batches = partition.read(next, READ_BYTES)?;
        let Some(end) = batches.next_offset() else { break };
        for batch in &batches {
            for record in &batch.records()? {
                let place = || format!("partition {}, offset {}", partition.id(), record.offset());
                let Some(line) = lines.next().transpose()? else {
                    return Err(format!("{}: a record that no line was appended for", place()).into());
                };
                if let Some(what) = difference(record, &line, expected) {
                    return Err(format!("{}: the {what} is not that of {line}", place()).into());
                }
                expected = expected.next();
            }
        }
        next = end;
    }
    match lines.next().transpose()? {
        Some(line) => {
            Err(format!("partition {} ends at offset {next}, before {line}", partition.id()).into())
        }
        None => Ok(expected.delta_from(from).unwrap_or(0)),
    }
}

/// What of a record is not as the line says, if anything.
fn difference(record: RecordView<'_>, line: &Line<'_>, offset: Offset) -> Option<&'static str> {
    let headers = record.headers().map(|header| (header.name(), header.value()));
    if record.offset() != offset {
        Some("offset")
    } else if record.key() != Some(key_of(line.file)) {
        Some("key")
    } else if record.value() != Some(&line.value) {
        Some("value")
    } else if !headers.eq([("line", Some(line.number.as_bytes()))]) {
        Some("header")
    } else {
        None
    }
}

/// A line of a file, without its newline.
struct Line<'a> {
    file: &'a Path,
    /// From 1, as decimal text.
    number: String,
    value: Vec<u8>,
}

impl Line<'_> {
    fn record(&self) -> Record<'_> {
        Record::new().key(key_of(self.file)).value(&self.value).header("line", Some(self.number.as_bytes()))
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
        Ok(Some(Line { file: self.file, number: self.count.to_string(), value }))
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

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
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

/// When a line counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acks {
    None,
    Leader,
    All,
}

impl FromStr for Acks {
    type Err = String;

    fn from_str(name: &str) -> Result<Acks, String> {
        match name {
            "none" => Ok(Acks::None),
            "leader" => Ok(Acks::Leader),
            "all" => Ok(Acks::All),
            _ => Err("must be none, leader or all".to_owned()),
        }
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
                "--topic" => args.topic = parsed(option, &value()?)?,
                "--partitions" => args.partitions = Some(parsed(option, &value()?)?),
                "--compression" => args.compression = parsed(option, &value()?)?,
                "--acks" => args.acks = parsed(option, &value()?)?,
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

fn parsed<T: FromStr<Err: fmt::Display>>(option: &str, value: &OsString) -> Result<T, String> {
    let text = value.to_str().ok_or_else(|| format!("{option} {value:?}: not UTF-8"))?;
    text.parse().map_err(|error| format!("{option} {text}: {error}"))
}
