//! Settings: Kafka's names and defaults, what is refused, and what is accepted without a meaning.

use std::sync::Arc;
use std::time::Duration;

use streamlog::{AutoOffsetReset, Broker, Error, IsolationLevel, RoundRobin, Sticky};

fn refusal(error: Error) -> (&'static str, String, String) {
    match error {
        Error::InvalidConfig { setting, value, reason } => (setting, value, reason),
        other => panic!("{other}"),
    }
}

#[test]
fn the_defaults_are_kafkas() {
    let broker = Broker::in_memory().unwrap();
    let written = broker.consumer().to_properties();
    let texts: Vec<_> = written.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let expected = [
        ("partition.assignment.strategy", "range,cooperative-sticky"),
        ("auto.commit.interval.ms", "5000"),
        ("max.poll.interval.ms", "300000"),
        ("session.timeout.ms", "45000"),
        ("heartbeat.interval.ms", "3000"),
        ("auto.offset.reset", "latest"),
        ("isolation.level", "read_uncommitted"),
        ("max.poll.records", "500"),
        ("fetch.min.bytes", "1"),
        ("fetch.max.bytes", "52428800"),
        ("fetch.max.wait.ms", "500"),
        ("max.partition.fetch.bytes", "1048576"),
        ("check.crcs", "true"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn what_was_set_is_written_and_reads_back() {
    let broker = Broker::in_memory().unwrap();
    let resets = [
        AutoOffsetReset::Earliest,
        AutoOffsetReset::Latest,
        AutoOffsetReset::None,
        AutoOffsetReset::ByDuration(Duration::from_millis(90_500)),
    ];
    let levels =
        [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted, IsolationLevel::ReadDurable];
    for reset in resets {
        for level in levels {
            let builder = broker.consumer().auto_offset_reset(reset).isolation(level);
            let builder = builder.max_poll_records(usize::MAX).fetch_min_bytes(2).fetch_max_bytes(3);
            let builder = builder.fetch_max_wait(Duration::from_millis(4)).max_partition_fetch_bytes(5);
            let builder = builder.assignors([Arc::new(Sticky) as _, Arc::new(RoundRobin) as _]);
            let builder = builder.auto_commit(Some(Duration::from_millis(6)));
            let builder = builder.max_poll_interval(Duration::from_millis(7));
            let builder = builder.session_timeout(Duration::from_millis(9));
            let builder = builder.heartbeat_interval(Duration::from_millis(8));
            let own = ["group.id", "group.instance.id", "client.id", "client.rack", "enable.auto.commit"];
            let builder = builder.group("g").group_instance_id("i").client_id("c").client_rack("r");
            let written = builder.check_crcs(false).to_properties();
            let defaults = broker.consumer().to_properties();
            assert_eq!(written.len(), defaults.len() + own.len());
            assert!(own.iter().all(|own| written.iter().any(|(name, _)| name == own)));
            let choices = ["auto.offset.reset", "isolation.level"];
            let is_same =
                |default: &&(&str, String)| written.contains(default) && !choices.contains(&default.0);
            assert_eq!(defaults.iter().find(is_same), None);
            let read = broker.consumer().properties(written.clone()).unwrap();
            assert_eq!(read.to_properties(), written);
            assert!(read.ignored().is_empty());
        }
    }
}

#[test]
fn what_means_nothing_here_is_accepted_and_told() {
    let broker = Broker::in_memory().unwrap();
    let pairs = [
        ("group.protocol", "classic"),
        ("check.crcs", "FALSE"),
        ("ssl.keystore.type", "JKS"),
        ("client.id", "c"),
    ];
    let builder = broker.consumer().properties(pairs).unwrap();
    let builder = builder.properties([("sasl.mechanism", "PLAIN")]).unwrap();
    assert_eq!(builder.ignored(), ["group.protocol", "ssl.keystore.type", "sasl.mechanism"]);
    builder.build().unwrap();
}

#[test]
fn what_cannot_be_is_refused_by_kafkas_name() {
    let broker = Broker::in_memory().unwrap();
    let told = refusal(broker.consumer().max_poll_records(0).build().unwrap_err());
    assert_eq!(told, ("max.poll.records", "0".to_owned(), "must be 1 or more".to_owned()));
    let told = refusal(broker.consumer().properties([("max.poll.records", "0")]).unwrap_err());
    assert_eq!(told.2, "must be a whole number, 1 or more");
    let contradiction = broker.consumer().fetch_min_bytes(11).fetch_max_bytes(10);
    let told = refusal(contradiction.build().unwrap_err());
    assert_eq!(told, ("fetch.min.bytes", "11".to_owned(), "must be at most fetch.max.bytes, 10".to_owned()));
    broker.consumer().fetch_min_bytes(10).fetch_max_bytes(10).build().unwrap();
    broker.consumer().fetch_max_bytes(0).build().unwrap();

    for (name, value) in [
        ("auto.offset.reset", "newest"),
        ("auto.offset.reset", "by_duration:-PT1H"),
        ("isolation.level", "serializable"),
        ("max.poll.records", "0"),
        ("fetch.max.wait.ms", "-1"),
        ("partition.assignment.strategy", "range,newest"),
        ("partition.assignment.strategy", ""),
        ("enable.auto.commit", "maybe"),
        ("max.poll.interval.ms", "0"),
    ] {
        let told = refusal(broker.consumer().properties([(name, value)]).unwrap_err());
        assert_eq!((told.0, told.1.as_str()), (name, value));
    }
    let error = broker.consumer().properties([("max.poll.record", "1")]).unwrap_err();
    assert!(error.to_string().contains("max.poll.records"), "{error}");
}

#[test]
fn assignors_are_read_by_name_and_by_kafkas_class() {
    let broker = Broker::in_memory().unwrap();
    let class = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor, roundrobin";
    let builder = broker.consumer().properties([("partition.assignment.strategy", class)]).unwrap();
    let written = builder.to_properties();
    assert!(written.contains(&("partition.assignment.strategy", "cooperative-sticky,roundrobin".to_owned())));
}

#[test]
fn a_closed_broker_makes_no_consumer() {
    let broker = Broker::in_memory().unwrap();
    let builder = broker.consumer();
    broker.close().unwrap();
    assert!(matches!(builder.build(), Err(Error::Closed)));
}
