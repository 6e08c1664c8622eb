//! What a broker has been asked and has promised, and whether another one keeps it.

use std::collections::BTreeMap;
use std::ops::Range;

use streamlog::{Broker, Offset, Partition};

/// A partition's place in the ledger.
pub(super) type Place = (String, u32);

/// What was asked and promised; see the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    topics: BTreeMap<String, Topic>,
    partitions: BTreeMap<Place, Records>,
    /// Makes values different that are written again after some were lost.
    life: usize,
}

#[derive(Debug, Clone, Copy)]
struct Topic {
    partitions: u32,
    is_created: bool,
}

/// The values that were appended to one partition, by offset.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    values: Vec<Vec<u8>>,
    /// How many of them the broker has taken; the rest were asked for when it failed.
    appended: usize,
    durable: usize,
}

/// What must be left of what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// What was acknowledged as durable, and perhaps more.
    Durable,
    /// All that was appended, and perhaps what was being appended.
    Appended,
}

impl Ledger {
    pub(super) fn creating(&mut self, name: &str, partitions: u32) {
        self.topics.insert(name.to_owned(), Topic { partitions, is_created: false });
    }

    pub(super) fn created(&mut self, name: &str) {
        self.topics.get_mut(name).unwrap().is_created = true;
    }

    /// The values to append next.
    pub(super) fn appending(&mut self, partition: &Partition, count: usize, bytes: usize) -> Vec<Vec<u8>> {
        let life = self.life;
        let records = self.at(partition);
        records.values.truncate(records.appended);
        let start = records.values.len();
        let values: Vec<Vec<u8>> = (start..start + count)
            .map(|number| {
                let text = format!("{}-{}/{number}/{life} ", partition.topic(), partition.id());
                text.bytes().cycle().take(bytes.max(text.len())).collect()
            })
            .collect();
        records.values.extend(values.iter().cloned());
        values
    }

    pub(super) fn appended(&mut self, partition: &Partition, offsets: &Range<Offset>) {
        let records = self.at(partition);
        assert_eq!(index(offsets.start), records.appended, "offsets are dense");
        assert_eq!(index(offsets.end), records.values.len());
        records.appended = records.values.len();
    }

    /// Forgets what was being appended, because it was refused.
    pub(super) fn refused(&mut self, partition: &Partition) {
        let records = self.at(partition);
        records.values.truncate(records.appended);
    }

    pub(super) fn durable(&mut self, partition: &Partition, durable: Offset) {
        let records = self.at(partition);
        assert!(index(durable) >= records.durable, "what is durable stays so");
        assert!(index(durable) <= records.values.len());
        records.durable = index(durable);
    }

    /// The broker was closed: everything is durable.
    pub(super) fn all_durable(&mut self) {
        self.partitions.values_mut().for_each(|records| records.durable = records.appended);
    }

    pub(super) fn end(&self, place: &Place) -> usize {
        self.partitions.get(place).map_or(0, |records| records.appended)
    }

    pub(super) fn durable_end(&self, place: &Place) -> usize {
        self.partitions.get(place).map_or(0, |records| records.durable)
    }

    pub(super) fn values(&self, place: &Place) -> &[Vec<u8>] {
        self.partitions.get(place).map_or(&[], |records| &records.values)
    }

    /// Checks that the broker has what was promised and nothing that was not asked for, and goes on from what it has.
    pub(super) fn check(&mut self, broker: &Broker, kept: Kept) {
        for (name, topic) in &self.topics {
            match broker.topic(name) {
                Ok(found) => assert_eq!(found.partition_count(), topic.partitions),
                Err(error) => assert!(!topic.is_created, "{name} was created: {error}"),
            }
        }
        for name in broker.admin().list_topics().unwrap() {
            assert!(self.topics.contains_key(&name), "{name} was never asked for");
            for partition in broker.topic(&name).unwrap().partitions() {
                self.check_partition(&partition.unwrap(), kept);
            }
        }
        self.topics.retain(|name, _| broker.topic(name).is_ok());
        self.topics.values_mut().for_each(|topic| topic.is_created = true);
        self.life += 1;
    }

    fn check_partition(&mut self, partition: &Partition, kept: Kept) {
        let found = read_all(partition);
        let records = self.at(partition);
        let least = if kept == Kept::Appended { records.appended } else { records.durable };
        let (name, id) = (partition.topic(), partition.id());
        assert!(found.len() >= least, "{name}-{id}: {} records of {least} that were promised", found.len());
        assert!(found.len() <= records.values.len(), "{name}-{id}: more records than were appended");
        for (number, (found, appended)) in found.iter().zip(&records.values).enumerate() {
            assert!(found == appended, "{name}-{id}: another record at offset {number}");
        }
        assert_eq!(partition.durable_offset(), partition.log_end_offset(), "after an open all is durable");
        records.values.truncate(found.len());
        (records.appended, records.durable) = (found.len(), found.len());
    }

    fn at(&mut self, partition: &Partition) -> &mut Records {
        let place = (partition.topic().to_owned(), u32::from(partition.id()));
        self.partitions.entry(place).or_default()
    }
}

/// Every value, by offset, which must be dense from 0 to the end.
pub(super) fn read_all(partition: &Partition) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    let mut next = partition.log_start_offset();
    assert_eq!(next, 0);
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 700).unwrap();
        for batch in &batches {
            for record in &batch.records().unwrap() {
                assert_eq!(record.offset(), values.len() as u64, "offsets are dense");
                assert_eq!(record.key(), Some(&b"k"[..]));
                values.push(record.value().unwrap().to_vec());
            }
        }
        next = batches.next_offset().expect("there is something below the end");
    }
    values
}

fn index(offset: Offset) -> usize {
    usize::try_from(u64::from(offset)).unwrap()
}
