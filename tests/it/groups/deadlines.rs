//! Members that do not poll in time, are leaked, panic, or come back under the name that they had.

use std::time::Duration;

use streamlog::{Consumer, Error};

use super::{Heard, broker, builder, fill, member, partition, settle, shares};
use crate::kit::Place;

const POLL_INTERVAL: Duration = Duration::from_secs(60);
const SESSION: Duration = Duration::from_secs(10);

#[test]
fn a_member_that_does_not_poll_in_time_loses_its_partitions() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    (0..2).for_each(|number| fill(&broker, "t", number, 5));
    let heard = Heard::default();
    let mut slow = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    slow.subscribe_with(["t"], heard.clone()).unwrap();
    let mut quick = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    quick.subscribe(["t"]).unwrap();
    let mut both = [slow, quick];
    settle(&mut both);
    heard.take();
    place.clock.advance(POLL_INTERVAL / 2);
    both[1].poll(Duration::ZERO).unwrap();
    place.clock.advance(POLL_INTERVAL / 2 + Duration::from_millis(1));
    both[1].poll(Duration::ZERO).unwrap();
    assert_eq!(both[1].assignment().len(), 2);
    // What it holds on to can no longer be committed.
    let error = both[0].commit().unwrap_err();
    assert!(matches!(error, Error::UnknownMember { .. } | Error::IllegalGeneration { .. }), "{error:?}");
    settle(&mut both);
    assert_eq!(shares(&both), [1, 1]);
    let heard = heard.take();
    assert!(heard[0].starts_with("lost t-") && heard.last().unwrap().starts_with("assigned t-"), "{heard:?}");
}

#[test]
fn a_member_that_commits_and_does_not_poll_is_late() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 1);
    let mut consumer = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    for _ in 0..3 {
        consumer.commit().unwrap();
        place.clock.advance(POLL_INTERVAL * 3 / 10);
    }
    place.clock.advance(POLL_INTERVAL / 5);
    assert!(matches!(consumer.commit(), Err(Error::UnknownMember { .. })));
}

#[test]
fn a_member_that_waits_in_a_poll_is_not_late() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let mut consumer = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    assert!(consumer.poll(POLL_INTERVAL * 10).unwrap().is_empty());
    consumer.commit().unwrap();
    assert_eq!(consumer.assignment(), [partition("t", 0)]);
}

#[test]
fn a_leaked_member_keeps_its_partitions_only_until_its_deadline() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    (0..2).for_each(|number| fill(&broker, "t", number, 5));
    let mut leaked = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    leaked.subscribe(["t"]).unwrap();
    assert_eq!(leaked.poll(Duration::ZERO).unwrap().len(), 10);
    std::mem::forget(leaked);
    let mut consumer = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    assert!(consumer.poll(POLL_INTERVAL / 2).unwrap().is_empty());
    let records = consumer.poll(POLL_INTERVAL).unwrap();
    assert_eq!(records.len(), 10, "nothing that was not committed is lost");
}

#[test]
fn a_member_whose_thread_panics_leaves_at_once_and_commits_nothing() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 5);
    let mut consumer = builder(&broker).auto_commit(Some(Duration::ZERO)).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 5);
        panic!("while they are processed");
    }));
    assert!(panicked.is_err());
    assert_eq!(member(&broker, &["t"]).poll(Duration::ZERO).unwrap().len(), 5);
}

fn instance(broker: &streamlog::Broker, id: &str, heard: &Heard) -> Consumer {
    let builder = builder(broker).group_instance_id(id).session_timeout(SESSION);
    let mut consumer = builder.build().unwrap();
    consumer.subscribe_with(["t"], heard.clone()).unwrap();
    consumer
}

#[test]
fn a_static_member_that_comes_back_in_time_gets_its_partitions_without_a_rebalance() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 4)]);
    let (heard, other) = (Heard::default(), Heard::default());
    let mut members = vec![instance(&broker, "a", &heard), instance(&broker, "b", &other)];
    settle(&mut members);
    let before = members[1].assignment();
    heard.take();
    members[1].close().unwrap();
    members.pop();
    settle(&mut members);
    assert_eq!(shares(&members), [2], "it is expected back");
    members.push(instance(&broker, "b", &other));
    settle(&mut members);
    assert_eq!(members[1].assignment(), before);
    assert_eq!(heard.take(), [""; 0], "the other noticed nothing");

    members.pop();
    place.clock.advance(SESSION + Duration::from_millis(1));
    settle(&mut members);
    assert_eq!(shares(&members), [4], "it did not come back");
}

