//! Reading everything, every record decoded, from the page cache.

use streamlog::{Broker, BrokerConfig, TopicConfig};
use tempfile::TempDir;

use crate::harness::{
    Case, Contents, Outcome, Settings, Table, Target, Unit, fill, log_files, read_and_checksum, read_pass,
    seconds,
};

/// How the file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through a map that was just made.
    NewMap,
    /// Through a map that has been read before.
    Map,
    /// By position, sealed.
    Position,
    /// By position, from the segment that is appended to.
    Active,
}

/// All records of a partition, against reading the same files by position and a CRC-32C of them.
pub(crate) fn all(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(256 << 20);
    let mut partitions = Vec::new();
    for (value_bytes, least) in [(100, 0.2), (1 << 10, 0.4)] {
        let sealed = settings.scratch()?;
        // Filled past the last roll by little, so that nearly everything is sealed.
        let segment_bytes = u32::try_from(bytes / 4)?;
        let contents =
            fill(sealed.path(), TopicConfig::default().segment_bytes(segment_bytes), value_bytes, bytes)?;
        let active = settings.scratch()?;
        assert_eq!(fill(active.path(), TopicConfig::default(), value_bytes, bytes)?, contents);
        partitions.push((value_bytes, least, contents, sealed, active));
    }
    let mut cases = Vec::new();
    for (value_bytes, least, contents, sealed, active) in &partitions {
        for (way, name) in [
            (Way::Map, "sealed, mapped"),
            (Way::NewMap, "sealed, mapped anew"),
            (Way::Position, "sealed, by position"),
            (Way::Active, "active"),
        ] {
            let directory = if way == Way::Active { active } else { sealed };
            let name = format!("read_all {value_bytes} B, {name}");
            cases.push(case(name, way, directory, *contents, Target::RatioAtLeast(*least)));
        }
    }
    table.measure(cases)?;
    table.note(&format!("{} MiB of values, 1 MiB a read, bytes as stored per second", bytes >> 20));
    Ok(())
}

fn case(name: String, way: Way, directory: &TempDir, contents: Contents, target: Target) -> Case<'_> {
    let open = move || {
        let config = BrokerConfig::default().map_sealed_segments(way != Way::Position);
        let broker = Broker::builder().log_dir(directory.path()).config(config).open()?;
        let partition = broker.topic("bench")?.partition(0)?;
        Outcome::Ok((broker, partition))
    };
    let candidate = move || {
        let (broker, partition) = open()?;
        let (start, end) = (partition.log_start_offset(), partition.log_end_offset());
        if way == Way::Map {
            read_pass(&partition, start, end)?;
        }
        let (pass, elapsed) = seconds(|| read_pass(&partition, start, end))?;
        assert_eq!(pass.contents, contents, "everything was read");
        broker.close()?;
        Ok(pass.stored_bytes as f64 / 1e6 / elapsed)
    };
    let mut checksum = None;
    let bare = move || {
        let files = {
            let (broker, partition) = open()?;
            let files = log_files(&partition)?;
            broker.close()?;
            files
        };
        let read =
            || files.iter().try_fold(0, |sum, (path, bytes)| Ok(sum ^ read_and_checksum(path, *bytes)?));
        let (found, elapsed) = seconds(read)?;
        assert_eq!(found, *checksum.get_or_insert(found), "the files are the same every time");
        Ok(files.iter().map(|(_, bytes)| bytes).sum::<u64>() as f64 / 1e6 / elapsed)
    };
    Case::new(name, Unit::MegabytesPerSecond, candidate, ("pread of 64 KiB, CRC-32C", bare), target)
}
