//! What one record of `__consumer_offsets` changes.

use super::committed::CommittedOffset;
use super::group_record::{self, GroupRecord};
use super::offset_record;
use crate::offset::TopicPartition;
use crate::record::fields::FieldReader;

/// A change of a group. `None`: what was there is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Offset(TopicPartition, Option<CommittedOffset>),
    Group(Option<GroupRecord>),
}

impl Change {
    /// The key and the value of its record.
    pub(super) fn encode(&self, group: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Change::Offset(partition, committed) => {
                (offset_record::encode_key(group, partition), committed.as_ref().map(offset_record::encode))
            }
            Change::Group(record) => {
                (group_record::encode_key(group), record.as_ref().map(GroupRecord::encode))
            }
        }
    }

    /// Which group a record changes, and how; nothing, where it is of a kind that is Kafka's and not ours. Or what is wrong with it.
    pub(super) fn decode(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<(String, Change)>, String> {
        let mut key = FieldReader(key.ok_or("it has no key")?);
        let malformed = || "its key is cut short or malformed".to_owned();
        match key.i16().ok_or_else(malformed)? {
            0 | 1 => {
                let (group, partition) = offset_record::decode_key(&mut key).ok_or_else(malformed)?;
                let committed = value.map(offset_record::decode).transpose()?;
                Ok(Some((group, Change::Offset(partition, committed))))
            }
            group_record::KEY_VERSION => {
                let group = group_record::decode_key(&mut key).ok_or_else(malformed)?;
                Ok(Some((group, Change::Group(value.map(GroupRecord::decode).transpose()?))))
            }
            3.. => Ok(None),
            version => Err(format!("its key has version {version}, which cannot be")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::{Offset, PartitionId, Timestamp};

    #[test]
    fn changes_read_back_and_other_kinds_are_passed_over() {
        let offset = CommittedOffset {
            offset: Offset::from(3),
            leader_epoch: None,
            metadata: String::new(),
            committed_at: Timestamp::from_millis(1),
        };
        let partition = TopicPartition::new("t", PartitionId::ZERO);
        let record = GroupRecord { protocol_type: "consumer".to_owned(), ..GroupRecord::default() };
        for change in [
            Change::Offset(partition.clone(), Some(offset)),
            Change::Offset(partition, None),
            Change::Group(Some(record)),
            Change::Group(None),
        ] {
            let (key, value) = change.encode("g");
            assert_eq!(Change::decode(Some(&key), value.as_deref()), Ok(Some(("g".to_owned(), change))));
            assert!(Change::decode(Some(&key[..key.len() - 1]), value.as_deref()).is_err());
        }
        assert_eq!(Change::decode(Some(b"\0\x03whatever"), None), Ok(None));
        for key in [None, Some(&b""[..]), Some(b"\0"), Some(b"\xff\xff")] {
            assert!(Change::decode(key, None).is_err(), "{key:?}");
        }
    }
}
