//! The memory of a broker's own, at its peak, while much goes through it.
//!
//! Measured in a process of its own, this program again, so that nothing that was measured before counts.

use std::path::{Path, PathBuf};
use std::process::Command;

use streamlog::{Broker, Offset, TopicConfig};

use crate::harness::{
    Contents, Outcome, Settings, Table, Target, Unit, Values, append_all, create_partition, no_bare,
    read_pass,
};

/// What the parent sets: where to work, and how much goes through.
const DIRECTORY: &str = "STREAMLOG_BENCH_CHILD_DIR";
const BYTES: &str = "STREAMLOG_BENCH_CHILD_BYTES";
/// What lies between two looks at the memory.
const SAMPLE_BYTES: u64 = 16 << 20;
const VALUE_BYTES: usize = 1 << 10;
const CALL_RECORDS: usize = 1 << 8;

/// The peak of anonymous memory over writing and then reading 1 GiB in one partition.
pub(crate) fn memory(settings: &Settings, table: &mut Table) -> Outcome<()> {
    if rss_anon().is_none() {
        table.note("memory: this system does not tell");
        return Ok(());
    }
    let bytes = settings.sized(1 << 30);
    let peak = || {
        let scratch = settings.scratch()?;
        let mut child = Command::new(std::env::current_exe()?);
        let output = child.env(DIRECTORY, scratch.path()).env(BYTES, bytes.to_string()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse::<u64>()? as f64 / f64::from(1 << 20))
    };
    let name = format!("memory, {} MiB written and read", bytes >> 20);
    table.measure(vec![no_bare(name, Unit::Mebibytes, peak, Target::ValueAtMost(64.0))])
}

/// Where to work, if this is the child.
pub(crate) fn child_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Writes and reads, and prints the peak in bytes.
#[expect(clippy::print_stdout, reason = "it is what the parent reads")]
pub(crate) fn child(directory: &Path) -> Outcome<()> {
    let bytes: u64 = std::env::var(BYTES)?.parse()?;
    let values = Values::new(VALUE_BYTES, CALL_RECORDS);
    let sample_calls = SAMPLE_BYTES / (VALUE_BYTES * CALL_RECORDS) as u64;
    let samples = bytes.div_ceil(SAMPLE_BYTES);
    let broker = Broker::open(directory)?;
    let partition = create_partition(&broker, TopicConfig::default())?;
    let mut peak = 0;
    for _ in 0..samples {
        append_all(&partition, &values, sample_calls)?;
        peak = peak.max(rss_anon().ok_or("the system stopped telling")?);
    }
    let expected = Contents::of(&values, sample_calls);
    for sample in 0..samples {
        let start = Offset::from(0).saturating_add(sample * expected.records);
        let pass = read_pass(&partition, start, start.saturating_add(1))?;
        assert!(pass.contents.records > 0);
        let mut next = start;
        let end = start.saturating_add(expected.records);
        while next < end {
            let batches = partition.read(next, 1 << 20)?;
            next = batches.next_offset().ok_or("the log ends too early")?;
            peak = peak.max(rss_anon().ok_or("the system stopped telling")?);
        }
    }
    broker.close()?;
    println!("{peak}");
    Ok(())
}

/// Anonymous memory of this process, in bytes.
fn rss_anon() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
