//! What one poll returned: records of some partitions, in the order of their offsets within each.
//!
//! It owns its bytes by reference counts: neither the consumer nor the log nor its files are needed for it to be read.
//!
//! Invariants: the parts of one partition stand together, in order; no part is empty.

use std::fmt;
use std::iter::FusedIterator;
use std::slice;

use super::record::{ConsumerRecord, Part};
use crate::offset::TopicPartition;
use crate::record::BatchRecordsIter;
use crate::sync::Arc;

/// The records that one poll returned; maybe none. Belongs to whoever polled: it may be kept, sent to another thread, and
/// read after the consumer has gone on or is gone.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker, NewTopic, PartitionId, Record, TopicPartition};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders").partitions(2))?;
/// let orders = broker.topic("orders")?;
/// for (number, value) in [(0, "3 apples"), (1, "1 pear"), (0, "2 plums")] {
///     orders.partition(number)?.append(&[Record::new().value(value)])?;
/// }
/// let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
/// let partition = |number| PartitionId::try_from(number).map(|id| TopicPartition::new("orders", id));
/// consumer.assign([partition(0)?, partition(1)?])?;
///
/// let records = consumer.poll(Duration::from_secs(1))?;
/// assert_eq!(records.len(), 3);
/// for (partition, records) in records.by_partition() {
///     println!("{partition}: {} records", records.len());
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Records {
    parts: Vec<Part>,
    count: usize,
}

impl Records {
    pub(super) fn push(&mut self, part: Part) {
        self.count += part.records.len();
        self.parts.push(part);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them: in the order of their offsets within a partition, one partition after the other.
    #[must_use]
    pub fn iter(&self) -> RecordsIter<'_> {
        RecordsIter::new(&self.parts)
    }

    /// The partitions that any of them are from, with those of each.
    pub fn by_partition(&self) -> impl Iterator<Item = (&TopicPartition, RecordsIter<'_>)> {
        let partitions = self.parts.chunk_by(|one, next| Arc::ptr_eq(&one.partition, &next.partition));
        partitions.filter_map(|parts| Some((&*parts.first()?.partition, RecordsIter::new(parts))))
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = ConsumerRecord<'a>;
    type IntoIter = RecordsIter<'a>;

    fn into_iter(self) -> RecordsIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterates over records that a poll returned; see [`Records::iter`].
#[derive(Debug, Clone)]
pub struct RecordsIter<'a> {
    /// The part that is being read, and where.
    now: Option<(&'a Part, BatchRecordsIter<'a>)>,
    parts: slice::Iter<'a, Part>,
}

impl<'a> RecordsIter<'a> {
    fn new(parts: &'a [Part]) -> RecordsIter<'a> {
        RecordsIter { now: None, parts: parts.iter() }
    }

    /// Goes on to the next part; `None` where there is none.
    #[cold]
    fn begin_next(&mut self) -> Option<()> {
        let part = self.parts.next()?;
        self.now = Some((part, part.records.iter()));
        Some(())
    }
}

impl<'a> Iterator for RecordsIter<'a> {
    type Item = ConsumerRecord<'a>;

    // Always inlined, because a record is large: whoever looks at two of its fields then makes only those two.
    #[inline(always)]
    fn next(&mut self) -> Option<ConsumerRecord<'a>> {
        loop {
            if let Some((part, records)) = &mut self.now {
                let place = records.place();
                if let Some(view) = records.next() {
                    return Some(ConsumerRecord::new(part, place, view));
                }
            }
            self.begin_next()?;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let now = self.now.as_ref().map_or(0, |(_, records)| records.len());
        let count = now + self.parts.as_slice().iter().map(|part| part.records.len()).sum::<usize>();
        (count, Some(count))
    }
}

impl ExactSizeIterator for RecordsIter<'_> {}

impl FusedIterator for RecordsIter<'_> {}
