//! From nothing to the first record: a broker opened, a topic created, a record sent, acknowledged and consumed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Broker, BrokerBuilder, Consumer, PartitionId, Producer, Record, TopicConfig,
    TopicPartition,
};

use crate::harness::{
    Case, Counting, Outcome, Settings, SyncKind, TOPIC, Table, Target, Unit, create_partition, median,
    no_bare, seconds,
};

/// In memory, and in a new directory against the same syncs, of small files and of directories, as that
/// makes: both with the wait for the record.
pub(crate) fn first_record(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let count = settings.sized(64);
    let repeated = |mut run: Box<dyn FnMut() -> Outcome<f64>>| {
        let milliseconds = (0..count).map(|_| Ok(run()? * 1e3)).collect::<Outcome<Vec<f64>>>()?;
        Ok(median(&milliseconds))
    };
    let in_memory = || repeated(Box::new(|| first(Broker::builder().in_memory())));
    let syncs = syncs_on_disk(settings)?;
    let on_disk = || {
        let scratch = settings.scratch()?;
        let path = scratch.path().to_path_buf();
        let mut number = 0;
        repeated(Box::new(move || {
            number += 1;
            first(Broker::builder().log_dir(path.join(format!("data-{number}"))))
        }))
    };
    let bare = || {
        let scratch = settings.scratch()?;
        let (path, syncs) = (scratch.path().to_path_buf(), syncs.clone());
        let mut number = 0;
        repeated(Box::new(move || {
            number += 1;
            bare_syncs(&path.join(format!("bare-{number}")), &syncs)
        }))
    };
    let bare_name = format!("{} bare syncs", syncs.len());
    table.measure(vec![
        no_bare("first_record, in memory", Unit::Milliseconds, in_memory, Target::ValueAtMost(1.0)),
        Case::new(
            "first_record, new directory, acks=all",
            Unit::Milliseconds,
            on_disk,
            (&bare_name, bare),
            Target::RatioAtMost(1.5),
        ),
    ])?;
    let files = syncs.iter().filter(|sync| matches!(sync, SyncKind::File(_))).count();
    let known =
        syncs.iter().filter(|sync| matches!(sync, SyncKind::Directory(path) | SyncKind::NewName(path) if is_above(path, settings)));
    table.note(&format!(
        "median of {count}; syncs of files: {files}, of directories: {}, of those above the log directory: {}",
        syncs.len() - files,
        known.count(),
    ));
    Ok(())
}

/// Whether a directory was there before the log directory.
fn is_above(path: &Path, settings: &Settings) -> bool {
    settings.directory().starts_with(path) || path.parent() == Some(settings.directory())
}

/// What is synced on the way.
fn syncs_on_disk(settings: &Settings) -> Outcome<Vec<SyncKind>> {
    let (scratch, storage) = (settings.scratch()?, Counting::new());
    let opened =
        open_and_consume(Broker::builder().log_dir(scratch.path().join("data")).storage(storage.clone()))?;
    let syncs = storage.syncs();
    drop(opened);
    Ok(syncs)
}

/// How many seconds it takes; the end of it all is not counted.
fn first(builder: BrokerBuilder) -> Outcome<f64> {
    let (_opened, elapsed) = seconds(|| open_and_consume(builder))?;
    Ok(elapsed)
}

fn open_and_consume(builder: BrokerBuilder) -> Outcome<(Consumer, Producer)> {
    let broker = builder.open()?;
    create_partition(&broker, TopicConfig::default())?;
    let producer = broker.producer().build()?;
    producer.send(Record::to(TOPIC).value("first"))?.wait()?;
    let mut consumer = broker.consumer().auto_offset_reset(AutoOffsetReset::Earliest).build()?;
    consumer.assign([TopicPartition::new(TOPIC, PartitionId::ZERO)])?;
    let records = consumer.poll(Duration::from_secs(10))?;
    let is_right = records.iter().next().is_some_and(|record| record.value() == Some(b"first"));
    if is_right { Ok((consumer, producer)) } else { Err("the first record did not come".into()) }
}

/// How many seconds it takes to make `directory` and, in the same order, as many syncs: of a small file that is new or has
/// grown, as it was, and of directories, with a new name where there was one.
fn bare_syncs(directory: &Path, syncs: &[SyncKind]) -> Outcome<f64> {
    let ((), elapsed) = seconds(|| {
        std::fs::create_dir(directory)?;
        let mut files: BTreeMap<&Path, File> = BTreeMap::new();
        for (number, sync) in syncs.iter().enumerate() {
            match sync {
                SyncKind::File(path) => {
                    let name = directory.join(format!("file-{}", files.len()));
                    let file = match files.entry(path) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(File::create_new(name)?),
                    };
                    file.write_all(&[0x5a; 100])?;
                    file.sync_data()?;
                }
                SyncKind::Directory(path) if directory.starts_with(path) => File::open(path)?.sync_all()?,
                SyncKind::Directory(_) => File::open(directory)?.sync_all()?,
                SyncKind::NewName(_) => {
                    File::create_new(directory.join(format!("name-{number}")))?;
                    File::open(directory)?.sync_all()?;
                }
            }
        }
        Ok(())
    })?;
    Ok(elapsed)
}
