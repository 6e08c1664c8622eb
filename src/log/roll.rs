//! When a new segment begins: Kafka's rules (`LogSegment.shouldRoll`), as a pure function.

use std::time::Duration;

use super::config::TopicConfig;
use crate::offset::{Offset, Timestamp};
use crate::segment::DELTA_MAX;

/// The active segment, as far as the rules ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActiveState {
    pub(crate) base: Offset,
    pub(crate) bytes: u64,
    /// The largest timestamp of its first append.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// When it was begun, or opened.
    pub(crate) began: Timestamp,
    /// By how much `segment.ms` is cut for this segment.
    pub(crate) jitter: Duration,
    /// Whether one of its indexes has no room left.
    pub(crate) index_is_full: bool,
}

/// What is about to be appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming {
    pub(crate) bytes: u64,
    pub(crate) largest_timestamp: Timestamp,
    pub(crate) last_offset: Offset,
}

/// Whether `incoming` must go to a new segment. Never where the active one is empty.
pub(crate) fn is_due(
    active: &ActiveState,
    incoming: &Incoming,
    now: Timestamp,
    config: &TopicConfig,
) -> bool {
    if active.bytes == 0 {
        return false;
    }
    let is_over_size = active.bytes + incoming.bytes > u64::from(config.segment_bytes);
    let waited = match active.first_timestamp {
        Some(first) => incoming.largest_timestamp.as_millis().saturating_sub(first.as_millis()),
        None => now.as_millis().saturating_sub(active.began.as_millis()),
    };
    let age = config.segment_age.saturating_sub(active.jitter);
    let is_old = u128::try_from(waited).is_ok_and(|waited| waited > age.as_millis());
    let is_over_span = incoming.last_offset.delta_from(active.base).is_none_or(|delta| delta > DELTA_MAX);
    is_over_size || is_old || active.index_is_full || is_over_span
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: ActiveState = ActiveState {
        base: Offset::ZERO,
        bytes: 1000,
        first_timestamp: Some(Timestamp::from_millis(0)),
        began: Timestamp::from_millis(0),
        jitter: Duration::ZERO,
        index_is_full: false,
    };

    fn incoming(bytes: u64, timestamp: i64, last_offset: u64) -> Incoming {
        Incoming {
            bytes,
            largest_timestamp: Timestamp::from_millis(timestamp),
            last_offset: Offset::try_from(last_offset).unwrap(),
        }
    }

    fn check(active: ActiveState, incoming: Incoming, now: i64) -> bool {
        let config = TopicConfig::default().segment_bytes(2000).segment_age(Duration::from_millis(100));
        is_due(&active, &incoming, Timestamp::from_millis(now), &config)
    }

    #[test]
    fn by_size_when_the_append_would_pass_the_limit() {
        assert!(!check(ACTIVE, incoming(1000, 0, 1), 0));
        assert!(check(ACTIVE, incoming(1001, 0, 1), 0));
    }

    #[test]
    fn by_time_between_timestamps_less_the_jitter() {
        assert!(!check(ACTIVE, incoming(1, 100, 1), 1_000_000));
        assert!(check(ACTIVE, incoming(1, 101, 1), 0));
        let jittered = ActiveState { jitter: Duration::from_millis(30), ..ACTIVE };
        assert!(!check(jittered, incoming(1, 70, 1), 0));
        assert!(check(jittered, incoming(1, 71, 1), 0));
    }

    #[test]
    fn by_the_wall_where_the_first_append_had_no_timestamp() {
        let untimed = ActiveState { first_timestamp: None, ..ACTIVE };
        assert!(!check(untimed, incoming(1, 1_000_000, 1), 100));
        assert!(check(untimed, incoming(1, 0, 1), 101));
    }

    #[test]
    fn by_a_full_index_and_by_the_span_of_offsets() {
        assert!(check(ActiveState { index_is_full: true, ..ACTIVE }, incoming(1, 0, 1), 0));
        assert!(!check(ACTIVE, incoming(1, 0, (1 << 31) - 1), 0));
        assert!(check(ACTIVE, incoming(1, 0, 1 << 31), 0));
    }

    #[test]
    fn an_empty_segment_never_rolls() {
        let empty = ActiveState { bytes: 0, index_is_full: true, ..ACTIVE };
        assert!(!check(empty, incoming(1 << 40, i64::MAX, 1 << 40), i64::MAX));
    }
}
