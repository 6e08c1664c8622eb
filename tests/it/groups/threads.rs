//! Eight members in threads of their own, who come and go while others send: nothing is lost, no partition has two owners, and
//! nothing is read again that was told to be committed.
//!
//! `STREAMLOG_SOAK_SECONDS=30 cargo test --release --test it groups::threads -- --ignored --nocapture` for a longer run.

#![expect(clippy::print_stderr, reason = "the long run tells what it has done")]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use streamlog::{
    Assignor, Broker, Clock, Consumer, CooperativeSticky, Error, NewTopic, Offset, Range, Rebalance,
    RebalanceListener, Record, Result, SystemClock, TopicPartition,
};

use super::builder;
use crate::kit::Seed;

const PARTITIONS: usize = 12;
const MEMBERS: usize = 8;
const SENDERS: u64 = 2;
/// What may be sent ahead of what is processed.
const AHEAD_MAX: u64 = 20_000;
/// A poll waits so long for records: a member whose share is idle goes on to its end.
const PATIENCE: Duration = Duration::from_millis(20);
const POLLS_MAX: usize = 60;

/// How members end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// In order: what they have processed is committed before others get their partitions.
    Close,
    /// Half of them in the middle, and what they have not committed is for others to do again.
    Die,
}

/// What becomes of one partition.
#[derive(Debug, Default)]
struct Fate {
    /// Which life it belongs to; 0 for none.
    owner: AtomicU64,
    /// All before it was told to be committed.
    acknowledged: AtomicU64,
    /// How often each record was processed.
    counts: Mutex<Vec<u8>>,
}

/// What all share.
struct Field {
    broker: Broker,
    ends: Ends,
    fates: Vec<Fate>,
    lives: AtomicU64,
    refused: AtomicU64,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    sent: u64,
    /// Different records.
    processed: u64,
    repeated: u64,
    /// Nothing more is sent.
    is_all: bool,
}

/// Takes and gives up what one life is assigned.
struct Claims {
    field: Arc<Field>,
    life: u64,
}

impl RebalanceListener for Claims {
    fn assigned(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        for partition in partitions {
            let before = self.field.fate(partition).owner.swap(self.life, SeqCst);
            assert_eq!(before, 0, "{partition} has two owners");
        }
        Ok(())
    }

    fn revoked(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        if self.field.ends == Ends::Close {
            self.field.commit_last(rebalance, partitions)?;
        }
        self.field.release(self.life, partitions);
        Ok(())
    }

    fn lost(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        panic!("{partitions:?} are lost, and nobody was late")
    }
}

impl Field {
    fn fate(&self, partition: &TopicPartition) -> &Fate {
        &self.fates[u32::from(partition.partition()) as usize]
    }

    fn release(&self, life: u64, partitions: &[TopicPartition]) {
        for partition in partitions {
            assert_eq!(self.fate(partition).owner.swap(0, SeqCst), life, "{partition} was another's");
        }
    }

