//! All groups of a broker: who asks is let at a group under its lock, and what follows happens without it.
//!
//! A step is decided, stored where it has to be, and only then applied; promises are answered, members told and timers set once
//! the lock is released. No thread is kept for a member, and nothing runs while nothing is due.
//!
//! Locks, in this order: a group's; then the map's, the generator's, the look's for expired offsets, a log's writer's, the timers'.
//! None is held over a sync. The map's is held over a group's only where nobody else has that group.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::cell::{Cell, GroupData};
use super::change::Change;
use super::changes::GroupChanges;
use super::classic::{Effects, Now};
use super::config::GroupConfig;
use super::looks::Looks;
use super::replay;
use super::reply::Reply;
use super::requests::{JoinRequest, Joined, MemberRef, Presence, SyncRequest};
use super::stored::Committed;
use crate::clock::{Clock, Timers};
use crate::error::{Chain, Error, Result};
use crate::log::{self, Log};
use crate::offset::{PartitionId, TopicPartition};
use crate::record::fields::STRING_BYTES_MAX;
use crate::record::{BatchBuilder, Compression, Record};
use crate::sync::{Acquire, Arc, AtomicBool, Mutex, Release, Weak};
use crate::topic::OFFSETS_TOPIC;
use crate::uuid::Uuid;

/// The longest name of a client, of an instance or of a protocol. Kafka has this bound for instances.
const NAME_BYTES_MAX: usize = 249;

/// See the [module](self).
pub(crate) struct Coordinator {
    pub(super) config: GroupConfig,
    clock: Arc<dyn Clock>,
    pub(super) timers: Arc<Timers>,
    /// For the ids of members.
    random: Mutex<fastrand::Rng>,
    logs: Vec<Result<Arc<Log>, Arc<Error>>>,
    /// Held to find a group, never while anything is done with one.
    cells: Mutex<HashMap<String, Arc<Cell>>>,
    pub(super) looks: Looks,
    is_over: AtomicBool,
    /// Itself, for its timers.
    pub(super) this: Weak<Coordinator>,
}

impl Coordinator {
    /// Replays the partitions of `__consumer_offsets`. Groups whose partition is offline, or cannot be replayed, answer with that.
    pub(crate) fn open(
        logs: Vec<Result<Arc<Log>, Arc<Error>>>,
        config: GroupConfig,
        clock: Arc<dyn Clock>,
        timers: Arc<Timers>,
        random: fastrand::Rng,
    ) -> Result<Arc<Coordinator>> {
        let (count, opened) = (logs.len(), clock.wall());
        let mut cells = HashMap::new();
        let replay = |(partition, log): (usize, Result<Arc<Log>, Arc<Error>>)| {
            let log = log?;
            let is_here = |group: &str| partition_of(group, count) == Some(partition);
            let groups = replay::replay(&log, is_here, opened).map_err(|error| {
                ::log::error!("{}: groups cannot be known: {}", log.name(), Chain(&error));
                Arc::new(error)
            })?;
            for (name, data) in groups {
                let cell =
                    Cell { name: name.clone(), partition, changes: Arc::default(), state: Mutex::new(data) };
                cells.insert(name, Arc::new(cell));
            }
            Ok(log)
        };
        let logs = logs.into_iter().enumerate().map(replay).collect();
        let coordinator = Arc::new_cyclic(|this| Coordinator {
            config,
            clock,
            timers,
            random: Mutex::new(random),
            logs,
            cells: Mutex::new(cells),
            looks: Looks::default(),
            is_over: AtomicBool::new(false),
            this: Weak::clone(this),
        });
        coordinator.look_when_due();
        Ok(coordinator)
    }

