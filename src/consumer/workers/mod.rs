//! Processing records on several threads: several consumers with a thread each, or one consumer with a pool behind it.
//!
//! Both commit what is finished and nothing else, so that what a crash interrupts is done again, and both end at the first
//! failure: the record would only be handed to the next thread, and stop that one as well.

mod ending;

mod handle;

mod threads;

mod progress;

mod lanes;

mod pool;

pub use handle::Workers;
