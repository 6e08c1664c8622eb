//! How a producer ends, and who is told what became of its records.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use streamlog::testing::{Calls, Fault, TestDisk};
use streamlog::{
    Acks, Broker, Delivery, Error, MemoryStorage, NewTopic, Offset, PartitionChoice, Partitioner, Producer,
    Record, Storage,
};

use crate::kit::{Faulty, Ran, values};

const LONG: Duration = Duration::from_secs(3600);

fn lingering(stage: &Faulty) -> Producer {
    stage.broker.producer().linger(LONG).delivery_timeout(LONG).build().unwrap()
}

#[test]
fn a_close_appends_and_syncs_what_lingers() {
    let stage = Faulty::new(1);
    let producer = lingering(&stage);
    let delivery = producer.send(Record::to("t").value("a")).unwrap();
    let clone = producer.clone();
    producer.close(Duration::ZERO).unwrap();
    assert_eq!(
        (values(&stage.partition(0)), stage.partition(0).durable_offset()),
        (vec!["a".to_owned()], Offset::from(1))
    );
    assert_eq!(delivery.wait().unwrap().offset, Some(Offset::ZERO));
    for closed in [&producer, &clone] {
        assert!(matches!(closed.send(Record::to("t")), Err(Error::Closed)));
        assert!(matches!(closed.try_send(Record::to("t")), Err(Error::Closed)));
        assert!(matches!(Ran::new(closed.send_async(Record::to("t"))).ready(), Err(Error::Closed)));
        assert!(matches!(closed.flush(), Err(Error::Closed)));
        closed.close(LONG).unwrap();
    }
    assert_eq!(stage.now_millis(), 0);
}

#[test]
fn a_close_gives_a_full_disk_its_time_and_then_fails_what_is_left() {
    let stage = Faulty::new(2);
    let producer = lingering(&stage);
    let [mut kept, mut lost] =
        [1, 0].map(|partition| producer.send(Record::to("t").partition(partition).value("v")).unwrap());
    stage.fill("t-0");
    let closed = producer.close(Duration::from_secs(3)).unwrap_err();
    assert!(
        matches!(&closed, Error::TimedOut { timeout, .. } if *timeout == Duration::from_secs(3)),
        "{closed:?}"
    );
    // Closing again would only say that it is closed.
    assert!(closed.is_storage_full() && !closed.is_retriable());
    assert_eq!(stage.now_millis(), 3000);
    assert_eq!(kept.wait_timeout(Duration::ZERO).unwrap().unwrap().offset, Some(Offset::ZERO));
    assert!(lost.wait_timeout(Duration::ZERO).unwrap_err().is_storage_full());
    assert_eq!(producer.buffered_bytes(), 0);
    // What has failed does not come after all.
    stage.heal();
    stage.clock.advance(LONG);
    assert_eq!(stage.partition(0).log_end_offset(), 0);
}

#[test]
fn a_close_that_the_disk_outlives_loses_nothing() {
    let stage = Faulty::new(1);
    let producer = lingering(&stage);
    drop(producer.send(Record::to("t").value("a")).unwrap());
    stage.fill("t-0");
    let mut flushing = producer.send(Record::to("t").value("b")).unwrap();
    assert_eq!(flushing.wait_timeout(Duration::from_millis(500)).unwrap(), None);
    stage.heal();
    producer.close(Duration::from_secs(3)).unwrap();
    assert_eq!(values(&stage.partition(0)), ["a", "b"]);
}

#[test]
fn dropping_the_last_handle_appends_and_lets_the_background_try_again() {
    let stage = Faulty::new(2);
    let producer = lingering(&stage);
    let clone = producer.clone();
    for partition in [0, 1] {
        drop(producer.send(Record::to("t").partition(partition).value("v")).unwrap());
    }
    drop(producer);
    assert_eq!(stage.partition(1).log_end_offset(), 0, "a clone is there");
    stage.fill("t-0");
    drop(clone);
    assert_eq!(
        (stage.partition(0).log_end_offset(), stage.partition(1).log_end_offset()),
        (Offset::ZERO, Offset::from(1))
    );
    stage.heal();
    stage.advance_millis(150);
    assert_eq!(stage.partition(0).log_end_offset(), 1);
}

