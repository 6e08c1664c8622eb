//! The settings of a broker: bounds, and the pace of its background work.

use std::time::Duration;

use crate::acks::Acks;
use crate::error::{Error, Result};
use crate::log::TopicConfig;
use crate::topic::PARTITIONS_MAX;

/// How a broker works: how much it may hold open or in memory, and how often it checkpoints.
///
/// Settings are checked when the broker is opened.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, BrokerConfig};
///
/// let config = BrokerConfig::default().memory_bytes(64 << 20).max_open_files(64);
/// let broker = Broker::builder().in_memory().config(config).open()?;
/// assert!(broker.metrics().open_files <= 64);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// See [`max_open_files`](BrokerConfig::max_open_files()).
    pub max_open_files: usize,
    /// See [`memory_bytes`](BrokerConfig::memory_bytes()).
    pub memory_bytes: u64,
    /// See [`checkpoint_interval`](BrokerConfig::checkpoint_interval()).
    pub checkpoint_interval: Duration,
    /// See [`checkpoint_bytes`](BrokerConfig::checkpoint_bytes()).
    pub checkpoint_bytes: u64,
    /// See [`map_sealed_segments`](BrokerConfig::map_sealed_segments()).
    pub map_sealed_segments: bool,
    /// See [`allow_offline_dirs`](BrokerConfig::allow_offline_dirs()).
    pub allow_offline_dirs: bool,
    /// See [`delete_topics`](BrokerConfig::delete_topics()).
    pub delete_topics: bool,
    /// See [`auto_create_topics`](BrokerConfig::auto_create_topics()).
    pub auto_create_topics: bool,
    /// See [`scrub_interval`](BrokerConfig::scrub_interval()).
    pub scrub_interval: Option<Duration>,
    /// See [`scrub_bytes_per_second`](BrokerConfig::scrub_bytes_per_second()).
    pub scrub_bytes_per_second: u64,
    /// See [`num_partitions`](BrokerConfig::num_partitions()).
    pub num_partitions: u32,
    /// See [`group_initial_rebalance_delay`](BrokerConfig::group_initial_rebalance_delay()).
    pub group_initial_rebalance_delay: Duration,
    /// See [`group_session_timeouts`](BrokerConfig::group_session_timeouts()).
    pub group_session_timeouts: (Duration, Duration),
    /// See [`group_max_size`](BrokerConfig::group_max_size()).
    pub group_max_size: usize,
    /// See [`offset_metadata_max_bytes`](BrokerConfig::offset_metadata_max_bytes()).
    pub offset_metadata_max_bytes: usize,
    /// See [`offsets_commit_acks`](BrokerConfig::offsets_commit_acks()).
    pub offsets_commit_acks: Acks,
    /// See [`offsets_retention`](BrokerConfig::offsets_retention()).
    pub offsets_retention: Duration,
    /// See [`offsets_retention_check_interval`](BrokerConfig::offsets_retention_check_interval()).
    pub offsets_retention_check_interval: Duration,
    /// See [`offsets_topic_num_partitions`](BrokerConfig::offsets_topic_num_partitions()).
    pub offsets_topic_num_partitions: u32,
    /// See [`offsets_topic_segment_bytes`](BrokerConfig::offsets_topic_segment_bytes()).
    pub offsets_topic_segment_bytes: u32,
    /// See [`seed`](BrokerConfig::seed()).
    pub seed: Option<u64>,
    /// See [`topic_defaults`](BrokerConfig::topic_defaults()).
    pub topic_defaults: TopicConfig,
    /// Names that were read from properties and mean nothing here.
    pub(super) ignored: Vec<String>,
}

/// Shorter would be no pause.
const SCRUB_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Fewer would close files faster than they are opened.
const OPEN_FILES_MIN: usize = 8;

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            max_open_files: 512,
            memory_bytes: 1 << 30,
            checkpoint_interval: Duration::from_secs(60),
            checkpoint_bytes: 64 << 20,
            map_sealed_segments: true,
            allow_offline_dirs: false,
            delete_topics: true,
            auto_create_topics: false,
            scrub_interval: None,
            scrub_bytes_per_second: 8 << 20,
            num_partitions: 1,
            group_initial_rebalance_delay: Duration::ZERO,
            group_session_timeouts: (Duration::from_secs(6), Duration::from_secs(1800)),
            group_max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4096,
            offsets_commit_acks: Acks::All,
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            offsets_retention_check_interval: Duration::from_secs(600),
            offsets_topic_num_partitions: 1,
            offsets_topic_segment_bytes: 100 << 20,
            seed: None,
            topic_defaults: TopicConfig::default(),
            ignored: Vec::new(),
        }
    }
}

