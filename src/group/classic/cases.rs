//! Tests of the state machine, with the clock as an argument.

use std::time::Duration;

use super::super::config::GroupConfig;
use super::super::description::GroupState;
use super::super::group_record::GroupRecord;
use super::super::reply::Reply;
use super::super::requests::{JoinRequest, Joined, MemberRef, Presence, Protocol, SyncRequest};
use super::{ClassicGroup, Effects, Now};
use crate::error::{Error, Result};
use crate::offset::{PartitionId, Timestamp, TopicPartition};
use crate::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

/// A group with a clock, and whoever asks it for something.
struct Play {
    group: ClassicGroup,
    now: Duration,
    config: GroupConfig,
    changes: u32,
    emptied: u32,
}

type JoinReply = Result<Reply<Result<Joined>>>;

impl Play {
    fn new() -> Play {
        Play {
            group: ClassicGroup::new("g"),
            now: Duration::ZERO,
            config: GroupConfig::default(),
            changes: 0,
            emptied: 0,
        }
    }

    fn step<T>(&mut self, step: impl FnOnce(&mut ClassicGroup, Now, &GroupConfig, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = step(&mut self.group, now(self.now), &self.config, &mut effects);
        self.changes += u32::from(effects.is_changed);
        self.emptied += u32::from(effects.is_emptied);
        effects.give_answers();
        result
    }

    fn ask(&mut self, request: JoinRequest, fresh: &str) -> JoinReply {
        self.step(|group, now, config, effects| group.join(request, fresh.to_owned(), now, config, effects))
    }

    /// A member's first join.
    fn join(&mut self, id: &str) -> Reply<Result<Joined>> {
        self.ask(request(""), id).unwrap()
    }

    fn join_again(&mut self, id: &str) -> Reply<Result<Joined>> {
        self.ask(request(id), "unused").unwrap()
    }

    fn sync(
        &mut self,
        id: &str,
        generation: i32,
        assignments: &[(&str, u8)],
    ) -> Result<Reply<Result<Vec<u8>>>> {
        let assignments = assignments.iter().map(|&(id, byte)| (id.to_owned(), vec![byte])).collect();
        let request = SyncRequest { member: member(id, generation), assignments };
        self.step(|group, now, _, effects| {
            let (reply, assignments) = group.sync(request, now, effects)?;
            if let Some(assignments) = assignments {
                group.assign(assignments, now, effects);
            }
            Ok(reply)
        })
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Result<()> {
        self.step(|group, now, _, _| group.heartbeat(&member(id, generation), now))
    }

    fn leave(&mut self, leaving: &MemberRef) -> Result<()> {
        self.step(|group, now, config, effects| group.leave(leaving, "done", now, config, effects))
    }

    fn check_commit(&mut self, id: &str, generation: i32) -> Result<()> {
        self.step(|group, now, _, _| group.check_commit(&member(id, generation), now))
    }

    /// Moves the clock, doing what is due as it falls due.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let due = self.step(|group, now, config, effects| group.run_due(now, config, effects));
            match due {
                Some(due) if due <= end => {
                    assert!(due > self.now, "what was due is done");
                    self.now = due;
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Two members, stable, in generation 2; `a` leads.
    fn two() -> Play {
        let mut play = Play::new();
        play.join("a").take().unwrap().unwrap();
        play.sync("a", 1, &[("a", 1)]).unwrap().take().unwrap().unwrap();
        let b = play.join("b");
        let a = play.join_again("a");
        assert_eq!(a.take().unwrap().unwrap().generation, 2);
        assert_eq!(b.take().unwrap().unwrap().leader, "a");
        play.sync("b", 2, &[]).unwrap();
        play.sync("a", 2, &[("a", 1), ("b", 2)]).unwrap();
        assert_eq!(play.group.state(), GroupState::Stable);
        play
    }
}

fn now(monotonic: Duration) -> Now {
    Now { monotonic, wall: Timestamp::from_millis(0).saturating_add(monotonic) }
}

fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        group: "g".to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "c".to_owned(),
        session_timeout: 10 * SECOND,
        rebalance_timeout: 60 * SECOND,
        protocol_type: "consumer".to_owned(),
        protocols: offers(&["range"]),
        presence: None,
        reason: String::new(),
    }
}

fn of_instance(instance: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance.to_owned()), ..request("") }
}

