//! Many threads on one producer, on the system's clock: right under every schedule, and so without sleeps.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use streamlog::{Acks, Broker, Delivery, Error, NewTopic, Producer, Record, RecordMetadata, TopicConfig};

use crate::kit::values;

const PARTITIONS: u32 = 3;
const LONG: Duration = Duration::from_secs(3600);

fn open() -> Broker {
    let broker = Broker::in_memory().unwrap();
    let config = TopicConfig::default().segment_bytes(20_000);
    broker.admin().create_topic(NewTopic::new("t").partitions(PARTITIONS).config(config)).unwrap();
    broker
}

/// What each thread says that it sent: where, at which offset, which value.
type Sent = Vec<(u32, u64, String)>;

/// Every record of the log is one that was sent, at the offset that was told, and each thread's are in order.
fn check(broker: &Broker, sent: &[Sent]) {
    let mut expected: Vec<BTreeMap<u64, &str>> = vec![BTreeMap::new(); PARTITIONS as usize];
    for of_thread in sent {
        let mut last: Vec<Option<u64>> = vec![None; PARTITIONS as usize];
        for (partition, offset, value) in of_thread {
            let partition = *partition as usize;
            assert!(last[partition].is_none_or(|last| last < *offset), "in the order in which it was sent");
            last[partition] = Some(*offset);
            assert!(expected[partition].insert(*offset, value).is_none(), "an offset is told once");
        }
    }
    for (number, expected) in (0..).zip(expected) {
        let stored = values(&broker.topic("t").unwrap().partition(number).unwrap());
        assert!(expected.keys().copied().eq(0..stored.len() as u64), "nothing is lost or doubled");
        assert!(expected.values().copied().eq(stored.iter().map(String::as_str)));
    }
}

fn placed(metadata: &RecordMetadata, value: String) -> (u32, u64, String) {
    (metadata.partition.into(), metadata.offset.unwrap().into(), value)
}

fn send_from_threads(producer: &Producer, threads: usize, records: usize) -> Vec<Sent> {
    let senders: Vec<_> = (0..threads)
        .map(|thread| {
            let producer = producer.clone();
            thread::spawn(move || {
                let (mut sent, mut open) = (Sent::new(), VecDeque::<(String, Delivery)>::new());
                for number in 0..records {
                    let value = format!("{thread} {number} {}", "x".repeat((thread * 7 + number * 31) % 200));
                    let record = Record::to("t").value(&value);
                    let record = match number % 3 {
                        0 => record,
                        1 => record.key(&value),
                        _ => record.partition(u32::try_from(thread).unwrap() % PARTITIONS),
                    };
                    let delivery = producer.send(record).unwrap();
                    open.push_back((value, delivery));
                    if open.len() > thread % 5 {
                        let (value, delivery) = open.pop_front().unwrap();
                        sent.push(placed(&delivery.wait().unwrap(), value));
                    }
                }
                sent.extend(
                    open.into_iter().map(|(value, delivery)| placed(&delivery.wait().unwrap(), value)),
                );
                sent
            })
        })
        .collect();
    senders.into_iter().map(|sender| sender.join().unwrap()).collect()
}

#[test]
fn two_hundred_threads_share_a_producer_with_a_small_buffer() {
    for linger in [Duration::ZERO, Duration::from_millis(1), LONG] {
        let broker = open();
        let producer = broker
            .producer()
            .linger(linger)
            .delivery_timeout(LONG)
            .batch_bytes(1500)
            .buffer_bytes(2000)
            .max_block(LONG)
            .build()
            .unwrap();
        let sent = send_from_threads(&producer, 200, 15);
        assert_eq!(producer.buffered_bytes(), 0);
        producer.flush().unwrap();
        check(&broker, &sent);
    }
}

#[test]
fn what_nobody_asks_about_is_there_after_a_flush() {
    for (linger, acks) in [(Duration::ZERO, Acks::All), (LONG, Acks::Leader), (LONG, Acks::All)] {
        let broker = open();
        let producer = broker
            .producer()
            .linger(linger)
            .delivery_timeout(LONG)
            .batch_bytes(300)
            .acks(acks)
            .build()
            .unwrap();
        thread::scope(|scope| {
            for thread in 0..8_u32 {
                let producer = &producer;
                let partition = broker.topic("t").unwrap().partition(thread % PARTITIONS).unwrap();
                scope.spawn(move || {
                    for number in 0..60 {
                        let value = format!("{thread} {number}");
                        let record = Record::to("t").partition(thread % PARTITIONS).value(&value);
                        drop(producer.send(record).unwrap());
                        if number % 20 == 19 {
                            producer.flush().unwrap();
                            let mine = |value: &String| value.starts_with(&format!("{thread} "));
                            let stored = values(&partition).into_iter().filter(mine).count();
                            assert_eq!(stored, number + 1);
                        }
                    }
                });
            }
        });
        for number in 0..PARTITIONS {
            let partition = broker.topic("t").unwrap().partition(number).unwrap();
            if acks == Acks::All {
                assert_eq!(partition.durable_offset(), partition.log_end_offset());
            }
            let mut next = BTreeMap::new();
            for value in values(&partition) {
                let (thread, number) = value.split_once(' ').unwrap();
                let next: &mut u32 = next.entry(thread.to_owned()).or_default();
                assert_eq!(number.parse(), Ok(*next));
                *next += 1;
            }
            assert!(next.values().all(|&count| count == 60));
        }
    }
}

