//! A new partition's directory: everything that must be there before the first append.
//!
//! The directory, `partition.metadata`, `leader-epoch-checkpoint` with epoch 0, and the empty first segment, all synced,
//! with their names, before this returns; and a durable slot of some partition in the log directory, synced, so that a lost catalog is
//! missed. A crash on the way leaves a directory that the next attempt completes: nothing
//! can have been appended to it.

use std::io::{self, IoSlice};
use std::path::Path;
use std::slice;

use super::checkpoint_file;
use super::config::TopicConfig;
use super::epochs::EpochHistory;
use super::log_dir::LogDir;
use super::metadata_file;
use super::partition_log::{Log, Opened};
use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset, TopicPartition};
use crate::segment::{LogSegment, SegmentFile, parse_file_name};
use crate::storage::{Access, Entry, Storage};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// Creates a partition's directory and opens its empty log.
pub(crate) fn create(
    dir: &Arc<LogDir>,
    name: TopicPartition,
    topic_id: Uuid,
    config: TopicConfig,
) -> Result<Arc<Log>> {
    let storage = dir.storage();
    let path = dir.partition_path(&name);
    storage.create_dir(&path).map_err(Error::io("create", &path))?;
    remove_empty_segments(storage, &path)?;
    // A checkpoint that is left of an earlier topic of this name would make a torn tail look like damage.
    dir.forget(slice::from_ref(&name))?;
    let epochs = [(LeaderEpoch::ZERO, Offset::ZERO)];
    write_new(storage, &path.join(metadata_file::FILE_NAME), &metadata_file::contents(topic_id))?;
    write_new(storage, &path.join(checkpoint_file::EPOCHS), &checkpoint_file::epochs_contents(&epochs))?;
    let active = LogSegment::create(&dir.files, &path, Offset::ZERO)?;
    storage.sync_dir(&path).map_err(Error::io("sync", &path))?;
    storage.sync_dir(dir.path()).map_err(Error::io("sync", dir.path()))?;
    let (slot, _) = dir.slots.slot(topic_id, name.partition());
    if topic_id != Uuid::CATALOG
        && let Err(error) = dir.tell_of_partitions(&slot)
    {
        dir.slots.free(&slot);
        return Err(error);
    }
    let opened = Opened {
        sealed: Vec::new(),
        active: Arc::new(active),
        index: None,
        prepared: 0,
        start: Offset::ZERO,
        durable: Offset::ZERO,
        epochs: EpochHistory::new(epochs.to_vec()),
        unsaved_bytes: 0,
        slot,
    };
    Ok(Log::new(dir, name, config, opened))
}

/// Whether a partition was created to the end once, whatever is told of that: its slot, or its directory, knows of records.
pub(crate) fn was_created(
    storage: &dyn Storage,
    path: &Path,
    topic_id: Uuid,
    slot: Option<Offset>,
) -> Result<bool> {
    if slot > Some(Offset::ZERO) {
        return Ok(true);
    }
    if metadata_file::topic_of(storage, path)? != Some(topic_id) {
        return Ok(false);
    }
    let entries = storage.list(path).map_err(Error::io("list", path))?;
    Ok(entries.iter().any(|entry| match entry.name.to_str().map(parse_file_name) {
        Some(SegmentFile::Log(base)) => base > Offset::ZERO || entry.bytes > 0,
        Some(_) | None => false,
    }))
}

/// Writes and syncs a small file that nothing refers to yet, over what an interrupted attempt may have left.
fn write_new(storage: &dyn Storage, path: &Path, contents: &str) -> Result<()> {
    match storage.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let file = storage.open(path, Access::Create).map_err(Error::io("create", path))?;
    file.write_at(0, &[IoSlice::new(contents.as_bytes())]).map_err(Error::io("write", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

/// Removes the empty segments that an interrupted attempt left. A directory with anything in its log is somebody else's, and
/// not touched.
fn remove_empty_segments(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let entries = storage.list(dir).map_err(Error::io("list", dir))?;
    let is_segment = |entry: &&Entry| {
        matches!(entry.name.to_str().map(parse_file_name), Some(SegmentFile::Log(_) | SegmentFile::Swap))
    };
    let segments: Vec<&Entry> = entries.iter().filter(is_segment).collect();
    if let Some(foreign) = segments.iter().find(|entry| entry.bytes > 0) {
        let reason = format!("it holds {} bytes where a new partition is to be created", foreign.bytes);
        return Err(Error::InvalidFile { path: dir.join(&foreign.name), reason });
    }
    for empty in segments {
        let path = dir.join(&empty.name);
        storage.remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}
