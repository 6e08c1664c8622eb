//! Time as a parameter: the clock that the engine asks, one that a test moves by hand, and the timers that run on it.

mod manual;
mod source;
mod timers;

pub use manual::ManualClock;
pub use source::{Clock, SystemClock};
pub(crate) use timers::Timers;
