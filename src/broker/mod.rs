//! One process, one or more log directories: open, background work, and an orderly close.

mod background;
mod config;
mod group_settings;
mod groups;
mod handle;
mod looking;
mod opening;
mod partition;
mod properties;
mod report;
mod scrubber;
mod scrubbing;
mod shared;
mod topic;
mod verification;
mod worker;

pub(crate) use background::Background;
pub use config::BrokerConfig;
pub use handle::Broker;
pub use opening::BrokerBuilder;
pub use partition::Partition;
pub use report::{RecoveryReport, ScrubReport};
pub(crate) use shared::{EndsWithBroker, Shared};
pub use topic::Topic;
pub use verification::Verification;
