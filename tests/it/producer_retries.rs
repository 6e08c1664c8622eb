//! What is tried again, for how long, and that nothing is lost, doubled or overtaken by it.

use std::time::Duration;

use streamlog::testing::{Calls, Fault};
use streamlog::{Acks, Error, Offset, ProducerBuilder, Record, TopicConfig};

use crate::kit::{Faulty, values};

/// Batches of one record each.
fn single(builder: ProducerBuilder) -> ProducerBuilder {
    builder.batch_bytes(0).retry_backoff(Duration::from_millis(100)).retry_backoff_max(Duration::from_secs(1))
}

/// Sequences begin at 0 and go on without gap or repetition.
fn check_sequences(stage: &Faulty, partition: u32, id: Option<i64>) {
    let mut next = 0;
    for batch in stage.batches(partition) {
        assert_eq!((batch.producer_id(), batch.base_sequence()), (id, Some(next)));
        next += i32::try_from(batch.records().unwrap().len()).unwrap();
    }
}

#[test]
fn a_disk_that_has_space_again_later_takes_everything_in_order() {
    for failure in [Fault::full(), Fault::short_write()] {
        let stage = Faulty::new(2);
        let producer = single(stage.broker.producer()).build().unwrap();
        stage.disk.inject(failure.on(Calls::Writes).of("t-0"));
        let mut deliveries = Vec::new();
        for number in 0..12_u32 {
            let record = Record::to("t").partition(0);
            deliveries.push(producer.send(record.value(&number.to_string())).unwrap());
            // Another partition knows nothing of it.
            let other = producer.send(Record::to("t").partition(1).value("other")).unwrap();
            assert_eq!(other.wait().unwrap().offset, Some(Offset::from(number)));
        }
        stage.advance_millis(20_000);
        assert_eq!(stage.partition(0).log_end_offset(), 0);
        assert!(producer.buffered_bytes() > 0);
        stage.heal();
        stage.advance_millis(1200);
        for (number, delivery) in (0_u32..).zip(deliveries) {
            assert_eq!(delivery.wait().unwrap().offset, Some(Offset::from(number)));
        }
        let expected: Vec<_> = (0..12).map(|number| number.to_string()).collect();
        assert_eq!(values(&stage.partition(0)), expected);
        check_sequences(&stage, 0, producer.id());
        check_sequences(&stage, 1, producer.id());
        assert_eq!(producer.buffered_bytes(), 0);
    }
}

