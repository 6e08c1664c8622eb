//! What a producer's accumulators and background jobs share.

use std::fmt;

use super::budget::Budget;
use super::config::ProducerConfig;
use crate::broker::Background;
use crate::error::Error;
use crate::sync::{Arc, ArcSwapOption, Mutex};

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
    /// What the last append that is to be tried again failed with; nothing once one has succeeded.
    trouble: ArcSwapOption<Error>,
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
            trouble: ArcSwapOption::empty(),
        }
    }

    /// Why batches are not appended, where they are not.
    pub(super) fn trouble(&self) -> Option<Arc<Error>> {
        self.trouble.load_full()
    }

    /// Remembers why batches are not appended.
    pub(super) fn note_trouble(&self, error: &Arc<Error>) {
        self.trouble.store(Some(Arc::clone(error)));
    }

    /// Forgets it: one was.
    pub(super) fn end_trouble(&self) {
        if self.trouble.load().is_some() {
            self.trouble.store(None);
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
