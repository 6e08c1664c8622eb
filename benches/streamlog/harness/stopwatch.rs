//! Time, the one thing that benchmarks may take from the system.

use std::time::Instant;

use super::settings::Outcome;

/// What `work` gives, and how many seconds it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn seconds<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let began = Instant::now();
    let result = work()?;
    Ok((result, began.elapsed().as_secs_f64()))
}

/// CPU time that the process's living threads have used so far, to the nanosecond; `None` where the system does not tell.
pub(crate) fn thread_cpu_seconds() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Some(nanoseconds.sum::<u64>() as f64 / 1e9)
}
