//! What goes wrong on a disk, at which of its calls.

use std::fmt;
use std::io;

use super::call::{Call, Calls};

/// Something that goes wrong on a [`TestDisk`](crate::testing::TestDisk): what it is, and which calls it hits.
///
/// By itself a fault hits every call of the kind that stands with its constructor. [`on`](Fault::on) chooses another kind of
/// calls, [`of`](Fault::of) those of some paths, [`at_call`](Fault::at_call) and its likes those with some number. All that is
/// said must be so for a call to be hit.
///
/// # Examples
///
/// ```
/// use std::io::{ErrorKind, IoSlice};
/// use std::path::Path;
/// use streamlog::testing::{Calls, Fault, TestDisk};
/// use streamlog::{Access, Storage};
///
/// let disk = TestDisk::new();
/// let file = disk.open(Path::new("sums"), Access::Create)?;
/// let write = || file.write_at(0, &[IoSlice::new(b"42")]);
///
/// disk.inject(Fault::full().of("sums"));
/// assert_eq!(write().unwrap_err().kind(), ErrorKind::StorageFull);
/// disk.heal();
/// disk.inject(Fault::io().on(Calls::Syncs));
/// write()?;
/// assert!(file.sync_data().is_err());
/// disk.heal();
/// disk.inject(Fault::flipped_bits(1, 0b1000));
/// assert_eq!(&file.slice(0..2)?[..], b"4:");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: Kind,
    calls: Calls,
    part: Option<String>,
    when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    Io,
    Short,
    Late,
    Interrupted,
    PowerCut,
    LyingSync,
    Flip { position: u64, mask: u8 },
    FlipAny { seed: u64 },
}

/// Which calls, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    AtCall(u64),
    FromCall(u64),
    AtStep(u64),
    FromStep(u64),
}

impl Fault {
    fn new(kind: Kind, calls: Calls) -> Fault {
        Fault { kind, calls, part: None, when: When::Always }
    }

    /// The disk is full: `StorageFull`, and nothing is written. Hits [`Calls::Writes`].
    #[must_use]
    pub fn full() -> Fault {
        Fault::new(Kind::Full, Calls::Writes)
    }

    /// The device does not answer: `EIO`, and nothing is done. Hits [`Calls::All`].
    ///
    /// Where it hits the sync of a file, what that sync was to write is never written by a later one, as with a real disk: the
    /// page cache shows it and takes it for clean. Only writing it again helps.
    #[must_use]
    pub fn io() -> Fault {
        Fault::new(Kind::Io, Calls::All)
    }

    /// A write writes its first half, and then the disk is full. Hits [`Calls::Writes`]; of those that write no bytes nothing is made.
    #[must_use]
    pub fn short_write() -> Fault {
        Fault::new(Kind::Short, Calls::Writes)
    }

    /// A write is made, and reports `EIO` all the same. Hits [`Calls::Writes`]; a creation, a resizing and an allocation are not made.
    #[must_use]
    pub fn late_write() -> Fault {
        Fault::new(Kind::Late, Calls::Writes)
    }

    /// A signal came: `Interrupted`, and nothing is done. Hits [`Calls::All`]. [`DiskStorage`](crate::DiskStorage) makes an
    /// interrupted call again itself, so that a broker on it never sees this one; a storage of your own should do so too.
    #[must_use]
    pub fn interrupted() -> Fault {
        Fault::new(Kind::Interrupted, Calls::All)
    }

    /// The power goes: the call is not made, and it and every later one fail with `EIO`. Hits [`Calls::Steps`].
    #[must_use]
    pub fn power_cut() -> Fault {
        Fault::new(Kind::PowerCut, Calls::Steps)
    }

    /// A sync says that it has been done, and nothing has reached the device. Hits [`Calls::Syncs`]. A later sync that is honest
    /// makes up for it.
    #[must_use]
    pub fn lying_sync() -> Fault {
        Fault::new(Kind::LyingSync, Calls::Syncs)
    }

    /// Whoever reads the byte at `position` of a file gets it with the bits of `mask` flipped. Hits [`Calls::Reads`].
    #[must_use]
    pub fn flipped_bits(position: u64, mask: u8) -> Fault {
        Fault::new(Kind::Flip { position, mask }, Calls::Reads)
    }

    /// A read gives its bytes with one bit flipped, which the seed and the range that is read choose. Hits [`Calls::Reads`].
    #[must_use]
    pub fn flipped_bit(seed: u64) -> Fault {
        Fault::new(Kind::FlipAny { seed }, Calls::Reads)
    }

    /// Hits calls of this kind, instead of those that stand with the constructor.
    #[must_use]
    pub fn on(mut self, calls: Calls) -> Fault {
        self.calls = calls;
        self
    }

