//! How much memory a piece of work takes, where somebody counts: the fuzzers' allocator does, the tests have none.
//!
//! Only what Rust allocates is counted; what zstd's C does is bounded by the fuzzer's `-rss_limit_mb`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Notes that so many bytes were allocated.
pub fn note_taken(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

/// Notes that so many bytes were given back.
pub fn note_given(bytes: usize) {
    LIVE.fetch_sub(bytes, Relaxed);
}

/// Does the work, and panics if it took more than this at any time. One at a time: everything that is allocated counts.
#[track_caller]
pub fn within<T>(limit_bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let done = work();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    assert!(taken <= limit_bytes, "{taken} bytes were allocated, at most {limit_bytes} may be");
    done
}
