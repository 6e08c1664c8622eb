//! What a failing disk, a kill and a power cut make of a topic's settings: changed ones, and those that ask for syncs.

use std::time::Duration;

use streamlog::testing::{Call, Calls, Crash, Fault, TestDisk};
use streamlog::{Broker, Error, NewTopic, Record, TopicConfig};

use super::power_cut::told;
use super::script;

fn begin(disk: &TestDisk, config: TopicConfig) -> Broker {
    let (broker, _) = script::open(disk).unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2).config(config)).unwrap();
    broker
}

fn old() -> TopicConfig {
    TopicConfig::default().segment_bytes(2000)
}

fn new() -> TopicConfig {
    old().max_message_bytes(700).flush_messages(3)
}

fn alter(broker: &Broker) -> Result<(), Error> {
    let changes = TopicConfig::default().max_message_bytes(700).flush_messages(3);
    broker.admin().alter_topic_config("t", changes, &["segment.ms"]).map(drop)
}

/// How many calls and changes there are before a change of settings, and after.
fn counts() -> ((u64, u64), (u64, u64)) {
    let disk = TestDisk::new();
    let broker = begin(&disk, old());
    let before = (disk.call_count(), disk.step_count());
    alter(&broker).unwrap();
    (before, (disk.call_count(), disk.step_count()))
}

#[test]
fn a_crash_leaves_the_old_settings_or_the_new_and_the_new_once_they_are_told() {
    let ((_, first), (_, last)) = counts();
    let mut failed = 0;
    for step in first + 1..=last + 1 {
        let disk = TestDisk::new();
        let broker = begin(&disk, old());
        disk.inject(Fault::power_cut().at_step(step));
        let altered = alter(&broker);
        assert!(altered.is_ok() || step <= last);
        failed += u32::from(altered.is_err());
        let shown = broker.topic("t").unwrap().config().clone();
        assert_eq!(shown, if altered.is_ok() { new() } else { old() });
        for after in
            [Crash::Kill, Crash::PowerCut, Crash::Torn { seed: step }, Crash::Reordered { seed: step }]
        {
            told(&format!("step {step} of {first}..{last}, {after:?}"), || {
                let survivor = disk.after(after);
                let (broker, _) = script::open(&survivor).unwrap();
                let topic = broker.topic("t").unwrap();
                assert!(*topic.config() == new() || (altered.is_err() && *topic.config() == old()));
                for partition in topic.partitions() {
                    partition.unwrap().append(&[Record::new().value("v")]).unwrap();
                }
                alter(&broker).unwrap();
                drop((topic, broker));
                let (broker, _) = script::open(&survivor).unwrap();
                assert_eq!(*broker.topic("t").unwrap().config(), new());
            });
        }
    }
    assert!(failed > 0);
}

#[test]
fn a_disk_that_refuses_a_change_leaves_the_topic_as_it_was() {
    let ((first, _), (last, _)) = counts();
    for call in first + 1..=last {
        for failure in [Fault::full(), Fault::io(), Fault::short_write(), Fault::late_write()] {
            told(&format!("call {call} of {first}..{last}, {failure:?}"), || {
                let disk = TestDisk::new();
                let broker = begin(&disk, old());
                let partition = broker.topic("t").unwrap().partition(0).unwrap();
                disk.inject(failure.clone().on(Calls::All).at_call(call));
                let altered = alter(&broker);
                let topic = broker.topic("t").unwrap();
                let append = partition.append(&[Record::new().value(&[1; 1000])]);
                match altered {
                    Ok(()) => {
                        assert_eq!(*topic.config(), new());
                        assert!(matches!(append, Err(Error::BatchTooLarge { .. })));
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::Io { .. } | Error::Poisoned { .. }), "{error}");
                        assert_eq!(*topic.config(), old());
                        append.unwrap();
                        assert_eq!(partition.durable_offset(), 0, "by the old settings");
                    }
                }
            });
        }
    }
}

#[test]
fn an_append_whose_own_sync_fails_has_happened_and_the_next_is_refused() {
    for config in [
        TopicConfig::default().flush_messages(2),
        TopicConfig::default().flush_interval(Duration::from_millis(100)),
    ] {
        let disk = TestDisk::new();
        let (broker, clock) = script::open(&disk).unwrap();
        broker.admin().create_topic(NewTopic::new("t").config(config)).unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        let append = || partition.append(&[Record::new().key("k").value("v")]);
        append().unwrap();
        disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
        assert_eq!(append().unwrap().start, 1, "it is stored");
        clock.advance(Duration::from_millis(100));
        assert_eq!((broker.metrics().sync_failures, partition.durable_offset().into()), (1, 0_u64));
        assert!(matches!(append(), Err(Error::Poisoned { .. })));
        assert!(matches!(partition.sync(), Err(Error::Poisoned { .. })));
        assert_eq!(partition.read(0_u32.into(), 1000).unwrap().iter().count(), 2, "and readable");
        clock.advance(Duration::from_secs(60));
        assert_eq!(broker.metrics().sync_failures, 1, "a failed sync is never tried again");
    }
}

#[test]
fn what_a_count_promises_survives_a_power_cut() {
    let disk = TestDisk::new();
    let broker = begin(&disk, TopicConfig::default().flush_messages(1).segment_bytes(1024));
    let partition = broker.topic("t").unwrap().partition(1).unwrap();
    for number in 0..20_u64 {
        partition.append(&[Record::new().key("k").value(&[7; 300])]).unwrap();
        let (survivor, _) = script::open(&disk.after(Crash::PowerCut)).unwrap();
        let survivor = survivor.topic("t").unwrap().partition(1).unwrap();
        assert_eq!(survivor.log_end_offset(), number + 1);
    }
}

#[test]
fn a_preallocated_segment_gets_all_its_room_at_its_beginning_and_keeps_none_of_it() {
    let disk = TestDisk::new();
    let broker = begin(&disk, TopicConfig::default().preallocate(true).segment_bytes(100_000));
    let partition = broker.topic("t").unwrap().partition(0).unwrap();
    let append = || partition.append(&[Record::new().key("k").value(&[7; 30_000])]).unwrap();
    let (mut paths, length) = (Vec::new(), |path: &std::path::Path| disk.files()[path].len());
    for _ in 0..12 {
        append();
        partition.sync().unwrap();
        let active = partition.segments().last().unwrap().path().to_path_buf();
        assert_eq!(length(&active), 100_000);
        if paths.last() != Some(&active) {
            paths.push(active);
        }
    }
    assert!(paths.len() > 3);
    let grows = disk
        .steps()
        .into_iter()
        .filter(|call| matches!(call, Call::Allocate(path, _) | Call::Zero(path, _) if paths.contains(path)));
    let once = paths.iter().map(|path| Call::Allocate(path.clone(), 0..100_000));
    assert!(grows.eq(once), "once for each segment, and set aside rather than zeroed");
    broker.close().unwrap();
    for segment in &paths {
        assert!(length(segment) < 100_000 - 4_000, "what is left of it is given back");
    }
}
