//! What a thread parks on, and how it learns that something has grown.
//!
//! Everything that can be waited for is asked with a [`Waker`], as a future is: whoever waits leaves one, looks once more, and
//! sleeps. A future leaves its task's; a thread leaves that of its [`Parker`], so both go the same way.
//!
//! A [`Watcher`] is told each time one of many things grows, by way of the [`Watchers`] that each of them has. Telling
//! costs a look at two flags where nobody sleeps:
//!
//! ```text
//! whoever grows it    publish the new size;    fence;    is anybody waiting?    then wake
//! whoever waits       "I am waiting";          fence;    read the size again;   then sleep
//! ```
//!
//! Each of them does its two steps in the same total order, so one of them sees the other: a wake-up is never lost.

use std::fmt;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::thread::{self, Thread};
use crate::sync::{Acquire, Arc, ArcSwap, AtomicBool, Mutex, Relaxed, Release, SeqCst, fence, thread_local};

thread_local! {
    static CURRENT: Parker = Parker::new();
}

/// What one thread sleeps on. A wake-up that comes while it is awake is remembered, and two are one.
#[derive(Debug, Clone)]
pub(crate) struct Parker {
    raised: Arc<Raised>,
    waker: Waker,
}

#[derive(Debug)]
struct Raised {
    flag: AtomicBool,
    thread: Thread,
}

impl Parker {
    fn new() -> Parker {
        let raised = Arc::new(Raised { flag: AtomicBool::new(false), thread: thread::current() });
        Parker { waker: Waker::from(Arc::clone(&raised)), raised }
    }

    /// The calling thread's.
    pub(crate) fn current() -> Parker {
        // While the thread is being torn down there is none any more; a new one does as well.
        CURRENT.try_with(Parker::clone).unwrap_or_else(|_| Parker::new())
    }

    /// What wakes it.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it was woken since it last slept; asking lowers it.
    pub(crate) fn take(&self) -> bool {
        self.raised.flag.swap(false, Acquire)
    }

    /// Sleeps until it is woken, or for `timeout` where there is one. Only for the thread whose parker it is.
    pub(crate) fn park(&self, timeout: Option<Duration>) {
        if self.take() {
            return;
        }
        // A thread that is unparked for other reasons looks again, and comes back.
        match timeout {
            None => thread::park(),
            Some(timeout) => thread::park_timeout(timeout),
        }
        self.take();
    }
}

impl Wake for Raised {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.flag.swap(true, Release) {
            self.thread.unpark();
        }
    }
}

/// Somebody who wants to know when any of several things has grown; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    is_waiting: AtomicBool,
    /// Held only to leave and take the waker.
    waker: Mutex<Option<Waker>>,
}

impl Watcher {
    /// Says that `waker` is to be woken at the next news. Whatever is waited for must be looked at again after this.
    pub(crate) fn wait(&self, waker: &Waker) {
        let mut kept = self.waker.lock();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        self.is_waiting.store(true, Relaxed);
        drop(kept);
        fence(SeqCst);
    }

