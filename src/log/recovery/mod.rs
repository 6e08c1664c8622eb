//! Opening a partition that exists: trusted after a clean close, checked from the recovery point on otherwise.
//!
//! The passes, in their order:
//!
//! 1. **Find** the segments. Files that are no segments are left alone; where the first ones are missing, that is damage.
//! 2. After a clean close, **trust** them: only the last one's end is looked for, from its last index entry on.
//! 3. Otherwise **check** every batch from the recovery point on, and make the index of what was checked.
//! 4. Where a batch is bad: below the durable offset it is **damage**, and the partition goes offline with the exact
//!    offsets. Beyond it, it is what an interrupted write looks like: from there on everything is **cut**, into quarantine.
//!    Before that, and where nothing is cut as well, a new **epoch** begins: a tail can be lost without a trace.
//! 5. **Secure** the rest: what was not known to be durable is written again, in place, and synced, because after a
//!    failed sync the page cache holds bytes that the device does not. All of it is acknowledged from then on.
//!
//! A crash in any pass leaves what the next open starts over from: bytes are kept before they are cut, and nothing but the
//! tail that was kept is ever changed.

mod check;
mod epochs;
mod open;
mod partition;
mod repair;
mod salvage;

pub(crate) use open::open;
pub(crate) use partition::has_segments;
pub(super) use salvage::GAP_OFFSETS_MAX;
