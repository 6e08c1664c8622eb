//! A log directory: what the partitions in it share.
//!
//! One broker at a time holds it, by an operating-system lock. It has an id, the marker of a clean shutdown, the durable
//! slots, and Kafka's checkpoints of recovery points and high watermarks, by partition. Those are keyed by name, so what they
//! say of a partition is dropped before another one of its name begins.
//!
//! A crash leaves the directory without the marker, and its checkpoints as they were last replaced.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checkpoint_file::{self, OffsetsByPartition};
use super::clean_marker::CleanMarker;
use super::config::TopicConfig;
use super::due::{Checkpointed, DueCheckpoints};
use super::durable_slots::{self, DurableSlot, DurableSlots};
use super::meta_properties::{self, Meta};
use super::recovery_mode::RecoveryMode;
use super::view;
use crate::clock::{Clock, Timers};
use crate::error::{Chain, Error, Result};
use crate::offset::{Offset, TopicPartition};
use crate::storage::{Access, EntryKind, OpenFiles, Storage, StorageLock};
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release, Weak};
use crate::uuid::Uuid;

const LOCK_FILE: &str = ".lock";
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// The settings that all partitions of a broker share.
#[derive(Debug, Clone)]
pub(crate) struct LogDirConfig {
    /// See [`BrokerConfig::checkpoint_interval`](crate::BrokerConfig::checkpoint_interval()).
    pub(crate) checkpoint_interval: Duration,
    /// See [`BrokerConfig::checkpoint_bytes`](crate::BrokerConfig::checkpoint_bytes()).
    pub(crate) checkpoint_bytes: u64,
    /// How sealed segments are read.
    pub(crate) sealed_access: Access,
    /// What may be done about what an open finds.
    pub(crate) recovery: RecoveryMode,
    /// Whether the files are somebody else's: then the storage is a [view](super::view) of them, and nothing is written.
    pub(crate) is_read_only: bool,
    /// The settings of every topic, as far as it has none of its own.
    pub(crate) topic_defaults: TopicConfig,
}

/// What the log directories of one broker share.
#[derive(Debug, Clone)]
pub(crate) struct LogDirParts {
    pub(crate) config: LogDirConfig,
    pub(crate) files: Arc<OpenFiles>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) random: Arc<Mutex<fastrand::Rng>>,
}

/// A log directory; see the [module](self).
#[derive(Debug)]
pub(crate) struct LogDir {
    path: PathBuf,
    meta: Meta,
    was_clean: bool,
    is_new: bool,
    pub(crate) config: LogDirConfig,
    pub(crate) files: Arc<OpenFiles>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) random: Arc<Mutex<fastrand::Rng>>,
    pub(crate) marker: CleanMarker,
    pub(crate) slots: DurableSlots,
    /// What is known of partitions by their names; of those that are not open it stays as it was read.
    checkpoints: Mutex<Checkpoints>,
    /// Held while checkpoint files are replaced, over the syncs: one replacement at a time.
    replacing: Mutex<()>,
    due: DueCheckpoints,
    /// Whether the slots are known to tell, durably, that there are partitions.
    is_told: Mutex<bool>,
    /// Whether a log in it could not be opened, or not be closed in order: then there will be no marker.
    is_unsettled: AtomicBool,
    /// Whether the directory is being closed. Held over each round of checkpoints and each removal, so that none runs into a
    /// close.
    is_over: Mutex<bool>,
    /// Files that could not be understood, and were taken for empty.
    ignored: Vec<Arc<Error>>,
    lock: Mutex<Option<StorageLock>>,
}

#[derive(Debug, Default, Clone)]
struct Checkpoints {
    recovery_points: OffsetsByPartition,
    high_watermarks: OffsetsByPartition,
    /// The first readable offset, where deletion has moved it past a segment's base.
    log_starts: OffsetsByPartition,
    /// Whether the files may say something of partitions that are forgotten here, or make no sense.
    is_stale: bool,
}

