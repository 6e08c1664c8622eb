//! Kafka's properties: every name, its default, what it takes and refuses; whose setting a topic goes by; changing it.

use std::thread;
use std::time::Duration;

use streamlog::{
    Broker, BrokerConfig, Error, NewTopic, Record, TimestampType, TopicCompression, TopicConfig,
};

use crate::kit::{Place, day_long, values};

/// A setting of a topic: its name, Kafka's default, its broker-wide name, other values that it takes, and what it does not.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const MAX: &str = "9223372036854775807";

const TOPIC: &[Row] = &[
    (
        "segment.bytes",
        "1073741824",
        "log.segment.bytes",
        &["1024", "2147483647"],
        &["", "1023", "2147483648", "1.5", "1k"],
    ),
    ("segment.ms", "604800000", "log.roll.ms", &["1", MAX], &["0", "1 ms", "9223372036854775808"]),
    ("segment.jitter.ms", "0", "log.roll.jitter.ms", &["5", MAX], &["-1", "x"]),
    ("segment.index.bytes", "10485760", "log.index.size.max.bytes", &["24"], &["23", "2147483648"]),
    ("index.interval.bytes", "4096", "log.index.interval.bytes", &["0", "1"], &["-1", "2147483648"]),
    ("max.message.bytes", "1048588", "message.max.bytes", &["0", "100"], &["-1", "2147483648"]),
    ("compression.type", "producer", "compression.type", &["uncompressed"], &["none", "Producer", "zip"]),
    ("compression.gzip.level", "-1", "compression.gzip.level", &["1", "9"], &["0", "10", "x"]),
    ("compression.zstd.level", "3", "compression.zstd.level", &["-131072", "22"], &["23", "x"]),
    (
        "message.timestamp.type",
        "CreateTime",
        "log.message.timestamp.type",
        &["LogAppendTime"],
        &["createtime", ""],
    ),
    (
        "message.timestamp.before.max.ms",
        MAX,
        "log.message.timestamp.before.max.ms",
        &["0", "1000"],
        &["-1", "x"],
    ),
    (
        "message.timestamp.after.max.ms",
        "3600000",
        "log.message.timestamp.after.max.ms",
        &["0", MAX],
        &["-1", "x"],
    ),
    ("flush.messages", MAX, "log.flush.interval.messages", &["1", "1000"], &["0", "x"]),
    ("flush.ms", MAX, "log.flush.interval.ms", &["0", "1000"], &["-1", "x"]),
    ("preallocate", "false", "log.preallocate", &["true"], &["yes", "1", ""]),
];

/// The settings of a broker that are not its topics'; where a default is not Kafka's, the type says so.
const BROKER: &[(&str, &str, &[&str], &[&str])] = &[
    ("auto.create.topics.enable", "false", &["true"], &["on"]),
    ("num.partitions", "1", &["7", "10000"], &["0", "10001"]),
    ("delete.topic.enable", "true", &["false"], &["on"]),
    ("log.flush.offset.checkpoint.interval.ms", "60000", &["1"], &["-1", "0", "x"]),
    ("group.initial.rebalance.delay.ms", "0", &["3000"], &["-1", "x"]),
    ("group.min.session.timeout.ms", "6000", &["1"], &["-1"]),
    ("group.max.session.timeout.ms", "1800000", &["6000", "3600000"], &["-1"]),
    ("group.max.size", "2147483647", &["1"], &["0", "-1"]),
    ("offset.metadata.max.bytes", "4096", &["0", "1"], &["-1"]),
    ("offsets.commit.required.acks", "all", &["1"], &["2"]),
    ("offsets.retention.minutes", "10080", &["1", "2147483647"], &["0", "2147483648"]),
    ("offsets.retention.check.interval.ms", "600000", &["1"], &["0"]),
    ("offsets.topic.num.partitions", "1", &["50", "10000"], &["0", "10001"]),
    ("offsets.topic.segment.bytes", "104857600", &["1048576"], &["0"]),
];

