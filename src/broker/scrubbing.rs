//! When scrubbing reads its pieces: for as long as the broker is open, each some time after the one before.
//!
//! It has timers, and so a thread, of its own: a disk that fails over a sector tries for many seconds, and neither a linger nor a
//! sync is to wait for that. Without an interval there is neither thread nor timer.

use std::time::Duration;

use super::background::Background;
use super::scrubber::Scrubber;
use super::shared::Shared;
use crate::log::Log;
use crate::sync::{Arc, Weak};

/// What reads the pieces. It holds the broker only to begin a round: whoever drops the last handle closes the broker, and does not
/// leave that to a thread that may be waiting for the disk.
struct Scrubbing {
    shared: Weak<Shared>,
    scrubber: Arc<Scrubber>,
    background: Background,
}

impl Scrubbing {
    /// Has a piece read after `wait`, unless the broker is closed by then.
    fn schedule(self, wait: Duration) {
        let scrubs = Arc::clone(&self.background.scrubs);
        let deadline = self.background.clock.monotonic().saturating_add(wait);
        scrubs.schedule(deadline, move || self.read());
    }

    fn read(self) {
        if self.scrubber.is_resting() {
            let Some(logs) = self.shared.upgrade().map(|shared| shared.logs_to_scrub()) else { return };
            self.scrubber.begin(logs);
        }
        let wait = self.scrubber.work();
        self.schedule(wait);
    }
}

impl Shared {
    /// Begins the first round, where there is any scrubbing.
    pub(super) fn start_scrubbing(self: &Arc<Self>) {
        if let Some(scrubber) = &self.scrubber {
            let (shared, background) = (Arc::downgrade(self), self.background.clone());
            Scrubbing { shared, scrubber: Arc::clone(scrubber), background }.schedule(Duration::ZERO);
        }
    }

    /// Every log there is, beginning with another one each time: brokers that are never open for a whole round get to all of
    /// them in the end.
    fn logs_to_scrub(&self) -> Vec<Arc<Log>> {
        let mut logs = self.catalog.logs();
        let first = self.random().usize(..logs.len().max(1));
        logs.rotate_left(first);
        logs
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::broker::{Broker, BrokerConfig};
    use crate::clock::ManualClock;
    use crate::log::TopicConfig;
    use crate::offset::{Offset, Timestamp};
    use crate::record::Record;
    use crate::segment::SegmentPaths;
    use crate::storage::MemoryStorage;
    use crate::storage::recording::{Call, Recording};
    use crate::sync::AtomicUsize;
    use crate::topic::NewTopic;

    use super::*;

    #[test]
    fn whoever_reads_a_piece_does_not_keep_the_broker_open() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let storage = Recording::new(MemoryStorage::new());
        let config = BrokerConfig::default().scrub_interval(Duration::from_secs(60));
        let builder = Broker::builder().log_dir("data").storage(storage.clone()).clock(clock.clone());
        let broker = builder.config(config).open().unwrap();
        let topic = NewTopic::new("t").config(TopicConfig::default().segment_bytes(1024));
        let partition = broker.admin().create_topic(topic).unwrap().partition(0).unwrap();
        for _ in 0..40 {
            partition.append(&[Record::new().value("3 apples")]).unwrap();
        }
        drop(partition);
        let held = Arc::new(AtomicUsize::new(usize::MAX));
        let log = SegmentPaths::new(Path::new("data/t-0"), Offset::ZERO).log;
        storage.when(Call::Open(log), {
            let (held, shared) = (Arc::clone(&held), Arc::downgrade(&broker.shared));
            move || held.store(shared.strong_count(), crate::sync::Relaxed)
        });
        clock.advance(Duration::from_secs(3600));
        assert_eq!(held.load(crate::sync::Relaxed), 1, "the handle of this test alone");
    }
}