impl LogDir {
    /// Opens the directory at `path`, making it where there is none: as one of `cluster`, or of a new one.
    ///
    /// # Errors
    ///
    /// [`Error::NotADirectory`], [`Error::Locked`], [`Error::UnsupportedVersion`], [`Error::InvalidFile`] for a
    /// `meta.properties` that makes no sense, and [`Error::Io`].
    pub(crate) fn open(path: &Path, cluster: Option<&str>, parts: LogDirParts) -> Result<LogDir> {
        let LogDirParts { config, files, clock, timers, random } = parts;
        let storage = Arc::clone(files.storage());
        if config.is_read_only {
            view::check_is_there(&*storage, path)?;
        }
        let has_id = match storage.stat(path) {
            Ok(entry) if entry.kind != EntryKind::Directory => {
                return Err(Error::NotADirectory { path: path.to_path_buf() });
            }
            Ok(_) => meta_properties::exists(&*storage, path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                storage.create_dir(path).map_err(Error::io("create", path))?;
                false
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        if !has_id {
            // Until there is an id in it, an earlier attempt may have ended before the directory's own name was durable.
            sync_names(&*storage, path)?;
        }
        warn_of_network(&*storage, path);
        let lock_path = path.join(LOCK_FILE);
        let lock = storage.lock(&lock_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { path: path.to_path_buf() },
            _ => Error::io("lock", &lock_path)(error),
        })?;
        // The slots are made after the id: where they are, an id that is missing has been lost.
        let slots = path.join(durable_slots::FILE_NAME);
        let is_new = match storage.stat(&slots) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(Error::io("look for", &slots)(error)),
        };
        let meta = meta_properties::open(&*storage, path, is_new, cluster, &random)?;
        if is_new && has_id {
            // An attempt may have been killed before it synced the name of the id, and the slots must not outlive that.
            storage.sync_dir(path).map_err(Error::io("sync", path))?;
        }
        let (marker, was_clean) = CleanMarker::find(&storage, path)?;
        let mut ignored = Vec::new();
        let mut read = |name: &str| match checkpoint_file::read_offsets(&*storage, &path.join(name)) {
            Ok(offsets) => Ok(offsets.unwrap_or_default()),
            // A checkpoint only says where to begin: without one, everything is looked at.
            Err(error) if error.is_corruption() => {
                ignored.push(Arc::new(error));
                Ok(OffsetsByPartition::new())
            }
            Err(error) => Err(error),
        };
        let checkpoints = Checkpoints {
            recovery_points: read(RECOVERY_POINTS)?,
            high_watermarks: read(HIGH_WATERMARKS)?,
            log_starts: read(LOG_STARTS)?,
            is_stale: false,
        };
        // What cannot be understood is replaced by the next close, whatever happens until then.
        let checkpoints = Checkpoints { is_stale: !ignored.is_empty(), ..checkpoints };
        // Their name is synced before anything in this directory is told of: see `LogDirs::open`.
        let slots = DurableSlots::open(&*storage, path)?;
        Ok(LogDir {
            path: path.to_path_buf(),
            meta,
            was_clean,
            is_new,
            config,
            files,
            clock,
            timers,
            random,
            marker,
            slots,
            checkpoints: Mutex::new(checkpoints),
            replacing: Mutex::default(),
            is_told: Mutex::default(),
            is_unsettled: AtomicBool::new(false),
            due: DueCheckpoints::default(),
            is_over: Mutex::new(false),
            ignored,
            lock: Mutex::new(Some(lock)),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn id(&self) -> Uuid {
        self.meta.directory
    }

    /// Makes the names of what is in it survive a power cut.
    pub(super) fn sync_entries(&self) -> Result<()> {
        self.storage().sync_dir(&self.path).map_err(Error::io("sync", &self.path))
    }

    /// The cluster that all directories of a broker belong to.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.meta.cluster.as_deref()
    }

    /// Whether the marker of a clean shutdown was there when the directory was opened.
    pub(crate) fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Whether the marker, if it was there when the directory was opened, still is: so long nobody has appended.
    pub(crate) fn is_still_clean(&self) -> bool {
        self.was_clean && self.marker.is_on_disk()
    }

    /// Whether no broker of ours has had it open before.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &**self.files.storage()
    }

    /// Checkpoint files that could not be understood when the directory was opened.
    pub(crate) fn ignored_files(&self) -> &[Arc<Error>] {
        &self.ignored
    }

    /// Where the partition's files are.
    pub(crate) fn partition_path(&self, name: &TopicPartition) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// The names of the directories in it.
    pub(crate) fn directories(&self) -> Result<Vec<String>> {
        let entries = self.storage().list(&self.path).map_err(Error::io("list", &self.path))?;
        let directories = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
        Ok(directories.map(|entry| entry.name.to_string_lossy().into_owned()).collect())
    }

    /// What was known to be synced, log and indexes, at the last checkpoint.
    pub(crate) fn recovery_point(&self, name: &TopicPartition) -> Option<Offset> {
        self.checkpoints.lock().recovery_points.get(name).copied()
    }

    /// The first readable offset, where deletion has moved it past a segment's base.
    pub(crate) fn log_start(&self, name: &TopicPartition) -> Option<Offset> {
        self.checkpoints.lock().log_starts.get(name).copied()
    }

    /// Says anew, durably, up to where a partition is on the device.
    pub(crate) fn replace_recovery_point(&self, name: &TopicPartition, point: Offset) -> Result<()> {
        let _one_at_a_time = self.replacing.lock();
        self.checkpoints.lock().recovery_points.insert(name.clone(), point);
        self.replace_files(false)
    }

    /// Notes, durably, that a partition held records up to an offset, where nothing else tells so any more.
    pub(crate) fn raise_recovery_point(&self, name: &TopicPartition, end: Offset) -> Result<()> {
        let point = self.recovery_point(name);
        if point >= Some(end) { Ok(()) } else { self.replace_recovery_point(name, end) }
    }

    /// Takes a partition's first readable offset back to where its log ends, durably: what is appended there is readable.
    pub(crate) fn lower_log_start(&self, name: &TopicPartition, end: Offset) -> Result<()> {
        let _one_at_a_time = self.replacing.lock();
        self.checkpoints.lock().log_starts.insert(name.clone(), end);
        self.replace_files(true)
    }

    /// Notes a partition's recovery point and high watermark for the next [`write_checkpoints`](Self::write_checkpoints).
    pub(crate) fn set_checkpoint(
        &self,
        name: &TopicPartition,
        recovery_point: Offset,
        high_watermark: Offset,
    ) {
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.recovery_points.insert(name.clone(), recovery_point);
        checkpoints.high_watermarks.insert(name.clone(), high_watermark);
    }

    /// Replaces the checkpoint files by what was noted.
    pub(crate) fn write_checkpoints(&self) -> Result<()> {
        let _one_at_a_time = self.replacing.lock();
        let is_stale = std::mem::take(&mut self.checkpoints.lock().is_stale);
        self.replace_files(is_stale)
    }

    /// Drops what is known of partitions by their names, durably: those that get these names next are others. Nothing is
    /// written where nothing is known.
    pub(crate) fn forget(&self, names: &[TopicPartition]) -> Result<()> {
        let _one_at_a_time = self.replacing.lock();
        let is_stale = {
            let mut checkpoints = self.checkpoints.lock();
            let Checkpoints { recovery_points, high_watermarks, log_starts, is_stale } = &mut *checkpoints;
            for name in names {
                for known in [&mut *recovery_points, high_watermarks, log_starts] {
                    *is_stale |= known.remove(name).is_some();
                }
            }
            std::mem::take(is_stale)
        };
        if is_stale { self.replace_files(true) } else { Ok(()) }
    }

    /// Replaces the files, under `replacing`. Where that fails, what was stale stays so.
    fn replace_files(&self, was_stale: bool) -> Result<()> {
        let known = self.checkpoints.lock().clone();
        let write = |name: &str, offsets| {
            checkpoint_file::write_offsets(self.storage(), &self.path.join(name), offsets)
        };
        let written = write(RECOVERY_POINTS, &known.recovery_points)
            .and_then(|()| write(HIGH_WATERMARKS, &known.high_watermarks))
            .and_then(|()| if was_stale { write(LOG_STARTS, &known.log_starts) } else { Ok(()) });
        if written.is_err() {
            self.checkpoints.lock().is_stale |= was_stale;
        }
        written
    }

    /// Asks for a checkpoint of `log` within `delay`.
    pub(crate) fn request_checkpoint(self: &Arc<Self>, log: Weak<dyn Checkpointed>, delay: Duration) {
        let deadline = self.clock.monotonic().saturating_add(delay);
        if self.due.add(log, deadline) {
            let dir = Arc::downgrade(self);
            self.timers.schedule(deadline, move || {
                if let Some(dir) = dir.upgrade() {
                    dir.unless_over(|| dir.run_checkpoints());
                }
            });
        }
    }

    /// Does what falls due, unless the directory is being closed; a close waits for it.
    pub(super) fn unless_over<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let is_over = self.is_over.lock();
        if *is_over { None } else { Some(work()) }
    }

