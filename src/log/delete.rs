//! The end of a partition whose topic is deleted.
//!
//! First its log ends: nothing is appended, synced or checkpointed any more, its files are closed, and every call fails
//! with [`Error::UnknownTopic`](crate::Error::UnknownTopic); what was read before stays valid. Then its directory is set
//! aside, under a name that no partition has: `<topic>-<partition>.<32 hexadecimal digits>-delete`, as Kafka names it. So
//! another partition may have its name at once. What is set aside is removed in the background, or after the next open.
//!
//! Only what has such a name is ever removed, and only a directory with the topic's id in it is set aside.

use std::io;
use std::path::{Path, PathBuf};

use super::log_dir::LogDir;
use super::metadata_file;
use super::partition_log::Log;
use crate::error::{Chain, Error, Result};
use crate::offset::TopicPartition;
use crate::storage::EntryKind;
use crate::sync::{Arc, Release};
use crate::uuid::Uuid;

/// The end of the name of what is set aside.
const SUFFIX: &str = "-delete";
/// How many hexadecimal digits an id has.
const ID_DIGITS: usize = 32;
/// The longest name that a directory may have.
const NAME_BYTES_MAX: usize = 255;

impl Log {
    /// Ends the log for good, because its topic is deleted. Returns once nobody changes its files any more.
    pub(crate) fn retire(&self) {
        self.is_deleted.store(true, Release);
        {
            let _no_append = self.writer.lock();
            self.is_closed.store(true, Release);
        }
        self.watchers().tell();
        // Whoever is at a checkpoint or in a round of syncs is waited for; whoever comes after sees that it is over.
        drop(self.checkpointing.lock());
        while self.group.lead_or_wait().is_none() {}
        self.segments.load().iter().for_each(|segment| segment.retire());
        self.unsynced.lock().drain(..).for_each(|segment| segment.retire());
        self.dir.slots.free(&self.slot);
    }
}

impl LogDir {
    /// Gives the directory of a deleted topic's partition another name, which survives a power cut once the log directory
    /// has been [synced](LogDir::sync_names); the new path. Nothing is done where there is none, or one of another topic.
    pub(crate) fn set_aside(&self, name: &TopicPartition, topic_id: Uuid) -> Result<Option<PathBuf>> {
        let path = self.partition_path(name);
        if !metadata_file::is_of(self.storage(), &path, topic_id)? {
            return Ok(None);
        }
        let aside = self.path().join(aside_name(name, Uuid::random(&mut self.random.lock())));
        self.storage().rename(&path, &aside).map_err(Error::io("rename", &path))?;
        Ok(Some(aside))
    }

    /// Makes the names in the log directory survive a power cut.
    pub(crate) fn sync_names(&self) -> Result<()> {
        self.storage().sync_dir(self.path()).map_err(Error::io("sync", self.path()))
    }

    /// What was set aside and has not been removed yet.
    pub(crate) fn aside(&self) -> Result<Vec<PathBuf>> {
        let names = self.directories()?.into_iter().filter(|name| is_aside(name));
        Ok(names.map(|name| self.path().join(name)).collect())
    }

    /// Removes what was set aside, in the background.
    pub(crate) fn remove_later(self: &Arc<Self>, aside: PathBuf) {
        let dir = Arc::downgrade(self);
        self.timers.schedule(self.clock.monotonic(), move || {
            let Some(dir) = dir.upgrade() else { return };
            let removed = dir.unless_over(|| remove(&dir, &aside));
            if let Some(Err(error)) = removed {
                log::warn!(
                    "what is left of a deleted topic is removed after the next open: {}",
                    Chain(&error)
                );
            }
        });
    }
}

/// Whether a directory in a log directory was set aside: no partition's name ends so, as that would end in its number.
pub(crate) fn is_aside(directory: &str) -> bool {
    let id = directory.strip_suffix(SUFFIX).and_then(|rest| rest.rsplit_once('.'));
    id.is_some_and(|(partition, id)| {
        let number = partition.rsplit_once('-').map(|(_, number)| number);
        id.len() == ID_DIGITS
            && id.bytes().all(|byte| byte.is_ascii_hexdigit())
            && number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// The topic's name is cut where the whole would be too long for a file system.
fn aside_name(name: &TopicPartition, id: Uuid) -> String {
    let digits = u128::from_be_bytes(*id.as_bytes());
    let rest = format!("-{}.{digits:032x}{SUFFIX}", name.partition());
    let topic = name.topic();
    format!("{}{rest}", topic.get(..NAME_BYTES_MAX - rest.len()).unwrap_or(topic))
}

/// Removes a directory with the files in it.
fn remove(dir: &LogDir, path: &Path) -> Result<()> {
    let storage = dir.storage();
    let done = |result: io::Result<()>, path: &Path| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    };
    let entries = storage.list(path).map_err(Error::io("list", path))?;
    for entry in entries.iter().filter(|entry| entry.kind != EntryKind::Directory) {
        let file = path.join(&entry.name);
        done(storage.remove_file(&file), &file)?;
    }
    done(storage.remove_dir(path), path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::PartitionId;

    #[test]
    fn names_of_what_is_set_aside_are_kafkas_and_no_partitions() {
        let partition = PartitionId::try_from(12).unwrap();
        let name = aside_name(&TopicPartition::new("a-b.c", partition), Uuid::CATALOG);
        assert_eq!(name, "a-b.c-12.00000000000000000000000000000001-delete");
        let longest = "x".repeat(249);
        let cut = aside_name(&TopicPartition::new(longest.as_str(), partition), Uuid::CATALOG);
        assert_eq!(cut.len(), NAME_BYTES_MAX);
        assert!(is_aside(&name) && is_aside(&cut) && cut.starts_with("xxx"));
        for other in [
            "a-0",
            "a-0-delete",
            "a-0.00-delete",
            "a.00000000000000000000000000000001-delete",
            "a-0.0000000000000000000000000000000g-delete",
            "a-0.00000000000000000000000000000001-delete-0",
            "a-x.00000000000000000000000000000001-delete",
            "-delete",
        ] {
            assert!(!is_aside(other), "{other}");
        }
    }
}
