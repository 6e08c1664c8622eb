//! Tests of the coordinator: what it refuses, stores, forgets and knows again after an open.

use std::io::IoSlice;
use std::task::{Context, Waker};
use std::time::Duration;

use super::change::Change;
use super::config::GroupConfig;
use super::description::GroupState;
use super::kit::{SECOND, World, member, nobody, of_t, open_with, partition, request, to_commit};
use super::requests::{CommitRequest, JoinRequest, Protocol, SyncRequest};
use crate::error::Error;
use crate::offset::{LeaderEpoch, Offset};
use crate::record::{Compression, Record};
use crate::storage::{Access, MemoryStorage, Storage};
use crate::sync::Arc;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn world() -> World {
    World::new(3, GroupConfig::default())
}

#[test]
fn what_no_group_can_make_sense_of_is_refused() {
    let world = world();
    for group in ["", &"g".repeat(40_000)] {
        let refused = world.join(group, "").unwrap_err();
        assert!(matches!(&refused, Error::InvalidGroupId { group, .. } if group.len() <= 249), "{refused}");
        assert!(matches!(world.commit(&nobody(group), "t", 1), Err(Error::InvalidGroupId { .. })));
        assert!(matches!(world.coordinator.committed(group, None), Err(Error::InvalidGroupId { .. })));
        assert!(matches!(world.coordinator.changes(group), Err(Error::InvalidGroupId { .. })));
        assert!(matches!(world.coordinator.describe(group), Err(Error::InvalidGroupId { .. })));
    }
    for session_timeout in [5 * SECOND, 31 * MINUTE] {
        let refused = world.coordinator.join(JoinRequest { session_timeout, ..request("g", "") });
        assert!(matches!(refused, Err(Error::InvalidSessionTimeout { .. })), "{session_timeout:?}");
    }
    let long = || "x".repeat(250);
    let protocol = Protocol { name: long(), metadata: Vec::new() };
    for refused in [
        JoinRequest { instance_id: Some(long()), ..request("g", "") },
        JoinRequest { instance_id: Some(String::new()), ..request("g", "") },
        JoinRequest { client_id: long(), ..request("g", "") },
        JoinRequest { protocol_type: long(), ..request("g", "") },
        JoinRequest { protocols: vec![protocol], ..request("g", "") },
    ] {
        assert!(matches!(world.coordinator.join(refused), Err(Error::InvalidConfig { .. })));
    }
    let refused = world.coordinator.join(JoinRequest { protocols: Vec::new(), ..request("g", "") });
    assert!(matches!(refused, Err(Error::InconsistentProtocols { .. })));
    assert!(matches!(world.join("g", "who"), Err(Error::UnknownMember { .. })));
    assert!(world.coordinator.list().unwrap().is_empty(), "nothing of it made a group");
}

#[test]
fn whoever_asks_in_a_group_that_is_not_there_is_told() {
    let world = world();
    let mut somebody = nobody("g");
    (somebody.member_id, somebody.generation) = ("m".to_owned(), 3);
    assert!(matches!(world.coordinator.heartbeat(&somebody), Err(Error::UnknownMember { .. })));
    assert!(matches!(world.coordinator.leave(&somebody, ""), Err(Error::UnknownMember { .. })));
    let request = SyncRequest { member: somebody.clone(), assignments: Vec::new() };
    assert!(matches!(world.coordinator.sync(request), Err(Error::UnknownMember { .. })));
    assert!(matches!(world.commit(&somebody, "t", 1), Err(Error::IllegalGeneration { generation: 3, .. })));
    assert!(matches!(world.coordinator.describe("g"), Err(Error::UnknownGroup { .. })));
    assert!(matches!(world.coordinator.delete_group("g"), Err(Error::UnknownGroup { .. })));
    assert!(matches!(world.coordinator.delete_offsets("g", &[]), Err(Error::UnknownGroup { .. })));
    assert!(world.coordinator.committed("g", None).unwrap().is_empty());
}

