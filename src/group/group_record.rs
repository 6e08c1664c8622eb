//! The records of `__consumer_offsets` about groups. Kafka's `GroupMetadataKey` and `GroupMetadataValue`.
//!
//! ```text
//! key     version i16 = 2 | group: string
//! value   version i16 = 3, or 0 to 4 | protocol type: string | generation i32 | protocol: nullable string
//!         | leader: nullable string | state timestamp i64, from version 2: -1 for none | members: count i32
//! member  id: string | instance id: nullable string, from version 3 | client id: string | client host: string
//!         | rebalance timeout i32, from version 1 | session timeout i32 | subscription: bytes | assignment: bytes
//! ```
//!
//! Strings have a length of 16 bits before them, bytes one of 32. Version 4 is flexible: its lengths are compact, and tagged
//! fields end it and each member. No value: there is no such group.

use std::time::Duration;

use crate::offset::Timestamp;
use crate::record::fields::{FieldReader, put_bytes, put_count, put_nullable_string, put_string};

/// The version of a key of this kind.
pub(crate) const KEY_VERSION: i16 = 2;
const VERSION: i16 = 3;
const VERSION_MAX: i16 = 4;

/// A group, as its record tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    /// Since when it is in its state.
    pub(crate) since: Option<Timestamp>,
    pub(crate) members: Vec<MemberRecord>,
}

/// One of its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
    pub(crate) subscription: Vec<u8>,
    pub(crate) assignment: Vec<u8>,
}

pub(crate) fn encode_key(group: &str) -> Vec<u8> {
    let mut key = KEY_VERSION.to_be_bytes().to_vec();
    put_string(&mut key, group);
    key
}

/// The group of a key, behind its version.
pub(crate) fn decode_key(reader: &mut FieldReader<'_>) -> Option<String> {
    reader.string().filter(|_| reader.0.is_empty())
}

impl GroupRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = VERSION.to_be_bytes().to_vec();
        put_string(&mut value, &self.protocol_type);
        value.extend_from_slice(&self.generation.to_be_bytes());
        put_nullable_string(&mut value, self.protocol.as_deref());
        put_nullable_string(&mut value, self.leader.as_deref());
        value.extend_from_slice(&self.since.map_or(-1, Timestamp::as_millis).to_be_bytes());
        put_count(&mut value, self.members.len());
        for member in &self.members {
            put_string(&mut value, &member.id);
            put_nullable_string(&mut value, member.instance_id.as_deref());
            put_string(&mut value, &member.client_id);
            put_string(&mut value, &member.client_host);
            value.extend_from_slice(&millis(member.rebalance_timeout).to_be_bytes());
            value.extend_from_slice(&millis(member.session_timeout).to_be_bytes());
            put_bytes(&mut value, &member.subscription);
            put_bytes(&mut value, &member.assignment);
        }
        value
    }

    /// Reads a value back, or says what is wrong with it.
    pub(crate) fn decode(value: &[u8]) -> Result<GroupRecord, String> {
        let mut reader = FieldReader(value);
        let version = match reader.i16() {
            Some(version @ 0..=VERSION_MAX) => version,
            Some(version) => return Err(format!("version {version} is not known")),
            None => return Err("it is empty".to_owned()),
        };
        let group = group(&mut reader, version).ok_or_else(|| "it is cut short or malformed".to_owned())?;
        if reader.0.is_empty() { Ok(group) } else { Err(format!("{} bytes are left over", reader.0.len())) }
    }
}

fn group(reader: &mut FieldReader<'_>, version: i16) -> Option<GroupRecord> {
    let is_flexible = version >= 4;
    let protocol_type = string(reader, is_flexible)?;
    let generation = reader.i32()?;
    let (protocol, leader) = (nullable_string(reader, is_flexible)?, nullable_string(reader, is_flexible)?);
    let since = if version >= 2 { Some(reader.i64()?).filter(|&millis| millis >= 0) } else { None };
    let count = if is_flexible { reader.compact_count()? } else { reader.count()? };
    let members = (0..count).map(|_| member(reader, version)).collect::<Option<Vec<_>>>()?;
    if is_flexible {
        reader.skip_tagged()?;
    }
    let since = since.map(Timestamp::from_millis);
    Some(GroupRecord { protocol_type, generation, protocol, leader, since, members })
}

