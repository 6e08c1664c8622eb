//! Random lives of groups: clients join, leave, crash, are slow and commit; brokers are reopened. Whatever happens: a partition has one
//! owner in a generation, generations only grow, no committed offset goes back unless it is reset, nobody waits for ever,
//! and a replay tells what is known.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::config::GroupConfig;
use super::description::GroupState;
use super::kit::{SECOND, World, partition, request};
use super::member_data::{decode_assignment, encode_assignment};
use super::replay::replay;
use super::reply::Reply;
use super::requests::{CommitRequest, JoinRequest, Joined, MemberRef, OffsetToCommit, Presence, SyncRequest};
use super::topic_partitions::TopicPartitions;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::offset::{Offset, PartitionId};
use crate::sync::Arc;

const GROUPS: [&str; 2] = ["red", "blue"];
const PARTITIONS: u32 = 5;
/// Longer than anybody may be kept waiting: a new member's 5 minutes, two phases and a session.
const PATIENCE: Duration = Duration::from_secs(1200);

enum Stage {
    Idle,
    Joining(Reply<Result<Joined>>, Duration),
    Syncing(Reply<Result<Vec<u8>>>, Duration),
    Member,
    Dead,
}

struct Client {
    group: &'static str,
    instance: Option<String>,
    presence: Option<Arc<Presence>>,
    member_id: String,
    generation: i32,
    stage: Stage,
    positions: BTreeMap<u32, u64>,
}

