use streamlog::{ManualClock, Timestamp};

fn main() -> Result<()> {
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let broker = Broker::builder().in_memory().clock(clock.clone()).open()?;
    let log = broker.admin().create_topic(NewTopic::new("orders"))?.partition(0)?;
    for number in 0..10 {
        log.append(&[Record::new().value(&number.to_string())])?;
    }
    let builder = broker.consumer().group("billing").auto_commit(Some(Duration::from_secs(5)));
    let builder = builder.auto_offset_reset(AutoOffsetReset::Earliest).max_poll_records(4);
    let mut consumer = builder.build()?;
    consumer.subscribe(["orders"])?;

    assert_eq!(consumer.poll(Duration::ZERO)?.len(), 4); // and they are billed
    clock.advance(Duration::from_secs(5));
    assert_eq!(consumer.poll(Duration::ZERO)?.len(), 4); // commits those, and returns others
    drop(consumer); // it dies
    assert_eq!(next(&broker)?, 4, "what the second poll returned is billed again, whatever became of it");
    Ok(())
}
