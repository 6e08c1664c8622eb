fn main() -> Result<()> {
    let broker = orders()?;
    let mut consumer = member(&broker)?;
    let records = consumer.poll(Duration::from_secs(1))?;
    consumer.commit()?;
    let mut billed = Vec::new();
    for record in &records {
        billed.push(u64::from(record.offset()));
        if billed.len() == 2 {
            break; // it dies
        }
    }
    drop(consumer);
    assert_eq!(billed, [0, 1]);
    assert_eq!(next(&broker)?, 4, "2 and 3 are billed by nobody");
    Ok(())
}