#[test]
fn what_is_committed_is_known_again_after_an_open() {
    let mut world = world();
    for group in ["a", "b", "c", "d"] {
        let member = world.join_alone(group, &of_t(0..3));
        world.commit(&member, "t", 5).unwrap();
        world.commit(&member, "t", 7).unwrap();
    }
    let mut offset = to_commit("u", 9);
    (offset.metadata, offset.leader_epoch) = ("state".to_owned(), LeaderEpoch::from_i32(4));
    let request = CommitRequest { member: nobody("simple"), offsets: vec![offset, to_commit("v", 1)] };
    world.coordinator.commit(request, |_| true).unwrap().wait().unwrap();
    world.clock.advance(SECOND);
    world.reopen();
    for group in ["a", "b", "c", "d"] {
        assert_eq!(world.committed(group, "t"), Some(7));
        let known = world.coordinator.describe(group).unwrap();
        assert_eq!((known.state, known.generation, known.members.len()), (GroupState::Empty, 1, 0));
        let joined = world.join(group, "").unwrap().take().unwrap().unwrap();
        assert_eq!(joined.generation, 2, "the next one");
    }
    let simple =
        world.coordinator.committed("simple", Some(&[partition("u", 0), partition("w", 0)])).unwrap();
    let known = &simple[&partition("u", 0)];
    assert_eq!((simple.len(), known.offset, known.metadata.as_str()), (1, Offset::from(9), "state"));
    assert_eq!((known.leader_epoch, known.committed_at.as_millis()), (LeaderEpoch::from_i32(4), 1_000_000));
    let names: Vec<_> = world.coordinator.list().unwrap().into_iter().map(|listed| listed.group).collect();
    assert_eq!(names, ["a", "b", "c", "d", "simple"]);
}

#[test]
fn members_hear_of_changes() {
    let world = world();
    let changes = world.coordinator.changes("g").unwrap();
    let watcher = Arc::default();
    changes.watchers.add(&watcher);
    let before = changes.number();
    let first = world.join_alone("g", &of_t(0..1));
    assert!(changes.number() > before);
    let before = changes.number();
    world.coordinator.heartbeat(&first).unwrap();
    world.commit(&first, "t", 1).unwrap();
    assert_eq!(changes.number(), before, "nothing that a member must hear of");
    watcher.wait(Waker::noop());
    let second = world.join("g", "").unwrap();
    assert!(changes.number() > before && !watcher.is_waiting());
    assert!(second.poll(&Context::from_waker(Waker::noop())).is_pending());
    assert!(matches!(world.coordinator.heartbeat(&first), Err(Error::RebalanceInProgress { .. })));
    world.coordinator.leave(&first, "").unwrap();
    assert_eq!(second.take().unwrap().unwrap().generation, 2);
}

#[test]
fn timers_end_sessions_and_nothing_runs_without_members() {
    let world = world();
    let first = world.join_alone("g", &of_t(0..1));
    let second = world.join("g", "").unwrap();
    world.clock.advance(45 * SECOND);
    assert_eq!(second.take().unwrap().unwrap().generation, 2, "the first was silent");
    assert!(matches!(world.coordinator.heartbeat(&first), Err(Error::UnknownMember { .. })));
    world.clock.advance(20 * MINUTE);
    assert_eq!(world.timers.next_deadline(), Some(3600 * SECOND), "only the next checkpoint");
    assert!(
        matches!(world.coordinator.describe("g"), Err(Error::UnknownGroup { .. })),
        "nothing was left of it"
    );
}

