//! The model checkers' locks, atomics and threads, in the clothes of those that they stand in for.
//!
//! Loom follows the memory model: a load may return any value that the orderings allow, so a missing fence is found. It is
//! for what takes few steps. Its `SeqCst` accesses are taken for `AcqRel` ones, its fences for what they are. Shuttle
//! knows sequential consistency only, and any number of steps.
//!
//! Reference counts are the standard library's: neither checks them.

#[cfg(loom)]
use loom as checker;
#[cfg(shuttle)]
use shuttle as checker;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

pub(crate) use checker::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use checker::thread_local;

#[cfg(shuttle)]
pub(crate) use {
    arc_swap::{ArcSwap, ArcSwapOption},
    shuttle::thread,
};

/// As `parking_lot`'s.
#[derive(Default)]
pub(crate) struct Mutex<T: ?Sized>(checker::sync::Mutex<T>);

/// As `parking_lot`'s.
pub(crate) struct MutexGuard<'a, T: ?Sized>(Option<checker::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(checker::sync::Mutex::new(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken out only while a condition is waited for")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is taken out only while a condition is waited for")
    }
}

/// As `parking_lot`'s.
#[derive(Default)]
pub(crate) struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(checker::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("it is taken out only here");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_while<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(&mut *guard) {
            self.wait(guard);
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

/// As the standard library's: whoever sets it second finds what was set first.
pub(crate) struct OnceLock<T> {
    is_set: AtomicBool,
    setting: Mutex<()>,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> OnceLock<T> {
        let (is_set, setting) = (AtomicBool::new(false), Mutex::new(()));
        OnceLock { is_set, setting, value: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock();
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let setting = self.setting.lock();
        if self.value.get().is_none() {
            // Not inside the other's closure: what is made there may let another thread run.
            let _ = self.value.set(make());
            self.is_set.store(true, Ordering::Release);
        }
        drop(setting);
        self.value.get().expect("it was just set, or found set")
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceLock")
    }
}

/// Every execution of `work` in which no more than so many times a thread is stopped that could go on. Few are enough to find
/// nearly all that can be found, and with three threads there are too many without a bound.
#[cfg(loom)]
pub(crate) fn explore(preemptions_max: usize, work: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions_max);
    model.check(work);
}

#[cfg(loom)]
pub(crate) use in_loom::{ArcSwap, ArcSwapOption, thread};

#[cfg(loom)]
mod in_loom {
    use super::*;
    use crate::sync::Arc;

    pub(crate) type ArcSwap<T> = Swap<Arc<T>>;
    pub(crate) type ArcSwapOption<T> = Swap<Option<Arc<T>>>;

    /// A pointer that is replaced whole, as `arc_swap`'s, which loom cannot follow. A load may return an old one, as far as
    /// `Acquire` and `Release` allow it: they promise less than the original does. All that it ever held is kept.
    pub(crate) struct Swap<P> {
        versions: std::sync::Mutex<Vec<P>>,
        current: AtomicUsize,
    }

    pub(crate) struct Guard<P>(P);

    impl<P> Deref for Guard<P> {
        type Target = P;

        fn deref(&self) -> &P {
            &self.0
        }
    }

    impl<P: Clone> Swap<P> {
        pub(crate) fn new(first: P) -> Swap<P> {
            Swap { versions: std::sync::Mutex::new(vec![first]), current: AtomicUsize::new(0) }
        }

        pub(crate) fn load(&self) -> Guard<P> {
            Guard(self.load_full())
        }

        pub(crate) fn load_full(&self) -> P {
            let current = self.current.load(Ordering::Acquire);
            self.version(current)
        }

        pub(crate) fn store(&self, next: P) {
            let next = self.keep(next);
            self.current.store(next, Ordering::Release);
        }

        pub(crate) fn swap(&self, next: P) -> P {
            let next = self.keep(next);
            let before = self.current.swap(next, Ordering::AcqRel);
            self.version(before)
        }

        fn version(&self, number: usize) -> P {
            self.versions.lock().unwrap()[number].clone()
        }

        fn keep(&self, next: P) -> usize {
            let mut versions = self.versions.lock().unwrap();
            versions.push(next);
            versions.len() - 1
        }
    }

    impl<T> Swap<Arc<T>> {
        pub(crate) fn from_pointee(first: T) -> Swap<Arc<T>> {
            Swap::new(Arc::new(first))
        }
    }

    impl<T> Swap<Option<Arc<T>>> {
        pub(crate) fn empty() -> Swap<Option<Arc<T>>> {
            Swap::new(None)
        }
    }

    impl<P: Clone + Default> Default for Swap<P> {
        fn default() -> Swap<P> {
            Swap::new(P::default())
        }
    }

    impl<P> fmt::Debug for Swap<P> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Swap")
        }
    }

    pub(crate) mod thread {
        use std::fmt;
        use std::io;
        use std::time::Duration;

        pub(crate) use loom::thread::{ThreadId, yield_now};

        use super::super::{Condvar, Mutex};
        use crate::sync::Arc;

        loom::thread_local! {
            static CURRENT: Thread = Thread {
                id: loom::thread::current().id(),
                is_unparked: Arc::default(),
            };
        }

        /// One that is woken where it parks and nowhere else: loom's own also wakes up in a join.
        #[derive(Debug, Clone)]
        pub(crate) struct Thread {
            id: ThreadId,
            is_unparked: Arc<(Mutex<bool>, Condvar)>,
        }

        impl Thread {
            pub(crate) fn id(&self) -> ThreadId {
                self.id
            }

            pub(crate) fn unpark(&self) {
                *self.is_unparked.0.lock() = true;
                self.is_unparked.1.notify_one();
            }
        }

        pub(crate) fn current() -> Thread {
            CURRENT.with(Thread::clone)
        }

        pub(crate) fn park() {
            let thread = current();
            let mut is_unparked = thread.is_unparked.0.lock();
            thread.is_unparked.1.wait_while(&mut is_unparked, |is_unparked| !*is_unparked);
            *is_unparked = false;
        }

        /// Time does not pass: it sleeps until it is woken.
        pub(crate) fn park_timeout(_: Duration) {
            park();
        }

        pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
            JoinHandle(loom::thread::spawn(work))
        }

        pub(crate) struct JoinHandle<T>(loom::thread::JoinHandle<T>);

        impl<T> JoinHandle<T> {
            pub(crate) fn thread(&self) -> &loom::thread::Thread {
                self.0.thread()
            }

            pub(crate) fn join(self) -> std::thread::Result<T> {
                self.0.join()
            }
        }

        impl<T> fmt::Debug for JoinHandle<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JoinHandle")
            }
        }

        pub(crate) struct Builder(loom::thread::Builder);

        impl Builder {
            pub(crate) fn new() -> Builder {
                Builder(loom::thread::Builder::new())
            }

            pub(crate) fn name(self, name: String) -> Builder {
                Builder(self.0.name(name))
            }

            pub(crate) fn spawn<T: Send + 'static>(
                self,
                work: impl FnOnce() -> T + Send + 'static,
            ) -> io::Result<JoinHandle<T>> {
                self.0.spawn(work).map(JoinHandle)
            }
        }
    }
}
