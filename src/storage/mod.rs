//! Files, maps and fsync; no records. The only floor that touches the disk.

mod traits;

mod bounds;
mod pool;
mod slice;

mod disk;
mod map;

mod extents;
mod memory;

mod overlay;
mod overlay_file;

pub(crate) mod small_file;

mod open_files;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod recording;

pub use disk::DiskStorage;
pub use memory::MemoryStorage;
pub(crate) use open_files::{FileHandle, OpenFiles};
pub(crate) use overlay::{Overlay, OverlayPolicy};
#[cfg(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
pub(crate) use pool::Buffer;
pub use slice::Slice;
pub use traits::{Access, Entry, EntryKind, Storage, StorageFile, StorageLock};
