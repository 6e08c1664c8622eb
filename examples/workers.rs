//! Consumers that share a topic: one comes, one dies, and nothing is lost.
//!
//! ```text
//! cargo run --example workers
//! ```
//!
//! Orders are billed by consumers of one group, each on a thread of its own, which commits after each poll. Two begin with what is
//! there; a third one comes and gets its share; then one of them dies after it has billed an order and before it has
//! committed that. The others take its partitions over and go on where it had committed, so that order is billed again: what is
//! committed after it was done is done at least once. The lag is what is sent and not committed, summed over the partitions.
//!
//! The broker is in memory, and nothing is left behind.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, ConsumerBuilder, ConsumerWaker, NewTopic, Rebalance, RebalanceListener, Record,
    TopicPartition,
};

const PARTITIONS: u32 = 6;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let broker = Broker::in_memory()?;
    broker.admin().create_topic(NewTopic::new("orders").partitions(PARTITIONS))?;
    send(&broker, 10)?;
    println!("60 orders sent, lag {}", lag(&broker)?);

    let (tell, told) = mpsc::channel();
    let mut board =
        Board { told, shares: BTreeMap::new(), billed: BTreeMap::new(), committed: BTreeSet::new() };
    let start = |name| Worker::start(name, &broker, tell.clone());
    let (ann, ben) = (start("ann")?, start("ben")?);
    board.wait_until(|board| board.shares_are(&["ann", "ben"]) && board.committed.len() == 60)?;
    println!("{}; all billed, lag {}", board.shares(), lag(&broker)?);

    let cem = start("cem")?;
    board.wait_until(|board| board.shares_are(&["ann", "ben", "cem"]))?;
    println!("{}", board.shares());

    // Ben gets only as far as his first order.
    ben.is_doomed.lock().map_err(|_| "poisoned")?.replace("his pen is empty");
    send(&broker, 5)?;
    let why = ben.end()?.err().ok_or("ben lives")?;
    println!("30 more sent; ben has died: {why}");
    board.shares.remove("ben");
    board.wait_until(|board| board.shares_are(&["ann", "cem"]) && board.committed.len() == 90)?;
    println!("{}; all billed, lag {}", board.shares(), lag(&broker)?);
    println!("billed twice: {}", board.billed.values().filter(|&&times| times == 2).count());

    for worker in [ann, cem] {
        worker.waker.wake();
        worker.end()??;
    }
    Ok(broker.close()?)
}

/// Sends so many orders to each partition.
fn send(broker: &Broker, count: usize) -> Result<()> {
    for partition in broker.topic("orders")?.partitions() {
        partition?.append(&vec![Record::new().value("3 apples"); count])?;
    }
    Ok(())
}

fn billing(broker: &Broker) -> ConsumerBuilder {
    broker.consumer().group("billing").auto_commit(None).auto_offset_reset(AutoOffsetReset::Earliest)
}

/// What was sent and is not committed.
fn lag(broker: &Broker) -> Result<u64> {
    let mut consumer = billing(broker).build()?;
    let partitions: Vec<TopicPartition> = broker.topic("orders")?.topic_partitions().collect();
    let committed = consumer.committed(&partitions)?;
    let ends = consumer.end_offsets(&partitions)?;
    let of_one = |(partition, end): (&TopicPartition, _)| {
        let done = committed.get(partition).map_or(0, |committed| committed.offset.into());
        u64::from(end).saturating_sub(done)
    };
    Ok(ends.iter().map(|(partition, &end)| of_one((partition, end))).sum())
}

/// A partition and an offset: an order.
type Order = (TopicPartition, u64);

/// What a worker tells.
enum News {
    Share(&'static str, Vec<TopicPartition>),
    Billed(Order),
    Committed(Vec<Order>),
}

/// A consumer on a thread of its own.
struct Worker {
    waker: ConsumerWaker,
    is_doomed: Arc<Mutex<Option<&'static str>>>,
    thread: JoinHandle<Result<()>>,
}

impl Worker {
    fn start(name: &'static str, broker: &Broker, tell: Sender<News>) -> Result<Worker> {
        let mut consumer = billing(broker).client_id(name).build()?;
        consumer.subscribe_with(["orders"], Shares(name, tell.clone()))?;
        let (waker, is_doomed) = (consumer.waker(), Arc::new(Mutex::new(None::<&str>)));
        let doom = Arc::clone(&is_doomed);
        let thread = thread::spawn(move || {
            loop {
                let records = consumer.poll(Duration::MAX)?;
                if records.is_empty() {
                    // Woken, because it is over.
                    return Ok(consumer.close()?);
                }
                let mut orders = Vec::new();
                for record in &records {
                    let order: Order = (record.topic_partition().clone(), record.offset().into());
                    tell.send(News::Billed(order.clone()))?;
                    orders.push(order);
                    if let Some(why) = *doom.lock().map_err(|_| "poisoned")? {
                        // The consumer is dropped: it leaves its group, and commits nothing.
                        return Err(why.into());
                    }
                }
                consumer.commit()?;
                tell.send(News::Committed(orders))?;
            }
        });
        Ok(Worker { waker, is_doomed, thread })
    }

    fn end(self) -> Result<Result<()>> {
        self.thread.join().map_err(|_| "a worker has panicked".into())
    }
}

/// Tells what a worker has got.
struct Shares(&'static str, Sender<News>);

impl RebalanceListener for Shares {
    fn assigned(&mut self, rebalance: &mut Rebalance<'_>, _: &[TopicPartition]) -> streamlog::Result<()> {
        // Nobody listens any more at the end.
        let _ = self.1.send(News::Share(self.0, rebalance.assignment()));
        Ok(())
    }
}

/// What is known of all workers.
struct Board {
    told: Receiver<News>,
    shares: BTreeMap<&'static str, Vec<TopicPartition>>,
    /// How often each order was billed.
    billed: BTreeMap<Order, u32>,
    committed: BTreeSet<Order>,
}

impl Board {
    /// Listens until that is so.
    fn wait_until(&mut self, holds: impl Fn(&Board) -> bool) -> Result<()> {
        while !holds(self) {
            match self.told.recv()? {
                News::Share(name, partitions) => drop(self.shares.insert(name, partitions)),
                News::Billed(order) => *self.billed.entry(order).or_default() += 1,
                News::Committed(orders) => self.committed.extend(orders),
            }
        }
        Ok(())
    }

    /// Whether these have an equal share each, and nobody else has any.
    fn shares_are(&self, names: &[&str]) -> bool {
        let all: BTreeSet<&TopicPartition> = self.shares.values().flatten().collect();
        let share = all.len() / names.len();
        all.len() == PARTITIONS as usize
            && self.shares.keys().eq(names)
            && self.shares.values().all(|partitions| partitions.len() == share)
    }

    fn shares(&self) -> String {
        let share = |(name, partitions): (&&str, &Vec<TopicPartition>)| {
            let numbers: Vec<String> = partitions.iter().map(|one| one.partition().to_string()).collect();
            format!("{name} has {}", numbers.join(" "))
        };
        self.shares.iter().map(share).collect::<Vec<_>>().join(", ")
    }
}
