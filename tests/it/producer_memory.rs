//! How much a producer holds at most, and what a sender does that finds no room.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use streamlog::{Error, Offset, Producer, ProducerBuilder, Record, Timestamp};

use crate::kit::{Faulty, Ran, values};

const LONG: Duration = Duration::from_secs(3600);

/// With room for three records of 300 bytes, of which none leaves by itself.
fn small(builder: ProducerBuilder) -> ProducerBuilder {
    builder.batch_bytes(1000).buffer_bytes(1050).linger(LONG).delivery_timeout(LONG)
}

fn send(producer: &Producer, value: u8) -> streamlog::Result<streamlog::Delivery> {
    producer.try_send(Record::to("t").value(&[value; 300]))
}

#[test]
fn a_full_buffer_refuses_what_the_disk_makes_no_room_for_and_says_why() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    let deliveries: Vec<_> = (0..3).map(|number| send(&producer, number).unwrap()).collect();
    let held = producer.buffered_bytes();
    assert!((900..=1050).contains(&held), "{held}");
    let error = send(&producer, 3).unwrap_err();
    match &error {
        Error::BufferFull { bytes, limit: 1050, waited: Duration::ZERO, source: Some(_) } => {
            assert!((300..400).contains(bytes), "{bytes}");
        }
        other => panic!("{other:?}"),
    }
    assert!(error.is_storage_full() && error.is_retriable());
    assert_eq!(producer.buffered_bytes(), held);
    // What waits for no room is taken.
    drop(producer.try_send(Record::to("t").value("")).unwrap());
    stage.heal();
    let offsets: Vec<_> = deliveries.into_iter().map(|one| one.wait().unwrap().offset).collect();
    assert_eq!(offsets, [0, 1, 2].map(|offset: u32| Some(Offset::from(offset))));
    producer.flush().unwrap();
    assert_eq!(producer.buffered_bytes(), 0);
    drop(send(&producer, 3).unwrap());
    producer.flush().unwrap();
    assert_eq!(stage.partition(0).log_end_offset(), 5);
}

#[test]
fn what_lingers_makes_room_for_who_does_not_wait() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    for number in 0..10 {
        drop(send(&producer, number).unwrap());
    }
    assert!(producer.buffered_bytes() <= 1050);
    assert_eq!((stage.partition(0).log_end_offset(), stage.now_millis()), (Offset::from(9), 0));
}

#[test]
fn who_waits_for_room_lets_nothing_linger() {
    let stage = Faulty::new(2);
    let producer = small(stage.broker.producer()).build().unwrap();
    for number in 0..3 {
        drop(producer.send(Record::to("t").partition(1).value(&[number; 300])).unwrap());
    }
    drop(producer.send(Record::to("t").partition(0).value(&[3; 300])).unwrap());
    assert_eq!((stage.partition(1).log_end_offset(), stage.now_millis()), (Offset::from(3), 0));
    assert_eq!(stage.partition(0).log_end_offset(), 0);
    let mut sending = Ran::new(producer.send_async(Record::to("t").value(&[4; 900])));
    drop(sending.ready().unwrap());
    assert_eq!(stage.partition(0).log_end_offset(), 1);
}

#[test]
fn sending_blocks_no_longer_than_max_block() {
    let stage = Faulty::new(1);
    let max_block = Duration::from_millis(250);
    let producer = small(stage.broker.producer()).max_block(max_block).build().unwrap();
    stage.fill("t-0");
    for number in 0..3 {
        drop(send(&producer, number).unwrap());
    }
    let refused = producer.send(Record::to("t").value(&[3; 300]));
    assert!(matches!(refused, Err(Error::BufferFull { limit: 1050, waited, .. }) if waited == max_block));
    assert_eq!(stage.now_millis(), 250);
    stage.heal();
    // By now the partition rests for up to 240 ms more.
    drop(producer.send(Record::to("t").value(&[4; 300])).unwrap());
    assert!(stage.now_millis() <= 500);
    producer.flush().unwrap();
    assert_eq!(
        values(&stage.partition(0)).iter().map(|value| value.as_bytes()[0]).collect::<Vec<_>>(),
        [0, 1, 2, 4]
    );
}

#[test]
fn awaiting_room_blocks_nobody() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    for number in 0..3 {
        drop(send(&producer, number).unwrap());
    }
    let values_of = [[3; 300], [4; 300], [5; 300]];
    let mut sends: Vec<_> =
        values_of.iter().map(|value| Ran::new(producer.send_async(Record::to("t").value(value)))).collect();
    assert!(sends.iter_mut().all(Ran::is_pending));
    assert_eq!(stage.now_millis(), 0);
    // One that is not awaited any more sends nothing, and keeps nobody from anything.
    drop(sends.remove(1));
    stage.heal();
    let woken: Vec<_> = sends.iter().map(Ran::woken).collect();
    stage.advance_millis(2000);
    for (sending, woken) in sends.iter_mut().zip(woken) {
        assert!(sending.woken() > woken);
        drop(sending.ready().unwrap());
    }
    drop(sends);
    producer.flush().unwrap();
    assert_eq!(
        values(&stage.partition(0)).iter().map(|value| value.as_bytes()[0]).collect::<Vec<_>>(),
        [0, 1, 2, 3, 5]
    );
    assert_eq!(producer.buffered_bytes(), 0);
}

