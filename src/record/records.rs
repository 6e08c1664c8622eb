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
        let (mut start, mut skipped) = (0, 0);
        check_records(header, &records, |record, end| {
            if record.offset() < from {
                start = end;
                skipped += 1;
            }
        })?;
        let count = header.record_count() as usize - skipped;
        Ok(BatchRecords { records, origin: Origin::new(header), start, count })
    }

    /// As [`check`](Self::check), cut in two: the first `count` records and the rest. Finding the place of the cut on the
    /// way costs less than going there afterwards, as [`split_to`](Self::split_to) does.
    pub(super) fn check_in_two(
        header: &BatchHeader,
        records: Slice,
        from: Offset,
        count: usize,
    ) -> Result<(BatchRecords, BatchRecords), Corruption> {
        let (mut start, mut skipped, mut cut, mut taken) = (0, 0, 0, 0);
        check_records(header, &records, |record, end| {
            if record.offset() < from {
                (start, cut) = (end, end);
                skipped += 1;
            } else if taken < count {
                cut = end;
                taken += 1;
            }
        })?;
        let left = header.record_count() as usize - skipped - taken;
        let origin = Origin::new(header);
        let front = BatchRecords { records: records.clone(), origin, start, count: taken };
        Ok((front, BatchRecords { records, origin, start: cut, count: left }))
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

    /// Takes the first `count` records off the front, or all if there are fewer. Both halves share the bytes.
    ///
    /// Costs a step from length to length for each record taken, and no look at its fields.
    pub(crate) fn split_to(&mut self, count: usize) -> BatchRecords {
        let front = BatchRecords { records: self.records.clone(), count: count.min(self.count), ..*self };
        self.count -= front.count;
        if !self.is_empty() {
            let mut cursor = Cursor::new(&self.records, self.start);
            for _ in 0..front.count {
                cursor.skip_record().expect("every record was checked");
            }
            self.start = cursor.place();
        }
        front
    }

    /// The one record at a place that [`BatchRecordsIter::place`] gave. The bytes are shared.
    pub(crate) fn one_at(&self, place: usize) -> BatchRecords {
        BatchRecords { records: self.records.clone(), start: place, count: 1, ..*self }
    }

    /// How many bytes they take, decompressed, with those of the batch that are not yielded.
    pub(crate) fn bytes(&self) -> usize {
        self.records.len()
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

impl BatchRecordsIter<'_> {
    /// Where the next record stands; see [`BatchRecords::one_at`].
    #[inline]
    pub(crate) fn place(&self) -> usize {
        self.cursor.place()
    }
}

impl<'a> Iterator for BatchRecordsIter<'a> {
    type Item = RecordView<'a>;

    // As for what it calls.
    #[inline(always)]
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

/// Checks all of a batch's `records`, decompressed. `visit` sees each on the way, and the place behind it.
#[inline]
pub(super) fn check_records(
    header: &BatchHeader,
    records: &[u8],
    mut visit: impl FnMut(RecordView<'_>, usize),
) -> Result<(), Corruption> {
    let origin = Origin::new(header);
    let mut cursor = Cursor::new(records, 0);
    let mut previous = None;
    for _ in 0..header.record_count() {
        let record = cursor.whole_record(&origin)?;
        // Not by the offset behind the previous one: the last offset of all has none.
        if previous.is_some_and(|previous| record.offset() <= previous) {
            let value = record.offset().to_i64() - header.base_offset().to_i64();
            return Err(Corruption::Field { field: "offsetDelta", value });
        }
        previous = Some(record.offset());
        visit(record, records.len() - cursor.left());
    }
    if cursor.left() > 0 {
        let (bytes, records) = (cursor.left() as u64, header.record_count().into());
        return Err(Corruption::TrailingBytes { bytes, records });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Timestamp;
    use crate::record::batch::RecordBatch;
    use crate::record::builder::BatchBuilder;
    use crate::record::compression::Compression;
    use crate::record::header::BATCH_HEADER_BYTES;
    use crate::record::record::Record;

    fn batch(count: u8) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::None);
        for value in 0..count {
            builder.append(&Record::new().value(&[value]), Timestamp::from_millis(0)).unwrap();
        }
        RecordBatch::decode(builder.build().unwrap().bytes()).unwrap()
    }

    fn values(records: &BatchRecords) -> Vec<u8> {
        assert_eq!(records.iter().len(), records.len());
        records.iter().map(|record| record.value().unwrap()[0]).collect()
    }

    #[test]
    fn a_read_from_inside_a_batch_yields_what_follows() {
        for from in 0..=5 {
            let records = batch(4).starting_at(Offset::from(u32::from(from))).records().unwrap();
            assert_eq!(values(&records), (from..4).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_record_is_had_from_its_place() {
        let whole = batch(3).records().unwrap();
        let mut records = whole.iter();
        for value in 0..3 {
            let place = records.place();
            records.next();
            assert_eq!(values(&whole.one_at(place)), [value]);
        }
    }

    #[test]
    fn a_front_that_is_taken_off_and_what_is_left_are_the_whole() {
        for from in 0..=5_u8 {
            for count in 0..=6 {
                let whole = batch(5).starting_at(Offset::from(u32::from(from))).records().unwrap();
                let mut rest = whole.clone();
                let front = rest.split_to(count);
                let at_once =
                    batch(5).starting_at(Offset::from(u32::from(from))).records_in_two(count).unwrap();
                assert_eq!((values(&at_once.0), values(&at_once.1)), (values(&front), values(&rest)));
                assert_eq!(front.len(), count.min(5 - usize::from(from)));
                assert_eq!([values(&front), values(&rest)].concat(), values(&whole));
                let offsets = |records: &BatchRecords| records.iter().map(|record| record.offset()).last();
                assert!(rest.is_empty() || offsets(&rest) == offsets(&whole));
                let bytes = |records: &BatchRecords| records.records.as_ptr_range();
                assert_eq!(bytes(&front), bytes(&rest), "nothing is copied");
            }
        }
    }

    #[test]
    fn a_front_is_taken_off_again_and_again() {
        let mut rest = batch(7).records().unwrap();
        let fronts: Vec<_> = (0..4).map(|_| values(&rest.split_to(2))).collect();
        assert_eq!(fronts, [&[0, 1][..], &[2, 3], &[4, 5], &[6]]);
        assert!(rest.is_empty() && rest.split_to(1).is_empty());
    }

    #[test]
    fn a_record_is_copied_out_of_the_loop_that_found_it() {
        fn first(records: &BatchRecords) -> Option<RecordView<'_>> {
            let found = records.iter().next()?;
            let copy = found;
            assert_eq!(found.offset(), copy.offset());
            Some(copy)
        }
        assert_eq!(first(&batch(1).records().unwrap()).unwrap().value(), Some(&[0][..]));
    }

    #[test]
    fn an_uncompressed_batch_is_not_copied() {
        let batch = batch(1);
        let records = batch.records().unwrap();
        let value = records.iter().next().unwrap().value().unwrap();
        assert!(batch.bytes().as_ptr_range().contains(&value.as_ptr()));
    }

    #[test]
    fn records_outlive_their_batch_on_any_thread() {
        fn check<T: Send + Sync + Clone + 'static>(_: &T) {}
        let records = batch(2).records().unwrap();
        check(&records);
        assert_eq!(values(&records), [0, 1]);
    }

    /// Checks made-up records under the header of a batch of so many.
    fn refusal(count: u8, records: &[u8]) -> Corruption {
        let header = *batch(count).header();
        BatchRecords::check(&header, Slice::from(records.to_vec()), Offset::ZERO).unwrap_err()
    }

    #[test]
    fn records_that_cannot_be_are_refused() {
        let field = |value| Corruption::Field { field: "offsetDelta", value };
        let length =
            |field, length, position, available| Corruption::Length { field, length, position, available };
        // length, attributes, time, offset, key, value, headers
        let good = b"\x0c\x00\x00\x00\x01\x01\x00";
        assert_eq!(refusal(1, b""), Corruption::Varint { position: 0 });
        assert_eq!(refusal(1, b"\x0c\x00"), length("record", 6, 1, 1));
        assert_eq!(refusal(1, b"\x01\x00"), length("record", -1, 1, 1));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x02\x01\x01\x00"), field(1));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x01\x01\x01\x00"), field(-1));
        assert_eq!(refusal(2, &[&good[..], good].concat()), field(0));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x00\x06\x01\x00"), length("key", 3, 5, 2));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x00\x03\x01\x00"), length("key", -2, 5, 2));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x00\x01\x04\x00"), length("value", 2, 6, 1));
        assert_eq!(refusal(1, b"\x0c\x00\x00\x00\x01\x01\x02"), length("header count", 1, 7, 0));
        assert_eq!(
            refusal(1, b"\x0e\x00\x00\x00\x01\x01\x00\xff"),
            length("unused part of a record", 1, 7, 1)
        );
        assert_eq!(
            refusal(1, &[&good[..], b"\xff"].concat()),
            Corruption::TrailingBytes { bytes: 1, records: 1 }
        );
        let header = |bytes: &[u8]| refusal(1, &[b"\x12\x00\x00\x00\x01\x01\x02", bytes].concat());
        assert_eq!(header(b"\x02\xff\x01"), Corruption::HeaderName { position: 8 });
        assert_eq!(header(b"\x01\x01\x01"), length("header name", -1, 8, 2));
        assert_eq!(header(b"\x00\x01\x01"), length("unused part of a record", 1, 9, 1));
    }

    #[test]
    fn the_last_offset_of_all_is_one_records_only() {
        let mut header = *batch(2).header();
        header.base_offset = Offset::from_i64(i64::MAX - 1).unwrap();
        let twice = b"\x0c\x00\x00\x02\x01\x01\x00".repeat(2);
        let error = BatchRecords::check(&header, Slice::from(twice), Offset::ZERO).unwrap_err();
        assert_eq!(error, Corruption::Field { field: "offsetDelta", value: 1 });
    }

    #[test]
    fn a_slice_that_is_more_or_less_than_a_batch_is_refused() {
        let whole = batch(1).bytes().to_vec();
        let parse = |bytes: Vec<u8>| RecordBatch::parse(Slice::from(bytes)).unwrap_err();
        let (needed, available) = (whole.len() as u64, BATCH_HEADER_BYTES as u64);
        let longer = [&whole[..], b"\0"].concat();
        assert_eq!(parse(whole[..BATCH_HEADER_BYTES].to_vec()), Corruption::Truncated { needed, available });
        assert_eq!(parse(longer), Corruption::TrailingBytes { bytes: 1, records: 1 });
    }
}
