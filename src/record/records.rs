//! All records of one batch, decompressed and checked, to be read as often as wanted.
//!
//! The bytes are a slice: of the file's map or buffer where the batch is not compressed, of a pooled buffer where it was.
//! Whoever keeps them keeps that alive, and nothing else: not the consumer, not the log, not the file's name.
//!
//! Invariants: every record was read to its last header once, offsets increase strictly within the batch's range, there are
//! exactly as many records as the header says and no byte after them; so reading again cannot fail.

use std::fmt;
use std::iter::FusedIterator;

use crate::error::Corruption;
use crate::offset::Offset;
use crate::record::header::BatchHeader;
use crate::record::view::{Cursor, Origin, RecordView};
use crate::storage::Slice;

/// The records of a batch. Cloning copies no record.
///
/// # Examples
///
/// ```
/// use streamlog::{BatchBuilder, Compression, Record, RecordBatch, Timestamp};
///
/// let mut builder = BatchBuilder::new(Compression::None);
/// for value in ["3 apples", "2 pears"] {
///     builder.append(&Record::new().value(value), Timestamp::from_millis(0))?;
/// }
/// let records = RecordBatch::decode(builder.build()?.bytes())?.records()?;
///
/// assert_eq!(records.len(), 2);
/// let last = records.iter().last().expect("there are two");
/// assert_eq!(last.value(), Some(&b"2 pears"[..]));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct BatchRecords {
    records: Slice,
    origin: Origin,
    /// The place in `records` of the first record that is yielded.
    start: usize,
    /// How many are yielded.
    count: usize,
}

impl BatchRecords {
    /// Checks all of a batch's `records`, decompressed, and yields those from offset `from` on.
    pub(super) fn check(
        header: &BatchHeader,
        records: Slice,
        from: Offset,
    ) -> Result<BatchRecords, Corruption> {
        let origin = Origin::new(header);
        let mut cursor = Cursor::new(&records, 0);
        let mut next_offset = header.base_offset();
        let (mut start, mut skipped) = (0, 0);
        for _ in 0..header.record_count() {
            let record = cursor.whole_record(&origin)?;
            // The last offset of all has none behind it, but it can only be the last record's.
            if record.offset() < next_offset {
                let value = record.offset().to_i64() - header.base_offset().to_i64();
                return Err(Corruption::Field { field: "offsetDelta", value });
            }
            next_offset = record.offset().next();
            if record.offset() < from {
                start = records.len() - cursor.left();
                skipped += 1;
            }
        }
        if cursor.left() > 0 {
            let (bytes, records) = (cursor.left() as u64, header.record_count().into());
            return Err(Corruption::TrailingBytes { bytes, records });
        }
        let count = header.record_count() as usize - skipped;
        Ok(BatchRecords { records, origin, start, count })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none: compaction may leave a batch empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records, in the order of their offsets.
    #[must_use]
    pub fn iter(&self) -> BatchRecordsIter<'_> {
        BatchRecordsIter {
            cursor: Cursor::new(&self.records, self.start),
            origin: self.origin,
            count: self.count,
        }
    }

    /// Takes the first `count` records off, or all if there are fewer. Reads over what it takes.
    pub(crate) fn split_front(&mut self, count: usize) -> BatchRecords {
        let mut front = self.clone();
        front.count = self.count.min(count);
        let mut iter = front.iter();
        iter.by_ref().for_each(drop);
        self.start = self.records.len() - iter.cursor.left();
        self.count -= front.count;
        front
    }
}

impl<'a> IntoIterator for &'a BatchRecords {
    type Item = RecordView<'a>;
    type IntoIter = BatchRecordsIter<'a>;

    fn into_iter(self) -> BatchRecordsIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for BatchRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterates over the records of a batch; see [`BatchRecords::iter`].
#[derive(Debug, Clone)]
pub struct BatchRecordsIter<'a> {
    cursor: Cursor<'a>,
    origin: Origin,
    count: usize,
}

impl<'a> Iterator for BatchRecordsIter<'a> {
    type Item = RecordView<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordView<'a>> {
        self.count = self.count.checked_sub(1)?;
        self.cursor.record(&self.origin).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for BatchRecordsIter<'_> {}

impl FusedIterator for BatchRecordsIter<'_> {}
