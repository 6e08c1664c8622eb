//! The examples, run as programs: what a reader of them is promised holds.
//!
//! Nothing is built here. The compiled examples lie beside this test, in `target/<profile>/examples`: `cargo test` builds
//! them whenever it is not told which targets to test. Before `cargo test --test examples`, run `cargo build --examples`
//! with the same features, or an older build of them is tested.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::env;
use std::ffi::OsStr;
use std::fs;
#[cfg(unix)]
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Stdio;
use std::process::{Command, Output};
#[cfg(unix)]
use std::{thread, time::Duration};

#[cfg(unix)]
use streamlog::{AutoOffsetReset, PartitionId, TopicPartition};
use streamlog::{BatchBuilder, Broker, Compression, NewTopic, Record, Timestamp, TopicConfig};

/// The program that an example was compiled to.
fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    // This test is target/<profile>/deps/examples-<hash>.
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not there: run `cargo build --examples` first", program.display());
    program
}

/// What a run of an example wrote, and its exit code.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(name: &str, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Run {
    let Output { status, stdout, stderr } = Command::new(example(name)).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Run {
    /// What stdout says, where all went well.
    #[track_caller]
    fn succeeds(self) -> String {
        assert!(self.code == Some(0) && self.stderr.is_empty(), "{self:#?}");
        self.stdout
    }

    /// What stderr says, where it ended with this code.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert!(self.code == Some(code) && !self.stderr.is_empty(), "{self:#?}");
        self.stderr
    }
}

/// A directory that is gone after the test, with a log directory in it and files.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Runs `ingest` on the log directory, with options in one string.
    fn ingest(&self, options: &str, files: &[PathBuf]) -> Run {
        let words = options.split_whitespace().map(PathBuf::from);
        run(
            "ingest",
            ["--dir".into(), self.path("data")].into_iter().chain(words).chain(files.iter().cloned()),
        )
    }

    /// The first segment of a partition.
    fn segment(&self, partition: &str) -> PathBuf {
        self.path("data").join(partition).join("00000000000000000000.log")
    }

    /// What `dump` says of it, a line for each record.
    fn dump(&self, partition: &str) -> Vec<String> {
        run("dump", [self.segment(partition)]).succeeds().lines().map(str::to_owned).collect()
    }
}

/// What an example says that needs no arguments, and leaves nothing behind.
fn leaves_nothing(name: &str) -> String {
    let place = Place::new();
    let mut command = Command::new(example(name));
    let Output { status, stdout, stderr } =
        command.current_dir(place.dir.path()).env("TMPDIR", place.dir.path()).output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{status}: {}", stderr.escape_ascii());
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
    String::from_utf8(stdout).unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text that a line of JSON has for a field, up to the next one.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
    rest.split(",\"").next().unwrap().trim_end_matches('}')
}

/// Lines of all kinds, as content and as values.
fn lines_of_all_kinds() -> (Vec<u8>, Vec<Vec<u8>>) {
    let all_bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let mut values = vec![b"3 apples".to_vec(), b"".to_vec(), b"carriage\r".to_vec(), all_bytes];
    values.extend(
        (0_u32..5_000).map(|number| format!("line {number} {}", "x".repeat(number as usize % 300)).into()),
    );
    values.push(b"the last, without a newline".to_vec());
    (values.join(&b'\n'), values)
}

