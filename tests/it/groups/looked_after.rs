//! Groups as an administrator sees them: listed, described, explained, reset and deleted.

use std::time::Duration;

use streamlog::{Error, GroupState, Offset, OffsetSpec, Timestamp};

use super::{GROUP, broker, builder, fill, member, partition, settle};
use crate::kit::{Place, START};

#[test]
fn a_group_is_described_with_its_members_its_offsets_and_its_lag() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 4)]);
    let admin = broker.admin();
    assert_eq!(admin.list_groups().unwrap(), []);
    assert!(matches!(admin.describe_group(GROUP), Err(Error::UnknownGroup { .. })));
    (0..4).for_each(|number| fill(&broker, "t", number, 3));
    let mut members = vec![
        builder(&broker).client_id("a").group_instance_id("one").build().unwrap(),
        builder(&broker).client_id("b").build().unwrap(),
    ];
    members.iter_mut().for_each(|member| member.subscribe(["t"]).unwrap());
    settle(&mut members);
    members[0].commit().unwrap();
    fill(&broker, "t", 0, 2);

    let group = admin.describe_group(GROUP).unwrap();
    assert_eq!(
        (group.state, &*group.protocol_type, group.assignor.as_deref()),
        (GroupState::Stable, "consumer", Some("range"))
    );
    assert_eq!(group.members.len(), 2);
    let assigned: usize = group.members.iter().map(|member| member.assigned.len()).sum();
    assert_eq!(assigned, 4);
    let one = group.members.iter().find(|member| member.instance_id.is_some()).unwrap();
    assert_eq!((one.topics.as_slice(), &*one.client_id), (&["t".to_owned()][..], "a"));
    assert!(group.leader.is_some_and(|leader| group.members.iter().any(|member| member.member_id == leader)));
    assert_eq!(group.committed.len(), 2);
    assert_eq!(group.lag[&partition("t", 0)], 2);
    let listed = &admin.list_groups().unwrap()[0];
    assert_eq!((&*listed.group, listed.state, listed.members), (GROUP, GroupState::Stable, 2));
}

#[test]
fn every_rebalance_can_be_explained() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 4)]);
    let mut members = vec![member(&broker, &["t"])];
    settle(&mut members);
    members.push(member(&broker, &["t"]));
    settle(&mut members);
    let rebalances = broker.admin().describe_group(GROUP).unwrap().rebalances;
    let last = rebalances.last().unwrap();
    let text = last.to_string();
    assert!(text.contains("t-2") && text.contains("joined"), "{text}");
    for _ in 0..10 {
        members[0].enforce_rebalance("because").unwrap();
        settle(&mut members);
    }
    let rebalances = broker.admin().describe_group(GROUP).unwrap().rebalances;
    assert_eq!(rebalances.len(), 5, "the last few");
    assert!(rebalances.iter().all(|rebalance| rebalance.to_string().contains("because")));
    assert!(rebalances.windows(2).all(|pair| pair[0].generation < pair[1].generation));
}