#[test]
fn heartbeats_and_commits_set_no_timers_of_their_own() {
    let world = world();
    let member = world.join_alone("g", &of_t(0..1));
    for offset in 0..100 {
        world.clock.advance(10 * SECOND);
        world.coordinator.heartbeat(&member).unwrap();
        world.commit(&member, "t", offset).unwrap();
    }
    let mut deadlines = 0;
    let last = world.timers.next_deadline().unwrap();
    assert!(last <= 1045 * SECOND);
    // Each of them runs once, and leaves at most one behind it.
    for _ in 0..10 {
        let Some(deadline) = world.timers.next_deadline().filter(|&deadline| deadline < 3600 * SECOND) else {
            break;
        };
        world.clock.advance(deadline.saturating_sub(crate::clock::Clock::monotonic(&world.clock)));
        deadlines += 1;
    }
    assert!(deadlines <= 4, "{deadlines}");
}

#[test]
fn a_text_over_its_limit_refuses_the_whole_commit() {
    let world = world();
    let mut long = to_commit("u", 1);
    long.metadata = "m".repeat(4097);
    let request = CommitRequest { member: nobody("g"), offsets: vec![to_commit("t", 1), long] };
    let refused = world.coordinator.commit(request, |_| true).unwrap_err();
    assert!(matches!(refused, Error::OffsetMetadataTooLarge { bytes: 4097, limit: 4096, .. }), "{refused}");
    assert_eq!(world.committed("g", "t"), None);
    assert!(world.coordinator.list().unwrap().is_empty());
}

#[test]
fn offsets_are_reset_and_deleted_only_where_no_member_needs_them() {
    let mut world = world();
    let member = world.join_alone("g", &of_t(0..1));
    world.commit(&member, "t", 7).unwrap();
    world.commit(&member, "old", 7).unwrap();
    let not_empty =
        |refused: Error| assert!(matches!(refused, Error::GroupNotEmpty { members: 1, .. }), "{refused}");
    not_empty(world.coordinator.reset("g", vec![to_commit("t", 0)], |_| true).unwrap_err());
    not_empty(world.coordinator.delete_group("g").unwrap_err());
    let refused = world.coordinator.delete_offsets("g", &[partition("t", 0)]).unwrap_err();
    assert!(matches!(refused, Error::GroupSubscribed { .. }), "{refused}");
    world
        .coordinator
        .delete_offsets("g", &[partition("old", 0), partition("none", 3)])
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!((world.committed("g", "t"), world.committed("g", "old")), (Some(7), None));
    world.coordinator.leave(&member, "").unwrap();
    world.coordinator.reset("g", vec![to_commit("t", 2)], |_| true).unwrap().wait().unwrap();
    world.reopen();
    assert_eq!((world.committed("g", "t"), world.committed("g", "old")), (Some(2), None));
    world.coordinator.delete_group("g").unwrap().wait().unwrap();
    assert!(matches!(world.coordinator.delete_group("g"), Err(Error::UnknownGroup { .. })));
    world.reopen();
    assert!(world.coordinator.list().unwrap().is_empty());
    assert_eq!(world.committed("g", "t"), None);
}

#[test]
fn foreign_members_keep_all_offsets() {
    let world = world();
    let protocols = vec![Protocol { name: "x".to_owned(), metadata: vec![0xff] }];
    let foreign = JoinRequest { protocol_type: "connect".to_owned(), protocols, ..request("g", "") };
    let joined = world.coordinator.join(foreign).unwrap().take().unwrap().unwrap();
    let member = member("g", &joined);
    let assignments = vec![(joined.member_id, vec![0xff])];
    let _ = world.coordinator.sync(SyncRequest { member: member.clone(), assignments }).unwrap();
    world.commit(&member, "t", 1).unwrap();
    let refused = world.coordinator.delete_offsets("g", &[partition("t", 0)]).unwrap_err();
    assert!(matches!(refused, Error::GroupNotEmpty { .. }), "{refused}");
    let described = world.coordinator.describe("g").unwrap();
    assert_eq!(described.protocol_type, "connect");
    assert!(described.members[0].topics.is_empty() && described.members[0].assigned.is_empty());
    assert!(described.rebalances[0].moves.is_empty());
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut world = world();
    for group in ["a", "b"] {
        let member = world.join_alone(group, &of_t(0..1));
        world.commit(&member, "t", 7).unwrap();
        world.commit(&member, "u", 8).unwrap();
    }
    world.coordinator.topic_deleted("t").unwrap();
    for _ in 0..2 {
        for group in ["a", "b"] {
            assert_eq!((world.committed(group, "t"), world.committed(group, "u")), (None, Some(8)));
        }
        world.reopen();
    }
}

