//! What opening a broker found and did.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Chain, Error};
use crate::log::PartitionRecovery;
use crate::sync::Arc;

/// What opening a broker found and did, partition by partition. From
/// [`Broker::recovery_report`](crate::Broker::recovery_report).
///
/// Prints as a line for the whole and one for each partition that is notable.
///
/// # Examples
///
/// ```
/// use streamlog::Broker;
///
/// let broker = Broker::in_memory()?;
/// let report = broker.recovery_report();
/// assert!(report.partitions.iter().all(|partition| partition.offline.is_none()));
/// println!("{report}");
///
/// for partition in report.partitions.iter().filter(|partition| partition.is_notable()) {
///     if let Some(cut) = &partition.cut {
///         println!("{}: {} bytes from offset {} are in {:?}", partition.partition, cut.bytes, cut.from, cut.quarantine);
///     }
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether the broker was opened [read-only](crate::BrokerBuilder::read_only()): then nothing of what is told here was done to
    /// the files. It is what an open would do.
    pub is_read_only: bool,
    /// Whether the last broker on these directories was closed in order; then nothing had to be checked. `false` for a new
    /// directory too, in which no broker has been closed yet.
    pub was_clean: bool,
    /// Every partition that was there, the catalog's own first.
    pub partitions: Vec<PartitionRecovery>,
    /// Directories, in any log directory, that belong to no partition of a topic. They are left alone.
    pub unknown_directories: Vec<PathBuf>,
    /// Log directories that cannot be used, each with the reason. See
    /// [`BrokerConfig::allow_offline_dirs`](crate::BrokerConfig::allow_offline_dirs()).
    pub offline_directories: Vec<(PathBuf, Arc<Error>)>,
    /// Checkpoint files that could not be understood, with the reason. They were taken for empty.
    pub ignored_files: Vec<String>,
    /// Topics of which the catalog has lost a record, and that were found again by their directories: with the settings that are still
    /// told, or defaults, and as many partitions as are told or have directories.
    pub restored_topics: Vec<String>,
    /// How long the open took.
    pub elapsed: Duration,
}

/// What scrubbing has found so far. From [`Broker::scrub_report`](crate::Broker::scrub_report).
///
/// Prints as a line for the whole and one for each damage.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScrubReport {
    /// How often all sealed segments have been read to the end.
    pub rounds: u64,
    /// What is damaged, in the order of the files, as far as it was found in this round or the last: a thousand at most.
    /// [`Error::DamagedBatch`] with the offsets that cannot be read, file and position; [`Error::InvalidFile`] for an index that does
    /// not agree with its segment, which costs readers time alone; [`Error::Io`] for a file that the disk cannot read, whose rest
    /// is left out.
    pub damage: Vec<Arc<Error>>,
}

impl fmt::Display for ScrubReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rounds of scrubbing: {}, damaged places: {}", self.rounds, self.damage.len())?;
        self.damage.iter().try_for_each(|error| write!(f, "\n{}", Chain(error)))
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how =
            if self.was_clean { "after a clean close" } else { "after an unclean end or for the first time" };
        let done = if self.is_read_only { "looked at" } else { "opened" };
        let (count, s) = (self.partitions.len(), if self.partitions.len() == 1 { "" } else { "s" });
        write!(f, "{done} {count} partition{s} in {:.1?}, {how}", self.elapsed)?;
        let offline = self.partitions.iter().filter(|partition| partition.offline.is_some()).count();
        if offline > 0 {
            write!(f, ", {offline} of them offline")?;
        }
        let scanned: u64 = self.partitions.iter().map(|partition| partition.scanned_bytes).sum();
        if scanned > 0 {
            let batches: u64 = self.partitions.iter().map(|partition| partition.scanned_batches).sum();
            write!(f, ", checked {batches} batches ({scanned} bytes)")?;
        }
        if self.is_read_only {
            write!(f, ", and changed nothing")?;
            if self.partitions.iter().any(PartitionRecovery::is_notable) || !self.restored_topics.is_empty() {
                write!(f, "; an open would do this")?;
            }
        }
        for partition in self.partitions.iter().filter(|partition| partition.is_notable()) {
            write!(f, "\n{partition}")?;
        }
        for (directory, error) in &self.offline_directories {
            write!(f, "\n{}: offline, {}", directory.display(), Chain(error))?;
        }
        for directory in &self.unknown_directories {
            write!(f, "\n{}: belongs to no topic, left alone", directory.display())?;
        }
        for topic in &self.restored_topics {
            write!(
                f,
                "\n{topic}: a record of it is lost, taken over by its directories, with the settings that are still told"
            )?;
        }
        for file in &self.ignored_files {
            write!(f, "\nignored: {file}")?;
        }
        Ok(())
    }
}
