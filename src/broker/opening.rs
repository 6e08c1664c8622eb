//! How a broker is opened.

use std::path::{Path, PathBuf};

use super::background::Background;
use super::config::BrokerConfig;
use super::handle::Broker;
use super::looking::{self, Opened};
use super::report::RecoveryReport;
use super::shared::Shared;
use crate::clock::{Clock, SystemClock};
use crate::error::{Chain, Error, Result};
use crate::log::{LogDirConfig, LogDirParts, LogDirs, RecoveryMode};
use crate::storage::{Access, DiskStorage, MemoryStorage, OpenFiles, Storage};
use crate::sync::{Arc, Mutex};
use crate::topic::Catalog;

/// The settings, the clock, the directories and their storage.
pub(super) type Parts = (BrokerConfig, Option<Arc<dyn Clock>>, Vec<PathBuf>, Arc<dyn Storage>);

/// Where a broker in memory keeps its files.
const MEMORY_PATH: &str = "memory";

/// Opens a [`Broker`] that is not the ordinary one: in memory, on another clock or storage, with other settings.
///
/// # Examples
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let data = directory.path().join("data");
/// use std::time::Duration;
/// use streamlog::{Broker, BrokerConfig};
///
/// let config = BrokerConfig::default().checkpoint_interval(Duration::from_secs(5));
/// let broker = Broker::builder().log_dir(&data).config(config).open()?;
/// broker.close()?;
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct BrokerBuilder {
    log_dirs: Vec<PathBuf>,
    is_in_memory: bool,
    config: BrokerConfig,
    recovery: RecoveryMode,
    clock: Option<Arc<dyn Clock>>,
    storage: Option<Arc<dyn Storage>>,
    is_read_only: bool,
}

impl Broker {
    /// Opens the broker whose log directory this is, making it where there is none. See [`BrokerBuilder::open`].
    ///
    /// One broker at a time holds a directory. Any number may look into it meanwhile, without holding it:
    /// [`BrokerBuilder::read_only`]; into a single file: [`Segment::open`](crate::Segment::open).
    ///
    /// # Errors
    ///
    /// As [`BrokerBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Broker> {
        Broker::builder().log_dir(path).open()
    }

    /// Opens a broker that keeps everything in memory and leaves nothing behind: for tests, and for queues that need not
    /// outlive the process.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the system refuses a thread.
    pub fn in_memory() -> Result<Broker> {
        Broker::builder().in_memory().open()
    }

    /// To open a broker with other settings.
    #[must_use]
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }
}