    /// Hits only calls about paths that contain `part`.
    #[must_use]
    pub fn of(mut self, part: impl Into<String>) -> Fault {
        self.part = Some(part.into());
        self
    }

    /// Hits only the call with this number: 1 is the first that the disk sees, and reads count.
    #[must_use]
    pub fn at_call(mut self, number: u64) -> Fault {
        self.when = When::AtCall(number);
        self
    }

    /// Hits only calls from the one with this number on.
    #[must_use]
    pub fn from_call(mut self, number: u64) -> Fault {
        self.when = When::FromCall(number);
        self
    }

    /// Hits only the step with this number: 1 is the first of [`Calls::Steps`] that the disk sees.
    #[must_use]
    pub fn at_step(mut self, number: u64) -> Fault {
        self.when = When::AtStep(number);
        self
    }

    /// Hits only calls from the step with this number on.
    #[must_use]
    pub fn from_step(mut self, number: u64) -> Fault {
        self.when = When::FromStep(number);
        self
    }

    /// What it does to this call, which has such numbers among all calls and among the steps; `None` where it does not hit.
    pub(super) fn hit(&self, call: &Call, is_step: bool, calls: u64, steps: u64) -> Option<Kind> {
        let is_due = match self.when {
            When::Always => true,
            When::AtCall(number) => calls == number,
            When::FromCall(number) => calls >= number,
            When::AtStep(number) => is_step && steps == number,
            When::FromStep(number) => steps >= number,
        };
        let is_meant = self.calls.have(call, is_step)
            && self.part.as_ref().is_none_or(|part| call.concerns(part))
            && self.kind.is_of(call);
        (is_due && is_meant).then_some(self.kind)
    }
}

impl Kind {
    /// Whether it can happen to such a call at all.
    fn is_of(self, call: &Call) -> bool {
        match (self, call) {
            (Kind::LyingSync, call) => matches!(call, Call::Sync(_) | Call::SyncDir(_)),
            (Kind::Flip { position, .. }, Call::Read(_, range)) => range.contains(&position),
            (Kind::FlipAny { .. }, Call::Read(_, range)) => !range.is_empty(),
            (Kind::Flip { .. } | Kind::FlipAny { .. }, _) => false,
            _ => true,
        }
    }

    /// What the caller is told, if anything.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Kind::Full | Kind::Short => Some(io::ErrorKind::StorageFull.into()),
            Kind::Io | Kind::Late | Kind::PowerCut => Some(no_answer()),
            Kind::Interrupted => Some(io::ErrorKind::Interrupted.into()),
            Kind::LyingSync | Kind::Flip { .. } | Kind::FlipAny { .. } => None,
        }
    }

    /// Whether what a sync that it hits was to write is lost: not where the sync was never made.
    pub(super) fn loses_unsynced(self) -> bool {
        !matches!(self, Kind::PowerCut | Kind::Interrupted)
    }

    /// How many of the bytes that a call was to write it writes all the same.
    pub(super) fn written(self, bytes: usize) -> usize {
        match self {
            Kind::Short => bytes / 2,
            Kind::Late => bytes,
            _ => 0,
        }
    }

    /// Flips what is to be flipped in the bytes that were read from `start` on.
    pub(super) fn flip(self, start: u64, bytes: &mut [u8]) {
        let (at, mask) = match self {
            Kind::Flip { position, mask } => (usize::try_from(position - start).ok(), mask),
            Kind::FlipAny { seed } if !bytes.is_empty() => {
                let mut random = fastrand::Rng::with_seed(seed ^ start);
                (Some(random.usize(..bytes.len())), 1 << random.u8(..8))
            }
            _ => return,
        };
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
            *byte ^= mask;
        }
    }
}

/// What a device says that does not answer: `EIO`.
pub(super) fn no_answer() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Full => f.write_str("the disk is full"),
            Kind::Io => f.write_str("the device does not answer"),
            Kind::Short => f.write_str("a write stops half way"),
            Kind::Late => f.write_str("a write is made and fails"),
            Kind::Interrupted => f.write_str("a call is interrupted"),
            Kind::PowerCut => f.write_str("the power goes"),
            Kind::LyingSync => f.write_str("a sync lies"),
            Kind::Flip { position, mask } => write!(f, "byte {position} is read with {mask:#04x} flipped"),
            Kind::FlipAny { seed } => write!(f, "a read has a flipped bit, seed {seed}"),
        }?;
        if let Some(part) = &self.part {
            write!(f, ", of {part}")?;
        }
        match self.when {
            When::Always => Ok(()),
            When::AtCall(number) => write!(f, ", at call {number}"),
            When::FromCall(number) => write!(f, ", from call {number} on"),
            When::AtStep(number) => write!(f, ", at step {number}"),
            When::FromStep(number) => write!(f, ", from step {number} on"),
        }
    }
}
