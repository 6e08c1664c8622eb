//! The plain numbers that name a place in the log: offsets, partitions, leader epochs, timestamps.
//!
//! Each is a newtype with only the arithmetic that means something, so that a record's number, a byte's
//! position and a partition's index never mix. None of them has a magic `-1`: absence is an `Option`.
//! Nothing here knows of errors: a conversion that can fail gives an `Option`, and the public `TryFrom`s are written
//! in `error/`, which knows both the number and what to say of it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The number of a record in its partition: 0 for the first ever, one more for each that follows.
///
/// Offsets run from 0 to [`Offset::MAX`] (`i64::MAX`, as in Kafka's files). A range of offsets is half open, so
/// a log holds `start..end` and the end offset is the one that the next record will get.
///
/// # Examples
///
/// ```
/// use streamlog::Offset;
///
/// let offset = Offset::try_from(41_u64)?;
/// assert_eq!(offset.next(), 42);
/// assert_eq!(offset.next().delta_from(offset), Some(1));
/// assert_eq!(offset.checked_add(u64::MAX), None);
/// assert_eq!(offset.saturating_add(u64::MAX), Offset::MAX);
/// assert!(Offset::try_from(u64::MAX).is_err());
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// Offset 0, where every partition begins.
    pub const ZERO: Offset = Offset(0);
    /// The largest offset there can be, `i64::MAX`.
    pub const MAX: Offset = Offset(i64::MAX as u64);

    /// The offset that follows this one; [`Offset::MAX`] stays where it is.
    #[must_use]
    pub fn next(self) -> Offset {
        self.saturating_add(1)
    }

    /// This offset moved forward by `count` records, or `None` past [`Offset::MAX`].
    #[must_use]
    pub fn checked_add(self, count: u64) -> Option<Offset> {
        self.0.checked_add(count).filter(|&sum| sum <= Self::MAX.0).map(Offset)
    }

    /// This offset moved forward by `count` records, at most to [`Offset::MAX`].
    #[must_use]
    pub fn saturating_add(self, count: u64) -> Offset {
        self.checked_add(count).unwrap_or(Self::MAX)
    }

    /// How many records lie between `base` and this offset, or `None` when `base` is the later one.
    #[must_use]
    pub fn delta_from(self, base: Offset) -> Option<u64> {
        self.0.checked_sub(base.0)
    }

    /// The offset as Kafka's formats hold it.
    pub(crate) fn to_i64(self) -> i64 {
        i64::try_from(self.0).expect("an offset is at most i64::MAX by construction")
    }

    /// An offset from Kafka's formats, or `None` where the field is negative.
    pub(crate) fn from_i64(value: i64) -> Option<Offset> {
        u64::try_from(value).ok().map(Offset)
    }
}

impl From<Offset> for u64 {
    fn from(offset: Offset) -> u64 {
        offset.0
    }
}

impl From<u32> for Offset {
    fn from(value: u32) -> Offset {
        Offset(u64::from(value))
    }
}