impl BrokerBuilder {
    /// Keeps partitions in this directory, which is made where it is missing. With several, the first one holds the catalog
    /// of topics and must stay the first; a new partition goes to the one with the fewest. Others may be added at any open.
    /// Kafka's `log.dirs`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    /// use streamlog::{Broker, NewTopic};
    ///
    /// let broker = Broker::builder().log_dir(&first).log_dir(&second).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders").partitions(2))?;
    /// assert!(first.join("orders-0").is_dir() && second.join("orders-1").is_dir());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn log_dir(mut self, path: impl AsRef<Path>) -> BrokerBuilder {
        self.log_dirs.push(path.as_ref().to_path_buf());
        self
    }

    /// Keeps everything in memory, within [`BrokerConfig::memory_bytes`](BrokerConfig::memory_bytes()), and leaves
    /// nothing behind.
    #[must_use]
    pub fn in_memory(mut self) -> BrokerBuilder {
        self.is_in_memory = true;
        self
    }

    /// Works by these settings.
    #[must_use]
    pub fn config(mut self, config: BrokerConfig) -> BrokerBuilder {
        self.config = config;
        self
    }

    /// What the open may do about damage. The default, [`RecoveryMode::Repair`], repairs what a crash leaves, and takes partitions offline whose
    /// acknowledged records it finds damaged.
    #[must_use]
    pub fn recovery(mut self, mode: RecoveryMode) -> BrokerBuilder {
        self.recovery = mode;
        self
    }

    /// Takes the time from this clock. On a [`ManualClock`](crate::ManualClock) there are no background threads.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> BrokerBuilder {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Keeps the log directory on this storage rather than on the disk: a
    /// [`MemoryStorage`](crate::MemoryStorage) that outlives the broker, or a test's own.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage) -> BrokerBuilder {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Looks only: at directories that another broker, in this process or another, may have open, or that may not be written
    /// to. No lock is taken, nothing is waited for, and nothing is written.
    ///
    /// What is seen is each partition up to its last whole batch at the time of the open: as the next ordinary open would
    /// serve it, were the process that writes there killed now. So a torn tail is not seen, an interrupted creation of a topic is
    /// completed, and the [report](Broker::recovery_report) tells what would be done. What is written later is not seen: open
    /// once more. [`durable_offset`](crate::Partition::durable_offset) is how far a log was known to be on the device. A writer
    /// may take back what lies beyond it: an append that fails is undone, and a power cut may lose it.
    ///
    /// Reading, [`segments`](crate::Partition::segments), lookups by time, consumers and descriptions work as ever. What
    /// would change anything is [`Error::ReadOnly`], a producer when it is built. There is no background work, and a close
    /// writes nothing.
    ///
    /// Files are read by positional reads, and found by their names. A topic that is deleted meanwhile can be read as far as its
    /// files happen to be open; then reading is an [`Error::Io`], also where another topic has got the name.
    ///
    /// What an open changes (checkpoints, epochs, records of the catalog; never a copy of a log) is kept in memory, up to
    /// 64 MiB; where that is not enough, the partition is offline with [`Error::Io`]. To that come a few hundred bytes for each
    /// partition, and indexes that are missing, some 30 bytes for each 4 KiB of log. In [`RecoveryMode::Salvage`] a damaged segment
    /// is written anew, and what is sound of it counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let data = directory.path().join("data");
    /// use streamlog::{Broker, Error, NewTopic, Offset, Record};
    ///
    /// let broker = Broker::open(&data)?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
    ///
    /// // While it is open, here or in another process.
    /// let look = Broker::builder().log_dir(&data).read_only().open()?;
    /// let orders = look.topic("orders")?.partition(0)?;
    /// assert_eq!(orders.read(Offset::ZERO, 1 << 20)?.next_offset(), Some(Offset::from(1)));
    /// let refused = orders.append(&[Record::new().value("1 pear")]).unwrap_err();
    /// assert!(matches!(refused, Error::ReadOnly { .. }));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn read_only(mut self) -> BrokerBuilder {
        self.is_read_only = true;
        self
    }

    /// Opens the broker: every topic with its partitions, recovered where the last one on these directories did not end in
    /// order. A partition that cannot be opened is offline and told in the report; the others serve. So are those in a
    /// directory that is not among these any more.
    ///
    /// After a clean close nothing is scanned; otherwise what lies behind the last checkpoint is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] for settings out of bounds, without a place to keep things or with both kinds of it, for a
    /// directory that is named twice or belongs to other ones, and where the catalog of topics is in another directory than the
    /// first;
    /// [`Error::CodecDisabled`] where topics are to be stored in a codec that is not built in;
    /// [`Error::NotADirectory`]; [`Error::Locked`] where another broker holds the directory;
    /// [`Error::NoLogDir`] where there is nothing to [look at](BrokerBuilder::read_only);
    /// [`Error::RecoveryRefused`] in [`RecoveryMode::Strict`]; [`Error::UnsupportedVersion`] for data of a newer version; [`Error::InvalidFile`] for a `meta.properties` that makes no
    /// sense; [`Error::PartitionOffline`] or [`Error::Damaged`] where the catalog of topics itself is damaged;
    /// [`Error::Io`].
    pub fn open(self) -> Result<Broker> {
        self.config.validate()?;
        let (paths, storage) = self.place()?;
        let mut config = self.config;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let began = clock.monotonic();
        let background = Background::new(Arc::clone(&clock));
        let is_read_only = self.is_read_only;
        if is_read_only {
            // Whoever has the directory scrubs it, and may change its files meanwhile.
            config.scrub_interval = None;
        }
        let is_mapped = config.map_sealed_segments && !is_read_only;
        let dir_config = LogDirConfig {
            checkpoint_interval: config.checkpoint_interval,
            checkpoint_bytes: config.checkpoint_bytes,
            recovery: self.recovery,
            sealed_access: if is_mapped { Access::Map } else { Access::Read },
            is_read_only,
            topic_defaults: config.topic_defaults.clone(),
        };
        let open_on = |storage: Arc<dyn Storage>| {
            Catalog::check_place(&*storage, &paths)?;
            let random = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
            let parts = LogDirParts {
                config: dir_config.clone(),
                files: OpenFiles::new(storage, config.max_open_files),
                clock: Arc::clone(&clock),
                timers: Arc::clone(&background.syncs),
                random: Arc::new(Mutex::new(random)),
            };
            let dirs = Arc::new(LogDirs::open(&paths, config.allow_offline_dirs, &parts)?);
            let mut ignored = dirs.online().iter().flat_map(|dir| dir.ignored_files());
            if self.recovery == RecoveryMode::Strict
                && let Some(source) = ignored.next()
            {
                return Err(Error::RecoveryRefused { source: Arc::clone(source) });
            }
            let (catalog, found) = Catalog::open(&dirs)?;
            Ok(Opened { dirs, catalog, found })
        };
        let opened = if is_read_only { looking::look(&storage, open_on) } else { open_on(storage) };
        let Opened { dirs, catalog, found } = opened?;
        let offline = dirs.offline().iter().map(|dir| (dir.path.clone(), Arc::clone(&dir.error)));
        let ignored = dirs.online().iter().flat_map(|dir| dir.ignored_files());
        let report = RecoveryReport {
            is_read_only,
            was_clean: dirs.were_clean(),
            partitions: found.partitions,
            unknown_directories: found.unknown_directories,
            offline_directories: offline.collect(),
            ignored_files: ignored.map(|error| Chain(error).to_string()).collect(),
            restored_topics: found.restored_topics,
            elapsed: clock.monotonic().saturating_sub(began),
        };
        let workers = background.start(is_read_only, config.scrub_interval.is_some());
        let workers = workers.map_err(Error::io("start the threads of", dirs.first().path()))?;
        Ok(Broker::new(Shared::new(config, dirs, catalog, report, background, workers)))
    }

    /// What a [verification](BrokerBuilder::verify) needs of it: its settings, the clock, if one was given, and the place.
    pub(super) fn into_parts(self) -> Result<Parts> {
        self.config.validate()?;
        let (paths, storage) = self.place()?;
        Ok((self.config, self.clock, paths, storage))
    }

    /// The directories, one at least, and the storage they are on.
    fn place(&self) -> Result<(Vec<PathBuf>, Arc<dyn Storage>)> {
        let refuse = |value: String, reason: &str| {
            Err(Error::InvalidConfig { setting: "log.dirs", value, reason: reason.to_owned() })
        };
        let storage = self.storage.as_ref().map(Arc::clone);
        let all = self.log_dirs.as_slice();
        let twice =
            all.iter().enumerate().find(|&(index, path)| all.iter().take(index).any(|one| one == path));
        match (all, self.is_in_memory) {
            (all, false) if all.iter().any(|path| path.as_os_str().is_empty()) => {
                refuse("\"\"".to_owned(), "a directory has a name: \".\" for the current one")
            }
            (_, false) if let Some((_, path)) = twice => {
                refuse(path.display().to_string(), "it is named twice")
            }
            ([_, ..], false) => Ok((all.to_vec(), storage.unwrap_or_else(|| Arc::new(DiskStorage::new())))),
            (_, true) if self.is_read_only => {
                refuse("in_memory()".to_owned(), "a new broker in memory has nothing to be looked at")
            }
            ([], true) if storage.is_none() => {
                let memory = MemoryStorage::with_limit(self.config.memory_bytes);
                Ok((vec![PathBuf::from(MEMORY_PATH)], Arc::new(memory)))
            }
            ([], true) => {
                refuse("in_memory()".to_owned(), "a broker in memory has its own storage: name a log_dir()")
            }
            ([path, ..], true) => refuse(
                path.display().to_string(),
                "a broker in memory has no directory: leave in_memory() out",
            ),
            ([], false) => refuse("nothing".to_owned(), "name a log_dir(), or ask for in_memory()"),
        }
    }
}
