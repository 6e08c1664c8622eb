//! What is refused, by name, and leaves the group unharmed.

use std::sync::Arc;
use std::time::Duration;

use streamlog::{
    Assignment, Assignor, Error, Offset, OffsetAndMetadata, RebalanceProtocol, Record, RoundRobin, Sticky,
    Subscriptions, TopicPartitions,
};

use super::{broker, builder, fill, member, partition, settle, shares};
use crate::kit::Place;

#[test]
fn what_needs_a_group_is_refused_without_one() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let mut consumer = broker.consumer().build().unwrap();
    assert!(matches!(consumer.subscribe(["t"]), Err(Error::MissingGroup { .. })));
    assert!(matches!(consumer.commit(), Err(Error::MissingGroup { .. })));
    assert!(matches!(consumer.committed([&partition("t", 0)]), Err(Error::MissingGroup { .. })));
    assert!(matches!(consumer.enforce_rebalance("now"), Err(Error::MissingGroup { .. })));
    let auto = broker.consumer().auto_commit(Some(Duration::from_secs(1))).build();
    assert!(matches!(auto, Err(Error::InvalidConfig { setting: "enable.auto.commit", .. })));
    for group in ["", &"g".repeat(1 << 16)] {
        let error = builder(&broker).group(group).build().unwrap_err();
        assert!(matches!(error, Error::InvalidGroupId { .. }), "{error:?}");
        assert!(error.to_string().len() < 1000);
    }
}

#[test]
fn a_subscription_and_an_assignment_exclude_each_other() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let mut consumer = builder(&broker).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    assert!(matches!(consumer.subscribe(["t"]), Err(Error::WrongSubscription { .. })));
    consumer.unsubscribe().unwrap();
    consumer.subscribe(["t"]).unwrap();
    assert!(matches!(consumer.assign([partition("t", 0)]), Err(Error::WrongSubscription { .. })));
    consumer.subscribe([""; 0]).unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
}

#[test]
fn settings_out_of_their_bounds_are_refused() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let consumer = || builder(&broker);
    let refused = [
        consumer().heartbeat_interval(Duration::from_secs(45)),
        consumer().max_poll_interval(Duration::ZERO),
        consumer().group_instance_id(""),
        consumer().assignors([]),
        consumer().assignors([Arc::new(Sticky) as _, Arc::new(Sticky) as _]),
    ];
    for builder in refused {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { .. }), "{error:?}");
    }
    for timeout in [Duration::from_secs(5), Duration::from_secs(1801)] {
        let mut consumer = consumer().session_timeout(timeout).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        let error = consumer.poll(Duration::ZERO).unwrap_err();
        assert!(matches!(error, Error::InvalidSessionTimeout { .. }), "{error:?}");
    }
}

#[test]
fn offsets_that_cannot_be_committed_are_refused_whole() {
    let place = Place::memory().config(|config| config.offset_metadata_max_bytes(10));
    let broker = broker(&place, &[("t", 2)]);
    let mut consumer = builder(&broker).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    let one = Offset::from(1);
    let refused = consumer.commit_offsets([(partition("t", 0), one), (partition("t", 1), one)]);
    assert!(matches!(refused, Err(Error::NotAssigned { .. })));
    let refused = consumer.commit_offsets([(partition("u", 0), one)]);
    assert!(matches!(refused, Err(Error::NotAssigned { .. })));
    let long = OffsetAndMetadata { metadata: "x".repeat(11), ..one.into() };
    let refused = consumer.commit_offsets([(partition("t", 0), long)]);
    assert!(matches!(refused, Err(Error::OffsetMetadataTooLarge { bytes: 11, limit: 10, .. })));
    assert!(consumer.committed([&partition("t", 0)]).unwrap().is_empty());
}

#[test]
fn one_outside_a_group_with_members_commits_nothing_in_it() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 1);
    let mut inside = member(&broker, &["t"]);
    inside.poll(Duration::ZERO).unwrap();
    let mut outside = builder(&broker).build().unwrap();
    outside.assign([partition("t", 0)]).unwrap();
    outside.poll(Duration::ZERO).unwrap();
    let error = outside.commit().unwrap_err();
    assert!(matches!(error, Error::UnknownMember { .. }), "{error:?}");
    inside.commit().unwrap();
}

#[test]
fn a_group_is_not_let_grow_beyond_its_size_and_takes_no_strangers() {
    let place = Place::memory().config(|config| config.group_max_size(1));
    let broker = broker(&place, &[("t", 1)]);
    let mut consumers = [member(&broker, &["t"])];
    settle(&mut consumers);
    let mut other = builder(&broker).assignors([Arc::new(RoundRobin) as _]).build().unwrap();
    other.subscribe(["t"]).unwrap();
    let error = other.poll(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::GroupFull { limit: 1, .. } | Error::InconsistentProtocols { .. }));
    settle(&mut consumers);
    assert_eq!(shares(&consumers), [1]);
    let [consumer] = consumers;
    drop(consumer);
    other.poll(Duration::ZERO).unwrap();
    assert_eq!(other.assignment().len(), 1);
    let stranger = member(&broker, &["t"]).poll(Duration::ZERO).unwrap_err();
    assert!(matches!(stranger, Error::GroupFull { .. } | Error::InconsistentProtocols { .. }));
}