#[test]
fn a_broker_that_closes_appends_what_lingers_and_fails_what_cannot_be() {
    let stage = Faulty::new(2);
    let producer = lingering(&stage);
    let [mut lost, kept] =
        [0, 1].map(|partition| producer.send(Record::to("t").partition(partition).value("v")).unwrap());
    let mut waiting = Ran::new(kept);
    stage.fill("t-0/00000000000000000000.log");
    stage.broker.close().unwrap();
    assert_eq!(waiting.ready().unwrap().offset, Some(Offset::ZERO));
    assert!(lost.wait_timeout(Duration::ZERO).unwrap_err().is_storage_full());
    assert!(matches!(producer.send(Record::to("t")), Err(Error::Closed)));
    producer.close(LONG).unwrap();
    assert!(matches!(stage.broker.producer().build(), Err(Error::Closed)));
}

#[test]
fn flush_tells_of_a_record_that_nobody_asked_about_once() {
    let stage = Faulty::new(1);
    for is_dropped_before in [true, false] {
        let producer =
            stage.broker.producer().retries(0).linger(LONG).delivery_timeout(LONG).build().unwrap();
        stage.fill("t-0");
        let mut deliveries: Vec<_> =
            (0..3).map(|_| producer.send(Record::to("t").value("lost")).unwrap()).collect();
        let mut asked = deliveries.pop().unwrap();
        if is_dropped_before {
            deliveries.clear();
        }
        assert!(asked.wait_timeout(Duration::ZERO).unwrap_err().is_storage_full());
        deliveries.clear();
        match producer.flush() {
            Err(Error::DeliveryFailed { topic, partition, source }) => {
                assert_eq!((topic.as_str(), u32::from(partition)), ("t", 0));
                assert!(source.is_storage_full());
            }
            other => panic!("{other:?}"),
        }
        producer.flush().unwrap();
        drop(asked);
        producer.flush().unwrap();
        producer.close(LONG).unwrap();
    }
}

#[test]
fn flush_is_silent_about_what_was_asked_for() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().retries(0).build().unwrap();
    stage.fill("t-0");
    let held = producer.send(Record::to("t").value("held")).unwrap();
    assert!(producer.send(Record::to("t").value("waited")).unwrap().wait().is_err());
    assert!(Ran::new(producer.send(Record::to("t").value("awaited")).unwrap()).ready().is_err());
    producer.flush().unwrap();
    // It can still be asked.
    assert!(held.wait().is_err());
    producer.flush().unwrap();
}

#[test]
fn a_failure_without_acks_is_told_to_nobody() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().acks(Acks::None).retries(0).build().unwrap();
    stage.fill("t-0");
    drop(producer.send(Record::to("t").value("lost")).unwrap());
    producer.flush().unwrap();
    stage.heal();
    drop(producer.send(Record::to("t").value("kept")).unwrap());
    assert_eq!(values(&stage.partition(0)), ["kept"]);
}

#[test]
fn a_close_tells_what_flush_would_have() {
    let stage = Faulty::new(1);
    let producer = stage.broker.producer().retries(0).build().unwrap();
    stage.disk.inject(Fault::io().on(Calls::Writes).of("t-0"));
    drop(producer.send(Record::to("t").value("lost")).unwrap());
    assert!(matches!(producer.close(LONG), Err(Error::DeliveryFailed { .. })));
    producer.close(LONG).unwrap();
}

/// Whether anything still holds on to the storage after `life`.
fn is_let_go(
    clock: impl Fn(streamlog::BrokerBuilder) -> streamlog::BrokerBuilder,
    life: impl Fn(Broker),
) -> bool {
    let alive = Arc::new(());
    let held = Arc::downgrade(&alive);
    let builder =
        Broker::builder().log_dir("data").storage(Counted { storage: MemoryStorage::new(), _alive: alive });
    let broker = clock(builder).open().unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(2)).unwrap();
    life(broker);
    held.upgrade().is_none()
}

