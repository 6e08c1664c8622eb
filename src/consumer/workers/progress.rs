//! How far the records of one partition are processed, where they are finished in any order: the offset below which all of them
//! are.
//!
//! Invariant: the first of those that are kept is not finished.

use std::collections::VecDeque;

use crate::consumer::offset_and_metadata::OffsetAndMetadata;
use crate::offset::{LeaderEpoch, Offset};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// From the first that is not finished on, in the order of their offsets.
    taken: VecDeque<Taken>,
    /// Behind the last record below which all are finished, and its leader epoch. None before the first.
    finished: Option<(Offset, Option<LeaderEpoch>)>,
    committed: Option<Offset>,
    /// How many are being processed now.
    running: usize,
}

#[derive(Debug)]
struct Taken {
    offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    is_finished: bool,
}

impl Progress {
    /// Takes the next record on.
    pub(super) fn take(&mut self, offset: Offset, leader_epoch: Option<LeaderEpoch>) {
        self.taken.push_back(Taken { offset, leader_epoch, is_finished: false });
    }

    /// One of the records is being processed from now on.
    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    /// One of the records is no longer being processed, finished or not.
    pub(super) fn end(&mut self, offset: Offset, is_finished: bool) {
        self.running = self.running.saturating_sub(1);
        if let Ok(place) = self.taken.binary_search_by_key(&offset, |taken| taken.offset)
            && let Some(taken) = self.taken.get_mut(place)
        {
            taken.is_finished = is_finished;
        }
        while let Some(first) = self.taken.pop_front_if(|first| first.is_finished) {
            self.finished = Some((first.offset.next(), first.leader_epoch));
        }
    }

    /// Whether none of the records is being processed.
    pub(super) fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// What to commit, if anything was finished since that was last done.
    pub(super) fn to_commit(&self) -> Option<OffsetAndMetadata> {
        let (offset, leader_epoch) = self.finished.filter(|&(offset, _)| self.committed != Some(offset))?;
        Some(OffsetAndMetadata { offset, leader_epoch, metadata: String::new() })
    }

    /// Notes what was committed.
    pub(super) fn note_committed(&mut self, offset: Offset) {
        self.committed = Some(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(offsets: &[u32]) -> Progress {
        let mut progress = Progress::default();
        for &offset in offsets {
            progress.take(offset.into(), Some(LeaderEpoch::ZERO));
        }
        progress
    }

    fn finish(progress: &mut Progress, offset: u32) -> Option<u64> {
        progress.begin();
        progress.end(offset.into(), true);
        progress.to_commit().map(|commit| commit.offset.into())
    }

    #[test]
    fn nothing_behind_an_unfinished_record_is_committed() {
        // Offset 3 does not exist: what compaction removed is no gap.
        let mut progress = taken(&[0, 1, 2, 4]);
        assert_eq!(finish(&mut progress, 2), None);
        assert_eq!(finish(&mut progress, 0), Some(1));
        assert_eq!(finish(&mut progress, 4), Some(1));
        assert_eq!(finish(&mut progress, 1), Some(5));
    }

    #[test]
    fn a_record_that_failed_holds_up_all_behind_it() {
        let mut progress = taken(&[0, 1, 2]);
        assert_eq!(finish(&mut progress, 0), Some(1));
        progress.begin();
        assert!(!progress.is_idle());
        progress.end(1_u32.into(), false);
        assert!(progress.is_idle());
        assert_eq!(finish(&mut progress, 2), Some(1));
    }

    #[test]
    fn what_was_committed_is_not_committed_again() {
        let mut progress = taken(&[0, 1]);
        assert_eq!(finish(&mut progress, 0), Some(1));
        progress.note_committed(1_u32.into());
        assert_eq!(progress.to_commit(), None);
        assert_eq!(finish(&mut progress, 1), Some(2));
    }

    #[test]
    fn a_commit_carries_the_epoch_of_the_last_finished_record() {
        let mut progress = Progress::default();
        let later = LeaderEpoch::ZERO.next();
        progress.take(0_u32.into(), Some(LeaderEpoch::ZERO));
        progress.take(1_u32.into(), Some(later));
        progress.begin();
        progress.end(0_u32.into(), true);
        assert_eq!(progress.to_commit().and_then(|commit| commit.leader_epoch), Some(LeaderEpoch::ZERO));
    }
}
