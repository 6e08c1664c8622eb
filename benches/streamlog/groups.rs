//! Groups: how long a rebalance takes, a commit, and an open with many groups that nobody uses.

use std::time::Duration;

use streamlog::{
    Acks, AutoOffsetReset, Broker, BrokerConfig, Consumer, NewTopic, Offset, PartitionId, Record,
    TopicPartition,
};

use crate::harness::{Case, Outcome, Settings, TOPIC, Table, Target, Unit, Values, median, no_bare, seconds};

const VALUE_BYTES: usize = 100;
/// A group of this size over so many partitions.
const MEMBERS: u64 = 100;
const PARTITIONS: u64 = 1_000;
const IDLE_GROUPS: u64 = 10_000;

/// A member joins a group of 100 over 1,000 partitions, each with a record: the time until everybody has polled its share.
pub(crate) fn rebalance(settings: &Settings, table: &mut Table) -> Outcome<()> {
    // One that joins, and one that was there.
    let members = settings.sized(MEMBERS).max(2);
    let partitions = settings.sized(PARTITIONS).max(members);
    let rebalance = || {
        let broker = Broker::in_memory()?;
        broker.admin().create_topic(NewTopic::new(TOPIC).partitions(u32::try_from(partitions)?))?;
        let member = || -> Outcome<Consumer> {
            let builder = broker.consumer().group("g").auto_commit(None);
            let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
            consumer.subscribe([TOPIC])?;
            Ok(consumer)
        };
        let mut consumers = (1..members).map(|_| member()).collect::<Outcome<Vec<_>>>()?;
        while consumers.iter().map(|consumer| consumer.assignment().len() as u64).sum::<u64>() < partitions {
            for consumer in &mut consumers {
                consumer.poll(Duration::ZERO)?;
            }
        }
        for partition in broker.topic(TOPIC)?.partitions() {
            partition?.append(&[Record::new().value("x")])?;
        }
        consumers.push(member()?);
        let (polled, elapsed) = seconds(|| {
            let mut polled = 0;
            while polled < partitions {
                // The one that joins first, because it is the one that all others wait for.
                for consumer in consumers.iter_mut().rev() {
                    polled += consumer.poll(Duration::ZERO)?.len() as u64;
                }
            }
            Ok(polled)
        })?;
        // Who has read before the others gave it up reads once more what moved: nothing was committed.
        assert!(polled >= partitions && polled < 2 * partitions, "{polled}");
        assert!(consumers.iter().all(|consumer| !consumer.assignment().is_empty()));
        Ok(elapsed * 1e3)
    };
    let name = format!("group_rebalance, {members} members, {partitions} partitions");
    table.measure(vec![no_bare(&name, Unit::Milliseconds, rebalance, Target::ValueAtMost(50.0))])
}

/// One commit of one position, against one record that is sent and waited for, with the same acks.
pub(crate) fn commit(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let count = settings.sized(640);
    let mut cases = Vec::new();
    for (acks, is_on_disk) in
        [(Acks::All, true), (Acks::Leader, true), (Acks::All, false), (Acks::Leader, false)]
    {
        let place = if is_on_disk { "on disk" } else { "in memory" };
        let count = if acks == Acks::All && is_on_disk { count } else { count * 10 };
        cases.push(Case::new(
            format!("group_commit, acks={acks}, {place}"),
            Unit::Microseconds,
            move || commits(settings, acks, is_on_disk, count),
            ("send and wait", move || sends(settings, acks, is_on_disk, count)),
            Target::RatioAtMost(2.0),
        ));
    }
    table.measure(cases)?;
    table.note(&format!("median of {count} with a sync, of ten times as many without"));
    Ok(())
}

fn begin(settings: &Settings, acks: Acks, is_on_disk: bool) -> Outcome<(Broker, Option<tempfile::TempDir>)> {
    let config = BrokerConfig::default().offsets_commit_acks(acks);
    let builder = Broker::builder().config(config);
    let (builder, scratch) = if is_on_disk {
        let scratch = settings.scratch()?;
        (builder.log_dir(scratch.path().join("data")), Some(scratch))
    } else {
        (builder.in_memory(), None)
    };
    let broker = builder.open()?;
    broker.admin().create_topic(NewTopic::new(TOPIC))?;
    Ok((broker, scratch))
}

fn commits(settings: &Settings, acks: Acks, is_on_disk: bool, count: u64) -> Outcome<f64> {
    let (broker, _scratch) = begin(settings, acks, is_on_disk)?;
    let builder = broker.consumer().group("g").auto_commit(None);
    let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    consumer.subscribe([TOPIC])?;
    consumer.poll(Duration::ZERO)?;
    let partition = TopicPartition::new(TOPIC, PartitionId::ZERO);
    let mut latencies = Vec::new();
    for offset in 1..=count {
        let offsets = [(partition.clone(), Offset::try_from(offset)?)];
        let (_, elapsed) = seconds(|| Ok(consumer.commit_offsets(offsets)?))?;
        latencies.push(elapsed * 1e6);
    }
    let committed = consumer.committed([&partition])?.remove(&partition).ok_or("nothing is committed")?;
    assert_eq!(committed.offset, count);
    Ok(median(&latencies))
}

fn sends(settings: &Settings, acks: Acks, is_on_disk: bool, count: u64) -> Outcome<f64> {
    let (broker, _scratch) = begin(settings, acks, is_on_disk)?;
    let producer = broker.producer().acks(acks).build()?;
    let values = Values::new(VALUE_BYTES, 1);
    let mut latencies = Vec::new();
    for value in values.iter().cycle().take(usize::try_from(count)?) {
        let (_, elapsed) = seconds(|| Ok(producer.send(Record::to(TOPIC).value(value))?.wait()?))?;
        latencies.push(elapsed * 1e6);
    }
    assert_eq!(broker.topic(TOPIC)?.partition(0)?.log_end_offset(), count);
    Ok(median(&latencies))
}

/// Opening a broker with many groups, each with a committed offset and nobody in it, up to the list of them.
pub(crate) fn reopen(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let groups = settings.sized(IDLE_GROUPS);
    let scratch = settings.scratch()?;
    let open = || {
        let config = BrokerConfig::default().offsets_commit_acks(Acks::Leader);
        Broker::builder().log_dir(scratch.path().join("data")).config(config).open()
    };
    let broker = open()?;
    broker.admin().create_topic(NewTopic::new(TOPIC))?;
    let partition = TopicPartition::new(TOPIC, PartitionId::ZERO);
    for group in 0..groups {
        let mut consumer = broker.consumer().group(format!("group-{group}")).auto_commit(None).build()?;
        consumer.assign([partition.clone()])?;
        consumer.position(&partition)?;
        consumer.commit()?;
    }
    broker.close()?;
    let reopen = || {
        let (broker, elapsed) = seconds(|| {
            let broker = open()?;
            assert_eq!(broker.admin().list_groups()?.len() as u64, groups);
            Ok(broker)
        })?;
        broker.close()?;
        Ok(elapsed * 1e3)
    };
    let name = format!("group_reopen, {groups} idle groups");
    table.measure(vec![no_bare(&name, Unit::Milliseconds, reopen, Target::ValueAtMost(2_000.0))])
}
