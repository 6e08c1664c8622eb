//! Looking at batches, one after the other, and finding where the good ones end. Nothing is changed.

use super::partition::Partition;
use crate::error::{Error, Result};
use crate::log::report::PartitionRecovery;
use crate::offset::Offset;
use crate::segment::{LogSegment, SegmentEnd, Walk};
use crate::sync::Arc;

/// What a check of the segments found, before anything is changed.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) trusted: Vec<Arc<LogSegment>>,
    /// Each checked segment, with the length of its file.
    pub(super) walked: Vec<(LogSegment, Walk, u64)>,
    /// Where the good batches end.
    pub(super) end: Offset,
    /// Why they end there, where it is not simply the end.
    pub(super) stop: Option<Stop>,
}

/// The first bad batch: everything from here on does not belong to the log.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) reason: Error,
    /// The first segment that is cut whole.
    pub(super) first_whole: usize,
}

impl Partition<'_> {
    /// Refuses a log whose first segments are missing: the first leader epoch began before those that are there.
    pub(super) fn check_start(&self) -> Result<()> {
        let epochs = self.known_epochs()?;
        let known = epochs.first().map(|&(_, start)| start).max(self.dir.log_start(self.name));
        match (known, self.found.first()) {
            (Some(start), Some(first)) if start < first.base => Err(self.damaged(start, first.base, None)),
            _ => Ok(()),
        }
    }

    /// As [`check_from`](Self::check_from); a bad batch is read once more before it is believed to be bad, as a read may err.
    pub(super) fn check_twice_from(&self, point: Offset, report: &mut PartitionRecovery) -> Result<Checked> {
        let checked = self.check_from(point, report)?;
        if checked.stop.is_none() {
            return Ok(checked);
        }
        let again = self.check_from(point, &mut PartitionRecovery::new(self.name.clone()))?;
        Ok(if again.end > checked.end || again.stop.is_none() { again } else { checked })
    }

    /// Walks over the batches from `point` on, to the end or the first bad one. Changes nothing.
    pub(super) fn check_from(&self, point: Offset, report: &mut PartitionRecovery) -> Result<Checked> {
        let first = self.found.partition_point(|found| found.base <= point).saturating_sub(1);
        let (older, rest) = self.found.split_at(first);
        let mut expected = rest.first().map_or(Offset::ZERO, |found| found.base);
        let trusted = self.trust_sealed(older, expected, report);
        let mut walked = Vec::with_capacity(rest.len());
        let mut stop = None;
        for (index, found) in rest.iter().enumerate() {
            if found.base != expected {
                stop =
                    Some(Stop { reason: self.misplaced(found.base, expected), first_whole: first + index });
                break;
            }
            let segment = self.open_segment(found);
            let trusted = SegmentEnd { position: found.bytes, offset: point.max(found.base) };
            let mut walk = segment.walk(trusted, self.config.index_interval_bytes)?;
            report.scanned_bytes += walk.end.position - walk.start;
            report.scanned_batches += walk.batches;
            stop = walk.bad.take().map(|reason| Stop { reason, first_whole: first + index + 1 });
            expected = walk.end.offset;
            walked.push((segment, walk, found.bytes));
            if stop.is_some() {
                break;
            }
        }
        Ok(Checked { trusted, walked, end: expected, stop })
    }
}
