//! The whole way of a few records: a topic, a producer that sends them, a consumer that reads them back.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Prints each record with its place. The log is in a temporary directory and is gone afterwards.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use streamlog::{AutoOffsetReset, Broker, NewTopic, Producer, Record, RecordMetadata};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let broker = Broker::open(directory.path().join("data"))?; // or Broker::in_memory()?
    broker.admin().create_topic(NewTopic::new("orders").partitions(3))?;

    // The key decides on the partition, so all of Alice's orders stay in order.
    let producer = broker.producer().build()?;
    for (customer, order) in [("alice", "3 apples"), ("carol", "1 pear"), ("alice", "2 plums")] {
        send(&producer, customer, order)?;
    }

    let group = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    let mut consumer = group.build()?;
    consumer.subscribe(["orders"])?;
    for record in &consumer.poll(Duration::from_millis(500))? {
        let [key, value] =
            [record.key(), record.value()].map(|bytes| bytes.unwrap_or_default().escape_ascii());
        println!("read {key}: {value} at {}@{}", record.topic_partition(), record.offset());
    }

    consumer.commit()?; // whoever reads for "billing" next goes on behind these

    producer.close(Duration::from_secs(10))?;
    consumer.close()?;
    broker.close()?;
    Ok(())
}

/// Sends a record, and waits until a power cut could not take it back.
fn send(producer: &Producer, customer: &str, order: &str) -> streamlog::Result<()> {
    let delivery = producer.send(Record::to("orders").key(customer).value(order))?;
    // Other work could be done here: the record is on its way.
    let RecordMetadata { partition, offset, .. } = delivery.wait()?;
    if let Some(offset) = offset {
        println!("sent {customer}: {order} to orders-{partition}@{offset}");
    }
    Ok(())
}
