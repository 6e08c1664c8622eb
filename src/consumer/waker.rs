//! Ending a poll early, from another thread.

use crate::signal::Watcher;
use crate::sync::{Acquire, Arc, AtomicBool, Release};

/// Wakes a consumer's poll from any thread. From [`Consumer::waker`](super::Consumer::waker).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Broker, NewTopic, PartitionId, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let mut consumer = broker.consumer().build()?;
/// consumer.assign([TopicPartition::new("orders", PartitionId::ZERO)])?;
///
/// let waker = consumer.waker();
/// let other = std::thread::spawn(move || waker.wake());
/// assert!(consumer.poll(Duration::MAX)?.is_empty());
/// # other.join().unwrap();
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ConsumerWaker {
    pub(super) watcher: Arc<Watcher>,
    is_woken: Arc<AtomicBool>,
}

impl ConsumerWaker {
    /// Lets the poll that waits, or else the next one, return at once with what there is, maybe nothing. Two wakes before that
    /// are one.
    pub fn wake(&self) {
        self.is_woken.store(true, Release);
        self.watcher.tell();
    }

    /// Whether somebody woke since this was last asked.
    pub(super) fn take(&self) -> bool {
        self.is_woken.load(Acquire) && self.is_woken.swap(false, Acquire)
    }
}
