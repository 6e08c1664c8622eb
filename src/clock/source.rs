//! The clock that the engine asks for the time, and the system's own.
//!
//! [`Clock`] holds two times. The wall's stamps records and may jump; the monotonic one measures and never goes back, and
//! every deadline is on it. Nothing else in the crate asks the system for the time.

#![expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use super::timers::Timers;
use crate::offset::Timestamp;
use crate::signal::Parker;
use crate::sync::Arc;

/// Where a broker gets its time from: the system, or a [`ManualClock`](crate::ManualClock) that a test moves.
///
/// Sealed: these two are the only ones, because the engine's waiting is built on them.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, ManualClock, NewTopic, Offset, Record, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(1_000));
/// let broker = Broker::builder().in_memory().clock(clock.clone()).open()?;
/// broker.admin().create_topic(NewTopic::new("ticks"))?;
/// let partition = broker.topic("ticks")?.partition(0)?;
/// partition.append(&[Record::new().value("first")])?;
/// clock.advance(std::time::Duration::from_secs(5));
/// partition.append(&[Record::new().value("second")])?;
///
/// let mut stamps = Vec::new();
/// for batch in &partition.read(Offset::ZERO, 1 << 20)? {
///     stamps.extend(batch.records()?.iter().map(|record| record.timestamp().as_millis()));
/// }
/// assert_eq!(stamps, [1_000, 6_000]);
/// # Ok::<(), streamlog::Error>(())
/// ```
pub trait Clock: sealed::Engine + fmt::Debug + Send + Sync + 'static {
    /// The time on the wall, which records are stamped with.
    fn wall(&self) -> Timestamp;

    /// The time since some fixed point, which never goes back.
    fn monotonic(&self) -> Duration;
}

pub(crate) mod sealed {
    use std::time::Duration;

    use super::{Arc, Parker, Timers};

    /// What the engine needs of a clock beyond the time; users cannot name it, and so cannot implement `Clock`.
    pub trait Engine {
        /// Takes charge of running `timers` when they fall due. `false`: somebody else must.
        #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
        fn runs(&self, timers: &Arc<Timers>) -> bool;

        /// Sleeps until `parker`, the calling thread's, is woken or the clock reaches `deadline`; it may return before
        /// either.
        #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
        fn park(&self, parker: &Parker, deadline: Option<Duration>);
    }
}

/// The operating system's clocks. What a broker uses unless it is told otherwise.
///
/// # Examples
///
/// ```
/// use streamlog::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.monotonic();
/// assert!(clock.monotonic() >= before);
/// assert!(clock.wall().as_millis() > 1_600_000_000_000);
/// ```
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

impl sealed::Engine for SystemClock {
    #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
    fn runs(&self, _: &Arc<Timers>) -> bool {
        false
    }

    #[expect(private_interfaces, reason = "the trait is sealed: only this crate calls it")]
    fn park(&self, parker: &Parker, deadline: Option<Duration>) {
        parker.park(deadline.map(|deadline| deadline.saturating_sub(self.monotonic())));
    }
}
