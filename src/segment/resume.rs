//! Where a segment can be read again behind a damaged batch: what a salvage may believe. A read believes less, and finds it in `damage.rs`.
//!
//! Three ways, from the surest to the boldest:
//!
//! 1. **Along the lengths.** Where only a batch's body is damaged, its length still leads to the next one.
//! 2. **Along the index.** An entry names the position and the last offset of a batch; both must be right.
//! 3. **Byte by byte**, and only here: a value may hold bytes that look like a batch. What is found so counts only if sound
//!    batches lead from it, without a gap, exactly to a place that is known otherwise: what was found in the first two ways, or
//!    the end of a sealed segment, the durable end. Where nothing does, the one counts that begins at the offset with which the damaged batch says
//!    that it ends, and leads the farthest: to another batch at least, or to the end of the file.
//!
//! Invariants: nothing is believed without its CRC; what is found lies behind the damage in bytes and in offsets; the work is
//! bounded by a multiple of the segment's size.

use std::cmp::Reverse;
use std::ops::Range;

use super::entries::OffsetEntry;
use super::index_files::{entry_count, read_entry};
use super::log_segment::{LogSegment, SegmentEnd};
use super::scan::{Scan, WINDOW_BYTES};
use crate::error::Result;
use crate::offset::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader};
use crate::storage::Slice;

/// How many index entries are tried.
const ENTRIES_MAX: usize = 64;
/// How many batches are passed over along their lengths before the index is asked.
const HOPS_MAX: usize = 1024;
/// How much is read at a time to see where a likely batch leads: few lead anywhere.
const LEAD_WINDOW_BYTES: usize = 8 << 10;
/// How often the bytes of a segment may be read, in either of the ways that a [`SearchBudget`] tells apart.
const SEARCH_FACTOR: u64 = 16;
/// What may be read to see where the likely batches of a small segment lead.
const LEAD_BYTES_MIN: u64 = 16 << 20;
/// What everything else may read: a few seconds' work, and enough for thousands of damages.
const STEP_BYTES_MIN: u64 = 4 << 30;

/// What is known of a segment from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Borders {
    /// The offset with which it should begin.
    pub(crate) begin: Offset,
    /// The offset with which the next segment begins; a batch that reaches behind it is none of this segment's.
    pub(crate) end: Option<Offset>,
    /// Where the log was durable, and so a batch ended.
    pub(crate) durable: Option<Offset>,
}

impl Borders {
    /// Whether a batch, sound as it looks, cannot be what was written: it goes on where the log was durable, and so a batch ended.
    pub(super) fn is_crossed_by(self, header: &BatchHeader) -> bool {
        self.durable.is_some_and(|durable| header.base_offset() < durable && durable < header.next_offset())
    }

    /// Whether a batch that nothing follows is known to end here.
    fn is_end(self, offset: Offset) -> bool {
        self.end.or(self.durable) == Some(offset)
    }
}

/// What may still be read of one segment to get past all its damages: bytes made for harm could send a search over all of it
/// again and again.
#[derive(Debug)]
pub(crate) struct SearchBudget {
    /// For steps along lengths and along the index, and for looking at every byte.
    steps: u64,
    /// For following the batches that were found byte by byte. A value may hold any number of them; they must not use up what
    /// leads past other damages.
    leads: u64,
}

impl SearchBudget {
    /// For a segment of so many bytes.
    pub(crate) fn of(segment_bytes: u64) -> SearchBudget {
        let bytes = segment_bytes.saturating_mul(SEARCH_FACTOR);
        SearchBudget { steps: bytes.max(STEP_BYTES_MIN), leads: bytes.max(LEAD_BYTES_MIN) }
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.steps = self.steps.saturating_sub(bytes);
    }

    fn spend_on_lead(&mut self, bytes: u64) {
        self.leads = self.leads.saturating_sub(bytes);
    }

    fn is_spent(&self) -> bool {
        self.steps == 0
    }