#[test]
fn who_waits_lets_the_pauses_pass() {
    let stage = Faulty::new(1);
    let timeout = Duration::from_secs(5);
    let producer = single(stage.broker.producer()).delivery_timeout(timeout).build().unwrap();
    stage.fill("t-0");
    let failed = producer.send(Record::to("t").value("a")).unwrap().wait();
    assert_eq!(stage.now_millis(), 5000);
    match failed {
        Err(Error::DeliveryFailed { source, .. }) => match &*source {
            // Pauses of about 100, 200, 400 and 800 ms, then a second each.
            Error::DeliveryTimeout { timeout: told, attempts, source } => {
                assert_eq!(*told, timeout);
                assert!((8..=11).contains(attempts), "{attempts}");
                assert!(source.is_storage_full());
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    stage.heal();
    assert_eq!(producer.send(Record::to("t").value("b")).unwrap().wait().unwrap().offset, Some(Offset::ZERO));
    check_sequences(&stage, 0, producer.id());
}

#[test]
fn a_wait_with_a_timeout_can_be_repeated() {
    let stage = Faulty::new(1);
    let producer = single(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    let mut delivery = producer.send(Record::to("t").value("a")).unwrap();
    assert_eq!(delivery.wait_timeout(Duration::ZERO).unwrap(), None);
    assert_eq!(delivery.wait_timeout(Duration::from_secs(3)).unwrap(), None);
    assert_eq!(stage.now_millis(), 3000);
    stage.heal();
    let metadata = delivery.wait_timeout(Duration::from_secs(3)).unwrap().unwrap();
    assert_eq!(metadata.offset, Some(Offset::ZERO));
    assert!(stage.now_millis() < 4300);
    assert_eq!(delivery.wait_timeout(Duration::ZERO).unwrap(), Some(metadata));
}

#[test]
fn each_batch_is_tried_as_often_as_retries_say_and_no_more() {
    for retries in [0, 1, 3] {
        let stage = Faulty::new(1);
        let producer = single(stage.broker.producer()).retries(retries).build().unwrap();
        assert_eq!(producer.id().is_some(), retries > 0);
        stage.fill("t-0");
        let deliveries: Vec<_> =
            (0..7).map(|_| producer.send(Record::to("t").value("lost")).unwrap()).collect();
        stage.advance_millis(60_000);
        for mut delivery in deliveries {
            match delivery.wait_timeout(Duration::ZERO) {
                Err(Error::DeliveryFailed { source, .. }) => {
                    assert!(matches!(*source, Error::Io { .. }) && source.is_storage_full());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(producer.buffered_bytes(), 0);
        stage.heal();
        producer.flush().unwrap();
        drop(producer.send(Record::to("t").value("kept")).unwrap());
        assert_eq!(values(&stage.partition(0)), ["kept"]);
        if retries > 0 {
            check_sequences(&stage, 0, producer.id());
        }
    }
}

#[test]
fn no_time_between_repetitions_is_a_little_time() {
    let stage = Faulty::new(1);
    let timeout = Duration::from_millis(20);
    let producer = single(stage.broker.producer())
        .retry_backoff(Duration::ZERO)
        .retry_backoff_max(Duration::ZERO)
        .delivery_timeout(timeout)
        .build()
        .unwrap();
    stage.fill("t-0");
    let delivery = producer.send(Record::to("t").value("a")).unwrap();
    assert_eq!(stage.now_millis(), 0);
    assert!(delivery.wait().unwrap_err().is_retriable());
    assert_eq!(stage.now_millis(), 20);
}

#[test]
fn the_longest_pause_there_is_ends_with_the_delivery_timeout() {
    let stage = Faulty::new(1);
    let producer = stage
        .broker
        .producer()
        .retry_backoff(Duration::MAX)
        .retry_backoff_max(Duration::MAX)
        .delivery_timeout(Duration::from_secs(9))
        .build()
        .unwrap();
    stage.fill("t-0");
    let delivery = producer.send(Record::to("t").value("a")).unwrap();
    stage.heal();
    assert_eq!(delivery.wait().unwrap().offset, Some(Offset::ZERO));
    assert_eq!(stage.now_millis(), 9000);
}

#[test]
fn records_gather_in_few_batches_while_the_partition_rests() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().batch_bytes(1000).build().unwrap();
    stage.fill("t-0");
    for number in 0..100_u32 {
        drop(producer.send(Record::to("t").value(&number.to_string())).unwrap());
    }
    stage.heal();
    producer.flush().unwrap();
    let counts: Vec<_> = stage.batches(0).iter().map(|batch| batch.records().unwrap().len()).collect();
    assert_eq!((counts[0], counts.iter().sum::<usize>()), (1, 100));
    assert!(counts.len() < 4, "{counts:?}");
    check_sequences(&stage, 0, producer.id());
}

#[test]
fn one_bad_batch_among_several_fails_alone() {
    for is_resting in [false, true] {
        let stage = Faulty::with(1, TopicConfig::default().max_message_bytes(2000));
        let producer = single(stage.broker.producer()).build().unwrap();
        // The first one is tried alone; the others gather behind it and are tried together.
        stage.fill("t-0");
        let sizes = [10, 20, 5000, 30, 6000, 40];
        let mut deliveries: Vec<_> = sizes
            .iter()
            .map(|&bytes| producer.send(Record::to("t").value(&"v".repeat(bytes))).unwrap())
            .collect();
        if is_resting {
            // Some of the attempts find the disk full in the middle of several batches.
            for _ in 0..5 {
                stage.disk.inject(Fault::full().on(Calls::All).at_call(stage.disk.call_count() + 2));
                stage.advance_millis(300);
            }
        }
        stage.heal();
        stage.advance_millis(3000);
        let mut offset = 0_u32;
        for (bytes, delivery) in sizes.iter().zip(&mut deliveries) {
            let told = delivery.wait_timeout(Duration::ZERO);
            if *bytes > 2000 {
                let Err(Error::DeliveryFailed { source, .. }) = told else { panic!("{told:?}") };
                assert!(matches!(*source, Error::BatchTooLarge { limit: 2000, .. }));
            } else {
                assert_eq!(told.unwrap().unwrap().offset, Some(Offset::from(offset)));
                offset += 1;
            }
        }
        let lengths: Vec<_> = values(&stage.partition(0)).iter().map(String::len).collect();
        assert_eq!(lengths, [10, 20, 30, 40]);
        check_sequences(&stage, 0, producer.id());
    }
}

#[test]
fn many_waiting_batches_take_no_more_stack_than_few() {
    let drained = || {
        let stage = Faulty::new(1);
        let producer = single(stage.broker.producer()).acks(Acks::Leader).max_in_flight(1).build().unwrap();
        stage.fill("t-0");
        for _ in 0..6_000 {
            drop(producer.send(Record::to("t").value("v")).unwrap());
        }
        stage.heal();
        producer.flush().unwrap();
        assert_eq!(stage.partition(0).log_end_offset(), 6_000);
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(drained).unwrap().join().unwrap();
}

#[test]
fn the_last_attempt_is_the_one_that_retries_allow() {
    // Pauses of 80 to 120 ms, and twice that.
    for (retries, earliest, latest) in [(0, 0, 0), (1, 80, 120), (2, 240, 360)] {
        let stage = Faulty::new(1);
        let producer = single(stage.broker.producer()).retries(retries).build().unwrap();
        stage.fill("t-0");
        let mut delivery = producer.send(Record::to("t").value("a")).unwrap();
        if earliest > 0 {
            stage.advance_millis(earliest - 1);
            assert_eq!(delivery.wait_timeout(Duration::ZERO).unwrap(), None, "{retries}");
        }
        stage.advance_millis(latest - earliest + 1);
        assert!(delivery.wait_timeout(Duration::ZERO).unwrap_err().is_storage_full(), "{retries}");
    }
}

#[test]
fn a_broken_disk_is_not_tried_again() {
    let stage = Faulty::new(1);
    let producer = single(stage.broker.producer()).build().unwrap();
    stage.disk.inject(Fault::io().on(Calls::Writes).of("t-0"));
    let failed = producer.send(Record::to("t").value("a")).unwrap().wait().unwrap_err();
    assert!(!failed.is_retriable() && matches!(failed, Error::DeliveryFailed { .. }), "{failed:?}");
    assert_eq!(stage.now_millis(), 0);
}
