//! Records as they come back, owned, to compare; and the one way in which the tests read.

use streamlog::{Batches, Offset, Partition, RecordView};

/// A record with everything that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) offset: u64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<RecordView<'_>> for Row {
    fn from(record: RecordView<'_>) -> Row {
        let headers = record.headers();
        Row {
            offset: record.offset().into(),
            timestamp: record.timestamp().as_millis(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: headers.map(|h| (h.name().to_owned(), h.value().map(<[u8]>::to_vec))).collect(),
        }
    }
}

/// The records of what one read gave.
pub(crate) fn rows_of(batches: &Batches) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(batch.records().unwrap().iter().map(Row::from));
    }
    rows
}

/// Every record of the partition from `from` on, read `max_bytes` at a time; offsets must be dense.
pub(crate) fn all_rows(partition: &Partition, from: Offset, max_bytes: usize) -> Vec<Row> {
    let (mut rows, mut next) = (Vec::new(), from);
    while next < partition.log_end_offset() {
        let batches = partition.read(next, max_bytes).unwrap();
        let read = rows_of(&batches);
        assert!(!read.is_empty(), "there is something at {next}");
        for (expected, row) in (u64::from(next)..).zip(&read) {
            assert_eq!(row.offset, expected, "read from {next}");
        }
        next = batches.next_offset().unwrap();
        assert_eq!(next, read.last().unwrap().offset + 1);
        rows.extend(read);
    }
    rows
}

/// The values of every record there is, as text.
pub(crate) fn values(partition: &Partition) -> Vec<String> {
    let rows = all_rows(partition, partition.log_start_offset(), usize::MAX);
    rows.into_iter().map(|row| String::from_utf8(row.value.unwrap_or_default()).unwrap()).collect()
}
