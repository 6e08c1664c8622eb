//! Sending with acks=all: alone, and many threads on one producer that share its syncs.

use std::thread;

use streamlog::{Acks, Broker, Producer, Record, TopicConfig};

use crate::harness::{
    Case, Outcome, Settings, TOPIC, Table, Target, Unit, Values, create_partition, encoded_bytes, median,
    median_synced_write, seconds,
};

const VALUE_BYTES: usize = 100;

/// One record sent and waited for, against one write and fdatasync over blocks that were written before.
pub(crate) fn one(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let count = settings.sized(640);
    let encoded_bytes = encoded_bytes(VALUE_BYTES)?;
    let candidate = || {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        create_partition(&broker, TopicConfig::default())?;
        let producer = broker.producer().acks(Acks::All).build()?;
        Ok(median(&send_and_wait(&producer, count)?))
    };
    let bare = || median_synced_write(settings, count, encoded_bytes);
    let name = format!("send_sync_one {VALUE_BYTES} B, acks=all");
    let bare = ("pwrite, fdatasync, over zeros", bare);
    table.measure(vec![Case::new(name, Unit::Microseconds, candidate, bare, Target::None)])?;
    table.note(&format!("median of {count}"));
    Ok(())
}

/// Threads that each send a record through one producer and wait for it, against one thread: records per second.
pub(crate) fn many_threads(settings: &Settings, table: &mut Table) -> Outcome<()> {
    const THREADS: u64 = 8;
    let count = settings.sized(640);
    let run = move |threads: u64| {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let producer = broker.producer().acks(Acks::All).build()?;
        let (latencies, elapsed) = seconds(|| {
            thread::scope(|scope| {
                let running: Vec<_> =
                    (0..threads).map(|_| scope.spawn(|| send_and_wait(&producer, count))).collect();
                let joined =
                    running.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
                joined.collect::<Outcome<Vec<_>>>()
            })
        })?;
        assert_eq!(latencies.iter().map(Vec::len).sum::<usize>() as u64, threads * count);
        assert_eq!(partition.durable_offset(), threads * count);
        Ok((threads * count) as f64 / elapsed)
    };
    table.measure(vec![Case::new(
        format!("send_many_threads, {THREADS} threads, acks=all"),
        Unit::PerSecond,
        move || run(THREADS),
        ("1 thread", move || run(1)),
        Target::None,
    )])
}

/// Sends single records and waits for each; their latencies in microseconds.
fn send_and_wait(producer: &Producer, count: u64) -> Outcome<Vec<f64>> {
    let values = Values::new(VALUE_BYTES, 1);
    let mut latencies = Vec::new();
    for value in values.iter().cycle().take(usize::try_from(count)?) {
        let (_, elapsed) = seconds(|| Ok(producer.send(Record::to(TOPIC).value(value))?.wait()?))?;
        latencies.push(elapsed * 1e6);
    }
    Ok(latencies)
}
