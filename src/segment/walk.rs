//! Walking over a segment: to check it, to make its index, to find its end.

use super::index::IndexWriter;
use super::index_files;
use super::log_segment::{LogSegment, SegmentEnd};
use super::scan::{DELTA_MAX, Scan, ScannedBatch};
use crate::error::{Error, Result};
use crate::offset::{LeaderEpoch, Offset};

/// What a walk over a segment found.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The index, complete up to `end`.
    pub(crate) writer: IndexWriter,
    /// Where the walk began.
    pub(crate) start: u64,
    /// Where the good batches end.
    pub(crate) end: SegmentEnd,
    /// How many batches were walked over.
    pub(crate) batches: u64,
    /// The leader epochs on the way, each with the first offset that was seen of it.
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// What is wrong with the batch at `end`, where it is not simply the end.
    pub(crate) bad: Option<Error>,
}

impl LogSegment {
    /// A walk over the whole segment, CRCs checked.
    pub(crate) fn scan(&self) -> Scan<'_> {
        Scan::new(&self.log, self.base, 0..self.end().position, self.base).with_crcs()
    }

    /// Walks over the segment from where its index files can be trusted, making the rest of the index on the way.
    ///
    /// Entries of batches that begin before byte `trusted.position` and end before offset `trusted.offset` are taken from
    /// the files; the last of them is checked against the batch that it names, and where it does not fit, or there is
    /// none, the walk is over everything. A bad batch ends it, and stands in the answer.
    pub(crate) fn walk(&self, trusted: SegmentEnd, interval_bytes: u32) -> Result<Walk> {
        let delta_max = trusted.offset.delta_from(self.base).unwrap_or(0).min(DELTA_MAX + 1);
        let delta_max = delta_max.checked_sub(1).and_then(|delta| u32::try_from(delta).ok());
        let mut writer = IndexWriter::new(self.base, interval_bytes);
        let last = match delta_max {
            Some(delta_max) => {
                let (offsets, times) = (&self.offset_file, &self.time_file);
                // An index that cannot be read is made again.
                index_files::restore(offsets, times, &mut writer, trusted.position, delta_max).unwrap_or(None)
            }
            None => None,
        };
        let start = last.map_or(0, |entry| u64::from(entry.position));
        let mut scan =
            Scan::new(&self.log, self.base, start..self.end().position, self.base).dense().with_crcs();
        if let Some(entry) = last {
            let first = scan.next_header().ok().flatten();
            let named = first.filter(|first| self.delta_of(first.last_offset()) == Some(entry.delta));
            let Some(first) = named else {
                let nothing = SegmentEnd { position: 0, offset: self.base };
                return self.walk(nothing, interval_bytes);
            };
            scan.expect(first.base_offset());
            let before = SegmentEnd { position: start, offset: first.base_offset() };
            match self.largest_since(writer.last_time(), before) {
                Ok(largest) => writer.set_largest(largest),
                // What is damaged there says so to whoever reads it.
                Err(error) if error.is_corruption() => {}
                Err(error) => return Err(error),
            }
        }
        let (mut batches, mut epochs) = (0, Vec::new());
        let bad = loop {
            match scan.next() {
                Ok(Some(ScannedBatch { position, batch })) => {
                    writer.note(batch.header(), position);
                    batches += 1;
                    if let Some(epoch) = batch.leader_epoch()
                        && epochs.last().is_none_or(|&(last, _)| last != epoch)
                    {
                        epochs.push((epoch, batch.base_offset()));
                    }
                }
                Ok(None) => break None,
                Err(error) if error.is_corruption() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let end = SegmentEnd { position: scan.position(), offset: scan.expected() };
        Ok(Walk { writer, start, end, batches, epochs, bad })
    }

    /// Where the batches end, looked for from the last index entry on with CRCs checked, and what is wrong with the batch
    /// there, where it is not simply the end.
    pub(crate) fn find_end(&self) -> Result<(SegmentEnd, Option<Error>)> {
        let place = self.indexed_place(DELTA_MAX);
        let end = self.end().position;
        let dense =
            |start: u64| Scan::new(&self.log, self.base, start.min(end)..end, self.base).dense().with_crcs();
        let mut scan = dense(place.position);
        let first = scan.next_header();
        match first {
            Ok(Some(first)) if self.is_at(place, &first) => scan.expect(first.base_offset()),
            Ok(_) | Err(_) => scan = dense(0),
        }
        let bad = loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) if error.is_corruption() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        Ok((SegmentEnd { position: scan.position(), offset: scan.expected() }, bad))
    }

    /// The position of the first batch that ends behind `offset`, or the segment's end.
    pub(crate) fn position_of(&self, offset: Offset) -> Result<u64> {
        let delta = offset.delta_from(self.base).unwrap_or(0);
        let mut scan = Scan::new(
            &self.log,
            self.base,
            self.indexed_place(delta).position..self.end().position,
            self.base,
        );
        while let Some(ScannedBatch { position, batch }) = scan.next()? {
            if batch.next_offset() > offset {
                return Ok(position);
            }
        }
        Ok(scan.position())
    }
}
