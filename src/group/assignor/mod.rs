//! Which member gets which partitions: pure functions, Kafka's four and a user's own.
//!
//! Kafka's give what Kafka's give, partition for partition. They work on numbers (`table.rs`, `numbered.rs`), and turn them into
//! names again at the end.

mod traits;

mod java_order;
mod numbered;
mod racks;
mod table;

mod range;
mod round_robin;
mod sticky;

mod check;

pub(crate) use check::check;
pub use range::Range;
pub use round_robin::RoundRobin;
pub use sticky::{CooperativeSticky, Sticky};
pub use traits::{
    Assignment, Assignor, MemberSubscription, PreviousAssignment, RebalanceProtocol, SubscribedTopics,
    Subscriptions,
};