    /// JoinGroup. What is wrong with the request is told at once.
    pub(crate) fn join(&self, mut request: JoinRequest) -> Result<Reply<Result<Joined>>> {
        self.check_join(&mut request)?;
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let fresh_id = format!("{prefix}-{}", Uuid::random(&mut self.random.lock()));
        let cell = self.cell(&request.group)?;
        self.act(&cell, |data, now, effects| data.classic.join(request, fresh_id, now, &self.config, effects))
    }

    /// SyncGroup. The answer is the member's own assignment.
    pub(crate) fn sync(&self, request: SyncRequest) -> Result<Reply<Result<Vec<u8>>>> {
        let cell = self.known(&request.member)?;
        self.act(&cell, |data, now, effects| {
            let (reply, assignments) = data.classic.sync(request, now, effects)?;
            let Some(assignments) = assignments else { return Ok(reply) };
            let record = data.classic.record(&assignments, now);
            match self.append(&cell, &[Change::Group(Some(record))], now) {
                Ok(_) => data.classic.assign(assignments, now, effects),
                Err(error) => {
                    let log = offsets_partition(cell.partition);
                    data.classic.fail_to_assign(error, &log, now, &self.config, effects);
                }
            }
            Ok(reply)
        })
    }

    /// Heartbeat: whether the member is still one, and nothing new is due.
    pub(crate) fn heartbeat(&self, member: &MemberRef) -> Result<()> {
        let cell = self.known(member)?;
        self.act(&cell, |data, now, _| data.classic.heartbeat(member, now))
    }

    /// LeaveGroup, with a reason for whoever reads the report.
    pub(crate) fn leave(&self, member: &MemberRef, reason: &str) -> Result<()> {
        let cell = self.known(member)?;
        self.act(&cell, |data, now, effects| data.classic.leave(member, reason, now, &self.config, effects))
    }

    /// LeaveGroup of one that may be a member, and has not heard its id yet.
    pub(crate) fn withdraw(&self, group: &str, presence: &Arc<Presence>, reason: &str) -> Result<()> {
        let Some(cell) = self.find(group)? else { return Ok(()) };
        self.act(&cell, |data, now, effects| {
            data.classic.withdraw(presence, reason, now, &self.config, effects)
        })
    }

    /// Says that the handle of a static member is gone: its session ends unless another comes in its place.
    pub(crate) fn note_gone(&self, member: &MemberRef) -> Result<()> {
        let cell = self.known(member)?;
        self.act(&cell, |data, now, effects| data.classic.note_gone(member, now, effects))
    }

    /// Refuses a name that no group can have, or whose partition is offline.
    pub(crate) fn check_group(&self, group: &str) -> Result<()> {
        self.place(group).map(drop)
    }

    /// What tells of changes of a group, which need not be there yet.
    pub(crate) fn changes(&self, group: &str) -> Result<Arc<GroupChanges>> {
        Ok(Arc::clone(&self.cell(group)?.changes))
    }

