//! Time as a parameter: the clock that the engine asks, one that a test moves by hand, and the timers that run on it.

mod manual;
mod source;
mod timers;
mod waiting;

pub use manual::ManualClock;
pub use source::{Clock, SystemClock};
pub(crate) use timers::Timers;
pub(crate) use waiting::{block_until, deadline_after};
