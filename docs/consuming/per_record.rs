fn main() -> Result<()> {
    for (every, begins_at) in [(1, 6), (3, 6), (5, 5)] {
        let broker = orders()?;
        let mut consumer = member(&broker)?;
        let mut billed = 0;
        'program: loop {
            for record in &consumer.poll(Duration::from_secs(1))? {
                billed += 1;
                if billed == 7 {
                    break 'program; // it dies, having billed 6 but not committed it
                }
                if billed % every == 0 {
                    consumer.commit_offsets([(record.topic_partition().clone(), record.offset().next())])?;
                }
            }
        }
        drop(consumer);
        assert_eq!(next(&broker)?, begins_at);
    }
    Ok(())
}
