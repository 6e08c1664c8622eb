//! Following: how long a record takes to a consumer that sleeps, against a channel between the same two threads.

use std::iter;
use std::thread;
use std::time::Duration;

use streamlog::{Acks, AutoOffsetReset, Broker, PartitionId, Record, TopicConfig, TopicPartition};

use crate::harness::{
    Case, Outcome, Settings, Stopwatch, TOPIC, Table, Target, Unit, create_partition, median,
};

/// Long enough for the receiver to fall asleep in between.
const PAUSE: Duration = Duration::from_micros(100);
const VALUE: [u8; 100] = [0x5a; 100];
const PATIENCE: Duration = Duration::from_secs(10);
/// How many values may wait in the channel.
const CHANNEL_VALUES: usize = 1_024;

/// A record sent each 100 us: the median time from just before `send` until `poll` has returned it on another thread.
pub(crate) fn follow(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let count = usize::try_from(settings.sized(10_000))?;
    let mut cases = Vec::new();
    for (name, is_on_disk) in [("follow 100 B, in memory", false), ("follow 100 B, on disk, acks=1", true)] {
        cases.push(Case::new(
            name,
            Unit::Microseconds,
            move || through_broker(settings, count, is_on_disk),
            ("bounded channel of Vec<u8>", move || through_channel(count)),
            Target::RatioAtMost(1.2),
        ));
    }
    table.measure(cases)?;
    table.note(&format!(
        "one each {} us, median of {count}; on a busy machine the channel's receiver loses its turn by yielding",
        PAUSE.as_micros()
    ));
    Ok(())
}

fn through_broker(settings: &Settings, count: usize, is_on_disk: bool) -> Outcome<f64> {
    let scratch = settings.scratch()?;
    let broker = if is_on_disk { Broker::open(scratch.path())? } else { Broker::in_memory()? };
    let partition = create_partition(&broker, TopicConfig::default())?;
    let producer = broker.producer().acks(Acks::Leader).linger(Duration::ZERO).build()?;
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    consumer.assign([TopicPartition::new(TOPIC, PartitionId::ZERO)])?;
    let send = |value: &[u8]| {
        drop(producer.send(Record::to(TOPIC).value(value))?);
        Ok(())
    };
    let receive = || {
        let records = consumer.poll(PATIENCE)?;
        let is_right = !records.is_empty() && records.iter().all(|record| record.value() == Some(&VALUE[..]));
        is_right.then(|| records.len()).ok_or_else(|| "what was sent is not what was polled".into())
    };
    let latency = latency(count, send, receive)?;
    assert_eq!(partition.log_end_offset(), count as u64);
    Ok(latency)
}

fn through_channel(count: usize) -> Outcome<f64> {
    let (sender, receiver) = crossbeam::channel::bounded::<Vec<u8>>(CHANNEL_VALUES);
    let send = |value: &[u8]| Ok(sender.send(value.to_vec())?);
    let receive = || {
        let is_right = receiver.recv()? == VALUE;
        is_right.then_some(1).ok_or_else(|| "what was sent is not what was received".into())
    };
    latency(count, send, receive)
}

/// Sends `count` values, one each [`PAUSE`], and gives the median of the microseconds from just before each was sent until
/// another thread has it. `receive` sleeps until there are some, and gives how many it got.
fn latency(
    count: usize,
    mut send: impl FnMut(&[u8]) -> Outcome<()>,
    mut receive: impl FnMut() -> Outcome<usize> + Send,
) -> Outcome<f64> {
    let stopwatch = Stopwatch::start();
    thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let mut arrivals = Vec::with_capacity(count);
            while arrivals.len() < count {
                let received = receive()?;
                arrivals.extend(iter::repeat_n(stopwatch.elapsed(), received));
            }
            Outcome::Ok(arrivals)
        });
        let mut sent = Vec::with_capacity(count);
        for _ in 0..count {
            sent.push(stopwatch.spin_to_next(PAUSE));
            send(&VALUE)?;
        }
        let arrivals = receiver.join().map_err(|_| "the receiver panicked")??;
        let latencies = arrivals.iter().zip(&sent).map(|(arrival, sent)| arrival.saturating_sub(*sent));
        Ok(median(&latencies.map(|latency| latency.as_secs_f64() * 1e6).collect::<Vec<_>>()))
    })
}
