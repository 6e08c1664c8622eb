//! Waiting for something, up to a deadline, on whatever clock the engine runs.
//!
//! What can be waited for is a function that is asked with a task's context, like a future: it answers, or leaves the
//! context's waker where the answer will come from. So blocking and awaiting are one code.

use std::task::{Context, Poll};
use std::time::Duration;

use super::source::Clock;
use crate::signal::Parker;

/// Asks until there is an answer, asleep in between. `None`: the clock reached `deadline` first.
pub(crate) fn block_until<T>(
    clock: &dyn Clock,
    deadline: Option<Duration>,
    mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let parker = Parker::current();
    let mut context = Context::from_waker(parker.waker());
    loop {
        if let Poll::Ready(answer) = ask(&mut context) {
            return Some(answer);
        }
        if deadline.is_some_and(|deadline| clock.monotonic() >= deadline) {
            return None;
        }
        clock.park(&parker, deadline);
    }
}

/// The deadline that lies `timeout` ahead; none where that is further than time goes.
pub(crate) fn deadline_after(clock: &dyn Clock, timeout: Duration) -> Option<Duration> {
    clock.monotonic().checked_add(timeout)
}
