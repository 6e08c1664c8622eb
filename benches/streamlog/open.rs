//! Opening a broker: after a clean close, and after an end that leaves everything to be checked.

use std::fs;
use std::path::{Path, PathBuf};

use streamlog::{Broker, TopicConfig};

use crate::harness::{
    Case, Contents, Outcome, Settings, Table, Target, Unit, fill, log_files, no_bare, read_and_checksum,
    seconds,
};

const VALUE_BYTES: usize = 1 << 10;

/// A clean open in milliseconds; an unclean one in bytes checked per second, against a read and CRC-32C of the files.
pub(crate) fn open(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(1 << 30);
    let scratch = settings.scratch()?;
    let contents = fill(scratch.path(), TopicConfig::default(), VALUE_BYTES, bytes)?;
    let files = {
        let broker = Broker::open(scratch.path())?;
        let files = log_files(&broker.topic("bench")?.partition(0)?)?;
        broker.close()?;
        files
    };
    let clean = || {
        let (broker, elapsed) = seconds(|| Ok(Broker::open(scratch.path())?))?;
        check(&broker, contents, true)?;
        Ok(elapsed * 1e3)
    };
    let unclean = || {
        forget_clean_close(scratch.path())?;
        let (broker, elapsed) = seconds(|| Ok(Broker::open(scratch.path())?))?;
        let scanned_bytes = check(&broker, contents, false)?;
        assert_eq!(scanned_bytes, total(&files), "all of it was checked");
        Ok(scanned_bytes as f64 / 1e6 / elapsed)
    };
    let bare = || {
        let read =
            || files.iter().try_fold(0, |sum, (path, bytes)| Ok(sum ^ read_and_checksum(path, *bytes)?));
        let (sum, elapsed) = seconds(read)?;
        assert_ne!(sum, 0, "the files are not empty");
        Ok(total(&files) as f64 / 1e6 / elapsed)
    };
    let size = format!("{} MiB", bytes >> 20);
    table.measure(vec![
        no_bare(format!("open, clean, {size}"), Unit::Milliseconds, clean, Target::ValueAtMost(20.0)),
        Case::new(
            format!("open, unclean, {size} to check"),
            Unit::MegabytesPerSecond,
            unclean,
            ("pread of 64 KiB, CRC-32C", bare),
            Target::ValueAtLeast(2_000.0),
        ),
    ])
}

fn total(files: &[(PathBuf, u64)]) -> u64 {
    files.iter().map(|(_, bytes)| bytes).sum()
}

/// Checks what was opened, and closes it; gives how many bytes of the topic were scanned.
fn check(broker: &Broker, contents: Contents, is_clean: bool) -> Outcome<u64> {
    let report = broker.recovery_report();
    assert_eq!(report.was_clean, is_clean);
    assert_eq!(broker.topic("bench")?.partition(0)?.log_end_offset(), contents.records, "nothing is lost");
    let own = report.partitions.iter().filter(|found| found.partition.topic() == "bench");
    let scanned_bytes = own.map(|found| found.scanned_bytes).sum();
    broker.close()?;
    Ok(scanned_bytes)
}

/// Leaves the directory as a process that was killed before its first checkpoint leaves it.
fn forget_clean_close(directory: &Path) -> Outcome<()> {
    fs::remove_file(directory.join(".kafka_cleanshutdown"))?;
    let path = directory.join("recovery-point-offset-checkpoint");
    let lines = fs::read_to_string(&path)?;
    let forgotten = lines.lines().map(|line| if line.starts_with("bench 0 ") { "bench 0 0" } else { line });
    fs::write(&path, forgotten.collect::<Vec<_>>().join("\n") + "\n")?;
    Ok(())
}