    /// At the broker's close: whoever waits is answered, and everything fails from now on.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Release);
        for cell in self.cells() {
            let mut effects = Effects::default();
            let mut data = cell.state.lock();
            data.classic.close(&mut effects);
            cell.changes.grow();
            drop(data);
            effects.give_answers();
            cell.changes.watchers.tell();
        }
    }

    /// Refuses what no group could make sense of.
    fn check_join(&self, request: &mut JoinRequest) -> Result<()> {
        let (min, max) = (self.config.session_timeout_min, self.config.session_timeout_max);
        let timeout = request.session_timeout;
        if timeout < min || timeout > max {
            return Err(Error::InvalidSessionTimeout { timeout, min, max });
        }
        let too_long = |setting: &'static str, value: &str| {
            let value = value.chars().take(NAME_BYTES_MAX).collect();
            Err(Error::InvalidConfig { setting, value, reason: "it must have 1 to 249 bytes".to_owned() })
        };
        let is_legal = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        if let Some(instance) = request.instance_id.as_ref().filter(|instance| !is_legal(instance)) {
            return too_long("group.instance.id", instance);
        }
        if let Some(protocol) = request.protocols.iter().find(|protocol| !is_legal(&protocol.name)) {
            return too_long("partition.assignment.strategy", &protocol.name);
        }
        if request.protocol_type.len() > NAME_BYTES_MAX {
            return too_long("protocol.type", &request.protocol_type);
        }
        if request.client_id.len() > NAME_BYTES_MAX {
            return too_long("client.id", &request.client_id);
        }
        Ok(())
    }

    /// Takes one step with a group, and does what follows from it.
    pub(super) fn act<T>(
        &self,
        cell: &Arc<Cell>,
        step: impl FnOnce(&mut GroupData, Now, &mut Effects) -> Result<T>,
    ) -> Result<T> {
        let mut effects = Effects::default();
        let mut data = cell.state.lock();
        // Under the lock: whoever ends it takes the lock after it has said so.
        self.check_open()?;
        let now = self.now();
        let result = step(&mut data, now, &mut effects);
        if effects.is_emptied {
            self.store_emptied(cell, &data, now);
        }
        let due = if effects.is_settled { data.first_due(&self.config) } else { None };
        let timer = data.arm(effects.due);
        let (is_changed, is_nothing) = (effects.is_changed, data.is_nothing());
        if is_changed {
            cell.changes.grow();
        }
        drop(data);
        if let Some(deadline) = timer {
            self.schedule(cell, deadline);
        }
        if let Some(due) = due {
            self.look_at(due, now);
        }
        effects.give_answers();
        if is_changed {
            cell.changes.watchers.tell();
        }
        if is_nothing {
            self.forget(cell);
        }
        result
    }

    /// Appends the records of changes to a group's log: all of them or none. Nothing is applied yet.
    pub(super) fn append(&self, cell: &Cell, changes: &[Change], now: Now) -> Result<Committed> {
        let log = self.log(cell.partition)?;
        let mut builder = BatchBuilder::new(Compression::None);
        for change in changes {
            let (key, value) = change.encode(&cell.name);
            builder.append(&Record::new().key(&key).value_opt(value.as_deref()), now.wall)?;
        }
        let mut batches = [builder.build()?];
        let appended = log.append_batches(&mut batches);
        batches.into_iter().for_each(log::recycle);
        Ok(Committed { log: Arc::clone(log), end: appended?.end })
    }

    /// The log of a partition of the groups' records.
    pub(super) fn log(&self, number: usize) -> Result<&Arc<Log>> {
        let partition = offsets_partition(number);
        match self.logs.get(number) {
            Some(Ok(log)) => Ok(log),
            Some(Err(source)) => {
                let (topic, partition) = (partition.topic().to_owned(), partition.partition());
                Err(Error::PartitionOffline { topic, partition, source: Arc::clone(source) })
            }
            None => Err(Error::UnknownTopic { topic: OFFSETS_TOPIC.to_owned() }),
        }
    }

    /// Refuses where the log of some groups is offline.
    pub(super) fn check_online(&self) -> Result<()> {
        (0..self.logs.len()).try_for_each(|number| self.log(number).map(drop))
    }

    /// Waits until everything that has been appended is on the device.
    pub(super) fn sync_all(&self) -> Result<()> {
        let mut online = self.logs.iter().flatten();
        online.try_for_each(|log| Committed { log: Arc::clone(log), end: log.end() }.wait())
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic: self.clock.monotonic(), wall: self.clock.wall() }
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_over.load(Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The place of a group, made where there is none. An error where its partition is offline: then nothing is known of it.
    pub(super) fn cell(&self, group: &str) -> Result<Arc<Cell>> {
        let partition = self.place(group)?;
        let mut cells = self.cells.lock();
        let cell = cells.entry(group.to_owned()).or_insert_with(|| {
            Arc::new(Cell {
                name: group.to_owned(),
                partition,
                changes: Arc::default(),
                state: Mutex::new(GroupData::new(group)),
            })
        });
        Ok(Arc::clone(cell))
    }

    /// The place of a group, if it has one. An error where its partition is offline.
    pub(super) fn find(&self, group: &str) -> Result<Option<Arc<Cell>>> {
        self.place(group)?;
        Ok(self.cells.lock().get(group).cloned())
    }

    /// The number of a group's partition, which is online.
    fn place(&self, group: &str) -> Result<usize> {
        self.check_open()?;
        check_group_id(group)?;
        let partition = partition_of(group, self.logs.len()).unwrap_or(0);
        self.log(partition)?;
        Ok(partition)
    }

    /// The place of a group in which somebody says to be a member.
    fn known(&self, member: &MemberRef) -> Result<Arc<Cell>> {
        self.find(&member.group)?.ok_or_else(|| Error::UnknownMember {
            group: member.group.clone(),
            member_id: member.member_id.clone(),
        })
    }

    /// All places, in no order.
    pub(super) fn cells(&self) -> Vec<Arc<Cell>> {
        self.cells.lock().values().cloned().collect()
    }

    /// Takes the place of a group away that is not there, unless anybody else looks at it.
    fn forget(&self, cell: &Arc<Cell>) {
        let mut cells = self.cells.lock();
        // Whoever else has it got it under the map's lock: the map and the caller are two.
        let is_ours = Arc::strong_count(cell) == 2 && Arc::strong_count(&cell.changes) == 1;
        if is_ours && cell.state.lock().is_nothing() {
            cells.remove(&cell.name);
        }
    }

    /// Tells, if it can, that a group has no members any more: a replay knows as much of members anyway.
    fn store_emptied(&self, cell: &Cell, data: &GroupData, now: Now) {
        let record = data.classic.record(&std::collections::BTreeMap::new(), now);
        if let Err(error) = self.append(cell, &[Change::Group(Some(record))], now) {
            ::log::warn!("group {}: cannot store that it is empty: {}", cell.name, Chain(&error));
        }
    }

    /// Sets a group's timer.
    fn schedule(&self, cell: &Arc<Cell>, deadline: Duration) {
        let (this, cell) = (Weak::clone(&self.this), Arc::downgrade(cell));
        self.timers.schedule(deadline, move || {
            if let (Some(this), Some(cell)) = (this.upgrade(), cell.upgrade()) {
                this.run_due(&cell, deadline);
            }
        });
    }

    /// A group's timer has fired. One that was not the last that was set has nothing to do.
    fn run_due(&self, cell: &Arc<Cell>, deadline: Duration) {
        let ran = self.act(cell, |data, now, effects| {
            if data.timer == Some(deadline) {
                data.timer = None;
                // Any deadlines that came up on the way are in it.
                effects.due = data.classic.run_due(now, &self.config, effects);
            }
            Ok(())
        });
        // It is over: there is nobody left to wait for.
        drop(ran);
    }
}

/// Refuses a name that no group can have.
fn check_group_id(group: &str) -> Result<()> {
    let reason = match group.len() {
        0 => "it is empty",
        1..=STRING_BYTES_MAX => return Ok(()),
        _ => "it is longer than 32767 bytes",
    };
    Err(Error::InvalidGroupId { group: group.chars().take(NAME_BYTES_MAX).collect(), reason })
}

/// The number of a group's partition, out of `count`: by Java's hash of its name, as in Kafka.
fn partition_of(group: &str, count: usize) -> Option<usize> {
    let hash =
        group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    usize::try_from(hash.checked_abs().unwrap_or(0)).ok()?.checked_rem(count)
}

fn offsets_partition(number: usize) -> TopicPartition {
    let number = u32::try_from(number).ok().and_then(PartitionId::from_u32).unwrap_or_default();
    TopicPartition::new(OFFSETS_TOPIC, number)
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator").field("groups", &self.cells.lock().len()).finish_non_exhaustive()
    }
}
