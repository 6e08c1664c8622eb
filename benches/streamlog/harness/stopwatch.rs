//! Time, the one thing that benchmarks may take from the system.

use std::time::{Duration, Instant};

use super::settings::Outcome;

/// What `work` gives, and how many seconds it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn seconds<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let began = Instant::now();
    let result = work()?;
    Ok((result, began.elapsed().as_secs_f64()))
}

/// One beginning for what several threads time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    began: Instant,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch { began: Instant::now() }
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.began.elapsed()
    }

    /// Waits for the next multiple of `pause` since the start, and gives the time then. Spins, because a sleep is far too
    /// coarse.
    pub(crate) fn spin_to_next(self, pause: Duration) -> Duration {
        let slot = self.elapsed().as_nanos() / pause.as_nanos() + 1;
        let due = slot * pause.as_nanos();
        loop {
            let now = self.elapsed();
            if now.as_nanos() >= due {
                return now;
            }
            std::hint::spin_loop();
        }
    }
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
