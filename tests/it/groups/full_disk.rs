//! A disk without room for what groups commit and are assigned: nothing is lost by it, nothing hangs, and it goes on once there is.

use std::time::Duration;

use streamlog::Error;

use super::{Heard, builder, fill, member, partition, settle, shares};
use crate::kit::Faulty;

#[test]
fn a_group_on_a_full_disk_is_told_and_goes_on_once_there_is_room() {
    let faulty = Faulty::new(2);
    let broker = &faulty.broker;
    (0..2).for_each(|number| fill(broker, "t", number, 5));
    let heard = Heard::default();
    let mut first = builder(broker).build().unwrap();
    first.subscribe_with(["t"], heard.clone()).unwrap();
    assert_eq!(first.poll(Duration::ZERO).unwrap().len(), 10);
    first.commit_offsets([(partition("t", 0), streamlog::Offset::from(2))]).unwrap();
    faulty.fill("__consumer_offsets");
    assert!(matches!(first.commit(), Err(Error::Io { .. })));
    let committed = first.committed([&partition("t", 0), &partition("t", 1)]).unwrap();
    assert_eq!(committed.len(), 1);
    assert_eq!(committed[&partition("t", 0)].offset, 2);
    assert!(first.poll(Duration::from_secs(60)).unwrap().is_empty());

    let mut members = [first, member(broker, &["t"])];
    let mut errors = Vec::new();
    for _ in 0..6 {
        for member in &mut members {
            errors.extend(member.poll(Duration::ZERO).err());
        }
        assert!(shares(&members).iter().sum::<usize>() <= 2);
    }
    assert!(!errors.is_empty());
    assert!(errors.iter().all(|error| matches!(error, Error::DeliveryFailed { .. })), "{errors:?}");

    faulty.heal();
    // What was not committed is read again.
    assert_eq!(settle(&mut members), 3 + 5);
    assert_eq!(shares(&members), [1, 1]);
    members.iter_mut().for_each(|member| member.commit().unwrap());
    faulty.fill("__consumer_offsets");
    let [mut first, second] = members;
    first.close().unwrap();
    drop(second);
    faulty.heal();
    broker.close().unwrap();
}
