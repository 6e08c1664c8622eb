//! Living the steps, and noting after each call what it promises.

use std::collections::BTreeMap;
use std::time::Duration;

use streamlog::testing::{Crash, Outcome, TestDisk};
use streamlog::{
    Acks, AutoOffsetReset, Broker, BrokerConfig, Compression, Delivery, IsolationLevel, ManualClock,
    NewTopic, Offset, PartitionId, Producer, Record, RecoveryMode, Result, Timestamp, TopicCompression,
    TopicConfig, TopicPartition,
};

use super::ledger::{Kept, Ledger, index};
use super::steps::{Ending, Setting, Step};

/// The log directories.
pub(crate) const DIRS: [&str; 2] = ["data", "more"];
/// How long after an append a checkpoint is due.
const CHECKPOINT: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_millis(5);

/// Opens the broker that is on this disk.
pub(crate) fn open(disk: &TestDisk) -> Result<(Broker, ManualClock)> {
    open_in(disk, RecoveryMode::Repair)
}

/// As [`open`], in this mode.
pub(crate) fn open_in(disk: &TestDisk, mode: RecoveryMode) -> Result<(Broker, ManualClock)> {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let config = BrokerConfig::default().seed(7).max_open_files(8).checkpoint_interval(CHECKPOINT);
    let builder = Broker::builder().storage(disk.clone()).clock(clock.clone()).config(config).recovery(mode);
    let broker = DIRS.iter().fold(builder, |builder, dir| builder.log_dir(dir)).open()?;
    Ok((broker, clock))
}

/// A topic with small segments and many index entries.
pub(crate) fn config() -> TopicConfig {
    TopicConfig::default().segment_bytes(1500).index_interval_bytes(150)
}

/// Lives the steps, with a book of what is promised. Ends at the first error, or with the broker open, which closes it.
pub(crate) fn live(disk: &TestDisk, steps: &[Step], ledger: &mut Ledger) -> Outcome {
    let (broker, clock) = open(disk)?;
    let mut life = Life { disk: disk.clone(), broker, clock, ledger, has_faults: false };
    for &step in steps {
        life.make(step)?;
        life.ledger.look(&life.broker);
    }
    // What is closed is durable, and has been looked at by the step `Reopen`; here the process simply ends.
    let _ = life.disk.restart(Crash::Kill);
    Ok(())
}

pub(super) struct Life<'a> {
    pub(super) disk: TestDisk,
    pub(super) broker: Broker,
    pub(super) clock: ManualClock,
    pub(super) ledger: &'a mut Ledger,
    /// Whether calls of the disk may fail, and the process lives on.
    pub(super) has_faults: bool,
}

