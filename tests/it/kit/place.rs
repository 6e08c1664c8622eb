//! Where a broker keeps its log directory, on disk or in memory, and how it is opened there again and again.
//!
//! A place has a clock that stands still until a test moves it, so its brokers have no threads of their own and every
//! run is the same. A directory on disk is removed with its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamlog::{
    Broker, BrokerBuilder, BrokerConfig, ManualClock, MemoryStorage, NewTopic, Partition, Result, Timestamp,
    TopicConfig,
};
use tempfile::TempDir;

/// Where every place's clock stands at first.
pub(crate) const START: i64 = 1_700_000_000_000;
/// The topic that [`Place::begin`] makes.
const TOPIC: &str = "t";

/// A log directory that outlives the brokers on it.
pub(crate) struct Place {
    medium: Medium,
    pub(crate) clock: ManualClock,
    pub(crate) config: BrokerConfig,
}

enum Medium {
    Disk(TempDir),
    Memory(MemoryStorage),
}

impl Place {
    pub(crate) fn disk() -> Place {
        Place::new(Medium::Disk(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn memory() -> Place {
        Place::new(Medium::Memory(MemoryStorage::new()))
    }

    /// One of each kind: what holds for one must hold for the other.
    pub(crate) fn both() -> [Place; 2] {
        [Place::disk(), Place::memory()]
    }

    fn new(medium: Medium) -> Place {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        Place { medium, clock, config: BrokerConfig::default().seed(7) }
    }

    #[must_use]
    pub(crate) fn config(mut self, change: impl FnOnce(BrokerConfig) -> BrokerConfig) -> Place {
        self.config = change(self.config);
        self
    }

    /// The log directory.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.medium {
            Medium::Disk(directory) => directory.path().join("data"),
            Medium::Memory(_) => PathBuf::from("data"),
        }
    }

    /// A log directory of this name, beside the ordinary one.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path().with_file_name(name)
    }

    /// Removes everything there is on the disk. Nothing where the place is in memory: its path is only a name, and a directory
    /// of that name is somebody else's.
    pub(crate) fn remove_files(&self) {
        if let Medium::Disk(_) = self.medium {
            fs::remove_dir_all(self.path()).unwrap();
        }
    }

    pub(crate) fn builder(&self) -> BrokerBuilder {
        self.builder_on(&["data"])
    }

    /// Opens a broker on log directories of these names; the ordinary one is `data`.
    pub(crate) fn builder_on(&self, names: &[&str]) -> BrokerBuilder {
        let builder = Broker::builder().clock(self.clock.clone()).config(self.config.clone());
        let builder = names.iter().fold(builder, |builder, name| builder.log_dir(self.path_of(name)));
        match &self.medium {
            Medium::Disk(_) => builder,
            Medium::Memory(storage) => builder.storage(storage.clone()),
        }
    }

    pub(crate) fn try_open(&self) -> Result<Broker> {
        self.builder().open()
    }

    pub(crate) fn open(&self) -> Broker {
        self.try_open().unwrap()
    }

    /// Opens a broker and makes a topic of one partition on it.
    pub(crate) fn begin(&self, config: TopicConfig) -> (Broker, Partition) {
        let broker = self.open();
        broker.admin().create_topic(NewTopic::new(TOPIC).config(config)).unwrap();
        let partition = broker.topic(TOPIC).unwrap().partition(0).unwrap();
        (broker, partition)
    }

    /// Opens a broker again, with the partition that [`begin`](Place::begin) made.
    pub(crate) fn resume(&self) -> (Broker, Partition) {
        let broker = self.open();
        let partition = broker.topic(TOPIC).unwrap().partition(0).unwrap();
        (broker, partition)
    }

    /// The directory of that partition.
    pub(crate) fn partition_path(&self) -> PathBuf {
        self.path().join(format!("{TOPIC}-0"))
    }

    /// A copy of the directories on disk as they stand: what a process that is killed now leaves behind.
    pub(crate) fn as_if_killed(&self) -> Place {
        let copy = Place { clock: self.clock.clone(), config: self.config.clone(), ..Place::disk() };
        copy_directory(&self.path_of(""), &copy.path_of(""));
        copy
    }
}

/// Long enough for every checkpoint that is due, and for logs to be put to rest.
pub(crate) fn day_long() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

fn copy_directory(source: &Path, target: &Path) {
    fs::create_dir_all(target).unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let copy = target.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}
