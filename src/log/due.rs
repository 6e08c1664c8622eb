//! Which logs want a checkpoint.
//!
//! A log asks after its first append since the last one, so an idle log is on nobody's list and costs nothing. It stays
//! listed until a round finds that nothing was appended since the round before: then it is put to rest.

use std::collections::HashSet;
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
        // In the order in which they first asked, which is the same in each run; that of their addresses would not be.
        let mut known = HashSet::new();
        logs.retain(|log| known.insert(log.as_ptr().cast::<()>()));
        logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[derive(Debug)]
    struct Log(u64);

    impl Checkpointed for Log {
        fn checkpoint(&self) -> Result<bool> {
            Ok(self.0 > 0)
        }
    }

    #[test]
    fn a_round_has_each_log_once_in_the_order_in_which_they_asked() {
        let logs: Vec<Arc<dyn Checkpointed>> = (0..9).map(|number| Arc::new(Log(number)) as _).collect();
        for order in [[0, 1, 2, 3, 4, 5, 6, 7, 8], [8, 3, 7, 2, 6, 0, 5, 1, 4]] {
            let due = DueCheckpoints::default();
            for number in [order, order].concat() {
                due.add(Arc::downgrade(&logs[number]), Duration::ZERO);
            }
            let taken: Vec<_> =
                due.take(Duration::ZERO).iter().map(|log| format!("{:?}", log.upgrade())).collect();
            let expected: Vec<_> = order.iter().map(|number| format!("{:?}", Some(&logs[*number]))).collect();
            assert_eq!(taken, expected);
            assert!(due.take(Duration::ZERO).is_empty());
        }
    }
}