#[test]
fn members_without_an_assignor_in_common_do_not_meet() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let mut consumers = [member(&broker, &["t"])];
    settle(&mut consumers);
    let mut other = builder(&broker).assignors([Arc::new(RoundRobin) as _]).build().unwrap();
    other.subscribe(["t"]).unwrap();
    let error = other.poll(Duration::ZERO).unwrap_err();
    let Error::InconsistentProtocols { offered, needed, .. } = &error else { panic!("{error:?}") };
    assert!(offered.contains("roundrobin") && needed.contains("range"), "{error}");
    settle(&mut consumers);
    assert_eq!(shares(&consumers), [1]);
}

/// Answers nonsense, of one kind or the other.
#[derive(Debug)]
struct Nonsense(&'static str);

impl Assignor for Nonsense {
    fn name(&self) -> &str {
        "nonsense"
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let mut all = TopicPartitions::new();
        all.insert("t", 0_u32.try_into().unwrap());
        all.insert("t", 1_u32.try_into().unwrap());
        let first = subscriptions.members[0].id.clone();
        match self.0 {
            "panics" => panic!("no idea"),
            "a stranger" => [("nobody".to_owned(), all)].into(),
            "too many" => {
                all.insert("t", 2_u32.try_into().unwrap());
                [(first, all)].into()
            }
            "not all" => {
                all.remove("t", 0_u32.try_into().unwrap());
                [(first, all)].into()
            }
            "twice" => subscriptions.members.iter().map(|member| (member.id.clone(), all.clone())).collect(),
            _ => [(first, all)].into(),
        }
    }
}

#[test]
fn an_assignment_that_is_none_is_refused_and_nobody_is_assigned_by_it() {
    for kind in ["panics", "a stranger", "too many", "not all", "twice"] {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 2)]);
        let build = |kind| {
            let mut consumer = builder(&broker).assignors([Arc::new(Nonsense(kind)) as _]).build().unwrap();
            consumer.subscribe(["t"]).unwrap();
            consumer
        };
        let (mut leader, mut other) = (build(kind), build("sense"));
        let mut refused = Vec::new();
        for _ in 0..4 {
            refused.extend(leader.poll(Duration::ZERO).err());
            other.poll(Duration::ZERO).unwrap();
        }
        let is_right = |error: &Error| match error {
            Error::CallbackPanicked { text, .. } => kind == "panics" && text == "no idea",
            Error::InvalidAssignment { assignor, .. } => kind != "panics" && assignor == "nonsense",
            _ => false,
        };
        if kind == "twice" {
            // Alone, it is none.
            assert!(refused.iter().any(is_right), "{kind}: {refused:?}");
        } else {
            assert!(!refused.is_empty() && refused.iter().all(is_right), "{kind}: {refused:?}");
            assert!(leader.assignment().is_empty() && other.assignment().is_empty());
        }
        drop(leader);
        let mut rest = [other];
        settle(&mut rest);
        assert_eq!(shares(&rest), [2], "the group is unharmed");
    }
}

/// Says that it is cooperative, and gives what one still owns to another at once.
#[derive(Debug)]
struct Greedy;

impl Assignor for Greedy {
    fn name(&self) -> &str {
        "greedy"
    }

    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Cooperative
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        RoundRobin.assign(subscriptions)
    }
}

#[test]
fn an_assignor_that_gives_away_what_another_still_owns_is_refused() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 4)]);
    let join = || {
        let mut consumer = builder(&broker).assignors([Arc::new(Greedy) as _]).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        consumer
    };
    let mut members = vec![join()];
    settle(&mut members);
    members.push(join());
    let mut errors = Vec::new();
    for _ in 0..6 {
        for member in &mut members {
            errors.extend(member.poll(Duration::ZERO).err());
        }
        shares(&members);
    }
    assert!(matches!(&errors[..], [Error::InvalidAssignment { .. }, ..]), "{errors:?}");
}

#[test]
fn a_predicate_that_panics_is_told() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    let mut consumer = builder(&broker).build().unwrap();
    consumer.subscribe_matching(|_| panic!("no idea")).unwrap();
    assert!(matches!(consumer.poll(Duration::ZERO), Err(Error::CallbackPanicked { .. })));
    consumer.subscribe(["t"]).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(consumer.assignment().len(), 1);
}

#[test]
fn the_brokers_own_topics_are_left_to_it() {
    let place = Place::memory().config(|config| config.auto_create_topics(true));
    let broker = broker(&place, &[("t", 1)]);
    let name = "__consumer_offsets";
    let is_refused = |error: Error| assert!(matches!(error, Error::InvalidTopicName { .. }), "{error:?}");
    is_refused(broker.admin().create_topic(streamlog::NewTopic::new(name)).unwrap_err());
    member(&broker, &["t"]).poll(Duration::ZERO).unwrap();
    is_refused(broker.admin().delete_topic(name).unwrap_err());
    is_refused(broker.admin().create_partitions(name, 5).unwrap_err());
    is_refused(broker.producer().build().unwrap().send(Record::to(name).value("x")).unwrap_err());
    let partition = broker.topic(name).unwrap().partition(0).unwrap();
    is_refused(partition.append(&[Record::new().value("x")]).unwrap_err());
    assert_eq!(broker.admin().list_topics().unwrap(), ["t"]);
}
