//! Room ahead of the end of the active file.
//!
//! Appending into room that is set aside is faster than growing the file with each write, and a sync over blocks that
//! have been written before takes half the time. So room is made ahead: none before the first append, then doubling from
//! 64 KiB to 16 MiB, and filled with zeros rather than only set aside while syncs are being asked for.
//!
//! A topic may ask for all of a segment's room at once, with the first append to it: it is set aside, not zeroed.
//!
//! A crash leaves zeros behind the last batch, which is how a log ends.

use crate::error::{Error, Result};
use crate::storage::FileHandle;

const STEP_BYTES_MIN: u64 = 64 << 10;
const STEP_BYTES_MAX: u64 = 16 << 20;

/// How far the active file is prepared, and by how much it grows next.
#[derive(Debug)]
pub(crate) struct HeadRoom {
    /// Everything from the log's end to here reads as zeros.
    prepared: u64,
    step: u64,
    /// Whether all of the segment's room was asked for and refused: it is not asked for with every append.
    is_tight: bool,
}

/// How room is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomPolicy {
    /// By writing zeros: room that a sync is fast in.
    pub(crate) is_zeroed: bool,
    /// All of it at once.
    pub(crate) is_preallocated: bool,
    /// Not past this byte, unless more is needed.
    pub(crate) bytes_max: u64,
}

impl HeadRoom {
    /// A file that reads as zeros from its log's end up to byte `prepared`, which is its length.
    pub(crate) fn new(prepared: u64) -> HeadRoom {
        HeadRoom { prepared, step: STEP_BYTES_MIN, is_tight: false }
    }

    /// Forgets the room behind byte `end`, where the file has been cut.
    pub(crate) fn cut(&mut self, end: u64) {
        self.prepared = end;
    }

    pub(crate) fn prepared(&self) -> u64 {
        self.prepared
    }

    /// Makes room up to byte `needed` and some more.
    ///
    /// Where the disk is too full for more it asks for just what is needed, and where the file system cannot set
    /// space aside, the write itself will grow the file.
    pub(crate) fn make(&mut self, file: &FileHandle, needed: u64, policy: RoomPolicy) -> Result<()> {
        if needed <= self.prepared {
            return Ok(());
        }
        let RoomPolicy { is_zeroed, bytes_max, .. } = policy;
        let is_preallocated = policy.is_preallocated && !self.is_tight;
        let step = if is_preallocated { bytes_max } else { self.step };
        let wanted = needed.max(self.prepared.saturating_add(step).min(bytes_max));
        let zeroed = is_zeroed && !is_preallocated;
        // What was made before the disk was full is given back, or nobody would trim it. Where that fails, it is zeros.
        let attempt = |until| {
            prepare(file, self.prepared..until, zeroed).inspect_err(|_| {
                let _ = file.set_bytes(self.prepared);
            })
        };
        let (mut prepared, mut result) = (wanted, attempt(wanted));
        if result.as_ref().is_err_and(Error::is_storage_full) && wanted > needed {
            self.is_tight = true;
            (prepared, result) = (needed, attempt(needed));
        }
        if result? {
            self.step = (self.step * 2).min(STEP_BYTES_MAX);
            self.prepared = prepared;
        } else {
            self.prepared = needed;
        }
        Ok(())
    }
}

/// `false`: the file system cannot set space aside.
fn prepare(file: &FileHandle, range: std::ops::Range<u64>, zeroed: bool) -> Result<bool> {
    if zeroed { file.zero(range).map(|()| true) } else { file.allocate(range) }
}
