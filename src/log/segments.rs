//! The list of a partition's segments at one moment.
//!
//! A list never changes: a roll publishes a new one. Readers take the published list without a lock and keep it for as long
//! as they like.
//!
//! Invariants: base offsets ascend; each segment but the last is sealed and ends where the next begins.

use crate::offset::Offset;
use crate::segment::LogSegment;
use crate::sync::Arc;

/// Segments in the order of their offsets; see the [module](self).
#[derive(Debug)]
pub(crate) struct SegmentList {
    sealed: Vec<Arc<LogSegment>>,
    active: Arc<LogSegment>,
}

impl SegmentList {
    pub(crate) fn new(sealed: Vec<Arc<LogSegment>>, active: Arc<LogSegment>) -> SegmentList {
        SegmentList { sealed, active }
    }

    /// The segment that is appended to.
    pub(crate) fn active(&self) -> &Arc<LogSegment> {
        &self.active
    }

    /// All segments but the active one, oldest first.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = &Arc<LogSegment>> {
        self.sealed.iter()
    }

    /// All segments, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<LogSegment>> {
        self.sealed.iter().chain(std::iter::once(&self.active))
    }

    /// The segment whose range holds `offset`: the last with a base at or before it, or the first.
    pub(crate) fn holding(&self, offset: Offset) -> &Arc<LogSegment> {
        if self.active.base() <= offset {
            return &self.active;
        }
        let behind = self.sealed.partition_point(|segment| segment.base() <= offset);
        self.sealed.get(behind.saturating_sub(1)).unwrap_or(&self.active)
    }

    /// The list after a roll: `sealed` stands for what was active, and `active` follows.
    pub(crate) fn rolled(&self, sealed: Arc<LogSegment>, active: Arc<LogSegment>) -> SegmentList {
        let mut all = self.sealed.clone();
        all.push(sealed);
        SegmentList { sealed: all, active }
    }
}
