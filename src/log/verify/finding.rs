//! One thing that a verification found.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::offset::{Offset, TopicPartition};

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is wrong: something that one may want to know.
    Note,
    /// The next open mends it by itself, and loses nothing that is known to have been acknowledged as durable. An index that is wrong is
    /// made again where the open reads its segment; elsewhere it stays, and costs readers time alone, until somebody removes it.
    Mended,
    /// Records that had been acknowledged are damaged or missing, or what is needed to find them is.
    Damage,
}

/// What a [`Finding`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Bytes of a log that are no sound batch.
    DamagedBatch,
    /// Offsets that no batch holds: segments, or the end of a log, are missing.
    MissingRecords,
    /// A batch with the right CRC whose records cannot be decoded.
    UnreadableRecords,
    /// A batch of another leader epoch than the partition's history tells; the epoch is outside the CRC.
    WrongEpoch,
    /// The end of a log that is not whole, beyond what was known to be durable: an interrupted append, or one that is under way.
    TornTail,
    /// Records that an earlier salvage could not save.
    LostRecords,
    /// An index that is missing, or that names batches that there are not.
    Index,
    /// A `leader-epoch-checkpoint` that is missing, cannot be understood, or contradicts the log.
    Epochs,
    /// A `partition.metadata` that is missing, cannot be understood, or names another topic.
    PartitionMetadata,
    /// A checkpoint of a log directory that cannot be understood, or contradicts a log.
    Checkpoint,
    /// `streamlog.durable`, or a slot in it.
    DurableSlots,
    /// `meta.properties`.
    MetaProperties,
    /// The catalog of topics is missing, or holds a record that is not its own.
    Catalog,
    /// A partition that the catalog knows has no directory.
    MissingDirectory,
    /// A topic, or partitions of one, whose creation was interrupted, or is under way.
    UnfinishedCreation,
    /// A topic whose deletion was interrupted, or is under way; a directory that it has left.
    UnfinishedDeletion,
    /// A directory that belongs to no topic.
    UnknownDirectory,
    /// A file in which a recovery has kept what it cut out of a log.
    Quarantine,
    /// What an interrupted replacement of a file has left.
    LeftOver,
    /// What cannot be looked at: the disk, or its permissions, refuse, or a codec is not built in.
    Unreadable,
}

/// One thing that a verification found. In [`Verification::findings`](crate::Verification::findings).
///
/// Prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: FindingKind,
    /// The partition, where it is one's.
    pub partition: Option<TopicPartition>,
    /// The records that are concerned: for [`Severity::Damage`] exactly those that are gone, or are not
    /// what they were. Where a batch's length is damaged, a reader is kept from more of them, up to the next batch that the index names.
    pub offsets: Option<Range<Offset>>,
    /// The file or directory.
    pub path: PathBuf,
    /// The byte in the file, where it begins there.
    pub position: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Note => "note",
            Severity::Mended => "to be mended",
            Severity::Damage => "damage",
        })
    }
}

impl FindingKind {
    fn text(self) -> &'static str {
        match self {
            FindingKind::DamagedBatch => "damaged batch",
            FindingKind::MissingRecords => "missing records",
            FindingKind::UnreadableRecords => "unreadable records",
            FindingKind::WrongEpoch => "wrong leader epoch",
            FindingKind::TornTail => "torn tail",
            FindingKind::LostRecords => "lost records",
            FindingKind::Index => "index",
            FindingKind::Epochs => "leader epochs",
            FindingKind::PartitionMetadata => "partition metadata",
            FindingKind::Checkpoint => "checkpoint",
            FindingKind::DurableSlots => "durable slots",
            FindingKind::MetaProperties => "meta properties",
            FindingKind::Catalog => "catalog of topics",
            FindingKind::MissingDirectory => "missing directory",
            FindingKind::UnfinishedCreation => "unfinished creation",
            FindingKind::UnfinishedDeletion => "unfinished deletion",
            FindingKind::UnknownDirectory => "unknown directory",
            FindingKind::Quarantine => "quarantine",
            FindingKind::LeftOver => "left-over",
            FindingKind::Unreadable => "cannot be looked at",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.kind)?;
        if let Some(partition) = &self.partition {
            write!(f, " in {partition}")?;
        }
        if let Some(Range { start, end }) = &self.offsets {
            write!(f, ", offsets {start}..{end}")?;
        }
        write!(f, ", {}", self.path.display())?;
        if let Some(position) = self.position {
            write!(f, " at byte {position}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
