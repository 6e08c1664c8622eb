//! A record as a caller hands it in: borrowed, and not yet anywhere.
//!
//! It is encoded into a batch at once, so that nothing of it has to be kept; the only allocation is the list of its headers,
//! where it has some. What is left out is left to whoever takes the record: the topic to the partition, the partition to
//! whoever appends, the timestamp to the clock.

use crate::offset::Timestamp;

/// A record to be appended: a value, perhaps a key, headers, a timestamp, and where it is to go.
///
/// A record without a value has a null one: in a compacted topic that is a tombstone, which deletes its key. An empty value
/// (`""`) is not null.
///
/// # Examples
///
/// ```
/// use streamlog::{Record, Timestamp};
///
/// let name = String::from("alice");
/// let record = Record::to("orders")
///     .key(&name)
///     .value("3 apples")
///     .header("trace", Some(&[0xca, 0xfe]))
///     .timestamp(Timestamp::from_millis(1_700_000_000_000));
///
/// let tombstone = Record::to("orders").key("alice");
///
/// // What another record had, or had not.
/// let (key, value) = (None, Some(&b"1 pear"[..]));
/// let copy = Record::to("orders").key_opt(key).value_opt(value);
/// # let _ = (record, tombstone, copy);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    topic: Option<&'a str>,
    partition: Option<u32>,
    timestamp: Option<Timestamp>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<'a> Record<'a> {
    /// A record for no topic in particular, to be given to a partition.
    #[inline]
    #[must_use]
    pub fn new() -> Record<'a> {
        Record::default()
    }

    /// A record for `topic`: a partition of any other refuses it.
    #[inline]
    #[must_use]
    pub fn to(topic: &'a str) -> Record<'a> {
        Record { topic: Some(topic), ..Record::default() }
    }

    /// Gives it a key, which stays with it.
    #[inline]
    #[must_use]
    pub fn key(self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.key_opt(Some(key.as_ref()))
    }

    /// Gives it a key, or none.
    #[inline]
    #[must_use]
    pub fn key_opt(mut self, key: Option<&'a [u8]>) -> Record<'a> {
        self.key = key;
        self
    }

    /// Gives it a value.
    #[inline]
    #[must_use]
    pub fn value(self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.value_opt(Some(value.as_ref()))
    }

    /// Gives it a value, or the null one, which makes it a tombstone.
    #[inline]
    #[must_use]
    pub fn value_opt(mut self, value: Option<&'a [u8]>) -> Record<'a> {
        self.value = value;
        self
    }

    /// Adds a header behind those that it has; a name may come more than once.
    #[inline]
    #[must_use]
    pub fn header(mut self, name: &'a str, value: Option<&'a [u8]>) -> Record<'a> {
        self.headers.push((name, value));
        self
    }

    /// Gives it a time, in place of the time at which it is appended. Not before 1970.
    #[inline]
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Record<'a> {
        self.timestamp = Some(timestamp);
        self
    }

    /// Says for which partition of its topic it is: any other refuses it.
    #[inline]
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Record<'a> {
        self.partition = Some(partition);
        self
    }

    /// The topic's name, if it has one.
    #[inline]
    pub(crate) fn topic_name(&self) -> Option<&'a str> {
        self.topic
    }

    /// The partition, if it was chosen.
    #[inline]
    pub(crate) fn partition_number(&self) -> Option<u32> {
        self.partition
    }

    /// The time, if it was given one.
    #[inline]
    pub(crate) fn own_timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// No fewer bytes than it takes in any batch.
    #[inline]
    pub(crate) fn encoded_bytes_max(&self) -> usize {
        /// Length, attributes, timestamp and offset deltas; lengths of key, value and list of headers.
        const FIXED_BYTES: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        /// Two lengths.
        const HEADER_BYTES: usize = 5 + 5;
        let field = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        let headers = self.headers.iter().fold(0_usize, |sum, (name, value)| {
            sum.saturating_add(HEADER_BYTES).saturating_add(name.len()).saturating_add(field(*value))
        });
        FIXED_BYTES.saturating_add(field(self.key)).saturating_add(field(self.value)).saturating_add(headers)
    }

    /// The key, if it has one.
    #[inline]
    pub(crate) fn key_bytes(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value, if it is not null.
    #[inline]
    pub(crate) fn value_bytes(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The headers, in their order.
    #[inline]
    pub(crate) fn header_list(&self) -> &[(&'a str, Option<&'a [u8]>)] {
        &self.headers
    }
}
