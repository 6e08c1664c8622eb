//! What members say of themselves to their leader, and it to them: Kafka's consumer protocol, which the coordinator only carries.
//!
//! ```text
//! subscription  version i16 | topics: count i32, strings | user data: nullable bytes
//!               | owned, from version 1: count i32, each topic and its partitions: count i32, i32 each
//!               | generation i32, from version 2: -1 for none | rack: nullable string, from version 3
//! assignment    version i16 | assigned: as what is owned | user data: nullable bytes
//! ```
//!
//! Version 3 is written. Of a later one the fields that are known are read, as in Kafka, so what follows them is passed over.

use super::topic_partitions::TopicPartitions;
use crate::offset::PartitionId;
use crate::record::fields::{
    FieldReader, STRING_BYTES_MAX, put_bytes, put_count, put_nullable_bytes, put_nullable_string, put_string,
};

const VERSION: i16 = 3;

/// What a member tells when it joins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: Vec<String>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) owned: TopicPartitions,
    /// In which it got what it owns.
    pub(crate) generation: Option<i32>,
    pub(crate) rack: Option<String>,
}

/// The bytes of a subscription. Names that are longer than any can be are left out: there are no such topics.
pub(crate) fn encode_subscription(subscription: &Subscription) -> Vec<u8> {
    let fits = |text: &&str| text.len() <= STRING_BYTES_MAX;
    let mut output = VERSION.to_be_bytes().to_vec();
    let topics: Vec<&str> = subscription.topics.iter().map(String::as_str).filter(fits).collect();
    put_count(&mut output, topics.len());
    topics.iter().for_each(|topic| put_string(&mut output, topic));
    put_nullable_bytes(&mut output, subscription.user_data.as_deref());
    put_partitions(&mut output, &subscription.owned);
    output.extend_from_slice(&subscription.generation.unwrap_or(-1).to_be_bytes());
    put_nullable_string(&mut output, subscription.rack.as_deref().filter(fits));
    output
}

/// Reads a subscription back, or says what is wrong with it.
pub(crate) fn decode_subscription(bytes: &[u8]) -> Result<Subscription, String> {
    let mut reader = FieldReader(bytes);
    let version = version(&mut reader)?;
    subscription(&mut reader, version).ok_or_else(malformed)
}

/// The bytes of what a member is assigned.
pub(crate) fn encode_assignment(partitions: &TopicPartitions, user_data: Option<&[u8]>) -> Vec<u8> {
    let mut output = VERSION.to_be_bytes().to_vec();
    put_partitions(&mut output, partitions);
    match user_data {
        Some(data) => put_bytes(&mut output, data),
        None => put_nullable_bytes(&mut output, None),
    }
    output
}

/// Reads an assignment back with its user data, or says what is wrong with it. No bytes at all are what a member gets that its
/// leader has left out: nothing is assigned.
pub(crate) fn decode_assignment(bytes: &[u8]) -> Result<(TopicPartitions, Option<Vec<u8>>), String> {
    if bytes.is_empty() {
        return Ok((TopicPartitions::new(), None));
    }
    let mut reader = FieldReader(bytes);
    version(&mut reader)?;
    let mut assignment = || {
        let partitions = partitions(&mut reader)?;
        Some((partitions, reader.nullable_bytes()?.map(<[u8]>::to_vec)))
    };
    assignment().ok_or_else(malformed)
}

fn version(reader: &mut FieldReader<'_>) -> Result<i16, String> {
    match reader.i16() {
        Some(version) if version >= 0 => Ok(version),
        Some(version) => Err(format!("version {version} cannot be")),
        None => Err("it is empty".to_owned()),
    }
}

fn malformed() -> String {
    "it is cut short or malformed".to_owned()
}

fn subscription(reader: &mut FieldReader<'_>, version: i16) -> Option<Subscription> {
    let topics = (0..reader.count()?).map(|_| reader.string()).collect::<Option<Vec<String>>>()?;
    let user_data = reader.nullable_bytes()?.map(<[u8]>::to_vec);
    let mut read = Subscription { topics, user_data, ..Subscription::default() };
    if version >= 1 {
        read.owned = partitions(reader)?;
    }
    if version >= 2 {
        read.generation = Some(reader.i32()?).filter(|&generation| generation >= 0);
    }
    if version >= 3 {
        read.rack = reader.nullable_string()?;
    }
    Some(read)
}

