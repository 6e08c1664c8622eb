//! Hostile names and values for every config: the broker's, a topic's, a producer's and a consumer's.
//!
//! The first byte chooses the config; the rest is lines of `name=value`. Whatever they say: no panic, and a refusal tells only
//! a part of what was handed in. What was accepted comes out as properties and goes in again as the same; a broker takes it, or refuses it
//! by the name of a setting; and a topic keeps it over a restart.

use streamlog::{
    Broker, BrokerConfig, Error, ManualClock, MemoryStorage, NewTopic, Result, Timestamp, TopicConfig,
};

use super::files::{self, DATA, START};

/// How much of a refused name or value is told, at most: 100 characters of each, quoted and escaped, and what is allowed.
const TOLD_BYTES_MAX: usize = 4000;
/// More partitions are not created here, as each takes its time.
const PARTITIONS_MAX: u32 = 20;

type Pairs = Vec<(&'static str, String)>;

/// Tries one input.
pub fn run(data: &[u8]) {
    let Some((&kind, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let pairs: Vec<(&str, &str)> =
        text.lines().map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    let done = match kind % 4 {
        0 => broker(&pairs),
        1 => topic(&pairs),
        2 => producer(&pairs),
        _ => consumer(&pairs),
    };
    if let Err(error) = done {
        check_refusal(&error);
    }
}

fn broker(pairs: &[(&str, &str)]) -> Result<()> {
    let config = BrokerConfig::from_properties(pairs.iter().copied())?;
    check_ignored(config.ignored(), pairs);
    let properties = config.to_properties();
    check_taken(pairs, &properties);
    let again = BrokerConfig::from_properties(properties.clone())?;
    check_same(&properties, &again.to_properties());
    let partitions = config.num_partitions;
    let broker =
        Broker::builder().log_dir(DATA).storage(MemoryStorage::new()).clock(clock()).config(config).open()?;
    if partitions <= PARTITIONS_MAX {
        broker.admin().create_topic(NewTopic::new("t"))?;
    }
    broker.close()
}

fn topic(pairs: &[(&str, &str)]) -> Result<()> {
    let config = TopicConfig::from_properties(pairs.iter().copied())?;
    check_ignored(config.ignored(), pairs);
    let properties = config.to_properties();
    check_taken(pairs, &properties);
    check_same(&properties, &TopicConfig::from_properties(properties.clone())?.to_properties());
    let again = TopicConfig::from_properties(config.overrides())?;
    check_same(&config.overrides(), &again.overrides());
    check_same(&properties, &again.to_properties());

    let storage = MemoryStorage::new();
    let (broker, _) = files::open(&storage)?;
    broker.admin().create_topic(NewTopic::new("t").config(config.clone()))?;
    broker.admin().create_topic(NewTopic::new("u"))?;
    broker.admin().alter_topic_config("u", config.clone(), &[])?;
    broker.close()?;
    drop(broker);
    let (broker, _) = files::open(&storage)?;
    for name in ["t", "u"] {
        let kept = broker.topic(name)?.config().overrides();
        check_same(&config.overrides(), &kept);
    }
    let names: Vec<&str> = config.overrides().iter().map(|(name, _)| *name).collect();
    broker.admin().alter_topic_config("t", TopicConfig::default(), &names)?;
    check_same(&Pairs::new(), &broker.topic("t")?.config().overrides());
    broker.close()
}

fn producer(pairs: &[(&str, &str)]) -> Result<()> {
    let (broker, _) = files::open(&MemoryStorage::new())?;
    let builder = broker.producer().properties(pairs.iter().copied())?;
    check_ignored(builder.ignored(), pairs);
    let properties = builder.to_properties();
    check_taken(pairs, &properties);
    let again = broker.producer().properties(properties.clone())?;
    check_same(&properties, &again.to_properties());
    let (built, again) = (builder.build().map(drop), again.build().map(drop));
    // What one of them refuses the other does as well.
    assert_eq!(built.is_ok(), again.is_ok(), "{built:?}, {again:?}");
    built
}

fn consumer(pairs: &[(&str, &str)]) -> Result<()> {
    let (broker, _) = files::open(&MemoryStorage::new())?;
    let builder = broker.consumer().properties(pairs.iter().copied())?;
    check_ignored(builder.ignored(), pairs);
    let properties = builder.to_properties();
    check_taken(pairs, &properties);
    let again = broker.consumer().properties(properties.clone())?;
    check_same(&properties, &again.to_properties());
    let (built, again) = (builder.build().map(drop), again.build().map(drop));
    assert_eq!(built.is_ok(), again.is_ok(), "{built:?}, {again:?}");
    built
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(START))
}

#[track_caller]
fn check_same(written: &Pairs, read: &Pairs) {
    assert_eq!(written, read, "what was written does not read back");
}

/// A number that was accepted is the one that is in force. Of one name, the last counts.
fn check_taken(pairs: &[(&str, &str)], properties: &Pairs) {
    for (name, value) in properties {
        let given =
            pairs.iter().rev().find(|(given, _)| given.trim() == *name).map(|(_, value)| value.trim());
        if let Some(given) =
            given.filter(|given| given.parse::<u64>().is_ok_and(|number| number.to_string() == *given))
        {
            assert_eq!(given, value, "for {name}");
        }
    }
}

/// What means nothing is told by the name that was handed in.
fn check_ignored(ignored: &[String], pairs: &[(&str, &str)]) {
    assert!(ignored.iter().all(|name| pairs.iter().any(|(given, _)| given.trim() == name)));
}

/// A refusal is about a setting, and is short.
fn check_refusal(error: &Error) {
    assert!(
        matches!(
            error,
            Error::InvalidConfig { .. }
                | Error::UnknownSetting { .. }
                | Error::InvalidGroupId { .. }
                | Error::CodecDisabled { .. }
        ),
        "{error:?}"
    );
    assert!(error.to_string().len() <= TOLD_BYTES_MAX, "{error}");
}
