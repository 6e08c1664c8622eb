//! A coordinator on a clock that is moved by hand and a disk in memory, for tests.

use std::path::Path;
use std::time::Duration;

use super::config::GroupConfig;
use super::coordinator::Coordinator;
use super::member_data::{Subscription, decode_assignment, encode_assignment, encode_subscription};
use super::reply::Reply;
use super::requests::{CommitRequest, JoinRequest, Joined, MemberRef, OffsetToCommit, Protocol, SyncRequest};
use super::topic_partitions::TopicPartitions;
use crate::clock::{Clock, ManualClock, Timers};
use crate::error::{Error, Result};
use crate::log::{
    self, Log, LogDir, LogDirConfig, LogDirParts, PartitionRecovery, RecoveryMode, TopicConfig,
};
use crate::offset::{Offset, PartitionId, Timestamp, TopicPartition};
use crate::storage::{Access, MemoryStorage, OpenFiles};
use crate::sync::{Arc, Mutex};
use crate::uuid::Uuid;

const TOPIC_ID: [u8; 16] = [7; 16];
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) storage: MemoryStorage,
    pub(super) config: GroupConfig,
    pub(super) logs: Vec<Arc<Log>>,
    pub(super) coordinator: Arc<Coordinator>,
    /// The clock holds it weakly.
    pub(super) timers: Arc<Timers>,
    dir: Arc<LogDir>,
    opened: u64,
}

impl World {
    /// With so many partitions of `__consumer_offsets`.
    pub(super) fn new(partitions: u32, config: GroupConfig) -> World {
        World::on(MemoryStorage::new(), partitions, config)
    }

    pub(super) fn on(storage: MemoryStorage, partitions: u32, config: GroupConfig) -> World {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let (timers, dir) = open_dir(&storage, &clock);
        let create = |number| {
            log::create(&dir, name(number), Uuid::from_bytes(TOPIC_ID), TopicConfig::default()).unwrap()
        };
        let logs: Vec<_> = (0..partitions).map(create).collect();
        let coordinator = open(&logs, &config, &clock, &timers, 0);
        World { clock, storage, config, logs, coordinator, timers, dir, opened: 0 }
    }

    /// Closes everything in order, and opens it again.
    pub(super) fn reopen(&mut self) {
        self.end();
        (self.timers, self.dir) = open_dir(&self.storage, &self.clock);
        let open_log = |number: usize| {
            let name = name(u32::try_from(number).unwrap());
            let mut report = PartitionRecovery::new(name.clone());
            let (id, config) = (Uuid::from_bytes(TOPIC_ID), TopicConfig::default());
            log::open(&self.dir, &name, id, &config, &mut report).unwrap()
        };
        self.logs = (0..self.logs.len()).map(open_log).collect();
        self.opened += 1;
        self.coordinator = open(&self.logs, &self.config, &self.clock, &self.timers, self.opened);
    }

    pub(super) fn end(&self) {
        self.coordinator.end();
        self.timers.end();
        self.logs.iter().for_each(|log| log.close().unwrap());
        self.dir.close().unwrap();
        self.dir.unlock();
    }

    pub(super) fn join(&self, group: &str, member_id: &str) -> Result<Reply<Result<Joined>>> {
        self.coordinator.join(request(group, member_id))
    }

    /// Joins, and syncs with everything assigned to itself: alone in its group.
    pub(super) fn join_alone(&self, group: &str, partitions: &TopicPartitions) -> MemberRef {
        let joined = self.join(group, "").unwrap().take().unwrap().unwrap();
        let member = member(group, &joined);
        let assignments = vec![(joined.member_id, encode_assignment(partitions, None))];
        let request = SyncRequest { member: member.clone(), assignments };
        let share = self.coordinator.sync(request).unwrap().take().unwrap().unwrap();
        assert_eq!(decode_assignment(&share).unwrap().0, *partitions);
        member
    }

    pub(super) fn commit(&self, member: &MemberRef, topic: &str, offset: u32) -> Result<()> {
        let request = CommitRequest { member: member.clone(), offsets: vec![to_commit(topic, offset)] };
        self.coordinator.commit(request, |_| true)?.wait()
    }

    /// What a group has committed in partition 0 of a topic.
    pub(super) fn committed(&self, group: &str, topic: &str) -> Option<u64> {
        let committed = self.coordinator.committed(group, None).unwrap();
        committed.get(&partition(topic, 0)).map(|committed| committed.offset.into())
    }
}

fn open_dir(storage: &MemoryStorage, clock: &ManualClock) -> (Arc<Timers>, Arc<LogDir>) {
    let timers = Arc::new(Timers::default());
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    assert!(clock.runs(&timers));
    let config = LogDirConfig {
        checkpoint_interval: 3600 * SECOND,
        checkpoint_bytes: 1 << 30,
        sealed_access: Access::Read,
        recovery: RecoveryMode::Repair,
        is_read_only: false,
        topic_defaults: TopicConfig::default(),
    };
    let parts = LogDirParts {
        config,
        files: OpenFiles::new(Arc::new(storage.clone()), 64),
        clock,
        timers: Arc::clone(&timers),
        random: Arc::new(Mutex::new(fastrand::Rng::with_seed(1))),
    };
    (timers, Arc::new(LogDir::open(Path::new("data"), None, parts).unwrap()))
}

fn open(
    logs: &[Arc<Log>],
    config: &GroupConfig,
    clock: &ManualClock,
    timers: &Arc<Timers>,
    seed: u64,
) -> Arc<Coordinator> {
    let logs = logs.iter().map(|log| Ok(Arc::clone(log))).collect();
    open_with(logs, config, clock, timers, seed)
}

pub(super) fn open_with(
    logs: Vec<Result<Arc<Log>, Arc<Error>>>,
    config: &GroupConfig,
    clock: &ManualClock,
    timers: &Arc<Timers>,
    seed: u64,
) -> Arc<Coordinator> {
    let random = fastrand::Rng::with_seed(seed);
    Coordinator::open(logs, config.clone(), Arc::new(clock.clone()), Arc::clone(timers), random).unwrap()
}

fn name(number: u32) -> TopicPartition {
    partition("__consumer_offsets", number)
}

pub(super) fn partition(topic: &str, number: u32) -> TopicPartition {
    TopicPartition::new(topic, PartitionId::from_u32(number).unwrap())
}

pub(super) fn to_commit(topic: &str, offset: u32) -> OffsetToCommit {
    OffsetToCommit {
        partition: partition(topic, 0),
        offset: Offset::from(offset),
        leader_epoch: None,
        metadata: String::new(),
    }
}

/// A join that subscribes to topic `t`.
pub(super) fn request(group: &str, member_id: &str) -> JoinRequest {
    let subscription = Subscription { topics: vec!["t".to_owned()], ..Subscription::default() };
    JoinRequest {
        group: group.to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        session_timeout: 45 * SECOND,
        rebalance_timeout: 300 * SECOND,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: encode_subscription(&subscription) }],
        presence: None,
        reason: String::new(),
    }
}

pub(super) fn member(group: &str, joined: &Joined) -> MemberRef {
    MemberRef {
        group: group.to_owned(),
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
    }
}

/// Somebody who is no member.
pub(super) fn nobody(group: &str) -> MemberRef {
    MemberRef { group: group.to_owned(), member_id: String::new(), instance_id: None, generation: -1 }
}

/// Partitions of topic `t`.
pub(super) fn of_t(numbers: impl IntoIterator<Item = u32>) -> TopicPartitions {
    numbers.into_iter().map(|number| ("t", PartitionId::from_u32(number).unwrap())).collect()
}
