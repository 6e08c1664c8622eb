//! Consumers: what a poll returns and in which turn, how it waits, where it begins, and what it tells of trouble.

mod model;
mod polling;
mod positions;
mod settings;
mod topics;
mod trouble;
mod waiting;

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, Consumer, ConsumerBuilder, NewTopic, Offset, Partition, PartitionId, Record,
    Records, TopicConfig, TopicPartition,
};

use crate::kit::Place;

/// What a poll waits where it is to take what there is.
const NO_WAIT: Duration = Duration::ZERO;

/// A partition of the topic that [`begin`] makes.
fn named(number: u32) -> TopicPartition {
    TopicPartition::new("t", PartitionId::try_from(number).unwrap())
}

fn offset(number: u64) -> Offset {
    Offset::try_from(number).unwrap()
}

/// A broker with a topic of so many partitions.
fn begin(place: &Place, count: u32, config: TopicConfig) -> (Broker, Vec<Partition>) {
    let broker = place.open();
    broker.admin().create_topic(NewTopic::new("t").partitions(count).config(config)).unwrap();
    let partitions = broker.topic("t").unwrap().partitions().map(Result::unwrap).collect();
    (broker, partitions)
}

/// Settings under which nothing is missed.
fn from_the_start(broker: &Broker) -> ConsumerBuilder {
    broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest)
}

/// A consumer of the first so many partitions, from their start.
fn consumer_of(builder: ConsumerBuilder, count: u32) -> Consumer {
    let mut consumer = builder.build().unwrap();
    consumer.assign((0..count).map(named)).unwrap();
    consumer
}

/// Appends values, each in a batch of its own.
fn append_each(partition: &Partition, values: &[&str]) {
    for value in values {
        partition.append(&[Record::new().value(value)]).unwrap();
    }
}

/// Appends as many records in one batch; each value is its offset.
fn append_batch(partition: &Partition, count: u64) {
    let end = u64::from(partition.log_end_offset());
    let values: Vec<String> = (end..end + count).map(|number| number.to_string()).collect();
    let records: Vec<Record<'_>> = values.iter().map(|value| Record::new().value(value)).collect();
    partition.append(&records).unwrap();
}

/// Writes over what stands in the only log file of a partition.
fn overwrite(place: &Place, number: u32, position: u64, bytes: &[u8]) {
    let path = place.path().join(format!("t-{number}")).join("00000000000000000000.log");
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(position)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Values as text, as they come.
fn texts(records: &Records) -> Vec<String> {
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
    records.iter().map(|record| text(record.value())).collect()
}

/// Partition and offset of each record, as they come.
fn places(records: &Records) -> Vec<(u32, u64)> {
    records.iter().map(|record| (record.partition().into(), record.offset().into())).collect()
}