    /// Checkpoints every log that asked for it, then replaces the checkpoint files once.
    fn run_checkpoints(self: &Arc<Self>) {
        let mut is_any_new = false;
        for log in self.due.take(self.clock.monotonic()) {
            let Some(alive) = log.upgrade() else { continue };
            match alive.checkpoint() {
                Ok(true) => self.request_checkpoint(log, self.config.checkpoint_interval),
                Ok(false) => continue,
                Err(error) => {
                    log::warn!("a checkpoint in {} failed: {}", self.path.display(), Chain(&error));
                    if !matches!(error, Error::Poisoned { .. } | Error::Closed) {
                        self.request_checkpoint(log, self.config.checkpoint_interval);
                    }
                    continue;
                }
            }
            is_any_new = true;
        }
        if is_any_new && let Err(error) = self.write_checkpoints() {
            // The old checkpoint still holds: recovery only has more to look at.
            log::warn!("cannot replace the checkpoints in {}: {}", self.path.display(), Chain(&error));
        }
    }

    /// Lets no round of checkpoints, and no removal, begin any more, and waits for one that runs: what comes is the close.
    pub(crate) fn end_checkpoints(&self) {
        *self.is_over.lock() = true;
    }

    /// Takes the marker away: a recovery is about to change a log, and where it is cut short the next open must look.
    pub(super) fn begin_repairs(&self) -> Result<()> {
        // Who only looks tells by the marker whether its owner has begun to append.
        if self.config.is_read_only { Ok(()) } else { self.marker.remove() }
    }