    /// Whether anybody waits who was not told anything yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Relaxed)
    }

    /// Says that nobody waits any more.
    pub(crate) fn stop(&self) {
        self.is_waiting.store(false, Relaxed);
    }

    /// Wakes whoever waits.
    pub(crate) fn tell(&self) {
        fence(SeqCst);
        self.tell_fenced();
    }

    fn tell_fenced(&self) {
        if self.is_waiting.load(Relaxed) && self.is_waiting.swap(false, Relaxed) {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Those who want to know when one thing has grown.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Whether there are any, so that a thing nobody watches pays for one load.
    is_any: AtomicBool,
    list: ArcSwap<Vec<Arc<Watcher>>>,
    /// Held to change the list.
    changing: Mutex<()>,
}

impl Watchers {
    pub(crate) fn add(&self, watcher: &Arc<Watcher>) {
        self.change(|list| list.push(Arc::clone(watcher)));
    }

    /// Removes a watcher, once, if it is there.
    pub(crate) fn remove(&self, watcher: &Arc<Watcher>) {
        self.change(|list| {
            if let Some(index) = list.iter().position(|known| Arc::ptr_eq(known, watcher)) {
                list.swap_remove(index);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Watcher>>)) {
        let _changing = self.changing.lock();
        let mut list = Vec::clone(&self.list.load());
        change(&mut list);
        self.is_any.store(!list.is_empty(), SeqCst);
        self.list.store(Arc::new(list));
    }

    /// Tells all of them that it has grown. After the new size was published.
    pub(crate) fn tell(&self) {
        fence(SeqCst);
        if self.is_any.load(Relaxed) {
            self.list.load().iter().for_each(|watcher| watcher.tell_fenced());
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").field("count", &self.list.load().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    #[test]
    fn waking_before_parking_is_remembered_once() {
        let parker = Parker::current();
        parker.waker().wake_by_ref();
        parker.waker().wake_by_ref();
        parker.park(None);
        assert!(!parker.take(), "two wake-ups before a sleep are one");
    }

    #[test]
    fn a_parked_thread_is_woken() {
        let (send, receive) = std::sync::mpsc::channel();
        let sleeper = thread::spawn(move || {
            let parker = Parker::current();
            send.send(parker.waker().clone()).unwrap();
            while !parker.take() {
                thread::park();
            }
        });
        receive.recv().unwrap().wake();
        sleeper.join().unwrap();
    }

    #[test]
    fn no_growth_is_missed_by_one_who_waits() {
        const GROWTHS: u64 = 20_000;
        let (size, watchers) = (Arc::new(AtomicU64::new(0)), Arc::new(Watchers::default()));
        let watcher = Arc::new(Watcher::default());
        watchers.add(&watcher);
        let grower = thread::spawn({
            let (size, watchers) = (Arc::clone(&size), Arc::clone(&watchers));
            move || {
                for _ in 0..GROWTHS {
                    size.fetch_add(1, Release);
                    watchers.tell();
                }
            }
        });
        let parker = Parker::current();
        let mut seen = 0;
        while seen < GROWTHS {
            watcher.wait(parker.waker());
            let now = size.load(Acquire);
            if now == seen {
                parker.park(None);
            } else {
                seen = now;
            }
        }
        grower.join().unwrap();
        watchers.remove(&watcher);
        assert!(!watchers.is_any.load(Relaxed));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{AtomicU64, explore};

    /// Something that grows, and those who watch it.
    #[derive(Default)]
    struct Grown {
        size: AtomicU64,
        watchers: Watchers,
    }

    impl Grown {
        fn grow(&self) {
            self.size.store(1, Release);
            self.watchers.tell();
        }

        fn size(&self) -> u64 {
            self.size.load(Acquire)
        }
    }

    fn grow_elsewhere(grown: &Arc<Grown>) -> thread::JoinHandle<()> {
        let grown = Arc::clone(grown);
        thread::spawn(move || grown.grow())
    }

    /// As whoever blocks does.
    fn sleep_until(watcher: &Watcher, is_grown: impl Fn() -> bool) {
        let parker = Parker::current();
        loop {
            watcher.wait(parker.waker());
            if is_grown() {
                return watcher.stop();
            }
            parker.park(None);
        }
    }

    #[test]
    fn who_sleeps_is_woken_by_a_growth() {
        loom::model(|| {
            let (grown, watcher) = (Arc::new(Grown::default()), Arc::default());
            grown.watchers.add(&watcher);
            let other = grow_elsewhere(&grown);
            sleep_until(&watcher, || grown.size() > 0);
            other.join().unwrap();
        });
    }

    #[test]
    fn who_begins_to_watch_meanwhile_is_woken_or_sees_the_growth() {
        loom::model(|| {
            let (grown, watcher) = (Arc::new(Grown::default()), Arc::default());
            let other = grow_elsewhere(&grown);
            grown.watchers.add(&watcher);
            sleep_until(&watcher, || grown.size() > 0);
            other.join().unwrap();
        });
    }

    #[test]
    fn who_watches_two_is_woken_by_each() {
        explore(2, || {
            let all = [Arc::new(Grown::default()), Arc::new(Grown::default())];
            let watcher = Arc::default();
            all.iter().for_each(|grown| grown.watchers.add(&watcher));
            let others = all.each_ref().map(grow_elsewhere);
            sleep_until(&watcher, || all.iter().all(|grown| grown.size() > 0));
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }

    /// A waker that only counts.
    struct Counted(AtomicU64);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn the_waker_that_was_left_last_is_the_one_that_is_told() {
        loom::model(|| {
            let (grown, watcher) = (Arc::new(Grown::default()), Arc::default());
            grown.watchers.add(&watcher);
            let other = grow_elsewhere(&grown);
            let counted = [0, 1].map(|_| Arc::new(Counted(AtomicU64::new(0))));
            // A future that moves from one task to another.
            let is_seen = counted.each_ref().map(|counted| {
                watcher.wait(&Waker::from(Arc::clone(counted)));
                grown.size() > 0
            });
            other.join().unwrap();
            let told = counted.each_ref().map(|counted| counted.0.load(Relaxed));
            assert!(is_seen[1] || told[1] == 1, "{is_seen:?}, {told:?}");
            assert!(told[0] + told[1] <= 1, "one growth wakes once");
        });
    }
}
