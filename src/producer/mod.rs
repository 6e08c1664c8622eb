//! Sending: records are encoded at once into the open batch of their partition, and batches are appended by whoever finds
//! nobody appending.
//!
//! ```text
//! Producer (handle) ─► Router: which partition ─► Accumulator: the open batch, and those that wait
//!                                                      │ drain: a round of batches, one append
//! Delivery ◄── Completion: what became of a batch ◄────┘
//! ```
//!
//! Invariants: of one producer and one partition, one thread drains at a time, oldest batch first; every batch that was
//! opened is completed, once; what is buffered never exceeds `buffer.memory`; no lock is held over an append or a sync.

mod budget;
mod builder;
mod completion;
mod config;

mod accumulator;
mod core;
mod delivery;
mod drain;
mod handle;
mod router;
mod targets;

#[cfg(all(test, shuttle))]
mod schedules;

pub use builder::ProducerBuilder;
pub use delivery::{Delivery, RecordMetadata};
pub use handle::Producer;
