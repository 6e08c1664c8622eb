//! Who gets which partitions, as members, topics and partitions come and go.

use std::sync::Arc;
use std::time::Duration;

use streamlog::{Broker, BrokerConfig, Consumer, CooperativeSticky, Error, NewTopic};

use super::{assignors, broker, builder, fill, member, settle, shares};
use crate::kit::Place;

#[test]
fn partitions_are_shared_out_among_all_members_and_everything_is_read_once() {
    for assignor in assignors() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 6)]);
        (0..6).for_each(|number| fill(&broker, "t", number, 10));
        let consumer = || {
            let mut consumer = builder(&broker).assignors([assignor.clone()]).build().unwrap();
            consumer.subscribe(["t"]).unwrap();
            consumer
        };
        let mut consumers = vec![consumer()];
        let mut count = settle(&mut consumers);
        assert_eq!((shares(&consumers), count), (vec![6], 60), "{}", assignor.name());
        consumers[0].commit().unwrap();
        for expected in [vec![3, 3], vec![2, 2, 2]] {
            consumers.push(consumer());
            count += settle(&mut consumers);
            assert_eq!(shares(&consumers), expected, "{}", assignor.name());
        }
        assert_eq!(count, 60, "what was committed is not read again");
        drop(consumers.remove(1));
        settle(&mut consumers);
        assert_eq!(shares(&consumers), [3, 3], "{}", assignor.name());
        consumers[1].close().unwrap();
        settle(&mut consumers[..1]);
        assert_eq!(shares(&consumers), [6, 0]);
    }
}

#[test]
fn a_poll_alone_joins_and_returns_records_at_once() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = member(&broker, &["t"]);
    assert!(consumer.assignment().is_empty() && consumer.subscription().is_empty());
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    assert_eq!(consumer.subscription(), ["t"]);
}

#[test]
fn a_join_outlives_the_poll_that_began_it() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let mut first = member(&broker, &["t"]);
    first.poll(Duration::ZERO).unwrap();
    let mut second = member(&broker, &["t"]);
    for _ in 0..3 {
        assert!(second.poll(Duration::from_millis(10)).unwrap().is_empty());
        assert!(second.assignment().is_empty(), "the first has not given anything up yet");
    }
    first.poll(Duration::ZERO).unwrap();
    second.poll(Duration::ZERO).unwrap();
    first.poll(Duration::ZERO).unwrap();
    assert_eq!(shares(&[first, second]), [1, 1]);
}

#[test]
fn topics_and_partitions_that_come_and_go_are_shared_out_anew() {
    for assignor in assignors() {
        let place = Place::memory();
        let broker = broker(&place, &[("orders.a", 1), ("other", 1)]);
        let mut consumers: Vec<Consumer> = (0..2)
            .map(|_| {
                let mut consumer = builder(&broker).assignors([assignor.clone()]).build().unwrap();
                consumer.subscribe_matching(|name| name.starts_with("orders")).unwrap();
                consumer
            })
            .collect();
        settle(&mut consumers);
        assert_eq!(shares(&consumers).iter().sum::<usize>(), 1);
        broker.admin().create_topic(NewTopic::new("orders.b").partitions(3)).unwrap();
        settle(&mut consumers);
        assert_eq!(shares(&consumers).iter().sum::<usize>(), 4, "{}", assignor.name());
        broker.admin().create_partitions("orders.a", 5).unwrap();
        settle(&mut consumers);
        assert_eq!(shares(&consumers).iter().sum::<usize>(), 8);
        broker.admin().delete_topic("orders.b").unwrap();
        settle(&mut consumers);
        assert_eq!(shares(&consumers).iter().sum::<usize>(), 5);
        assert_eq!(consumers[0].subscription(), ["orders.a"]);
    }
}

