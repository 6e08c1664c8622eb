//! What opening a partition found and did.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Chain, Error};
use crate::offset::{Offset, TopicPartition};
use crate::sync::Arc;

/// What opening one partition found and did. Part of a [`RecoveryReport`](crate::RecoveryReport).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartitionRecovery {
    /// The partition.
    pub partition: TopicPartition,
    /// Its end offset now; 0 where it is offline.
    pub end_offset: Offset,
    /// How many bytes were read to check their batches; 0 after a clean close.
    pub scanned_bytes: u64,
    /// How many batches were checked.
    pub scanned_batches: u64,
    /// How many segments had an index made anew because it was missing or wrong.
    pub rebuilt_indexes: usize,
    /// Small files that were missing or could not be understood, and were written anew.
    pub mended_files: Vec<PathBuf>,
    /// A recovery point that lies behind the end of the log, and so was not believed.
    pub ignored_recovery_point: Option<Offset>,
    /// What was cut off the end, if anything.
    pub cut: Option<Cut>,
    /// What a salvage could not save, in the order of offsets. Empty in every other mode.
    pub lost: Vec<Lost>,
    /// Why the partition is offline, if it is.
    pub offline: Option<Arc<Error>>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What recovery cut off the end of a log: bytes that nobody had been told are durable.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cut {
    /// The log ends here now.
    pub from: Offset,
    /// How many bytes were cut, head room not counted.
    pub bytes: u64,
    /// Where they are kept. Nothing removes these files.
    pub quarantine: Vec<PathBuf>,
    /// What was wrong with the first of them.
    pub reason: Arc<Error>,
}

/// Acknowledged records that a salvage could not save. A read that comes to them is an
/// [`Error::RecordsLost`](crate::Error::RecordsLost).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Lost {
    /// Their offsets, which are not given again. Empty where there were bytes that were nobody's.
    pub offsets: Range<Offset>,
    /// How many bytes were taken out of the log; head room is not counted.
    pub bytes: u64,
    /// Where these are kept; nothing where there were none. Nothing removes the file.
    pub quarantine: Option<PathBuf>,
    /// What was wrong with the first of them.
    pub reason: Arc<Error>,
}

impl PartitionRecovery {
    pub(crate) fn new(partition: TopicPartition) -> PartitionRecovery {
        PartitionRecovery {
            partition,
            end_offset: Offset::ZERO,
            scanned_bytes: 0,
            scanned_batches: 0,
            rebuilt_indexes: 0,
            mended_files: Vec::new(),
            ignored_recovery_point: None,
            cut: None,
            lost: Vec::new(),
            offline: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Whether there is anything in it that an operator would want to know.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        self.cut.is_some()
            || !self.lost.is_empty()
            || self.offline.is_some()
            || self.ignored_recovery_point.is_some()
            || self.rebuilt_indexes > 0
            || !self.mended_files.is_empty()
    }
}

impl fmt::Display for PartitionRecovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.partition)?;
        match &self.offline {
            Some(error) => write!(f, "offline, {}", Chain(error))?,
            None => write!(f, "ends at {}", self.end_offset)?,
        }
        if self.scanned_bytes > 0 {
            let (batches, bytes) = (self.scanned_batches, self.scanned_bytes);
            write!(f, ", checked {batches} batches ({bytes} bytes) in {:.1?}", self.elapsed)?;
        }
        if let Some(cut) = &self.cut {
            write!(f, ", cut {} bytes from offset {}: {}", cut.bytes, cut.from, Chain(&cut.reason))?;
            for path in &cut.quarantine {
                write!(f, ", kept in {}", path.display())?;
            }
        }
        for Lost { offsets, bytes, quarantine, reason } in &self.lost {
            match offsets.is_empty() {
                true => write!(f, ", took out {bytes} bytes that are no records of it: {}", Chain(reason))?,
                false => {
                    let (start, end) = (offsets.start, offsets.end);
                    write!(f, ", lost offsets {start}..{end} ({bytes} bytes): {}", Chain(reason))?;
                }
            }
            if let Some(path) = quarantine {
                write!(f, ", kept in {}", path.display())?;
            }
        }
        if self.rebuilt_indexes > 0 {
            write!(f, ", segments with an index made anew: {}", self.rebuilt_indexes)?;
        }
        for path in &self.mended_files {
            write!(f, ", wrote {} anew", path.display())?;
        }
        if let Some(offset) = self.ignored_recovery_point {
            write!(f, ", ignored a recovery point of {offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::PartitionId;

    #[test]
    fn a_salvage_tells_lost_offsets_from_bytes_that_were_nobodys() {
        let lost = |offsets: Range<u32>, bytes| Lost {
            offsets: Offset::from(offsets.start)..Offset::from(offsets.end),
            bytes,
            quarantine: None,
            reason: Arc::new(Error::OffsetsExhausted { end: Offset::ZERO, count: 1 }),
        };
        let mut found = PartitionRecovery::new(TopicPartition::new("orders", PartitionId::ZERO));
        found.lost = vec![lost(3..5, 70), lost(9..9, 20)];
        let text = found.to_string();
        assert!(text.contains(", lost offsets 3..5 (70 bytes): "), "{text}");
        assert!(text.contains(", took out 20 bytes that are no records of it: "), "{text}");
    }
}
