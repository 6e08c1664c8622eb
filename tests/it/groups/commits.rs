//! What is committed, when, and where a group goes on.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, CooperativeSticky, Error, NewTopic, Offset, OffsetAndMetadata, OffsetSpec, Record,
};

use super::{GROUP, broker, builder, fill, member, partition, settle};
use crate::kit::Place;

fn committed(broker: &streamlog::Broker, number: u32) -> Option<u64> {
    let mut consumer = builder(broker).build().unwrap();
    let partition = partition("t", number);
    consumer.committed([&partition]).unwrap().get(&partition).map(|committed| committed.offset.into())
}

#[test]
fn a_group_goes_on_behind_what_it_committed_also_after_a_reopening() {
    for place in Place::both() {
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 10);
        let mut consumer = builder(&broker).max_poll_records(4).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 4);
        consumer.commit().unwrap();
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 4);
        drop(consumer);
        assert_eq!(committed(&broker, 0), Some(4), "a consumer that is dropped commits nothing");
        broker.close().unwrap();

        let broker = place.open();
        let mut consumer = member(&broker, &["t"]);
        let records = consumer.poll(Duration::ZERO).unwrap();
        let offsets: Vec<Offset> = records.iter().map(|record| record.offset()).collect();
        assert_eq!((offsets[0], offsets.len()), (4_u32.into(), 6));
        consumer.commit().unwrap();
        drop(consumer);
        let broker = if place.path().exists() { place.as_if_killed().open() } else { broker };
        assert_eq!(committed(&broker, 0), Some(10));
    }
}

#[test]
fn positions_are_committed_by_the_clock_and_by_a_close_but_not_by_a_drop() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 1);
    let build = || {
        let builder = builder(&broker).auto_commit(Some(Duration::from_secs(5))).max_poll_records(1);
        let mut consumer = builder.build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        consumer
    };
    let mut consumer = build();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    place.clock.advance(Duration::from_secs(4));
    consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(committed(&broker, 0), None);
    place.clock.advance(Duration::from_secs(1));
    consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(committed(&broker, 0), Some(1));

    fill(&broker, "t", 0, 2);
    place.clock.advance(Duration::from_secs(5));
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    assert_eq!(committed(&broker, 0), Some(1), "what this poll returned is not processed yet");
    drop(consumer);
    assert_eq!(committed(&broker, 0), Some(1));
    let mut consumer = build();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    consumer.close().unwrap();
    assert_eq!(committed(&broker, 0), Some(2));
    let mut consumer = build();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    consumer.unsubscribe().unwrap();
    assert_eq!(committed(&broker, 0), Some(3));
}

#[test]
fn a_poll_that_waits_commits_in_time() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 1);
    let builder = builder(&broker).auto_commit(Some(Duration::from_secs(5)));
    let mut consumer = builder.build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    assert!(consumer.poll(Duration::from_secs(20)).unwrap().is_empty());
    assert_eq!(committed(&broker, 0), Some(1));
}

#[test]
fn positions_are_committed_before_a_rebalance() {
    for assignor in super::assignors() {
        let place = Place::memory();
        let broker = broker(&place, &[("t", 4)]);
        (0..4).for_each(|number| fill(&broker, "t", number, 5));
        let build = || {
            let builder = builder(&broker).auto_commit(Some(Duration::from_secs(3600)));
            let mut consumer = builder.assignors([assignor.clone()]).build().unwrap();
            consumer.subscribe(["t"]).unwrap();
            consumer
        };
        let mut consumers = vec![build()];
        let mut count = settle(&mut consumers);
        for _ in 0..3 {
            consumers.push(build());
            count += settle(&mut consumers);
        }
        assert_eq!(count, 20, "{}", assignor.name());
    }
}

#[test]
fn metadata_and_the_leader_epoch_are_kept_with_an_offset() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = member(&broker, &["t"]);
    let records = consumer.poll(Duration::ZERO).unwrap();
    let epoch = records.iter().next().unwrap().leader_epoch();
    consumer.commit().unwrap();
    let offset = OffsetAndMetadata { metadata: "half way".to_owned(), ..Offset::from(1).into() };
    consumer.commit_offsets([(partition("t", 1), offset)]).unwrap();
    let (zero, one) = (partition("t", 0), partition("t", 1));
    let committed = consumer.committed([&zero, &one]).unwrap();
    assert_eq!((committed[&zero].offset, committed[&zero].leader_epoch), (3_u32.into(), epoch));
    assert_eq!((committed[&one].offset, &*committed[&one].metadata), (1_u32.into(), "half way"));
}