#[test]
fn a_topic_is_read_from_when_it_is_created_also_by_who_named_it_before() {
    let place = Place::memory();
    let broker = broker(&place, &[]);
    let mut consumer = member(&broker, &["later"]);
    assert!(consumer.poll(Duration::ZERO).unwrap().is_empty());
    broker.admin().create_topic(NewTopic::new("later")).unwrap();
    fill(&broker, "later", 0, 2);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 2);
}

#[test]
fn members_with_other_subscriptions_get_only_what_they_subscribe_to() {
    let place = Place::memory();
    let broker = broker(&place, &[("a", 4), ("b", 4)]);
    let mut consumers = vec![member(&broker, &["a"]), member(&broker, &["b"]), member(&broker, &["a", "b"])];
    settle(&mut consumers);
    assert_eq!(shares(&consumers).iter().sum::<usize>(), 8);
    assert!(consumers[0].assignment().iter().all(|one| one.topic() == "a"));
    assert!(consumers[1].assignment().iter().all(|one| one.topic() == "b"));
    consumers[2].subscribe(["b"]).unwrap();
    settle(&mut consumers);
    assert_eq!(shares(&consumers), [4, 2, 2]);
    consumers[2].unsubscribe().unwrap();
    settle(&mut consumers);
    assert_eq!(shares(&consumers), [4, 4, 0]);
    assert!(consumers[2].subscription().is_empty());
}

#[test]
fn more_members_than_partitions_leave_some_without() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let mut consumers: Vec<_> = (0..5).map(|_| member(&broker, &["t"])).collect();
    settle(&mut consumers);
    assert_eq!(shares(&consumers).iter().sum::<usize>(), 2);
}

#[test]
fn groups_do_not_see_each_other() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 5);
    for group in ["one", "two"] {
        let mut consumer = builder(&broker).group(group).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 5);
        consumer.commit().unwrap();
    }
}

#[test]
fn a_rebalance_can_be_asked_for() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let heard = super::Heard::default();
    let mut consumer = builder(&broker).build().unwrap();
    consumer.subscribe_with(["t"], heard.clone()).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    heard.take();
    consumer.enforce_rebalance("the load has changed").unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(heard.take(), ["revoked t-0 t-1", "assigned t-0 t-1"]);
}

#[test]
fn a_topic_that_is_made_again_during_a_rebalance_is_read() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let join = || {
        let mut consumer = builder(&broker).assignors([Arc::new(CooperativeSticky) as _]).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        consumer
    };
    let mut members = [join(), join()];
    settle(&mut members);
    // The leader waits for the other.
    members[0].enforce_rebalance("now").unwrap();
    members[0].poll(Duration::ZERO).unwrap();
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    (0..2).for_each(|number| fill(&broker, "t", number, 1));
    let mut count = 0;
    for _ in 0..8 {
        for member in members.iter_mut().rev() {
            // What is gone is told, until its reader has let go of it.
            count += member.poll(Duration::ZERO).map_or(0, |records| records.len());
        }
    }
    assert_eq!((count, shares(&members)), (2, vec![1, 1]));
}

#[test]
fn a_topic_that_is_deleted_during_a_rebalance_is_not_created_by_it() {
    let place = Place::memory().config(|config: BrokerConfig| config.auto_create_topics(true));
    let join = |broker: &Broker| {
        let mut consumer = builder(broker).build().unwrap();
        consumer.subscribe_matching(|name| name == "t").unwrap();
        consumer
    };
    for at in 0..8 {
        let broker = broker(&place, &[("t", 4)]);
        let mut members = vec![join(&broker), join(&broker)];
        settle(&mut members);
        members.push(join(&broker));
        for step in 0..24 {
            if step == at {
                broker.admin().delete_topic("t").unwrap();
            }
            // Who still reads it may be told that it is gone.
            let _ = members[step % 3].poll(Duration::ZERO);
        }
        assert!(matches!(broker.topic("t"), Err(Error::UnknownTopic { .. })), "deleted before poll {at}");
    }
}
