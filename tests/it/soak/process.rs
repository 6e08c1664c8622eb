//! What this process holds, as Linux and the allocator tell it, and what lies in a directory.

use std::fs;
use std::path::Path;

/// What is held at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// Resident bytes, maps of files among them.
    pub(super) resident: u64,
    /// Resident bytes that are no maps of files: the heap, and what the allocator keeps of it for later.
    pub(super) private: u64,
    /// Bytes that are allocated and not freed, by Rust's count.
    pub(super) allocated: u64,
    pub(super) descriptors: u64,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
}

const PAGE_BYTES: u64 = 4096;

impl Held {
    /// What is held now, with the files below `directory`.
    pub(super) fn now(directory: &Path) -> Held {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let mut pages = pages.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap() * PAGE_BYTES);
        let (resident, shared) = (pages.next().unwrap(), pages.next().unwrap());
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let mut held = Held {
            resident,
            private: resident.saturating_sub(shared),
            allocated: crate::HEAP.current_usage() as u64,
            descriptors,
            ..Held::default()
        };
        held.count_files(directory);
        held
    }

    /// Files may come and go meanwhile.
    fn count_files(&mut self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.count_files(&entry.path()),
                Ok(metadata) => {
                    self.files += 1;
                    self.file_bytes += metadata.len();
                }
                Err(_) => {}
            }
        }
    }

    /// The median of each number by itself.
    pub(super) fn median(samples: &[Held]) -> Held {
        let middle = |number: fn(&Held) -> u64| {
            let mut numbers: Vec<_> = samples.iter().map(number).collect();
            numbers.sort_unstable();
            numbers.get(numbers.len() / 2).copied().unwrap_or(0)
        };
        Held {
            resident: middle(|held| held.resident),
            private: middle(|held| held.private),
            allocated: middle(|held| held.allocated),
            descriptors: middle(|held| held.descriptors),
            files: middle(|held| held.files),
            file_bytes: middle(|held| held.file_bytes),
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "resident {:.1} MiB (private {:.1} MiB, allocated {:.1} MiB), {} descriptors, {} files of {:.1} MiB",
            mib(self.resident),
            mib(self.private),
            mib(self.allocated),
            self.descriptors,
            self.files,
            mib(self.file_bytes),
        )
    }
}