#[test]
fn offsets_are_forgotten_a_week_after_the_last_member_left() {
    let mut world = world();
    let member = world.join_alone("g", &of_t(0..1));
    world.commit(&member, "t", 7).unwrap();
    world.commit(&nobody("simple"), "t", 7).unwrap();
    // Sessions are kept alive; a week of heartbeats is not needed for that.
    world.clock.advance(40 * SECOND);
    world.coordinator.leave(&member, "").unwrap();
    world.clock.advance(3 * DAY);
    // That begins the week anew.
    world.reopen();
    world.clock.advance(2 * DAY);
    world.commit(&nobody("simple"), "u", 7).unwrap();
    world.clock.advance(5 * DAY - MINUTE);
    assert_eq!((world.committed("g", "t"), world.committed("simple", "t")), (Some(7), Some(7)));
    world.clock.advance(11 * MINUTE);
    assert_eq!((world.committed("g", "t"), world.committed("simple", "t")), (None, None));
    assert_eq!(world.committed("simple", "u"), Some(7), "its time is not up");
    assert!(matches!(world.coordinator.describe("g"), Err(Error::UnknownGroup { .. })));
    world.reopen();
    assert_eq!(world.coordinator.list().unwrap().len(), 1, "also of what is stored");
    world.clock.advance(8 * DAY);
    assert!(world.coordinator.list().unwrap().is_empty());
}

#[test]
fn topics_that_nobody_subscribes_to_any_more_are_forgotten_while_the_group_lives() {
    let config = GroupConfig { offsets_retention: 20 * MINUTE, ..GroupConfig::default() };
    let world = World::new(1, config);
    let member = world.join_alone("g", &of_t(0..1));
    world.commit(&member, "t", 1).unwrap();
    world.commit(&member, "old", 1).unwrap();
    // The leader joins again, so that the group settles with what is committed now.
    let joined = world.join("g", &member.member_id).unwrap().take().unwrap().unwrap();
    let member = super::kit::member("g", &joined);
    let _ = world.coordinator.sync(SyncRequest { member: member.clone(), assignments: Vec::new() }).unwrap();
    for _ in 0..100 {
        world.clock.advance(20 * SECOND);
        world.coordinator.heartbeat(&member).unwrap();
    }
    assert_eq!((world.committed("g", "t"), world.committed("g", "old")), (Some(1), None));
}

#[test]
fn a_rebalance_is_explained_with_what_moved() {
    let world = world();
    let first = world.join_alone("g", &of_t(0..2));
    let second = world.join("g", "").unwrap();
    world.clock.advance(SECOND);
    world.join("g", &first.member_id).unwrap().take().unwrap().unwrap();
    let second = second.take().unwrap().unwrap().member_id;
    let encode = |numbers| super::member_data::encode_assignment(&of_t(numbers), None);
    let assignments = vec![(first.member_id.clone(), encode(0..1)), (second.clone(), encode(1..2))];
    let member = super::requests::MemberRef { generation: 2, ..first.clone() };
    let _ = world.coordinator.sync(SyncRequest { member, assignments }).unwrap();
    let described = world.coordinator.describe("g").unwrap();
    let report = described.rebalances.last().unwrap();
    assert_eq!((report.generation, report.elapsed), (2, SECOND));
    assert_eq!(report.reasons, [format!("{second} joined")]);
    assert_eq!(report.moves.len(), 1);
    assert_eq!(report.moves[0].to_string(), format!("t-1: from {} to {second}", first.member_id));
    let assigned: Vec<_> = described.members.iter().map(|member| member.assigned.to_string()).collect();
    assert!(assigned.contains(&"t-0".to_owned()) && assigned.contains(&"t-1".to_owned()), "{assigned:?}");
    assert_eq!(described.members[0].topics, ["t"]);
    assert_eq!((described.leader, described.assignor), (Some(first.member_id), Some("range".to_owned())));
}

