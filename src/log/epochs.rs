//! The history of leader epochs: in which reign each offset was written.
//!
//! Kept as Kafka keeps it, in `leader-epoch-checkpoint`: each epoch with the first offset of its reign. A new epoch begins
//! with every open after an unclean end, because a power cut can take a tail without a trace; with it a reader that
//! remembers an offset from before can tell that the record there may be another one now.
//!
//! Invariant: epochs and offsets both ascend.

use crate::offset::{LeaderEpoch, Offset};

/// Epochs, each with the offset at which it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochHistory {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl EpochHistory {
    /// Takes over a list that ascends in both; see [`read_epochs`](super::checkpoint_file::read_epochs).
    pub(crate) fn new(entries: Vec<(LeaderEpoch, Offset)>) -> EpochHistory {
        EpochHistory { entries }
    }

    /// The newest epoch.
    pub(crate) fn current(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::ZERO, |&(epoch, _)| epoch)
    }

    /// Where the epoch that followed `epoch` began. None where there is none yet.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.entries.iter().find(|&&(known, _)| known > epoch).map(|&(_, start)| start)
    }

    /// In which epoch this offset is, or will be.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.entries.iter().rev().find(|&&(_, start)| start <= offset).map(|&(epoch, _)| epoch)
    }

    /// Notes that `epoch` began at `start`, as Kafka does: what is newer, or begins later, is forgotten.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.entries.iter().any(|&(known, at)| known == epoch && at <= start) {
            return;
        }
        self.entries.retain(|&(known, at)| known < epoch && at < start);
        self.entries.push((epoch, start));
    }

    /// Where nothing is known, lets `epoch` reign from `first` on.
    pub(crate) fn begin(&mut self, epoch: LeaderEpoch, first: Offset) {
        if self.entries.is_empty() {
            self.entries.push((epoch, first));
        }
    }

    /// Forgets the epochs that began behind `end`. One that begins there has not written anything yet, but reigns.
    pub(crate) fn truncate_to(&mut self, end: Offset) {
        self.entries.retain(|&(_, start)| start <= end);
    }

    pub(crate) fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: i32) -> LeaderEpoch {
        LeaderEpoch::from_i32(number).unwrap()
    }

    #[test]
    fn a_later_assignment_forgets_what_contradicts_it() {
        let mut history = EpochHistory::default();
        history.assign(epoch(0), Offset::ZERO);
        history.assign(epoch(2), Offset::from(10));
        history.assign(epoch(2), Offset::from(15));
        assert_eq!(history.entries(), [(epoch(0), Offset::ZERO), (epoch(2), Offset::from(10))]);
        history.assign(epoch(3), Offset::from(5));
        assert_eq!(history.entries(), [(epoch(0), Offset::ZERO), (epoch(3), Offset::from(5))]);
        assert_eq!(history.current(), epoch(3));
    }

    #[test]
    fn truncating_forgets_epochs_that_began_behind_the_end() {
        let mut history = EpochHistory::new(vec![(epoch(0), Offset::ZERO), (epoch(1), Offset::from(10))]);
        history.truncate_to(Offset::from(10));
        assert_eq!(history.current(), epoch(1));
        history.truncate_to(Offset::from(9));
        assert_eq!(history.entries(), [(epoch(0), Offset::ZERO)]);
    }
}