fn put_partitions(output: &mut Vec<u8>, partitions: &TopicPartitions) {
    let is_legal = |(topic, _): &(&str, &[PartitionId])| topic.len() <= STRING_BYTES_MAX;
    put_count(output, partitions.by_topic().filter(is_legal).count());
    for (topic, numbers) in partitions.by_topic().filter(is_legal) {
        put_string(output, topic);
        put_count(output, numbers.len());
        numbers.iter().for_each(|&number| output.extend_from_slice(&u32::from(number).to_be_bytes()));
    }
}

fn partitions(reader: &mut FieldReader<'_>) -> Option<TopicPartitions> {
    let mut partitions = TopicPartitions::new();
    for _ in 0..reader.count()? {
        let topic = reader.string()?;
        for _ in 0..reader.count()? {
            let number = reader.array().map(u32::from_be_bytes).and_then(PartitionId::from_u32)?;
            partitions.insert(&topic, number);
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Subscription {
        Subscription {
            topics: vec!["a".to_owned(), "b".to_owned()],
            user_data: Some(vec![9]),
            owned: [("a", PartitionId::from_u32(1).unwrap())].into_iter().collect(),
            generation: Some(4),
            rack: Some("r".to_owned()),
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let golden = b"\0\x03\0\0\0\x02\0\x01a\0\x01b\0\0\0\x01\x09\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\x01r";
        assert_eq!(encode_subscription(&some()), golden);
        let golden = b"\0\x03\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff";
        assert_eq!(encode_assignment(&some().owned, None), golden);
    }

    #[test]
    fn another_implementation_reads_and_writes_the_same() {
        use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
        use kafka_protocol::protocol::{Decodable, Encodable};

        let bytes = encode_subscription(&some());
        let theirs = ConsumerProtocolSubscription::decode(&mut &bytes[2..], 3).unwrap();
        assert_eq!((theirs.topics[1].as_str(), theirs.generation_id), ("b", 4));
        assert_eq!(theirs.owned_partitions[0].partitions, [1]);
        let mut encoded = bytes[..2].to_vec();
        theirs.encode(&mut encoded, 3).unwrap();
        assert_eq!(encoded, bytes);
        let bytes = encode_assignment(&some().owned, Some(&[5]));
        let theirs = ConsumerProtocolAssignment::decode(&mut &bytes[2..], 3).unwrap();
        assert_eq!(theirs.assigned_partitions[0].partitions, [1]);
        let mut encoded = bytes[..2].to_vec();
        theirs.encode(&mut encoded, 3).unwrap();
        assert_eq!(encoded, bytes);
    }

    #[test]
    fn every_version_is_read_as_far_as_it_goes() {
        assert_eq!(decode_subscription(&encode_subscription(&some())), Ok(some()));
        let mut bytes = encode_subscription(&some());
        let rack = Subscription { rack: None, ..some() };
        let generation = Subscription { generation: None, ..rack.clone() };
        let owned = Subscription { owned: TopicPartitions::new(), ..generation.clone() };
        for (version, expected) in [(9, some()), (2, rack), (1, generation), (0, owned)] {
            bytes[1] = version;
            assert_eq!(decode_subscription(&bytes), Ok(expected), "{version}");
        }
    }

    #[test]
    fn hostile_bytes_are_errors_and_nothing_is_nothing() {
        let (subscription, assignment) =
            (encode_subscription(&some()), encode_assignment(&some().owned, None));
        for length in 0..subscription.len() {
            assert!(decode_subscription(&subscription[..length]).is_err(), "{length}");
        }
        for length in 1..assignment.len() {
            assert!(decode_assignment(&assignment[..length]).is_err(), "{length}");
        }
        assert_eq!(decode_assignment(&assignment), Ok((some().owned, None)));
        assert_eq!(decode_assignment(&[]), Ok((TopicPartitions::new(), None)));
        for position in 0..subscription.len() {
            let mut hostile = subscription.clone();
            hostile[position] = 0xff;
            let _ = (decode_subscription(&hostile), decode_assignment(&hostile));
        }
        assert!(decode_subscription(&[0xff; 40]).is_err(), "a negative version");
    }
}