#[test]
fn a_failed_append_changes_nothing() {
    let storage = MemoryStorage::with_limit(300_000);
    let world =
        World::on(storage, 1, GroupConfig { offset_metadata_max_bytes: 30_000, ..GroupConfig::default() });
    world.commit(&nobody("simple"), "t", 1).unwrap();
    let protocol = Protocol { name: "range".to_owned(), metadata: vec![0; 400_000] };
    let large = JoinRequest { protocols: vec![protocol], ..request("g", "") };
    let joined = world.coordinator.join(large.clone()).unwrap().take().unwrap().unwrap();
    let first = member("g", &joined);
    let synced =
        world.coordinator.sync(SyncRequest { member: first.clone(), assignments: Vec::new() }).unwrap();
    let failed = synced.take().unwrap().unwrap_err();
    assert!(matches!(failed, Error::DeliveryFailed { .. }) && failed.is_storage_full(), "{failed}");
    assert_eq!(world.coordinator.describe("g").unwrap().state, GroupState::PreparingRebalance);
    // With less to say it fits.
    let again = JoinRequest { member_id: joined.member_id, ..request("g", "") };
    let joined = world.coordinator.join(again).unwrap().take().unwrap().unwrap();
    let first = member("g", &joined);
    let synced =
        world.coordinator.sync(SyncRequest { member: first.clone(), assignments: Vec::new() }).unwrap();
    synced.take().unwrap().unwrap();
    world.commit(&first, "t", 1).unwrap();
    let mut failure = None;
    for offset in 2..100 {
        let mut large = to_commit("t", offset);
        large.metadata = "m".repeat(30_000);
        let request = CommitRequest { member: first.clone(), offsets: vec![large] };
        if let Err(error) = world.coordinator.commit(request, |_| true) {
            failure = Some((offset, error));
            break;
        }
    }
    let (offset, error) = failure.expect("the disk is full some day");
    assert!(error.is_storage_full(), "{error}");
    assert_eq!(world.committed("g", "t"), Some(u64::from(offset - 1)));
    assert!(world.coordinator.delete_group("simple").is_ok() || world.committed("simple", "t") == Some(1));
}

