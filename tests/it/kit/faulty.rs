//! A broker on a disk that can be made to fail, and what the tests of sending ask of it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use streamlog::testing::{Fault, TestDisk};
use streamlog::{
    Broker, BrokerConfig, Clock, ManualClock, NewTopic, Offset, Partition, RecordBatch, Timestamp,
    TopicConfig,
};

use super::START;

/// A broker with a topic `t`, on a disk and a clock that the test moves.
pub(crate) struct Faulty {
    pub(crate) disk: TestDisk,
    pub(crate) clock: ManualClock,
    pub(crate) broker: Broker,
}

impl Faulty {
    pub(crate) fn new(partitions: u32) -> Faulty {
        Faulty::with(partitions, TopicConfig::default())
    }

    pub(crate) fn with(partitions: u32, config: TopicConfig) -> Faulty {
        let (disk, clock) = (TestDisk::new(), ManualClock::new(Timestamp::from_millis(START)));
        let builder = Broker::builder().log_dir("data").storage(disk.clone()).clock(clock.clone());
        let broker = builder.config(BrokerConfig::default().seed(7)).open().unwrap();
        broker.admin().create_topic(NewTopic::new("t").partitions(partitions).config(config)).unwrap();
        Faulty { disk, clock, broker }
    }

    pub(crate) fn partition(&self, number: u32) -> Partition {
        self.broker.topic("t").unwrap().partition(number).unwrap()
    }

    /// From now on the disk is full for one partition, by the name of its directory.
    pub(crate) fn fill(&self, directory: &'static str) {
        self.disk.inject(Fault::full().of(directory));
    }

    /// From now on nothing fails.
    pub(crate) fn heal(&self) {
        self.disk.heal();
    }

    pub(crate) fn advance_millis(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    pub(crate) fn now_millis(&self) -> u128 {
        self.clock.monotonic().as_millis()
    }

    /// Every batch of a partition.
    pub(crate) fn batches(&self, number: u32) -> Vec<RecordBatch> {
        let (partition, mut next, mut batches) = (self.partition(number), Offset::ZERO, Vec::new());
        while next < partition.log_end_offset() {
            let read = partition.read(next, 1 << 20).unwrap();
            next = read.next_offset().unwrap();
            batches.extend(read.iter().cloned());
        }
        batches
    }
}

/// A task that is run by hand: polled when the test says so, and asked how often it was woken.
pub(crate) struct Ran<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<F: Future> Ran<F> {
    pub(crate) fn new(future: F) -> Ran<F> {
        Ran { future: Box::pin(future), woken: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.woken));
        pin!(&mut self.future).poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    /// What came of it; it must be ready.
    pub(crate) fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it is not ready"),
        }
    }

    pub(crate) fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }
}
