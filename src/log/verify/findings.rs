//! What has been found so far, within a bound, and how much was looked at.

use super::finding::{Finding, FindingKind};

/// How many findings are kept; the others are only counted.
const FINDINGS_MAX: usize = 10_000;

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) partitions: u64,
    pub(crate) segments: u64,
    pub(crate) batches: u64,
    pub(crate) records: u64,
    /// Bytes of log files, head room not counted.
    pub(crate) bytes: u64,
}

/// What has been found so far; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    left_off: u64,
    pub(crate) counts: Counts,
    /// Whether anything has changed while it was looked at.
    pub(crate) is_changing: bool,
}

impl Findings {
    /// Adds one. What goes on where the one before ended becomes a part of that one, where each would tell the same.
    pub(crate) fn add(&mut self, finding: Finding) {
        if let (Some(last), Some(offsets)) = (self.list.last_mut(), &finding.offsets)
            && is_continued(finding.kind)
            && (last.kind, last.severity) == (finding.kind, finding.severity)
            && last.partition == finding.partition
            && let Some(before) = &mut last.offsets
            && before.end == offsets.start
        {
            before.end = offsets.end;
        } else if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.left_off += 1;
        }
    }

    /// Takes over what was found of one partition.
    pub(crate) fn append(&mut self, other: Findings) {
        let Findings { list, left_off, counts, is_changing } = other;
        list.into_iter().for_each(|finding| self.add(finding));
        self.left_off += left_off;
        self.counts.partitions += counts.partitions;
        self.counts.segments += counts.segments;
        self.counts.batches += counts.batches;
        self.counts.records += counts.records;
        self.counts.bytes += counts.bytes;
        self.is_changing |= is_changing;
    }

    pub(crate) fn list(&self) -> &[Finding] {
        &self.list
    }

    /// The findings, and how many more there were.
    pub(crate) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.list, self.left_off)
    }
}

/// Whether neighbours of this kind are told as one.
fn is_continued(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::WrongEpoch | FindingKind::LostRecords | FindingKind::UnreadableRecords)
}
