//! The contents of one file in memory: immutable blocks, by position, with gaps that read as zeros.
//!
//! A write adds one block and cuts away what it covers of the others, by narrowing their slices; no block ever
//! changes, so a slice that a reader holds is never overwritten. A read inside one block shares it; a read over
//! several, or over a gap, copies them together.
//!
//! Many small appends would leave many small blocks, each with an entry here and an allocation of its own. So a block
//! that continues a smaller one, or one up to twice its size, is merged with it while the whole stays within
//! [`MERGED_BYTES_MAX`]: a byte is copied about as often as the block's size doubles, and the small blocks before a
//! large one number about as many as there are doublings. Slices of what was merged keep their memory. Merging does
//! not wait until nobody holds the parts: a reader of the tail always holds them.
//!
//! Memory is bounded by [`Budget`], which counts the bytes of every block until the last slice of it is gone. An
//! overwrite therefore needs its room before the old bytes give theirs back, and a block stays whole for its last
//! visible byte.
//!
//! Invariants: blocks are not empty, do not overlap, and end within the file's length. Nothing survives the process.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::bounds;
use super::pool::Buffer;
use super::slice::Slice;
use crate::sync::{Arc, AtomicU64, Relaxed};

/// The largest block that merging makes.
const MERGED_BYTES_MAX: u64 = 64 << 10;

/// The memory that blocks may take together.
#[derive(Debug)]
pub(super) struct Budget {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit_bytes: u64) -> Budget {
        Budget { limit_bytes, used_bytes: AtomicU64::new(0) }
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Relaxed)
    }

    /// Copies `parts` into one new block; `StorageFull` where the limit does not allow it.
    pub(super) fn block<'a>(
        self: &Arc<Self>,
        bytes: u64,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<Slice> {
        let reserve = |used: u64| used.checked_add(bytes).filter(|&used| used <= self.limit_bytes);
        if self.used_bytes.fetch_update(Relaxed, Relaxed, reserve).is_err() {
            let text = format!("{bytes} bytes do not fit into a memory of {}", self.limit_bytes);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        // From here on, dropping the block gives the room back.
        let mut block = Block { bytes: Vec::new(), reserved_bytes: bytes, budget: Arc::clone(self) };
        block.bytes.reserve_exact(usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull)?);
        parts.for_each(|part| block.bytes.extend_from_slice(part));
        Ok(Slice::from_owner(block))
    }
}

/// What the slices of a block share.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    reserved_bytes: u64,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.reserved_bytes, Relaxed);
    }
}

/// The blocks of one file.
#[derive(Debug, Default)]
pub(super) struct Extents {
    bytes: u64,
    /// By the position of their first byte.
    blocks: BTreeMap<u64, Slice>,
}

impl Extents {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Cuts the file, or grows it with a gap.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.clear(bytes..self.bytes.max(bytes));
        self.bytes = bytes;
    }

    /// Makes a gap of `range`, and grows the file to its end.
    pub(super) fn zero(&mut self, range: Range<u64>) {
        self.grow_to(range.end);
        self.clear(range);
    }

    /// Grows the file with a gap, unless it is as long already.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        self.bytes = self.bytes.max(bytes);
    }

    /// Puts a block at `position`, in place of what was there. The caller has checked where it ends.
    pub(super) fn insert(&mut self, position: u64, block: Slice, budget: &Arc<Budget>) {
        let end = position + block.len() as u64;
        self.grow_to(end);
        self.clear(position..end);
        let (start, block) = self.merged(position, block, budget);
        self.clear(start..position);
        self.blocks.insert(start, block);
    }

    /// The whole of `range` as a part of one block, where it lies in one.
    pub(super) fn shared(&self, range: &Range<u64>) -> Option<Slice> {
        let (&position, block) = self.blocks.range(..=range.start).next_back()?;
        block.slice(index(range.start - position)..index(range.end - position))
    }

    /// The blocks that have a part of `range`, in order, with their positions.
    pub(super) fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, &Slice)> {
        let before = self.blocks.range(..range.start).next_back().map(|(&position, _)| position);
        let first = before.unwrap_or(range.start);
        let start = range.start;
        let blocks =
            self.blocks.range(first..range.end.max(first)).map(|(&position, block)| (position, block));
        blocks.filter(move |(position, block)| position + block.len() as u64 > start)
    }

    /// The block with those before it that it should be merged with, and where the whole begins. Without room for
    /// the copy the block stays alone.
    fn merged(&self, position: u64, block: Slice, budget: &Arc<Budget>) -> (u64, Slice) {
        let (mut start, mut bytes) = (position, block.len() as u64);
        let mut run = vec![];
        for (&before, part) in self.blocks.range(..position).rev() {
            let part_bytes = part.len() as u64;
            let continues = before + part_bytes == start;
            if !continues || part_bytes / 2 > bytes || bytes + part_bytes > MERGED_BYTES_MAX {
                break;
            }
            (start, bytes) = (before, bytes + part_bytes);
            run.push(part);
        }
        if run.is_empty() {
            return (position, block);
        }
        let parts = run.into_iter().rev().chain([&block]).map(|part| &part[..]);
        budget.block(bytes, parts).map_or((position, block.clone()), |whole| (start, whole))
    }

    /// Drops what lies in `range`, narrowing the blocks at its borders.
    fn clear(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touched: Vec<u64> = self.overlapping(&range).map(|(position, _)| position).collect();
        for position in touched {
            let Some(block) = self.blocks.remove(&position) else { continue };
            let end = position + block.len() as u64;
            if position < range.start {
                self.keep(position, block.slice(0..index(range.start - position)));
            }
            if end > range.end {
                self.keep(range.end, block.slice(index(range.end - position)..block.len()));
            }
        }
    }

    fn keep(&mut self, position: u64, part: Option<Slice>) {
        if let Some(part) = part {
            self.blocks.insert(position, part);
        }
    }
}

