//! One record as a consumer gets it: borrowed from what a poll returned, or kept beyond it.

use std::fmt;

use crate::offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
use crate::record::{BatchRecords, Headers, RecordView, TimestampType};
use crate::sync::Arc;

/// Records of one batch, and what they have in common.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) partition: Arc<TopicPartition>,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) timestamp_type: TimestampType,
    pub(super) records: BatchRecords,
}

/// A record, borrowed from the [`Records`](super::Records) that a poll returned. Copying it copies no bytes of the record.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker, LeaderEpoch, NewTopic, PartitionId, Record, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let record = Record::new().key("alice").value("3 apples").header("trace", Some(b"42"));
/// broker.topic("orders")?.partition(0)?.append(&[record])?;
///
/// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
/// consumer.assign([TopicPartition::new("orders", PartitionId::ZERO)])?;
/// let records = consumer.poll(Duration::from_secs(1))?;
/// let record = records.iter().next().expect("one was appended");
/// assert_eq!((record.topic(), record.partition()), ("orders", PartitionId::ZERO));
/// assert_eq!(record.key(), Some(&b"alice"[..]));
/// assert_eq!(record.headers().next().map(|header| header.name()), Some("trace"));
/// assert_eq!(record.leader_epoch(), Some(LeaderEpoch::ZERO));
///
/// let kept = record.to_owned();
/// drop((records, consumer, broker));
/// assert_eq!(kept.record().value(), Some(&b"3 apples"[..]));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct ConsumerRecord<'a> {
    part: &'a Part,
    /// Where in the part's records it stands.
    place: usize,
    view: RecordView<'a>,
}

impl<'a> ConsumerRecord<'a> {
    #[inline]
    pub(super) fn new(part: &'a Part, place: usize, view: RecordView<'a>) -> ConsumerRecord<'a> {
        ConsumerRecord { part, place, view }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.part.partition.topic()
    }

    /// The partition's number in its topic.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.part.partition.partition()
    }

    /// Topic and partition in one.
    #[must_use]
    pub fn topic_partition(&self) -> &'a TopicPartition {
        &self.part.partition
    }

    /// The record's number in its partition.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.view.offset()
    }

    /// When it was made or appended; [`timestamp_type`](Self::timestamp_type) says which.
    #[inline]
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.view.timestamp()
    }

    /// What the timestamp is.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        self.part.timestamp_type
    }

    /// The key, if it has one.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.view.key()
    }

    /// The value; `None` is the null value, a tombstone.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.view.value()
    }

    /// The headers, in their order.
    #[inline]
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.view.headers()
    }

    /// The leader epoch in which it was appended; `None` where a log of Kafka's is older than leader epochs.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.part.leader_epoch
    }

    /// The same record, to be kept: a reference count, not a copy. It keeps all that was read together with it in memory,
    /// up to [`max_partition_fetch_bytes`](super::ConsumerBuilder::max_partition_fetch_bytes); who keeps few of many does
    /// better to copy what they need of them.
    #[must_use]
    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord { part: Part { records: self.part.records.one_at(self.place), ..self.part.clone() } }
    }
}

impl fmt::Debug for ConsumerRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerRecord")
            .field("partition", &self.part.partition.to_string())
            .field("record", &self.view)
            .finish_non_exhaustive()
    }
}

/// A record that outlives what it was polled with. From [`ConsumerRecord::to_owned`].
#[derive(Clone)]
pub struct OwnedRecord {
    part: Part,
}

impl OwnedRecord {
    /// The record, to look at.
    #[expect(clippy::missing_panics_doc, reason = "it is made of one record, always")]
    #[must_use]
    pub fn record(&self) -> ConsumerRecord<'_> {
        let mut records = self.part.records.iter();
        let place = records.place();
        let view = records.next().expect("it was made of one record");
        ConsumerRecord::new(&self.part, place, view)
    }
}

impl fmt::Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedRecord").field(&self.record()).finish()
    }
}
