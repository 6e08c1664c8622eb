//! Where a consumer begins in a partition in which it has no position, or one that does not exist.

use std::time::Duration;

use super::iso_duration;

/// Where to begin where there is no position, or one outside the log. Kafka's `auto.offset.reset`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{AutoOffsetReset, Broker};
///
/// let broker = Broker::in_memory()?;
/// let last_hour = AutoOffsetReset::ByDuration(Duration::from_secs(60 * 60));
/// let builder = broker.consumer().auto_offset_reset(last_hour);
/// let written = builder.to_properties();
/// assert!(written.contains(&("auto.offset.reset", "by_duration:PT3600S".to_owned())));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AutoOffsetReset {
    /// At the first record that there is.
    Earliest,
    /// Behind the last record that is visible when the position is settled: only newer ones are seen. The default.
    ///
    /// The position is settled by the first poll or [`position`](crate::Consumer::position), not by
    /// [`assign`](crate::Consumer::assign): what is sent between the two is not seen. Where that matters, call `position` or
    /// [`seek_to_end`](crate::Consumer::seek_to_end) right after `assign`.
    #[default]
    Latest,
    /// At the first record that is no older than this, by its timestamp; behind the last where there is none.
    ByDuration(Duration),
    /// Nowhere: [`Error::NoPosition`](crate::Error::NoPosition), or [`Error::Fetch`](crate::Error::Fetch) with the range
    /// of the log. The consumer stays usable, and may seek.
    None,
}

/// What stands before a duration in properties.
const BY_DURATION: &str = "by_duration:";

impl AutoOffsetReset {
    /// As Kafka's properties say it.
    pub(super) fn to_text(self) -> String {
        match self {
            AutoOffsetReset::Earliest => "earliest".to_owned(),
            AutoOffsetReset::Latest => "latest".to_owned(),
            AutoOffsetReset::None => "none".to_owned(),
            AutoOffsetReset::ByDuration(duration) => {
                format!("{BY_DURATION}{}", iso_duration::write(duration))
            }
        }
    }

    /// From Kafka's properties, or what is allowed.
    pub(super) fn from_text(text: &str) -> Result<AutoOffsetReset, String> {
        let duration = text.strip_prefix(BY_DURATION).map(iso_duration::read);
        match (text, duration) {
            ("earliest", _) => Ok(AutoOffsetReset::Earliest),
            ("latest", _) => Ok(AutoOffsetReset::Latest),
            ("none", _) => Ok(AutoOffsetReset::None),
            (_, Some(Some(duration))) => Ok(AutoOffsetReset::ByDuration(duration)),
            _ => {
                Err("must be latest, earliest, none, or by_duration: and a duration like PT1H30M".to_owned())
            }
        }
    }
}
