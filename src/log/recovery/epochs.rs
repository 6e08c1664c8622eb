//! Leader epochs: told by their file, and by the batches where there is none.

use super::check::Checked;
use super::partition::{Partition, Segments};
use crate::error::{Error, Result};
use crate::log::checkpoint_file;
use crate::log::epochs::EpochHistory;
use crate::log::report::PartitionRecovery;
use crate::offset::{LeaderEpoch, Offset};
use crate::segment::{LogSegment, SegmentEnd};
use crate::storage::small_file;

impl Partition<'_> {
    /// Refuses a history of epochs that is missing or cannot be understood.
    pub(super) fn check_epochs(&self) -> Result<()> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        match checkpoint_file::read_epochs(self.dir.storage(), &path)? {
            Some(known) if !known.is_empty() => Ok(()),
            _ => Err(Error::InvalidFile { path, reason: "it is missing or empty".to_owned() }),
        }
    }

    /// What the file says of epochs; nothing where it says nothing that can be understood.
    pub(super) fn known_epochs(&self) -> Result<Vec<(LeaderEpoch, Offset)>> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        match checkpoint_file::read_epochs(self.dir.storage(), &path) {
            Err(error) if !error.is_corruption() => Err(error),
            known => Ok(known.ok().flatten().unwrap_or_default()),
        }
    }

    /// The current leader epoch: the newest there is, or one more where its beginning has been lost.
    pub(super) fn settle_epochs(
        &self,
        segments: &Segments,
        report: &mut PartitionRecovery,
    ) -> Result<EpochHistory> {
        let all = segments.sealed.iter().chain([&segments.active]).map(|segment| &**segment);
        let (mut history, is_known) = self.epoch_history(all, report)?;
        let known = history.clone();
        let end = segments.active.end().offset;
        let newest = history.current();
        history.truncate_to(end);
        history.begin(newest, segments.sealed.first().unwrap_or(&segments.active).base());
        if history.current() < newest {
            history.assign(newest.next(), end);
        }
        // What an interrupted creation wrote may not be on the device.
        if !is_known || known != history || self.found.is_empty() {
            self.write_epochs(&history)?;
        }
        Ok(history)
    }

    /// Begins a new leader epoch where the good batches end.
    pub(super) fn begin_epoch(&self, checked: &Checked, report: &mut PartitionRecovery) -> Result<()> {
        let trusted = checked.trusted.iter().map(|segment| &**segment);
        let all = trusted.chain(checked.walked.iter().map(|(segment, _, _)| segment));
        let (mut history, _) = self.epoch_history(all, report)?;
        let newest = history.current();
        history.truncate_to(checked.end);
        if let Some(first) = self.found.first() {
            // Its first entry tells where the log must have begun, should its segments be gone. Not with the newest epoch: who remembers
            // one before that would take all for another's.
            history.begin(LeaderEpoch::ZERO, first.base);
        }
        history.assign(newest.next(), checked.end);
        self.write_epochs(&history)
    }

    /// What the file says of epochs, and `true`; where it says nothing, what the batches of `segments` do.
    ///
    /// The file is believed against them: an epoch is in it before the first batch of it is written, and the one in a batch is
    /// not covered by its CRC.
    fn epoch_history<'a>(
        &self,
        segments: impl Iterator<Item = &'a LogSegment>,
        report: &mut PartitionRecovery,
    ) -> Result<(EpochHistory, bool)> {
        let path = self.path.join(checkpoint_file::EPOCHS);
        let known = EpochHistory::new(self.known_epochs()?);
        if !known.entries().is_empty() {
            return Ok((known, true));
        }
        report.mended_files.push(path);
        Ok((self.epochs_in(segments)?, false))
    }

    fn write_epochs(&self, history: &EpochHistory) -> Result<()> {
        self.dir.begin_repairs()?;
        let contents = checkpoint_file::epochs_contents(history.entries());
        let path = self.path.join(checkpoint_file::EPOCHS);
        small_file::replace(self.dir.storage(), &path, contents.as_bytes())
    }

    /// The epochs as the batches tell them, where the file does not.
    fn epochs_in<'a>(&self, segments: impl Iterator<Item = &'a LogSegment>) -> Result<EpochHistory> {
        let mut history = EpochHistory::default();
        for segment in segments {
            let nothing = SegmentEnd { position: 0, offset: segment.base() };
            for (epoch, start) in segment.walk(nothing, self.config.index_interval_bytes)?.epochs {
                history.assign(epoch, start);
            }
        }
        Ok(history)
    }
}
