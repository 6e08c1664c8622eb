//! Sending through a producer: many records, and one at a time.

use std::time::Duration;

use streamlog::{Acks, Broker, Producer, Record, TopicConfig};

use crate::harness::{
    BLOCK_BYTES, BareFile, Case, Contents, Outcome, Settings, TOPIC, Table, Target, Unit, Values,
    create_partition, encoded_bytes, median, median_write, read_pass, seconds,
};

/// Different records that are sent over and over.
const VALUES: usize = 1_000;
/// Larger batches gain little more; what a send costs beside the write is per record.
const BATCH_BYTES: usize = 256 << 10;
/// How many records may wait in the channel.
const CHANNEL_RECORDS: usize = 1_024;

/// Many records sent by one thread and acknowledged at the end, against blocks written into an allocated file, and against
/// a channel between two threads that moves the same records: payload per second.
pub(crate) fn bulk(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(256 << 20);
    let mut cases = Vec::new();
    for (value_bytes, least) in [(100, 0.1), (1 << 10, 0.2)] {
        let rounds = bytes.div_ceil((value_bytes * VALUES) as u64);
        let noise = vec![0x5a; BLOCK_BYTES];
        let bare = move || {
            let scratch = settings.scratch()?;
            let mut file = BareFile::allocated(scratch.path(), bytes)?;
            let count = bytes.div_ceil(BLOCK_BYTES as u64);
            let ((), elapsed) = seconds(|| (0..count).try_for_each(|_| file.append(&noise)))?;
            Ok(file.end() as f64 / 1e6 / elapsed)
        };
        cases.push(Case::new(
            format!("send_bulk {value_bytes} B"),
            Unit::MegabytesPerSecond,
            sends(settings, value_bytes, rounds),
            ("pwrite of 64 KiB, allocated", bare),
            Target::RatioAtLeast(least),
        ));
        let values = Values::new(value_bytes, VALUES);
        cases.push(Case::new(
            format!("send_bulk {value_bytes} B"),
            Unit::MegabytesPerSecond,
            sends(settings, value_bytes, rounds),
            ("bounded channel of Vec<u8>", move || channel(&values, rounds)),
            Target::RatioAtLeast(0.6),
        ));
    }
    table.measure(cases)?;
    table.note(&format!(
        "{} MiB a run, acks=1, linger 5 ms, batches of 256 KiB; channel of {CHANNEL_RECORDS} records",
        bytes >> 20
    ));
    Ok(())
}

fn sends(settings: &Settings, value_bytes: usize, rounds: u64) -> impl FnMut() -> Outcome<f64> {
    let values = Values::new(value_bytes, VALUES);
    let mut is_first = true;
    move || {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let producer = broker
            .producer()
            .acks(Acks::Leader)
            .linger(Duration::from_millis(5))
            .batch_bytes(BATCH_BYTES)
            .build()?;
        let ((), elapsed) = seconds(|| send_all(&producer, &values, rounds))?;
        let expected = Contents::of(&values, rounds);
        assert_eq!(partition.log_end_offset(), expected.records, "every record got its offset");
        if std::mem::take(&mut is_first) {
            let pass = read_pass(&partition, partition.log_start_offset(), partition.log_end_offset())?;
            assert_eq!(pass.contents, expected, "what was sent is there");
        }
        Ok(expected.value_bytes as f64 / 1e6 / elapsed)
    }
}

fn send_all(producer: &Producer, values: &Values, rounds: u64) -> Outcome<()> {
    for _ in 0..rounds {
        for value in values.iter() {
            drop(producer.send(Record::to(TOPIC).value(value))?);
        }
    }
    Ok(producer.flush()?)
}

fn channel(values: &Values, rounds: u64) -> Outcome<f64> {
    let (sender, receiver) = crossbeam::channel::bounded::<Vec<u8>>(CHANNEL_RECORDS);
    let run = || {
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut found = Contents::default();
                for value in receiver {
                    found.records += 1;
                    found.value_bytes += value.len() as u64;
                    found.first_bytes += value.first().map_or(0, |&first| u64::from(first));
                }
                found
            });
            for _ in 0..rounds {
                for value in values.iter() {
                    sender.send(value.to_vec())?;
                }
            }
            drop(sender);
            Ok(reader.join().map_err(|_| "the reader panicked")?)
        })
    };
    let (found, elapsed) = seconds(run)?;
    assert_eq!(found, Contents::of(values, rounds));
    Ok(found.value_bytes as f64 / 1e6 / elapsed)
}

/// One record sent and waited for, with nobody else about, against one write of as many bytes: the median latency.
pub(crate) fn one(settings: &Settings, table: &mut Table) -> Outcome<()> {
    const VALUE_BYTES: usize = 100;
    let count = settings.sized(50_000);
    let encoded_bytes = encoded_bytes(VALUE_BYTES)?;
    let candidate = || {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let producer = broker.producer().acks(Acks::Leader).build()?;
        let values = Values::new(VALUE_BYTES, 1);
        let mut latencies = Vec::new();
        for value in values.iter().cycle().take(usize::try_from(count)?) {
            let send = || Ok(producer.send(Record::to(TOPIC).value(value))?.wait()?);
            let (_, elapsed) = seconds(send)?;
            latencies.push(elapsed * 1e6);
        }
        assert_eq!(partition.log_end_offset(), count);
        Ok(median(&latencies))
    };
    let bare = || median_write(settings, count, encoded_bytes);
    let name = format!("send_one {VALUE_BYTES} B, acks=1");
    let target = Target::RatioAtMost(2.5);
    table.measure(vec![Case::new(
        name,
        Unit::Microseconds,
        candidate,
        ("pwrite, allocated", bare),
        target,
    )])?;
    table.note(&format!("{encoded_bytes} bytes a write, median of {count}"));
    Ok(())
}
