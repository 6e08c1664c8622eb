//! Locks, atomics, shared pointers and threads, named in one place.
//!
//! Every floor takes its synchronisation from here, so that a model checker's types can stand in for these without a
//! change anywhere else: `--cfg loom` explores every interleaving and every value that the memory model lets a load return,
//! for the small protocols; `--cfg shuttle` runs whole brokers under schedules that are drawn, each step of every thread at
//! the scheduler's choice. Both only in unit tests; see `checked.rs`.
//!
//! Locks are `parking_lot`'s: a thread that panics while it holds one does not poison it; what was guarded is poisoned by
//! name instead, where that is needed.

#[cfg(all(test, any(loom, shuttle)))]
mod checked;

pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
pub(crate) use std::sync::{Arc, Weak};

/// One for a `static`: what it guards is made once in a process, whatever a checker runs again and again.
pub(crate) use std::sync::OnceLock as StaticOnceLock;

pub(crate) use crossbeam::utils::CachePadded;

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use {
    arc_swap::{ArcSwap, ArcSwapOption},
    parking_lot::{Condvar, Mutex, MutexGuard},
    std::sync::OnceLock,
    std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, fence},
    std::{thread, thread_local},
};

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use checked::{
    ArcSwap, ArcSwapOption, AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex,
    MutexGuard, OnceLock, fence, thread, thread_local,
};

#[cfg(all(test, loom))]
pub(crate) use checked::explore;
