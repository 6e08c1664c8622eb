//! A verification of log directories: everything is looked at, nothing is changed.

use std::fmt;
use std::time::Duration;

use super::opening::BrokerBuilder;
use crate::clock::SystemClock;
use crate::error::Result;
use crate::log::{Claims, Finding, Findings, Severity, check_is_there};
use crate::storage::OpenFiles;
use crate::sync::Arc;
use crate::topic::Catalog;

/// What a verification of log directories found. From [`BrokerBuilder::verify`](crate::BrokerBuilder::verify).
///
/// Prints as a line for the whole and one for each finding, the worst first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verification {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// How many findings there were beyond the 10,000 that are kept, which are the worst.
    pub findings_left_off: u64,
    /// Whether something changed while it was looked at: another process writes to the directories. One that has them open and
    /// is idle does not show.
    pub is_changing: bool,
    /// Whether the last broker on them was closed in order.
    pub was_clean: bool,
    /// How many partitions were looked at, the catalog's own among them.
    pub partitions: u64,
    /// How many segments.
    pub segments: u64,
    /// How many sound batches.
    pub batches: u64,
    /// How many records in them.
    pub records: u64,
    /// The bytes of these batches, as stored.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Verification {
    /// Whether no damage was found: every record that is known to have been acknowledged as durable is there, and is what it was. How far
    /// that was, the durable slots and recovery points tell; where they are lost as well, a lost end is not missed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.worst() < Some(Severity::Damage)
    }

    /// The severity of the worst finding, if there is any.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_sound() { "sound" } else { "damaged" };
        let Verification { partitions, segments, batches, records, bytes, elapsed, .. } = self;
        write!(
            f,
            "{verdict}: {partitions} partitions, {segments} segments, {batches} batches with {records} records \
             ({bytes} bytes) in {elapsed:.1?}"
        )?;
        let all = [
            (Severity::Damage, "damaged place", "damaged places"),
            (Severity::Mended, "to be mended", "to be mended"),
            (Severity::Note, "note", "notes"),
        ];
        for (severity, one, many) in all {
            match self.count(severity) {
                0 => {}
                1 => write!(f, ", 1 {one}")?,
                count => write!(f, ", {count} {many}")?,
            }
        }
        if self.is_changing {
            write!(f, "; another process writes to it")?;
        }
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        if self.findings_left_off > 0 {
            write!(f, "\nand {} more", self.findings_left_off)?;
        }
        Ok(())
    }
}

impl BrokerBuilder {
    /// Looks at everything in the log directories, and says what is wrong: every batch of every segment (CRC, offsets, whether its
    /// records decode), leader epochs, indexes, checkpoints, durable slots, the catalog and the directories that it tells of.
    /// It goes on behind what is damaged.
    ///
    /// Nothing is changed, and no lock is taken: another process may have the directories open, and nobody need be allowed to
    /// write there. What is written meanwhile is seen in part. Where the catalog itself is damaged, partitions are found by the names of
    /// their directories.
    ///
    /// It reads everything once, and what is damaged twice, by positional reads. Of memory it takes one batch, decompressed, and
    /// a few windows of 256 KiB. [`Severity`] tells damage from what a crash leaves; the storage, the clock and
    /// `max_open_files` of this builder count, its other settings do not.
    ///
    /// # Errors
    ///
    /// [`Error::NoLogDir`](crate::Error::NoLogDir), [`Error::NotADirectory`](crate::Error::NotADirectory), and
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for directories that are no place to open. What is found in them is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let data = directory.path().join("data");
    /// use streamlog::{Broker, FindingKind, NewTopic, Record, Severity};
    ///
    /// let broker = Broker::open(&data)?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("3 apples")])?;
    /// orders.append(&[Record::new().value("1 pear")])?;
    /// broker.close()?;
    /// assert!(Broker::builder().log_dir(&data).verify()?.is_sound());
    ///
    /// let log = data.join("orders-0/00000000000000000000.log");
    /// let mut bytes = std::fs::read(&log).unwrap();
    /// bytes[70] ^= 1;
    /// std::fs::write(&log, bytes).unwrap();
    ///
    /// let found = Broker::builder().log_dir(&data).verify()?;
    /// println!("{found}");
    /// let [damage] = &found.findings[..] else { panic!("{found}") };
    /// assert_eq!((damage.severity, damage.kind), (Severity::Damage, FindingKind::DamagedBatch));
    /// assert_eq!(damage.offsets, Some(0_u32.into()..1_u32.into()));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn verify(self) -> Result<Verification> {
        let (config, clock, paths, storage) = self.into_parts()?;
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let began = clock.monotonic();
        paths.iter().try_for_each(|path| check_is_there(&*storage, path))?;
        Catalog::check_place(&*storage, &paths)?;
        let mut findings = Findings::default();
        let dirs: Vec<Claims> =
            paths.iter().map(|path| Claims::read(&*storage, path, &mut findings)).collect();
        let files = OpenFiles::new(Arc::clone(&storage), config.max_open_files);
        Catalog::verify(&files, &dirs, &mut findings);
        let is_changing = findings.is_changing || dirs.iter().any(|claims| claims.have_changed(&*storage));
        let counts = findings.counts;
        let (findings, findings_left_off) = findings.into_parts();
        Ok(Verification {
            findings,
            findings_left_off,
            is_changing,
            was_clean: dirs.iter().all(|claims| claims.was_clean),
            partitions: counts.partitions,
            segments: counts.segments,
            batches: counts.batches,
            records: counts.records,
            bytes: counts.bytes,
            elapsed: clock.monotonic().saturating_sub(began),
        })
    }
}
