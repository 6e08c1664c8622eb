//! What a producer's handles, accumulators and background jobs share.

use std::fmt;
use std::task::{Context, Poll};

use super::budget::Budget;
use super::config::ProducerConfig;
use super::targets::Targets;
use crate::broker::{Background, EndsWithBroker};
use crate::error::{Error, Result};
use crate::sync::{Acquire, Arc, ArcSwap, AtomicBool, Mutex, Release};
use crate::topic::Partitioner;

/// The id under which a producer's batches are numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProducerIdentity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What all parts of one producer share; see the [module](self).
pub(super) struct Core {
    pub(super) config: ProducerConfig,
    pub(super) partitioner: Box<dyn Partitioner>,
    /// None without idempotence.
    pub(super) identity: Option<ProducerIdentity>,
    pub(super) background: Background,
    pub(super) budget: Budget,
    /// Backoff jitter, and the next sticky partition.
    pub(super) random: Mutex<fastrand::Rng>,
    /// The topics that were sent to.
    pub(super) targets: ArcSwap<Targets>,
    /// Held to change `targets`, to make an accumulator, and to close.
    pub(super) changing: Mutex<()>,
    /// The first failure since the last flush that no delivery was asked for.
    failure: Mutex<Option<Error>>,
    is_closed: AtomicBool,
}

impl Core {
    pub(super) fn new(
        config: ProducerConfig,
        partitioner: Box<dyn Partitioner>,
        identity: Option<ProducerIdentity>,
        background: Background,
        random: fastrand::Rng,
    ) -> Core {
        Core {
            budget: Budget::new(config.buffer_bytes),
            config,
            partitioner,
            identity,
            background,
            random: Mutex::new(random),
            targets: ArcSwap::default(),
            changing: Mutex::default(),
            failure: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Whether nothing more may be sent.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// Lets nothing more be sent.
    pub(super) fn refuse_sends(&self) {
        {
            // No topic and no accumulator comes after this.
            let _changing = self.changing.lock();
            self.is_closed.store(true, Release);
        }
        self.targets.load().accumulators().for_each(|accumulator| accumulator.refuse_sends());
        self.budget.wake_all();
    }

    /// Closes every open batch, and appends all that is ready.
    pub(super) fn drain_all(&self) {
        self.targets.load_full().accumulators().for_each(|accumulator| accumulator.hurry());
    }

    /// Reserves memory as soon as there is room. Whoever waits for it lets nothing linger.
    pub(super) fn poll_reserve(&self, bytes: usize, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.budget.poll_reserve(bytes, context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.is_closed() {
            return Poll::Ready(Err(Error::Closed));
        }
        // After it was said that somebody waits: a batch that is opened from here on does not linger.
        self.drain_all();
        self.budget.poll_reserve(bytes, context).map(Ok)
    }

    /// Keeps a failure for the next flush, unless there is one already.
    pub(super) fn note_failure(&self, failure: impl FnOnce() -> Error) {
        self.failure.lock().get_or_insert_with(failure);
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// Whether all that was sent has been appended, or has failed.
    pub(super) fn is_idle(&self) -> bool {
        self.targets.load().accumulators().all(|accumulator| accumulator.newest().is_none())
    }

    /// Lets go of the accumulators, which hold on to this.
    pub(super) fn forget_targets(&self) {
        let _changing = self.changing.lock();
        self.targets.store(Arc::default());
    }
}

impl EndsWithBroker for Core {
    fn end(&self) {
        self.refuse_sends();
        self.targets.load_full().accumulators().for_each(|accumulator| accumulator.end());
        self.forget_targets();
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("config", &self.config).finish_non_exhaustive()
    }
}
