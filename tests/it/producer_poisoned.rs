//! A sync that fails under a producer: who is told, and who is not concerned.

use std::time::Duration;

use streamlog::testing::{Calls, Fault};
use streamlog::{Acks, Delivery, Error, Offset, Record, RecordMetadata, Result};

use crate::kit::{Faulty, Ran, values};

fn check_poisoned(told: Result<RecordMetadata>, expected_durable: u64) {
    match told {
        Err(Error::DeliveryFailed { topic, partition, source }) => {
            assert_eq!((topic.as_str(), u32::from(partition)), ("t", 0));
            match &*source {
                Error::Poisoned { durable, source, .. } => {
                    assert_eq!(*durable, expected_durable);
                    assert!(matches!(**source, Error::Io { op: "sync", .. }), "{source:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

/// A way to learn what became of a record.
type Ask = fn(Delivery) -> Result<RecordMetadata>;

#[test]
fn a_failed_sync_fails_what_waited_for_it_and_no_other_partition() {
    let asks: [(&str, Ask); 3] = [
        ("wait", Delivery::wait),
        ("wait_timeout", |mut delivery| delivery.wait_timeout(Duration::ZERO).map(Option::unwrap)),
        ("await", |delivery| Ran::new(delivery).ready()),
    ];
    for (name, ask) in asks {
        let stage = Faulty::new(2);
        let producer = stage.broker.producer().build().unwrap();
        let send = |partition, value: &str| {
            producer.send(Record::to("t").partition(partition).value(value)).unwrap()
        };
        assert_eq!(ask(send(0, "durable")).unwrap().offset, Some(Offset::ZERO), "{name}");
        let (earlier, kept) = (send(0, "appended"), ask(send(1, "other")));
        assert!(kept.is_ok());
        stage.disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
        check_poisoned(ask(earlier), 1);
        stage.heal();
        // It takes nothing any more, and says why at once.
        check_poisoned(ask(send(0, "late")), 1);
        assert_eq!(ask(send(1, "other")).unwrap().offset, Some(Offset::from(1)));
        assert_eq!(values(&stage.partition(0)), ["durable", "appended"]);
        // Who was told already is not told by a flush, however often.
        producer.flush().unwrap();
        producer.flush().unwrap();
        assert_eq!((stage.now_millis(), producer.buffered_bytes()), (0, 0));
        producer.close(Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn a_flush_tells_of_a_failed_sync_once() {
    let stage = Faulty::new(2);
    let producer = stage.broker.producer().linger(Duration::from_secs(1)).build().unwrap();
    for partition in [0, 1] {
        drop(producer.send(Record::to("t").partition(partition).value("v")).unwrap());
    }
    stage.disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
    check_poisoned(producer.flush().map(|()| unreachable!("it fails")), 0);
    assert_eq!(stage.partition(1).durable_offset(), 1);
    producer.flush().unwrap();
    drop(producer.send(Record::to("t").partition(1).value("v")).unwrap());
    producer.flush().unwrap();
    // Another record for it is another failure.
    drop(producer.send(Record::to("t").partition(0).value("v")).unwrap());
    check_poisoned(producer.flush().map(|()| unreachable!("it fails")), 0);
    producer.flush().unwrap();
}

#[test]
fn a_failed_sync_of_somebody_elses_records_is_not_this_producers() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().build().unwrap();
    drop(producer.send(Record::to("t").value("mine")).unwrap());
    producer.flush().unwrap();
    stage.partition(0).append(&[Record::new().value("another's")]).unwrap();
    stage.disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
    assert!(stage.partition(0).sync().is_err());
    producer.flush().unwrap();
    producer.close(Duration::from_secs(1)).unwrap();
}

#[test]
fn a_failed_sync_in_the_background_is_told_by_the_next_flush() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().linger(Duration::from_millis(5)).build().unwrap();
    drop(producer.send(Record::to("t").value("v")).unwrap());
    stage.disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
    stage.advance_millis(5);
    assert_eq!(
        (stage.partition(0).log_end_offset(), stage.partition(0).durable_offset()),
        (Offset::from(1), Offset::ZERO)
    );
    check_poisoned(producer.flush().map(|()| unreachable!("it fails")), 0);
    producer.flush().unwrap();
}

#[test]
fn who_does_not_wait_for_syncs_goes_on_until_the_partition_is_known_to_be_lost() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().acks(Acks::Leader).build().unwrap();
    stage.disk.inject(Fault::io().on(Calls::Syncs).of("t-0"));
    assert_eq!(producer.send(Record::to("t").value("a")).unwrap().wait().unwrap().offset, Some(Offset::ZERO));
    producer.flush().unwrap();
    assert!(stage.partition(0).sync().is_err());
    check_poisoned(producer.send(Record::to("t").value("b")).unwrap().wait(), 0);
}
