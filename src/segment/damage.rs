//! Where a segment can be read again behind a bad batch.
//!
//! Two things lead past it. The index names the position of a batch behind, and that batch agrees with it and has the right
//! CRC. And the bad batch's own length, which its damage may have spared, leads to the next one, and that one's to the one
//! after it. Lengths are believed only as a whole: they must lead exactly to the batch that the index names, or to the end of
//! the segment, and the offsets that the batches on the way say they hold must add up to the one there. Nothing is looked
//! for by its looks: a value may hold bytes that are a perfect batch, and a length that was damaged may point to them.
//!
//! Invariants: what is found lies behind the bad batch, and is a sound batch that continues the log, or the segment's end;
//! nothing between was found sound. The work is bounded by the segment.

use super::entries::OffsetEntry;
use super::log_segment::{LogSegment, SegmentEnd};
use super::scan::Scan;
use crate::error::Result;
use crate::offset::Offset;
use crate::record::BatchHeader;

/// How much is read around a batch that an index entry names.
const WINDOW_BYTES: usize = 8 << 10;
/// At how many offsets the next batch may begin, as those before it say, until what they say is worth nothing.
const CLAIMS_MAX: usize = 8;

impl LogSegment {
    /// The first sound batch behind the bad one at `bad`, which should begin with the offset there; or the segment's end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io). What cannot be read is not passed over: it may be readable the next time.
    pub(crate) fn readable_behind(&self, bad: SegmentEnd) -> Result<SegmentEnd> {
        let end = self.end();
        let named = self.next_named(bad)?;
        let along = self.along_lengths(bad, named.unwrap_or(end), end)?;
        // A segment that the next one overlaps ends for its readers where that begins.
        let behind = along.or(named).filter(|place| place.offset <= end.offset);
        if behind.is_none()
            && let Some(index) = self.index.load().as_ref()
        {
            // Nothing leads past the damage: what is appended behind it would never be found.
            index.want_entry();
        }
        Ok(behind.unwrap_or(end))
    }

    /// The last batch that the index names, is sound, and begins at or before `from`; or the segment's beginning.
    pub(super) fn sound_place_before(&self, from: Offset) -> Result<SegmentEnd> {
        let beginning = SegmentEnd { position: 0, offset: self.base() };
        let Some(delta) = self.delta_of(from) else { return Ok(beginning) };
        let Some((last, _)) = self.last_offset_where(|entry| entry.delta <= delta)? else {
            return Ok(beginning);
        };
        for number in (0..=last).rev() {
            if let Some(entry) = self.offset_entry(number)?
                && let Some(place) = self.sound_at(entry, beginning)?
                && place.offset <= from
            {
                return Ok(place);
            }
        }
        Ok(beginning)
    }

    /// The first batch behind `bad` that the index names and that is sound.
    fn next_named(&self, bad: SegmentEnd) -> Result<Option<SegmentEnd>> {
        let is_at_or_before = |entry: OffsetEntry| u64::from(entry.position) <= bad.position;
        let first = self.last_offset_where(is_at_or_before)?.map_or(0, |(number, _)| number + 1);
        for number in first..self.offset_count()? {
            let Some(entry) = self.offset_entry(number)? else { break };
            let found = self.sound_at(entry, bad)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Where the batch stands that an entry names, if it is sound, agrees, and lies behind `before`.
    fn sound_at(&self, entry: OffsetEntry, before: SegmentEnd) -> Result<Option<SegmentEnd>> {
        let (position, end) = (u64::from(entry.position), self.end().position);
        if position <= before.position || position >= end {
            return Ok(None);
        }
        let mut scan =
            Scan::new(self.log(), self.base(), position..end, before.offset).with_window(WINDOW_BYTES);
        let Some(head) = scan.head()? else { return Ok(None) };
        let agrees = |header: &BatchHeader| {
            header.base_offset() > before.offset && self.delta_of(header.last_offset()) == Some(entry.delta)
        };
        let Some(header) = BatchHeader::parse(&head).ok().filter(agrees) else { return Ok(None) };
        let batch = scan.sound_batch(header.total_bytes())?;
        Ok(batch.map(|batch| SegmentEnd { position, offset: batch.base_offset() }))
    }

    /// The first sound batch on the way along lengths from `bad` to `target`, if there is one and they lead there.
    fn along_lengths(
        &self,
        bad: SegmentEnd,
        target: SegmentEnd,
        end: SegmentEnd,
    ) -> Result<Option<SegmentEnd>> {
        let mut scan = Scan::new(self.log(), self.base(), bad.position..target.position, bad.offset);
        let mut claims = vec![bad.offset];
        let mut found = None;
        // A segment that is appended to may end, by the time that its position was looked at, behind the offset that was.
        let mut has_passed_end = false;
        while scan.position() < target.position {
            let Some(head) = scan.head()? else { return Ok(None) };
            let left = target.position - scan.position();
            let Some(bytes) = BatchHeader::total_bytes_of(&head).filter(|&bytes| bytes <= left) else {
                return Ok(None);
            };
            let fitting =
                BatchHeader::parse(&head).ok().filter(|header| claims.contains(&header.base_offset()));
            let is_at_end = target.position == end.position && claims.contains(&end.offset);
            has_passed_end = fitting.is_some() && (has_passed_end || is_at_end);
            let position = scan.position();
            let is_first = position == bad.position;
            let mut is_sound = false;
            if let Some(header) = fitting
                && !is_first
                && found.is_none()
                && scan.sound_batch(bytes)?.is_some()
            {
                is_sound = true;
                found = Some(SegmentEnd { position, offset: header.base_offset() });
            }
            claims = match fitting {
                Some(header) if is_sound => vec![header.next_offset()],
                Some(header) => claims_behind(&[header.base_offset()], &head),
                None => claims_behind(&claims, &head),
            };
            if claims.is_empty() || claims.len() > CLAIMS_MAX {
                return Ok(None);
            }
            scan.pass_bytes(bytes);
        }
        let leads_there = has_passed_end || claims.contains(&target.offset);
        Ok(found.filter(|_| leads_there))
    }
}

/// Where the next batch may begin: each of `begins`, moved by each of the counts that a batch says of itself.
fn claims_behind(begins: &[Offset], head: &[u8]) -> Vec<Offset> {
    let counts = BatchHeader::claimed_counts(head).into_iter().flatten();
    let mut claims: Vec<Offset> =
        counts.flat_map(|count| begins.iter().map(move |begin| begin.saturating_add(count))).collect();
    claims.sort_unstable();
    claims.dedup();
    claims
}
