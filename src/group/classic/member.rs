//! A member of a group: what it offers, what it was given, what it waits for, and how long it may still be silent.

use std::time::Duration;

use super::super::member_data::decode_subscription;
use super::super::reply::Promise;
use super::super::requests::{JoinRequest, Joined, Presence, Protocol, Seen};
use crate::error::Result;
use crate::sync::Arc;

/// How long a member that has never been in a generation may wait for its first without a heartbeat. As in Kafka.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) presence: Option<Arc<Presence>>,
    pub(super) assignment: Arc<Vec<u8>>,
    pub(super) awaiting_join: Option<Promise<Result<Joined>>>,
    pub(super) awaiting_sync: Option<Promise<Result<Vec<u8>>>>,
    /// Whether it has asked for its share of this generation.
    pub(super) has_synced: bool,
    /// Whether it has been in no generation yet.
    pub(super) is_new: bool,
    /// When it last asked for anything.
    pub(super) last_seen: Duration,
    /// When it last joined: before its first poll has ended, that is all there is of it.
    joined_at: Duration,
    /// When it was noticed, or told, that its handle is gone.
    pub(super) gone_since: Option<Duration>,
}

impl Member {
    pub(super) fn new(request: JoinRequest, now: Duration) -> Member {
        let mut member = Member {
            instance_id: request.instance_id.clone(),
            client_id: String::new(),
            session_timeout: Duration::ZERO,
            rebalance_timeout: Duration::ZERO,
            protocols: Vec::new(),
            presence: None,
            assignment: Arc::default(),
            awaiting_join: None,
            awaiting_sync: None,
            has_synced: false,
            is_new: true,
            last_seen: now,
            joined_at: now,
            gone_since: None,
        };
        member.update(request, now);
        member
    }

    /// Takes in what it says of itself when it joins again.
    pub(super) fn update(&mut self, request: JoinRequest, now: Duration) {
        self.client_id = request.client_id;
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
        self.protocols = request.protocols;
        self.presence = request.presence;
        self.joined_at = now;
        self.touch(now);
    }

    /// It has asked for something.
    pub(super) fn touch(&mut self, now: Duration) {
        self.last_seen = now;
        self.gone_since = None;
    }

    /// Whether it never heard its id, and never will: nobody could ask in its name.
    pub(super) fn is_lost(&self) -> bool {
        self.is_new && self.awaiting_join.as_ref().is_some_and(Promise::is_abandoned)
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered.name == protocol)
    }

    /// What it says of itself to the leader, by a protocol that it offers.
    pub(super) fn metadata(&self, protocol: &str) -> &[u8] {
        let offered = self.protocols.iter().find(|offered| offered.name == protocol);
        offered.map_or(&[], |offered| &offered.metadata)
    }

    /// What a consumer subscribes to, by a protocol that it offers; `None` where that is not known.
    pub(super) fn topics(&self, protocol: Option<&str>) -> Option<Vec<String>> {
        decode_subscription(self.metadata(protocol?)).ok().map(|read| read.topics)
    }

    /// Whether it has been silent for too long, and if not, when to look again: not before it can have been.
    pub(super) fn look(&mut self, now: Duration) -> Result<Duration, Silent> {
        let seen = self.presence.as_ref().map(|presence| presence.seen());
        if seen == Some(Seen::Gone) {
            self.gone_since.get_or_insert(now);
        }
        let (since, limit) = match (self.gone_since, seen) {
            (Some(since), _) => (since, self.session_timeout),
            // A poll that ends right now leaves it as long.
            (None, Some(Seen::Now)) => (now, self.poll_timeout()),
            // Committing is no sign that it polls.
            (None, Some(Seen::At(at))) => (at.max(self.joined_at), self.poll_timeout()),
            (None, _) if self.is_new => (self.last_seen, NEW_MEMBER_TIMEOUT),
            // Who waits for the others has nothing to say.
            (None, _) if self.awaiting_join.is_some() || self.awaiting_sync.is_some() => {
                (now, self.session_timeout)
            }
            (None, _) => (self.last_seen, self.session_timeout),
        };
        let deadline = since.saturating_add(limit);
        if deadline <= now {
            return Err(Silent { limit });
        }
        // That a static member's handle is gone is noticed by looking.
        let notices = self.presence.is_some() && self.is_static();
        Ok(if notices { deadline.min(now.saturating_add(self.session_timeout)) } else { deadline })
    }

    /// Never nothing, or nobody could ever be in time.
    pub(super) fn poll_timeout(&self) -> Duration {
        self.rebalance_timeout.max(Duration::from_millis(1))
    }
}

/// It has been silent for longer than this.
#[derive(Debug)]
pub(super) struct Silent {
    pub(super) limit: Duration,
}
