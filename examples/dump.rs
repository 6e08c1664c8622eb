//! What is in a segment: a JSON object a line for each of its records.
//!
//! ```text
//! cargo run --release --example dump -- data/lines-0/00000000000000000000.log | head -n 3
//! ```
//!
//! A segment is read without a broker, beside it, and without a lock: Kafka's own files as well. Keys, values and
//! headers may be any bytes, so they are printed in hex. Batches that hold no records print nothing, zeros behind the
//! last batch end the segment, and damage ends it too: what stands before is printed, then file and position are named.

use std::env;
use std::error::Error;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use streamlog::{ControlType, RecordBatch, RecordView, Segment, TimestampType};

const USAGE: &str = "\
usage: dump FILE.log...

Prints every record of every FILE as a line of JSON. Keys, values and the values
of headers are in hex, because they may be any bytes.
";

fn main() -> ExitCode {
    let files: Vec<_> = env::args_os().skip(1).collect();
    if files.iter().any(|file| file == "--help") {
        // There is nobody to tell that nobody wants to know.
        let _ = write!(io::stdout(), "{USAGE}");
        return ExitCode::SUCCESS;
    }
    let option = files.iter().find(|file| file.as_encoded_bytes().starts_with(b"-"));
    if let Some(option) = option {
        eprint!("dump: unknown option {}\n\n{USAGE}", option.display());
        return ExitCode::from(2);
    }
    if files.is_empty() {
        eprint!("dump: no file named\n\n{USAGE}");
        return ExitCode::from(2);
    }

    let mut out = BufWriter::new(io::stdout().lock());
    let mut code = ExitCode::SUCCESS;
    for file in &files {
        let dumped = dump(Path::new(file), &mut out);
        // What is good of a file comes out before the error that ends it.
        let flushed = out.flush().map_err(Failure::Output);
        match dumped.and(flushed) {
            Ok(()) => {}
            // Whoever reads has seen enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Err(Failure::Output(error)) => {
                eprintln!("dump: cannot write: {error}");
                return ExitCode::FAILURE;
            }
            Err(Failure::Input(what)) => {
                eprintln!("dump: {what}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn dump(path: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let segment = Segment::open(path).map_err(|error| Failure::Input(chain(&error)))?;
    let mut position = 0;
    for batch in segment.batches() {
        // A batch that cannot be found or fails its CRC is an error that names its place already.
        let batch = batch.map_err(|error| Failure::Input(chain(&error)))?;
        let bad_records = |error: streamlog::Error| {
            Failure::Input(format!("batch in {} at byte {position}: {}", path.display(), chain(&error)))
        };
        let control = batch.control_type().map_err(bad_records)?;
        for record in &batch.records().map_err(bad_records)? {
            write_record(out, &batch, control, &record).map_err(Failure::Output)?;
        }
        position += batch.bytes().len();
    }
    Ok(())
}

fn write_record(
    out: &mut impl Write,
    batch: &RecordBatch,
    control: Option<ControlType>,
    record: &RecordView<'_>,
) -> io::Result<()> {
    write!(out, r#"{{"offset":{},"timestamp":{}"#, record.offset(), record.timestamp().as_millis())?;
    let timestamp_type = if batch.timestamp_type() == TimestampType::Append { "append" } else { "create" };
    write!(out, r#","timestamp_type":"{timestamp_type}""#)?;
    write!(out, r#","key":{},"value":{}"#, Hex(record.key()), Hex(record.value()))?;
    write!(out, r#","headers":["#)?;
    for (number, header) in record.headers().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        write!(out, "{comma}[{},{}]", Text(header.name()), Hex(header.value()))?;
    }
    write!(out, r#"],"codec":"{}""#, batch.compression())?;
    write!(out, r#","producer_id":{}"#, batch.producer_id().unwrap_or(-1))?;
    write!(out, r#","producer_epoch":{}"#, batch.producer_epoch().unwrap_or(-1))?;
    write!(out, r#","sequence":{}"#, record.sequence().unwrap_or(-1))?;
    write!(out, r#","transactional":{}"#, batch.is_transactional())?;
    match control {
        None => writeln!(out, r#","control":null}}"#),
        Some(ControlType::Abort) => writeln!(out, r#","control":"abort"}}"#),
        Some(ControlType::Commit) => writeln!(out, r#","control":"commit"}}"#),
        Some(ControlType::Other(number)) => writeln!(out, r#","control":"type {number}"}}"#),
        Some(other) => writeln!(out, r#","control":"{other:?}"}}"#),
    }
}

/// Bytes as a JSON string of hex, or null.
struct Hex<'a>(Option<&'a [u8]>);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("null") };
        f.write_str("\"")?;
        for byte in bytes {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("\"")
    }
}

/// Text as a JSON string: quotes, backslashes and control characters are escaped.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(letter))?,
                _ => write!(f, "{letter}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Why a dump ends early.
enum Failure {
    /// The file cannot be read, or is damaged.
    Input(String),
    /// Nothing more can be written.
    Output(io::Error),
}

/// An error and all that led to it.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(chain);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
