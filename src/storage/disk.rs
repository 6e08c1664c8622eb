//! The operating system's file system.
//!
//! Files are written and read by position; there is no seek pointer to share, so any number of threads may use one
//! open file. A write goes out whole, in as many calls as the system makes of it. Files are created with mode 0600 and
//! directories with 0700, so that only their owner reads what was logged. A lock is the system's (`flock`) on an open
//! file: it vanishes with the process, and a second open of the same file in this process does not share it.
//!
//! Links: a path is opened through them, and [`Storage::stat`] follows them too, because a log directory may be a link
//! that the user made. [`Storage::list`] does not: what is a link inside a log directory is nothing of ours.
//!
//! What a crash leaves is what the traits promise, no more: bytes and lengths that were not synced may be there, or
//! not, in any order; so may files and renames whose directory was not synced.

#[cfg(not(unix))]
compile_error!(
    "streamlog's storage needs a Unix system: positional vectored writes, directory syncs and removal of open files"
);

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use super::bounds;
use super::map::MappedFile;
use super::pool::Buffer;
use super::slice::Slice;
use super::traits::{Access, Entry, EntryKind, Storage, StorageFile, StorageLock};

/// The most parts that one write call takes: Linux's `IOV_MAX`, and no other system's is higher.
const PARTS_MAX: usize = 1024;
/// Reads up to this long skip the question how long the file is: a buffer of this size costs less than the answer.
const UNCHECKED_BYTES_MAX: u64 = 64 << 10;
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The disk, through the operating system.
///
/// # Examples
///
/// ```
/// use std::io::IoSlice;
/// use streamlog::{Access, DiskStorage, Storage};
///
/// let directory = tempfile::tempdir()?;
/// let storage = DiskStorage::new();
/// let path = directory.path().join("greeting");
/// let file = storage.open(&path, Access::Create)?;
/// file.write_at(0, &[IoSlice::new(b"hello, "), IoSlice::new(b"disk")])?;
/// file.sync_data()?;
/// storage.sync_dir(directory.path())?;
/// assert_eq!(&file.slice(7..11)?[..], b"disk");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct DiskStorage(());

impl DiskStorage {
    /// The file system as this process sees it.
    #[must_use]
    pub fn new() -> DiskStorage {
        DiskStorage(())
    }
}