impl BrokerConfig {
    /// How many files and maps of partitions are open at most; the least recently used is closed for the next. At least 8;
    /// 512 by default. Keep it below the process's own limit. It should be larger than the number of partitions that are
    /// appended to at a time; otherwise appends get slow, because a file with unsynced appends is synced before it is closed
    /// for another, and the append that needs the room waits for that.
    #[must_use]
    pub fn max_open_files(mut self, count: usize) -> BrokerConfig {
        self.max_open_files = count;
        self
    }

    /// How many bytes a broker in memory may store; what would pass it fails as on a full disk. 1 GiB by default. Without
    /// meaning for a broker on disk.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, NewTopic, Record};
    ///
    /// let config = BrokerConfig::default().memory_bytes(1 << 20);
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// let value = vec![7; 600_000];
    /// orders.append(&[Record::new().value(&value)])?;
    /// let error = orders.append(&[Record::new().value(&value)]).unwrap_err();
    /// assert!(error.is_storage_full() && error.is_retriable());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> BrokerConfig {
        self.memory_bytes = bytes;
        self
    }

    /// How long after an append, at most, everything up to it is synced and behind the recovery point, whether or not
    /// anybody asked for it: an unclean open has to look at no more than that. 60 s by default. Kafka's
    /// `log.flush.offset.checkpoint.interval.ms`.
    #[must_use]
    pub fn checkpoint_interval(mut self, interval: Duration) -> BrokerConfig {
        self.checkpoint_interval = interval;
        self
    }

    /// After how many bytes appended to a partition it is checkpointed before its time. 64 MiB by default.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: u64) -> BrokerConfig {
        self.checkpoint_bytes = bytes;
        self
    }

    /// Whether sealed segments are read through memory maps, without a copy (the default), or by positional reads. A disk
    /// that fails under a map ends the process with `SIGBUS`; under a positional read it is an error. See
    /// `docs/durability.md` in the repository.
    ///
    /// # Examples
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let (data, more_data) = (directory.path().join("data"), directory.path().join("more"));
    /// use std::time::Duration;
    /// use streamlog::{Broker, BrokerConfig};
    ///
    /// // What can be saved of a disk that is failing.
    /// let config = BrokerConfig::default()
    ///     .map_sealed_segments(false)
    ///     .allow_offline_dirs(true)
    ///     .checkpoint_interval(Duration::from_secs(5))
    ///     .checkpoint_bytes(1 << 20);
    /// let broker = Broker::builder().log_dir(&data).log_dir(&more_data).config(config).open()?;
    /// # broker.close()?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn map_sealed_segments(mut self, is_mapped: bool) -> BrokerConfig {
        self.map_sealed_segments = is_mapped;
        self
    }

    /// Whether a broker opens although one of its log directories, other than the first, cannot be used: then the partitions
    /// in it are offline, and the others serve. Where a part of `__consumer_offsets` is among them, no topic can be created. Otherwise
    /// (the default) that is an error of the open. Kafka goes on without the directory. All of them are needed where there is no catalog of
    /// topics yet, as in the first open, because its partitions may lie in the one that cannot be looked at.
    #[must_use]
    pub fn allow_offline_dirs(mut self, is_allowed: bool) -> BrokerConfig {
        self.allow_offline_dirs = is_allowed;
        self
    }

    /// Reads all sealed segments in the background, with so long a pause from the end of one round to the next, and reports what the disk
    /// has changed: in the log, in [`Broker::scrub_report`](crate::Broker::scrub_report) and in [`Metrics`](crate::Metrics). 1 s at
    /// least; off by default. The first round begins with the broker. Without meaning for a
    /// [read-only](crate::BrokerBuilder::read_only) one.
    ///
    /// It costs a thread, the [rate](BrokerConfig::scrub_bytes_per_second()) of reading, and the room that what it reads takes in the page
    /// cache. What is in the page cache already is read from there. It reads by position, also where readers use maps, so that a disk that
    /// cannot read is reported; a map would end the process. Nothing is mended: damage is for a backup, or for
    /// [`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::time::Duration;
    /// use streamlog::{
    ///     Access, Broker, BrokerConfig, ManualClock, MemoryStorage, NewTopic, Record, Storage, Timestamp, TopicConfig,
    /// };
    ///
    /// let (storage, clock) = (MemoryStorage::new(), ManualClock::new(Timestamp::from_millis(0)));
    /// let week = Duration::from_secs(7 * 24 * 60 * 60);
    /// let config = BrokerConfig::default().scrub_interval(week).scrub_bytes_per_second(1 << 20);
    /// let builder = Broker::builder().log_dir("data").storage(storage.clone()).clock(clock.clone());
    /// let broker = builder.config(config).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders").config(TopicConfig::default().segment_bytes(1024)))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// for _ in 0..40 {
    ///     orders.append(&[Record::new().value("3 apples")])?;
    /// }
    /// clock.advance(week);
    /// assert!(broker.scrub_report().damage.is_empty());
    /// assert!(broker.metrics().segments_scrubbed > 0);
    ///
    /// // A byte of a value rots.
    /// storage.open(orders.segments()[0].path(), Access::Write)?.write_at(70, &[IoSlice::new(b"?")])?;
    /// clock.advance(week);
    /// let report = broker.scrub_report();
    /// assert_eq!(report.damage[0].unreadable_offsets(), Some(0_u32.into()..1_u32.into()));
    /// println!("{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn scrub_interval(mut self, interval: Duration) -> BrokerConfig {
        self.scrub_interval = Some(interval);
        self
    }

    /// How many bytes a second [scrubbing](BrokerConfig::scrub_interval()) reads on the whole, in pieces of a tenth of that, at most
    /// 1 MiB or one batch. 8 MiB by default: about 29 GB an hour.
    #[must_use]
    pub fn scrub_bytes_per_second(mut self, bytes: u64) -> BrokerConfig {
        self.scrub_bytes_per_second = bytes;
        self
    }

    /// Whether topics may be deleted, as they may by default. Kafka's `delete.topic.enable`.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, NewTopic};
    ///
    /// let config = BrokerConfig::default().delete_topics(false);
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// assert!(broker.admin().delete_topic("orders").is_err());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn delete_topics(mut self, is_allowed: bool) -> BrokerConfig {
        self.delete_topics = is_allowed;
        self
    }

    /// Whether a producer that sends to a topic that does not exist creates it, with default settings, and so a consumer that is
    /// [assigned](crate::Consumer::assign) a partition of one. [Subscribing](crate::Consumer::subscribe) to a name creates nothing. Off by
    /// default; on in Kafka, as `auto.create.topics.enable`.
    #[must_use]
    pub fn auto_create_topics(mut self, is_allowed: bool) -> BrokerConfig {
        self.auto_create_topics = is_allowed;
        self
    }

    /// How many partitions a topic has that was created by [naming it](BrokerConfig::auto_create_topics()). 1 to 10,000; 1 by
    /// default. Kafka's `num.partitions`.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, Record};
    ///
    /// let config = BrokerConfig::default().auto_create_topics(true).num_partitions(3);
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// broker.producer().build()?.send(Record::to("orders").value("3 apples"))?.wait()?;
    /// assert_eq!(broker.topic("orders")?.partition_count(), 3);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn num_partitions(mut self, count: u32) -> BrokerConfig {
        self.num_partitions = count;
        self
    }

    /// Seeds everything that is drawn at random (ids, jitter), so that a test is the same every time. Without one (the
    /// default), every broker draws differently.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, NewTopic};
    ///
    /// let id = || -> streamlog::Result<_> {
    ///     let broker = Broker::builder().in_memory().config(BrokerConfig::default().seed(7)).open()?;
    ///     Ok(broker.admin().create_topic(NewTopic::new("orders"))?.id())
    /// };
    /// assert_eq!(id()?, id()?);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> BrokerConfig {
        self.seed = Some(seed);
        self
    }

    /// The settings of every topic, as far as it has none of its own: Kafka's `log.*` settings of a broker. They are not
    /// stored, so topics follow them from one open to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, BrokerConfig, NewTopic, TopicConfig};
    ///
    /// let config = BrokerConfig::default().topic_defaults(TopicConfig::default().segment_bytes(64 << 20));
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// assert_eq!(broker.topic("orders")?.config().segment_bytes, 64 << 20);
    /// assert_eq!(broker.topic("orders")?.config().overrides(), []);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn topic_defaults(mut self, config: TopicConfig) -> BrokerConfig {
        self.topic_defaults = config;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |setting, value: String, reason: &str| {
            Err(Error::InvalidConfig { setting, value, reason: reason.to_owned() })
        };
        if self.max_open_files < OPEN_FILES_MIN {
            return refuse("max_open_files", self.max_open_files.to_string(), "must be 8 or more");
        }
        if let Some(interval) = self.scrub_interval
            && interval < SCRUB_INTERVAL_MIN
        {
            return refuse("scrub_interval", format!("{interval:?}"), "must be 1 s or more");
        }
        if self.scrub_bytes_per_second == 0 {
            return refuse("scrub_bytes_per_second", "0".to_owned(), "must be 1 or more");
        }
        if self.checkpoint_bytes == 0 {
            return refuse("checkpoint_bytes", "0".to_owned(), "must be 1 or more");
        }
        if !(1..=PARTITIONS_MAX).contains(&self.num_partitions) {
            let reason = format!("must be 1 to {PARTITIONS_MAX}");
            return refuse("num.partitions", self.num_partitions.to_string(), &reason);
        }
        if self.checkpoint_interval.is_zero() {
            return refuse("checkpoint_interval", "0 ms".to_owned(), "must be more than nothing");
        }
        self.validate_groups()?;
        self.topic_defaults.validate()
    }
}