#[test]
fn closing_ends_the_wait_for_room() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    for number in 0..3 {
        drop(send(&producer, number).unwrap());
    }
    let mut sending = Ran::new(producer.send_async(Record::to("t").value(&[3; 300])));
    assert!(sending.is_pending());
    let before = sending.woken();
    assert!(matches!(producer.close(Duration::ZERO), Err(Error::TimedOut { .. })));
    assert!(sending.woken() > before);
    // There is room by now: closed it is all the same.
    assert!(matches!(sending.ready(), Err(Error::Closed)));
    drop(sending);
    assert_eq!(producer.buffered_bytes(), 0);
}

#[test]
fn a_record_that_could_never_be_held_is_refused_at_once() {
    let stage = Faulty::new(1);
    let producer =
        stage.broker.producer().batch_bytes(1000).buffer_bytes(1000).max_request_bytes(500).build().unwrap();
    for (bytes, expected) in [(600, ("max.request.size", 500)), (2000, ("max.request.size", 500))] {
        match producer.send(Record::to("t").value(&vec![0; bytes])) {
            Err(Error::RecordTooLarge { topic, bytes: told, setting, limit }) => {
                assert_eq!((topic.as_str(), (setting, limit)), ("t", expected));
                assert!(told >= bytes as u64 && told < bytes as u64 + 100);
            }
            other => panic!("{other:?}"),
        }
    }
    let producer = stage.broker.producer().batch_bytes(1000).buffer_bytes(1000).build().unwrap();
    let value = vec![0; 1000];
    let sends =
        [producer.send(Record::to("t").value(&value)), producer.try_send(Record::to("t").key(&value))];
    for refused in sends
        .into_iter()
        .chain([Ran::new(producer.send_async(Record::to("t").header("h", Some(&value)))).ready()])
    {
        assert!(matches!(refused, Err(Error::RecordTooLarge { setting: "buffer.memory", limit: 1000, .. })));
    }
    assert_eq!((producer.buffered_bytes(), stage.partition(0).log_end_offset()), (0, Offset::ZERO));
}

#[test]
fn a_record_that_is_refused_leaves_its_room() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    let before_time = Record::to("t").timestamp(Timestamp::from_millis(-1));
    for _ in 0..100 {
        assert!(matches!(producer.send(before_time.clone()), Err(Error::InvalidTimestamp { .. })));
    }
    assert_eq!(producer.buffered_bytes(), 0);
    drop(producer.send(Record::to("t").value("a")).unwrap());
    let held = producer.buffered_bytes();
    assert!(producer.send(before_time).is_err());
    assert_eq!(producer.buffered_bytes(), held);
    producer.flush().unwrap();
    assert_eq!(values(&stage.partition(0)), ["a"]);
}

/// A waker that sends at once, on whatever thread it is called.
struct SendsAtOnce(Producer, Mutex<Vec<bool>>);

impl Wake for SendsAtOnce {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0.try_send(Record::to("t").value("woken")).is_ok());
    }
}

#[test]
fn a_waker_may_send() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    for number in 0..3 {
        drop(send(&producer, number).unwrap());
    }
    let sends = Arc::new(SendsAtOnce(producer.clone(), Mutex::default()));
    let waker = Waker::from(Arc::clone(&sends));
    let value = [4; 300];
    let mut sending = Box::pin(producer.send_async(Record::to("t").value(&value)));
    assert!(matches!(sending.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    stage.advance_millis(50);
    // A record that is refused gives its room back, while nobody may hold a lock.
    let refused = producer.try_send(Record::to("t").timestamp(Timestamp::from_millis(-1)));
    assert!(matches!(refused, Err(Error::InvalidTimestamp { .. })));
    assert_eq!(*sends.1.lock().unwrap(), [true]);
    drop(sending);
    stage.heal();
    producer.flush().unwrap();
    assert_eq!(stage.partition(0).log_end_offset(), 4);
}

#[test]
fn who_is_told_of_a_delivery_finds_the_room() {
    let stage = Faulty::new(1);
    let producer = small(stage.broker.producer()).build().unwrap();
    stage.fill("t-0");
    let mut deliveries: Vec<_> = (0..3).map(|number| send(&producer, number).unwrap()).collect();
    let sends = Arc::new(SendsAtOnce(producer.clone(), Mutex::default()));
    let waker = Waker::from(Arc::clone(&sends));
    for delivery in &mut deliveries {
        assert!(Pin::new(delivery).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(send(&producer, 3).unwrap_err());
    stage.heal();
    stage.advance_millis(150);
    assert_eq!((sends.1.lock().unwrap().as_slice(), producer.buffered_bytes() > 0), (&[true][..], true));
    producer.flush().unwrap();
    assert_eq!(stage.partition(0).log_end_offset(), 4);
}

#[test]
fn what_is_sent_while_somebody_waits_for_room_does_not_linger_either() {
    let stage = Faulty::new(2);
    let producer = small(stage.broker.producer()).build().unwrap();
    let send =
        |partition, bytes: usize| producer.send(Record::to("t").partition(partition).value(&vec![7; bytes]));
    stage.fill("t-0");
    drop(send(0, 600).unwrap());
    let value = [7; 600];
    let mut sending = Ran::new(producer.send_async(Record::to("t").partition(0).value(&value)));
    assert!(sending.is_pending());
    for expected in 1..4_u32 {
        drop(send(1, 10).unwrap());
        assert_eq!(stage.partition(1).log_end_offset(), u64::from(expected));
        // Each that is appended makes room, so who waits looks again.
        assert!(sending.is_pending());
    }
    drop(sending);
    stage.heal();
    producer.flush().unwrap();
    assert_eq!(
        (stage.partition(0).log_end_offset(), stage.partition(1).log_end_offset()),
        (1_u32.into(), 3_u32.into())
    );
}
