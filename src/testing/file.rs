//! A file's bytes as the processes see them, its bytes on the device, and the changes in between.
//!
//! After a failed sync the changes that it should have written are never written by a later one: the page cache takes them for
//! clean. A length that was set aside or written is known to the file system all the same.

use fastrand::Rng;

use super::crash::Crash;

/// The unit in which a write tears.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct File {
    /// What a process reads.
    pub(super) seen: Vec<u8>,
    device: Vec<u8>,
    unsynced: Vec<Unsynced>,
    pub(super) is_locked: bool,
}

#[derive(Debug, Clone)]
struct Unsynced {
    change: FileChange,
    /// A sync that should have written it failed.
    is_lost: bool,
}

#[derive(Debug, Clone)]
pub(super) enum FileChange {
    Write(usize, Vec<u8>),
    Resize(usize),
    /// Grows to this length, unless the file is as long.
    Grow(usize),
}

impl File {
    /// One that has these bytes on the device.
    pub(super) fn of(bytes: Vec<u8>) -> File {
        File { seen: bytes.clone(), device: bytes, ..File::default() }
    }

    /// Has these bytes on the device from now on.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        *self = File { is_locked: self.is_locked, ..File::of(bytes.to_vec()) };
    }

    pub(super) fn change(&mut self, change: FileChange) {
        change.apply(&mut self.seen);
        self.unsynced.push(Unsynced { change, is_lost: false });
    }

    pub(super) fn sync(&mut self) {
        for Unsynced { change, is_lost } in std::mem::take(&mut self.unsynced) {
            match change {
                FileChange::Write(position, bytes) if is_lost => {
                    FileChange::Grow(position + bytes.len()).apply(&mut self.device);
                }
                change => change.apply(&mut self.device),
            }
        }
    }

    /// A sync failed: what it was to write, none will.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.iter_mut().for_each(|unsynced| unsynced.is_lost = true);
    }

    /// What the next process finds.
    pub(super) fn after(&self, crash: Crash, random: &mut Rng) -> File {
        match crash {
            Crash::Kill => File { is_locked: false, ..self.clone() },
            Crash::PowerCut => File::of(self.device.clone()),
            Crash::Torn { .. } => File::of(self.torn(random)),
            Crash::Reordered { .. } => File::of(self.reordered(random)),
        }
    }

    /// What was synced, and the first so many changes since, the next one in part.
    fn torn(&self, random: &mut Rng) -> Vec<u8> {
        let mut bytes = self.device.clone();
        let count = random.usize(0..=self.unsynced.len());
        for Unsynced { change, is_lost } in self.unsynced.iter().take(count) {
            if !is_lost || random.bool() {
                change.apply(&mut bytes);
            }
        }
        if let Some(Unsynced { change: FileChange::Write(position, written), .. }) = self.unsynced.get(count)
        {
            let parts = sectors(*position, written);
            let whole = random.usize(0..=parts.len());
            for (place, part) in parts.into_iter().take(whole) {
                FileChange::Write(place, part.to_vec()).apply(&mut bytes);
            }
        }
        bytes
    }

    /// What was synced, and an arbitrary part of the changes since: of each write some sectors, perhaps none, and of the
    /// lengths any.
    fn reordered(&self, random: &mut Rng) -> Vec<u8> {
        let mut bytes = self.device.clone();
        let mut lengths = vec![bytes.len()];
        let likely = random.u8(0..=100);
        for Unsynced { change, .. } in &self.unsynced {
            match change {
                FileChange::Write(position, written) => {
                    lengths.push(position + written.len());
                    for (place, part) in sectors(*position, written) {
                        if random.u8(..100) < likely {
                            FileChange::Write(place, part.to_vec()).apply(&mut bytes);
                        }
                    }
                }
                FileChange::Resize(length) => {
                    lengths.push(*length);
                    if random.bool() {
                        change.apply(&mut bytes);
                    }
                }
                FileChange::Grow(length) => lengths.push(*length),
            }
        }
        if random.bool() {
            FileChange::Grow(any_of(&lengths, random)).apply(&mut bytes);
        }
        // A length that was not yet written hides what was.
        if random.u8(..4) == 0 {
            bytes.truncate(self.device.len().max(any_of(&lengths, random)));
        }
        bytes
    }
}

impl FileChange {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            FileChange::Write(position, written) => {
                let end = position + written.len();
                FileChange::Grow(end).apply(bytes);
                if let Some(place) = bytes.get_mut(*position..end) {
                    place.copy_from_slice(written);
                }
            }
            FileChange::Resize(length) => bytes.resize(*length, 0),
            FileChange::Grow(length) => bytes.resize(bytes.len().max(*length), 0),
        }
    }
}

/// What is written at `position`, cut where sectors begin, each part with its own position.
fn sectors(position: usize, written: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut parts, mut place, mut rest) = (Vec::new(), position, written);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(SECTOR_BYTES - place % SECTOR_BYTES));
        parts.push((place, part));
        (place, rest) = (place + part.len(), after);
    }
    parts
}

fn any_of(lengths: &[usize], random: &mut Rng) -> usize {
    lengths.get(random.usize(..lengths.len())).copied().unwrap_or_default()
}