/// Copies the parts of `range` that `blocks` have into one buffer, and zeros between them.
pub(super) fn assemble(range: &Range<u64>, blocks: &[(u64, Slice)]) -> io::Result<Slice> {
    let mut buffer = Buffer::take(bounds::buffer_bytes(range.end - range.start)?);
    let target = buffer.as_mut();
    let mut filled = 0;
    for (position, block) in blocks {
        let end = position + block.len() as u64;
        let (from, to) = (range.start.max(*position), range.end.min(end));
        let source = block.get(index(from - position)..index(to - position)).unwrap_or_default();
        let place = index(from - range.start);
        target.get_mut(filled..place).unwrap_or_default().fill(0);
        filled = place + source.len();
        target.get_mut(place..filled).unwrap_or_default().copy_from_slice(source);
    }
    target.get_mut(filled..).unwrap_or_default().fill(0);
    Ok(buffer.freeze())
}

/// A distance inside a block, or inside a buffer, as an index.
fn index(distance: u64) -> usize {
    // Blocks and buffers are in memory; a distance outside them must not wrap into them.
    usize::try_from(distance).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extents beside the plain bytes that they must equal.
    struct Model {
        extents: Extents,
        bytes: Vec<u8>,
        budget: Arc<Budget>,
    }

    impl Model {
        fn new() -> Model {
            Model { extents: Extents::default(), bytes: vec![], budget: Arc::new(Budget::new(u64::MAX)) }
        }

        fn write(&mut self, position: usize, bytes: &[u8]) {
            let end = position + bytes.len();
            self.bytes.resize(self.bytes.len().max(end), 0);
            self.bytes[position..end].copy_from_slice(bytes);
            let block = self.budget.block(bytes.len() as u64, [bytes].into_iter()).unwrap();
            self.extents.insert(position as u64, block, &self.budget);
        }

        fn zero(&mut self, range: Range<usize>) {
            self.bytes.resize(self.bytes.len().max(range.end), 0);
            self.bytes[range.clone()].fill(0);
            self.extents.zero(range.start as u64..range.end as u64);
        }

        fn set_bytes(&mut self, bytes: usize) {
            self.bytes.resize(bytes, 0);
            self.extents.set_bytes(bytes as u64);
        }

        fn read(&self, range: Range<usize>) -> Slice {
            let range = range.start as u64..range.end as u64;
            self.extents.shared(&range).unwrap_or_else(|| {
                let blocks: Vec<_> = self
                    .extents
                    .overlapping(&range)
                    .map(|(position, block)| (position, block.clone()))
                    .collect();
                assemble(&range, &blocks).unwrap()
            })
        }

        fn check(&self, range: Range<usize>) {
            assert_eq!(self.extents.bytes(), self.bytes.len() as u64);
            assert_eq!(&self.read(range.clone())[..], &self.bytes[range]);
            let mut end = 0;
            for (&position, block) in &self.extents.blocks {
                assert!(position >= end && !block.is_empty(), "blocks are in order and not empty");
                end = position + block.len() as u64;
            }
            assert!(end <= self.extents.bytes());
        }
    }

    #[test]
    fn random_writes_cuts_and_zeros_equal_plain_bytes() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut model = Model::new();
            let mut held = vec![];
            for step in 0..200 {
                let (position, bytes) = (random.usize(..300), random.usize(1..60));
                match random.u8(..10) {
                    0 => model.set_bytes(position),
                    1 => model.zero(position..position + bytes),
                    2..6 => model.write(model.bytes.len(), &vec![random.u8(..); bytes]),
                    _ => model.write(position, &vec![random.u8(..); bytes]),
                }
                let start = random.usize(..=model.bytes.len());
                let range = start..random.usize(start..=model.bytes.len());
                model.check(range.clone());
                model.check(0..model.bytes.len());
                if step % 10 == 0 {
                    held.push((model.read(range.clone()), model.bytes[range].to_vec()));
                }
            }
            for (slice, then) in held {
                assert_eq!(&slice[..], &then[..], "a held slice never changes");
            }
        }
    }

    #[test]
    fn small_appends_leave_few_blocks() {
        let mut model = Model::new();
        let mut most_since_full = 0;
        for count in 0..20_000_usize {
            model.write(model.bytes.len(), &vec![7; 60 + count % 83]);
            let full =
                model.extents.blocks.values().filter(|block| block.len() as u64 > MERGED_BYTES_MAX / 4);
            most_since_full = most_since_full.max(model.extents.blocks.len() - full.count());
        }
        assert!(most_since_full < 20, "{most_since_full} small blocks at one time");
        assert!(model.extents.blocks.len() < 200, "{} blocks", model.extents.blocks.len());
        model.check(0..model.bytes.len());
        assert_eq!(model.budget.used_bytes(), model.bytes.len() as u64, "what was merged is freed");
    }

    #[test]
    fn a_read_inside_a_block_copies_nothing() {
        let mut model = Model::new();
        model.write(10, &[1; 100_000]);
        let (first, second) = (model.read(10..100_010), model.read(20..30));
        assert!(std::ptr::eq(&raw const first[10], &raw const second[0]));
    }
}