struct Life {
    world: World,
    random: fastrand::Rng,
    clients: Vec<Client>,
    /// Who owns a partition, by the open, the group and the generation.
    owners: HashMap<(u32, &'static str, i32, u32), String>,
    generations: HashMap<&'static str, i32>,
    /// The last generations whose shares were stored, or that left the group empty.
    stored: HashMap<&'static str, i32>,
    committed: HashMap<(&'static str, u32), u64>,
    opens: u32,
    rebalances: u32,
    commits: u32,
}

impl Client {
    fn reference(&self) -> MemberRef {
        MemberRef {
            group: self.group.to_owned(),
            member_id: self.member_id.clone(),
            instance_id: self.instance.clone(),
            generation: self.generation,
        }
    }

    /// What it does after an error of the coordinator.
    fn recover(&mut self, error: &Error) {
        match error {
            // What it has read still counts until all have joined; afterwards it comes too late.
            Error::RebalanceInProgress { .. } => return self.stage = Stage::Idle,
            Error::UnknownMember { .. } | Error::IllegalGeneration { .. } | Error::GroupFull { .. } => {
                self.member_id.clear();
                self.generation = -1;
            }
            Error::FencedInstance { .. } => return self.stage = Stage::Dead,
            other => panic!("{other}"),
        }
        self.positions.clear();
        self.stage = Stage::Idle;
    }
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut random = fastrand::Rng::with_seed(seed);
        let initial_rebalance_delay = if random.bool() { Duration::ZERO } else { 3 * SECOND };
        let config = GroupConfig {
            initial_rebalance_delay,
            group_max_size: random.usize(2..8),
            ..GroupConfig::default()
        };
        Life {
            world: World::new(2, config),
            random,
            clients: Vec::new(),
            owners: HashMap::new(),
            generations: HashMap::new(),
            stored: HashMap::new(),
            committed: HashMap::new(),
            opens: 0,
            rebalances: 0,
            commits: 0,
        }
    }

    fn now(&self) -> Duration {
        self.world.clock.monotonic()
    }

    fn step(&mut self) {
        match self.random.u32(0..100) {
            0..4 => self.begin_client(),
            4..66 => self.with_client(Life::poll),
            66..84 => self.with_client(Life::commit),
            84..86 => self.with_client(Life::leave),
            86..88 => self.with_client(Life::crash),
            88..97 => {
                let time = SECOND * self.random.u32(0..30);
                self.world.clock.advance(time);
            }
            97 => self.reset(),
            98 => self.delete(),
            _ => self.reopen(),
        }
        self.check();
    }

    fn begin_client(&mut self) {
        let is_static = self.random.u32(0..4) == 0;
        let presence = self.random.bool().then(|| {
            let presence = Arc::new(Presence::default());
            presence.begin_poll();
            presence
        });
        self.clients.push(Client {
            group: GROUPS[self.random.usize(0..GROUPS.len())],
            instance: is_static.then(|| format!("i{}", self.random.u32(0..2))),
            presence,
            member_id: String::new(),
            generation: -1,
            stage: Stage::Idle,
            positions: BTreeMap::new(),
        });
    }

    fn with_client(&mut self, act: impl FnOnce(&mut Life, &mut Client)) {
        self.clients.retain(|client| !matches!(client.stage, Stage::Dead));
        if self.clients.is_empty() {
            return;
        }
        let chosen = self.random.usize(0..self.clients.len());
        let mut client = self.clients.swap_remove(chosen);
        act(self, &mut client);
        self.clients.push(client);
    }

    fn poll(&mut self, client: &mut Client) {
        if let Some(presence) = &client.presence {
            presence.begin_poll();
        }
        let now = self.now();
        match &client.stage {
            Stage::Idle => {
                let request = JoinRequest {
                    instance_id: client.instance.clone(),
                    presence: client.presence.clone(),
                    rebalance_timeout: 60 * SECOND,
                    ..request(client.group, &client.member_id)
                };
                match self.world.coordinator.join(request) {
                    Ok(reply) => client.stage = Stage::Joining(reply, now),
                    Err(error) => client.recover(&error),
                }
            }
            Stage::Joining(reply, _) => match reply.take() {
                Some(Ok(joined)) => self.sync(client, joined),
                Some(Err(error)) => client.recover(&error),
                None => {}
            },
            Stage::Syncing(reply, _) => match reply.take() {
                Some(Ok(share)) => self.assigned(client, &share),
                Some(Err(error)) => client.recover(&error),
                None => {}
            },
            Stage::Member => match self.world.coordinator.heartbeat(&client.reference()) {
                Ok(()) => {}
                Err(error) => {
                    if matches!(error, Error::RebalanceInProgress { .. }) && self.random.bool() {
                        self.commit(client);
                    }
                    client.recover(&error);
                }
            },
            Stage::Dead => {}
        }
        // Some stay in it, as one does that waits for records.
        if self.random.bool()
            && let Some(presence) = &client.presence
        {
            presence.end_poll(now);
        }
    }

    fn sync(&mut self, client: &mut Client, joined: Joined) {
        client.member_id = joined.member_id;
        client.generation = joined.generation;
        let members = joined.members;
        let share = |place: usize| -> TopicPartitions {
            let numbers = (0..PARTITIONS).filter(|&number| number as usize % members.len() == place);
            numbers.map(|number| ("t", PartitionId::from_u32(number).unwrap())).collect()
        };
        let assign = |(place, member): (usize, &super::requests::JoinedMember)| {
            (member.member_id.clone(), encode_assignment(&share(place), None))
        };
        let assignments = members.iter().enumerate().map(assign).collect();
        let assignments = if joined.skip_assignment { Vec::new() } else { assignments };
        match self.world.coordinator.sync(SyncRequest { member: client.reference(), assignments }) {
            Ok(reply) => client.stage = Stage::Syncing(reply, self.now()),
            Err(error) => client.recover(&error),
        }
    }

    fn assigned(&mut self, client: &mut Client, share: &[u8]) {
        self.rebalances += 1;
        let owner = client.instance.clone().unwrap_or_else(|| client.member_id.clone());
        let committed = self.world.coordinator.committed(client.group, None).unwrap();
        let (partitions, _) = decode_assignment(share).unwrap();
        client.positions.clear();
        for (topic, number) in partitions.iter() {
            let number = u32::from(number);
            let place = (self.opens, client.group, client.generation, number);
            let known = self.owners.entry(place).or_insert_with(|| owner.clone());
            assert_eq!(*known, owner, "{place:?} has two owners");
            let position = committed.get(&partition(topic, number)).map_or(0, |known| known.offset.into());
            client.positions.insert(number, position);
        }
        client.stage = Stage::Member;
    }

    fn commit(&mut self, client: &mut Client) {
        let is_late = matches!(client.stage, Stage::Idle | Stage::Joining(..));
        if client.positions.is_empty() || !is_late && !matches!(client.stage, Stage::Member) {
            return;
        }
        for position in client.positions.values_mut() {
            *position += self.random.u64(0..5);
        }
        let offsets = client.positions.iter().map(|(&number, &position)| OffsetToCommit {
            partition: partition("t", number),
            offset: Offset::try_from(position).unwrap(),
            leader_epoch: None,
            metadata: String::new(),
        });
        let request = CommitRequest { member: client.reference(), offsets: offsets.collect() };
        match self.world.coordinator.commit(request, |_| true) {
            Ok(committed) => {
                committed.wait().unwrap();
                self.commits += 1;
                for (&number, &position) in &client.positions {
                    let before = self.committed.insert((client.group, number), position);
                    assert!(
                        before.is_none_or(|before| before <= position),
                        "{number} went back to {position}"
                    );
                }
            }
            Err(_) if is_late => client.positions.clear(),
            Err(error) => client.recover(&error),
        }
    }

    fn leave(&mut self, client: &mut Client) {
        if !client.member_id.is_empty()
            && let Err(error) = self.world.coordinator.leave(&client.reference(), "enough")
        {
            client.recover(&error);
        }
        self.crash(client);
    }

    /// Its thread dies, or it is leaked. A static one may be closed instead.
    fn crash(&mut self, client: &mut Client) {
        let now = self.now();
        if let Some(presence) = &client.presence {
            if client.instance.is_some() { presence.leave() } else { presence.end_poll(now) }
        }
        client.stage = Stage::Dead;
    }

    fn reset(&mut self) {
        let (group, offset) = (GROUPS[self.random.usize(0..GROUPS.len())], self.random.u32(0..3));
        match self.world.coordinator.reset(group, vec![super::kit::to_commit("t", offset)], |_| true) {
            Ok(committed) => {
                committed.wait().unwrap();
                self.committed.insert((group, 0), offset.into());
            }
            Err(error) => assert!(matches!(error, Error::GroupNotEmpty { .. }), "{error}"),
        }
    }

    fn delete(&mut self) {
        let group = GROUPS[self.random.usize(0..GROUPS.len())];
        match self.world.coordinator.delete_group(group) {
            Ok(deleted) => {
                deleted.wait().unwrap();
                self.forget(group);
            }
            Err(Error::GroupNotEmpty { .. } | Error::UnknownGroup { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A group is gone; another of its name begins anew.
    fn forget(&mut self, group: &'static str) {
        self.generations.remove(group);
        self.stored.remove(group);
        self.committed.retain(|&(of, _), _| of != group);
        self.owners.retain(|&(_, of, _, _), _| of != group);
        for client in self.clients.iter_mut().filter(|client| client.group == group) {
            client.positions.clear();
        }
    }

    /// Whoever was a member is gone with the process.
    fn reopen(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        self.world.coordinator.end();
        for client in clients {
            match client.stage {
                Stage::Joining(reply, _) => drop(reply.take().expect("at the end everybody is answered")),
                Stage::Syncing(reply, _) => drop(reply.take().expect("at the end everybody is answered")),
                Stage::Idle | Stage::Member | Stage::Dead => {}
            }
        }
        self.world.reopen();
        self.opens += 1;
        // Those that nobody had a share of were never stored, and come again.
        for group in GROUPS {
            let generation = self.world.coordinator.describe(group).map_or(0, |known| known.generation);
            assert_eq!(generation, self.stored.get(group).copied().unwrap_or(0), "{group}");
            self.generations.insert(group, generation);
        }
    }

    fn check(&mut self) {
        let now = self.now();
        for client in &self.clients {
            if let Stage::Joining(reply, since) = &client.stage
                && now > *since + PATIENCE
            {
                assert!(is_there(reply), "a join is not answered");
            }
            if let Stage::Syncing(reply, since) = &client.stage
                && now > *since + PATIENCE
            {
                assert!(is_there(reply), "a sync is not answered");
            }
        }
        for group in GROUPS {
            let known = self.world.coordinator.describe(group);
            if let Err(Error::UnknownGroup { .. }) = known {
                // Nothing was left of it, so it was forgotten.
                assert!(!self.committed.keys().any(|&(of, _)| of == group), "{group} is forgotten");
                self.forget(group);
                continue;
            }
            let known = known.unwrap();
            let before = self.generations.insert(group, known.generation);
            assert!(before.is_none_or(|before| before <= known.generation), "{group}'s generation went back");
            if matches!(known.state, GroupState::Empty | GroupState::Stable) {
                self.stored.insert(group, known.generation);
            }
            let committed: HashMap<_, u64> = known
                .committed
                .iter()
                .map(|(partition, committed)| {
                    ((group, u32::from(partition.partition())), committed.offset.into())
                })
                .collect();
            let expected: HashMap<_, u64> = self
                .committed
                .iter()
                .filter(|((of, _), _)| *of == group)
                .map(|(&at, &offset)| (at, offset))
                .collect();
            assert_eq!(committed, expected);
        }
    }

    fn check_replay(&self) {
        let mut groups = HashMap::new();
        for log in &self.world.logs {
            groups.extend(replay(log, |_| true, self.world.clock.wall()).unwrap());
        }
        for listed in self.world.coordinator.list().unwrap() {
            let known = self.world.coordinator.describe(&listed.group).unwrap();
            let Some(replayed) = groups.remove(&listed.group) else {
                assert!(known.committed.is_empty(), "{known:?}");
                continue;
            };
            assert_eq!(*replayed.offsets.all(), known.committed);
            if matches!(known.state, GroupState::Empty | GroupState::Stable)
                && replayed.classic.protocol_type().is_some()
            {
                assert_eq!(replayed.classic.generation(), known.generation, "{known:?}");
            }
        }
        assert!(groups.is_empty(), "the replay knows {:?}", groups.keys());
    }

    /// Everybody falls silent; whoever waits is answered, and the groups are empty.
    fn end(mut self) -> (u32, u32) {
        let now = self.now();
        for presence in self.clients.iter().filter_map(|client| client.presence.as_ref()) {
            presence.end_poll(now);
        }
        self.world.clock.advance(PATIENCE);
        for client in self.clients.drain(..) {
            match client.stage {
                Stage::Joining(reply, _) => drop(reply.take().expect("a join is answered")),
                Stage::Syncing(reply, _) => drop(reply.take().expect("a sync is answered")),
                Stage::Idle | Stage::Member | Stage::Dead => {}
            }
        }
        for listed in self.world.coordinator.list().unwrap() {
            assert_eq!((listed.state, listed.members), (GroupState::Empty, 0));
        }
        self.check();
        self.check_replay();
        (self.rebalances, self.commits)
    }
}

/// Without taking it.
fn is_there<T>(reply: &Reply<T>) -> bool {
    format!("{reply:?}").contains("is_there: true")
}

#[test]
fn groups_keep_their_promises_whatever_their_members_do() {
    let (mut rebalances, mut commits) = (0, 0);
    for seed in 0..20 {
        let mut life = Life::new(seed);
        for step in 0..600 {
            life.step();
            if step % 20 == 0 {
                life.check_replay();
            }
        }
        let (more_rebalances, more_commits) = life.end();
        rebalances += more_rebalances;
        commits += more_commits;
    }
    assert!(rebalances > 300 && commits > 300, "something went on: {rebalances} shares, {commits} commits");
}
