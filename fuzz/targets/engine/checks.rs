//! What holds between the steps, and what is an excuse.

use streamlog::{Error, Offset, Partition};

use super::super::rows::Row;
use super::program::Run;

impl Run {
    /// An error is what a fault does, and no other.
    #[track_caller]
    pub(super) fn excuse(&self, error: &Error) {
        assert!(self.is_troubled, "nothing is wrong with the disk: {error:?}");
        let mut source = error;
        loop {
            source = match source {
                Error::DeliveryFailed { source, .. }
                | Error::DeliveryTimeout { source, .. }
                | Error::PartitionOffline { source, .. } => source,
                Error::TimedOut { source: Some(source), .. } => source,
                Error::Io { .. } | Error::Poisoned { .. } | Error::TimedOut { source: None, .. } => return,
                error => panic!("{error:?}"),
            }
        }
    }

    /// What is known of offsets at any time.
    pub(super) fn check_offsets(&mut self) {
        let places = self.places();
        for (name, at) in places {
            let partition = self.partition(name, at);
            let durable = usize::try_from(u64::from(partition.durable_offset())).unwrap();
            let model = self.model(name, at);
            assert_eq!(partition.log_start_offset(), 0);
            assert_eq!(partition.log_end_offset(), model.rows.len() as u64, "{name}-{at}");
            assert!((model.durable..=model.rows.len()).contains(&durable), "{durable}, {}", model.durable);
            model.durable = durable;
            model.failed.retain(|(end, _)| *end >= durable);
        }
    }

    pub(super) fn check_all(&mut self) {
        self.disk.heal();
        self.check_begins();
        let names: Vec<&str> = self.topics.keys().copied().collect();
        assert_eq!(self.broker().admin().list_topics().unwrap(), names);
        for (name, topic) in &self.topics {
            assert_eq!(self.broker().topic(name).unwrap().partition_count() as usize, topic.partitions.len());
            for (at, model) in topic.partitions.iter().enumerate() {
                assert!(read_all(&self.partition(name, at), 0) == model.rows, "{name}-{at}");
            }
        }
    }
}

pub(super) fn rows_of(batch: &streamlog::RecordBatch) -> Vec<Row> {
    batch.records().unwrap().iter().map(Row::from).collect()
}

/// Every record from there on.
pub(super) fn read_all(partition: &Partition, from: u64) -> Vec<Row> {
    let (mut rows, mut next) = (Vec::new(), Offset::try_from(from).unwrap());
    while next < partition.log_end_offset() {
        let batches = partition.read(next, 1 << 20).unwrap();
        rows.extend(batches.iter().flat_map(rows_of));
        next = batches.next_offset().unwrap();
    }
    assert!(rows.iter().map(|row| row.offset).eq((from..).take(rows.len())), "offsets are dense");
    rows
}

/// `found` is some of what was asked for, in its order.
#[track_caller]
pub(super) fn check_part(found: &[Row], asked: &[Row]) {
    let mut asked = asked.iter();
    for row in found {
        let is_asked = asked.any(|asked| Row { offset: row.offset, ..asked.clone() } == *row);
        assert!(is_asked, "nobody asked for {row:?}");
    }
}