impl Storage for DiskStorage {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(FILE_MODE);
        match access {
            Access::Create => options.write(true).create_new(true),
            Access::Write => options.write(true),
            // So that a pipe is not waited for.
            Access::Read | Access::Map => {
                options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            }
        };
        let file = options.open(path)?;
        if matches!(access, Access::Read | Access::Map) {
            // Unix opens a directory for reading without complaint, and a pipe or a device as well.
            match file.metadata()?.file_type() {
                kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                kind if kind.is_file() => {}
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            }
        }
        if access == Access::Map {
            match MappedFile::new(&file) {
                Ok(mapped) => return Ok(Box::new(mapped)),
                // The file system has no maps: read by position.
                Err(error) if is(&error, rustix::io::Errno::NODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Box::new(DiskFile { file }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) => entries.push(describe(entry.file_name(), &metadata)),
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> io::Result<Entry> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_os_string();
        Ok(describe(name, &fs::metadata(path)?))
    }

    fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        fs::rename(source, target)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<StorageLock> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(StorageLock::new(DiskLock { file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn is_network(&self, path: &Path) -> io::Result<bool> {
        let file_system = retry(|| Ok(rustix::fs::statfs(path)?))?.f_type;
        // The kernel's word is wider than the number in it on some machines, and signed on some.
        let magic = u64::try_from(file_system).unwrap_or_default() & u64::from(u32::MAX);
        Ok(network::FILE_SYSTEMS.iter().any(|&known| u64::from(known) == magic))
    }
}

/// The file systems, as statfs numbers them, whose files may live on another machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod network {
    const NFS: u32 = 0x6969;
    const SMB: u32 = 0x517B;
    const SMB2: u32 = 0xFE53_4D42;
    const CIFS: u32 = 0xFF53_4D42;
    const NCP: u32 = 0x564C;
    /// Plan 9's protocol: folders that a virtual machine shares with its host.
    const V9FS: u32 = 0x0102_1997;
    /// What VirtualBox shares with its host.
    const VBOXSF: u32 = 0x786F_4256;
    const CEPH: u32 = 0x00C3_6400;
    const AFS: u32 = 0x5346_414F;
    const KERNEL_AFS: u32 = 0x6B41_4653;
    const CODA: u32 = 0x7375_7245;
    const LUSTRE: u32 = 0x0BD0_0BD0;
    const GPFS: u32 = 0x4750_4653;
    const BEEGFS: u32 = 0x1983_0326;
    const PANFS: u32 = 0xAAD7_AAEA;
    /// Whatever a program makes of it, sshfs and buckets among them, and virtiofs. A local one is counted as well:
    /// its syncs are only as good as that program.
    const FUSE: u32 = 0x6573_5546;

    pub(super) const FILE_SYSTEMS: [u32; 16] = [
        NFS, SMB, SMB2, CIFS, NCP, V9FS, VBOXSF, CEPH, AFS, KERNEL_AFS, CODA, LUSTRE, GPFS, BEEGFS, PANFS,
        FUSE,
    ];
}

/// An open file, written and read by position.
#[derive(Debug)]
struct DiskFile {
    file: File,
}

impl StorageFile for DiskFile {
    fn write_at(&self, position: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        bounds::end_of(position, parts.iter().map(|part| part.len() as u64).sum())?;
        match parts {
            [part] => self.file.write_all_at(part, position),
            parts => write_all(position, parts, |at, parts| Ok(rustix::io::pwritev(&self.file, parts, at)?)),
        }
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Slice> {
        let bytes = bounds::length_of(&range)?;
        if bytes == 0 {
            return Ok(Slice::default());
        }
        if bytes > UNCHECKED_BYTES_MAX {
            bounds::check_inside(&range, self.bytes()?)?;
        }
        let mut buffer = Buffer::take(bounds::buffer_bytes(bytes)?);
        self.file.read_exact_at(buffer.as_mut(), range.start)?;
        Ok(buffer.freeze())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        bounds::end_of(bytes, 0)?;
        self.file.set_len(bytes)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        match bounds::length_of(&range)? {
            0 => Ok(()),
            bytes => allocate(&self.file, range.start, bytes),
        }
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut left = bounds::length_of(&range)?;
        let mut position = range.start;
        while left > 0 {
            let bytes = left.min(ZEROS.len() as u64);
            let block = usize::try_from(bytes).ok().and_then(|bytes| ZEROS.get(..bytes)).unwrap_or(&ZEROS);
            self.file.write_all_at(block, position)?;
            position += bytes;
            left -= bytes;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Holds the lock on its open file.
#[derive(Debug)]
struct DiskLock {
    file: File,
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // Closing lets go as well, but not while a child that was forked meanwhile still has a copy of the
        // descriptor. There is nothing to do about an error: the descriptor is closed next.
        let _ = self.file.unlock();
    }
}

fn describe(name: std::ffi::OsString, metadata: &Metadata) -> Entry {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Directory,
        _ => EntryKind::Other,
    };
    let bytes = if kind == EntryKind::File { metadata.len() } else { 0 };
    Entry { name, kind, bytes }
}

/// Writes all of `parts` with as many calls of `write` as it takes. `write` may write less than it is given, and is
/// never given more than [`PARTS_MAX`] parts, nor nothing at all.
fn write_all(
    mut position: u64,
    mut parts: &[IoSlice<'_>],
    mut write: impl FnMut(u64, &[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<()> {
    // How much of the first part is written already. What is left of a part goes out in a call of its own: short
    // writes are rare, and the list of parts need not be copied to change its head.
    let mut skip = 0;
    while let Some((first, rest)) = parts.split_first() {
        let head = first.get(skip..).unwrap_or_default();
        if head.is_empty() {
            (parts, skip) = (rest, 0);
            continue;
        }
        let result = match skip {
            0 => write(position, parts.get(..PARTS_MAX).unwrap_or(parts)),
            _ => write(position, &[IoSlice::new(head)]),
        };
        let mut written = match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        position += written as u64;
        while let Some((first, rest)) = parts.split_first() {
            let left = first.len() - skip;
            if written < left {
                skip += written;
                break;
            }
            written -= left;
            (parts, skip) = (rest, 0);
        }
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, position: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    use rustix::io::Errno;

    let result = retry(|| Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), position, bytes)?));
    result.map_err(|error| match error {
        error if is(&error, Errno::OPNOTSUPP) || is(&error, Errno::NOSYS) => {
            io::ErrorKind::Unsupported.into()
        }
        error => error,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_: &File, _: u64, _: u64) -> io::Result<()> {
    // What others offer either shortens the file (macOS) or writes zeros, which `zero` does as well.
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is(error: &io::Error, errno: rustix::io::Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Runs the loop over a target that takes at most `step` bytes a call and is interrupted before each.
    fn written(parts: &[&[u8]], step: usize) -> Vec<u8> {
        let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut target = Vec::new();
        let mut interrupt = false;
        let result = write_all(100, &parts, |position, parts| {
            interrupt = !interrupt;
            if interrupt {
                return Err(io::ErrorKind::Interrupted.into());
            }
            assert_eq!(position, 100 + target.len() as u64);
            assert!(parts.len() <= PARTS_MAX);
            let mut room = step;
            for part in parts {
                let take = part.len().min(room);
                target.extend_from_slice(&part[..take]);
                room -= take;
            }
            Ok(step - room)
        });
        result.unwrap();
        target
    }

    #[test]
    fn a_write_survives_every_partial_write_and_interruption() {
        let parts: [&[u8]; 6] = [b"", b"abc", b"", b"d", b"efghij", b""];
        for step in 1..=11 {
            assert_eq!(written(&parts, step), b"abcdefghij", "{step} bytes at a time");
        }
        assert_eq!(written(&[], 1), b"");
        assert_eq!(written(&[b"", b""], 1), b"");
    }

    #[test]
    fn a_write_of_more_parts_than_one_call_takes_is_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * PARTS_MAX + 7).collect();
        let parts: Vec<&[u8]> = bytes.chunks(1).collect();
        for step in [1, 1000, PARTS_MAX, 10 * PARTS_MAX] {
            assert_eq!(written(&parts, step), bytes);
        }
    }

    #[test]
    fn a_write_that_goes_nowhere_is_an_error() {
        let parts = [IoSlice::new(b"ab")];
        assert_eq!(write_all(0, &parts, |_, _| Ok(0)).unwrap_err().kind(), io::ErrorKind::WriteZero);
        let full = write_all(0, &parts, |_, _| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn files_and_directories_are_their_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let (storage, directory) = (DiskStorage::new(), root.path().join("a/b"));
        storage.create_dir(&directory).unwrap();
        storage.open(&directory.join("file"), Access::Create).unwrap();
        let _lock = storage.lock(&directory.join("lock")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&root.path().join("a")), 0o700);
        assert_eq!(mode(&directory.join("file")), 0o600);
        assert_eq!(mode(&directory.join("lock")), 0o600);
    }

    #[test]
    fn a_link_is_followed_when_named_and_shown_when_listed() {
        let root = tempfile::tempdir().unwrap();
        let storage = DiskStorage::new();
        storage.create_dir(&root.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        assert_eq!(storage.stat(&root.path().join("link")).unwrap().kind, EntryKind::Directory);
        let listed = storage.list(root.path()).unwrap();
        let link = listed.iter().find(|entry| entry.name == "link").unwrap();
        assert_eq!((link.kind, link.bytes), (EntryKind::Other, 0));
        storage.create_dir(&root.path().join("link")).unwrap();
    }

    #[test]
    fn a_mapped_file_refuses_everything_but_reads() {
        let root = tempfile::tempdir().unwrap();
        let (storage, path) = (DiskStorage::new(), root.path().join("sealed"));
        storage.open(&path, Access::Create).unwrap().write_at(0, &[IoSlice::new(b"abcdef")]).unwrap();
        let mapped = storage.open(&path, Access::Map).unwrap();
        assert_eq!(&mapped.slice(1..4).unwrap()[..], b"bcd");
        let refusals = [
            mapped.write_at(0, &[IoSlice::new(b"x")]),
            mapped.set_bytes(0),
            mapped.zero(0..1),
            mapped.allocate(0..1),
            mapped.sync_data(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_hostile_range_takes_no_memory() {
        let root = tempfile::tempdir().unwrap();
        let (storage, path) = (DiskStorage::new(), root.path().join("sparse"));
        let file = storage.open(&path, Access::Create).unwrap();
        let past_the_end = file.slice(0..1 << 60).unwrap_err();
        assert_eq!(past_the_end.kind(), io::ErrorKind::UnexpectedEof);
        file.set_bytes(1 << 40).unwrap();
        let too_much = file.slice(0..1 << 40).unwrap_err();
        assert_eq!(too_much.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn asking_whether_a_path_is_on_a_network_needs_the_path() {
        let root = tempfile::tempdir().unwrap();
        assert!(DiskStorage::new().is_network(root.path()).is_ok());
    }
}