fn offers(names: &[&str]) -> Vec<Protocol> {
    let offer = |name: &&str| Protocol { name: (*name).to_owned(), metadata: name.as_bytes().to_vec() };
    names.iter().map(offer).collect()
}

fn member(id: &str, generation: i32) -> MemberRef {
    MemberRef { group: "g".to_owned(), member_id: id.to_owned(), instance_id: None, generation }
}

fn of(instance: &str, id: &str, generation: i32) -> MemberRef {
    MemberRef { instance_id: Some(instance.to_owned()), ..member(id, generation) }
}

#[test]
fn the_first_member_leads_and_every_generation_has_the_next_number() {
    let mut play = Play::new();
    let joined = play.join("a").take().unwrap().unwrap();
    assert_eq!((joined.generation, joined.leader.as_str(), joined.protocol.as_str()), (1, "a", "range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(play.group.state(), GroupState::CompletingRebalance);
    let share = play.sync("a", 1, &[("a", 7)]).unwrap().take().unwrap().unwrap();
    assert_eq!(share, [7]);
    let b = play.join("b");
    assert!(b.take().is_none(), "it waits for those who are members");
    assert!(matches!(play.heartbeat("a", 1), Err(Error::RebalanceInProgress { .. })));
    let a = play.join_again("a").take().unwrap().unwrap();
    let b = b.take().unwrap().unwrap();
    assert_eq!((a.generation, b.generation, b.leader.as_str()), (2, 2, "a"));
    assert_eq!((a.members.len(), b.members.len()), (2, 0), "only the leader is told of the others");
    let waiting = play.sync("b", 2, &[]).unwrap();
    assert!(waiting.take().is_none());
    play.sync("a", 2, &[("a", 1), ("nobody", 9)]).unwrap();
    assert_eq!(waiting.take().unwrap().unwrap(), [0_u8; 0], "whom the leader leaves out gets nothing");
    play.heartbeat("b", 2).unwrap();
}

#[test]
fn the_protocol_with_the_most_votes_of_those_that_all_offer_is_chosen() {
    let mut play = Play::new();
    let ask = |play: &mut Play, id: &str, member_id: &str, names: &[&str]| {
        play.ask(JoinRequest { protocols: offers(names), ..request(member_id) }, id)
    };
    ask(&mut play, "a", "", &["x", "y", "z"]).unwrap();
    let b = ask(&mut play, "b", "", &["z", "y"]).unwrap();
    let c = ask(&mut play, "c", "", &["y", "z"]).unwrap();
    let d = ask(&mut play, "d", "", &["z", "y", "w"]).unwrap();
    ask(&mut play, "a", "a", &["x", "z", "y"]).unwrap();
    for reply in [b, c, d] {
        assert_eq!(reply.take().unwrap().unwrap().protocol, "z");
    }
    let refused = ask(&mut play, "e", "", &["x"]).unwrap_err();
    assert!(matches!(refused, Error::InconsistentProtocols { .. }), "{refused}");
    let other = JoinRequest { protocol_type: "connect".to_owned(), ..request("") };
    let refused = play.ask(JoinRequest { protocols: offers(&["y"]), ..other }, "e").unwrap_err();
    assert!(matches!(refused, Error::InconsistentProtocols { .. }), "{refused}");
    assert!(matches!(ask(&mut play, "e", "", &[]), Err(Error::InconsistentProtocols { .. })));
}

#[test]
fn a_refused_first_join_begins_no_group() {
    let mut play = Play::new();
    assert!(play.ask(JoinRequest { protocols: Vec::new(), ..request("") }, "a").is_err());
    assert!(!play.group.exists());
    assert!(matches!(play.ask(request("a"), "a"), Err(Error::UnknownMember { .. })));
    assert!(!play.group.exists());
}

#[test]
fn a_member_that_asks_twice_is_told_the_same_and_a_changed_one_begins_a_rebalance() {
    let mut play = Play::two();
    assert_eq!(play.join_again("b").take().unwrap().unwrap().generation, 2);
    assert_eq!(play.group.state(), GroupState::Stable, "b says nothing new");
    let changed = JoinRequest { protocols: offers(&["range", "sticky"]), ..request("b") };
    let b = play.ask(changed, "").unwrap();
    assert!(b.take().is_none());
    play.join_again("a");
    assert_eq!(b.take().unwrap().unwrap().generation, 3);
    // The leader's answer may be lost: it asks once more, and gets the members again.
    assert_eq!(play.join_again("a").take().unwrap().unwrap().members.len(), 2);
    assert_eq!(play.group.generation(), 3);
    let waiting = play.sync("b", 3, &[]).unwrap();
    play.ask(request("b"), "").unwrap();
    let answer = waiting.take().unwrap();
    assert!(matches!(answer, Err(Error::RebalanceInProgress { .. })), "a change while the leader assigns");
}

#[test]
fn a_leader_that_joins_again_begins_a_rebalance() {
    let mut play = Play::two();
    let a = play.join_again("a");
    assert_eq!(play.group.state(), GroupState::PreparingRebalance);
    let second = play.join_again("a");
    assert!(matches!(a.take().unwrap(), Err(Error::RebalanceInProgress { .. })), "only the last ask counts");
    play.join_again("b");
    assert_eq!(second.take().unwrap().unwrap().generation, 3);
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_another_leads() {
    let mut play = Play::two();
    let b = play.join_again("b");
    drop(b);
    let c = play.join("c");
    // Alive, but it never joins again.
    for _ in 0..11 {
        play.pass(5 * SECOND);
        let _ = (play.heartbeat("a", 2), play.heartbeat("b", 2));
    }
    let b = play.join_again("b");
    assert!(c.take().is_none());
    play.pass(5 * SECOND);
    let (b, c) = (b.take().unwrap().unwrap(), c.take().unwrap().unwrap());
    assert_eq!((b.leader.as_str(), b.generation), (c.leader.as_str(), c.generation));
    assert_eq!((b.generation, b.leader.as_str()), (3, "b"));
    assert!(matches!(play.heartbeat("a", 2), Err(Error::UnknownMember { .. })));
}

#[test]
fn a_new_member_that_went_away_is_not_waited_for() {
    let mut play = Play::two();
    drop(play.join("c"));
    play.join_again("b");
    let a = play.join_again("a").take().unwrap().unwrap();
    assert_eq!(a.members.len(), 2, "c will never know its id");
    assert!(matches!(play.heartbeat("c", 3), Err(Error::UnknownMember { .. })));
}

#[test]
fn a_silent_member_is_out_when_its_session_ends() {
    let mut play = Play::two();
    play.pass(9 * SECOND);
    play.heartbeat("a", 2).unwrap();
    play.pass(SECOND);
    assert_eq!(play.group.state(), GroupState::PreparingRebalance, "b is out");
    assert!(matches!(play.heartbeat("b", 2), Err(Error::UnknownMember { .. })));
    assert_eq!(play.join_again("a").take().unwrap().unwrap().generation, 3);
    assert!(matches!(play.heartbeat("a", 2), Err(Error::IllegalGeneration { current: 3, .. })));
    play.pass(60 * SECOND);
    assert_eq!((play.group.state(), play.group.generation()), (GroupState::Empty, 4));
    assert_eq!(play.emptied, 1);
}

#[test]
fn a_new_member_waits_for_minutes_and_no_longer() {
    let mut play = Play::two();
    play.now = Duration::ZERO;
    let c = play.ask(JoinRequest { rebalance_timeout: 3600 * SECOND, ..request("") }, "c").unwrap();
    for _ in 0..59 {
        play.pass(5 * SECOND);
        let _ = (play.heartbeat("a", 2), play.heartbeat("b", 2));
    }
    assert!(c.take().is_none());
    play.pass(5 * SECOND);
    assert!(matches!(c.take().unwrap(), Err(Error::UnknownMember { .. })));
}

#[test]
fn who_joined_and_never_syncs_is_out() {
    let mut play = Play::new();
    let slow = JoinRequest { session_timeout: 1000 * SECOND, ..request("") };
    play.ask(slow.clone(), "a").unwrap();
    let b = play.ask(slow.clone(), "b").unwrap();
    play.ask(JoinRequest { member_id: "a".to_owned(), ..slow.clone() }, "").unwrap();
    b.take().unwrap().unwrap();
    let waiting = play.sync("b", 2, &[]).unwrap();
    play.pass(59 * SECOND);
    assert!(waiting.take().is_none());
    play.pass(SECOND);
    assert!(matches!(waiting.take().unwrap(), Err(Error::RebalanceInProgress { .. })));
    assert!(matches!(play.heartbeat("a", 2), Err(Error::UnknownMember { .. })));
    let b = play.ask(JoinRequest { member_id: "b".to_owned(), ..slow }, "").unwrap();
    assert_eq!(b.take().unwrap().unwrap().leader, "b");
    // Also when the leader has synced: whoever never asked for its share is out.
    let mut play = Play::two();
    play.join_again("a");
    play.join_again("b");
    play.sync("a", 3, &[]).unwrap();
    for _ in 0..12 {
        play.pass(5 * SECOND);
        let _ = (play.heartbeat("a", 3), play.heartbeat("b", 3));
    }
    assert!(matches!(play.heartbeat("b", 3), Err(Error::UnknownMember { .. })));
}

#[test]
fn leaving_begins_a_rebalance_at_once_and_the_last_one_leaves_it_empty() {
    let mut play = Play::two();
    play.leave(&member("a", 2)).unwrap();
    assert!(matches!(play.leave(&member("a", 2)), Err(Error::UnknownMember { .. })));
    let b = play.join_again("b").take().unwrap().unwrap();
    assert_eq!((b.generation, b.leader.as_str()), (3, "b"));
    play.leave(&member("b", 3)).unwrap();
    assert_eq!((play.group.state(), play.group.generation()), (GroupState::Empty, 4));
    assert_eq!(play.join("c").take().unwrap().unwrap().generation, 5);
    let waiting = play.join("d");
    play.leave(&member("d", -1)).unwrap();
    assert!(matches!(waiting.take().unwrap(), Err(Error::UnknownMember { .. })));
}

#[test]
fn a_static_member_takes_the_place_of_its_predecessor_without_a_rebalance() {
    let mut play = Play::new();
    play.ask(of_instance("i"), "i-1").unwrap();
    play.sync("i-1", 1, &[("i-1", 5)]).unwrap();
    let joined = play.ask(of_instance("i"), "i-2").unwrap().take().unwrap().unwrap();
    assert_eq!((joined.generation, joined.member_id.as_str()), (1, "i-2"));
    assert!(joined.skip_assignment, "it leads, and nothing has changed");
    assert_eq!(play.group.state(), GroupState::Stable);
    let share = play.sync("i-2", 1, &[]).unwrap().take().unwrap().unwrap();
    assert_eq!(share, [5], "what its predecessor had");
    let fenced =
        |result: Result<()>| assert!(matches!(result, Err(Error::FencedInstance { .. })), "{result:?}");
    fenced(play.step(|group, now, _, _| group.heartbeat(&of("i", "i-1", 1), now)));
    fenced(play.step(|group, now, _, _| group.check_commit(&of("i", "i-1", 1), now)));
    fenced(play.leave(&of("i", "i-1", 1)));
    let known = JoinRequest { member_id: "i-1".to_owned(), ..of_instance("i") };
    fenced(play.ask(known, "").map(drop));
    let request = SyncRequest { member: of("i", "i-1", 1), assignments: Vec::new() };
    fenced(play.step(|group, now, _, effects| group.sync(request, now, effects)).map(drop));
    // By its instance alone, as an administrator names it.
    play.leave(&of("i", "", -1)).unwrap();
    assert_eq!(play.group.state(), GroupState::Empty);
}

#[test]
fn a_static_member_that_changes_the_common_protocol_begins_a_rebalance() {
    let mut play = Play::new();
    let both = JoinRequest { protocols: offers(&["range", "sticky"]), ..of_instance("i") };
    play.ask(both, "i-1").unwrap();
    play.sync("i-1", 1, &[]).unwrap();
    let one = JoinRequest { protocols: offers(&["sticky"]), ..of_instance("i") };
    let joined = play.ask(one, "i-2").unwrap().take().unwrap().unwrap();
    assert_eq!((joined.generation, joined.protocol.as_str()), (2, "sticky"));
    assert!(!joined.skip_assignment);
}

#[test]
fn a_static_member_is_fenced_while_it_waits() {
    let mut play = Play::two();
    let first = play.ask(of_instance("i"), "i-1").unwrap();
    let second = play.ask(of_instance("i"), "i-2").unwrap();
    assert!(matches!(first.take().unwrap(), Err(Error::FencedInstance { .. })));
    play.join_again("a");
    play.join_again("b");
    assert_eq!(second.take().unwrap().unwrap().member_id, "i-2");
    let waiting = play.sync("b", 3, &[]).unwrap();
    let request = SyncRequest { member: of("i", "i-2", 3), assignments: Vec::new() };
    let synced = play.step(|group, now, _, effects| group.sync(request, now, effects)).unwrap().0;
    let third = play.ask(of_instance("i"), "i-3").unwrap();
    assert!(matches!(synced.take().unwrap(), Err(Error::FencedInstance { .. })));
    assert!(matches!(waiting.take().unwrap(), Err(Error::RebalanceInProgress { .. })));
    assert!(third.take().is_none());
}

#[test]
fn a_static_member_stays_until_its_session_ends() {
    let mut play = Play::new();
    play.ask(JoinRequest { session_timeout: 100 * SECOND, ..of_instance("i") }, "i-1").unwrap();
    play.sync("i-1", 1, &[]).unwrap();
    let b = play.ask(JoinRequest { session_timeout: 1000 * SECOND, ..request("") }, "b").unwrap();
    play.pass(60 * SECOND);
    let joined = b.take().unwrap().unwrap();
    assert_eq!((joined.generation, joined.members.len()), (2, 2), "it did not join again, and is in it");
    assert_eq!(joined.leader, "b", "who is not there cannot lead");
    play.sync("b", 2, &[]).unwrap();
    play.pass(60 * SECOND);
    assert_eq!(play.group.member_count(), 1, "it never asked for its share either");
}

#[test]
fn only_static_members_that_are_away_are_waited_for_until_their_sessions_end() {
    let mut play = Play::new();
    play.ask(JoinRequest { session_timeout: 200 * SECOND, ..of_instance("i") }, "i-1").unwrap();
    play.sync("i-1", 1, &[]).unwrap();
    let b = play.join("b");
    play.leave(&member("b", -1)).unwrap();
    drop(b);
    play.pass(150 * SECOND);
    assert_eq!(play.group.state(), GroupState::PreparingRebalance);
    play.pass(60 * SECOND);
    assert_eq!(play.group.state(), GroupState::Empty);
}

#[test]
fn a_full_group_takes_nobody_but_a_successor() {
    let mut play = Play::new();
    play.config.group_max_size = 1;
    play.ask(of_instance("i"), "i-1").unwrap();
    let full =
        |reply: JoinReply| assert!(matches!(reply, Err(Error::GroupFull { limit: 1, .. })), "{reply:?}");
    full(play.ask(request(""), "b"));
    play.sync("i-1", 1, &[]).unwrap();
    full(play.ask(request(""), "b"));
    play.ask(of_instance("i"), "i-2").unwrap().take().unwrap().unwrap();
    // While members join anew, the last one to come is left out.
    let mut play = Play::two();
    play.config.group_max_size = 2;
    let changed = JoinRequest { protocols: offers(&["range", "sticky"]), ..request("b") };
    play.ask(changed, "").unwrap();
    let c = play.join("c");
    full_at_two(play.ask(request("a"), ""));
    play.pass(60 * SECOND);
    assert_eq!(c.take().unwrap().unwrap().generation, 3);
}

fn full_at_two(reply: JoinReply) {
    assert!(matches!(reply, Err(Error::GroupFull { limit: 2, .. })), "{reply:?}");
}

#[test]
fn the_initial_delay_grows_with_those_who_come_up_to_the_rebalance_timeout() {
    let mut play = Play::new();
    play.config.initial_rebalance_delay = 3 * SECOND;
    let join = |play: &mut Play, id: &str| {
        play.ask(JoinRequest { rebalance_timeout: 10 * SECOND, ..request("") }, id).unwrap()
    };
    let a = join(&mut play, "a");
    play.pass(3 * SECOND);
    assert_eq!(a.take().unwrap().unwrap().generation, 1, "nobody else came");
    let mut play = Play::new();
    play.config.initial_rebalance_delay = 3 * SECOND;
    let a = join(&mut play, "a");
    let mut others = Vec::new();
    for second in 1..10 {
        play.pass(SECOND);
        assert!(a.take().is_none(), "{second}");
        others.push(join(&mut play, &format!("b{second}")));
    }
    play.pass(SECOND);
    assert_eq!(a.take().unwrap().unwrap().members.len(), 10, "10 s at most, whoever comes");
}

#[test]
fn commits_are_for_members_of_the_generation_or_for_groups_without() {
    let mut play = Play::new();
    play.check_commit("", -1).unwrap();
    assert!(matches!(play.check_commit("a", 0), Err(Error::IllegalGeneration { .. })), "there is no group");
    play.join("a");
    assert!(matches!(play.check_commit("a", 1), Err(Error::RebalanceInProgress { .. })));
    assert!(matches!(play.check_commit("", -1), Err(Error::UnknownMember { .. })), "the group has members");
    play.sync("a", 1, &[]).unwrap();
    play.check_commit("a", 1).unwrap();
    assert!(matches!(play.check_commit("a", 0), Err(Error::IllegalGeneration { current: 1, .. })));
    assert!(matches!(play.check_commit("b", 1), Err(Error::UnknownMember { .. })));
    play.pass(9 * SECOND);
    play.check_commit("a", 1).unwrap();
    play.pass(9 * SECOND);
    play.heartbeat("a", 1).unwrap();
    let b = play.join("b");
    play.check_commit("a", 1).unwrap();
    assert!(b.take().is_none(), "until it joins again, what it has read counts");
    play.leave(&member("a", 1)).unwrap();
    play.leave(&member("b", 2)).unwrap();
    play.check_commit("", -1).unwrap();
    assert!(matches!(play.check_commit("a", 1), Err(Error::UnknownMember { .. })));
}

#[test]
fn a_member_in_this_process_lives_while_it_polls() {
    let mut play = Play::new();
    let presence = Arc::new(Presence::default());
    presence.begin_poll();
    play.ask(JoinRequest { presence: Some(Arc::clone(&presence)), ..request("") }, "a").unwrap();
    play.sync("a", 1, &[]).unwrap();
    play.pass(1000 * SECOND);
    assert_eq!(play.group.state(), GroupState::Stable, "it waits in a poll, without any heartbeat");
    presence.end_poll(play.now);
    play.pass(59 * SECOND);
    assert_eq!(play.group.state(), GroupState::Stable);
    play.pass(SECOND);
    assert_eq!(play.group.state(), GroupState::Empty, "no poll for 60 s");
}

#[test]
fn a_static_member_that_was_closed_has_its_session_timeout() {
    let mut play = Play::new();
    let presence = Arc::new(Presence::default());
    presence.begin_poll();
    play.ask(JoinRequest { presence: Some(Arc::clone(&presence)), ..of_instance("i") }, "i-1").unwrap();
    play.sync("i-1", 1, &[]).unwrap();
    play.pass(35 * SECOND);
    presence.leave();
    play.step(|group, now, _, effects| group.note_gone(&of("i", "i-1", 1), now, effects)).unwrap();
    play.pass(9 * SECOND);
    assert_eq!(play.group.state(), GroupState::Stable);
    play.pass(SECOND);
    assert_eq!(play.group.state(), GroupState::Empty);
    // Nobody said so: it is noticed within another session timeout.
    let presence = Arc::new(Presence::default());
    presence.begin_poll();
    play.ask(JoinRequest { presence: Some(Arc::clone(&presence)), ..of_instance("i") }, "i-2").unwrap();
    play.sync("i-2", 3, &[]).unwrap();
    presence.leave();
    play.pass(20 * SECOND);
    assert_eq!(play.group.state(), GroupState::Empty);
}

#[test]
fn an_assignment_that_cannot_be_stored_is_told_to_all_and_asked_for_again() {
    let mut play = Play::two();
    play.join_again("a");
    play.join_again("b");
    let b = play.sync("b", 3, &[]).unwrap();
    let request = SyncRequest { member: member("a", 3), assignments: vec![("a".to_owned(), vec![1])] };
    let a = play.step(|group, now, config, effects| {
        let (reply, assignments) = group.sync(request, now, effects).unwrap();
        assert!(assignments.is_some());
        let log = TopicPartition::new("__consumer_offsets", PartitionId::ZERO);
        group.fail_to_assign(Error::Closed, &log, now, config, effects);
        reply
    });
    for reply in [a, b] {
        assert!(matches!(reply.take().unwrap(), Err(Error::DeliveryFailed { .. })));
    }
    assert_eq!(play.group.state(), GroupState::PreparingRebalance);
    play.join_again("a");
    assert_eq!(play.join_again("b").take().unwrap().unwrap().generation, 4);
}

#[test]
fn at_the_end_everybody_is_answered() {
    let mut play = Play::two();
    let waiting = play.join("c");
    play.step(|group, _, _, effects| group.close(effects));
    assert!(matches!(waiting.take().unwrap(), Err(Error::Closed)));
}

#[test]
fn a_rebalance_is_explained() {
    let mut play = Play::two();
    play.pass(3 * SECOND);
    let c = play.ask(JoinRequest { reason: "scaled up".to_owned(), ..request("") }, "c").unwrap();
    play.pass(2 * SECOND);
    play.leave(&member("b", 2)).unwrap();
    play.join_again("a");
    c.take().unwrap().unwrap();
    play.sync("a", 3, &[]).unwrap();
    let reports = play.group.rebalances();
    assert_eq!(reports.len(), 3);
    let last = reports.last().unwrap();
    assert_eq!((last.generation, last.elapsed), (3, 2 * SECOND));
    assert_eq!(last.began, Timestamp::from_millis(3000));
    assert_eq!(last.reasons, ["c joined: scaled up", "b left: done"]);
    for generation in 3..10 {
        play.leave(&member(if generation % 2 == 1 { "c" } else { "d" }, generation)).unwrap();
        let next = play.join(if generation % 2 == 1 { "d" } else { "c" });
        play.join_again("a");
        next.take().unwrap().unwrap();
        play.sync("a", generation + 1, &[]).unwrap();
    }
    let kept: Vec<i32> = play.group.rebalances().iter().map(|report| report.generation).collect();
    assert_eq!(kept, [6, 7, 8, 9, 10], "the last five");
}

#[test]
fn a_generation_that_cannot_be_is_not_restored() {
    let mut group = ClassicGroup::new("g");
    for (generation, restored) in [(-2, 0), (i32::MIN, 0), (7, 7)] {
        let record = GroupRecord { generation, ..GroupRecord::default() };
        group.restore(record, Timestamp::from_millis(0));
        assert_eq!(group.generation(), restored);
    }
}
