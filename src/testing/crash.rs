//! The ways in which a process ends without being asked.

/// How a process ends, and with it what the next one finds; see [`TestDisk::after`](crate::testing::TestDisk::after).
///
/// After [`Kill`](Crash::Kill) everything is there, after [`PowerCut`](Crash::PowerCut) only what was synced. Between these two lies
/// everything that a real disk may do: what was not synced may have got to the device in part, file by file and directory by
/// directory, and a seed says in which.
///
/// # Examples
///
/// ```
/// use std::io::IoSlice;
/// use std::path::Path;
/// use streamlog::testing::{Crash, TestDisk};
/// use streamlog::{Access, Storage};
///
/// let disk = TestDisk::new();
/// let file = disk.open(Path::new("sums"), Access::Create)?;
/// disk.sync_dir(Path::new(""))?;
/// file.write_at(0, &[IoSlice::new(b"41")])?;
/// file.sync_data()?;
/// file.write_at(0, &[IoSlice::new(b"42")])?;
///
/// let sums = |crash| disk.after(crash).files()[Path::new("sums")].clone();
/// assert_eq!(sums(Crash::Kill), b"42");
/// assert_eq!(sums(Crash::PowerCut), b"41");
/// assert!([b"41", b"42"].contains(&&sums(Crash::Torn { seed: 7 })[..].try_into().unwrap()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Crash {
    /// The process dies and the machine stays up: everything that was written is there.
    Kill,
    /// The power goes, and only what was synced is there.
    PowerCut,
    /// The power goes. Of each file and of each directory the first so many changes since its last sync are there; the write
    /// after them is torn at a multiple of 512 bytes.
    Torn {
        /// Chooses how many.
        seed: u64,
    },
    /// The power goes. Of each file any sectors of 512 bytes that were written since its last sync are there, and any of its lengths; of each
    /// directory any of its changes.
    Reordered {
        /// Chooses which.
        seed: u64,
    },
}

impl Crash {
    /// Whether what was written and not synced is there: the process died alone.
    #[must_use]
    pub fn keeps_page_cache(self) -> bool {
        self == Crash::Kill
    }
}