impl Life<'_> {
    pub(super) fn make(&mut self, step: Step) -> Result<()> {
        let admin = self.broker.admin();
        match step {
            Step::Create(name, partitions) => {
                self.ledger.creating(name, partitions, &config());
                admin.create_topic(NewTopic::new(name).partitions(partitions).config(config()))?;
                self.ledger.done(name);
                self.ledger.commits.begun(name, &self.broker);
            }
            Step::Extend(name, partitions) => {
                self.ledger.extending(name, partitions);
                admin.create_partitions(name, partitions)?;
                self.ledger.done(name);
            }
            Step::Alter(name, setting) => {
                let config = self.broker.topic(name)?.config().clone();
                let config = match setting {
                    Setting::SegmentBytes(bytes) => config.segment_bytes(bytes),
                    Setting::FlushMessages(count) => config.flush_messages(count),
                    Setting::Preallocate => config.preallocate(true),
                    Setting::Codec(codec) => config.compression(TopicCompression::Codec(built_in(codec))),
                };
                self.ledger.altering(name, config.clone());
                admin.alter_topic_config(name, config, &[])?;
                self.ledger.done(name);
            }
            Step::Delete(name) => {
                self.ledger.deleting(name);
                admin.delete_topic(name)?;
                self.ledger.done(name);
            }
            Step::Append(name, partition, count, bytes) => {
                let values = self.ledger.appending(name, partition, count, bytes);
                let records: Vec<_> =
                    values.iter().map(|value| Record::new().key("k").value(value)).collect();
                let end = self.broker.topic(name)?.partition(partition)?.append(&records)?.end;
                self.ledger.readable(name, partition, index(end));
            }
            Step::Sync(name, partition) => {
                let durable = self.broker.topic(name)?.partition(partition)?.sync()?;
                self.ledger.durable(name, partition, index(durable));
            }
            Step::Send(acks, codec, ending, name, partition, count, bytes) => {
                let values = self.ledger.appending(name, partition, count, bytes);
                self.send(acks, built_in(codec), ending, (name, partition), &values)?;
            }
            Step::Read(level) => self.read(level)?,
            Step::Share(manner, group, topic, count) => self.share(manner, group, topic, count)?,
            Step::Reset(group, topic, to) => self.reset(group, topic, to)?,
            Step::Forget(group, topic) => self.forget(group, topic)?,
            Step::DeleteGroup(group) => self.delete_group(group)?,
            Step::Tick => self.clock.advance(CHECKPOINT),
            Step::Reopen => {
                self.broker.close()?;
                self.ledger.closed();
                (self.broker, self.clock) = open(&self.disk)?;
                if !self.has_faults {
                    assert!(self.broker.recovery_report().was_clean);
                    self.check(Kept::Readable);
                }
            }
            Step::End(crash) => {
                self.disk = self.disk.restart(crash);
                self.ledger.ended(Kept::after(crash));
                (self.broker, self.clock) = open(&self.disk)?;
                assert!(!self.broker.recovery_report().was_clean);
                self.check(Kept::after(crash));
            }
        }
        Ok(())
    }

    /// Checks an opening on the way. Where the power goes in the middle of it, which panics, the ledger stays as it was.
    fn check(&mut self, kept: Kept) {
        let mut checked = self.ledger.clone();
        checked.check(&self.broker, kept);
        *self.ledger = checked;
    }

    fn send(
        &mut self,
        acks: Acks,
        codec: Compression,
        ending: Ending,
        (name, partition): (&str, u32),
        values: &[Vec<u8>],
    ) -> Result<()> {
        let builder = self.broker.producer().acks(acks).compression(codec);
        let linger = if matches!(ending, Ending::WaitEach) { Duration::ZERO } else { LINGER };
        let producer = builder.linger(linger).build()?;
        let send = |value: &Vec<u8>| -> Result<Delivery> {
            producer.send(Record::to(name).partition(partition).key("k").value(value))
        };
        let end = self.ledger.asked(name, partition);
        match ending {
            Ending::WaitEach => {
                for (end, value) in (end + 1 - values.len()..).zip(values) {
                    let delivery = send(value)?;
                    // With no linger and nobody else, what was sent is where an append would have put it, if it did not fail.
                    if !self.disk.is_down() && !self.has_faults {
                        self.ledger.readable(name, partition, end);
                    }
                    delivery.wait()?;
                    self.promised(acks, name, partition, end);
                }
            }
            Ending::WaitAll => {
                let deliveries = values.iter().map(send).collect::<Result<Vec<_>>>()?;
                for (end, delivery) in (end + 1 - values.len()..).zip(deliveries) {
                    delivery.wait()?;
                    self.promised(acks, name, partition, end);
                }
            }
            Ending::Linger => {
                values.iter().try_for_each(|value| send(value).map(drop))?;
                self.clock.advance(LINGER);
                // A flush of nothing tells whether all went well.
                producer.flush()?;
                self.promised(acks, name, partition, end);
            }
            Ending::Flush => {
                values.iter().try_for_each(|value| send(value).map(drop))?;
                producer.flush()?;
                self.promised(acks, name, partition, end);
            }
            Ending::Close => {
                values.iter().try_for_each(|value| send(value).map(drop))?;
                producer.close(Duration::from_secs(1))?;
                self.promised(acks, name, partition, end);
            }
            Ending::Drop => {
                values.iter().try_for_each(|value| send(value).map(drop))?;
                drop::<Producer>(producer);
            }
        }
        Ok(())
    }

    /// Every delivery below `end` has been answered.
    fn promised(&mut self, acks: Acks, name: &str, partition: u32, end: usize) {
        match acks {
            Acks::All => self.ledger.durable(name, partition, end),
            Acks::Leader => self.ledger.readable(name, partition, end),
            _ => {}
        }
    }

    /// Reads everything in every topic; what a consumer is given is promised to stay, as far as its level says.
    fn read(&mut self, level: IsolationLevel) -> Result<()> {
        let builder = self.broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).isolation(level);
        let mut consumer = builder.max_poll_records(7).build()?;
        let mut all = BTreeMap::new();
        for name in self.ledger.names() {
            let count = self.broker.topic(name)?.partition_count();
            all.extend((0..count).map(|number| ((name, number), Vec::new())));
        }
        let named = |&(name, number): &(&str, u32)| {
            TopicPartition::new(name, PartitionId::try_from(number).expect("a small number"))
        };
        consumer.assign(all.keys().map(named))?;
        loop {
            let records = consumer.poll(Duration::ZERO)?;
            if records.is_empty() {
                break;
            }
            for record in &records {
                let number = u32::from(record.partition());
                let place = all.iter_mut().find(|((name, at), _)| *name == record.topic() && *at == number);
                let (_, values) = place.unwrap();
                assert_eq!(record.offset(), Offset::from(u32::try_from(values.len()).unwrap()));
                values.push(record.value().unwrap().to_vec());
            }
        }
        for ((name, number), values) in all {
            self.ledger.compare(name, number, &values);
            match level {
                IsolationLevel::ReadDurable => self.ledger.durable(name, number, values.len()),
                _ => {
                    let end = self.broker.topic(name)?.partition(number)?.log_end_offset();
                    assert_eq!(values.len(), index(end), "{name}-{number}");
                    self.ledger.readable(name, number, values.len());
                }
            }
        }
        Ok(())
    }
}

impl Kept {
    /// What is left after a crash, of what was on its way to the device.
    pub(crate) fn after(crash: Crash) -> Kept {
        if crash.keeps_page_cache() { Kept::Readable } else { Kept::Durable }
    }
}

/// The codec, or none where it is not built in.
fn built_in(codec: Compression) -> Compression {
    if codec.is_available() { codec } else { Compression::None }
}