fn text(properties: &[(&'static str, String)], name: &str) -> String {
    let found: Vec<_> = properties.iter().filter(|(other, _)| *other == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].1.clone()
}

fn check_refused<C: std::fmt::Debug>(result: Result<C, Error>, name: &str, value: &str) {
    let error = result.unwrap_err();
    let is_named = matches!(&error, Error::InvalidConfig { setting, value: told, reason }
        if *setting == name && told == value && reason.starts_with("must be "));
    assert!(is_named, "{name}={value}: {error}");
    assert_eq!(error.kafka_code(), Some(40));
}

#[test]
fn every_topic_property_has_kafkas_default_and_reads_back() {
    let defaults = TopicConfig::default().to_properties();
    assert_eq!(defaults.len(), TOPIC.len(), "the table is whole");
    for (name, default, _, others, refused) in TOPIC {
        assert_eq!(text(&defaults, name), *default, "{name}");
        for value in others.iter().chain([default]) {
            let config = TopicConfig::from_properties([(*name, *value)]).unwrap();
            assert_eq!(text(&config.to_properties(), name), *value);
            assert_eq!(config.overrides(), [(*name, (*value).to_owned())]);
            assert_eq!(TopicConfig::from_properties(config.overrides()).unwrap(), config);
            Place::memory().begin(config);
        }
        for value in *refused {
            check_refused(TopicConfig::from_properties([(name, value)]), name, value);
        }
    }
}

#[test]
fn every_broker_property_has_its_default_and_reads_back() {
    let defaults = BrokerConfig::default().to_properties();
    assert_eq!(defaults.len(), TOPIC.len() + BROKER.len(), "the tables are whole");
    let topics = TOPIC.iter().map(|(_, default, name, others, refused)| (name, default, others, refused));
    let own = BROKER.iter().map(|(name, default, others, refused)| (name, default, others, refused));
    for (name, default, others, refused) in topics.chain(own) {
        assert_eq!(text(&defaults, name), *default, "{name}");
        for value in others.iter().chain([default]) {
            let config = BrokerConfig::from_properties([(*name, *value)]).unwrap();
            assert_eq!(text(&config.to_properties(), name), *value);
            Broker::builder().in_memory().config(config).open().unwrap();
        }
        for value in *refused {
            check_refused(BrokerConfig::from_properties([(name, value)]), name, value);
        }
    }
}

#[test]
fn a_bound_is_told_as_it_is() {
    let told = |result: Result<TopicConfig, Error>| result.unwrap_err().to_string();
    let bounds = [
        ("segment.bytes", "5", "must be a whole number from 1024 to 2147483647"),
        ("flush.messages", "0", "must be a whole number from 1 to 9223372036854775807"),
        ("segment.ms", "0", "must be a whole number of milliseconds from 1 to 9223372036854775807"),
        ("compression.gzip.level", "10", "must be -1 or 1 to 9"),
        ("compression.zstd.level", "23", "must be -131072 to 22"),
    ];
    for (name, value, reason) in bounds {
        let text = format!("invalid value {value} for {name}: {reason}");
        assert_eq!(told(TopicConfig::from_properties([(name, value)])), text);
    }
    let error = BrokerConfig::from_properties([("num.partitions", "10001")]).unwrap_err();
    assert!(error.to_string().ends_with("must be a whole number from 1 to 10000"), "{error}");
}

#[test]
fn milliseconds_beat_hours_in_either_order() {
    for pairs in
        [[("log.roll.hours", "2"), ("log.roll.ms", "7")], [("log.roll.ms", "7"), ("log.roll.hours", "2")]]
    {
        let config = BrokerConfig::from_properties(pairs).unwrap();
        assert_eq!(config.topic_defaults.segment_age, Duration::from_millis(7));
    }
    let hours = [("log.roll.hours", "2"), ("log.roll.jitter.hours", "1")];
    let config = BrokerConfig::from_properties(hours).unwrap().topic_defaults;
    assert_eq!(config.segment_age, Duration::from_secs(7200));
    assert_eq!(config.segment_jitter, Duration::from_secs(3600));
    assert!(
        BrokerConfig::from_properties([("log.roll.hours", MAX)]).is_err(),
        "more milliseconds than there are"
    );
}

#[test]
fn an_unknown_name_is_an_error_that_tells_the_nearest() {
    let topic_names = TOPIC.iter().map(|row| row.0);
    let broker_names = TOPIC.iter().map(|row| row.2).chain(BROKER.iter().map(|row| row.0));
    let topic = |name: &str| TopicConfig::from_properties([(name, "1")]).map(drop);
    let broker = |name: &str| BrokerConfig::from_properties([(name, "1")]).map(drop);
    type Read<'a> = &'a dyn Fn(&str) -> Result<(), Error>;
    let cases = topic_names.map(|name| (name, &topic as Read<'_>));
    for (name, read) in cases.chain(broker_names.map(|name| (name, &broker as Read<'_>))) {
        for (at, _) in name.char_indices() {
            let (before, after) = name.split_at(at);
            for wrong in [
                format!("{before}{}", &after[1..]),
                format!("{before}~{after}"),
                format!("{before}~{}", &after[1..]),
            ] {
                match read(&wrong).unwrap_err() {
                    Error::UnknownSetting { name: told, nearest: Some(nearest) } => {
                        assert_eq!((told.as_str(), nearest.as_str()), (wrong.as_str(), name));
                    }
                    error => panic!("{wrong}: {error:?}"),
                }
            }
        }
    }
    let error = topic("nothing.of.the.sort").unwrap_err();
    assert!(matches!(error, Error::UnknownSetting { nearest: None, .. }), "{error}");
    assert!(topic(&"segment.bytes".repeat(100_000)).unwrap_err().to_string().len() < 200);
    assert_eq!(error.kafka_code(), Some(40));
}

#[test]
fn what_means_nothing_here_is_told() {
    let pairs = [("unclean.leader.election.enable", "x"), ("segment.bytes", "2048"), ("remote.log.any", "y")];
    let config = TopicConfig::from_properties(pairs).unwrap();
    assert_eq!(config.ignored(), ["unclean.leader.election.enable", "remote.log.any"]);
    let pairs = [("ssl.keystore.location", "x"), ("log.segment.bytes", "2048"), ("log.dirs", "/data")];
    let config = BrokerConfig::from_properties(pairs).unwrap();
    assert_eq!(config.ignored(), ["ssl.keystore.location", "log.dirs"]);
    assert_eq!(config.topic_defaults.segment_bytes, 2048);
}

#[test]
fn a_broker_with_defaults_out_of_bounds_does_not_open() {
    let config = BrokerConfig::default().topic_defaults(TopicConfig::default().segment_bytes(5));
    let error = Broker::builder().in_memory().config(config).open().unwrap_err();
    assert!(matches!(error, Error::InvalidConfig { setting: "segment.bytes", .. }), "{error}");
    let error =
        Broker::builder().in_memory().config(BrokerConfig::default().num_partitions(0)).open().unwrap_err();
    assert!(matches!(error, Error::InvalidConfig { setting: "num.partitions", .. }), "{error}");
}

#[test]
fn a_topic_follows_the_brokers_defaults_but_for_its_own() {
    for place in Place::both() {
        let defaults =
            |bytes| TopicConfig::default().segment_bytes(bytes).segment_jitter(Duration::from_millis(3));
        let place = place.config(|config| config.topic_defaults(defaults(5000)));
        // Its own, though it is what the default is; and by an assignment.
        let mut config = TopicConfig::default().segment_bytes(5000);
        config.flush_messages = Some(9);
        let broker = place.open();
        broker.admin().create_topic(NewTopic::new("own").config(config)).unwrap();
        broker.admin().create_topic(NewTopic::new("plain")).unwrap();
        let check = |broker: &Broker, plain_bytes| {
            let (own, plain) = (broker.topic("own").unwrap(), broker.topic("plain").unwrap());
            let set = [("segment.bytes", "5000".to_owned()), ("flush.messages", "9".to_owned())];
            assert_eq!(own.config().overrides(), set);
            assert_eq!(plain.config().overrides(), []);
            assert_eq!((own.config().segment_bytes, plain.config().segment_bytes), (5000, plain_bytes));
            assert_eq!(plain.config().segment_jitter, Duration::from_millis(3));
        };
        check(&broker, 5000);
        broker.close().unwrap();
        let place = place.config(|config| config.topic_defaults(defaults(1024)));
        let broker = place.open();
        check(&broker, 1024);
        let plain = broker.topic("plain").unwrap().partition(0).unwrap();
        plain.append(&[Record::new().value(&[7; 900])]).unwrap();
        plain.append(&[Record::new().value(&[7; 900])]).unwrap();
        assert_eq!(plain.segments().len(), 2, "the log works by the default of now");
    }
}

#[test]
fn an_altered_topic_works_by_the_new_settings_at_once_and_for_ever() {
    for place in Place::both() {
        let (broker, partition) =
            place.begin(TopicConfig::default().index_interval_bytes(77).preallocate(false));
        let old = broker.topic("t").unwrap();
        let append = |bytes: usize| partition.append(&[Record::new().value(&vec![1; bytes])]);
        append(2000).unwrap();
        append(2000).unwrap();
        assert_eq!(partition.segments().len(), 1);
        let changes =
            TopicConfig::from_properties([("segment.bytes", "3000"), ("max.message.bytes", "2500")]);
        let new =
            broker.admin().alter_topic_config("t", changes.unwrap(), &["index.interval.bytes"]).unwrap();
        append(2000).unwrap();
        assert_eq!(partition.segments().len(), 2);
        assert!(matches!(append(2600), Err(Error::BatchTooLarge { limit: 2500, .. })));
        assert_eq!(old.config().segment_bytes, 1 << 30, "a handle shows what was when it was taken");
        let set = [("segment.bytes", "3000"), ("max.message.bytes", "2500"), ("preallocate", "false")]
            .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(new.config().overrides(), set);
        assert_eq!(new.config().index_interval_bytes, 4096);
        assert_eq!(broker.admin().describe_topic("t").unwrap().config, *new.config());
        let id = new.id();
        drop((broker, partition, old, new));
        let (broker, partition) = place.resume();
        let topic = broker.topic("t").unwrap();
        assert_eq!((topic.id(), topic.config().overrides()), (id, set.to_vec()));
        assert_eq!(partition.log_end_offset(), 3);
        assert!(broker.recovery_report().was_clean);
    }
}

#[test]
fn partitions_that_come_later_work_by_the_altered_settings_too() {
    for place in Place::both() {
        let (broker, _) = place.begin(TopicConfig::default());
        let admin = broker.admin();
        admin.alter_topic_config("t", TopicConfig::default().flush_messages(1), &[]).unwrap();
        admin.create_partitions("t", 2).unwrap();
        let check = |broker: &Broker| {
            let topic = broker.topic("t").unwrap();
            assert_eq!(topic.config().overrides(), [("flush.messages", "1".to_owned())]);
            for partition in topic.partitions().map(Result::unwrap) {
                let end = partition.append(&[Record::new().value("v")]).unwrap().end;
                assert_eq!(partition.durable_offset(), end);
            }
        };
        check(&broker);
        drop((broker, admin));
        check(&place.open());
    }
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let place = Place::memory();
    let (broker, _) = place.begin(TopicConfig::default().segment_bytes(4096));
    let (admin, before) = (broker.admin(), broker.metrics());
    let good = || TopicConfig::default().flush_messages(3);
    let alter = |name: &str, changes: TopicConfig, reset: &[&str]| {
        admin.alter_topic_config(name, changes, reset).unwrap_err().to_string()
    };
    assert_eq!(alter("u", good(), &[]), r#"unknown topic "u""#);
    assert!(alter("__topic_catalog", good(), &[]).starts_with("invalid topic name \"__topic_catalog\""));
    let unknown = r#"unknown setting "segment.byte": did you mean "segment.bytes"?"#;
    assert_eq!(alter("t", good(), &["segment.byte"]), unknown);
    assert!(alter("t", good().segment_bytes(1), &[]).contains("segment.bytes: must be 1024 to"));
    // Also one that asks for what is.
    admin
        .alter_topic_config("t", TopicConfig::default().segment_bytes(4096), &["flush.ms", "retention.ms"])
        .unwrap();
    assert_eq!(broker.topic("t").unwrap().config(), &TopicConfig::default().segment_bytes(4096));
    assert_eq!(broker.metrics(), before, "nothing was written");
    broker.close().unwrap();
    assert!(matches!(admin.alter_topic_config("t", good(), &[]), Err(Error::Closed)));
}

#[test]
fn changes_at_once_are_all_made() {
    for place in Place::both() {
        let (broker, partition) = place.begin(TopicConfig::default());
        let changes = [
            TopicConfig::default().segment_bytes(2000),
            TopicConfig::default().segment_jitter(Duration::from_millis(1)),
            TopicConfig::default().max_message_bytes(1000),
            TopicConfig::default().flush_messages(4),
            TopicConfig::default().timestamp_type(TimestampType::Append),
            TopicConfig::default().preallocate(true),
        ];
        thread::scope(|scope| {
            for changes in changes.clone() {
                let admin = broker.admin();
                scope.spawn(move || admin.alter_topic_config("t", changes, &[]).unwrap());
            }
            for _ in 0..30 {
                partition.append(&[Record::new().value("v")]).unwrap();
            }
        });
        let check = |broker: &Broker| {
            let overrides = broker.topic("t").unwrap().config().overrides();
            assert_eq!(overrides.len(), changes.len(), "{overrides:?}");
        };
        check(&broker);
        place.clock.advance(day_long());
        drop((broker, partition));
        let (broker, partition) = place.resume();
        check(&broker);
        assert_eq!(values(&partition).len(), 30);
    }
}

#[test]
fn a_codec_that_is_not_built_in_is_refused() {
    for compression in ["gzip", "snappy", "lz4", "zstd"] {
        let codec: streamlog::Compression = compression.parse().unwrap();
        let config = TopicConfig::from_properties([("compression.type", compression)]).unwrap();
        assert_eq!(config.compression, TopicCompression::Codec(codec));
        let broker = Broker::in_memory().unwrap();
        let created = broker.admin().create_topic(NewTopic::new("t").config(config));
        match codec.is_available() {
            true => drop(created.unwrap()),
            false => assert!(matches!(created, Err(Error::CodecDisabled { codec }) if codec == compression)),
        }
    }
}
