//! Records to the batches of one append.
//!
//! Every record is checked before a byte of any is written: a call with one bad record appends nothing. Batches are cut at
//! about [`BATCH_BYTES`], so that encoding, checksum and write each find the bytes in the cache, whatever the size of
//! the call; a few of them go out in each write.

use super::config::TopicConfig;
use super::timestamp_limits::TimestampLimits;
use crate::error::{Error, Result};
use crate::offset::{Timestamp, TopicPartition};
use crate::record::{BatchBuilder, Compression, EncodedBatch, Record, TimestampType, spare};

/// The size at which a batch is closed, uncompressed.
const BATCH_BYTES: usize = 64 << 10;
/// What a codec may add to any input: headers and checksums.
const GROWTH_BYTES: usize = 64;

/// Encodes `records` for a partition, in the topic's codec if it has one; those without a timestamp get `now`.
pub(crate) fn encode(
    name: &TopicPartition,
    config: &TopicConfig,
    records: &[Record<'_>],
    compression: Compression,
    now: Timestamp,
) -> Result<Vec<EncodedBatch>> {
    let compression = config.compression.stored(compression);
    let limits = TimestampLimits::at(now, config);
    let bytes_max = BATCH_BYTES.min(fitting_bytes(config, compression));
    let begin = || {
        let builder = BatchBuilder::with_buffer(compression, spare::take());
        builder.timestamp_type(config.timestamp_type).compression_level(config.compression_level())
    };
    let mut batches = Vec::with_capacity(1);
    let mut builder = begin();
    let mut bytes = 0;
    for record in records {
        check_place(name, record)?;
        record.own_timestamp().map_or(Ok(()), |timestamp| limits.check(timestamp))?;
        if !builder.append_within(record, now, bytes_max)? {
            let full = std::mem::replace(&mut builder, begin());
            batches.push(finish(full, config, &mut bytes)?);
            builder.append(record, now)?;
        }
    }
    batches.push(finish(builder, config, &mut bytes)?);
    Ok(batches)
}

/// How large a batch may be, uncompressed, so that it surely fits `max.message.bytes` and a segment: what does not compress grows
/// a bit.
pub(crate) fn fitting_bytes(config: &TopicConfig, compression: Compression) -> usize {
    let limit = config.max_message_bytes.min(config.segment_bytes);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match compression {
        Compression::None => limit,
        _ => limit.saturating_sub(limit / 16).saturating_sub(GROWTH_BYTES),
    }
}

/// Keeps the buffer of a batch that has been written. That of a compressed one is too small for the next records, and what
/// it was compressed from was kept already.
pub(crate) fn recycle(batch: EncodedBatch) {
    if batch.header().compression() == Compression::None {
        spare::give(batch.into_memory());
    }
}

fn finish(builder: BatchBuilder, config: &TopicConfig, append_bytes: &mut u64) -> Result<EncodedBatch> {
    let batch = builder.build()?;
    let bytes = batch.bytes().len() as u64;
    check_sizes(bytes, append_bytes, config)?;
    Ok(batch)
}

/// Checks batches that were encoded elsewhere, and makes of them what the topic stores.
pub(crate) fn adapt(batches: &mut [EncodedBatch], config: &TopicConfig, now: Timestamp) -> Result<()> {
    let limits = TimestampLimits::at(now, config);
    let mut append_bytes = 0;
    for batch in batches {
        // What was sent must fit, and so must what is stored.
        check_sizes(batch.bytes().len() as u64, &mut 0, config)?;
        limits.check_batch(batch)?;
        if config.timestamp_type == TimestampType::Append {
            batch.stamp_append_time(now);
        }
        let codec = config.compression.stored(batch.compression());
        if codec != batch.compression() {
            *batch = batch.recompressed(codec, config.compression_level())?;
        }
        check_sizes(batch.bytes().len() as u64, &mut append_bytes, config)?;
    }
    Ok(())
}

/// Refuses a batch over `max.message.bytes`, and an append that it takes over `segment.bytes`.
pub(crate) fn check_sizes(bytes: u64, append_bytes: &mut u64, config: &TopicConfig) -> Result<()> {
    let limit = u64::from(config.max_message_bytes);
    if bytes > limit {
        return Err(Error::BatchTooLarge { bytes, limit });
    }
    *append_bytes += bytes;
    let limit = u64::from(config.segment_bytes);
    if *append_bytes > limit {
        return Err(Error::AppendTooLarge { bytes: *append_bytes, limit });
    }
    Ok(())
}

fn check_place(name: &TopicPartition, record: &Record<'_>) -> Result<()> {
    if let Some(topic) = record.topic_name()
        && topic != name.topic()
    {
        return Err(Error::WrongTopic { record_topic: topic.to_owned(), topic: name.topic().to_owned() });
    }
    match record.partition_number() {
        Some(partition) if name.partition() != partition => Err(Error::WrongPartition {
            topic: name.topic().to_owned(),
            record_partition: partition,
            partition: name.partition(),
        }),
        _ => Ok(()),
    }
}