/// One task of the executor below.
struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    queue: Sender<Arc<Task>>,
    is_queued: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, SeqCst) {
            let _ = self.queue.clone().send(self);
        }
    }
}

/// Runs tasks on the calling thread, until all have ended.
fn run_all(futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    let (queue, due) = channel();
    let mut open = futures.len();
    for future in futures {
        let task = Task {
            future: Mutex::new(Some(future)),
            queue: queue.clone(),
            is_queued: AtomicBool::new(false),
        };
        Arc::new(task).wake();
    }
    while open > 0 {
        let task: Arc<Task> = due.recv().unwrap();
        task.is_queued.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&task));
        let mut future = task.future.lock().unwrap();
        if let Some(polled) = future.as_mut()
            && let Poll::Ready(()) = polled.as_mut().poll(&mut Context::from_waker(&waker))
        {
            (*future, open) = (None, open - 1);
        }
    }
}

#[test]
fn tasks_of_one_thread_and_threads_complete_each_others_records() {
    for linger in [Duration::ZERO, LONG] {
        let broker = open();
        let producer = broker
            .producer()
            .linger(linger)
            .delivery_timeout(LONG)
            .batch_bytes(1000)
            .buffer_bytes(1000)
            .max_block(LONG)
            .build()
            .unwrap();
        let results: Arc<Mutex<Vec<Sent>>> = Arc::default();
        let from_threads = thread::spawn({
            let producer = producer.clone();
            move || send_from_threads(&producer, 8, 30)
        });
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for task in 0..50_usize {
            let (producer, results) = (producer.clone(), Arc::clone(&results));
            tasks.push(Box::pin(async move {
                let mut sent = Sent::new();
                for number in 0..10 {
                    let value = format!("task {task} {number}");
                    let delivery =
                        producer.send_async(Record::to("t").key(&value).value(&value)).await.unwrap();
                    sent.push(placed(&delivery.await.unwrap(), value));
                }
                results.lock().unwrap().push(sent);
            }));
        }
        run_all(tasks);
        let mut sent = from_threads.join().unwrap();
        sent.append(&mut results.lock().unwrap());
        assert_eq!(sent.len(), 58);
        check(&broker, &sent);
    }
}

#[test]
fn a_close_among_senders_loses_nothing_that_it_took() {
    for round in 0..30 {
        let broker = open();
        let linger = if round % 2 == 0 { Duration::ZERO } else { LONG };
        let producer = broker
            .producer()
            .linger(linger)
            .delivery_timeout(LONG)
            .batch_bytes(200)
            .acks(Acks::Leader)
            .build()
            .unwrap();
        let taken = AtomicUsize::new(0);
        let sent: Mutex<Vec<Sent>> = Mutex::default();
        thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (producer, taken, sent) = (&producer, &taken, &sent);
                scope.spawn(move || {
                    let mut deliveries = Vec::new();
                    for number in 0..10_000 {
                        let value = format!("{thread} {number}");
                        match producer.send(Record::to("t").key(&value).value(&value)) {
                            Ok(delivery) => deliveries.push((value, delivery)),
                            Err(Error::Closed) => break,
                            Err(other) => panic!("{other:?}"),
                        }
                        taken.fetch_add(1, SeqCst);
                    }
                    let placed = deliveries
                        .into_iter()
                        .map(|(value, mut delivery)| {
                            // It is known by itself, without anybody's help.
                            let told = delivery.wait_timeout(LONG).unwrap().unwrap();
                            placed(&told, value)
                        })
                        .collect();
                    sent.lock().unwrap().push(placed);
                });
            }
            while taken.load(SeqCst) < 20 * round {
                thread::yield_now();
            }
            if round % 3 == 0 {
                broker.close().unwrap();
            } else {
                producer.close(LONG).unwrap();
            }
        });
        assert_eq!(producer.buffered_bytes(), 0);
        if round % 3 != 0 {
            check(&broker, &sent.into_inner().unwrap());
        }
    }
}

#[test]
fn records_that_are_awaited_while_the_broker_closes_become_durable() {
    for round in 0..40 {
        let broker = open();
        let producer = broker.producer().linger(LONG).delivery_timeout(LONG).build().unwrap();
        let deliveries: Vec<_> = (0..PARTITIONS)
            .map(|number| producer.send(Record::to("t").partition(number).value("v")).unwrap())
            .collect();
        thread::scope(|scope| {
            for delivery in deliveries {
                scope.spawn(move || {
                    let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                        assert_eq!(delivery.await.unwrap().acks, Acks::All);
                    });
                    run_all(vec![task]);
                });
            }
            if round % 2 == 0 {
                thread::yield_now();
            }
            broker.close().unwrap();
        });
    }
}
