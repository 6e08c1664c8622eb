//! Kafka's text checkpoints: a version, a count, and so many lines.
//!
//! ```text
//! 0
//! 2
//! orders 0 1200
//! orders 1 1187
//! ```
//!
//! A checkpoint is replaced whole (written aside, synced, renamed), so a crash leaves the old one or the new one. An empty
//! file reads as no entries; a count that does not match, a newer version or a malformed line is an error.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset, PartitionId, TopicPartition};
use crate::storage::{Storage, small_file};

/// The name of a partition's history of leader epochs.
pub(crate) const EPOCHS: &str = "leader-epoch-checkpoint";
/// The only version there is.
const VERSION: i64 = 0;
/// The largest checkpoint that is read: some 200,000 partitions.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Offsets by partition, as in `recovery-point-offset-checkpoint`.
pub(crate) type OffsetsByPartition = BTreeMap<TopicPartition, Offset>;

/// Reads a checkpoint of `topic partition offset` lines; `None` where there is no file.
pub(crate) fn read_offsets(storage: &dyn Storage, path: &Path) -> Result<Option<OffsetsByPartition>> {
    read(storage, path, |line| {
        let [topic, partition, offset] = fields(line)?;
        let partition = PartitionId::try_from(partition.parse::<u32>().ok()?).ok()?;
        Some((TopicPartition::new(topic, partition), parse_offset(offset)?))
    })
    .map(|entries| entries.map(|entries| entries.into_iter().collect()))
}

/// Replaces a checkpoint of offsets.
pub(crate) fn write_offsets(storage: &dyn Storage, path: &Path, offsets: &OffsetsByPartition) -> Result<()> {
    let lines =
        offsets.iter().map(|(name, offset)| format!("{} {} {offset}", name.topic(), name.partition()));
    small_file::replace(storage, path, contents(lines).as_bytes())
}

/// Reads a `leader-epoch-checkpoint`: `epoch offset` lines that ascend in both.
pub(crate) fn read_epochs(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<(LeaderEpoch, Offset)>>> {
    let epochs = read(storage, path, |line| {
        let [epoch, offset] = fields(line)?;
        Some((LeaderEpoch::from_i32(epoch.parse().ok()?)?, parse_offset(offset)?))
    })?;
    let ascending = |epochs: &[(LeaderEpoch, Offset)]| {
        epochs.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0 && a.1 < b.1))
    };
    match epochs {
        Some(epochs) if !ascending(&epochs) => {
            Err(invalid(path, "epochs and offsets do not ascend".to_owned()))
        }
        epochs => Ok(epochs),
    }
}

/// What a `leader-epoch-checkpoint` holds.
pub(crate) fn epochs_contents(epochs: &[(LeaderEpoch, Offset)]) -> String {
    contents(epochs.iter().map(|(epoch, offset)| format!("{epoch} {offset}")))
}

fn contents(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn read<E>(storage: &dyn Storage, path: &Path, parse: impl Fn(&str) -> Option<E>) -> Result<Option<Vec<E>>> {
    let Some(bytes) = small_file::read(storage, path, FILE_BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| invalid(path, "it is not UTF-8".to_owned()))?;
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Some(Vec::new())),
        Some(line) => match line.parse::<i64>() {
            Ok(VERSION) => {}
            Ok(found) if found > VERSION => {
                let path = path.to_path_buf();
                return Err(Error::UnsupportedVersion { path, found, supported: VERSION });
            }
            _ => return Err(invalid(path, format!("its version is {line:?}, not {VERSION}"))),
        },
    }
    let count = lines.next().unwrap_or_default();
    let count: usize = count.parse().map_err(|_| invalid(path, format!("{count:?} is no count")))?;
    let entries =
        lines.map(|line| parse(line).ok_or_else(|| invalid(path, format!("malformed line {line:?}"))));
    let entries: Vec<E> = entries.collect::<Result<_>>()?;
    if entries.len() != count {
        return Err(invalid(path, format!("it holds {} entries and says {count}", entries.len())));
    }
    Ok(Some(entries))
}

fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    line.split(' ').collect::<Vec<_>>().try_into().ok()
}

fn parse_offset(text: &str) -> Option<Offset> {
    Offset::try_from(text.parse::<u64>().ok()?).ok()
}

fn invalid(path: &Path, reason: String) -> Error {
    Error::InvalidFile { path: path.to_path_buf(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn storage_with(contents: &str) -> MemoryStorage {
        let storage = MemoryStorage::new();
        storage.create_dir(Path::new("d")).unwrap();
        small_file::replace(&storage, Path::new("d/c"), contents.as_bytes()).unwrap();
        storage
    }

    #[test]
    fn offsets_have_kafkas_bytes_and_read_back() {
        let storage = storage_with("");
        let path = Path::new("d/c");
        assert_eq!(
            read_offsets(&storage, path).unwrap(),
            Some(BTreeMap::new()),
            "an empty file has no entries"
        );
        let one = PartitionId::try_from(1).unwrap();
        let offsets = BTreeMap::from([
            (TopicPartition::new("a-b", PartitionId::ZERO), Offset::from(7)),
            (TopicPartition::new("a-b", one), Offset::MAX),
        ]);
        write_offsets(&storage, path, &offsets).unwrap();
        let bytes = small_file::read(&storage, path, 1000).unwrap().unwrap();
        assert_eq!(bytes, b"0\n2\na-b 0 7\na-b 1 9223372036854775807\n");
        assert_eq!(read_offsets(&storage, path).unwrap(), Some(offsets));
        assert_eq!(read_offsets(&storage, Path::new("d/none")).unwrap(), None);
    }

    #[test]
    fn what_does_not_hold_together_is_refused_with_the_reason() {
        for (contents, reason) in [
            ("x\n0\n", "version"),
            ("-1\n0\n", "version"),
            ("0\n", "no count"),
            ("0\n2\na 0 1\n", "1 entries and says 2"),
            ("0\n1\na 0\n", "malformed line"),
            ("0\n1\na 0 -1\n", "malformed line"),
            ("0\n1\na 4294967295 1\n", "malformed line"),
            ("0\n1\na 0 9223372036854775808\n", "malformed line"),
        ] {
            let error = read_offsets(&storage_with(contents), Path::new("d/c")).unwrap_err();
            assert!(error.to_string().contains(reason), "{contents:?}: {error}");
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_name_and_is_no_damage() {
        let error = read_offsets(&storage_with("1\n0\n"), Path::new("d/c")).unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion { found: 1, supported: 0, .. }), "{error}");
        assert!(!error.is_corruption());
    }

    #[test]
    fn epochs_must_ascend() {
        let epochs = |contents| read_epochs(&storage_with(contents), Path::new("d/c"));
        assert_eq!(epochs("0\n2\n0 0\n3 10\n").unwrap().unwrap().len(), 2);
        assert!(epochs("0\n2\n3 0\n3 10\n").is_err());
        assert!(epochs("0\n2\n0 10\n3 10\n").is_err());
        assert!(epochs("0\n1\n-1 10\n").is_err());
    }
}
