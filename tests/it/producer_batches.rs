//! Which records share a batch, when it is closed, and who appends it.

use std::time::Duration;

use streamlog::testing::Call;
use streamlog::{Acks, Compression, Error, Offset, Record, TimestampType, TopicConfig};

use crate::kit::{Faulty, Seed, values};

const LONG: Duration = Duration::from_secs(3600);

fn counts(stage: &Faulty, partition: u32) -> Vec<usize> {
    stage.batches(partition).iter().map(|batch| batch.records().unwrap().len()).collect()
}

#[test]
fn a_batch_is_closed_when_the_next_record_does_not_fit() {
    let stage = Faulty::new(1);
    let producer = stage
        .broker
        .producer()
        .linger(LONG)
        .delivery_timeout(LONG)
        .batch_bytes(1000)
        .buffer_bytes(100_000)
        .build()
        .unwrap();
    // 61 bytes of header, and 307 of each record.
    let deliveries: Vec<_> =
        (0..7).map(|_| producer.send(Record::to("t").value(&[b'v'; 300])).unwrap()).collect();
    assert_eq!(counts(&stage, 0), [3, 3]);
    producer.flush().unwrap();
    assert_eq!(counts(&stage, 0), [3, 3, 1]);
    assert!(stage.batches(0).iter().all(|batch| batch.bytes().len() <= 1000));
    for (offset, delivery) in (0_u32..).zip(deliveries) {
        assert_eq!(delivery.wait().unwrap().offset, Some(Offset::from(offset)));
    }
}

#[test]
fn with_no_batch_bytes_each_record_is_a_batch_of_its_own() {
    let stage = Faulty::new(1);
    for linger in [Duration::ZERO, LONG] {
        let producer =
            stage.broker.producer().batch_bytes(0).linger(linger).delivery_timeout(LONG).build().unwrap();
        for number in ["0", "1", "2"] {
            drop(producer.send(Record::to("t").value(number)).unwrap());
        }
    }
    assert_eq!(counts(&stage, 0), [1; 6]);
    assert_eq!(values(&stage.partition(0)), ["0", "1", "2", "0", "1", "2"]);
}

#[test]
fn a_record_larger_than_a_batch_goes_alone_and_in_its_place() {
    let stage = Faulty::new(1);
    let producer =
        stage.broker.producer().batch_bytes(500).linger(LONG).delivery_timeout(LONG).build().unwrap();
    let large = "l".repeat(2000);
    for value in ["a", "b", &large, "c"] {
        drop(producer.send(Record::to("t").value(value)).unwrap());
    }
    producer.flush().unwrap();
    assert_eq!(counts(&stage, 0), [2, 1, 1]);
    assert_eq!(values(&stage.partition(0)), ["a", "b", &large, "c"]);
}

