//! What a partitioner knows of a record and its topic.
//!
//! A borrowed view and three numbers, made anew for each record and never kept.
//!
//! Invariants: there is at least one partition, and the sticky one exists.

use crate::record::{Header, Record};

/// A choice to be made by a [`Partitioner`](crate::Partitioner): the record that needs a partition, and what its producer
/// knows of the topic.
///
/// A producer makes them; you do in order to test a partitioner of your own.
///
/// # Examples
///
/// ```
/// use streamlog::{PartitionChoice, Partitioner, Record, RoundRobinPartitioner};
///
/// let record = Record::to("orders").key("alice").value("3 apples");
/// let choice = PartitionChoice::new(&record, 12).with_sticky(3).with_number(25);
/// assert_eq!((choice.topic(), choice.key()), ("orders", Some(&b"alice"[..])));
/// assert_eq!((choice.partition_count(), choice.sticky(), choice.number()), (12, 3, 25));
/// assert_eq!(RoundRobinPartitioner.partition(&choice), 1);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PartitionChoice<'a> {
    record: &'a Record<'a>,
    partition_count: u32,
    sticky: u32,
    number: u64,
}

impl<'a> PartitionChoice<'a> {
    /// A choice for `record` among `partition_count` partitions: the first record of its producer, with 0 for the sticky
    /// partition. No topic has 0 partitions, so that counts as 1.
    #[must_use]
    pub fn new(record: &'a Record<'a>, partition_count: u32) -> PartitionChoice<'a> {
        PartitionChoice { record, partition_count: partition_count.max(1), sticky: 0, number: 0 }
    }

    /// Says which partition is the sticky one, 0 by default. Past the last one it is the last.
    #[must_use]
    pub fn with_sticky(mut self, sticky: u32) -> PartitionChoice<'a> {
        self.sticky = sticky.min(self.partition_count - 1);
        self
    }

    /// Says how many records there were before, 0 by default.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> PartitionChoice<'a> {
        self.number = number;
        self
    }

    /// The topic's name; empty where the record names none, as no record does that a producer sends.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.record.topic_name().unwrap_or_default()
    }

    /// The record's key. An empty one is a key.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key_bytes()
    }

    /// The record's value, if that is not null.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.record.value_bytes()
    }

    /// The record's headers, in their order; a name may come more than once.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        self.record.header_list().iter().map(|(name, value)| Header::new(name, *value))
    }

    /// How many partitions the topic has now, at least 1. It may grow from one choice to the next.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.partition_count
    }

    /// The partition that takes this topic's records for the time being, so that they fill one batch after the other. The
    /// producer moves on to another, at random, when the batch there is closed.
    #[must_use]
    pub fn sticky(&self) -> u32 {
        self.sticky
    }

    /// How many records that named no partition this producer has sent to the topic before this one.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_partition_and_the_sticky_one_exists() {
        let record = Record::new();
        let choice = PartitionChoice::new(&record, 0).with_sticky(7);
        assert_eq!((choice.topic(), choice.partition_count(), choice.sticky()), ("", 1, 0));
        let choice = PartitionChoice::new(&record, 3);
        assert_eq!((choice.with_sticky(2).sticky(), choice.with_sticky(3).sticky()), (2, 2));
    }

    #[test]
    fn headers_are_told_in_their_order() {
        let record = Record::new().header("a", Some(b"1")).header("b", None).header("a", Some(b"2"));
        let choice = PartitionChoice::new(&record, 1);
        let told: Vec<_> = choice.headers().map(|header| (header.name(), header.value())).collect();
        assert_eq!(told, [("a", Some(&b"1"[..])), ("b", None), ("a", Some(&b"2"[..]))]);
    }
}
