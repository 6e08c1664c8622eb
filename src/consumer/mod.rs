//! Reading records: which partitions, from where, and how they are waited for.
//!
//! A [`Consumer`] is given partitions, or gets its share of them as a member of a group, and returns what they hold from its position
//! on, in turn, some at a time. Batches are fetched as they are stored, and decoded when their records are returned; what is
//! returned owns its bytes.

mod iso_duration;
mod isolation;
mod offset_and_metadata;
mod offset_reset;

mod config;

mod record;
mod records;

mod fetched;
mod group_offsets;

mod assigned;

mod rebalance;
mod subscription;

mod membership;

mod waker;

mod handle;
mod polling;
mod seeking;

mod committing;
mod joining;
mod subscribing;

mod builder;

mod workers;

pub use builder::ConsumerBuilder;
pub use committing::Commit;
pub use handle::Consumer;
pub use isolation::IsolationLevel;
pub use offset_and_metadata::OffsetAndMetadata;
pub use offset_reset::AutoOffsetReset;
pub use rebalance::{Rebalance, RebalanceListener};
pub use record::{ConsumerRecord, OwnedRecord};
pub use records::{Records, RecordsIter};
pub use waker::ConsumerWaker;
pub use workers::Workers;
