//! What did it say at 10:30? Reading a topic from a point in time.
//!
//! ```text
//! cargo run --example time_travel
//! ```
//!
//! A thermometer is read every ten minutes from 8:00 to 12:00; each reading is a record with the time at which it was
//! taken. A consumer asks for the first record since a time, goes there, and reads on. Only the index and one batch are
//! looked at for that, however long the log is.
//!
//! Prints the readings since each of some times. The log is in memory.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use streamlog::{Broker, Consumer, NewTopic, PartitionId, Record, Timestamp, TopicPartition};

/// Midnight of 2026-03-14 UTC.
const MIDNIGHT: i64 = 1_773_446_400_000;
const MINUTE: i64 = 60_000;

fn main() -> streamlog::Result<()> {
    let broker = Broker::in_memory()?;
    broker.admin().create_topic(NewTopic::new("readings"))?;
    let producer = broker.producer().build()?;
    for minute in (8 * 60..=12 * 60).step_by(10) {
        // It warms up through the morning.
        let reading = format!("{}.{} °C", 10 + (minute - 480) / 40, (minute - 480) / 4 % 10);
        let at = Timestamp::from_millis(MIDNIGHT + minute * MINUTE);
        drop(producer.send(Record::to("readings").timestamp(at).value(&reading))?);
    }
    producer.flush()?;

    let mut consumer = broker.consumer().max_poll_records(3).build()?;
    for (hour, minute) in [(10, 30), (7, 0), (11, 55), (12, 1)] {
        read_since(&mut consumer, hour, minute)?;
    }
    Ok(())
}

/// Prints some of the readings since a time of that day.
fn read_since(consumer: &mut Consumer, hour: i64, minute: i64) -> streamlog::Result<()> {
    let readings = TopicPartition::new("readings", PartitionId::ZERO);
    consumer.assign([readings.clone()])?;
    println!("since {hour}:{minute:02}");
    let since = Timestamp::from_millis(MIDNIGHT + (hour * 60 + minute) * MINUTE);
    let found = consumer.offsets_for_times([(&readings, since)])?;
    let Some((offset, _)) = found.get(&readings).copied().flatten() else {
        println!("  nothing");
        return Ok(());
    };
    consumer.seek(&readings, offset)?;
    for record in &consumer.poll(Duration::ZERO)? {
        let minute = (record.timestamp().as_millis() - MIDNIGHT) / MINUTE;
        let reading = String::from_utf8_lossy(record.value().unwrap_or_default());
        println!("  {}:{:02}  {reading}", minute / 60, minute % 60);
    }
    Ok(())
}
