fn main() -> Result<()> {
    let broker = orders()?;
    let mut consumer = member(&broker)?;
    let mut billed = Vec::new();
    'program: loop {
        for record in &consumer.poll(Duration::from_secs(1))? {
            billed.push(u64::from(record.offset()));
            if billed.len() == 7 {
                break 'program; // it dies
            }
        }
        consumer.commit()?;
    }
    drop(consumer);
    assert_eq!(billed, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(next(&broker)?, 4, "4, 5 and 6 are billed again");
    Ok(())
}
