//! What is appended and how it is read back: values of one size, their number and a checksum.

use std::path::{Path, PathBuf};

use streamlog::{Broker, NewTopic, Offset, Partition, Record, TopicConfig};

use super::settings::Outcome;

/// The topic that every benchmark uses.
pub(crate) const TOPIC: &str = "bench";
/// What one read asks for.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Noise to append, cut into values of one size: the same in every call.
#[derive(Debug)]
pub(crate) struct Values {
    noise: Vec<u8>,
    value_bytes: usize,
}

impl Values {
    /// `count` values of `value_bytes` each.
    pub(crate) fn new(value_bytes: usize, count: usize) -> Values {
        let mut random = fastrand::Rng::with_seed(7);
        Values { noise: (0..value_bytes * count).map(|_| random.u8(..)).collect(), value_bytes }
    }

    /// The values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.noise.chunks_exact(self.value_bytes)
    }

    /// The values as records.
    pub(crate) fn records(&self) -> Vec<Record<'_>> {
        self.noise.chunks_exact(self.value_bytes).map(|value| Record::new().value(value)).collect()
    }
}

/// What is, or should be, in a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) records: u64,
    pub(crate) value_bytes: u64,
    /// The sum of the values' first bytes.
    pub(crate) first_bytes: u64,
}

impl Contents {
    /// What `calls` appends of `records` bring.
    pub(crate) fn of(values: &Values, calls: u64) -> Contents {
        let firsts = values.noise.chunks_exact(values.value_bytes).filter_map(|value| value.first());
        let (count, first_bytes) =
            firsts.fold((0, 0), |(count, sum), &first| (count + 1, sum + u64::from(first)));
        Contents {
            records: calls * count,
            value_bytes: calls * values.noise.len() as u64,
            first_bytes: calls * first_bytes,
        }
    }
}

/// A new topic of one partition.
pub(crate) fn create_partition(broker: &Broker, config: TopicConfig) -> Outcome<Partition> {
    Ok(broker.admin().create_topic(NewTopic::new(TOPIC).config(config))?.partition(0)?)
}

/// Appends all values in one call, `calls` times.
pub(crate) fn append_all(partition: &Partition, values: &Values, calls: u64) -> Outcome<()> {
    let records = values.records();
    for _ in 0..calls {
        partition.append(&records)?;
    }
    Ok(())
}

/// A log directory with one partition that has been filled and closed; gives what is in it.
pub(crate) fn fill(
    directory: &Path,
    config: TopicConfig,
    value_bytes: usize,
    bytes: u64,
) -> Outcome<Contents> {
    const CALL_BYTES: usize = 256 << 10;
    let values = Values::new(value_bytes, CALL_BYTES / value_bytes);
    let calls = bytes.div_ceil(CALL_BYTES as u64);
    let broker = Broker::open(directory)?;
    append_all(&create_partition(&broker, config)?, &values, calls)?;
    broker.close()?;
    Ok(Contents::of(&values, calls))
}

/// What one pass over a partition found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) contents: Contents,
    /// Bytes of whole batches, as stored.
    pub(crate) stored_bytes: u64,
}

/// Reads from `start` to `end`, and touches every record.
pub(crate) fn read_pass(partition: &Partition, start: Offset, end: Offset) -> Outcome<Pass> {
    let mut pass = Pass::default();
    let mut next = start;
    while next < end {
        let batches = partition.read(next, READ_BYTES)?;
        for batch in &batches {
            for record in &batch.records()? {
                let value = record.value().unwrap_or_default();
                pass.contents.records += 1;
                pass.contents.value_bytes += value.len() as u64;
                pass.contents.first_bytes += value.first().map_or(0, |&first| u64::from(first));
            }
        }
        pass.stored_bytes += batches.bytes() as u64;
        next = batches.next_offset().ok_or("the log ends too early")?;
    }
    Ok(pass)
}

/// The partition's `.log` files, oldest first, each with the bytes of batches in it.
pub(crate) fn log_files(partition: &Partition) -> Outcome<Vec<(PathBuf, u64)>> {
    let segments = partition.segments();
    segments.iter().map(|segment| Ok((segment.path().to_path_buf(), segment.bytes()?))).collect()
}

/// What a batch of one such record takes in the file.
pub(crate) fn encoded_bytes(value_bytes: usize) -> Outcome<u64> {
    let broker = Broker::in_memory()?;
    let partition = create_partition(&broker, TopicConfig::default())?;
    let before = broker.metrics().bytes_appended;
    append_all(&partition, &Values::new(value_bytes, 1), 1)?;
    Ok(broker.metrics().bytes_appended - before)
}
