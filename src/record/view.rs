//! One record, read in place.
//!
//! ```text
//! length | attributes | timestamp delta | offset delta | key length | key | value length | value | header count | headers
//! header   name length | name | value length | value       all lengths and deltas are varints, length -1 is null
//! ```
//!
//! A record is read twice: once when its batch is checked, headers and all, and once more whenever it is yielded, when the
//! headers are left for those who ask. One function does both, so what was accepted once is accepted again. It has a short
//! way for records of short numbers, which says nothing of what is wrong, and a long way for all others, which does.
//!
//! Invariants: nothing is read beyond the record's length; what its fields take is exactly that length.

use std::fmt;
use std::iter::FusedIterator;

use crate::error::Corruption;
use crate::offset::{Offset, Timestamp};
use crate::record::header::{BatchHeader, TimestampType, sequence_after};
use crate::record::varint::{ShortNumbers, take_short, take_varint, take_varlong, unzigzag};

/// The fewest bytes that a header takes: two lengths.
const HEADER_BYTES_MIN: usize = 2;
/// The length of a key or value that is null, and the groups of it.
const NULL: i32 = -1;
const NULL_GROUPS: u32 = 1;

/// A record in a batch, borrowed from it.
///
/// # Examples
///
/// ```
/// use streamlog::{BatchBuilder, Compression, Record, RecordBatch, Timestamp};
///
/// let mut builder = BatchBuilder::new(Compression::None);
/// let record = Record::new().key("alice").value("3 apples").header("trace", Some(b"42"));
/// builder.append(&record, Timestamp::from_millis(5))?;
/// let records = RecordBatch::decode(builder.build()?.bytes())?.records()?;
///
/// for record in &records {
///     assert_eq!(record.offset(), 0);
///     assert_eq!(record.timestamp().as_millis(), 5);
///     assert_eq!(record.key(), Some(&b"alice"[..]));
///     assert_eq!(record.value(), Some(&b"3 apples"[..]));
///     for header in record.headers() {
///         assert_eq!((header.name(), header.value()), ("trace", Some(&b"42"[..])));
///     }
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    offset: Offset,
    timestamp: Timestamp,
    sequence: Option<i32>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> RecordView<'a> {
    /// The record that a batch's `origin` and its own deltas make; the offset's is not negative.
    #[inline(always)]
    fn new(
        origin: &Origin,
        timestamp_delta: i64,
        offset_delta: i32,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: Headers<'a>,
    ) -> RecordView<'a> {
        let timestamp = Timestamp::from_millis(origin.base_timestamp.wrapping_add(timestamp_delta));
        RecordView {
            offset: origin.base_offset.saturating_add(u64::from(offset_delta.unsigned_abs())),
            timestamp: origin.append_time.unwrap_or(timestamp),
            sequence: origin.base_sequence.map(|base| sequence_after(base, offset_delta)),
            key,
            value,
            headers,
        }
    }

    /// The record's number in its partition.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// When it was made or, where the topic says so, appended.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value; `None` is the null value, a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The headers, in their order.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The number that its idempotent producer gave it, if one did.
    #[must_use]
    pub fn sequence(&self) -> Option<i32> {
        self.sequence
    }
}

impl fmt::Debug for RecordView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordView")
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .field("key_bytes", &self.key.map(<[u8]>::len))
            .field("value_bytes", &self.value.map(<[u8]>::len))
            .field("header_count", &self.headers.count)
            .finish_non_exhaustive()
    }
}

/// The headers of a record, in their order; a name may come more than once.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    cursor: Cursor<'a>,
    count: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        Header::take(&mut self.cursor).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Headers<'_> {}

impl FusedIterator for Headers<'_> {}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// A name and perhaps a value beside a record's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    name: &'a str,
    value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// A header that is not yet in a record's bytes.
    pub(crate) fn new(name: &'a str, value: Option<&'a [u8]>) -> Header<'a> {
        Header { name, value }
    }

    /// Its name, not always unique.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its value, if that is not null.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    fn take(cursor: &mut Cursor<'a>) -> Result<Header<'a>, Corruption> {
        let length = cursor.varint()?;
        let position = cursor.position();
        let name = cursor.take("header name", length)?;
        let name = std::str::from_utf8(name).map_err(|_| Corruption::HeaderName { position })?;
        let value = cursor.nullable("header value")?;
        Ok(Header { name, value })
    }
}

/// What a record needs to know of its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    base_offset: Offset,
    last_offset_delta: i32,
    base_timestamp: i64,
    append_time: Option<Timestamp>,
    base_sequence: Option<i32>,
}

