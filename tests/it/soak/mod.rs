//! Everything at once for as long as is asked for, on the real disk and the real clock.
//!
//! `STREAMLOG_SOAK_SECONDS=600 cargo test --release --test it soak -- --ignored --nocapture`. On Linux, where a process can be asked
//! for what it holds.

mod follower;
mod member;
mod process;
mod run;
mod sender;
mod stage;
