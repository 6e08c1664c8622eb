//! One group by Kafka's classic protocol, as a state machine: no clock, no lock, no disk.
//!
//! Whoever asks hands in the time, and gets what follows as [`Effects`]: answers to be given, deadlines to be kept. What has to be
//! stored first goes out and comes back.

mod effects;
mod history;
mod member;

mod group;

mod join;
mod membership;
mod rebalance;
mod sync;
mod timing;

pub(super) use effects::{Effects, Now};
pub(super) use group::ClassicGroup;

#[cfg(test)]
mod cases;