#[test]
fn a_commit_can_be_awaited_called_back_and_dropped() {
    let place = Place::disk();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = builder(&broker).max_poll_records(1).build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    consumer.poll(Duration::ZERO).unwrap();
    let mut commit = consumer.commit_async().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(std::pin::Pin::new(&mut commit).poll(&mut context), Poll::Ready(Ok(()))));
    consumer.poll(Duration::ZERO).unwrap();
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    consumer.commit_async().unwrap().then(move |result| *hears.lock().unwrap() = Some(result.is_ok()));
    assert_eq!(*heard.lock().unwrap(), Some(true));
    consumer.poll(Duration::ZERO).unwrap();
    drop(consumer.commit_async().unwrap());
    let offsets = broker.topic("__consumer_offsets").unwrap().partition(0).unwrap();
    assert_eq!(offsets.durable_offset(), offsets.log_end_offset());
    assert_eq!(committed(&broker, 0), Some(3));
}

use std::future::Future;

#[test]
fn one_who_assigns_its_partitions_itself_commits_too() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = builder(&broker).max_poll_records(2).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 2);
    consumer.commit().unwrap();
    drop(consumer);
    let mut consumer = builder(&broker).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
}

#[test]
fn a_topic_that_was_deleted_takes_its_offsets_with_it() {
    let place = Place::memory();
    let topics = [("t", 1)];
    let broker = broker(&place, &topics);
    fill(&broker, "t", 0, 3);
    let mut consumer = member(&broker, &["t"]);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    consumer.commit().unwrap();
    broker.admin().delete_topic("t").unwrap();
    broker.admin().create_topic(streamlog::NewTopic::new("t")).unwrap();
    assert_eq!(committed(&broker, 0), None);
    fill(&broker, "t", 0, 1);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1, "from its beginning");
}

#[test]
fn a_log_that_lost_its_tail_to_a_power_cut_is_not_read_from_behind_it() {
    for (reset, is_told) in [(AutoOffsetReset::Earliest, false), (AutoOffsetReset::None, true)] {
        let place = Place::disk();
        let first = broker(&place, &[("t", 1)]);
        fill(&first, "t", 0, 5);
        let bytes = first.topic("t").unwrap().partition(0).unwrap().segments()[0].bytes().unwrap();
        let mut consumer = member(&first, &["t"]);
        assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 5);
        // The offsets are on the device; the records themselves were never synced.
        consumer.commit().unwrap();
        let lost = place.as_if_killed();
        drop(consumer);
        let path = lost.path().join("t-0").join("00000000000000000000.log");
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes / 5 * 3 + 9).unwrap();
        let broker = lost.open();
        let end = broker.topic("t").unwrap().partition(0).unwrap().log_end_offset();
        assert!(end < 5_u64 && end > 0_u64, "{end}");
        broker.topic("t").unwrap().partition(0).unwrap().append(&[Record::new().value("new")]).unwrap();
        let mut consumer = builder(&broker).auto_offset_reset(reset).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        if is_told {
            let error = consumer.poll(Duration::ZERO).unwrap_err();
            let Error::Fetch { source, .. } = error else { panic!("{error:?}") };
            assert!(matches!(*source, Error::OffsetOutOfRange { .. }), "{source:?}");
        } else {
            let records = consumer.poll(Duration::ZERO).unwrap();
            assert_eq!(records.iter().next().map(|record| record.offset()), Some(end));
        }
    }
}

#[test]
fn a_member_that_was_taken_out_commits_nothing_even_where_nobody_else_is_there() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 3);
    let mut consumer = builder(&broker).max_poll_interval(Duration::from_secs(10)).build().unwrap();
    assert!(matches!(consumer.commit(), Ok(())), "there is nothing to commit");
    consumer.subscribe(["t"]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3);
    place.clock.advance(Duration::from_secs(11));
    for _ in 0..2 {
        assert!(matches!(consumer.commit(), Err(Error::UnknownMember { .. })));
    }
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 3, "once more");
    consumer.commit().unwrap();
}

#[test]
fn the_first_poll_finds_every_position_however_much_there_is_of_one_partition() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    fill(&broker, "t", 0, 5);
    broker.admin().reset_group_offsets(GROUP, [&partition("t", 0)], OffsetSpec::Earliest).unwrap();
    let builder = builder(&broker).auto_offset_reset(AutoOffsetReset::Latest).max_poll_records(1);
    let mut consumer = builder.build().unwrap();
    consumer.subscribe(["t"]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 1);
    // Sent after the first poll, so it is seen.
    fill(&broker, "t", 1, 1);
    let counted = (0..8).map(|_| consumer.poll(Duration::ZERO).unwrap().len()).sum::<usize>();
    assert_eq!(counted, 4 + 1);
}