fn check_codec(codec: &str) {
    let place = Place::new();
    let (content, values) = lines_of_all_kinds();
    let files = [place.file("kinds", &content), place.file("empty", ""), place.file("newlines", "\n\n")];
    let report = place.ingest(&format!("--verify --compression {codec}"), &files).succeeds();
    let count = values.len() + 2;
    assert!(report.contains(&format!("records        {count}\n")), "{report}");
    assert!(report.contains(&format!("verified       {count} records of 3 files")), "{report}");

    let records = place.dump("lines-0");
    assert_eq!(records.len(), count);
    let empty = Vec::new();
    let expected = values.iter().map(|value| (&files[0], value)).chain([(&files[2], &empty); 2]);
    let numbers = (1..=values.len()).chain(1..=2);
    for (offset, ((record, (file, value)), number)) in records.iter().zip(expected).zip(numbers).enumerate() {
        assert_eq!(field(record, "offset"), offset.to_string());
        assert_eq!(field(record, "key"), format!("\"{}\"", hex(file.as_os_str().as_encoded_bytes())));
        assert_eq!(field(record, "value"), format!("\"{}\"", hex(value)));
        let header = format!(r#""headers":[["line","{}"]],"codec":"{codec}""#, hex(number.to_string()));
        assert!(record.contains(&header), "{record}");
    }
}

#[test]
fn lines_are_stored_as_they_are() {
    check_codec("none");
}

#[cfg(feature = "gzip")]
#[test]
fn lines_are_stored_with_gzip() {
    check_codec("gzip");
}

#[cfg(feature = "snappy")]
#[test]
fn lines_are_stored_with_snappy() {
    check_codec("snappy");
}

#[cfg(feature = "lz4")]
#[test]
fn lines_are_stored_with_lz4() {
    check_codec("lz4");
}

#[cfg(feature = "zstd")]
#[test]
fn lines_are_stored_with_zstd() {
    check_codec("zstd");
}

#[test]
fn a_second_run_appends_again() {
    let place = Place::new();
    let files = [place.file("a", "1\n2\n3")];
    for options in ["all", "leader --linger-ms 0", "none --linger-ms 1000"] {
        place.ingest(&format!("--verify --topic again --acks {options}"), &files).succeeds();
    }
    let values: Vec<_> = place.dump("again-0").iter().map(|line| field(line, "value").to_owned()).collect();
    assert_eq!(values, [r#""31""#, r#""32""#, r#""33""#].repeat(3));
}

#[test]
fn the_crates_own_sources_are_the_default() {
    let place = Place::new();
    let report = place.ingest("--verify --partitions 3", &[]).succeeds();
    assert!(report.contains("verified "), "{report}");
    let records = (0..3).flat_map(|partition| place.dump(&format!("lines-{partition}")));
    let this_file = format!("\"{}\"", hex(format!("{}/{}", env!("CARGO_MANIFEST_DIR"), file!())));
    let count = records.filter(|record| field(record, "key") == this_file).count();
    assert_eq!(count, include_str!("examples.rs").lines().count());
}

#[test]
fn a_files_lines_share_a_partition_whose_count_stays() {
    let place = Place::new();
    let files: Vec<PathBuf> = (0..20).map(|number| place.file(&number.to_string(), "1\n2\n")).collect();
    place.ingest("--partitions 4 --verify", &files).succeeds();
    let again = place.ingest("--partitions 2 --verify", &files);
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (Some(0), "ingest: topic lines exists and keeps its partitions: 4\n")
    );

    let mut keys = Vec::new();
    for partition in 0..4 {
        let records = place.dump(&format!("lines-{partition}"));
        let mut here: Vec<_> = records.iter().map(|record| field(record, "key").to_owned()).collect();
        here.sort();
        here.dedup();
        assert_eq!(records.len(), 4 * here.len());
        keys.extend(here);
    }
    assert_eq!(keys.len(), files.len());
}

#[test]
fn acknowledged_offsets_are_printed_once_each() {
    let place = Place::new();
    let files = [place.file("a", "1\n2\n")];
    for (acks, expected) in
        [("all", "0 0\n0 1\n"), ("leader", "0 2\n0 3\n"), ("none", ""), ("all", "0 6\n0 7\n")]
    {
        let run = place.ingest(&format!("--print-acks --verify --acks {acks}"), &files);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), expected));
        assert!(run.stderr.starts_with("records        2\n"), "{run:?}");
    }
}

