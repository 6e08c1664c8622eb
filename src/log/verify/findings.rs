//! What has been found so far, within a bound, and how much was looked at.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use super::finding::{Finding, FindingKind, Severity};
use crate::offset::Offset;

/// How many findings are kept, the worst; the others are only counted.
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
    /// The worst first; none of the lists is empty.
    by_severity: BTreeMap<Reverse<Severity>, Vec<Finding>>,
    count: usize,
    left_off: u64,
    pub(crate) counts: Counts,
    /// Whether anything has changed while it was looked at.
    pub(crate) is_changing: bool,
}

impl Findings {
    /// Adds one. What goes on where the one before ended becomes a part of that one, where each would tell the same.
    pub(crate) fn add(&mut self, finding: Finding) {
        let list = self.by_severity.entry(Reverse(finding.severity)).or_default();
        if let (Some(last), Some(offsets)) = (list.last_mut(), &finding.offsets)
            && is_continued(finding.kind)
            && (&last.partition, last.kind) == (&finding.partition, finding.kind)
            && let Some(before) = &mut last.offsets
            && before.end == offsets.start
        {
            before.end = offsets.end;
            return;
        }
        list.push(finding);
        self.count += 1;
        if self.count > FINDINGS_MAX {
            self.leave_off();
        }
    }

    /// Leaves off the last of those that are the least severe.
    fn leave_off(&mut self) {
        let Some(mut least) = self.by_severity.last_entry() else { return };
        least.get_mut().pop();
        if least.get().is_empty() {
            least.remove();
        }
        self.count -= 1;
        self.left_off += 1;
    }

    /// Takes over what was found of one partition.
    pub(crate) fn append(&mut self, other: Findings) {
        let Findings { by_severity, left_off, counts, is_changing, .. } = other;
        by_severity.into_values().flatten().for_each(|finding| self.add(finding));
        self.left_off += left_off;
        self.counts.partitions += counts.partitions;
        self.counts.segments += counts.segments;
        self.counts.batches += counts.batches;
        self.counts.records += counts.records;
        self.counts.bytes += counts.bytes;
        self.is_changing |= is_changing;
    }

    /// Whether any of them is damage.
    pub(crate) fn has_damage(&self) -> bool {
        self.by_severity.contains_key(&Reverse(Severity::Damage))
    }

    /// The offsets of records that an earlier salvage could not save.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &Range<Offset>> {
        let all = self.by_severity.values().flatten();
        all.filter(|found| found.kind == FindingKind::LostRecords).filter_map(|found| found.offsets.as_ref())
    }

    /// The findings, the worst first, and how many more there were.
    pub(crate) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.by_severity.into_values().flatten().collect(), self.left_off)
    }
}

/// Whether neighbours of this kind are told as one.
fn is_continued(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::WrongEpoch | FindingKind::LostRecords | FindingKind::UnreadableRecords)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, number: usize) -> Finding {
        Finding {
            severity,
            kind: FindingKind::LeftOver,
            partition: None,
            offsets: None,
            path: number.to_string().into(),
            position: None,
            reason: String::new(),
        }
    }

    #[test]
    fn what_is_worse_takes_the_place_of_what_is_not() {
        let mut of_partition = Findings::default();
        (0..FINDINGS_MAX + 5).for_each(|number| of_partition.add(finding(Severity::Note, number)));
        of_partition.add(finding(Severity::Mended, 0));
        of_partition.add(finding(Severity::Damage, 1));
        let mut findings = Findings::default();
        findings.add(finding(Severity::Damage, 0));
        findings.append(of_partition);
        let (list, left_off) = findings.into_parts();
        assert_eq!((list.len(), left_off), (FINDINGS_MAX, 8));
        let worst: Vec<_> =
            list.iter().take(4).map(|one| (one.severity, one.path.to_str().unwrap())).collect();
        let (damage, mended, note) = (Severity::Damage, Severity::Mended, Severity::Note);
        assert_eq!(worst, [(damage, "0"), (damage, "1"), (mended, "0"), (note, "0")]);
    }
}
