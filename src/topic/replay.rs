//! What the catalog's records say, taken together.
//!
//! Where a salvage could not save some, topics may be known by their directories alone, and are looked for there. That this has been
//! done to the end is a record, too: it tells how many offsets of the catalog were lost then. A catalog that has lost another
//! number was salvaged, and its topics were not all looked for since: whoever took it as it is would go without them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::catalog_record::{CatalogKey, TopicRecord, decode_key, decode_number, encode_salvaged};
use super::name::{self, CATALOG_TOPIC};
use super::producer_ids;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::offset::{Offset, PartitionId};
use crate::record::{Compression, Record, RecordView};

/// How much of the catalog is read at a time.
const READ_BYTES: usize = 1 << 20;

/// What the catalog's records say; see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The last record of each topic.
    pub(super) topics: BTreeMap<String, TopicRecord>,
    next_producer_id: i64,
    /// How many records are lost.
    pub(super) lost: u64,
    first_lost: Option<Offset>,
    /// Behind the last of them.
    lost_end: Offset,
    /// How many were lost when topics were last looked for by their directories.
    settled: u64,
}

impl Replayed {
    /// Reads the catalog from its start to its end.
    pub(super) fn read(log: &Log) -> Result<Replayed> {
        let mut replayed = Replayed::default();
        let mut next = log.start();
        while next < log.end() {
            let batches = match log.read(next, READ_BYTES) {
                // A salvage has told of them. What they said of topics is not known any more.
                Err(Error::RecordsLost { offsets, .. }) => {
                    replayed.lose(&offsets);
                    next = offsets.end;
                    continue;
                }
                read => read?,
            };
            for batch in &batches {
                for record in &batch.records()? {
                    replayed.apply(&record).map_err(|reason| Error::InvalidFile {
                        path: log.path().to_path_buf(),
                        reason: format!(
                            "the record at offset {} is not the catalog's: {reason}",
                            record.offset()
                        ),
                    })?;
                }
                next = batch.next_offset();
            }
        }
        Ok(replayed)
    }

    /// Takes one record in, or says what is wrong with it.
    pub(super) fn apply(&mut self, record: &RecordView<'_>) -> Result<(), String> {
        let key = record.key().and_then(decode_key).ok_or("its key is malformed")?;
        match (key, record.value()) {
            (CatalogKey::Topic(name), _) if name::collide(&name, CATALOG_TOPIC) => {
                return Err("a topic has the catalog's name".to_owned());
            }
            (CatalogKey::Topic(name), Some(value)) => {
                drop(self.topics.insert(name, TopicRecord::decode(value)?))
            }
            (CatalogKey::Topic(name), None) => drop(self.topics.remove(&name)),
            (CatalogKey::ProducerIds, Some(value)) => {
                self.next_producer_id = self.next_producer_id.max(decode_number(value)?);
            }
            (CatalogKey::ProducerIds, None) => return Err("producer ids are never deleted".to_owned()),
            (CatalogKey::Salvaged, Some(value)) => self.settled = decode_number(value)?.unsigned_abs(),
            (CatalogKey::Salvaged, None) => return Err("what is lost stays so".to_owned()),
        }
        Ok(())
    }

    /// Takes in that no record has these offsets any more.
    pub(super) fn lose(&mut self, offsets: &Range<Offset>) {
        self.first_lost.get_or_insert(offsets.start);
        self.lost_end = self.lost_end.max(offsets.end);
        self.lost = self.lost.saturating_add(offsets.end.delta_from(offsets.start).unwrap_or(0));
    }

    /// Every id below this one may have been given to a producer.
    pub(super) fn next_producer_id(&self) -> i64 {
        producer_ids::behind(self.next_producer_id, self.lost_end)
    }

    /// Whether the topics are all that can be known of.
    pub(super) fn is_settled(&self) -> bool {
        self.lost == 0 || self.lost == self.settled
    }

    /// Appends to the catalog that its topics have been looked for.
    pub(super) fn settle(&mut self, log: &Log) -> Result<()> {
        let (key, value) = encode_salvaged(i64::try_from(self.lost).unwrap_or(i64::MAX));
        log.append(&[Record::new().key(&key).value(&value)], Compression::None)?;
        self.settled = self.lost;
        Ok(())
    }

    /// Refuses a catalog whose salvage was cut short.
    pub(super) fn check_settled(&self, log: &Log) -> Result<()> {
        let Some(from) = self.first_lost.filter(|_| !self.is_settled()) else { return Ok(()) };
        let reason = self.reason();
        let source = Some(Box::new(Error::InvalidFile { path: log.path().to_path_buf(), reason }));
        let (topic, partition) = (CATALOG_TOPIC.to_owned(), PartitionId::ZERO);
        Err(Error::Damaged { topic, partition, from, durable: log.end(), source })
    }

    /// What is wrong with a catalog that is not settled.
    pub(super) fn reason(&self) -> String {
        let lost = self.lost;
        format!(
            "its salvage was cut short: {lost} records are lost, and their topics were not all looked for"
        )
    }
}
