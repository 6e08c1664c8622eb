//! The records of `__consumer_offsets` about committed offsets. Kafka's `OffsetCommitKey` and `OffsetCommitValue`.
//!
//! ```text
//! key    version i16 = 1, or 0 | group: string | topic: string | partition i32
//! value  version i16 = 3, or 0 to 4 | offset i64 | leader epoch i32, from version 3: -1 for none | metadata: string
//!        | commit timestamp i64 | expire timestamp i64, in version 1 only
//! ```
//!
//! Strings have a length of 16 bits before them. Version 4 is flexible: its strings are compact, and tagged fields end it. No value: the offset
//! is forgotten.

use super::committed::CommittedOffset;
use crate::offset::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};
use crate::record::fields::{FieldReader, put_string};

const KEY_VERSION: i16 = 1;
const VERSION: i16 = 3;
const VERSION_MAX: i16 = 4;

/// The key of a group's offset in a partition.
pub(crate) fn encode_key(group: &str, partition: &TopicPartition) -> Vec<u8> {
    let mut key = KEY_VERSION.to_be_bytes().to_vec();
    put_string(&mut key, group);
    put_string(&mut key, partition.topic());
    key.extend_from_slice(&u32::from(partition.partition()).to_be_bytes());
    key
}

/// The group and the partition of a key, behind its version.
pub(crate) fn decode_key(reader: &mut FieldReader<'_>) -> Option<(String, TopicPartition)> {
    let (group, topic) = (reader.string()?, reader.string()?);
    let partition = reader.array().map(u32::from_be_bytes).and_then(PartitionId::from_u32)?;
    reader.0.is_empty().then(|| (group, TopicPartition::new(topic, partition)))
}

pub(crate) fn encode(committed: &CommittedOffset) -> Vec<u8> {
    let mut value = VERSION.to_be_bytes().to_vec();
    value.extend_from_slice(&committed.offset.to_i64().to_be_bytes());
    value.extend_from_slice(&committed.leader_epoch.map_or(-1, LeaderEpoch::to_i32).to_be_bytes());
    put_string(&mut value, &committed.metadata);
    value.extend_from_slice(&committed.committed_at.as_millis().to_be_bytes());
    value
}

/// Reads a value back, or says what is wrong with it.
pub(crate) fn decode(value: &[u8]) -> Result<CommittedOffset, String> {
    let mut reader = FieldReader(value);
    let version = match reader.i16() {
        Some(version @ 0..=VERSION_MAX) => version,
        Some(version) => return Err(format!("version {version} is not known")),
        None => return Err("it is empty".to_owned()),
    };
    let committed = read(&mut reader, version).ok_or_else(|| "it is cut short or malformed".to_owned())?;
    if reader.0.is_empty() { Ok(committed) } else { Err(format!("{} bytes are left over", reader.0.len())) }
}

fn read(reader: &mut FieldReader<'_>, version: i16) -> Option<CommittedOffset> {
    let offset = Offset::from_i64(reader.i64()?)?;
    let leader_epoch = if version >= 3 { LeaderEpoch::from_i32(reader.i32()?) } else { None };
    let metadata = if version >= 4 { reader.compact_string()? } else { reader.string()? };
    let committed_at = Timestamp::from_millis(reader.i64()?);
    if version == 1 {
        reader.i64()?;
    }
    if version >= 4 {
        reader.skip_tagged()?;
    }
    Some(CommittedOffset { offset, leader_epoch, metadata, committed_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> CommittedOffset {
        CommittedOffset {
            offset: Offset::from(258),
            leader_epoch: LeaderEpoch::from_i32(2),
            metadata: "m".to_owned(),
            committed_at: Timestamp::from_millis(5),
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let partition = TopicPartition::new("t", PartitionId::from_u32(7).unwrap());
        let key = encode_key("g", &partition);
        assert_eq!(key, b"\0\x01\0\x01g\0\x01t\0\0\0\x07");
        assert_eq!(decode_key(&mut FieldReader(&key[2..])), Some(("g".to_owned(), partition)));
        let golden = b"\0\x03\0\0\0\0\0\0\x01\x02\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x05";
        assert_eq!(encode(&some()), golden);
    }

    #[test]
    fn every_version_is_read() {
        let old = CommittedOffset { leader_epoch: None, ..some() };
        let offset = b"\0\0\0\0\0\0\x01\x02";
        let time = b"\0\0\0\0\0\0\0\x05";
        for version in [0, 2] {
            let value = [&[0, version], &offset[..], b"\0\x01m", time].concat();
            assert_eq!(decode(&value), Ok(old.clone()), "{version}");
        }
        let value = [b"\0\x01", &offset[..], b"\0\x01m", time, time].concat();
        assert_eq!(decode(&value), Ok(old));
        for tagged in [&b"\0"[..], b"\x01\0\x02ab"] {
            let value = [b"\0\x04", &offset[..], b"\0\0\0\x02", b"\x02m", time, tagged].concat();
            assert_eq!(decode(&value), Ok(some()));
        }
        assert_eq!(decode(&encode(&some())), Ok(some()));
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        let value = encode(&some());
        for length in 0..value.len() {
            assert!(decode(&value[..length]).is_err(), "{length}");
        }
        assert!(decode(&[&value[..], &[0]].concat()).is_err());
        let mut hostile = value.clone();
        hostile[1] = 5;
        assert_eq!(decode(&hostile), Err("version 5 is not known".to_owned()));
        let mut hostile = value;
        hostile[2] = 0x80;
        assert!(decode(&hostile).is_err(), "a negative offset");
    }
}
