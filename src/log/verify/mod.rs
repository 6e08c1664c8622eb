//! Looking at everything in a log directory, and saying what is wrong, changing nothing.

mod finding;
mod findings;

mod claims;
mod partition;

pub(crate) use claims::Claims;
pub use finding::{Finding, FindingKind, Severity};
pub(crate) use findings::Findings;
pub(crate) use partition::{Subject, verify_partition};
