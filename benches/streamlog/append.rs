//! Appending without a wait for the device: many records a call, and one alone.

use streamlog::{Broker, BrokerConfig, TopicConfig};

use crate::harness::{
    BLOCK_BYTES, BareFile, Case, Contents, Outcome, Settings, Table, Target, Unit, Values, append_all,
    create_partition, encoded_bytes, median, median_write, read_pass, seconds,
};

/// From here on, as [`calls`] finds it, larger calls gain little. They can even lose: the page cache takes larger pages for
/// them, which a virtual machine may first have to be given.
const CALL_RECORDS: usize = 1_000;

/// Much appended in large calls, against blocks written into an allocated file: payload per second.
pub(crate) fn bulk(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(256 << 20);
    let mut cases = Vec::new();
    for (value_bytes, least) in [(100, 0.15), (1 << 10, 0.25)] {
        let defaults = BrokerConfig::default();
        let name = format!("append_bulk {value_bytes} B");
        cases.push(case(
            settings,
            name,
            (value_bytes, CALL_RECORDS),
            bytes,
            &defaults,
            Target::RatioAtLeast(least),
        ));
        let no_checkpoints = BrokerConfig::default().checkpoint_bytes(u64::MAX);
        let name = format!("append_bulk {value_bytes} B, no checkpoint");
        cases.push(case(settings, name, (value_bytes, CALL_RECORDS), bytes, &no_checkpoints, Target::None));
    }
    table.measure(cases)?;
    table.note(&format!(
        "{} MiB a run in calls of {CALL_RECORDS} records; a checkpoint syncs every 64 MiB",
        bytes >> 20
    ));
    Ok(())
}

/// Which size of call is best.
pub(crate) fn calls(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let bytes = settings.sized(64 << 20);
    let config = BrokerConfig::default().checkpoint_bytes(u64::MAX);
    let sizes: [(usize, &[usize]); 2] =
        [(100, &[1, 10, 100, 300, 600, 1_000, 3_000, 10_000]), (1 << 10, &[1, 10, 60, 120, 1_000])];
    let cases = sizes.iter().flat_map(|&(value_bytes, counts)| {
        let config = &config;
        counts.iter().map(move |&count| {
            let name = format!("append_calls {value_bytes} B x {count}");
            case(settings, name, (value_bytes, count), bytes, config, Target::None)
        })
    });
    table.measure(cases.collect())
}

fn case<'a>(
    settings: &'a Settings,
    name: String,
    (value_bytes, call_records): (usize, usize),
    bytes: u64,
    config: &BrokerConfig,
    target: Target,
) -> Case<'a> {
    let values = Values::new(value_bytes, call_records);
    let calls = bytes.div_ceil((value_bytes * call_records) as u64);
    let config = config.clone();
    let mut is_first = true;
    let candidate = move || {
        let scratch = settings.scratch()?;
        let broker = Broker::builder().log_dir(scratch.path()).config(config.clone()).open()?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let ((), elapsed) = seconds(|| append_all(&partition, &values, calls))?;
        let expected = Contents::of(&values, calls);
        assert_eq!(partition.log_end_offset(), expected.records, "every record got its offset");
        if std::mem::take(&mut is_first) {
            let pass = read_pass(&partition, partition.log_start_offset(), partition.log_end_offset())?;
            assert_eq!(pass.contents, expected, "what was appended is there");
        }
        Ok(expected.value_bytes as f64 / 1e6 / elapsed)
    };
    let noise = vec![0x5a; BLOCK_BYTES];
    let bare = move || {
        let scratch = settings.scratch()?;
        let mut file = BareFile::allocated(scratch.path(), bytes)?;
        let count = bytes.div_ceil(BLOCK_BYTES as u64);
        let ((), elapsed) = seconds(|| (0..count).try_for_each(|_| file.append(&noise)))?;
        Ok(file.end() as f64 / 1e6 / elapsed)
    };
    Case::new(name, Unit::MegabytesPerSecond, candidate, ("pwrite of 64 KiB, allocated", bare), target)
}

/// One record appended alone, against one write of as many bytes: the median latency.
pub(crate) fn one(settings: &Settings, table: &mut Table) -> Outcome<()> {
    const VALUE_BYTES: usize = 100;
    let count = settings.sized(50_000);
    let encoded_bytes = encoded_bytes(VALUE_BYTES)?;
    let candidate = || {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        let values = Values::new(VALUE_BYTES, 1);
        let records = values.records();
        let before = broker.metrics().bytes_appended;
        let mut latencies = Vec::new();
        for _ in 0..count {
            let (_, elapsed) = seconds(|| Ok(partition.append(&records)?))?;
            latencies.push(elapsed * 1e6);
        }
        assert_eq!(partition.log_end_offset(), count);
        assert_eq!(broker.metrics().bytes_appended - before, count * encoded_bytes);
        Ok(median(&latencies))
    };
    let bare = || median_write(settings, count, encoded_bytes);
    let name = format!("append_one {VALUE_BYTES} B");
    let target = Target::RatioAtMost(2.0);
    table.measure(vec![Case::new(
        name,
        Unit::Microseconds,
        candidate,
        ("pwrite, allocated", bare),
        target,
    )])?;
    table.note(&format!("{encoded_bytes} bytes a write, median of {count}"));
    Ok(())
}
