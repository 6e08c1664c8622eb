//! Locks, atomics and shared pointers, named in one place.
//!
//! Every floor takes its synchronisation from here, so that a model checker's types can stand in for these under
//! one `cfg` without a change anywhere else. Locks are `parking_lot`'s: a thread that panics while it holds one does
//! not poison it; what was guarded is poisoned by name instead, where that is needed.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};
pub(crate) use std::sync::{Arc, OnceLock, Weak};

pub(crate) use arc_swap::{ArcSwap, ArcSwapOption};
pub(crate) use crossbeam::utils::CachePadded;
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
