//! When somebody looks for what may be forgotten.

use std::time::Duration;

use crate::sync::Mutex;

/// Of all groups together.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) times: Mutex<Times>,
}

#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) next: Option<Duration>,
    pub(super) last: Option<Duration>,
}
