//! What a producer's accumulators and background jobs share.

use std::fmt;

use super::budget::Budget;
use super::config::ProducerConfig;
use crate::broker::Background;
use crate::error::Error;
use crate::sync::Mutex;

/// The id under which a producer's batches are numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProducerIdentity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What all parts of one producer share; see the [module](self).
pub(super) struct Core {
    pub(super) config: ProducerConfig,
    /// None without idempotence.
    pub(super) identity: Option<ProducerIdentity>,
    pub(super) background: Background,
    pub(super) budget: Budget,
    /// Backoff jitter, and the next sticky partition.
    pub(super) random: Mutex<fastrand::Rng>,
    /// The first failure since the last flush that no delivery was asked for.
    failure: Mutex<Option<Error>>,
}

impl Core {
    pub(super) fn new(
        config: ProducerConfig,
        identity: Option<ProducerIdentity>,
        background: Background,
        random: fastrand::Rng,
    ) -> Core {
        Core {
            budget: Budget::new(config.buffer_bytes),
            config,
            identity,
            background,
            random: Mutex::new(random),
            failure: Mutex::default(),
        }
    }

    /// Keeps a failure for the next flush, unless there is one already.
    pub(super) fn note_failure(&self, failure: impl FnOnce() -> Error) {
        self.failure.lock().get_or_insert_with(failure);
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("config", &self.config).finish_non_exhaustive()
    }
}
