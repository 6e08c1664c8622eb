//! How far a record's timestamp may lie from the time of its append: `message.timestamp.before.max.ms` and its counterpart.
//!
//! Only a timestamp of the record's own is looked at: where a topic stamps the time of the append, there is no limit, and a
//! record without a timestamp has none either.

use std::time::Duration;

use super::config::TopicConfig;
use crate::error::{Error, Result};
use crate::offset::Timestamp;
use crate::record::{EncodedBatch, TimestampType};

/// What Kafka's formats have for no timestamp.
const NONE: Timestamp = Timestamp::from_millis(-1);

/// The limits of one append; see the [module](self).
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimestampLimits {
    now: Timestamp,
    before: Option<Duration>,
    after: Option<Duration>,
    earliest: Timestamp,
    latest: Timestamp,
}

impl TimestampLimits {
    /// The limits of an append at `now`.
    pub(crate) fn at(now: Timestamp, config: &TopicConfig) -> TimestampLimits {
        let (before, after) = match config.timestamp_type {
            TimestampType::Create => (config.timestamp_before_max, config.timestamp_after_max),
            TimestampType::Append => (None, None),
        };
        let earliest = before.map_or(i64::MIN, |limit| now.as_millis().saturating_sub(millis(limit)));
        let latest = after.map_or(i64::MAX, |limit| now.as_millis().saturating_add(millis(limit)));
        let (earliest, latest) = (Timestamp::from_millis(earliest), Timestamp::from_millis(latest));
        TimestampLimits { now, before, after, earliest, latest }
    }

    /// Refuses a record of this timestamp if it is too far off.
    #[inline]
    pub(crate) fn check(&self, timestamp: Timestamp) -> Result<()> {
        let is_within = self.earliest <= timestamp && timestamp <= self.latest;
        if is_within || timestamp == NONE { Ok(()) } else { Err(self.refusal(timestamp)) }
    }

    /// Refuses a batch with a record that is too far off.
    pub(crate) fn check_batch(&self, batch: &EncodedBatch) -> Result<()> {
        self.check(batch.max_timestamp())?;
        // Only the largest stands in the header.
        if self.before.is_some() { self.check(batch.smallest_timestamp()?.unwrap_or(NONE)) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self, timestamp: Timestamp) -> Error {
        let (setting, limit) = if timestamp < self.earliest {
            ("message.timestamp.before.max.ms", self.before)
        } else {
            ("message.timestamp.after.max.ms", self.after)
        };
        Error::TimestampOutOfBounds { timestamp, now: self.now, setting, limit: limit.unwrap_or_default() }
    }
}

fn millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &TopicConfig, timestamp: i64) -> Result<(), &'static str> {
        let limits = TimestampLimits::at(Timestamp::from_millis(1000), config);
        limits.check(Timestamp::from_millis(timestamp)).map_err(|error| match error {
            Error::TimestampOutOfBounds { setting, .. } => setting,
            _ => "another error",
        })
    }

    #[test]
    fn the_limits_themselves_are_within() {
        let millis = Duration::from_millis;
        let config = TopicConfig::default().timestamp_before_max(millis(10)).timestamp_after_max(millis(20));
        for timestamp in [990, 1000, 1020, -1] {
            assert_eq!(check(&config, timestamp), Ok(()), "{timestamp}");
        }
        for (timestamp, setting) in [
            (989, "message.timestamp.before.max.ms"),
            (-2, "message.timestamp.before.max.ms"),
            (1021, "message.timestamp.after.max.ms"),
            (i64::MAX, "message.timestamp.after.max.ms"),
        ] {
            assert_eq!(check(&config, timestamp), Err(setting), "{timestamp}");
            assert_eq!(check(&config.clone().timestamp_type(TimestampType::Append), timestamp), Ok(()));
        }
        let unlimited = TopicConfig::default().timestamp_after_max(None);
        assert_eq!((check(&unlimited, 0), check(&unlimited, i64::MAX)), (Ok(()), Ok(())));
        assert!(check(&TopicConfig::default(), 3_601_001).is_err(), "one hour, as since Kafka 4.0");
    }
}