impl Origin {
    pub(super) fn new(header: &BatchHeader) -> Origin {
        let is_append = header.timestamp_type() == TimestampType::Append;
        Origin {
            base_offset: header.base_offset(),
            last_offset_delta: header.last_offset_delta,
            base_timestamp: header.base_timestamp,
            append_time: is_append.then_some(header.max_timestamp()),
            base_sequence: header.base_sequence(),
        }
    }
}

/// Bytes of a batch's records, taken from the front, which know their place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// The place in the records at which `rest` ends.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// The records from `position` on.
    pub(super) fn new(records: &'a [u8], position: usize) -> Cursor<'a> {
        Cursor { rest: records.get(position..).unwrap_or_default(), end: records.len() }
    }

    /// The place in the records of the next byte.
    #[inline]
    pub(super) fn place(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The same, as errors tell it.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.place() as u64
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Takes one record, and leaves its headers unread.
    ///
    /// Always inlined, because a view is large: whoever looks at two of its fields then makes only those two.
    #[inline(always)]
    pub(super) fn record(&mut self, origin: &Origin) -> Result<RecordView<'a>, Corruption> {
        let (record, rest) = match self.short_record(origin) {
            Some(short) => short,
            None => self.any_record(origin)?,
        };
        self.rest = rest;
        Ok(record)
    }

    /// A record whose numbers take one byte or two each, as nearly all do, and what lies behind it. `None` for any other, and
    /// for all that is wrong with it: that is for [`any_record`](Cursor::any_record) to say.
    #[inline(always)]
    fn short_record(&self, origin: &Origin) -> Option<(RecordView<'a>, &'a [u8])> {
        let (length, rest) = take_short(self.rest)?;
        let (body, behind) = rest.split_at_checked(short_length(length)?)?;
        let mut front = ShortNumbers::load(body)?;
        front.skip_byte();
        let (timestamp_delta, offset_delta, key_length) = (front.take()?, front.take()?, front.take()?);
        let offset_delta = i32::try_from(short_length(offset_delta)?).ok()?;
        if offset_delta > origin.last_offset_delta {
            return None;
        }
        let (key, rest) = short_field(key_length, front.rest())?;
        let (value_length, rest) = take_short(rest)?;
        let (value, rest) = short_field(value_length, rest)?;
        let (header_count, rest) = take_short(rest)?;
        let count = short_length(header_count)?;
        if count > rest.len() / HEADER_BYTES_MIN || count == 0 && !rest.is_empty() {
            return None;
        }
        let timestamp_delta = unzigzag(timestamp_delta).into();
        let cursor = Cursor { rest, end: self.end - behind.len() };
        let headers = Headers { cursor, count };
        Some((RecordView::new(origin, timestamp_delta, offset_delta, key, value, headers), behind))
    }

    /// Any record, and what lies behind it.
    #[cold]
    fn any_record(mut self, origin: &Origin) -> Result<(RecordView<'a>, &'a [u8]), Corruption> {
        let length = self.varint()?;
        let rest = self.take("record", length)?;
        let mut body = Cursor { rest, end: self.end - self.rest.len() };

        body.take("record attributes", 1)?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        if offset_delta < 0 || offset_delta > origin.last_offset_delta {
            return Err(Corruption::Field { field: "offsetDelta", value: offset_delta.into() });
        }
        let key = body.nullable("key")?;
        let value = body.nullable("value")?;
        let header_count = body.varint()?;
        let count = match usize::try_from(header_count) {
            Ok(count) if count <= body.rest.len() / HEADER_BYTES_MIN => count,
            _ => return Err(body.bad_length("header count", header_count)),
        };
        if count == 0 && !body.rest.is_empty() {
            return Err(body.surplus());
        }

        let headers = Headers { cursor: body, count };
        Ok((RecordView::new(origin, timestamp_delta, offset_delta, key, value, headers), self.rest))
    }

    /// Passes over one record along its length, and reads none of its fields.
    #[inline]
    pub(super) fn skip_record(&mut self) -> Result<(), Corruption> {
        let length = self.varint()?;
        self.take("record", length).map(drop)
    }

    /// Takes one record and reads its headers too.
    #[inline]
    pub(super) fn whole_record(&mut self, origin: &Origin) -> Result<RecordView<'a>, Corruption> {
        let record = self.record(origin)?;
        if record.headers.count > 0 {
            Self::check_headers(record.headers)?;
        }
        Ok(record)
    }

    fn check_headers(headers: Headers<'a>) -> Result<(), Corruption> {
        let mut cursor = headers.cursor;
        for _ in 0..headers.count {
            Header::take(&mut cursor)?;
        }
        if cursor.rest.is_empty() { Ok(()) } else { Err(cursor.surplus()) }
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, Corruption> {
        take_varint(&mut self.rest).ok_or_else(|| self.bad_varint())
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, Corruption> {
        take_varlong(&mut self.rest).ok_or_else(|| self.bad_varint())
    }

    /// Takes as many bytes as `length` says.
    #[inline]
    fn take(&mut self, field: &'static str, length: i32) -> Result<&'a [u8], Corruption> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((bytes, rest)) = split else { return Err(self.bad_length(field, length)) };
        self.rest = rest;
        Ok(bytes)
    }

    /// Takes a length and as many bytes, or nothing if the length says so.
    #[inline]
    fn nullable(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, Corruption> {
        match self.varint()? {
            NULL => Ok(None),
            length => self.take(field, length).map(Some),
        }
    }

    #[cold]
    fn bad_varint(self) -> Corruption {
        Corruption::Varint { position: self.position() }
    }

    #[cold]
    fn bad_length(self, field: &'static str, length: i32) -> Corruption {
        let (position, available) = (self.position(), self.rest.len() as u64);
        Corruption::Length { field, length: length.into(), position, available }
    }

    /// What the record's length covers beyond its last field.
    #[cold]
    fn surplus(self) -> Corruption {
        self.bad_length("unused part of a record", i32::try_from(self.rest.len()).unwrap_or(i32::MAX))
    }
}

/// The number of some groups, if it is not negative.
#[inline(always)]
fn short_length(groups: u32) -> Option<usize> {
    if groups & 1 == 0 { usize::try_from(groups >> 1).ok() } else { None }
}

/// As many bytes as a length's groups say, or nothing if they say so, and what lies behind them.
#[inline(always)]
fn short_field(groups: u32, bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if groups == NULL_GROUPS {
        return Some((None, bytes));
    }
    let (field, rest) = bytes.split_at_checked(short_length(groups)?)?;
    Some((Some(field), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::RecordBatch;
    use crate::record::builder::BatchBuilder;
    use crate::record::compression::Compression;
    use crate::record::header::BATCH_HEADER_BYTES;
    use crate::record::record::Record;

    /// A batch of records of all kinds, short and long.
    fn batch() -> RecordBatch {
        let (long, now) = (vec![7; 9000], Timestamp::from_millis(1_000_000));
        let mut builder = BatchBuilder::new(Compression::None).producer(7, 0, 41);
        for value in [&b""[..], b"3 apples", &long[..100], &long] {
            for record in [
                Record::new().value(value),
                Record::new().key(value),
                Record::new().key("alice").value(value).header("h", Some(value)).header("", None),
                Record::new().key("alice").value(value).timestamp(Timestamp::from_millis(5)),
            ] {
                builder.append(&record, now).unwrap();
            }
        }
        RecordBatch::decode(builder.build().unwrap().bytes()).unwrap()
    }

    fn places(record: &RecordView<'_>) -> impl PartialEq + fmt::Debug {
        let field = |bytes: Option<&[u8]>| bytes.map(<[u8]>::as_ptr_range);
        let RecordView { offset, timestamp, sequence, key, value, headers } = record;
        let rest = (headers.cursor.rest.as_ptr_range(), headers.cursor.end, headers.count);
        (*offset, *timestamp, *sequence, field(*key), field(*value), rest)
    }

    /// Compares both ways at every record, and says how many went the short one.
    fn compare(origin: &Origin, records: &[u8]) -> usize {
        let (mut cursor, mut short_count) = (Cursor::new(records, 0), 0);
        while cursor.left() > 0 {
            let (short, any) = (cursor.short_record(origin), cursor.any_record(origin));
            if let Some((record, rest)) = &short {
                let (expected, behind) =
                    any.as_ref().expect("the long way takes all that the short one does");
                assert_eq!(places(record), places(expected));
                assert_eq!(rest.as_ptr_range(), behind.as_ptr_range());
                short_count += 1;
            }
            let Ok((_, rest)) = any else { break };
            cursor.rest = rest;
        }
        short_count
    }

    #[test]
    fn the_short_way_gives_what_the_long_way_gives() {
        let batch = batch();
        let origin = Origin::new(batch.header());
        let records = &batch.bytes()[BATCH_HEADER_BYTES..];
        // All but two that are nearly empty, those with 9000 bytes, and those of another time.
        assert_eq!(compare(&origin, records), 7);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut damaged = records[..600].to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..damaged.len());
                damaged[at] = random.u8(..);
            }
            compare(&origin, &damaged);
        }
    }
}
