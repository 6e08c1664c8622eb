//! How a group's members hear that something has changed, instead of asking in heartbeats.

use std::fmt;

use crate::signal::Watchers;
use crate::sync::{Acquire, AtomicU64, Release};

/// A number that grows with every change that members must hear of: a rebalance has begun, a join or a sync is answered, a
/// member is out, the group is deleted. It is there for as long as anybody holds it, whatever becomes of the group.
#[derive(Default)]
pub(crate) struct GroupChanges {
    number: AtomicU64,
    /// Told after the number has grown.
    pub(crate) watchers: Watchers,
}

impl GroupChanges {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Acquire)
    }

    /// Without telling anybody yet.
    pub(super) fn grow(&self) {
        self.number.fetch_add(1, Release);
    }
}

impl fmt::Debug for GroupChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupChanges").field("number", &self.number()).finish_non_exhaustive()
    }
}
