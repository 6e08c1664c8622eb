use std::time::Duration;
use streamlog::{AutoOffsetReset, Broker, Consumer, NewTopic, Record, Result};

/// A topic with ten orders, numbered from 0 in one partition.
fn orders() -> Result<Broker> {
    let broker = Broker::in_memory()?;
    let orders = broker.admin().create_topic(NewTopic::new("orders"))?.partition(0)?;
    for number in 0..10 {
        orders.append(&[Record::new().key("alice").value(&number.to_string())])?;
    }
    orders.sync()?; // durable: a power cut takes none of them back
    Ok(broker)
}

/// A member of the group that commits only when it is told to, and is given four orders at a time.
fn member(broker: &Broker) -> Result<Consumer> {
    let builder = broker.consumer().group("billing").auto_commit(None).max_poll_records(4);
    let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    consumer.subscribe(["orders"])?;
    Ok(consumer)
}

/// Where whoever comes next begins.
fn next(broker: &Broker) -> Result<u64> {
    let records = member(broker)?.poll(Duration::from_secs(1))?;
    Ok(records.iter().next().map_or(10, |record| record.offset().into()))
}