    /// Makes what the slots say outlast the power. Where that fails, the system may have thrown away what others say: there will be no
    /// marker.
    pub(super) fn sync_slots(&self) -> Result<()> {
        let synced = self.slots.sync().map_err(Error::io("sync", &self.path.join(durable_slots::FILE_NAME)));
        synced.inspect_err(|_| self.forgo_marker())
    }

    /// Sees to it that it is known, whatever the power takes, that there are partitions in the directory: `slot` is the one of a new one.
    pub(super) fn tell_of_partitions(&self, slot: &DurableSlot) -> Result<()> {
        let mut is_told = self.is_told.lock();
        if !*is_told {
            slot.write(Offset::ZERO)
                .map_err(Error::io("write", &self.path.join(durable_slots::FILE_NAME)))?;
            self.sync_slots()?;
            *is_told = true;
        }
        Ok(())
    }

    /// Notes that a log in it could not be opened, or not be closed in order: the next open looks.
    pub(crate) fn forgo_marker(&self) {
        self.is_unsettled.store(true, Release);
    }

    /// Ends the work on the directory: its checkpoints are replaced, and where all of its logs were closed in order, the
    /// marker that says so is placed. Where nothing was ever changed, nothing is written, but for a checkpoint that made no sense.
    pub(crate) fn close(&self) -> Result<()> {
        let is_unchanged = self.marker.settle();
        if self.config.is_read_only || is_unchanged && !self.checkpoints.lock().is_stale {
            return Ok(());
        }
        self.write_checkpoints()?;
        if is_unchanged || self.is_unsettled.load(Acquire) {
            return Ok(());
        }
        // What is durable is known from now on whatever else is lost, and when the marker is gone.
        self.sync_slots()?;
        self.marker.place()
    }

