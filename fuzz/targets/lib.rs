//! What is fuzzed: each target's body is a plain function here, `run(data)`, that panics where a property does not hold.
//!
//! A library for the fuzzers in `fuzz_targets/`; `tests/fuzz_corpus.rs` has the same files as modules, and runs them over
//! the inputs kept in `corpus/`. Nothing here depends on anything but the crate's public API.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a target says what is wrong by panicking")]
#![allow(
    clippy::missing_panics_doc,
    missing_docs,
    reason = "panicking is what they are for; no API of anybody's"
)]

pub mod batch;
pub mod batch_decode;
pub mod catalog_replay;
pub mod engine;
pub mod files;
pub mod index_open;
pub mod input;
pub mod member_data;
pub mod memory;
pub mod offsets_replay;
pub mod properties;
pub mod rows;
pub mod segment_recovery;
pub mod whole;
