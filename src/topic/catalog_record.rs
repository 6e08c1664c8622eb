//! The catalog's records: one per topic, the last of a name counts, one without a value deletes.
//!
//! Encoded as Kafka encodes the records of its internal topics: a version first, numbers big-endian, strings and lists
//! with their lengths before them.
//!
//! ```text
//! a topic
//! key    version i16 = 0 | name: length i16, bytes
//! value  version i16 = 0 | topic id, 16 bytes | state i8 | partition count i32
//!        | directory ids: count i32, 16 bytes each
//!        | settings: count i32, each name and value: length i16, bytes
//!
//! count  of the partitions that are created, from 0 on; those with a directory id beyond it are being created
//! ids    by partition, the log directory that its own is in
//! state  0  partitions are being created: what they need may be missing
//!        1  whole: all of them are created
//!        2  being deleted: directories may be gone
//!
//! the ids of producers
//! key    version i16 = 1
//! value  version i16 = 0 | next id i64: every id below it may have been given to a producer
//!
//! a salvage of the catalog
//! key    version i16 = 2
//! value  version i16 = 0 | lost i64: how many offsets of the catalog were lost when topics were last looked for by their
//!        directories, to the end
//! ```

use std::cmp::Ordering;

use super::name;
use crate::error::Error;
use crate::log::TopicConfig;
use crate::offset::PartitionId;
use crate::record::fields::{FieldReader, put_count, put_string};
use crate::uuid::Uuid;

const VERSION: i16 = 0;
/// The version of the key of the record about producer ids.
const PRODUCER_IDS: i16 = 1;
/// The version of the key of the record about salvages.
const SALVAGED: i16 = 2;
const CREATING: i8 = 0;
const CREATED: i8 = 1;
const DELETING: i8 = 2;

/// A topic, as a record of the catalog tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    pub(crate) id: Uuid,
    /// How many partitions are created; the others are being.
    pub(crate) created: u32,
    pub(crate) config: TopicConfig,
    /// The log directory of each partition.
    pub(crate) directories: Vec<Uuid>,
    pub(crate) is_deleting: bool,
}

/// What a record of the catalog is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CatalogKey {
    Topic(String),
    ProducerIds,
    Salvaged,
}

/// The key of a topic's records.
pub(crate) fn encode_key(name: &str) -> Vec<u8> {
    let mut key = VERSION.to_be_bytes().to_vec();
    put_string(&mut key, name);
    key
}

/// What a key is about, or `None` where it is of another kind, or no key at all.
pub(crate) fn decode_key(key: &[u8]) -> Option<CatalogKey> {
    let mut reader = FieldReader(key);
    let key = match reader.i16()? {
        // The name becomes one of a directory.
        VERSION => CatalogKey::Topic(reader.string().filter(|name| name::check(name).is_ok())?),
        PRODUCER_IDS => CatalogKey::ProducerIds,
        SALVAGED => CatalogKey::Salvaged,
        _ => return None,
    };
    reader.0.is_empty().then_some(key)
}

/// The key and the value that say that every producer id below `next` may have been given away.
pub(crate) fn encode_producer_ids(next: i64) -> (Vec<u8>, Vec<u8>) {
    encode_number(PRODUCER_IDS, next)
}

/// The key and the value that say that topics have been looked for since so many offsets are lost.
pub(crate) fn encode_salvaged(lost: i64) -> (Vec<u8>, Vec<u8>) {
    encode_number(SALVAGED, lost)
}

fn encode_number(key: i16, number: i64) -> (Vec<u8>, Vec<u8>) {
    let mut value = VERSION.to_be_bytes().to_vec();
    value.extend_from_slice(&number.to_be_bytes());
    (key.to_be_bytes().to_vec(), value)
}

/// The number, from 0 on, that the value of a record about producer ids or salvages tells, or what is wrong with it.
pub(crate) fn decode_number(value: &[u8]) -> Result<i64, String> {
    let mut reader = FieldReader(value);
    match reader.i16() {
        Some(VERSION) => {}
        Some(version) => return Err(format!("version {version} is not known")),
        None => return Err("it is empty".to_owned()),
    }
    let number = reader.array().map(i64::from_be_bytes).filter(|&number| number >= 0 && reader.0.is_empty());
    number.ok_or_else(|| "it is not one number from 0 on".to_owned())
}

impl TopicRecord {
    /// The same topic, once all of its partitions are created.
    pub(crate) fn completed(&self) -> TopicRecord {
        TopicRecord { created: count_of(&self.directories), ..self.clone() }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.created == count_of(&self.directories)
    }

    /// Each partition with the id of its log directory.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (PartitionId, Uuid)> + Clone {
        let numbers = (0_u32..).map_while(|number| PartitionId::try_from(number).ok());
        numbers.zip(self.directories.iter().copied())
    }

    /// Those of them that are being created.
    pub(crate) fn new_partitions(&self) -> impl Iterator<Item = (PartitionId, Uuid)> + Clone {
        self.partitions().filter(|&(number, _)| u32::from(number) >= self.created)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = VERSION.to_be_bytes().to_vec();
        value.extend_from_slice(self.id.as_bytes());
        let state = match (self.is_deleting, self.is_complete()) {
            (true, _) => DELETING,
            (false, true) => CREATED,
            (false, false) => CREATING,
        };
        value.extend_from_slice(&state.to_be_bytes());
        value.extend_from_slice(&self.created.to_be_bytes());
        put_count(&mut value, self.directories.len());
        self.directories.iter().for_each(|id| value.extend_from_slice(id.as_bytes()));
        let settings = self.config.overrides();
        put_count(&mut value, settings.len());
        for (name, setting) in settings {
            put_string(&mut value, name);
            put_string(&mut value, &setting);
        }
        value
    }

    /// Reads a value back, or says what is wrong with it.
    pub(crate) fn decode(value: &[u8]) -> Result<TopicRecord, String> {
        let mut reader = FieldReader(value);
        match reader.i16() {
            Some(VERSION) => {}
            Some(version) => return Err(format!("version {version} is not known")),
            None => return Err("it is empty".to_owned()),
        }
        let record = decode_topic(&mut reader).ok_or_else(|| "it is cut short or malformed".to_owned())??;
        if reader.0.is_empty() { Ok(record) } else { Err(format!("{} bytes are left over", reader.0.len())) }
    }
}

