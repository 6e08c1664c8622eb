//! What a listener hears, in which order, and what it may do.

use std::time::Duration;

use streamlog::{
    Assignment, Assignor, Broker, Consumer, CooperativeSticky, Error, Offset, Range, Rebalance,
    RebalanceListener, Result, Subscriptions, TopicPartition,
};

use super::{Heard, broker, builder, fill, partition, settle};
use crate::kit::Place;

fn listening(consumer: Consumer) -> (Consumer, Heard) {
    let (mut consumer, heard) = (consumer, Heard::default());
    consumer.subscribe_with(["t"], heard.clone()).unwrap();
    (consumer, heard)
}

#[test]
fn an_eager_rebalance_revokes_all_and_then_assigns_all() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    let build = || listening(builder(&broker).assignors([std::sync::Arc::new(Range) as _]).build().unwrap());
    let (first, first_heard) = build();
    let mut consumers = vec![first];
    settle(&mut consumers);
    assert_eq!(first_heard.take(), ["assigned t-0 t-1"]);
    let (second, second_heard) = build();
    consumers.push(second);
    settle(&mut consumers);
    let mut all = [first_heard.take(), second_heard.take()];
    all[0].retain(|heard| heard != "revoked t-0 t-1");
    all.sort();
    assert_eq!(all, [["assigned t-0"], ["assigned t-1"]]);
    consumers.pop().unwrap().close().unwrap();
    assert_eq!(second_heard.take().len(), 1, "revoked by the close");
    settle(&mut consumers);
    assert_eq!(first_heard.take()[1], "assigned t-0 t-1");
    consumers[0].unsubscribe().unwrap();
    assert_eq!(first_heard.take(), ["revoked t-0 t-1"]);
}

#[test]
fn a_cooperative_rebalance_takes_only_what_goes_to_others() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 4)]);
    (0..4).for_each(|number| fill(&broker, "t", number, 1));
    let build = || {
        let assignor = std::sync::Arc::new(CooperativeSticky) as _;
        listening(builder(&broker).assignors([assignor]).build().unwrap())
    };
    let (first, first_heard) = build();
    let mut consumers = vec![first];
    settle(&mut consumers);
    assert_eq!(first_heard.take(), ["assigned t-0 t-1 t-2 t-3"]);
    let (second, second_heard) = build();
    consumers.push(second);
    settle(&mut consumers);
    let (first, second) = (first_heard.take(), second_heard.take());
    let kept: Vec<_> = first.iter().filter(|heard| heard.starts_with("revoked")).collect();
    assert_eq!(kept.len(), 1, "{first:?}");
    assert_eq!(kept[0].split(' ').count(), 3, "two of four: {first:?}");
    assert!(!first.iter().skip(1).any(|heard| heard.starts_with("assigned t")), "{first:?}");
    assert_eq!(second.last().map(|heard| heard.split(' ').count()), Some(3), "{second:?}");
    assert!(second.iter().all(|heard| heard.starts_with("assigned")), "{second:?}");

    // While a third waits, the first reads on: the second has not come yet.
    let (mut third, _) = build();
    third.poll(Duration::ZERO).unwrap();
    (0..4).for_each(|number| fill(&broker, "t", number, 1));
    assert_eq!(consumers[0].poll(Duration::ZERO).unwrap().len(), 2);
    assert!(third.poll(Duration::ZERO).unwrap().is_empty());
}

/// Keeps its positions itself.
struct Outside(Vec<(TopicPartition, Offset)>);

impl RebalanceListener for Outside {
    fn assigned(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        assert_eq!(rebalance.assignment(), partitions);
        for (partition, offset) in &self.0 {
            rebalance.seek(partition, *offset)?;
        }
        Ok(())
    }
}

#[test]
fn positions_that_are_kept_outside_are_sought_before_the_first_record() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    (0..2).for_each(|number| fill(&broker, "t", number, 10));
    let mut consumer = builder(&broker).build().unwrap();
    let positions = vec![(partition("t", 0), Offset::from(7)), (partition("t", 1), Offset::from(10))];
    consumer.subscribe_with(["t"], Outside(positions)).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
}

/// Commits what was processed, and its partitions, when they are taken.
struct CommitsLast;

impl RebalanceListener for CommitsLast {
    fn revoked(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        let mut offsets = Vec::new();
        for partition in partitions {
            offsets.push((partition.clone(), rebalance.position(partition)?));
        }
        rebalance.commit_offsets(offsets)
    }
}

#[test]
fn what_is_committed_in_a_revocation_is_not_read_again() {
    for assignor in super::assignors() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 4)]);
        (0..4).for_each(|number| fill(&broker, "t", number, 5));
        let build = || {
            let mut consumer = builder(&broker).assignors([assignor.clone()]).build().unwrap();
            consumer.subscribe_with(["t"], CommitsLast).unwrap();
            consumer
        };
        let mut consumers = vec![build()];
        let mut count = settle(&mut consumers);
        consumers.push(build());
        count += settle(&mut consumers);
        consumers.push(build());
        count += settle(&mut consumers);
        assert_eq!(count, 20, "{}", assignor.name());
    }
}

/// Fails or panics once.
struct Fails(Option<bool>);

impl RebalanceListener for Fails {
    fn assigned(&mut self, _: &mut Rebalance<'_>, _: &[TopicPartition]) -> Result<()> {
        match self.0.take() {
            Some(true) => panic!("not today"),
            Some(false) => Err(Error::MissingTopic),
            None => Ok(()),
        }
    }
}

#[test]
fn a_listener_that_fails_or_panics_is_told_by_the_poll_and_the_group_goes_on() {
    for panics in [true, false] {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 3);
        let mut consumer = builder(&broker).build().unwrap();
        consumer.subscribe_with(["t"], Fails(Some(panics))).unwrap();
        let error = consumer.poll(Duration::ZERO).unwrap_err();
        match error {
            Error::CallbackPanicked { text, .. } if panics => assert_eq!(text, "not today"),
            Error::MissingTopic if !panics => {}
            error => panic!("{error:?}"),
        }
        assert_eq!(consumer.assignment(), [partition("t", 0)], "the rest was done");
        assert!(consumer.committed([&partition("t", 0)]).unwrap().is_empty());
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    }
}

/// Assigns as `Range` does, and while it does somebody deletes the topic `u`.
#[derive(Debug)]
struct Deleting(Broker);

impl Assignor for Deleting {
    fn name(&self) -> &str {
        "deleting"
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let assignment = Range.assign(subscriptions);
        // It assigns more than once.
        let _ = self.0.admin().delete_topic("u");
        assignment
    }
}

#[test]
fn of_a_topic_that_is_deleted_during_the_rebalance_nothing_is_heard() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1), ("u", 1)]);
    let assignor = std::sync::Arc::new(Deleting(broker.clone()));
    let mut consumer = builder(&broker).assignors([assignor as _]).build().unwrap();
    let heard = Heard::default();
    consumer.subscribe_with(["t", "u"], heard.clone()).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(consumer.assignment(), [partition("t", 0)]);
    let heard = heard.take();
    assert!(!heard.is_empty() && heard.iter().all(|heard| !heard.contains("u-0")), "{heard:?}");
}
