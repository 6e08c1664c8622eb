//! Threads at work, as the program that began them holds them.

use std::fmt;
use std::path::Path;

use super::ending::Ending;
use crate::error::{Chain, Error, Result, guarded};
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Arc, Mutex};

/// Threads that process records. From [`ConsumerBuilder::workers`](crate::ConsumerBuilder::workers) and
/// [`ConsumerBuilder::worker_pool`](crate::ConsumerBuilder::worker_pool).
///
/// They end when they are [stopped](Workers::stop), or when one of them fails. In either case each ends after what it is
/// processing, what is finished is committed, and the consumers leave their group. What was not processed, and the record that
/// failed, is read again by whoever reads next; so is what was finished last where they end after
/// they have joined a rebalance and before it is over, when a commit is refused.
///
/// What a poll cannot read ends them, too, each time that they are begun, because nothing is committed of what lies behind it.
/// [`Error::unreadable_offsets`] of what `join` tells says what it is; whoever can do without has the group, which has no members
/// then, go on at its end with [`Admin::reset_group_offsets`](crate::Admin::reset_group_offsets). All in front of it was processed then,
/// and [committed](crate::Consumer::committed), unless the commit was refused: look first.
///
/// Stop and join them before the broker is closed: a broker that is closed under them ends them with [`Error::Closed`], and
/// what was finished since the last commit is processed again.
///
/// Dropped, it stops them and waits until they have ended; what failed goes to the `log` facade.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use streamlog::{AutoOffsetReset, Broker, Error, NewTopic, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let orders = broker.topic("orders")?.partition(0)?;
/// orders.append(&[Record::new().value("3 apples"), Record::new().value("one pear")])?;
///
/// let (billed, bills) = mpsc::channel();
/// let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
/// let workers = builder.worker_pool(2, ["orders"], move |record| {
///     let order = str::from_utf8(record.value().unwrap_or_default())?;
///     let (count, _) = order.split_once(' ').ok_or("no count")?;
///     Ok(billed.send(count.parse::<u32>()?)?)
/// })?;
/// // It ends by itself at the record that cannot be processed; what was finished before is committed.
/// let error = workers.join().unwrap_err();
/// assert!(matches!(error, Error::NotProcessed { offset, .. } if offset == 1));
/// assert_eq!(bills.iter().collect::<Vec<_>>(), [3]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[must_use = "dropped, it stops at once"]
pub struct Workers {
    ending: Arc<Ending>,
    ids: Vec<ThreadId>,
    /// Held while they are waited for.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Nobody yet.
    pub(super) fn new(ending: Arc<Ending>) -> Workers {
        Workers { ending, ids: Vec::new(), threads: Mutex::default() }
    }

    /// Adds a thread. What `work` returns is the failure that ends all.
    pub(super) fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let ending = Arc::clone(&self.ending);
        let run = move || {
            let ended = guarded(|| "a worker".to_owned(), work).and_then(|ended| ended);
            if let Err(error) = ended {
                ending.fail(error);
            }
        };
        let path = name.clone();
        let thread = thread::Builder::new().name(name).spawn(run);
        let thread = thread.map_err(Error::io("start the thread", Path::new(&path)))?;
        self.ids.push(thread.thread().id());
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Has all of them end, each after what it is processing, and does not wait for that. From any thread, theirs included.
    pub fn stop(&self) {
        self.ending.stop();
    }

    /// Waits until all of them have ended: because they were [stopped](Workers::stop), or because one failed, which stops the
    /// others. Called by one of them it waits for nobody.
    ///
    /// # Errors
    ///
    /// What failed first, told once: [`Error::NotProcessed`] for the program's own code; otherwise what a
    /// [poll](crate::Consumer::poll), a [commit](crate::Consumer::commit) or a [close](crate::Consumer::close) failed with.
    pub fn join(&self) -> Result<()> {
        self.wait();
        self.ending.take_failure().map_or(Ok(()), Err)
    }

    fn wait(&self) {
        if self.ids.contains(&thread::current().id()) {
            return;
        }
        for thread in self.threads.lock().drain(..) {
            // A panic in it was told as its failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
        self.wait();
        if let Some(error) = self.ending.take_failure() {
            log::error!("workers failed: {}", Chain(&error));
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.ids.len())
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}