#[test]
fn a_second_member_of_one_name_fences_the_first() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    fill(&broker, "t", 0, 1);
    let heard = Heard::default();
    let mut first = instance(&broker, "a", &heard);
    first.poll(Duration::ZERO).unwrap();
    let mut second = instance(&broker, "a", &Heard::default());
    second.poll(Duration::ZERO).unwrap();
    assert_eq!(second.assignment().len(), 2);
    heard.take();
    assert!(matches!(first.commit(), Err(Error::FencedInstance { .. })));
    for _ in 0..3 {
        assert!(
            matches!(first.poll(Duration::ZERO), Err(Error::FencedInstance { .. })),
            "it does not fence back"
        );
    }
    drop(first);
    second.poll(Duration::ZERO).unwrap();
    second.commit().unwrap();
}

#[test]
fn a_rebalance_waits_for_a_slow_member_no_longer_than_its_deadline() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let build = || {
        let mut consumer = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        consumer
    };
    let mut slow = build();
    slow.poll(Duration::ZERO).unwrap();
    let mut quick = build();
    assert!(quick.poll(POLL_INTERVAL - Duration::from_secs(1)).unwrap().is_empty());
    assert!(quick.assignment().is_empty());
    quick.poll(Duration::from_secs(2)).unwrap();
    assert_eq!(quick.assignment().len(), 2);
    let mut both = [slow, quick];
    settle(&mut both);
    assert_eq!(shares(&both), [1, 1]);
}

#[test]
fn a_member_that_goes_away_before_it_hears_that_it_is_in_leaves_at_once() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let mut members = vec![member(&broker, &["t"])];
    settle(&mut members);
    for closes in [false, true] {
        let mut other = member(&broker, &["t"]);
        other.poll(Duration::ZERO).unwrap();
        // Joins, and with that the generation begins: the other's answer is there.
        members[0].poll(Duration::ZERO).unwrap();
        if closes {
            other.close().unwrap();
        }
        drop(other);
        settle(&mut members);
        assert_eq!(shares(&members), [2]);
        assert_eq!(broker.admin().describe_group("g").unwrap().members.len(), 1);
    }
    // The same while it is still waited for.
    let mut other = member(&broker, &["t"]);
    other.poll(Duration::ZERO).unwrap();
    drop(other);
    assert_eq!(broker.admin().describe_group("g").unwrap().members.len(), 1);
    settle(&mut members);
    assert_eq!(shares(&members), [2]);
}

#[test]
fn a_static_member_that_comes_back_for_other_topics_gets_those() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2), ("u", 2)]);
    let quiet = Heard::default();
    let mut members = vec![instance(&broker, "a", &quiet), instance(&broker, "b", &quiet)];
    settle(&mut members);
    members.pop();
    let mut back = builder(&broker).group_instance_id("b").session_timeout(SESSION).build().unwrap();
    back.subscribe(["u"]).unwrap();
    members.push(back);
    settle(&mut members);
    assert_eq!(members[0].assignment(), [partition("t", 0), partition("t", 1)]);
    assert_eq!(members[1].assignment(), [partition("u", 0), partition("u", 1)]);
}

#[test]
fn a_leader_that_comes_back_as_a_static_member_still_sees_partitions_that_are_added() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let mut members = vec![instance(&broker, "a", &Heard::default())];
    settle(&mut members);
    members.clear();
    members.push(instance(&broker, "a", &Heard::default()));
    settle(&mut members);
    assert_eq!(shares(&members), [2]);
    broker.admin().create_partitions("t", 3).unwrap();
    settle(&mut members);
    assert_eq!(shares(&members), [3]);
    // And those that are added while it is away.
    members.clear();
    broker.admin().create_partitions("t", 4).unwrap();
    members.push(instance(&broker, "a", &Heard::default()));
    settle(&mut members);
    assert_eq!(shares(&members), [4]);
}

#[test]
fn a_member_that_closes_after_its_deadline_has_lost_its_partitions() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let heard = Heard::default();
    let mut late = builder(&broker).max_poll_interval(POLL_INTERVAL).build().unwrap();
    late.subscribe_with(["t"], heard.clone()).unwrap();
    late.poll(Duration::ZERO).unwrap();
    assert_eq!(heard.take(), ["assigned t-0"]);
    place.clock.advance(POLL_INTERVAL + Duration::from_millis(1));
    let mut next = member(&broker, &["t"]);
    next.poll(Duration::ZERO).unwrap();
    assert_eq!(next.assignment(), [partition("t", 0)]);
    late.close().unwrap();
    assert_eq!(heard.take(), ["lost t-0"]);
}
