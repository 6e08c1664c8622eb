//! A program for the whole engine, on a disk that breaks, against a plain list of records.
//!
//! The input is read as operations: topics created, extended, altered and deleted; records appended, sent with each
//! `acks`, synced, read by offset, by time and through a consumer; the clock moved, so that checkpoints, linger and
//! retries happen; faults of the disk; closes; and crashes of every kind, also in the middle of a recovery.
//!
//! The model knows what a reader of the documentation knows. While nothing goes wrong, every answer is exactly its own.
//! An operation that failed under a fault may have been done in part: what can be read then is what it asked for, in its order. After a
//! crash of the process everything is there that could be read; after a power cut, everything that was said to be
//! durable, and a beginning of the rest; behind it at most what had failed last.

mod checks;
mod crashes;
mod program;
mod reads;
mod topics;
mod writes;

pub use program::run;
