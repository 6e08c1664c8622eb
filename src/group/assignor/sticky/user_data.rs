//! What the sticky assignors put into a subscription's user data: Kafka's bytes.
//!
//! ```text
//! sticky, v1              array of (topic: string, array of partition: i32), generation: i32; v0 ends before the generation
//! cooperative-sticky      generation: i32
//!
//! string: length i16, UTF-8; array: count i32; all big-endian; no version in front
//! ```
//!
//! Bytes that are neither are taken as nothing owned, as Kafka does: a member then only loses its stickiness.

use super::super::super::topic_partitions::TopicPartitions;

/// What a member says that it owned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owned<'a> {
    /// Topics with their partitions, as they were written.
    pub(super) topics: Vec<(&'a str, Vec<u32>)>,
    /// In which generation; v0 does not say.
    pub(super) generation: Option<i32>,
}

/// Version 1.
pub(super) fn encode_owned(partitions: &TopicPartitions, generation: i32) -> Option<Vec<u8>> {
    let mut bytes = i32::try_from(partitions.by_topic().count()).ok()?.to_be_bytes().to_vec();
    for (topic, partitions) in partitions.by_topic() {
        bytes.extend(i16::try_from(topic.len()).ok()?.to_be_bytes());
        bytes.extend(topic.as_bytes());
        bytes.extend(i32::try_from(partitions.len()).ok()?.to_be_bytes());
        bytes.extend(partitions.iter().flat_map(|&partition| u32::from(partition).to_be_bytes()));
    }
    bytes.extend(generation.to_be_bytes());
    Some(bytes)
}

/// Version 1 or 0; nothing owned where it is neither.
pub(super) fn decode_owned(mut bytes: &[u8]) -> Owned<'_> {
    let Some(topics) = take_topics(&mut bytes) else { return Owned::default() };
    Owned { topics, generation: take_i32(&mut bytes) }
}

pub(super) fn encode_generation(generation: i32) -> Vec<u8> {
    generation.to_be_bytes().to_vec()
}

pub(super) fn decode_generation(mut bytes: &[u8]) -> Option<i32> {
    take_i32(&mut bytes)
}

fn take_topics<'a>(bytes: &mut &'a [u8]) -> Option<Vec<(&'a str, Vec<u32>)>> {
    // Collected one by one: no count is trusted for an allocation, and each takes bytes.
    (0..take_i32(bytes)?.max(0)).map(|_| take_topic(bytes)).collect()
}

fn take_topic<'a>(bytes: &mut &'a [u8]) -> Option<(&'a str, Vec<u32>)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)?;
    *bytes = rest;
    let count = usize::try_from(take_i32(bytes)?.max(0)).ok()?;
    let (numbers, rest) = bytes.split_at_checked(count.checked_mul(size_of::<i32>())?)?;
    *bytes = rest;
    // A negative number is of no partition.
    let numbers =
        numbers.as_chunks().0.iter().filter_map(|number| u32::try_from(i32::from_be_bytes(*number)).ok());
    Some((str::from_utf8(topic).ok()?, numbers.collect()))
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::PartitionId;

    const V1: &[u8] = b"\0\0\0\x02\0\x01a\0\0\0\x01\0\0\0\x07\0\x02bc\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x05";

    #[test]
    fn version_1_is_kafka_s_bytes_and_comes_back() {
        let id = |number| PartitionId::from_u32(number).unwrap();
        let partitions: TopicPartitions = [("a", id(7)), ("bc", id(0)), ("bc", id(1))].into_iter().collect();
        assert_eq!(encode_owned(&partitions, 5).unwrap(), V1);
        let topics = vec![("a", vec![7]), ("bc", vec![0, 1])];
        assert_eq!(decode_owned(V1), Owned { topics, generation: Some(5) });
    }

    #[test]
    fn version_0_is_the_same_without_its_generation() {
        let owned = decode_owned(&V1[..V1.len() - 4]);
        assert_eq!(owned.topics.len(), 2);
        assert_eq!(owned.generation, None);
    }

    #[test]
    fn bytes_that_are_neither_are_nothing_owned() {
        for end in 0..V1.len() - 4 {
            assert_eq!(decode_owned(&V1[..end]), Owned::default(), "{end}");
        }
        assert_eq!(decode_owned(b"\x7f\xff\xff\xff"), Owned::default());
        assert_eq!(decode_owned(b"\0\0\0\x01\0\x01a\x7f\xff\xff\xff\0\0\0\x01"), Owned::default());
        assert_eq!(decode_owned(b"\0\0\0\x01\0\x01\xff\0\0\0\0"), Owned::default());
    }
}