impl PartialEq<u64> for Offset {
    fn eq(&self, other: &u64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<u64> for Offset {
    fn partial_cmp(&self, other: &u64) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(other)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a partition in its topic, from 0.
///
/// At most `i32::MAX`, as in Kafka's formats.
///
/// # Examples
///
/// ```
/// use streamlog::PartitionId;
///
/// let partition = PartitionId::try_from(3_u32)?;
/// assert_eq!(partition.to_string(), "3");
/// assert_eq!(u32::from(partition), 3);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The first partition of every topic.
    pub const ZERO: PartitionId = PartitionId(0);
    /// The largest partition number there can be, `i32::MAX`.
    pub const MAX: PartitionId = PartitionId(i32::MAX.unsigned_abs());

    /// The partition of this number, or `None` past [`PartitionId::MAX`].
    pub(crate) fn from_u32(value: u32) -> Option<PartitionId> {
        (value <= Self::MAX.0).then_some(PartitionId(value))
    }
}

impl From<PartitionId> for u32 {
    fn from(partition: PartitionId) -> u32 {
        partition.0
    }
}

impl PartialEq<u32> for PartitionId {
    fn eq(&self, other: &u32) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic's name with the number of one of its partitions.
///
/// Prints as Kafka names partition directories: `orders-3`.
///
/// # Examples
///
/// ```
/// use streamlog::{PartitionId, TopicPartition};
///
/// let partition = TopicPartition::new("orders", PartitionId::ZERO);
/// assert_eq!(partition.to_string(), "orders-0");
/// assert_eq!(partition.topic(), "orders");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    topic: String,
    partition: PartitionId,
}

impl TopicPartition {
    /// Names one partition of a topic; whether it exists is not looked at.
    pub fn new(topic: impl Into<String>, partition: PartitionId) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number in its topic.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Tells apart records that got the same offset: it grows by one whenever the log's end may have moved back.
///
/// Kafka stamps it into every batch (`partitionLeaderEpoch`) and keeps its history in
/// `leader-epoch-checkpoint`. Here a new epoch begins with every open after an unclean end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(u32);

impl LeaderEpoch {
    /// The epoch of a partition whose broker was always closed in order.
    pub const ZERO: LeaderEpoch = LeaderEpoch(0);

    /// The epoch after this one; the largest (`i32::MAX`) stays where it is.
    pub(crate) fn next(self) -> LeaderEpoch {
        LeaderEpoch((self.0 + 1).min(i32::MAX.unsigned_abs()))
    }

    /// The epoch as Kafka's formats hold it.
    pub(crate) fn to_i32(self) -> i32 {
        i32::try_from(self.0).expect("an epoch fits in 31 bits by construction")
    }

    /// An epoch from Kafka's formats, or `None` where the field is negative (no epoch).
    pub(crate) fn from_i32(value: i32) -> Option<LeaderEpoch> {
        u32::try_from(value).ok().map(LeaderEpoch)
    }
}

impl From<LeaderEpoch> for u32 {
    fn from(epoch: LeaderEpoch) -> u32 {
        epoch.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in time as Kafka's records hold it: milliseconds since 1970-01-01 UTC, negative before.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use streamlog::Timestamp;
///
/// let time = Timestamp::from_millis(1_500);
/// assert_eq!(SystemTime::from(time), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH).as_millis(), 0);
/// assert_eq!(time.saturating_add(Duration::from_secs(1)), Timestamp::from_millis(2_500));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `millis` milliseconds after the start of 1970 UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Milliseconds since the start of 1970 UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This point moved by `duration`, in whole milliseconds, at most to the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        // By hand, because `as_millis` counts in 128 bits, and every record that is sent asks.
        let millis = |duration: Duration| {
            let whole = i64::try_from(duration.as_secs()).ok().and_then(|seconds| seconds.checked_mul(1000));
            whole.map_or(i64::MAX, |whole| whole.saturating_add(duration.subsec_millis().into()))
        };
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(millis(after)),
            Err(before) => Timestamp(-millis(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// Exact wherever the platform's clock reaches; `UNIX_EPOCH` for points outside its range.
    fn from(time: Timestamp) -> SystemTime {
        let distance = Duration::from_millis(time.0.unsigned_abs());
        let moved =
            if time.0 >= 0 { UNIX_EPOCH.checked_add(distance) } else { UNIX_EPOCH.checked_sub(distance) };
        moved.unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stop_at_the_largest_signed_number() {
        assert_eq!(Offset::MAX.next(), Offset::MAX);
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::ZERO.checked_add(u64::MAX), None);
        assert_eq!(Offset::from_i64(-1), None);
        assert_eq!(Offset::MAX.to_i64(), i64::MAX);
    }

    #[test]
    fn a_delta_is_never_negative() {
        assert_eq!(Offset::from(7).delta_from(Offset::from(5)), Some(2));
        assert_eq!(Offset::from(5).delta_from(Offset::from(7)), None);
    }

    #[test]
    fn partition_numbers_stop_at_31_bits() {
        assert_eq!(PartitionId::from_u32(PartitionId::MAX.0), Some(PartitionId::MAX));
        assert_eq!(PartitionId::from_u32(PartitionId::MAX.0 + 1), None);
    }

    #[test]
    fn timestamps_survive_the_way_through_system_time() {
        for millis in [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
        assert_eq!(Timestamp::from_millis(i64::MAX).saturating_add(Duration::MAX).as_millis(), i64::MAX);
    }
}