#[test]
fn offsets_are_reset_to_every_kind_of_place_and_the_group_goes_on_there() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    for _ in 0..10 {
        fill(&broker, "t", 0, 1);
        place.clock.advance(Duration::from_secs(1));
    }
    let (admin, zero, one) = (broker.admin(), partition("t", 0), partition("t", 1));
    let reset = |to| admin.reset_group_offsets(GROUP, [&zero], to).unwrap().get(&zero).copied();
    assert_eq!(reset(OffsetSpec::Shift(1)), None, "nothing is committed that could be shifted");
    assert_eq!(reset(OffsetSpec::Latest), Some(10_u32.into()));
    assert_eq!(reset(OffsetSpec::Earliest), Some(Offset::ZERO));
    assert_eq!(reset(OffsetSpec::Offset(10_u32.into())), Some(10_u32.into()));
    assert_eq!(reset(OffsetSpec::Shift(-3)), Some(7_u32.into()));
    assert_eq!(reset(OffsetSpec::Shift(i64::MIN)), Some(Offset::ZERO));
    assert_eq!(reset(OffsetSpec::Shift(i64::MAX)), Some(10_u32.into()));
    assert_eq!(reset(OffsetSpec::Time(Timestamp::from_millis(START + 3_500))), Some(4_u32.into()));
    let error = admin.reset_group_offsets(GROUP, [&zero], OffsetSpec::Offset(11_u32.into())).unwrap_err();
    assert!(matches!(error, Error::OffsetOutOfRange { .. }), "{error:?}");
    let unknown = admin.reset_group_offsets(GROUP, [&zero, &partition("t", 9)], OffsetSpec::Latest);
    assert!(matches!(unknown, Err(Error::UnknownPartition { .. })));
    let unknown = admin.reset_group_offsets("", [&one], OffsetSpec::Latest);
    assert!(matches!(unknown, Err(Error::InvalidGroupId { .. })));

    let mut consumer = member(&broker, &["t"]);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 6);
    let error = admin.reset_group_offsets(GROUP, [&zero], OffsetSpec::Earliest).unwrap_err();
    assert!(matches!(error, Error::GroupNotEmpty { members: 1, .. }), "{error:?}");
    let error = admin.delete_group_offsets(GROUP, [&zero]).unwrap_err();
    assert!(matches!(error, Error::GroupSubscribed { .. }), "{error:?}");
    drop(consumer);
    reset(OffsetSpec::Earliest);
    assert_eq!(member(&broker, &["t"]).poll(Duration::ZERO).unwrap().len(), 10);
}

#[test]
fn a_group_is_deleted_for_good_once_nobody_is_in_it() {
    for place in Place::both() {
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 3);
        let mut consumer = member(&broker, &["t"]);
        consumer.poll(Duration::ZERO).unwrap();
        consumer.commit().unwrap();
        assert!(matches!(broker.admin().delete_group(GROUP), Err(Error::GroupNotEmpty { .. })));
        drop(consumer);
        assert_eq!(broker.admin().describe_group(GROUP).unwrap().state, GroupState::Empty);
        broker.admin().delete_group(GROUP).unwrap();
        assert!(matches!(broker.admin().delete_group(GROUP), Err(Error::UnknownGroup { .. })));
        broker.close().unwrap();
        let broker = place.open();
        assert_eq!(broker.admin().list_groups().unwrap(), []);
        assert_eq!(member(&broker, &["t"]).poll(Duration::ZERO).unwrap().len(), 3);
    }
}

#[test]
fn offsets_of_a_group_that_nobody_uses_are_forgotten_in_the_end() {
    let day = Duration::from_secs(24 * 60 * 60);
    let place = Place::memory().config(|config| config.offsets_retention(day));
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = member(&broker, &["t"]);
    consumer.poll(Duration::ZERO).unwrap();
    consumer.commit().unwrap();
    for _ in 0..20 {
        consumer.poll(Duration::from_secs(3 * 60 * 60)).unwrap();
    }
    assert_eq!(broker.admin().describe_group(GROUP).unwrap().committed.len(), 1, "it is in use");
    drop(consumer);
    place.clock.advance(day / 2);
    assert_eq!(broker.admin().describe_group(GROUP).unwrap().committed.len(), 1);
    place.clock.advance(day / 2 + Duration::from_secs(601));
    assert!(matches!(broker.admin().describe_group(GROUP), Err(Error::UnknownGroup { .. })));
}

#[test]
fn who_waits_in_a_join_hears_of_the_brokers_end() {
    let broker = streamlog::Broker::in_memory().unwrap();
    broker.admin().create_topic(streamlog::NewTopic::new("t")).unwrap();
    let mut first = member(&broker, &["t"]);
    first.poll(Duration::ZERO).unwrap();
    let mut second = member(&broker, &["t"]);
    let waits = std::thread::spawn(move || second.poll(Duration::MAX));
    while broker.admin().describe_group(GROUP).unwrap().state != GroupState::PreparingRebalance {
        std::thread::yield_now();
    }
    broker.close().unwrap();
    assert!(matches!(waits.join().unwrap(), Err(Error::Closed)));
    assert!(matches!(first.poll(Duration::MAX), Err(Error::Closed)));
    first.close().unwrap();
}
