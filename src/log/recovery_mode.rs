//! What an open may do about what it finds.

/// What opening a broker may do about what an unclean end, or damage, has left. Given to
/// [`BrokerBuilder::recovery`](crate::BrokerBuilder::recovery).
///
/// | found | `Strict` | `Repair` | `Salvage` |
/// |---|---|---|---|
/// | a tail beyond the durable offset that is not whole | cut, into quarantine | the same | the same; sound batches in it are kept |
/// | indexes that are missing, short or wrong | made again | the same | the same |
/// | acknowledged records that are damaged or missing | the open fails | the partition is offline, unchanged | what is sound is kept, the rest put into quarantine, its offsets marked as lost |
/// | a small file of a partition that is damaged or missing, a checkpoint that contradicts the log | the open fails | made again, or ignored, and reported | the same |
///
/// `Strict` and `Repair` read what lies behind the last checkpoint, and after a clean close only the ends of the logs: what is damaged
/// elsewhere, or a segment in the middle that is gone, is found by the read that comes to it, by [scrubbing](crate::BrokerConfig::scrub_interval()), or by
/// [`verify`](crate::BrokerBuilder::verify), which reads everything. `Salvage` reads everything.
///
/// In every mode the [`RecoveryReport`](crate::RecoveryReport) says what was found and done, and nothing is destroyed: what is cut out of a log
/// is kept beside it, in files ending in `.quarantine`.
///
/// # Examples
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let data = directory.path().join("data");
/// use streamlog::{Broker, RecoveryMode};
///
/// let broker = Broker::builder().log_dir(&data).recovery(RecoveryMode::Salvage).open()?;
/// for partition in &broker.recovery_report().partitions {
///     for lost in &partition.lost {
///         println!("{}: {:?} are lost, what is left of them is in {:?}", partition.partition, lost.offsets, lost.quarantine);
///     }
/// }
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryMode {
    /// The open fails on anything but what a crash leaves, with [`Error::RecoveryRefused`](crate::Error::RecoveryRefused). The partition
    /// that made it fail is as it was. Damage in the catalog is [`Error::PartitionOffline`](crate::Error::PartitionOffline) or
    /// [`Error::Damaged`](crate::Error::Damaged), and damage in `meta.properties` [`Error::InvalidFile`](crate::Error::InvalidFile), as
    /// in the other modes.
    Strict,
    /// What a crash leaves is repaired. A partition whose acknowledged records are damaged is offline, and unchanged; the
    /// others serve.
    #[default]
    Repair,
    /// Every batch of every partition is read, and those that are sound are saved. Offsets of what is lost are never given
    /// again: a read that comes to them is an [`Error::RecordsLost`](crate::Error::RecordsLost), which says where to go on.
    ///
    /// Topics that the catalog has lost are found again by their directories, with default settings; where that was cut short, the other
    /// modes refuse the catalog as damaged, and another salvage goes on. Topics can be created although
    /// a part of `__consumer_offsets` cannot be read: what groups have committed there is done without for as long as this broker
    /// is open.
    ///
    /// What the disk refuses to read takes its partition offline as in the other modes: copy the disk first.
    ///
    /// A damaged segment is written anew beside the old one, so there must be space for the largest of them. Ask for it once, with a
    /// backup at hand, and not at every open: it reads everything.
    Salvage,
}
