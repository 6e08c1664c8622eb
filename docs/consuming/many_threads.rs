fn main() -> Result<()> {
    let broker = orders()?;
    let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    let workers = builder.worker_pool(4, ["orders"], |record| {
        let number: u64 = str::from_utf8(record.value().unwrap_or_default())?.parse()?;
        if number == 7 { Err("order 7 cannot be billed".into()) } else { Ok(()) }
    })?;
    let error = workers.join().unwrap_err();
    assert_eq!(error.to_string(), "the record of partition orders-0 at offset 7 was not processed");
    assert_eq!(next(&broker)?, 7);
    Ok(())
}
