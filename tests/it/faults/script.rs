//! One short life of a broker: topics, appends with and without a sync, rolls, checkpoints, a clean close, a reopening.
//!
//! For the tests that look at one kind of fault closely, by partition and without producers. The life in which every
//! capability has a part, and which is crashed at every step, is in `life`.

use std::time::Duration;

use streamlog::testing::TestDisk;
use streamlog::{
    Broker, BrokerConfig, ManualClock, NewTopic, Offset, Partition, Record, Result, Timestamp, TopicConfig,
};

use super::acknowledgement::Ledger;

/// The log directory.
pub(super) const DIR: &str = "data";
/// How long after an append a checkpoint is due.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// Opens the broker that is on this disk.
pub(super) fn open(disk: &TestDisk) -> Result<(Broker, ManualClock)> {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let config = BrokerConfig::default().seed(7).max_open_files(8).checkpoint_interval(CHECKPOINT);
    let builder = Broker::builder().log_dir(DIR).storage(disk.clone()).clock(clock.clone()).config(config);
    Ok((builder.open()?, clock))
}

/// A topic with small segments and many index entries.
pub(super) fn topic(name: &str, partitions: u32) -> NewTopic {
    let config = TopicConfig::default().segment_bytes(1500).index_interval_bytes(150);
    NewTopic::new(name).partitions(partitions).config(config)
}

/// What is done, step by step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Create(&'static str, u32),
    /// So many records in one append, each with a value of so many bytes.
    Append(&'static str, u32, usize, usize),
    Sync(&'static str, u32),
    Checkpoint,
    Reopen,
}

use Step::{Append, Checkpoint, Create, Reopen, Sync};

/// The life that is cut short at every step.
pub(super) const LIFE: &[Step] = &[
    Create("a", 2),
    Append("a", 0, 1, 20),
    Append("a", 0, 3, 50),
    Sync("a", 0),
    Append("a", 0, 1, 700),
    Append("a", 1, 2, 30),
    Sync("a", 1),
    Append("a", 0, 2, 300),
    Append("a", 1, 1, 900),
    Sync("a", 0),
    Checkpoint,
    Append("a", 0, 1, 650),
    Append("a", 0, 1, 600),
    Append("a", 1, 1, 800),
    Create("b.c", 1),
    Append("b.c", 0, 1, 40),
    Sync("b.c", 0),
    Sync("a", 0),
    Append("a", 0, 1, 10),
    Checkpoint,
    Checkpoint,
    Append("a", 0, 1, 1100),
    Append("b.c", 0, 2, 10),
    Reopen,
    Append("b.c", 0, 1, 1000),
    Append("a", 0, 2, 200),
    Sync("a", 0),
    Append("a", 0, 1, 900),
    Append("a", 0, 1, 300),
    Append("b.c", 0, 1, 1000),
    Sync("b.c", 0),
    Append("a", 1, 1, 30),
    Append("b.c", 0, 1, 520),
];

/// Lives it, and notes in `ledger` what was acknowledged. Ends at the first error, or with the broker open.
pub(super) fn live(disk: &TestDisk, steps: &[Step], ledger: &mut Ledger) -> Result<Broker> {
    let (mut broker, mut clock) = open(disk)?;
    for &step in steps {
        match step {
            Create(name, partitions) => {
                ledger.creating(name, partitions);
                broker.admin().create_topic(topic(name, partitions))?;
                ledger.created(name);
            }
            Append(name, partition, count, bytes) => {
                append(&broker.topic(name)?.partition(partition)?, ledger, count, bytes)?;
            }
            Sync(name, partition) => sync(&broker.topic(name)?.partition(partition)?, ledger)?,
            Checkpoint => {
                clock.advance(CHECKPOINT);
                note_durable(&broker, ledger)?;
            }
            Reopen => {
                broker.close()?;
                ledger.all_durable();
                (broker, clock) = open(disk)?;
                assert!(broker.recovery_report().was_clean);
            }
        }
    }
    Ok(broker)
}

/// Appends the next records that the ledger has for this partition.
pub(super) fn append(
    partition: &Partition,
    ledger: &mut Ledger,
    count: usize,
    bytes: usize,
) -> Result<std::ops::Range<Offset>> {
    let values = ledger.appending(partition, count, bytes);
    let records: Vec<Record<'_>> = values.iter().map(|value| Record::new().key("k").value(value)).collect();
    let offsets = partition.append(&records)?;
    ledger.appended(partition, &offsets);
    Ok(offsets)
}

/// Syncs, and notes what that promises.
pub(super) fn sync(partition: &Partition, ledger: &mut Ledger) -> Result<()> {
    let durable = partition.sync()?;
    assert_eq!(durable, partition.durable_offset());
    ledger.durable(partition, durable);
    Ok(())
}

/// Notes what every partition says is durable.
pub(super) fn note_durable(broker: &Broker, ledger: &mut Ledger) -> Result<()> {
    for name in broker.admin().list_topics()? {
        for partition in broker.topic(&name)?.partitions() {
            let partition = partition?;
            ledger.durable(&partition, partition.durable_offset());
        }
    }
    Ok(())
}
