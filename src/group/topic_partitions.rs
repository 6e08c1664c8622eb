//! Partitions of several topics, kept by topic: compact where there are a million of them.
//!
//! Invariants: topics are in the order of their names, partitions in that of their numbers, no partition is there twice, and no
//! topic without any.

use std::collections::BTreeMap;
use std::fmt;

use crate::offset::{PartitionId, TopicPartition};

/// A set of partitions, by topic.
///
/// # Examples
///
/// ```
/// use streamlog::{PartitionId, TopicPartition, TopicPartitions};
///
/// let mut owned = TopicPartitions::new();
/// owned.insert("orders", PartitionId::try_from(1_u32)?);
/// owned.insert("orders", PartitionId::ZERO);
/// owned.insert("invoices", PartitionId::ZERO);
/// assert_eq!(owned.len(), 3);
/// assert_eq!(owned.to_string(), "invoices-0, orders-0, orders-1");
/// assert!(owned.contains("orders", PartitionId::ZERO));
/// assert_eq!(owned.iter().next(), Some(("invoices", PartitionId::ZERO)));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    topics: BTreeMap<String, Vec<PartitionId>>,
}

impl TopicPartitions {
    /// None.
    #[must_use]
    pub fn new() -> TopicPartitions {
        TopicPartitions::default()
    }

    /// Of topics in order, each with its partitions in order: at least one, and none twice.
    pub(in crate::group) fn in_order(
        topics: impl Iterator<Item = (String, Vec<PartitionId>)>,
    ) -> TopicPartitions {
        TopicPartitions { topics: topics.collect() }
    }

    /// Adds a partition; `false` where it was there already. Adding them in order costs least.
    pub fn insert(&mut self, topic: &str, partition: PartitionId) -> bool {
        // A look first, because making a key of a name that is there would be for nothing.
        let Some(partitions) = self.topics.get_mut(topic) else {
            self.topics.insert(topic.to_owned(), vec![partition]);
            return true;
        };
        if partitions.last().is_none_or(|&last| last < partition) {
            partitions.push(partition);
            return true;
        }
        match partitions.binary_search(&partition) {
            Ok(_) => false,
            Err(place) => {
                partitions.insert(place, partition);
                true
            }
        }
    }

    /// Takes a partition out; `false` where it was not there.
    pub fn remove(&mut self, topic: &str, partition: PartitionId) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let Ok(place) = partitions.binary_search(&partition) else { return false };
        partitions.remove(place);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        true
    }

    /// Whether a partition is there.
    #[must_use]
    pub fn contains(&self, topic: &str, partition: PartitionId) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.binary_search(&partition).is_ok())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PartitionId)> {
        let of_topic = |(topic, partitions)| each_of(topic, partitions);
        self.by_topic().flat_map(of_topic)
    }

    /// The topics in order, each with its partitions in order.
    pub fn by_topic(&self) -> impl Iterator<Item = (&str, &[PartitionId])> {
        self.topics.iter().map(|(topic, partitions)| (topic.as_str(), partitions.as_slice()))
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &TopicPartitions) -> TopicPartitions {
        self.iter().filter(|&(topic, partition)| !other.contains(topic, partition)).collect()
    }
}

fn each_of<'a>(
    topic: &'a str,
    partitions: &'a [PartitionId],
) -> impl Iterator<Item = (&'a str, PartitionId)> {
    partitions.iter().map(move |&partition| (topic, partition))
}

impl<'a> FromIterator<(&'a str, PartitionId)> for TopicPartitions {
    fn from_iter<I: IntoIterator<Item = (&'a str, PartitionId)>>(partitions: I) -> TopicPartitions {
        let mut all = TopicPartitions::new();
        partitions.into_iter().for_each(|(topic, partition)| {
            all.insert(topic, partition);
        });
        all
    }
}

impl<'a> FromIterator<&'a TopicPartition> for TopicPartitions {
    fn from_iter<I: IntoIterator<Item = &'a TopicPartition>>(partitions: I) -> TopicPartitions {
        partitions.into_iter().map(|one| (one.topic(), one.partition())).collect()
    }
}

impl fmt::Display for TopicPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (topic, partition)) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{topic}-{partition}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_kept_once_and_in_order_however_they_come() {
        let id = |number| PartitionId::from_u32(number).unwrap();
        let mut all = TopicPartitions::new();
        for (topic, number) in [("b", 2), ("b", 0), ("a", 7), ("b", 1)] {
            assert!(all.insert(topic, id(number)));
            assert!(!all.insert(topic, id(number)));
        }
        assert_eq!(all.to_string(), "a-7, b-0, b-1, b-2");
        assert!(all.remove("a", id(7)) && !all.remove("a", id(7)) && !all.remove("b", id(9)));
        assert_eq!(all.by_topic().count(), 1, "no topic without partitions");
        let some: TopicPartitions = [("b", id(1)), ("c", id(0))].into_iter().collect();
        assert_eq!(all.without(&some).to_string(), "b-0, b-2");
    }
}
