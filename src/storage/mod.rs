//! Files, maps and fsync; no records. The only floor that touches the disk.

mod pool;
mod slice;
mod traits;

pub(crate) use pool::Buffer;
pub use slice::Slice;
pub use traits::{Access, Entry, EntryKind, Storage, StorageFile, StorageLock};
