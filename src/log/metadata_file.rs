//! `partition.metadata`: to which topic, by id, a partition's directory belongs.
//!
//! Text, as Kafka writes it: `version: 0`, `topic_id: <uuid>`, no newline at the end. It exists before the first append, so
//! that a directory left by a topic of the same name is never taken for this one's.

use std::path::Path;

use crate::error::{Error, Result};
use crate::storage::{Storage, small_file};
use crate::uuid::Uuid;

pub(crate) const FILE_NAME: &str = "partition.metadata";
/// The only version there is.
const VERSION: i64 = 0;
const FILE_BYTES_MAX: u64 = 4096;

/// What the file of a topic's partitions holds.
pub(crate) fn contents(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Writes anew a file that is missing or unreadable: the catalog knows better.
pub(crate) fn mend(storage: &dyn Storage, partition_dir: &Path, topic_id: Uuid) -> Result<()> {
    small_file::replace(storage, &partition_dir.join(FILE_NAME), contents(topic_id).as_bytes())
}

/// Checks that the directory is the topic's, and that its file says so.
pub(crate) fn check(storage: &dyn Storage, partition_dir: &Path, topic_id: Uuid) -> Result<()> {
    if is_checked(storage, partition_dir, topic_id)? {
        return Ok(());
    }
    let (path, reason) = (partition_dir.join(FILE_NAME), "it is missing, or names no topic".to_owned());
    Err(Error::InvalidFile { path, reason })
}

/// Refuses another topic's directory; `false` where the file is missing or unreadable.
pub(crate) fn is_checked(storage: &dyn Storage, partition_dir: &Path, topic_id: Uuid) -> Result<bool> {
    match read(storage, partition_dir)? {
        Some(found) if found == topic_id => Ok(true),
        Some(found) => {
            let reason = format!("the directory belongs to topic id {found}, not to {topic_id}");
            Err(Error::InvalidFile { path: partition_dir.join(FILE_NAME), reason })
        }
        None => Ok(false),
    }
}

/// The topic that a directory says it belongs to; `None` where its file is missing or unreadable, an error where it is of a newer
/// version.
pub(crate) fn read(storage: &dyn Storage, partition_dir: &Path) -> Result<Option<Uuid>> {
    let path = partition_dir.join(FILE_NAME);
    let bytes = match small_file::read(storage, &path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) if error.is_corruption() => Vec::new(),
        Err(error) => return Err(error),
    };
    match version(&bytes) {
        Some(found) if found > VERSION => Err(Error::UnsupportedVersion { path, found, supported: VERSION }),
        _ => Ok(parse(&bytes)),
    }
}

/// Whether a directory says that it is the topic's.
pub(crate) fn is_of(storage: &dyn Storage, partition_dir: &Path, topic_id: Uuid) -> Result<bool> {
    Ok(topic_of(storage, partition_dir)? == Some(topic_id))
}

/// The id of the topic that a directory says it belongs to, if it says so.
pub(crate) fn topic_of(storage: &dyn Storage, partition_dir: &Path) -> Result<Option<Uuid>> {
    match small_file::read(storage, &partition_dir.join(FILE_NAME), FILE_BYTES_MAX) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| parse(&bytes))),
        Err(error) if error.is_corruption() => Ok(None),
        Err(error) => Err(error),
    }
}

fn version(bytes: &[u8]) -> Option<i64> {
    str::from_utf8(bytes).ok()?.lines().next()?.strip_prefix("version:")?.trim().parse().ok()
}

fn parse(bytes: &[u8]) -> Option<Uuid> {
    (version(bytes)? == VERSION).then_some(())?;
    let id = str::from_utf8(bytes).ok()?.lines().nth(1)?;
    Uuid::parse(id.strip_prefix("topic_id:")?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn another_topics_directory_is_refused_and_a_damaged_file_mended() {
        let storage = MemoryStorage::new();
        let dir = Path::new("t-0");
        storage.create_dir(dir).unwrap();
        let own = Uuid::random(&mut fastrand::Rng::with_seed(1));
        let is_checked = |id| is_checked(&storage, dir, id);
        assert!(!is_checked(own).unwrap(), "it is missing");
        mend(&storage, dir, own).unwrap();
        assert!(is_checked(own).unwrap());
        let is_of = |id| is_of(&storage, dir, id).unwrap();
        assert!(is_of(own) && !is_of(Uuid::CATALOG));
        let error = check(&storage, dir, Uuid::CATALOG).unwrap_err();
        assert!(error.to_string().contains(&own.to_string()), "{error}");
        small_file::replace(&storage, &dir.join(FILE_NAME), b"version: 0\ntopic_id: x").unwrap();
        assert!(!is_checked(own).unwrap());
        mend(&storage, dir, own).unwrap();
        assert!(is_checked(own).unwrap());
        small_file::replace(&storage, &dir.join(FILE_NAME), b"version: 1\n").unwrap();
        let error = is_checked(own).unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion { found: 1, supported: 0, .. }), "{error}");
    }
}
