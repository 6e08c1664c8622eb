//! The entries of the two indexes, and how one is found.
//!
//! Both indexes are sorted lists without header or checksum, all numbers big-endian: they can be rebuilt from the log,
//! and an answer is checked against the batch that it names before it is believed.
//!
//! ```text
//! .index, 8 bytes an entry                     .timeindex, 12 bytes an entry
//! 0         4          8                       0                   8         12
//! +---------+----------+                       +-------------------+---------+
//! | delta   | position |                       | timestamp         | delta   |
//! +---------+----------+                       +-------------------+---------+
//!
//! delta      last offset of a batch, less the segment's base offset
//! position   byte in the .log file where that batch starts
//! timestamp  largest timestamp in the segment so far, held by the batch whose last offset is named
//! ```
//!
//! Invariants: delta and position strictly increase in the one, timestamp and delta in the other.

use crate::error::Result;

/// One entry of the offset index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) delta: u32,
    pub(crate) position: u32,
}

/// One entry of the time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) delta: u32,
}

/// Something that stands in an index file.
pub(crate) trait Entry: Copy {
    /// Its size in the file.
    const BYTES: usize;

    /// Appends its bytes.
    fn write(self, output: &mut Vec<u8>);

    /// Reads it back, or `None` where there are not exactly [`BYTES`](Self::BYTES) of them.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Entry for OffsetEntry {
    const BYTES: usize = size_of::<u32>() + size_of::<u32>();

    fn write(self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.delta.to_be_bytes());
        output.extend_from_slice(&self.position.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<OffsetEntry> {
        let (delta, position) = bytes.split_first_chunk()?;
        let position = position.try_into().ok()?;
        Some(OffsetEntry { delta: u32::from_be_bytes(*delta), position: u32::from_be_bytes(position) })
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = size_of::<i64>() + size_of::<u32>();

    fn write(self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.timestamp.to_be_bytes());
        output.extend_from_slice(&self.delta.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<TimeEntry> {
        let (timestamp, delta) = bytes.split_first_chunk()?;
        let delta = delta.try_into().ok()?;
        Some(TimeEntry { timestamp: i64::from_be_bytes(*timestamp), delta: u32::from_be_bytes(delta) })
    }
}

/// The last of `count` sorted entries for which `is_before_or_at` holds, with its index, by binary search.
///
/// `entry` may be asked for any index below `count`; `Ok(None)` from it ends the search without an answer.
pub(crate) fn last_where<E: Copy>(
    count: usize,
    entry: impl Fn(usize) -> Result<Option<E>>,
    is_before_or_at: impl Fn(E) -> bool,
) -> Result<Option<(usize, E)>> {
    let (mut low, mut high) = (0, count);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match entry(middle)? {
            Some(candidate) if is_before_or_at(candidate) => {
                found = Some((middle, candidate));
                low = middle + 1;
            }
            Some(_) => high = middle,
            None => return Ok(None),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_kafkas_bytes() {
        let mut bytes = Vec::new();
        OffsetEntry { delta: 0x0102_0304, position: 0x0506_0708 }.write(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.clear();
        TimeEntry { timestamp: -1, delta: 7 }.write(&mut bytes);
        assert_eq!(bytes, [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 7]);
        assert_eq!(TimeEntry::read(&bytes), Some(TimeEntry { timestamp: -1, delta: 7 }));
        assert_eq!(TimeEntry::read(&bytes[1..]), None);
        assert_eq!(OffsetEntry::read(&bytes), None);
    }

    #[test]
    fn search_finds_the_last_at_or_before() {
        let keys = [3, 5, 9];
        for count in 0..=keys.len() {
            for target in 0..12 {
                let found = last_where(count, |i| Ok(Some(keys[i])), |key| key <= target).unwrap();
                let expected = keys[..count].iter().rposition(|&key| key <= target);
                assert_eq!(found, expected.map(|index| (index, keys[index])));
            }
        }
    }
}