    /// Lets go of the directory: another broker may open it.
    pub(crate) fn unlock(&self) {
        *self.lock.lock() = None;
    }
}

/// Makes the names on the way to `path` survive a power cut, whoever made which of them.
fn sync_names(storage: &dyn Storage, path: &Path) -> Result<()> {
    for dir in path.ancestors().skip(1) {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match storage.sync_dir(dir) {
            // Where we may not even look, we have made nothing.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(Error::io("sync", dir)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn warn_of_network(storage: &dyn Storage, path: &Path) {
    if storage.is_network(path).unwrap_or(false) {
        log::warn!(
            "log directory {} is on a network file system: its locks and syncs may not mean what they say",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::offset::{PartitionId, Timestamp};
    use crate::storage::MemoryStorage;

    fn open(storage: &MemoryStorage, path: &str) -> Result<LogDir> {
        let config = LogDirConfig {
            checkpoint_interval: Duration::from_secs(60),
            checkpoint_bytes: 1 << 20,
            sealed_access: Access::Map,
            recovery: RecoveryMode::Repair,
            is_read_only: false,
            topic_defaults: TopicConfig::default(),
        };
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let files = OpenFiles::new(Arc::new(storage.clone()), 8);
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(1)));
        let parts = LogDirParts { config, files, clock, timers: Arc::default(), random };
        LogDir::open(Path::new(path), None, parts)
    }

    #[test]
    fn a_directory_is_held_by_one_at_a_time() {
        let storage = MemoryStorage::new();
        let held = open(&storage, "a/b").unwrap();
        assert!(matches!(open(&storage, "a/b"), Err(Error::Locked { .. })));
        held.unlock();
        assert_eq!(open(&storage, "a/b").unwrap().id(), held.id());
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let storage = MemoryStorage::new();
        storage.open(Path::new("f"), Access::Create).unwrap();
        assert!(matches!(open(&storage, "f"), Err(Error::NotADirectory { .. })));
    }

    #[test]
    fn checkpoints_read_back_and_a_damaged_one_is_reported_and_ignored() {
        let storage = MemoryStorage::new();
        let name = TopicPartition::new("t", PartitionId::ZERO);
        let dir = open(&storage, "d").unwrap();
        dir.set_checkpoint(&name, Offset::from(5), Offset::from(7));
        dir.write_checkpoints().unwrap();
        dir.unlock();
        let dir = open(&storage, "d").unwrap();
        assert_eq!(dir.recovery_point(&name), Some(Offset::from(5)));
        dir.forget(std::slice::from_ref(&name)).unwrap();
        assert_eq!(dir.recovery_point(&name), None);
        dir.unlock();
        let dir = open(&storage, "d").unwrap();
        assert_eq!(dir.recovery_point(&name), None, "it is forgotten durably");
        dir.unlock();
        crate::storage::small_file::replace(&storage, &Path::new("d").join(RECOVERY_POINTS), b"nonsense")
            .unwrap();
        let dir = open(&storage, "d").unwrap();
        assert_eq!(dir.recovery_point(&name), None);
        assert_eq!(dir.ignored_files().len(), 1);
    }
}