#[test]
fn groups_of_an_offline_partition_say_so_and_others_go_on() {
    let world = world();
    let offline = Arc::new(Error::Closed);
    let logs = vec![Ok(Arc::clone(&world.logs[0])), Err(Arc::clone(&offline)), Err(offline)];
    let coordinator = open_with(logs, &world.config, &world.clock, &world.timers, 9);
    let mut served = 0;
    for group in ["a", "b", "c", "d", "e", "f"] {
        match coordinator.join(request(group, "")) {
            Ok(_) => served += 1,
            Err(Error::PartitionOffline { .. }) => {
                let errors = [
                    coordinator.committed(group, None).unwrap_err(),
                    coordinator.describe(group).unwrap_err(),
                    coordinator
                        .commit(CommitRequest { member: nobody(group), offsets: Vec::new() }, |_| true)
                        .unwrap_err(),
                    coordinator.delete_group(group).unwrap_err(),
                ];
                let is_offline = |error: &Error| matches!(error, Error::PartitionOffline { .. });
                assert!(errors.iter().all(is_offline), "{errors:?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(served, 2);
}

#[test]
fn a_record_that_makes_no_sense_keeps_its_partition_out() {
    let mut world = World::new(1, GroupConfig::default());
    world.commit(&nobody("g"), "t", 1).unwrap();
    let later = Record::new().key(b"\0\x09whatever").value("of a later kind");
    world.logs[0].append(&[later], Compression::None).unwrap();
    world.reopen();
    assert_eq!(world.committed("g", "t"), Some(1), "kinds that are not known are passed over");
    let (key, _) = Change::Group(None).encode("g");
    world.logs[0].append(&[Record::new().key(&key).value("nonsense")], Compression::None).unwrap();
    world.reopen();
    let Err(Error::PartitionOffline { source, .. }) = world.coordinator.committed("g", None) else {
        panic!("it makes no sense")
    };
    assert!(
        matches!(&*source, Error::InvalidFile { path, reason } if path.ends_with("__consumer_offsets-0")
        && reason.contains("offset 2")),
        "{source}"
    );
}

#[test]
fn a_group_in_another_partition_than_its_own_is_refused() {
    let world = World::new(2, GroupConfig::default());
    let here = usize::from(world.logs[0].end() == Offset::ZERO);
    world.commit(&nobody("g"), "t", 1).unwrap();
    let grown = usize::from(world.logs[1].end() > Offset::ZERO);
    let (key, value) = Change::Offset(partition("t", 0), None).encode("g");
    let record = Record::new().key(&key).value_opt(value.as_deref());
    world.logs[1 - grown].append(&[record], Compression::None).unwrap();
    let logs = world.logs.iter().map(|log| Ok(Arc::clone(log))).collect();
    let coordinator = open_with(logs, &world.config, &world.clock, &world.timers, 9);
    assert_eq!(coordinator.committed("g", None).unwrap().len(), 1, "{here}");
    let other = (0..).map(|n| format!("x{n}")).find(|name| {
        coordinator.describe(name).is_err_and(|error| matches!(error, Error::PartitionOffline { .. }))
    });
    assert!(other.is_some(), "the groups of the other partition are out");
}

#[test]
fn damage_in_the_middle_keeps_its_partition_out() {
    let world = World::new(1, GroupConfig::default());
    for offset in 0..3 {
        world.commit(&nobody("g"), "t", offset).unwrap();
    }
    let first = world.logs[0].read(Offset::ZERO, 1).unwrap()[0].bytes().len() as u64;
    let path = world.logs[0].segment_list()[0].paths().log.clone();
    let file = world.storage.open(&path, Access::Write).unwrap();
    file.write_at(first + 70, &[IoSlice::new(b"?")]).unwrap();
    let logs = vec![Ok(Arc::clone(&world.logs[0]))];
    let coordinator = open_with(logs, &world.config, &world.clock, &world.timers, 9);
    let refused = coordinator.committed("g", None).unwrap_err();
    assert!(matches!(refused, Error::PartitionOffline { .. }) && refused.is_corruption(), "{refused}");
}

#[test]
fn at_the_close_everybody_is_answered_and_everything_fails() {
    let world = world();
    let member = world.join_alone("g", &of_t(0..1));
    let waiting = world.join("g", "").unwrap();
    let changes = world.coordinator.changes("g").unwrap();
    let before = changes.number();
    world.end();
    assert!(matches!(waiting.take().unwrap(), Err(Error::Closed)));
    assert!(changes.number() > before);
    assert!(matches!(world.join("g", ""), Err(Error::Closed)));
    assert!(matches!(world.coordinator.heartbeat(&member), Err(Error::Closed)));
    assert!(matches!(world.coordinator.committed("g", None), Err(Error::Closed)));
    assert!(matches!(world.coordinator.changes("g"), Err(Error::Closed)));
    assert!(matches!(world.coordinator.list(), Err(Error::Closed)));
    assert!(matches!(world.coordinator.topic_deleted("t"), Err(Error::Closed)));
}
