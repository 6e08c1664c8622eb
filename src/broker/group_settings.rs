//! The settings of a broker that concern groups: who may be a member, and what is kept of their offsets.

use std::time::Duration;

use super::config::BrokerConfig;
use crate::acks::Acks;
use crate::error::{Error, Result};
use crate::group::GroupConfig;
use crate::topic::PARTITIONS_MAX;

/// Records of one group must fit a segment with room to spare.
const SEGMENT_BYTES_MIN: u32 = 1 << 20;

impl BrokerConfig {
    /// How long the first rebalance of a group without members waits for more of them, so that a group that starts does not
    /// rebalance with each. Nothing by default, because members in one process join within microseconds; 3 s in Kafka. Kafka's
    /// `group.initial.rebalance.delay.ms`.
    #[must_use]
    pub fn group_initial_rebalance_delay(mut self, delay: Duration) -> BrokerConfig {
        self.group_initial_rebalance_delay = delay;
        self
    }

    /// The bounds of what members may ask for as their [session timeout](crate::ConsumerBuilder::session_timeout): 6 s and
    /// 30 min by default. Kafka's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[must_use]
    pub fn group_session_timeouts(mut self, min: Duration, max: Duration) -> BrokerConfig {
        self.group_session_timeouts = (min, max);
        self
    }

    /// How many members a group may have. At least 1; as many as there are by default. Kafka's `group.max.size`.
    #[must_use]
    pub fn group_max_size(mut self, members: usize) -> BrokerConfig {
        self.group_max_size = members;
        self
    }

    /// How long the text may be that is committed [with an offset](crate::OffsetAndMetadata), in bytes. 4096 by default. Kafka's
    /// `offset.metadata.max.bytes`.
    #[must_use]
    pub fn offset_metadata_max_bytes(mut self, bytes: usize) -> BrokerConfig {
        self.offset_metadata_max_bytes = bytes;
        self
    }

    /// What a [commit](crate::Consumer::commit) waits for. [`Acks::All`] by default: the device, so that a power cut does not
    /// bring back what was processed. With [`Acks::Leader`] a commit costs no sync, survives the end of the process, and a power
    /// cut may take some of the last ones: then their records are returned once more, and none is lost. Kafka's
    /// `offsets.commit.required.acks`.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Acks, Broker, BrokerConfig};
    ///
    /// let config = BrokerConfig::default().offsets_commit_acks(Acks::Leader);
    /// let broker = Broker::builder().in_memory().config(config).open()?;
    /// # drop(broker);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn offsets_commit_acks(mut self, acks: Acks) -> BrokerConfig {
        self.offsets_commit_acks = acks;
        self
    }

    /// How long the offsets of a group without members are kept, and those of a topic that a group no longer subscribes to. An open of
    /// the broker begins that time anew, because nobody could go on before; so a program that is started more often forgets nothing,
    /// and one may delete a group [by hand](crate::Admin::delete_group). 7 days by default; at least 1 ms. Kafka's
    /// `offsets.retention.minutes`, which a server that is down counts on.
    #[must_use]
    pub fn offsets_retention(mut self, retention: Duration) -> BrokerConfig {
        self.offsets_retention = retention;
        self
    }

    /// How long after offsets may be forgotten they are, at most. 10 min by default; at least 1 ms. Kafka's
    /// `offsets.retention.check.interval.ms`.
    #[must_use]
    pub fn offsets_retention_check_interval(mut self, interval: Duration) -> BrokerConfig {
        self.offsets_retention_check_interval = interval;
        self
    }

    /// How many partitions the topic `__consumer_offsets` gets when the first group makes it. 1 to 10,000; 1 by default, because
    /// a process is not a cluster; 50 in Kafka. Kafka's `offsets.topic.num.partitions`.
    #[must_use]
    pub fn offsets_topic_num_partitions(mut self, count: u32) -> BrokerConfig {
        self.offsets_topic_num_partitions = count;
        self
    }

    /// How large the segments of `__consumer_offsets` are, in bytes, when the first group makes it. 100 MiB by default; at least
    /// 1 MiB. Kafka's `offsets.topic.segment.bytes`.
    #[must_use]
    pub fn offsets_topic_segment_bytes(mut self, bytes: u32) -> BrokerConfig {
        self.offsets_topic_segment_bytes = bytes;
        self
    }

    /// What the coordinator of groups goes by.
    pub(super) fn groups(&self) -> GroupConfig {
        let (session_timeout_min, session_timeout_max) = self.group_session_timeouts;
        GroupConfig {
            initial_rebalance_delay: self.group_initial_rebalance_delay,
            session_timeout_min,
            session_timeout_max,
            group_max_size: self.group_max_size,
            offset_metadata_max_bytes: self.offset_metadata_max_bytes,
            offsets_retention: self.offsets_retention,
            retention_check_interval: self.offsets_retention_check_interval,
        }
    }

    pub(super) fn validate_groups(&self) -> Result<()> {
        let refuse = |setting, value: String, reason: &str| {
            Err(Error::InvalidConfig { setting, value, reason: reason.to_owned() })
        };
        let (min, max) = self.group_session_timeouts;
        if min > max {
            let reason = format!("must be at most group.max.session.timeout.ms, {max:?}");
            return refuse("group.min.session.timeout.ms", format!("{min:?}"), &reason);
        }
        if self.group_max_size == 0 {
            return refuse("group.max.size", "0".to_owned(), "must be 1 or more");
        }
        if self.offsets_commit_acks == Acks::None {
            return refuse("offsets.commit.required.acks", "0".to_owned(), "must be 1 or all");
        }
        if self.offsets_retention.is_zero() {
            return refuse("offsets.retention.minutes", "0".to_owned(), "must be more than nothing");
        }
        if self.offsets_retention_check_interval.is_zero() {
            return refuse("offsets.retention.check.interval.ms", "0".to_owned(), "must be 1 or more");
        }
        if !(1..=PARTITIONS_MAX).contains(&self.offsets_topic_num_partitions) {
            let (value, reason) =
                (self.offsets_topic_num_partitions.to_string(), format!("must be 1 to {PARTITIONS_MAX}"));
            return refuse("offsets.topic.num.partitions", value, &reason);
        }
        if self.offsets_topic_segment_bytes < SEGMENT_BYTES_MIN {
            let reason = format!("must be {SEGMENT_BYTES_MIN} or more");
            return refuse(
                "offsets.topic.segment.bytes",
                self.offsets_topic_segment_bytes.to_string(),
                &reason,
            );
        }
        Ok(())
    }
}
