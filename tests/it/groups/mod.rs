//! Consumers that share topics as members of a group, on a clock that stands still: one thread plays all of them, poll by poll.

mod bad_input;
mod commits;
mod deadlines;
mod full_disk;
mod listeners;
mod looked_after;
mod model;
mod sharing;
mod threads;
mod turmoil;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{
    Assignor, AutoOffsetReset, Broker, Consumer, ConsumerBuilder, CooperativeSticky, NewTopic, PartitionId,
    Range, Rebalance, RebalanceListener, Record, Result, RoundRobin, Sticky, TopicPartition,
};

use crate::kit::Place;

const GROUP: &str = "g";

/// A broker with topics, each of so many partitions.
pub(crate) fn broker(place: &Place, topics: &[(&str, u32)]) -> Broker {
    let broker = place.open();
    for &(name, partitions) in topics {
        broker.admin().create_topic(NewTopic::new(name).partitions(partitions)).unwrap();
    }
    broker
}

pub(crate) fn partition(topic: &str, number: u32) -> TopicPartition {
    TopicPartition::new(topic, PartitionId::try_from(number).unwrap())
}

/// Appends records to a partition, each with its number in the partition as its value.
pub(crate) fn fill(broker: &Broker, topic: &str, number: u32, count: u64) {
    let partition = broker.topic(topic).unwrap().partition(number).unwrap();
    let begin = u64::from(partition.log_end_offset());
    for value in begin..begin + count {
        partition.append(&[Record::new().value(&value.to_string())]).unwrap();
    }
}

/// A consumer of the group that commits only when it is told to, and begins at the beginning.
pub(crate) fn builder(broker: &Broker) -> ConsumerBuilder {
    broker.consumer().group(GROUP).auto_commit(None).auto_offset_reset(AutoOffsetReset::Earliest)
}

pub(crate) fn member(broker: &Broker, topics: &[&str]) -> Consumer {
    let mut consumer = builder(broker).build().unwrap();
    consumer.subscribe(topics.iter().copied()).unwrap();
    consumer
}

/// The four assignors.
pub(crate) fn assignors() -> [Arc<dyn Assignor>; 4] {
    [Arc::new(Range), Arc::new(RoundRobin), Arc::new(Sticky), Arc::new(CooperativeSticky)]
}

/// Polls all of them, without waiting, until nobody's partitions change any more. Gives how many records came.
pub(crate) fn settle(consumers: &mut [Consumer]) -> usize {
    let mut count = 0;
    for _ in 0..50 {
        let before: Vec<_> = consumers.iter().map(Consumer::assignment).collect();
        for _ in 0..4 {
            for consumer in &mut *consumers {
                count += consumer.poll(Duration::ZERO).unwrap().len();
            }
        }
        if before == consumers.iter().map(Consumer::assignment).collect::<Vec<_>>() {
            return count;
        }
    }
    panic!("the group does not settle: {consumers:?}");
}

/// How many partitions each has, and that nobody shares one.
pub(crate) fn shares(consumers: &[Consumer]) -> Vec<usize> {
    let mut all: Vec<TopicPartition> = consumers.iter().flat_map(Consumer::assignment).collect();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a partition with two owners: {consumers:?}");
    consumers.iter().map(|consumer| consumer.assignment().len()).collect()
}

/// A listener that writes down what it hears.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        self.0.lock().unwrap().push(format!("{what} {}", names.join(" ")).trim_end().to_owned());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RebalanceListener for Heard {
    fn assigned(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.note("assigned", partitions);
        Ok(())
    }

    fn revoked(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.note("revoked", partitions);
        Ok(())
    }

    fn lost(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.note("lost", partitions);
        Ok(())
    }
}
