//! Reading everything through a consumer, against reading the same partition batch by batch.

use std::time::Duration;

use streamlog::{AutoOffsetReset, Broker, PartitionId, TopicConfig, TopicPartition};

use crate::harness::{Case, Contents, Outcome, Settings, Table, Target, Unit, fill, read_pass, seconds};

/// All records of a partition that has been read before, polled some at a time.
pub(crate) fn all(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(256 << 20);
    let mut partitions = Vec::new();
    for value_bytes in [100, 1 << 10] {
        let directory = settings.scratch()?;
        let config = TopicConfig::default().segment_bytes(u32::try_from(bytes / 4)?);
        let contents = fill(directory.path(), config, value_bytes, bytes)?;
        partitions.push((value_bytes, contents, directory));
    }
    let mut cases = Vec::new();
    for (value_bytes, contents, directory) in &partitions {
        for limit in [500, usize::MAX] {
            let limit_text = if limit == 500 { "500 records" } else { "all that was fetched" };
            let name = format!("consume_all {value_bytes} B, {limit_text} a poll");
            let open = move || {
                let broker = Broker::open(directory.path())?;
                let partition = broker.topic("bench")?.partition(0)?;
                let (start, end) = (partition.log_start_offset(), partition.log_end_offset());
                let warm = read_pass(&partition, start, end)?;
                Outcome::Ok((broker, partition, warm.stored_bytes as f64))
            };
            let candidate = move || {
                let (broker, _, stored_bytes) = open()?;
                let (found, elapsed) = seconds(|| consume(&broker, limit, contents.records))?;
                assert_eq!(found, *contents, "everything was read");
                broker.close()?;
                Ok(stored_bytes / 1e6 / elapsed)
            };
            let bare = move || {
                let (broker, partition, stored_bytes) = open()?;
                let (start, end) = (partition.log_start_offset(), partition.log_end_offset());
                let (_, elapsed) = seconds(|| read_pass(&partition, start, end))?;
                broker.close()?;
                Ok(stored_bytes / 1e6 / elapsed)
            };
            let target = Target::RatioAtLeast(0.9);
            cases.push(Case::new(
                name,
                Unit::MegabytesPerSecond,
                candidate,
                ("Partition::read", bare),
                target,
            ));
        }
    }
    table.measure(cases)?;
    table.note(&format!("{} MiB of values, sealed and mapped; every record looked at", bytes >> 20));
    Ok(())
}

fn consume(broker: &Broker, limit: usize, count: u64) -> Outcome<Contents> {
    let builder = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest);
    let mut consumer = builder.max_poll_records(limit).build()?;
    consumer.assign([TopicPartition::new("bench", PartitionId::ZERO)])?;
    let mut contents = Contents::default();
    while contents.records < count {
        for record in &consumer.poll(Duration::from_secs(1))? {
            let value = record.value().unwrap_or_default();
            contents.records += 1;
            contents.value_bytes += value.len() as u64;
            contents.first_bytes += value.first().map_or(0, |&first| u64::from(first));
        }
    }
    Ok(contents)
}