fn member(reader: &mut FieldReader<'_>, version: i16) -> Option<MemberRecord> {
    let is_flexible = version >= 4;
    let id = string(reader, is_flexible)?;
    let instance_id = if version >= 3 { nullable_string(reader, is_flexible)? } else { None };
    let (client_id, client_host) = (string(reader, is_flexible)?, string(reader, is_flexible)?);
    let rebalance_timeout = if version >= 1 { Some(duration(reader)?) } else { None };
    let session_timeout = duration(reader)?;
    let subscription = bytes(reader, is_flexible)?;
    let assignment = bytes(reader, is_flexible)?;
    if is_flexible {
        reader.skip_tagged()?;
    }
    // As Kafka has it for the members of old.
    let rebalance_timeout = rebalance_timeout.unwrap_or(session_timeout);
    Some(MemberRecord {
        id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout,
        session_timeout,
        subscription,
        assignment,
    })
}

fn string(reader: &mut FieldReader<'_>, is_flexible: bool) -> Option<String> {
    if is_flexible { reader.compact_string() } else { reader.string() }
}

fn nullable_string(reader: &mut FieldReader<'_>, is_flexible: bool) -> Option<Option<String>> {
    if is_flexible { reader.compact_nullable_string() } else { reader.nullable_string() }
}

fn bytes(reader: &mut FieldReader<'_>, is_flexible: bool) -> Option<Vec<u8>> {
    let bytes = if is_flexible { reader.compact_bytes() } else { reader.bytes() };
    bytes.map(<[u8]>::to_vec)
}

fn duration(reader: &mut FieldReader<'_>) -> Option<Duration> {
    u64::try_from(reader.i32()?).ok().map(Duration::from_millis)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> GroupRecord {
        GroupRecord {
            protocol_type: "consumer".to_owned(),
            generation: 3,
            protocol: Some("range".to_owned()),
            leader: Some("m".to_owned()),
            since: Some(Timestamp::from_millis(5)),
            members: vec![MemberRecord {
                id: "m".to_owned(),
                instance_id: Some("i".to_owned()),
                client_id: "c".to_owned(),
                client_host: "/".to_owned(),
                rebalance_timeout: Duration::from_millis(2),
                session_timeout: Duration::from_millis(1),
                subscription: vec![7],
                assignment: vec![8, 9],
            }],
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(encode_key("g"), b"\0\x02\0\x01g");
        assert_eq!(decode_key(&mut FieldReader(b"\0\x01g")), Some("g".to_owned()));
        let group = b"\0\x03\0\x08consumer\0\0\0\x03\0\x05range\0\x01m\0\0\0\0\0\0\0\x05\0\0\0\x01";
        let member = b"\0\x01m\0\x01i\0\x01c\0\x01/\0\0\0\x02\0\0\0\x01\0\0\0\x01\x07\0\0\0\x02\x08\x09";
        assert_eq!(some().encode(), [&group[..], member].concat());
        let empty = GroupRecord { protocol: None, leader: None, since: None, members: Vec::new(), ..some() };
        let golden =
            b"\0\x03\0\x08consumer\0\0\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(empty.encode(), golden);
        assert_eq!(GroupRecord::decode(golden), Ok(empty));
    }

    #[test]
    fn every_version_is_read() {
        assert_eq!(GroupRecord::decode(&some().encode()), Ok(some()));
        let group = b"\0\x08consumer\0\0\0\x03\0\x05range\0\x01m";
        let member = |rebalance: &[u8]| {
            [
                &b"\0\0\0\x01\0\x01m\0\x01c\0\x01/"[..],
                rebalance,
                b"\0\0\0\x01\0\0\0\x01\x07\0\0\0\x02\x08\x09",
            ]
            .concat()
        };
        let mut expected = some();
        expected.members[0].instance_id = None;
        let value = [b"\0\x02", &group[..], b"\0\0\0\0\0\0\0\x05", &member(b"\0\0\0\x02")].concat();
        assert_eq!(GroupRecord::decode(&value), Ok(expected.clone()));
        expected.since = None;
        let value = [b"\0\x01", &group[..], &member(b"\0\0\0\x02")].concat();
        assert_eq!(GroupRecord::decode(&value), Ok(expected.clone()));
        expected.members[0].rebalance_timeout = Duration::from_millis(1);
        let value = [b"\0\0", &group[..], &member(b"")].concat();
        assert_eq!(GroupRecord::decode(&value), Ok(expected));
        let flexible = b"\0\x04\x09consumer\0\0\0\x03\x06range\x02m\0\0\0\0\0\0\0\x05\x02\x02m\x02i\x02c\x02/\0\0\0\x02\0\0\0\x01\x02\x07\x03\x08\x09\0\0";
        assert_eq!(GroupRecord::decode(flexible), Ok(some()));
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        let value = some().encode();
        for length in 0..value.len() {
            assert!(GroupRecord::decode(&value[..length]).is_err(), "{length}");
        }
        assert!(GroupRecord::decode(&[&value[..], &[0]].concat()).is_err());
        for position in 0..value.len() {
            let mut hostile = value.clone();
            hostile[position] = 0xff;
            let _ = GroupRecord::decode(&hostile);
        }
    }
}
