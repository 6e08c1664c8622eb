//! What a member asks of the coordinator, and what it is told: Kafka's JoinGroup, SyncGroup, Heartbeat, LeaveGroup,
//! OffsetCommit and OffsetFetch, without their framing.

use std::time::Duration;

use crate::offset::{LeaderEpoch, Offset, TopicPartition};
use crate::sync::{Acquire, Arc, AtomicU64, Release};

/// Who asks, as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRef {
    pub(crate) group: String,
    pub(crate) member_id: String,
    /// Kafka's `group.instance.id`.
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

/// One of the assignors that a member offers, with its subscription encoded for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: String,
    pub(crate) metadata: Vec<u8>,
}

/// JoinGroup.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    pub(crate) group: String,
    /// Empty for one that has none yet: the answer gives it one.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    /// How long the others are waited for: `max.poll.interval.ms` of a consumer.
    pub(crate) rebalance_timeout: Duration,
    /// `consumer`.
    pub(crate) protocol_type: String,
    /// The one it likes best first.
    pub(crate) protocols: Vec<Protocol>,
    /// How an in-process member shows that it lives. One without must send heartbeats.
    pub(crate) presence: Option<Arc<Presence>>,
    /// Why, for whoever reads the report. Kafka's `reason` (KIP-800).
    pub(crate) reason: String,
}

/// The answer to a JoinGroup that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader, everybody. Otherwise nobody.
    pub(crate) members: Vec<JoinedMember>,
    /// Whether the leader must not assign, because it came back as a static member and nothing has changed.
    pub(crate) skip_assignment: bool,
}

/// A member, as the leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    /// Its subscription for the protocol that was chosen.
    pub(crate) metadata: Vec<u8>,
    /// What it is assigned already, encoded; nothing while the assignment is still to come.
    pub(crate) assignment: Arc<Vec<u8>>,
}

/// SyncGroup. The answer is the member's own assignment, encoded.
#[derive(Debug, Clone)]
pub(crate) struct SyncRequest {
    pub(crate) member: MemberRef,
    /// From the leader: every member's assignment. Otherwise nothing.
    pub(crate) assignments: Vec<(String, Vec<u8>)>,
}

/// OffsetCommit.
#[derive(Debug, Clone)]
pub(crate) struct CommitRequest {
    /// With an empty member id and generation -1 from one who assigns its partitions itself.
    pub(crate) member: MemberRef,
    pub(crate) offsets: Vec<OffsetToCommit>,
}

/// One partition's part of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetToCommit {
    pub(crate) partition: TopicPartition,
    /// The next offset to be read.
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) metadata: String,
}

/// How a member in this process shows that it lives, instead of heartbeats: it costs a store in each poll.
///
/// While it waits in a poll it is there; otherwise it must have polled within its rebalance timeout.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// When the last poll ended, in nanoseconds of the monotonic clock; `POLLING` during one; `GONE` when its handle is.
    last: AtomicU64,
}

const POLLING: u64 = u64::MAX;
const GONE: u64 = u64::MAX - 1;

/// What [`Presence::seen`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is in a poll.
    Now,
    /// Its last poll ended then.
    At(Duration),
    /// Its handle is gone: what is left is the session timeout.
    Gone,
}

impl Presence {
    pub(crate) fn begin_poll(&self) {
        self.last.store(POLLING, Release);
    }

    pub(crate) fn end_poll(&self, now: Duration) {
        self.last.store(u64::try_from(now.as_nanos()).unwrap_or(GONE).min(GONE - 1), Release);
    }

    pub(crate) fn leave(&self) {
        self.last.store(GONE, Release);
    }

    pub(crate) fn seen(&self) -> Seen {
        match self.last.load(Acquire) {
            POLLING => Seen::Now,
            GONE => Seen::Gone,
            nanos => Seen::At(Duration::from_nanos(nanos)),
        }
    }
}
