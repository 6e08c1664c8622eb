//! The log directories of a broker: which there are, which of them can be used, and which is whose.
//!
//! The first one holds the catalog of topics and must be usable. Of the others, the order means nothing: a partition is
//! found by the id of its directory, which the catalog knows. One that cannot be used fails the open, or is offline where
//! that is allowed; then so are its partitions, and nobody else's.
//!
//! Invariants: no two of them have the same id; all are of one cluster, as far as they say of which.

use std::path::{Path, PathBuf};

use super::log_dir::{LogDir, LogDirParts};
use super::meta_properties;
use crate::error::{Chain, Error, Result};
use crate::sync::Arc;
use crate::uuid::Uuid;

/// The log directories of a broker; see the [module](self).
#[derive(Debug)]
pub(crate) struct LogDirs {
    /// The first one is the catalog's.
    online: Vec<Arc<LogDir>>,
    offline: Vec<OfflineDir>,
}

/// A log directory that cannot be used.
#[derive(Debug)]
pub(crate) struct OfflineDir {
    pub(crate) path: PathBuf,
    /// Its id, where that much could be read.
    id: Option<Uuid>,
    pub(crate) error: Arc<Error>,
}

impl LogDirs {
    /// Opens the directories at `paths`, of which there is one at least, making those that are missing.
    ///
    /// # Errors
    ///
    /// Those of [`LogDir::open`]; with `allows_offline` only for the first one, and for one that is held by another broker.
    /// [`Error::InvalidConfig`] where two are the same, have the same id, or are of different clusters.
    pub(crate) fn open(paths: &[PathBuf], allows_offline: bool, parts: &LogDirParts) -> Result<LogDirs> {
        let mut dirs = LogDirs { online: Vec::new(), offline: Vec::new() };
        for path in paths {
            let cluster = dirs.online.first().and_then(|first| first.cluster());
            let opened = LogDir::open(path, cluster, parts.clone()).and_then(|dir| {
                // An earlier process may have died before it synced a name: the catalog will name the directory by its id, which must
                // not be drawn again from then on, and what is acknowledged lies in the directories of partitions.
                if !dir.was_clean() || dir.is_new() {
                    dir.sync_entries()?;
                }
                Ok(dir)
            });
            match opened {
                Ok(dir) => {
                    dirs.check_is_other(path, dir.id())?;
                    check_cluster(path, dir.cluster(), cluster)?;
                    let id = u128::from_be_bytes(*dir.id().as_bytes());
                    dirs.online.push(Arc::new(dir));
                    dirs.stir(u64::try_from(id >> u64::BITS).unwrap_or_default());
                }
                Err(error) => {
                    let id = meta_properties::read_id(&**parts.files.storage(), path);
                    id.map_or(Ok(()), |id| dirs.check_is_other(path, id))?;
                    let is_held = matches!(error, Error::Locked { .. });
                    if dirs.online.is_empty() || is_held || !allows_offline {
                        return Err(error);
                    }
                    log::error!("log directory {} is offline: {}", path.display(), Chain(&error));
                    dirs.offline.push(OfflineDir { path: path.clone(), id, error: Arc::new(error) });
                }
            }
        }
        Ok(dirs)
    }

    /// Refuses a directory whose id another one has: it is the same by another name, or a copy.
    fn check_is_other(&self, path: &Path, id: Uuid) -> Result<()> {
        let Some(known) = self.online.iter().find(|dir| dir.id() == id) else { return Ok(()) };
        Err(Error::InvalidConfig {
            setting: "log.dirs",
            value: path.display().to_string(),
            reason: format!("it has the same directory.id as {}", known.path().display()),
        })
    }

    /// Makes what is drawn at random from now on depend on `number`: a broker with the same seed as an earlier one on the
    /// same directories would draw its ids again.
    pub(crate) fn stir(&self, number: u64) {
        let mut random = self.first().random.lock();
        let drawn = random.u64(..);
        random.seed(drawn ^ number);
    }

    /// The catalog's.
    pub(crate) fn first(&self) -> &Arc<LogDir> {
        self.online.first().expect("the first directory is always online")
    }

    /// Those that can be used.
    pub(crate) fn online(&self) -> &[Arc<LogDir>] {
        &self.online
    }

    /// Those that cannot.
    pub(crate) fn offline(&self) -> &[OfflineDir] {
        &self.offline
    }

    /// The directory with this id, or why it cannot be used.
    pub(crate) fn get(&self, id: Uuid) -> Result<&Arc<LogDir>, Arc<Error>> {
        if let Some(dir) = self.online.iter().find(|dir| dir.id() == id) {
            return Ok(dir);
        }
        let known = self.offline.iter().find(|dir| dir.id == Some(id));
        Err(known.map_or_else(|| Arc::new(Error::UnknownLogDir { id }), |dir| Arc::clone(&dir.error)))
    }

    /// Whether the last broker on them was closed in order.
    pub(crate) fn were_clean(&self) -> bool {
        self.online.iter().all(|dir| dir.was_clean())
    }

    /// Whether nobody has appended since in a directory that was closed in order when it was opened.
    pub(crate) fn are_still(&self) -> bool {
        self.online.iter().all(|dir| !dir.was_clean() || dir.is_still_clean())
    }

    /// Lets no round of checkpoints begin any more, and waits for those that run.
    pub(crate) fn end_checkpoints(&self) {
        self.online.iter().for_each(|dir| dir.end_checkpoints());
    }

    /// Ends the work on all of them, once all logs are closed, and lets go of them. Gives the first error.
    pub(crate) fn close(&self) -> Result<()> {
        // Every one of them, whatever happens to those before it.
        let closed: Vec<Result<()>> = self.online.iter().map(|dir| dir.close()).collect();
        self.first().files.shut();
        self.online.iter().for_each(|dir| dir.unlock());
        closed.into_iter().collect()
    }
}

/// Refuses a directory of another cluster than the first one's: partitions that no catalog here knows lie in it, and their
/// slots and checkpoints would be taken for free.
fn check_cluster(path: &Path, own: Option<&str>, first: Option<&str>) -> Result<()> {
    match (own, first) {
        (Some(own), Some(first)) if own != first => Err(Error::InvalidConfig {
            setting: "log.dirs",
            value: path.display().to_string(),
            reason: format!("its cluster.id is {own}, and that of the first directory {first}"),
        }),
        _ => Ok(()),
    }
}
