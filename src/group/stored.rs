//! What a coordinator has appended for somebody, who waits for its sync without any lock.

use crate::error::Result;
use crate::log::Log;
use crate::offset::Offset;
use crate::sync::Arc;

/// What was appended, and where its log must be synced to for it to be durable.
#[derive(Debug, Clone)]
#[must_use]
pub(crate) struct Committed {
    pub(crate) log: Arc<Log>,
    /// The log's end behind it.
    pub(crate) end: Offset,
}

impl Committed {
    /// Returns once it is on the device.
    pub(crate) fn wait(&self) -> Result<()> {
        self.log.sync_through(self.end).map(drop)
    }
}
