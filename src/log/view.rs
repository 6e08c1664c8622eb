//! Log directories as they look to who may not change them: another process may have them open, or nobody may write there.
//!
//! They are opened by the same code as ever, on a storage that keeps every change in memory ([`Overlay`]): torn tails are cut,
//! interrupted creations completed, missing indexes made, and none of it is on the disk.
//!
//! Another process may change them meanwhile. What says how much of a log there is (marker, checkpoints, slots) is read before
//! the log, which only grows: so what was not there yet is never taken for damage. What else may have changed in between, a
//! topic created or deleted, shows as an error, and whoever opens looks again.

use std::io;
use std::path::Path;

use super::durable_slots;
use super::meta_properties;
use super::metadata_file;
use super::quarantine;
use crate::error::{Error, Result};
use crate::storage::{EntryKind, Overlay, OverlayPolicy, Storage};
use crate::sync::Arc;

/// The most bytes that may differ from what is on the disk: checkpoints, epochs, slots, and records of the catalog.
const LIMIT_BYTES: u64 = 64 << 20;

/// What is on `storage`, to be looked at: changes stay in memory.
pub(crate) fn view(storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
    let policy = OverlayPolicy {
        limit_bytes: LIMIT_BYTES,
        witness: metadata_file::FILE_NAME,
        is_write_only: quarantine::is_quarantine,
    };
    Arc::new(Overlay::new(storage, policy))
}

/// Refuses a path without a log directory: an open would make one.
pub(crate) fn check_is_there(storage: &dyn Storage, path: &Path) -> Result<()> {
    let missing = || Error::NoLogDir { path: path.to_path_buf() };
    match storage.stat(path) {
        Ok(entry) if entry.kind != EntryKind::Directory => {
            return Err(Error::NotADirectory { path: path.to_path_buf() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(Error::io("open", path)(error)),
    }
    let has_slots = storage.stat(&path.join(durable_slots::FILE_NAME)).is_ok();
    if has_slots || meta_properties::exists(storage, path)? { Ok(()) } else { Err(missing()) }
}
