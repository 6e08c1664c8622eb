//! What a consumer's group has committed, as its positions ask for it.

use crate::acks::Acks;
use crate::error::Result;
use crate::group::{CommittedOffset, Coordinator};
use crate::offset::TopicPartition;
use crate::sync::Arc;

/// Where the offsets of the consumer's group are.
#[derive(Debug)]
pub(super) struct GroupOffsets {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) group: String,
    /// What a commit waits for.
    pub(super) acks: Acks,
}

impl GroupOffsets {
    /// What the group has committed for a partition.
    pub(super) fn committed(&self, partition: &TopicPartition) -> Result<Option<CommittedOffset>> {
        let one = std::slice::from_ref(partition);
        Ok(self.coordinator.committed(&self.group, Some(one))?.remove(partition))
    }
}