    fn has_leads(&self) -> bool {
        self.steps > 0 && self.leads > 0
    }
}

/// Where sound batches lead from a place.
#[derive(Debug, PartialEq, Eq)]
enum Lead {
    /// There is none at that place, or it stands alone.
    Nowhere,
    /// Up to this byte, where something else stands, or the file ends.
    Upto(u64),
    /// Exactly to a place that is known otherwise.
    ToWhatIsKnown,
}

/// What stands behind a batch.
#[derive(Debug, PartialEq, Eq)]
enum Follower {
    /// A sound batch with the next offset.
    Sound,
    /// Nothing any more.
    End,
    /// A damaged batch.
    Damaged,
    /// A batch of other offsets: one of the two is not what it says.
    Contradiction,
}

impl LogSegment {
    /// The first place behind the damage at `at` where a sound batch stands, with its base offset. `None`: there is none up
    /// to the segment's end.
    pub(super) fn resume(
        &self,
        at: SegmentEnd,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Option<SegmentEnd>> {
        if budget.is_spent() {
            return Ok(None);
        }
        if self.is_behind_a_gap(at, borders, budget)? {
            return Ok(self.sound_header_at(at, borders, budget)?.map(|header| place(at.position, &header)));
        }
        let hopped = self.hop_along_lengths(at, borders, budget)?;
        if let Some((next, true)) = hopped {
            return Ok(Some(next));
        }
        let known = match hopped {
            Some((next, _)) => Some(next),
            None => self.hop_along_index(at, borders, budget)?,
        };
        Ok(self.byte_by_byte(at, known, borders, budget)?.or(known))
    }

    /// Whether the batch at `at` is sound but for the offsets that are missing in front of it. One alone is not believed:
    /// its base offset is outside its CRC.
    fn is_behind_a_gap(&self, at: SegmentEnd, borders: Borders, budget: &mut SearchBudget) -> Result<bool> {
        let Some(header) = self.sound_header_at(at, borders, budget)? else { return Ok(false) };
        Ok(header.base_offset() > at.offset
            && match self.follower(at.position, &header, budget)? {
                Follower::Sound => true,
                Follower::End => borders.is_end(header.next_offset()),
                Follower::Damaged | Follower::Contradiction => false,
            })
    }

    /// The next sound batch along the lengths of the batches from `at` on, and whether nothing can lie in between.
    fn hop_along_lengths(
        &self,
        at: SegmentEnd,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Option<(SegmentEnd, bool)>> {
        let mut position = at.position;
        let mut expected = Some(at.offset);
        for _ in 0..HOPS_MAX {
            if budget.is_spent() {
                break;
            }
            let head = self.head_at(position)?;
            let Some(bytes) = BatchHeader::total_bytes_of(&head) else { break };
            // Whether all so far say of themselves that they follow each other without a gap.
            let claimed = BatchHeader::claimed_offsets(&head);
            expected = claimed.filter(|claimed| expected == Some(claimed.start)).map(|claimed| claimed.end);
            position = position.saturating_add(bytes);
            let next = SegmentEnd { position, offset: at.offset };
            let Some(header) = self.sound_header_at(next, borders, budget)? else { continue };
            let is_exact = expected == Some(header.base_offset());
            if self.is_credible(position, &header, is_exact, borders, budget)? {
                return Ok(Some((place(position, &header), is_exact)));
            }
        }
        Ok(None)
    }

    /// The next sound batch that an index entry names.
    fn hop_along_index(
        &self,
        at: SegmentEnd,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Option<SegmentEnd>> {
        for entry in self.entries_behind(at.position).unwrap_or_default() {
            let next = SegmentEnd { position: entry.position.into(), offset: at.offset };
            if let Some(header) = self.sound_header_at(next, borders, budget)?
                && self.delta_of(header.last_offset()) == Some(entry.delta)
                && self.is_credible(next.position, &header, true, borders, budget)?
            {
                return Ok(Some(place(next.position, &header)));
            }
        }
        Ok(None)
    }

    /// The first few entries of the offset index that name a place behind `position`.
    fn entries_behind(&self, position: u64) -> Result<Vec<OffsetEntry>> {
        let memory = self.index.load_full();
        let count = match &memory {
            Some(index) => index.offset_count(),
            None => entry_count::<OffsetEntry>(&self.offset_file)?,
        };
        let entry = |index| match &memory {
            Some(memory) => Ok(memory.offset_entry(index)),
            None => read_entry::<OffsetEntry>(&self.offset_file, index),
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match entry(middle)? {
                Some(found) if u64::from(found.position) <= position => low = middle + 1,
                _ => high = middle,
            }
        }
        (low..count.min(low + ENTRIES_MAX)).filter_map(|index| entry(index).transpose()).collect()
    }

    /// The first sound batch between `at` and `known` from which sound ones lead to what is known; or else the one that carries
    /// on where the damaged one says that it ends.
    fn byte_by_byte(
        &self,
        at: SegmentEnd,
        known: Option<SegmentEnd>,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Option<SegmentEnd>> {
        let end = self.end().position;
        let stop = known.map_or(end, |known| known.position);
        let claimed = self.claimed_next(at)?;
        let mut next = None;
        let mut window_start = at.position + 1;
        while window_start < stop && budget.has_leads() {
            // Windows overlap by a header, so that none is cut in two.
            let window_end = end.min(window_start.saturating_add((WINDOW_BYTES + BATCH_HEADER_BYTES) as u64));
            let window = self.log.slice(window_start..window_end)?;
            budget.spend(window_end - window_start);
            let searched = stop.min(window_start.saturating_add(WINDOW_BYTES as u64)) - window_start;
            for (distance, head) in window.windows(BATCH_HEADER_BYTES).enumerate() {
                let distance = distance as u64;
                if distance >= searched {
                    break;
                }
                let position = window_start + distance;
                let Some(header) = likely_header(head, end - position, at.offset, borders) else { continue };
                let candidate = SegmentEnd { position, offset: header.base_offset() };
                match self.lead(candidate, known, borders, budget)? {
                    Lead::ToWhatIsKnown => return Ok(Some(candidate)),
                    Lead::Upto(reached) if claimed == Some(candidate.offset) => {
                        // A batch inside a value can claim this too, but leads nowhere.
                        next = next.max(Some((reached, Reverse(position), candidate)));
                    }
                    Lead::Upto(_) | Lead::Nowhere => {}
                }
                if !budget.has_leads() {
                    break;
                }
            }
            window_start += searched;
        }
        Ok(next.map(|(_, _, candidate)| candidate))
    }

    /// The offset that follows the damaged batch at `at` by what its own header says, whatever its length field is.
    fn claimed_next(&self, at: SegmentEnd) -> Result<Option<Offset>> {
        let head = self.head_at(at.position)?;
        let claimed = BatchHeader::claimed_offsets(&head);
        Ok(claimed.filter(|claimed| claimed.start == at.offset).map(|claimed| claimed.end))
    }

    /// How far sound batches lead from `candidate` on.
    fn lead(
        &self,
        candidate: SegmentEnd,
        known: Option<SegmentEnd>,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Lead> {
        let end = self.end().position;
        let mut scan = self.sound_scan(candidate, end).with_window(LEAD_WINDOW_BYTES);
        let (mut batches, mut paid) = (0, 0);
        loop {
            let before = scan.position();
            let found = scan.next();
            budget.spend_on_lead(scan.bytes_read() - paid);
            paid = scan.bytes_read();
            match found {
                Ok(Some(_)) => batches += 1,
                // Only an end that is known from elsewhere: zeros may stand behind a batch inside a value too.
                Ok(None) if known.is_none() && borders.is_end(scan.expected()) => {
                    return Ok(Lead::ToWhatIsKnown);
                }
                Err(error) if !error.is_corruption() => return Err(error),
                Ok(None) | Err(_) => {
                    let is_believed = batches > 1 || (batches == 1 && before == end);
                    return Ok(if is_believed { Lead::Upto(before) } else { Lead::Nowhere });
                }
            }
            let reached = SegmentEnd { position: scan.position(), offset: scan.expected() };
            match known {
                Some(known) if reached == known => return Ok(Lead::ToWhatIsKnown),
                _ if !budget.has_leads() => return Ok(Lead::Nowhere),
                Some(_) | None => {}
            }
        }
    }

    /// The bytes that would be a header at `position`; fewer at the end of the file.
    fn head_at(&self, position: u64) -> Result<Slice> {
        let end = self.end().position.min(position.saturating_add(BATCH_HEADER_BYTES as u64));
        if position >= end { Ok(Slice::default()) } else { self.log.slice(position..end) }
    }

    /// The sound batch at a place, if it begins at or behind the offset there and ends before the next segment.
    fn sound_header_at(
        &self,
        at: SegmentEnd,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<Option<BatchHeader>> {
        let end = self.end().position;
        if at.position >= end {
            return Ok(None);
        }
        let mut scan = self.step_scan(at.position..end, at.offset);
        let found = scan.next();
        budget.spend(scan.bytes_read());
        match found {
            Ok(found) => Ok(found
                .map(|found| *found.batch.header())
                .filter(|header| borders.end.is_none_or(|end| header.next_offset() <= end))),
            Err(error) if error.is_corruption() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether what follows a sound batch speaks for it; where its place and its offset are `exact`, that it does not speak
    /// against it.
    fn is_credible(
        &self,
        position: u64,
        header: &BatchHeader,
        is_exact: bool,
        borders: Borders,
        budget: &mut SearchBudget,
    ) -> Result<bool> {
        Ok(match self.follower(position, header, budget)? {
            Follower::Sound => true,
            Follower::End => is_exact || borders.is_end(header.next_offset()),
            Follower::Damaged => is_exact,
            Follower::Contradiction => false,
        })
    }

    /// What stands behind the batch at `position`.
    fn follower(&self, position: u64, header: &BatchHeader, budget: &mut SearchBudget) -> Result<Follower> {
        let end = self.end().position;
        let mut scan = self.step_scan(end.min(position + header.total_bytes())..end, Offset::ZERO);
        let found = scan.next();
        budget.spend(scan.bytes_read());
        match found {
            Ok(Some(found)) if found.batch.base_offset() == header.next_offset() => Ok(Follower::Sound),
            Ok(Some(_)) => Ok(Follower::Contradiction),
            Ok(None) => Ok(Follower::End),
            Err(error) if error.is_corruption() => Ok(Follower::Damaged),
            Err(error) => Err(error),
        }
    }

    /// A walk that is over after one batch, and reads no more than that.
    fn step_scan(&self, range: Range<u64>, expected: Offset) -> Scan<'_> {
        Scan::new(&self.log, self.base, range, expected).with_crcs().with_window(BATCH_HEADER_BYTES)
    }

    /// A walk from a place that is known, demanding that nothing is missing.
    pub(super) fn sound_scan(&self, from: SegmentEnd, end: u64) -> Scan<'_> {
        Scan::new(&self.log, self.base, from.position..end, from.offset).dense().with_crcs()
    }
}

fn place(position: u64, header: &BatchHeader) -> SegmentEnd {
    SegmentEnd { position, offset: header.base_offset() }
}

/// The header that these bytes are, if they can be one here: cheap, because every byte of a segment may be asked for.
fn likely_header(head: &[u8], left: u64, from: Offset, borders: Borders) -> Option<BatchHeader> {
    let header = BatchHeader::parse(head).ok()?;
    let fits = header.total_bytes() <= left
        && header.base_offset() >= from
        && borders.end.is_none_or(|end| header.next_offset() <= end);
    fits.then_some(header)
}