#[test]
fn a_record_larger_than_the_topic_takes_fails_alone() {
    let stage = Faulty::with(1, TopicConfig::default().max_message_bytes(1000));
    let producer =
        stage.broker.producer().batch_bytes(5000).linger(LONG).delivery_timeout(LONG).build().unwrap();
    let [small, large] = [[b's'; 600], [b'l'; 600]];
    let before = producer.send(Record::to("t").value(&small)).unwrap();
    let refused = producer.send(Record::to("t").value(&large.repeat(2))).unwrap();
    let after = producer.send(Record::to("t").value(&small)).unwrap();
    producer.flush().unwrap();
    assert_eq!(before.wait().unwrap().offset, Some(Offset::ZERO));
    match refused.wait() {
        Err(Error::DeliveryFailed { topic, partition, source }) => {
            assert_eq!((topic.as_str(), u32::from(partition)), ("t", 0));
            assert!(matches!(*source, Error::BatchTooLarge { limit: 1000, bytes } if bytes > 1200));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(after.wait().unwrap().offset, Some(Offset::from(1)));
    // A number that was not used up: the sequence has no gap.
    assert_eq!(stage.batches(0).iter().map(|b| b.base_sequence()).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn a_batch_always_fits_a_segment() {
    let stage = Faulty::with(1, TopicConfig::default().segment_bytes(1500));
    for codec in Seed::codecs() {
        let producer =
            stage.broker.producer().compression(codec).linger(LONG).delivery_timeout(LONG).build().unwrap();
        let mut seed = Seed::new(3);
        for _ in 0..40 {
            drop(producer.send(Record::to("t").value(&seed.bytes(100))).unwrap());
        }
        producer.flush().unwrap();
    }
    assert_eq!(values_count(&stage), 40 * Seed::codecs().count());
}

fn values_count(stage: &Faulty) -> usize {
    counts(stage, 0).iter().sum()
}

#[test]
fn batches_that_wait_go_out_in_one_append_up_to_max_in_flight() {
    let mut writes = Vec::new();
    for max_in_flight in [1, 5] {
        let stage = Faulty::new(1);
        let producer = stage
            .broker
            .producer()
            .batch_bytes(0)
            .max_in_flight(max_in_flight)
            .retry_backoff(Duration::from_millis(100))
            .build()
            .unwrap();
        // The first append fails, so that nine more batches gather behind it.
        stage.fill("t-0");
        for number in 0..10_u32 {
            drop(producer.send(Record::to("t").value(&number.to_string())).unwrap());
        }
        stage.heal();
        let before = stage.disk.calls().len();
        producer.flush().unwrap();
        let is_write = |call: &&Call| match call {
            Call::Write(path, _) => path.to_string_lossy().ends_with("0.log"),
            _ => false,
        };
        writes.push(stage.disk.calls()[before..].iter().filter(is_write).count());
        assert_eq!(counts(&stage, 0), [1; 10]);
        let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(values(&stage.partition(0)), expected);
    }
    assert!(writes[0] == 10 && writes[1] < 10, "{writes:?}");
}

#[test]
fn each_codec_is_what_the_batches_have() {
    let stage = Faulty::new(1);
    for codec in Seed::codecs() {
        let producer = stage.broker.producer().compression(codec).linger(LONG).delivery_timeout(LONG);
        let producer = producer.build().unwrap();
        for _ in 0..20 {
            drop(producer.send(Record::to("t").key("k").value(&[7; 100])).unwrap());
        }
        producer.flush().unwrap();
        let batch = stage.batches(0).pop().unwrap();
        assert_eq!((batch.compression(), batch.records().unwrap().len()), (codec, 20));
        assert_eq!(batch.bytes().len() < 2000, codec != Compression::None);
    }
}

#[test]
fn a_lingering_batch_starts_its_time_with_its_first_record() {
    let stage = Faulty::new(2);
    let producer =
        stage.broker.producer().linger(Duration::from_millis(10)).batch_bytes(1000).build().unwrap();
    let send = |partition: u32, bytes: usize| {
        drop(producer.send(Record::to("t").partition(partition).value(&vec![0; bytes])).unwrap());
    };
    send(0, 600);
    stage.advance_millis(6);
    send(1, 10);
    // This one closes the batch before it, whose timer still runs.
    send(0, 600);
    assert_eq!((counts(&stage, 0), counts(&stage, 1)), (vec![1], vec![]));
    stage.advance_millis(4);
    assert_eq!((counts(&stage, 0), counts(&stage, 1)), (vec![1], vec![]));
    stage.advance_millis(5);
    assert_eq!((counts(&stage, 0), counts(&stage, 1)), (vec![1], vec![]));
    stage.advance_millis(1);
    assert_eq!((counts(&stage, 0), counts(&stage, 1)), (vec![1, 1], vec![1]));
    // And the timer is set again for the next.
    send(0, 10);
    stage.advance_millis(10);
    assert_eq!(counts(&stage, 0), [1, 1, 1]);
}

#[test]
fn waiting_for_a_record_hurries_its_own_partition_alone() {
    let stage = Faulty::new(2);
    let producer = stage.broker.producer().linger(LONG).delivery_timeout(LONG).build().unwrap();
    let other = producer.send(Record::to("t").partition(1).value("other")).unwrap();
    let one = producer.send(Record::to("t").partition(0).value("one")).unwrap();
    assert_eq!(one.wait().unwrap().offset, Some(Offset::ZERO));
    assert_eq!((counts(&stage, 0), counts(&stage, 1)), (vec![1], vec![]));
    drop(other);
    assert!(counts(&stage, 1).is_empty(), "letting go is not waiting");
    stage.clock.advance(LONG);
    assert_eq!(counts(&stage, 1), [1]);
}

#[test]
fn timestamps_are_the_senders_or_the_clocks_or_the_appends() {
    let own = streamlog::Timestamp::from_millis(5);
    for (kind, expected) in [(TimestampType::Create, own), (TimestampType::Append, crate_start(10))] {
        let stage = Faulty::with(1, TopicConfig::default().timestamp_type(kind));
        let producer = stage.broker.producer().linger(Duration::from_millis(10)).build().unwrap();
        let dated = producer.send(Record::to("t").timestamp(own)).unwrap();
        let undated = producer.send(Record::to("t")).unwrap();
        stage.advance_millis(10);
        assert_eq!(dated.wait().unwrap().timestamp, expected);
        let of_clock = if kind == TimestampType::Create { crate_start(0) } else { expected };
        assert_eq!(undated.wait().unwrap().timestamp, of_clock);
        let stored: Vec<_> =
            stage.batches(0)[0].records().unwrap().iter().map(|record| record.timestamp()).collect();
        assert_eq!(stored, [expected, of_clock]);
    }
}

fn crate_start(later: i64) -> streamlog::Timestamp {
    streamlog::Timestamp::from_millis(crate::kit::START + later)
}

#[test]
fn nothing_is_promised_without_acks() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().acks(Acks::None).build().unwrap();
    assert_eq!(producer.id(), None, "nothing is numbered");
    let metadata = producer.send(Record::to("t").value("a")).unwrap().wait().unwrap();
    assert_eq!((metadata.offset, metadata.acks, u32::from(metadata.partition)), (None, Acks::None, 0));
    producer.flush().unwrap();
    assert_eq!(
        (values(&stage.partition(0)), stage.partition(0).durable_offset()),
        (vec!["a".to_owned()], Offset::ZERO)
    );
    let batch = stage.batches(0).remove(0);
    assert_eq!((batch.producer_id(), batch.base_sequence()), (None, None));
}

#[test]
fn a_leaders_ack_waits_for_no_sync() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().acks(Acks::Leader).build().unwrap();
    let metadata = producer.send(Record::to("t").value("a")).unwrap().wait().unwrap();
    assert_eq!((metadata.offset, metadata.acks), (Some(Offset::ZERO), Acks::Leader));
    producer.flush().unwrap();
    assert_eq!(stage.partition(0).durable_offset(), 0);
}
