//! Kafka's sticky assignors: a fair share for each, and as few partitions as possible change hands.
//!
//! [`claims`] says who owned what, [`equal`] shares out where all subscribe to the same topics, and [`unequal`] where not; [`core`]
//! chooses. [`Sticky`](assignors::Sticky) and [`CooperativeSticky`](assignors::CooperativeSticky) differ in where they learn what a
//! member owned, and in whether they hand out at once what another still owns.

mod claims;
mod user_data;

mod equal;
mod movements;
mod unequal;

mod core;

mod assignors;

pub use assignors::{CooperativeSticky, Sticky};
