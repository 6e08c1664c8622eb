//! Which logs want a checkpoint.
//!
//! A log asks after its first append since the last one, so an idle log is on nobody's list and costs nothing. It stays
//! listed until a round finds that nothing was appended since the round before: then it is put to rest.

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::sync::{Mutex, Weak};

/// Something that can be checkpointed: a log.
pub(crate) trait Checkpointed: fmt::Debug + Send + Sync {
    /// Syncs the log, saves its indexes and notes its recovery point. `true`: there was something to do, so look again at
    /// the next round; `false`: the log is at rest.
    fn checkpoint(&self) -> Result<bool>;
}

/// The logs of one directory that want a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct DueCheckpoints {
    /// Held only to add and take, never during a checkpoint.
    due: Mutex<Due>,
}

#[derive(Debug, Default)]
struct Due {
    logs: Vec<Weak<dyn Checkpointed>>,
    /// When the next round is to run; none where none is scheduled. A round that was scheduled for later, before an earlier
    /// one was, finds nothing to do: otherwise each would schedule its own successor, and they would only ever get more.
    deadline: Option<Duration>,
}

impl DueCheckpoints {
    /// Adds a log; `true`: a round must be scheduled for `deadline`, because none is for so early.
    pub(crate) fn add(&self, log: Weak<dyn Checkpointed>, deadline: Duration) -> bool {
        let mut due = self.due.lock();
        due.logs.push(log);
        let is_earlier = due.deadline.is_none_or(|scheduled| deadline < scheduled);
        if is_earlier {
            due.deadline = Some(deadline);
        }
        is_earlier
    }

    /// Takes the list for a round that runs at `now`, each log once; nothing where the next round is for later.
    pub(crate) fn take(&self, now: Duration) -> Vec<Weak<dyn Checkpointed>> {
        let mut due = self.due.lock();
        if due.deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        due.deadline = None;
        let mut logs = std::mem::take(&mut due.logs);
        drop(due);
        let address = |log: &Weak<dyn Checkpointed>| log.as_ptr().cast::<()>();
        logs.sort_by_key(address);
        logs.dedup_by_key(|log| address(log));
        logs
    }
}
