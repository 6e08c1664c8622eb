//! A program for the whole engine, on a disk that breaks, against a plain list of records and a plain map of offsets.
//!
//! The input is read as operations: topics created, extended, altered and deleted; records appended, sent with each
//! `acks`, synced, read by offset, by time and through a consumer; members of groups that come, read, commit and go, and stay
//! while other things happen; their offsets reset and deleted, their groups deleted; the clock moved, so that checkpoints, linger,
//! retries and sessions run out; faults of the disk; closes; and crashes of every kind, also in the middle of a recovery.
//!
//! The model knows what a reader of the documentation knows. While nothing goes wrong, every answer is exactly its own.
//! An operation that failed under a fault may have been done in part: what can be read then is what it asked for, in its order. After a
//! crash of the process everything is there that could be read; after a power cut, everything that was said to be
//! durable, and a beginning of the rest; behind it at most what had failed last.
//!
//! What a group has committed is as it was asked for, as a whole, and `groups.rs` says what of it a failure or a crash may leave.
//! The group goes on there, or where the log was cut below it. Only while its members have not come to rest may they be refused.
//! Not in the model: offsets that expire, static members, several partitions of `__consumer_offsets`.

mod checks;
mod crashes;
mod groups;
mod members;
mod outside;
mod program;
mod reads;
mod topics;
mod writes;

pub use program::run;
