//! Everything that is tested through the public API alone: one module per capability.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod assignors;
mod consumer;
mod end_to_end;
mod faults;
mod kit;
#[cfg(target_os = "linux")]
mod soak;

mod append;
mod damaged_reads;
mod delete;
mod flush;
mod foreign;
mod golden;
mod groups;
mod hostile;
mod interop;
mod log_dirs;
mod model;
mod open;
mod partitions_added;
mod producer;
mod producer_bad_input;
mod producer_batches;
mod producer_close;
mod producer_memory;
mod producer_model;
mod producer_poisoned;
mod producer_retries;
mod producer_threads;
mod read;
mod read_only;
mod recompression;
mod recovery_modes;
mod regression;
mod roll;
mod scrubbing;
mod settings;
mod skew;
mod sync;
mod time;
mod timestamp_limits;
mod topics;
mod verify;
mod workers;

/// Counts what is allocated and not freed: the soak looks whether that grows.
#[cfg(target_os = "linux")]
#[global_allocator]
static HEAP: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