#[test]
fn a_commit_between_two_generations_is_told_to_poll() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 2)]);
    (0..2).for_each(|number| fill(&broker, "t", number, 5));
    let join = || {
        let mut consumer = builder(&broker).assignors([Arc::new(CooperativeSticky) as _]).build().unwrap();
        consumer.subscribe(["t"]).unwrap();
        consumer
    };
    let mut members = [join(), join()];
    settle(&mut members);
    members[0].enforce_rebalance("now").unwrap();
    members[0].poll(Duration::ZERO).unwrap();
    members[0].commit().unwrap();
    members[1].poll(Duration::ZERO).unwrap();
    // All are there now, and it has not heard of it: what it owns is still its own.
    let error = members[0].commit().unwrap_err();
    assert!(matches!(error, Error::RebalanceInProgress { .. }), "{error:?}");
    settle(&mut members);
    members[0].commit().unwrap();
}

#[test]
fn what_an_idle_consumer_without_a_membership_has_committed_does_not_expire() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1)]);
    fill(&broker, "t", 0, 5);
    let mut consumer = builder(&broker).auto_commit(Some(Duration::from_secs(5))).build().unwrap();
    consumer.assign([partition("t", 0)]).unwrap();
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 5);
    for _ in 0..20 {
        place.clock.advance(DAY);
        assert!(consumer.poll(Duration::ZERO).unwrap().is_empty());
        assert_eq!(committed(&broker, 0), Some(5));
    }
    // The same in a poll that waits.
    assert!(consumer.poll(20 * DAY).unwrap().is_empty());
    assert_eq!(committed(&broker, 0), Some(5));
    std::mem::forget(consumer);
    place.clock.advance(8 * DAY);
    assert_eq!(committed(&broker, 0), None, "nobody reads any more");
}

/// Deletes the topic and makes another of its name; nothing comes of it. As if another thread did it in the middle of a call.
fn replace_t<T>(broker: &streamlog::Broker) -> impl Iterator<Item = T> {
    std::iter::from_fn(|| {
        broker.admin().delete_topic("t").unwrap();
        broker.admin().create_topic(NewTopic::new("t")).unwrap();
        None
    })
}

#[test]
fn what_is_committed_while_its_topic_is_replaced_does_not_count_for_the_next_one() {
    for place in Place::both() {
        let broker = broker(&place, &[("t", 1)]);
        fill(&broker, "t", 0, 50);
        let mut consumer = builder(&broker).build().unwrap();
        consumer.assign([partition("t", 0)]).unwrap();
        let offsets = [(partition("t", 0), Offset::from(50_u32))];
        consumer.commit_offsets(offsets.into_iter().chain(replace_t(&broker))).unwrap();
        assert_eq!(committed(&broker, 0), None);

        let names = [partition("t", 0)];
        fill(&broker, "t", 0, 50);
        let partitions = names.iter().chain(replace_t(&broker));
        broker.admin().reset_group_offsets(GROUP, partitions, OffsetSpec::Latest).unwrap();
        assert_eq!(committed(&broker, 0), None);
    }
}

#[test]
fn a_group_that_never_had_members_goes_with_its_last_offset() {
    let place = Place::memory();
    let broker = broker(&place, &[("t", 1), ("u", 1)]);
    let commit = || {
        let mut consumer = builder(&broker).build().unwrap();
        consumer.assign([partition("t", 0), partition("u", 0)]).unwrap();
        let offsets = [(partition("t", 0), Offset::ZERO), (partition("u", 0), Offset::ZERO)];
        consumer.commit_offsets(offsets).unwrap();
    };
    let groups = || broker.admin().list_groups().unwrap().len();
    commit();
    broker.admin().delete_group_offsets(GROUP, [&partition("t", 0); 2]).unwrap();
    assert_eq!(groups(), 1, "there is one left");
    assert!(broker.admin().describe_group(GROUP).is_ok());
    broker.admin().delete_topic("u").unwrap();
    assert_eq!(groups(), 0);
    broker.admin().create_topic(NewTopic::new("u")).unwrap();
    commit();
    broker.admin().delete_group_offsets(GROUP, [&partition("t", 0), &partition("u", 0)]).unwrap();
    assert_eq!(groups(), 0);
}