#[test]
fn a_line_over_the_topics_limit_is_named() {
    let place = Place::new();
    let broker = Broker::open(place.path("data")).unwrap();
    let config = TopicConfig::default().max_message_bytes(1_000);
    broker.admin().create_topic(NewTopic::new("small").config(config)).unwrap();
    broker.close().unwrap();

    let file = place.file("a", ["1\n2\n", &"x".repeat(1_000), "\n4"].concat());
    let error = place.ingest("--topic small", std::slice::from_ref(&file)).fails(1);
    let expected = format!(
        "cannot append {}, line 3: a record for small-0 could not be delivered: a batch of ",
        file.display()
    );
    assert!(error.contains(&expected) && error.contains("max.message.bytes, 1000"), "{error}");
    let values: Vec<_> = place.dump("small-0").iter().map(|line| field(line, "value").to_owned()).collect();
    assert_eq!(values, [r#""31""#, r#""32""#, r#""34""#]);
}

/// A file that says something else each time it is read.
#[cfg(target_os = "linux")]
#[test]
fn verification_finds_a_difference() {
    let place = Place::new();
    let run = place.ingest("--verify", &["/proc/sys/kernel/random/uuid".into()]);
    assert!(run.stdout.contains("records        1\n"), "{run:?}");
    let expected = "partition 0, offset 0: the value is not that of /proc/sys/kernel/random/uuid, line 1\n";
    assert_eq!(run.fails(1), format!("ingest: {expected}"));
}

#[test]
fn what_ingest_cannot_do_is_said() {
    let place = Place::new();
    for (options, problem) in [
        ("--frob", "unknown option --frob"),
        ("--dir", "--dir needs a value"),
        ("--partitions many", "--partitions many: "),
        ("--acks some", "--acks some: must be none, leader or all"),
        ("--linger-ms long", "--linger-ms long: "),
        ("--compression brotli", "--compression brotli: invalid value brotli"),
    ] {
        let error = place.ingest(options, &[]).fails(2);
        assert!(error.starts_with(&format!("ingest: {problem}")) && error.contains("\nusage: "), "{error}");
    }
    let error = place.ingest("", &[place.path("missing")]).fails(1);
    assert!(
        error.starts_with(&format!("ingest: cannot read {}: ", place.path("missing").display())),
        "{error}"
    );
    let error = place.ingest("--topic a/b", &[place.file("a", "1")]).fails(1);
    assert!(error.starts_with("ingest: invalid topic name \"a/b\""), "{error}");
    assert!(place.ingest("--help", &[]).succeeds().starts_with("usage: ingest"));
}

/// Kills `ingest` in the middle of lines that never end, once it has acknowledged `acks_min` of them or, where it
/// acknowledges none, has been given `LINES_MIN`. Gives how many it had acknowledged.
#[cfg(unix)]
fn kill_ingest(place: &Place, acks: &str, acks_min: u64) -> u64 {
    let mut child = Command::new(example("ingest"))
        .args(["--print-acks", "--acks", acks, "--dir"])
        .args([place.path("data"), "/dev/stdin".into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufWriter::new(child.stdin.take().unwrap());
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    let mut is_acknowledged = |output: &mut BufReader<_>| {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        // The last one may be cut off in the middle.
        let is_whole = line.ends_with('\n');
        if is_whole {
            assert_eq!(line, format!("0 {acknowledged}\n"));
            acknowledged += 1;
        }
        is_whole
    };
    if acks_min == 0 {
        // Blocks until the child has read all of it but what a pipe holds.
        (0..LINES_MIN).for_each(|number| lines.write_all(&endless_line(number)).unwrap());
        child.kill().unwrap();
    } else {
        // It ends when the child is gone.
        let feeder =
            thread::spawn(move || (0..).try_for_each(|number| lines.write_all(&endless_line(number))));
        assert!((0..acks_min).all(|_| is_acknowledged(&mut output)));
        child.kill().unwrap();
        assert!(feeder.join().unwrap().is_err());
    }
    assert_eq!(child.wait().unwrap().code(), None);
    while is_acknowledged(&mut output) {}
    acknowledged
}

/// 3.5 MB of lines, of which a pipe and the producer's open batch hold a small part.
#[cfg(unix)]
const LINES_MIN: u64 = 50_000;

#[cfg(unix)]
fn endless_line(number: u64) -> Vec<u8> {
    format!("line {number} {}\n", "x".repeat(usize::try_from(number % 113).unwrap())).into()
}

/// Opens what a killed `ingest` left, and gives how many lines are there: the first ones, in order, each once.
#[cfg(unix)]
fn lines_left(place: &Place) -> u64 {
    let broker = Broker::open(place.path("data")).unwrap();
    assert!(!broker.recovery_report().was_clean);
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build().unwrap();
    consumer.assign([TopicPartition::new("lines", PartitionId::ZERO)]).unwrap();
    let mut count = 0;
    loop {
        let records = consumer.poll(Duration::ZERO).unwrap();
        if records.is_empty() {
            return count;
        }
        for record in &records {
            assert_eq!(record.offset(), count);
            assert_eq!(record.value(), endless_line(count).strip_suffix(b"\n"));
            count += 1;
        }
    }
}

#[cfg(unix)]
#[test]
fn what_a_killed_ingest_had_acknowledged_is_there() {
    for acks in ["all", "leader"] {
        for acks_min in [1, 20_000] {
            let place = Place::new();
            let acknowledged = kill_ingest(&place, acks, acks_min);
            let left = lines_left(&place);
            assert!(acknowledged >= acks_min && left >= acknowledged, "{acks}: {left} of {acknowledged}");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_a_killed_ingest_leaves_without_acknowledging_is_a_prefix() {
    let place = Place::new();
    assert_eq!(kill_ingest(&place, "none", 0), 0);
    let left = lines_left(&place);
    assert!((LINES_MIN / 2..=LINES_MIN).contains(&left), "{left}");
}

/// A log with one batch of each kind that an engine without transactions can be given.
fn known_records(place: &Place) {
    let broker = Broker::open(place.path("data")).unwrap();
    broker.admin().create_topic(NewTopic::new("known")).unwrap();
    let partition = broker.topic("known").unwrap().partition(0).unwrap();
    let at = Timestamp::from_millis;
    let headers = Record::new().timestamp(at(1)).header("a\"\\\n\u{1}ü", Some(b"\x00\xff")).header("a", None);
    let tombstone = Record::new().timestamp(at(5)).key("alice").header("a", Some(b""));
    partition.append(&[headers.value(""), tombstone]).unwrap();

    let mut builder = BatchBuilder::new(Compression::None).producer(7, 3, 41).transactional(true);
    builder.append(&Record::new().key("").value("3 apples"), at(6)).unwrap();
    builder.append(&Record::new().value("1 pear"), at(7)).unwrap();
    partition.append_batch(builder.build().unwrap()).unwrap();
    broker.close().unwrap();
}

/// What `dump` says of them.
const KNOWN: [&str; 4] = [
    r#"{"offset":0,"timestamp":1,"timestamp_type":"create","key":null,"value":"","headers":[["a\"\\\u000a\u0001ü","00ff"],["a",null]],"codec":"none","producer_id":-1,"producer_epoch":-1,"sequence":-1,"transactional":false,"control":null}"#,
    r#"{"offset":1,"timestamp":5,"timestamp_type":"create","key":"616c696365","value":null,"headers":[["a",""]],"codec":"none","producer_id":-1,"producer_epoch":-1,"sequence":-1,"transactional":false,"control":null}"#,
    r#"{"offset":2,"timestamp":6,"timestamp_type":"create","key":"","value":"33206170706c6573","headers":[],"codec":"none","producer_id":7,"producer_epoch":3,"sequence":41,"transactional":true,"control":null}"#,
    r#"{"offset":3,"timestamp":7,"timestamp_type":"create","key":null,"value":"312070656172","headers":[],"codec":"none","producer_id":7,"producer_epoch":3,"sequence":42,"transactional":true,"control":null}"#,
];

#[test]
fn every_field_of_a_record_is_dumped() {
    let place = Place::new();
    known_records(&place);
    assert_eq!(place.dump("known-0"), KNOWN);
}

#[test]
fn kafkas_own_batches_are_dumped() {
    let fixture = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name);
    let names = ["marker-commit.batch", "marker-abort.batch", "append-none.batch", "empty.batch"];
    let dumped = run("dump", names.map(fixture)).succeeds();
    let rows: Vec<_> = dumped
        .lines()
        .map(|line| {
            ["offset", "timestamp_type", "sequence", "control"].map(|name| field(line, name)).join(" ")
        })
        .collect();
    assert_eq!(
        rows,
        [
            r#"500 "create" -1 "commit""#,
            r#"501 "create" -1 "abort""#,
            r#"1000 "append" 2147483646 null"#,
            r#"1001 "append" 2147483647 null"#,
            r#"1002 "append" 0 null"#,
            r#"1003 "append" 1 null"#,
        ]
    );
}

#[test]
fn zeros_behind_the_last_batch_end_a_segment() {
    let place = Place::new();
    known_records(&place);
    let mut bytes = fs::read(place.segment("known-0")).unwrap();
    bytes.resize(bytes.len() + 1_000, 0);
    fs::write(place.segment("known-0"), bytes).unwrap();
    assert_eq!(place.dump("known-0"), KNOWN);
}

#[test]
fn damage_ends_a_file_behind_its_good_records_and_not_the_next() {
    let place = Place::new();
    known_records(&place);
    let good = fs::read(place.segment("known-0")).unwrap();
    // The length field says where the second batch begins.
    let second = 12 + u32::from_be_bytes(*good[8..].first_chunk().unwrap()) as usize;
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let (damaged, whole) = (place.file("damaged.log", bytes), place.file("whole.log", good));

    let run = run("dump", [&damaged, &place.path("missing.log"), &whole]);
    let expected: Vec<&str> = KNOWN[..2].iter().chain(&KNOWN).copied().collect();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), expected);
    let error = run.fails(1);
    let place = format!(
        "dump: damaged batch in {} at byte {second}, expected offset 2: CRC-32C is ",
        damaged.display()
    );
    assert!(error.starts_with(&place) && error.contains("missing.log: "), "{error}");
}

#[test]
fn records_that_their_batch_belies_are_named_with_their_place() {
    let place = Place::new();
    known_records(&place);
    let good = fs::read(place.segment("known-0")).unwrap();
    let second = 12 + u32::from_be_bytes(*good[8..].first_chunk().unwrap()) as usize;
    // A batch whose CRC is right and whose codec is not: gzip, with bytes behind it that are none.
    let mut bytes = good;
    bytes[second + 22] |= 1;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[second + 21..]);
    let crc = u32::try_from(crc).unwrap();
    bytes[second + 17..second + 21].copy_from_slice(&crc.to_be_bytes());
    let file = place.file("belied.log", bytes);

    let run = run("dump", [&file]);
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), KNOWN[..2]);
    let error = run.fails(1);
    assert!(error.starts_with(&format!("dump: batch in {} at byte {second}: ", file.display())), "{error}");
}

#[test]
fn what_dump_cannot_do_is_said() {
    for args in [&["--frob"][..], &[]] {
        let error = run("dump", args).fails(2);
        assert!(error.contains("\nusage: dump"), "{error}");
    }
    assert!(run("dump", ["--help"]).succeeds().starts_with("usage: dump"));
}

#[test]
fn the_quickstart_reads_what_it_sent() {
    let expected = "\
sent alice: 3 apples to orders-0@0
sent carol: 1 pear to orders-2@0
sent alice: 2 plums to orders-0@1
read alice: 3 apples at orders-0@0
read alice: 2 plums at orders-0@1
read carol: 1 pear at orders-2@0
";
    assert_eq!(leaves_nothing("quickstart"), expected);
}

#[test]
fn time_travel_begins_at_the_first_reading_since() {
    let expected = "\
since 10:30
  10:30  13.7 °C
  10:40  14.0 °C
  10:50  14.2 °C
since 7:00
  8:00  10.0 °C
  8:10  10.2 °C
  8:20  10.5 °C
since 11:55
  12:00  16.0 °C
since 12:01
  nothing
";
    assert_eq!(leaves_nothing("time_travel"), expected);
}

#[test]
fn a_resumed_program_has_lost_and_doubled_nothing() {
    let expected = "\
first run: stopped after 25 records, 20 of them in the file
second run: 29 records
together: 49 records
ann has watched 300 s
ben has watched 120 s
cem has watched 70 s
";
    assert_eq!(leaves_nothing("resume"), expected);
}

#[test]
fn what_a_worker_had_that_died_is_done_by_the_others() {
    let expected = "\
60 orders sent, lag 60
ann has 0 1 2, ben has 3 4 5; all billed, lag 0
ann has 0 1, ben has 2 3, cem has 4 5
30 more sent; ben has died: his pen is empty
ann has 0 1 2, cem has 3 4 5; all billed, lag 0
billed twice: 1
";
    assert_eq!(leaves_nothing("workers"), expected);
}

#[test]
fn a_program_that_stores_its_position_with_its_result_is_right_after_every_crash_and_others_are_caught() {
    let said = leaves_nothing("exactly_once");
    let [together, apart, early] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    let points: u64 = field_of(together, "one file: right after a crash at each of ", " points");
    assert!(points > 150, "{said}");
    assert!(
        apart.starts_with("two files: at step ") && apart.contains(": 50 apples of 46 (repeat it with "),
        "{said}"
    );
    assert!(
        early.starts_with("not yet durable: at step ")
            && early.contains(", PowerCut: 37 apples of 35 (repeat it with "),
        "{said}"
    );
}

/// The number between two texts.
#[track_caller]
fn field_of(line: &str, before: &str, after: &str) -> u64 {
    let number = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
}

#[test]
fn verify_finds_the_bit_that_it_flips_itself() {
    let shown = leaves_nothing("verify");
    let lines: Vec<&str> = shown.lines().collect();
    let [beside, sound, "", flipped, damaged, finding] = lines[..] else { panic!("{shown}") };
    assert_eq!((beside, flipped), ("beside the broker that writes it", "with one bit of a byte flipped"));
    assert!(
        sound.starts_with("sound: 2 partitions, 2 segments, ") && sound.contains(" 1003 records "),
        "{shown}"
    );
    assert!(damaged.starts_with("damaged: ") && damaged.ends_with(", 1 damaged place"), "{shown}");
    assert!(finding.starts_with("damage: damaged batch in orders-0, offsets "), "{shown}");
}

#[test]
fn verify_says_by_its_exit_code_what_it_found() {
    let place = Place::new();
    let file = place.file("lines.txt", "one\ntwo\nthree\n");
    place.ingest("", &[file]).succeeds();
    assert!(run("verify", [place.path("data")]).succeeds().starts_with("sound: "));

    let log = place.segment("lines-0");
    let mut bytes = fs::read(&log).unwrap();
    bytes[70] ^= 1;
    fs::write(&log, bytes).unwrap();
    let run_again = run("verify", [place.path("data")]);
    assert!(run_again.code == Some(1) && run_again.stdout.contains("\ndamage: "), "{run_again:#?}");

    let error = run("verify", [place.path("nothing")]).fails(2);
    assert!(error.starts_with("verify: there is no log directory in "), "{error}");
    assert!(run("verify", ["--help"]).succeeds().starts_with("usage: verify"));
}
