//! Records as they come back, owned, to compare.

use streamlog::{ConsumerRecord, Headers, Offset, Record, RecordView, Timestamp};

/// A record with everything that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub offset: u64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<RecordView<'_>> for Row {
    fn from(record: RecordView<'_>) -> Row {
        let content = (record.key(), record.value());
        Row::new(record.offset(), record.timestamp(), content, record.headers())
    }
}

impl From<ConsumerRecord<'_>> for Row {
    fn from(record: ConsumerRecord<'_>) -> Row {
        let content = (record.key(), record.value());
        Row::new(record.offset(), record.timestamp(), content, record.headers())
    }
}

impl Row {
    fn new(
        offset: Offset,
        timestamp: Timestamp,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        headers: Headers<'_>,
    ) -> Row {
        let headers = headers.map(|header| (header.name().to_owned(), header.value().map(<[u8]>::to_vec)));
        Row {
            offset: offset.into(),
            timestamp: timestamp.as_millis(),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }

    /// The record that gives this row, whatever offset it gets.
    pub fn record(&self) -> Record<'_> {
        let mut record = Record::new().key_opt(self.key.as_deref()).value_opt(self.value.as_deref());
        for (name, value) in &self.headers {
            record = record.header(name, value.as_deref());
        }
        record.timestamp(Timestamp::from_millis(self.timestamp))
    }

    /// How many bytes of the record's own are in it.
    pub fn bytes(&self) -> usize {
        let headers =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
        self.key.as_ref().map_or(0, Vec::len)
            + self.value.as_ref().map_or(0, Vec::len)
            + headers.sum::<usize>()
    }
}
