//! The system calls alone, on files like a log's.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::case::median;
use super::settings::{Outcome, Settings};
use super::stopwatch::seconds;

/// How much a bare read or write moves.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// A file that is written by position, and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct BareFile {
    file: File,
    path: PathBuf,
    end: u64,
}

impl BareFile {
    /// A file for which `bytes` have been set aside, none of them written.
    pub(crate) fn allocated(directory: &Path, bytes: u64) -> Outcome<BareFile> {
        let bare = BareFile::create(directory)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::fs::fallocate(&bare.file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        bare.file.set_len(bytes)?;
        Ok(bare)
    }

    /// A file of `bytes` zeros that are on the device.
    pub(crate) fn zeroed(directory: &Path, bytes: u64) -> Outcome<BareFile> {
        let bare = BareFile::create(directory)?;
        let zeros = vec![0; BLOCK_BYTES];
        let mut position = 0;
        while position < bytes {
            bare.file.write_all_at(&zeros, position)?;
            position += BLOCK_BYTES as u64;
        }
        bare.file.sync_all()?;
        Ok(bare)
    }

    fn create(directory: &Path) -> Outcome<BareFile> {
        let path = directory.join("bare");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(BareFile { file, path, end: 0 })
    }

    /// Writes `bytes` behind what was written before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Syncs what was written.
    pub(crate) fn sync(&self) -> Outcome<()> {
        Ok(self.file.sync_data()?)
    }

    /// How much has been appended.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

/// The median of `count` writes of `bytes` into an allocated file, one behind the other, in microseconds.
pub(crate) fn median_write(settings: &Settings, count: u64, bytes: u64) -> Outcome<f64> {
    let scratch = settings.scratch()?;
    median_of_appends(BareFile::allocated(scratch.path(), count * bytes)?, count, bytes, |_| Ok(()))
}

/// The same with a sync behind each write, over blocks that were written before.
pub(crate) fn median_synced_write(settings: &Settings, count: u64, bytes: u64) -> Outcome<f64> {
    let scratch = settings.scratch()?;
    median_of_appends(BareFile::zeroed(scratch.path(), count * bytes)?, count, bytes, BareFile::sync)
}

fn median_of_appends(
    mut file: BareFile,
    count: u64,
    bytes: u64,
    end: impl Fn(&BareFile) -> Outcome<()>,
) -> Outcome<f64> {
    let payload = vec![0x5a; usize::try_from(bytes)?];
    let mut latencies = Vec::new();
    for _ in 0..count {
        let ((), elapsed) = seconds(|| {
            file.append(&payload)?;
            end(&file)
        })?;
        latencies.push(elapsed * 1e6);
    }
    assert_eq!(file.end(), count * bytes);
    Ok(median(&latencies))
}

impl Drop for BareFile {
    fn drop(&mut self) {
        // The directory around it is removed as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Reads the first `bytes` of a file block by block, and gives the exclusive or of the blocks' CRC-32C.
pub(crate) fn read_and_checksum(path: &Path, bytes: u64) -> Outcome<u32> {
    let file = File::open(path)?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut position, mut sum) = (0, 0);
    while position < bytes {
        let wanted = usize::try_from(bytes - position).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let part = block.get_mut(..wanted).unwrap_or_default();
        file.read_exact_at(part, position)?;
        sum ^= crc_fast::crc32_iscsi(part);
        position += wanted as u64;
    }
    Ok(sum)
}
