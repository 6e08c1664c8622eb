//! How workers learn that it is over, and what of their failures is kept.

use std::error::Error as StdError;
use std::fmt;

use crate::consumer::waker::ConsumerWaker;
use crate::error::{Error, Result};
use crate::offset::{Offset, TopicPartition};
use crate::sync::{Acquire, AtomicBool, Mutex, Release};

/// What a program's own code makes of records.
pub(super) type Outcome = Result<(), Box<dyn StdError + Send + Sync>>;

/// What the threads of one [`Workers`](super::Workers) share.
#[derive(Default)]
pub(super) struct Ending {
    is_over: AtomicBool,
    /// The first failure, until it is taken.
    failure: Mutex<Option<Error>>,
    /// Those of all consumers: each may wait in a poll.
    wakers: Vec<ConsumerWaker>,
}

impl Ending {
    pub(super) fn new(wakers: Vec<ConsumerWaker>) -> Ending {
        Ending { wakers, ..Ending::default() }
    }

    /// Whether nothing new is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Acquire)
    }

    /// Has everybody end.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Release);
        self.wakers.iter().for_each(ConsumerWaker::wake);
    }

    /// Has everybody end because of this.
    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
        self.stop();
    }

    /// The first failure, once.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

/// What a failure of the program's own code is told as.
pub(super) fn not_processed(
    partition: &TopicPartition,
    offset: Offset,
    source: Box<dyn StdError + Send + Sync>,
) -> Error {
    Error::NotProcessed {
        topic: partition.topic().to_owned(),
        partition: partition.partition(),
        offset,
        source,
    }
}

/// A commit, where one that the group or the disk does not take now may be left to the next one: what it would have said is done
/// again at worst.
pub(super) fn unless_later(committed: Result<()>) -> Result<bool> {
    match committed {
        Ok(()) => Ok(true),
        Err(Error::UnknownMember { .. } | Error::IllegalGeneration { .. }) => Ok(false),
        Err(error) if error.is_retriable() => Ok(false),
        Err(error) => Err(error),
    }
}
