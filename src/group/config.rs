//! The settings of a broker's groups.

use std::time::Duration;

/// What a coordinator goes by. Kafka's defaults, but for the initial delay: members in one process come at once.
#[derive(Debug, Clone)]
pub(crate) struct GroupConfig {
    /// How long the first members of a group are waited for: `group.initial.rebalance.delay.ms`.
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub(crate) session_timeout_max: Duration,
    /// `group.max.size`, 1 or more.
    pub(crate) group_max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub(crate) offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`.
    pub(crate) offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: the least time between two looks.
    pub(crate) retention_check_interval: Duration,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        const MINUTE: Duration = Duration::from_secs(60);
        GroupConfig {
            initial_rebalance_delay: Duration::ZERO,
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: 30 * MINUTE,
            group_max_size: i32::MAX.unsigned_abs() as usize,
            offset_metadata_max_bytes: 4096,
            offsets_retention: 7 * 24 * 60 * MINUTE,
            retention_check_interval: 10 * MINUTE,
        }
    }
}