/// All but the version. `None`: cut short or malformed; an inner error says more.
fn decode_topic(reader: &mut FieldReader<'_>) -> Option<Result<TopicRecord, String>> {
    let id = Uuid::from_bytes(reader.array()?);
    let state = i8::from_be_bytes(reader.array()?);
    let created = u32::from_be_bytes(reader.array()?);
    let ids = (0..reader.count()?).map(|_| reader.array().map(Uuid::from_bytes));
    let directories = ids.collect::<Option<Vec<Uuid>>>().filter(|ids| !ids.is_empty())?;
    let mut config = TopicConfig::default();
    for _ in 0..reader.count()? {
        let (name, setting) = (reader.string()?, reader.string()?);
        if let Err(error) = config.set(&name, &setting) {
            return Some(Err(error.to_string()));
        }
    }
    match config.validate() {
        // One that is not built in: what is stored in other codecs can be read all the same.
        Ok(()) | Err(Error::CodecDisabled { .. }) => {}
        Err(error) => return Some(Err(error.to_string())),
    }
    if let Some(name) = config.ignored().first() {
        // A newer version's: writing the record again would lose it.
        return Some(Err(format!("this version cannot do {name}")));
    }
    let is_deleting = match (state, created.cmp(&count_of(&directories))) {
        (CREATING, Ordering::Less) | (CREATED, Ordering::Equal) => false,
        (DELETING, Ordering::Less | Ordering::Equal) => true,
        _ => return None,
    };
    Some(Ok(TopicRecord { id, created, config, directories, is_deleting }))
}

/// How many partitions these are the directories of.
fn count_of(directories: &[Uuid]) -> u32 {
    u32::try_from(directories.len()).expect("a topic's partitions are counted in 31 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> TopicRecord {
        TopicRecord {
            id: Uuid::CATALOG,
            created: 2,
            config: TopicConfig::default().segment_bytes(4096).max_message_bytes(5),
            directories: vec![Uuid::CATALOG, Uuid::from_bytes([7; 16])],
            is_deleting: false,
        }
    }

    #[test]
    fn records_read_back() {
        assert_eq!(TopicRecord::decode(&record().encode()), Ok(record()));
        let growing = TopicRecord { created: 1, ..record() };
        assert_eq!(growing.completed(), record());
        let deleting = TopicRecord { is_deleting: true, ..record() };
        for other in [growing, deleting] {
            assert_eq!(TopicRecord::decode(&other.encode()), Ok(other));
        }
        assert_eq!(decode_key(&encode_key("a-b")), Some(CatalogKey::Topic("a-b".to_owned())));
        let (key, value) = encode_producer_ids(7);
        assert_eq!((decode_key(&key), decode_number(&value)), (Some(CatalogKey::ProducerIds), Ok(7)));
        let (key, value) = encode_salvaged(8);
        assert_eq!((decode_key(&key), decode_number(&value)), (Some(CatalogKey::Salvaged), Ok(8)));
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_an_error() {
        let value = record().encode();
        for length in 0..value.len() {
            assert!(TopicRecord::decode(&value[..length]).is_err(), "{length}");
        }
        assert!(TopicRecord::decode(&[&value[..], &[0]].concat()).is_err());
        let key = encode_key("orders");
        for length in 0..key.len() {
            assert_eq!(decode_key(&key[..length]), None);
        }
        let (key, value) = encode_producer_ids(7);
        assert_eq!(decode_key(&[&key[..], &[0]].concat()), None);
        for length in 0..value.len() {
            assert!(decode_number(&value[..length]).is_err(), "{length}");
        }
        assert!(decode_number(&[&value[..], &[0]].concat()).is_err());
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let value = record().encode();
        for position in 0..value.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut hostile = value.clone();
                hostile[position] ^= flip;
                let _ = TopicRecord::decode(&hostile);
            }
        }
    }

    #[test]
    fn what_no_topic_can_have_is_refused() {
        for name in ["", "..", "../../etc", "a/b", "/a", &"x".repeat(250)] {
            assert_eq!(decode_key(&encode_key(name)), None, "{name}");
        }
        let none = TopicRecord { created: 0, directories: Vec::new(), ..record() };
        for record in [none.clone(), TopicRecord { is_deleting: true, ..none }] {
            assert!(TopicRecord::decode(&record.encode()).is_err(), "{record:?}");
        }
        for config in
            [TopicConfig::default().segment_bytes(0), TopicConfig::default().segment_bytes(u32::MAX)]
        {
            let error = TopicRecord::decode(&TopicRecord { config, ..record() }.encode()).unwrap_err();
            assert!(error.contains("segment.bytes"), "{error}");
        }
    }

    #[test]
    fn a_newer_version_says_so() {
        let mut value = record().encode();
        value[1] = 1;
        assert_eq!(TopicRecord::decode(&value), Err("version 1 is not known".to_owned()));
    }
}
