//! Reading records: which partitions, from where, and how they are waited for.
//!
//! A [`Consumer`] is given partitions and returns what they hold from its position on, in turn, some at a time. Batches
//! are fetched as they are stored, and decoded when their records are returned; what is returned owns its bytes.

mod iso_duration;
mod isolation;
mod offset_reset;

mod config;

mod record;
mod records;

mod fetched;

mod assigned;

mod waker;

mod handle;
mod polling;
mod seeking;

mod builder;

pub use builder::ConsumerBuilder;
pub use handle::Consumer;
pub use isolation::IsolationLevel;
pub use offset_reset::AutoOffsetReset;
pub use record::{ConsumerRecord, OwnedRecord};
pub use records::{Records, RecordsIter};
pub use waker::ConsumerWaker;
