//! How far a consumer may see: up to what every replica has, what is decided, or what is on the device.

use crate::log::Log;
use crate::offset::Offset;

/// Which records a consumer is shown. Kafka's `isolation.level`, and one more.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker, IsolationLevel, NewTopic, PartitionId, Record, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let mut consumer = broker
///     .consumer()
///     .auto_offset_reset(AutoOffsetReset::Earliest)
///     .isolation(IsolationLevel::ReadDurable)
///     .build()?;
/// consumer.assign([TopicPartition::new("orders", PartitionId::ZERO)])?;
///
/// let orders = broker.topic("orders")?.partition(0)?;
/// orders.append(&[Record::new().value("3 apples")])?;
/// assert!(consumer.poll(Duration::ZERO)?.is_empty(), "a power cut could still take it back");
/// orders.sync()?;
/// assert_eq!(consumer.poll(Duration::ZERO)?.len(), 1);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Everything up to the high watermark, records of undecided and aborted transactions among it. The default.
    #[default]
    ReadUncommitted,
    /// Everything up to the last stable offset, without the records of aborted transactions.
    ReadCommitted,
    /// As [`ReadCommitted`](Self::ReadCommitted), and only what is on the device, so that no power cut takes back what was
    /// read. For whoever stores positions elsewhere, with what was made of the records: the offset of a record that a power cut
    /// took back is given to another, which a position behind it would pass over. Kafka has no such level; in properties it is
    /// `read_durable`.
    ReadDurable,
}

impl IsolationLevel {
    /// The levels by their names in properties.
    pub(super) const NAMES: [(&'static str, IsolationLevel); 3] = [
        ("read_uncommitted", IsolationLevel::ReadUncommitted),
        ("read_committed", IsolationLevel::ReadCommitted),
        ("read_durable", IsolationLevel::ReadDurable),
    ];

    /// The offset behind the last record that is shown.
    pub(super) fn bound(self, log: &Log) -> Offset {
        match self {
            // Without replicas the high watermark is the end, and without transactions so is the last stable offset.
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => log.end(),
            IsolationLevel::ReadDurable => log.durable(),
        }
    }
}
