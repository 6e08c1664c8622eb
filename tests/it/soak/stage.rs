//! What senders, followers and whoever directs them share: the topics that there are, and how far each was sent to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::Duration;

use streamlog::{Broker, Clock, ConsumerWaker, SystemClock, TopicPartition};

/// The most partitions that a topic grows to.
pub(super) const PARTITIONS_MAX: usize = 4;
/// How many senders there are, each with a producer of its own.
pub(super) const SENDERS: usize = 4;

/// A topic that is sent to, until it has ended and is deleted.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) name: String,
    pub(super) partitions: AtomicU32,
    /// How many records each sender has sent to each partition.
    pub(super) sent: [[AtomicU64; SENDERS]; PARTITIONS_MAX],
    pub(super) bytes: AtomicU64,
    /// The end of each partition, once nothing more is sent.
    pub(super) ends: OnceLock<Vec<u64>>,
    /// How many followers have read it to its end.
    pub(super) finished: AtomicUsize,
}

impl Live {
    pub(super) fn new(name: String, partitions: u32) -> Live {
        Live {
            name,
            partitions: AtomicU32::new(partitions),
            sent: Default::default(),
            bytes: AtomicU64::new(0),
            ends: OnceLock::new(),
            finished: AtomicUsize::new(0),
        }
    }

    pub(super) fn partition_count(&self) -> usize {
        self.partitions.load(SeqCst) as usize
    }

    /// How many records were sent to each partition.
    pub(super) fn totals(&self) -> Vec<u64> {
        let total = |senders: &[AtomicU64; SENDERS]| senders.iter().map(|sent| sent.load(SeqCst)).sum();
        self.sent.iter().take(self.partition_count()).map(total).collect()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = TopicPartition> {
        let partitions = (0..self.partition_count()).map(|number| u32::try_from(number).unwrap());
        partitions.map(|number| TopicPartition::new(&self.name, number.try_into().unwrap()))
    }
}

/// What all share from one open of the broker to its close.
pub(super) struct Stage {
    pub(super) broker: Broker,
    pub(super) clock: SystemClock,
    /// A sender reads it for as long as it takes to send some records and to wait for them: who writes knows that nothing is
    /// on its way.
    pub(super) topics: RwLock<Vec<Arc<Live>>>,
    /// Goes up when a topic comes, grows, ends or goes.
    pub(super) version: AtomicU64,
    /// Nothing more is sent.
    pub(super) is_over: AtomicBool,
    /// Who has read all that was sent may go.
    pub(super) is_ending: AtomicBool,
    wakers: Mutex<Vec<ConsumerWaker>>,
    pub(super) counts: Arc<Counts>,
}

/// What has been done since the beginning.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) times: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) grown: AtomicU64,
    pub(super) altered: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) opened: AtomicU64,
    /// What members of the group have read, and how often one has come and gone.
    pub(super) shared: AtomicU64,
    pub(super) lives: AtomicU64,
    /// What the group was told to have committed, of topics that there are.
    pub(super) committed: Committed,
}

/// The next offset of each partition; only their number is printed.
#[derive(Default)]
pub(super) struct Committed(Mutex<BTreeMap<TopicPartition, u64>>);

impl Committed {
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<u64> {
        self.0.lock().unwrap().get(partition).copied()
    }

    pub(super) fn extend(&self, offsets: impl IntoIterator<Item = (TopicPartition, u64)>) {
        self.0.lock().unwrap().extend(offsets);
    }

    pub(super) fn forget(&self, topic: &str) {
        self.0.lock().unwrap().retain(|partition, _| partition.topic() != topic);
    }
}

impl fmt::Debug for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.lock().unwrap().len())
    }
}

impl Stage {
    pub(super) fn new(
        broker: Broker,
        clock: SystemClock,
        topics: Vec<Arc<Live>>,
        counts: Arc<Counts>,
    ) -> Stage {
        Stage {
            broker,
            clock,
            topics: RwLock::new(topics),
            version: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            wakers: Mutex::default(),
            counts,
        }
    }

    pub(super) fn add_waker(&self, waker: ConsumerWaker) {
        self.wakers.lock().unwrap().push(waker);
    }

    /// Lets every follower look at the topics again.
    pub(super) fn announce(&self) {
        self.version.fetch_add(1, SeqCst);
        self.wakers.lock().unwrap().iter().for_each(ConsumerWaker::wake);
    }

    /// Waits until the clock is there. A soak keeps to a rate, so that it wears and fills no disk; nothing else waits for time.
    pub(super) fn rest_until(&self, time: Duration) {
        while let Some(left) = time.checked_sub(self.clock.monotonic()).filter(|left| *left > Duration::ZERO)
        {
            thread::park_timeout(left);
        }
    }
}
