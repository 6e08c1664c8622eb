//! `.kafka_cleanshutdown`: a file whose presence says that every log in the directory was closed in order.
//!
//! It is made last at a close, and unlinked, with its directory synced, before the first byte is appended after an open, and
//! before a recovery changes a log; so whatever happens in between, its presence is never a lie. An open that only reads leaves
//! it where it is.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::{Storage, small_file};
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release};

pub(super) const FILE_NAME: &str = ".kafka_cleanshutdown";
/// What Kafka writes into it; what matters is that the file exists.
const CONTENTS: &[u8] = br#"{"version":0,"brokerEpoch":-1}"#;

/// The marker of one log directory; see the [module](self).
#[derive(Debug)]
pub(crate) struct CleanMarker {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    path: PathBuf,
    /// Whether the marker is known to be gone: then appending costs one load.
    is_gone: AtomicBool,
    /// Whether the marker stays as it is from now on. Held while it is removed, over the sync: the first appends wait for
    /// it, once per open.
    is_final: Mutex<bool>,
}

impl CleanMarker {
    /// The marker of `dir`, and whether it is there.
    pub(crate) fn find(storage: &Arc<dyn Storage>, dir: &Path) -> Result<(CleanMarker, bool)> {
        let path = dir.join(FILE_NAME);
        let is_there = match storage.stat(&path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("look for", &path)(error)),
        };
        let marker = CleanMarker {
            storage: Arc::clone(storage),
            dir: dir.to_path_buf(),
            path,
            is_gone: AtomicBool::new(!is_there),
            is_final: Mutex::new(false),
        };
        Ok((marker, is_there))
    }

    /// Removes the marker for good, if it is still there. To be called before anything is changed in a log.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the close has settled whether there is one: an append that began before the close and gets
    /// here after it must not touch a directory that another broker may hold by now.
    pub(crate) fn remove(&self) -> Result<()> {
        if self.is_gone.load(Acquire) {
            return Ok(());
        }
        let is_final = self.is_final.lock();
        if self.is_gone.load(Acquire) {
            return Ok(());
        }
        if *is_final {
            return Err(Error::Closed);
        }
        match self.storage.remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &self.path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.storage.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        self.is_gone.store(true, Release);
        Ok(())
    }

    /// Lets nobody remove the marker from now on; `true`: it is there, as nothing was appended. Only once every log is
    /// closed.
    pub(crate) fn settle(&self) -> bool {
        *self.is_final.lock() = true;
        self.is_there()
    }

    /// Whether the marker is there: nothing has been appended since it was placed.
    fn is_there(&self) -> bool {
        !self.is_gone.load(Acquire)
    }

    /// Whether the file is there now, whoever may have removed it.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.storage.stat(&self.path).is_ok()
    }

    /// Makes the marker, durably, after it was [settled](Self::settle).
    pub(crate) fn place(&self) -> Result<()> {
        small_file::replace(&*self.storage, &self.path, CONTENTS)?;
        self.is_gone.store(false, Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn an_append_that_comes_after_the_close_cannot_remove_the_marker() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let dir = Path::new("d");
        storage.create_dir(dir).unwrap();
        let (marker, is_there) = CleanMarker::find(&storage, dir).unwrap();
        assert!(!is_there && !marker.settle());
        marker.place().unwrap();
        assert!(matches!(marker.remove(), Err(Error::Closed)));
        let (reopened, is_there) = CleanMarker::find(&storage, dir).unwrap();
        assert!(is_there);
        reopened.remove().unwrap();
        assert!(!CleanMarker::find(&storage, dir).unwrap().1);
    }
}
