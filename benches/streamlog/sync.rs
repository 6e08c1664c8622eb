//! Appending with a wait for the device: alone, and many threads that share its syncs.

use std::thread;

use streamlog::{Broker, Partition, TopicConfig};

use crate::harness::encoded_bytes;
use crate::harness::{
    Case, Outcome, Settings, Table, Target, Unit, Values, append_all, create_partition, median,
    median_synced_write, seconds,
};

const VALUE_BYTES: usize = 100;
/// More than the room that a log makes before it knows that syncs are asked for.
const SETTLED_BYTES: usize = 256 << 10;

/// One record appended and synced, against one write and fdatasync over blocks that were written before.
pub(crate) fn one(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let count = settings.sized(640);
    let mut cases = Vec::new();
    for (name, is_settled, target) in [
        ("append_sync_one 100 B", true, Target::RatioAtMost(1.3)),
        ("append_sync_one 100 B, new partition", false, Target::None),
        ("append_sync_one 100 B, after 32 MiB in bulk", true, Target::None),
    ] {
        let bulk_bytes = if name.contains("bulk") { settings.sized(32 << 20) } else { 0 };
        let candidate = move || {
            let scratch = settings.scratch()?;
            let broker = Broker::open(scratch.path())?;
            let partition = create_partition(&broker, TopicConfig::default())?;
            let values = Values::new(1 << 10, 64);
            append_all(&partition, &values, bulk_bytes.div_ceil(64 << 10))?;
            if is_settled {
                partition.sync()?;
                for _ in 0..4 {
                    append_all(&partition, &Values::new(SETTLED_BYTES / 4, 1), 1)?;
                    partition.sync()?;
                }
            }
            Ok(median(&append_and_sync(&partition, count)?))
        };
        let encoded_bytes = encoded_bytes(VALUE_BYTES)?;
        let bare = move || median_synced_write(settings, count, encoded_bytes);
        cases.push(Case::new(
            name,
            Unit::Microseconds,
            candidate,
            ("pwrite, fdatasync, over zeros", bare),
            target,
        ));
    }
    table.measure(cases)
}

/// Eight threads that each append a record and wait for it, against one.
pub(crate) fn group(settings: &Settings, table: &mut Table) -> Outcome<()> {
    const THREADS: u64 = 8;
    let count = settings.sized(640);
    let run = move |threads: u64| {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let (latencies, elapsed) = seconds(|| {
            thread::scope(|scope| {
                let spawn = |_| scope.spawn(|| append_and_sync(&partition, count));
                let running: Vec<_> = (0..threads).map(spawn).collect();
                let joined =
                    running.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
                joined.collect::<Outcome<Vec<_>>>()
            })
        })?;
        assert_eq!(latencies.iter().map(Vec::len).sum::<usize>() as u64, threads * count);
        assert_eq!(partition.durable_offset(), threads * count);
        Ok((threads * count) as f64 / elapsed)
    };
    let target = Target::RatioAtLeast(3.0);
    let candidate = move || run(THREADS);
    table.measure(vec![Case::new(
        "group_sync, 8 threads",
        Unit::PerSecond,
        candidate,
        ("1 thread", move || run(1)),
        target,
    )])
}

/// Appends single records and waits for each; their latencies in microseconds.
fn append_and_sync(partition: &Partition, count: u64) -> Outcome<Vec<f64>> {
    let values = Values::new(VALUE_BYTES, 1);
    let records = values.records();
    let mut latencies = Vec::new();
    for _ in 0..count {
        let ((appended, durable), elapsed) =
            seconds(|| Ok((partition.append(&records)?, partition.sync()?)))?;
        assert!(durable >= appended.end, "the sync covers the record");
        latencies.push(elapsed * 1e6);
    }
    Ok(latencies)
}
