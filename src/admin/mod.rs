//! Looking after a broker: its topics, and its groups.

mod handle;

mod groups;
mod topics;

pub use groups::OffsetSpec;
pub use handle::Admin;
pub use topics::{PartitionDescription, TopicDescription};