/// A storage of which it is known when the last one that uses it is gone.
#[derive(Debug)]
struct Counted {
    storage: MemoryStorage,
    _alive: Arc<()>,
}

impl Storage for Counted {
    fn open(
        &self,
        path: &std::path::Path,
        access: streamlog::Access,
    ) -> std::io::Result<Box<dyn streamlog::StorageFile>> {
        self.storage.open(path, access)
    }
    fn create_dir(&self, path: &std::path::Path) -> std::io::Result<()> {
        self.storage.create_dir(path)
    }
    fn list(&self, path: &std::path::Path) -> std::io::Result<Vec<streamlog::Entry>> {
        self.storage.list(path)
    }
    fn stat(&self, path: &std::path::Path) -> std::io::Result<streamlog::Entry> {
        self.storage.stat(path)
    }
    fn rename(&self, source: &std::path::Path, target: &std::path::Path) -> std::io::Result<()> {
        self.storage.rename(source, target)
    }
    fn remove_file(&self, path: &std::path::Path) -> std::io::Result<()> {
        self.storage.remove_file(path)
    }
    fn remove_dir(&self, path: &std::path::Path) -> std::io::Result<()> {
        self.storage.remove_dir(path)
    }
    fn sync_dir(&self, path: &std::path::Path) -> std::io::Result<()> {
        self.storage.sync_dir(path)
    }
    fn lock(&self, path: &std::path::Path) -> std::io::Result<streamlog::StorageLock> {
        self.storage.lock(path)
    }
}

#[test]
fn whatever_way_a_producer_ends_nothing_of_it_stays() {
    let send = |producer: &Producer| {
        (0..2)
            .map(|partition| producer.send(Record::to("t").partition(partition).value("v")).unwrap())
            .collect::<Vec<Delivery>>()
    };
    let build = |broker: &Broker, linger: Duration| {
        broker.producer().linger(linger).delivery_timeout(LONG).build().unwrap()
    };
    let lives: [(&str, &dyn Fn(Broker)); 6] = [
        ("sent and dropped", &|broker| drop(send(&build(&broker, Duration::ZERO)))),
        ("dropped while it lingers", &|broker| drop(send(&build(&broker, LONG)))),
        ("closed", &|broker| {
            let producer = build(&broker, LONG);
            drop(send(&producer));
            producer.close(LONG).unwrap();
        }),
        ("the broker closed first", &|broker| {
            let producer = build(&broker, LONG);
            let deliveries = send(&producer);
            broker.close().unwrap();
            drop((producer, deliveries));
        }),
        ("the delivery is the last to go", &|broker| {
            let producer = build(&broker, LONG);
            let deliveries = send(&producer);
            drop((producer, broker));
            assert!(deliveries.into_iter().all(|delivery| delivery.wait().is_ok()));
        }),
        ("awaited and never ready", &|broker| {
            let producer = build(&broker, LONG);
            let mut waiting = Ran::new(send(&producer).remove(0));
            drop(waiting.poll());
            drop((producer, broker, waiting));
        }),
    ];
    for (name, life) in lives {
        assert!(is_let_go(|builder| builder, life), "{name}");
        let stopped = streamlog::ManualClock::new(streamlog::Timestamp::from_millis(0));
        assert!(is_let_go(|builder| builder.clock(stopped.clone()), life), "{name}, on a clock that stands");
    }
}

/// A waker that lets go of something when it is called.
struct LetsGo<T>(Mutex<Option<T>>, std::sync::mpsc::SyncSender<()>);

impl<T: Send> Wake for LetsGo<T> {
    fn wake(self: Arc<Self>) {
        let held = self.0.lock().unwrap().take();
        drop(held);
        let _ = self.1.try_send(());
    }
}

