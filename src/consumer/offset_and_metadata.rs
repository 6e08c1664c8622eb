//! What a program commits for a partition.

use crate::offset::{LeaderEpoch, Offset};

/// An offset to commit, with a text that is kept beside it. Kafka's `OffsetAndMetadata`.
///
/// # Examples
///
/// ```
/// use streamlog::{Offset, OffsetAndMetadata};
///
/// let plain = OffsetAndMetadata::from(Offset::from(7));
/// let told = OffsetAndMetadata { metadata: "by host a".to_owned(), ..plain };
/// assert_eq!(told.offset, 7);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to be read: one behind the last record that was processed.
    pub offset: Offset,
    /// The leader epoch of that last record, if it is known: by it a reader finds out that a power cut took the record.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whatever the program likes; at most `offset.metadata.max.bytes`, 4096 by default.
    pub metadata: String,
}

impl From<Offset> for OffsetAndMetadata {
    fn from(offset: Offset) -> OffsetAndMetadata {
        OffsetAndMetadata { offset, leader_epoch: None, metadata: String::new() }
    }
}
