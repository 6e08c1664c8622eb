//! Which partition a record goes to that names none.
//!
//! A [`Partitioner`] chooses by a [`PartitionChoice`]: the record, and what its producer knows of the topic. It keeps nothing
//! between two choices; what must be remembered (which partition is the sticky one, how many records there were) the
//! producer remembers, and says. [`choose`](partitioner::choose) asks one and believes nothing of it.

mod jump_hash;
mod murmur2;

mod choice;
mod partitioner;

mod built_in;

mod sticky_choice;

pub use built_in::{ConsistentPartitioner, HashPartitioner, RoundRobinPartitioner, StickyPartitioner};
pub use choice::PartitionChoice;
pub use partitioner::Partitioner;
pub(crate) use partitioner::choose;
pub(crate) use sticky_choice::StickyChoice;