#[test]
fn a_waker_may_let_go_of_deliveries_and_of_the_last_handle() {
    for is_on_thread in [false, true] {
        let clock = streamlog::ManualClock::new(streamlog::Timestamp::from_millis(0));
        let builder = Broker::builder().in_memory();
        let builder = if is_on_thread { builder } else { builder.clock(clock.clone()) };
        let broker = builder.open().unwrap();
        broker.admin().create_topic(NewTopic::new("t")).unwrap();
        let linger = Duration::from_millis(1);
        let producer = broker.producer().linger(linger).acks(Acks::Leader).build().unwrap();
        let partition = broker.topic("t").unwrap().partition(0).unwrap();
        drop(broker);
        // A batch that somebody waits for is closed at once, so only a full disk or a lingering batch is awaited long.
        let (told, tell) = std::sync::mpsc::sync_channel(8);
        let first = producer.send(Record::to("t").value("a")).unwrap();
        let second = producer.send(Record::to("t").value("b")).unwrap();
        let mut third = producer.send(Record::to("t").value("c")).unwrap();
        drop(partition);
        let waker = Waker::from(Arc::new(LetsGo(Mutex::new(Some((first, second, producer))), told)));
        let polled = Pin::new(&mut third).poll(&mut Context::from_waker(&waker));
        // Polling closes the batch and appends it, unless the background was faster.
        if polled.is_pending() {
            tell.recv().unwrap();
        }
        drop(waker);
        match third.wait_timeout(LONG) {
            Ok(Some(metadata)) => assert_eq!(metadata.offset, Some(Offset::from(2))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_awaited_record_is_ready_once_it_is_durable() {
    let stage = Faulty::new(1);
    let producer = lingering(&stage);
    let mut delivery = Ran::new(producer.send(Record::to("t").value("a")).unwrap());
    assert!(matches!(delivery.poll(), Poll::Ready(Ok(metadata)) if metadata.offset == Some(Offset::ZERO)));
    assert_eq!(stage.partition(0).durable_offset(), 1);
    // And one that nobody asks about becomes durable too.
    drop(producer.send(Record::to("t").value("b")).unwrap());
    stage.clock.advance(LONG);
    assert_eq!(stage.partition(0).durable_offset(), 2);
}

#[test]
fn a_background_thread_may_let_go_of_the_last_handle() {
    let disk = TestDisk::new();
    let broker = Broker::builder().log_dir("data").storage(disk.clone()).open().unwrap();
    broker.admin().create_topic(NewTopic::new("t")).unwrap();
    let (pause, acks) = (Duration::from_millis(1), Acks::Leader);
    let producer =
        broker.producer().retry_backoff(pause).retry_backoff_max(pause).acks(acks).build().unwrap();
    disk.inject(Fault::full().of("t-0"));
    let mut delivery = producer.send(Record::to("t").value("a")).unwrap();
    let (told, tell) = std::sync::mpsc::sync_channel(8);
    let waker = Waker::from(Arc::new(LetsGo(Mutex::new(Some((producer, broker))), told)));
    assert!(Pin::new(&mut delivery).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    disk.heal();
    // Nobody but the thread that tries again is left to complete it, and to close the broker.
    tell.recv().unwrap();
    assert_eq!(delivery.wait().unwrap().offset, Some(Offset::ZERO));
    drop(Broker::builder().log_dir("data").storage(disk).open().unwrap());
}

/// Closes the producer that asks it.
#[derive(Debug, Default, Clone)]
struct Closes(Arc<OnceLock<Producer>>);

impl Partitioner for Closes {
    fn partition(&self, _: &PartitionChoice<'_>) -> u32 {
        self.0.get().map_or(0, |producer| {
            producer.close(LONG).unwrap();
            1
        })
    }
}

#[test]
fn a_record_on_its_way_into_a_producer_that_closes_is_refused() {
    let stage = Faulty::new(2);
    let closes = Closes::default();
    let producer = stage
        .broker
        .producer()
        .linger(LONG)
        .delivery_timeout(LONG)
        .partitioner(closes.clone())
        .build()
        .unwrap();
    drop(producer.send(Record::to("t").value("taken")).unwrap());
    closes.0.set(producer.clone()).unwrap();
    // Its partition was not sent to before, so nobody has told it of the close.
    assert!(matches!(producer.send(Record::to("t").value("late")), Err(Error::Closed)));
    assert_eq!(producer.buffered_bytes(), 0);
    assert_eq!(values(&stage.partition(0)), ["taken"]);
}