    /// Commits what is given up. In a close that falls into a rebalance it may be refused; then it was done before.
    fn commit_last(&self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        let mut offsets = Vec::new();
        for partition in partitions {
            offsets.push((partition.clone(), rebalance.position(partition)?));
        }
        match rebalance.commit_offsets(offsets.iter().cloned()) {
            Ok(()) => self.acknowledge(&offsets),
            Err(Error::RebalanceInProgress { .. }) => {
                self.refused.fetch_add(1, SeqCst);
                for (partition, offset) in &offsets {
                    let acknowledged = self.fate(partition).acknowledged.load(SeqCst);
                    assert_eq!(acknowledged, u64::from(*offset), "{partition}");
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn acknowledge(&self, offsets: &[(TopicPartition, Offset)]) {
        for (partition, offset) in offsets {
            self.fate(partition).acknowledged.fetch_max((*offset).into(), SeqCst);
        }
    }

    fn is_done(&self) -> bool {
        let progress = self.progress.lock().unwrap();
        progress.is_all && progress.processed == progress.sent
    }

    /// Sends until the clock is there, and so many records at least.
    fn send(&self, number: u64, count: u64, until: Duration) {
        let clock = SystemClock::new();
        let producer = self.broker.producer().build().unwrap();
        let mut sent = 0;
        while sent < count || clock.monotonic() < until {
            for _ in 0..100 {
                let partition = u32::try_from((sent * 7 + number) % PARTITIONS as u64).unwrap();
                drop(producer.send(Record::to("t").partition(partition).value("x")).unwrap());
                sent += 1;
            }
            producer.flush().unwrap();
            let mut progress = self.progress.lock().unwrap();
            progress.sent += 100;
            while progress.sent > progress.processed + AHEAD_MAX {
                progress = self.moved.wait(progress).unwrap();
            }
        }
    }

    /// One member from its coming to its end.
    fn live(self: &Arc<Field>, seed: &mut Seed, assignor: &Arc<dyn Assignor>) {
        let life = self.lives.fetch_add(1, SeqCst) + 1;
        let builder = builder(&self.broker).max_poll_records(1 + seed.below(200));
        let mut consumer = builder.assignors([Arc::clone(assignor)]).build().unwrap();
        consumer.subscribe_with(["t"], Claims { field: Arc::clone(self), life }).unwrap();
        let (mut left, commits_each) = (100 + seed.below(2000), 1 + seed.below(4));
        for turn in 0..POLLS_MAX {
            let records = consumer.poll(PATIENCE).unwrap();
            for record in &records {
                self.process(life, record.topic_partition(), record.offset().into());
            }
            self.moved.notify_all();
            if self.ends == Ends::Die && turn % commits_each == 0 {
                self.commit(&mut consumer);
            }
            left = left.saturating_sub(records.len());
            if left == 0 || self.is_done() {
                break;
            }
        }
        if self.ends == Ends::Die && seed.below(2) == 0 {
            // It gives its claims up before it is gone, as nobody is told of its end.
            self.release(life, &consumer.assignment());
            drop(consumer);
        } else {
            // A rebalance that has begun is gone through first: in the middle of it nothing is committed.
            while !self.commit(&mut consumer) {
                let records = consumer.poll(PATIENCE).unwrap();
                for record in &records {
                    self.process(life, record.topic_partition(), record.offset().into());
                }
            }
            consumer.close().unwrap();
        }
    }

    fn process(&self, life: u64, partition: &TopicPartition, offset: u64) {
        let fate = self.fate(partition);
        assert_eq!(fate.owner.load(SeqCst), life, "{partition} is another's");
        let acknowledged = fate.acknowledged.load(SeqCst);
        assert!(
            offset >= acknowledged,
            "{offset} of {partition} again, and all before {acknowledged} was committed"
        );
        let mut counts = fate.counts.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        assert!(at <= counts.len(), "{partition}: {at} before {}", counts.len());
        if at == counts.len() {
            counts.push(0);
        }
        counts[at] = counts[at].saturating_add(1);
        let is_new = counts[at] == 1;
        drop(counts);
        let mut progress = self.progress.lock().unwrap();
        progress.processed += u64::from(is_new);
        progress.repeated += u64::from(!is_new);
    }

    /// Commits what was processed, and says whether it could: during a rebalance it is refused, and done later.
    fn commit(&self, consumer: &mut Consumer) -> bool {
        let mut offsets = Vec::new();
        for partition in consumer.assignment() {
            offsets.push((partition.clone(), consumer.position(&partition).unwrap()));
        }
        match consumer.commit() {
            Ok(()) => self.acknowledge(&offsets),
            Err(Error::RebalanceInProgress { .. }) => {
                self.refused.fetch_add(1, SeqCst);
                return false;
            }
            Err(error) => panic!("{error:?}"),
        }
        true
    }
}

/// Lets members come and go until everything that was sent is processed: so many records, and those of so long.
fn run(ends: Ends, assignor: &Arc<dyn Assignor>, count: u64, length: Duration) {
    let broker = Broker::in_memory().unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(u32::try_from(PARTITIONS).unwrap())).unwrap();
    let field = Arc::new(Field {
        broker,
        ends,
        fates: (0..PARTITIONS).map(|_| Fate::default()).collect(),
        lives: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        progress: Mutex::default(),
        moved: Condvar::new(),
    });
    thread::scope(|scope| {
        for number in 0..MEMBERS {
            let field = &field;
            scope.spawn(move || {
                let mut seed = Seed::new(number as u64);
                while !field.is_done() {
                    field.live(&mut seed, assignor);
                }
            });
        }
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let field = &field;
                scope.spawn(move || field.send(number, count / SENDERS, length))
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        field.progress.lock().unwrap().is_all = true;
    });
    let progress = field.progress.lock().unwrap();
    let total: usize = field.fates.iter().map(|fate| fate.counts.lock().unwrap().len()).sum();
    assert_eq!(total as u64, progress.sent);
    for fate in &field.fates {
        assert!(fate.counts.lock().unwrap().iter().all(|&count| count > 0), "a record was lost");
        assert_eq!(fate.owner.load(SeqCst), 0);
    }
    assert!(
        ends == Ends::Die || progress.repeated == 0,
        "{} records again, and nobody died",
        progress.repeated
    );
    let (lives, refused) = (field.lives.load(SeqCst), field.refused.load(SeqCst));
    assert!(lives > MEMBERS as u64, "{lives}");
    eprintln!(
        "{ends:?}, {}: {lives} lives, {refused} commits refused during a rebalance, {progress:?}",
        assignor.name()
    );
}

fn assignors() -> [Arc<dyn Assignor>; 2] {
    [Arc::new(Range), Arc::new(CooperativeSticky)]
}

#[test]
fn members_that_close_in_order_process_everything_exactly_once() {
    assignors().iter().for_each(|assignor| run(Ends::Close, assignor, 20_000, Duration::ZERO));
}

#[test]
fn members_that_die_lose_nothing_and_repeat_only_what_was_not_committed() {
    assignors().iter().for_each(|assignor| run(Ends::Die, assignor, 20_000, Duration::ZERO));
}

#[test]
#[ignore = "runs for half a minute, or for STREAMLOG_SOAK_SECONDS; the two before it do as much as 20,000 records need"]
fn members_come_and_go_for_a_while() {
    let seconds = std::env::var("STREAMLOG_SOAK_SECONDS").map_or(30, |text| text.parse().unwrap());
    let each = Duration::from_secs(seconds) / 4;
    for ends in [Ends::Close, Ends::Die] {
        assignors().iter().for_each(|assignor| run(ends, assignor, 0, each));
    }
}
