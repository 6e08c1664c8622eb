//! Waiting: for how long, for what, and what ends it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use streamlog::{
    Broker, Clock, Consumer, Error, IsolationLevel, NewTopic, Partition, Records, Result, TopicConfig,
};

use super::{NO_WAIT, append_batch, append_each, begin, consumer_of, from_the_start, named, texts};
use crate::kit::{Place, day_long};

/// Longer than any test: what waits so long must be woken.
const FOR_EVER: Duration = Duration::MAX;

/// A waker that counts how often it was woken.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counting {
    fn new() -> (Arc<Counting>, Waker) {
        let counting = Arc::new(Counting::default());
        (Arc::clone(&counting), Waker::from(counting))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The smallest executor: a thread that sleeps until its future is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Asks a poll once, and drops its future.
fn ask(consumer: &mut Consumer, waker: &Waker) -> Poll<Result<Records>> {
    pin!(consumer.poll_async()).poll(&mut Context::from_waker(waker))
}

/// A broker on the system's clock and in memory, with a topic of so many partitions.
fn real(count: u32) -> (Broker, Vec<Partition>) {
    let broker = Broker::in_memory().unwrap();
    broker.admin().create_topic(NewTopic::new("t").partitions(count)).unwrap();
    let partitions = broker.topic("t").unwrap().partitions().map(Result::unwrap).collect();
    (broker, partitions)
}

#[test]
fn a_poll_of_nothing_waits_as_long_as_it_was_told() {
    for place in Place::both() {
        let (broker, _) = begin(&place, 2, TopicConfig::default());
        let mut consumer = consumer_of(from_the_start(&broker), 2);
        let before = place.clock.monotonic();
        assert!(consumer.poll(Duration::from_secs(10)).unwrap().is_empty());
        assert_eq!(place.clock.monotonic() - before, Duration::from_secs(10));
        assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
        assert_eq!(place.clock.monotonic() - before, Duration::from_secs(10));
    }
}

#[test]
fn a_poll_of_something_waits_for_no_more() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 2, TopicConfig::default());
        let mut consumer = consumer_of(from_the_start(&broker), 2);
        append_each(&partitions[1], &["a"]);
        let before = place.clock.monotonic();
        assert_eq!(texts(&consumer.poll(FOR_EVER).unwrap()), ["a"]);
        assert_eq!(place.clock.monotonic(), before);
    }
}

#[test]
fn every_append_wakes_whoever_waits_for_it() {
    const ROUNDS: usize = 5_000;
    /// Many seconds of looking, where one round takes microseconds.
    const LOOKS_MAX: usize = 20_000_000;
    let (broker, partitions) = real(3);
    let mut consumer = consumer_of(from_the_start(&broker), 3);
    let seen = Arc::new(AtomicUsize::new(0));
    let reader = thread::spawn({
        let seen = Arc::clone(&seen);
        move || {
            for round in 0..ROUNDS {
                assert_eq!(texts(&consumer.poll(FOR_EVER).unwrap()), [round.to_string()]);
                seen.store(round + 1, Ordering::Release);
                // So that the next append comes before, while and after it goes to sleep.
                (0..round * 7 % 2_000).for_each(|_| std::hint::spin_loop());
            }
        }
    });
    for round in 0..ROUNDS {
        append_each(&partitions[round % 3], &[&round.to_string()]);
        let mut looks = 0;
        while seen.load(Ordering::Acquire) <= round {
            looks += 1;
            assert!(looks < LOOKS_MAX, "nobody was woken in round {round}");
            thread::yield_now();
        }
    }
    reader.join().unwrap();
}

#[test]
fn a_thread_on_a_manual_clock_is_woken_by_an_append_or_by_the_time() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let (tell, told) = mpsc::channel();
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let reader = thread::spawn(move || {
        for timeout in [FOR_EVER, Duration::from_secs(5)] {
            tell.send(texts(&consumer.poll(timeout).unwrap())).unwrap();
        }
    });
    append_each(&partitions[0], &["a"]);
    assert_eq!(told.recv().unwrap(), ["a"]);
    // It may not wait yet when the clock first moves: then it begins to where the clock stands.
    let nothing = loop {
        place.clock.advance(Duration::from_secs(5));
        match told.try_recv() {
            Ok(nothing) => break nothing,
            Err(_) => thread::yield_now(),
        }
    };
    assert!(nothing.is_empty());
    reader.join().unwrap();
}

#[test]
fn a_sync_wakes_who_waits_for_what_is_durable() {
    let (broker, partitions) = real(1);
    let builder = from_the_start(&broker).isolation(IsolationLevel::ReadDurable);
    let mut consumer = consumer_of(builder, 1);
    append_each(&partitions[0], &["a"]);
    let reader = thread::spawn(move || texts(&consumer.poll(FOR_EVER).unwrap()));
    partitions[0].sync().unwrap();
    assert_eq!(reader.join().unwrap(), ["a"]);
}

#[test]
fn another_thread_wakes_a_poll() {
    let (broker, _) = real(1);
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let waker = consumer.waker();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        for _ in 0..500 {
            assert!(consumer.poll(FOR_EVER).unwrap().is_empty());
            tell.send(()).unwrap();
        }
    });
    for _ in 0..500 {
        waker.clone().wake();
        told.recv().unwrap();
    }
    reader.join().unwrap();
}

#[test]
fn a_wake_is_remembered_once_for_the_next_poll() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let waker = consumer.waker();
    let waits = |consumer: &mut Consumer| {
        let before = place.clock.monotonic();
        let records = consumer.poll(Duration::from_secs(1)).unwrap();
        (texts(&records), !(place.clock.monotonic() - before).is_zero())
    };
    waker.wake();
    waker.wake();
    assert_eq!(waits(&mut consumer), (vec![], false));
    assert_eq!(waits(&mut consumer), (vec![], true));
    append_each(&partitions[0], &["a"]);
    waker.wake();
    assert_eq!(waits(&mut consumer), (vec!["a".to_owned()], false), "with what there is");
    assert_eq!(waits(&mut consumer), (vec![], true));
    drop(consumer);
    waker.wake();
}

#[test]
fn a_future_is_woken_once_there_is_something_and_not_before() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 2, TopicConfig::default());
        let mut consumer = consumer_of(from_the_start(&broker), 1);
        let (woken, waker) = Counting::new();
        {
            let mut polled = pin!(consumer.poll_async());
            let mut context = Context::from_waker(&waker);
            assert!(polled.as_mut().poll(&mut context).is_pending());
            append_each(&partitions[1], &["another's"]);
            place.clock.advance(day_long());
            assert_eq!(woken.count(), 0, "an idle consumer is left alone");
            append_each(&partitions[0], &["a"]);
            append_each(&partitions[0], &["b"]);
            assert_eq!(woken.count(), 1);
            let Poll::Ready(records) = polled.as_mut().poll(&mut context) else { panic!("not ready") };
            assert_eq!(texts(&records.unwrap()), ["a", "b"]);
        }
        append_each(&partitions[0], &["c"]);
        assert_eq!(woken.count(), 1, "nobody waits any more");
    }
}

#[test]
fn a_future_that_is_dropped_loses_nothing() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let mut consumer = consumer_of(from_the_start(&broker), 1);
    let (woken, waker) = Counting::new();
    assert!(ask(&mut consumer, &waker).is_pending());
    append_each(&partitions[0], &["a", "b"]);
    assert_eq!(woken.count(), 0, "it does not wait any more");
    drop(consumer.poll_async());
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["a", "b"]);
}

#[test]
fn futures_follow_a_partition_on_any_executor() {
    fn check<T: Send>(future: T) -> T {
        future
    }
    let (broker, partitions) = real(2);
    let mut consumer = consumer_of(from_the_start(&broker), 2);
    let reader = thread::spawn(move || {
        let mut seen = 0;
        while seen < 300 {
            seen += block_on(check(consumer.poll_async())).unwrap().len();
        }
        let mut next = [0, 1].map(|number| u64::from(consumer.position(&named(number)).unwrap()));
        next.sort_unstable();
        next
    });
    (0..100).for_each(|round| append_batch(&partitions[round % 2], 3));
    assert_eq!(reader.join().unwrap(), [150, 150]);
}

#[test]
fn the_brokers_end_wakes_whoever_waits() {
    for count in [0, 1] {
        let (broker, _partitions) = real(1);
        let mut consumer = consumer_of(from_the_start(&broker), count);
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            tell.send(()).unwrap();
            consumer.poll(FOR_EVER)
        });
        told.recv().unwrap();
        broker.close().unwrap();
        assert!(matches!(reader.join().unwrap(), Err(Error::Closed)));
    }
    let place = Place::memory();
    let (broker, _) = begin(&place, 1, TopicConfig::default());
    for count in [0, 1] {
        let mut consumer = consumer_of(from_the_start(&broker), count);
        let (woken, waker) = Counting::new();
        let mut polled = pin!(consumer.poll_async());
        assert!(polled.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if count == 1 {
            broker.close().unwrap();
            assert!(woken.count() > 0);
        }
    }
}

/// A consumer that wants 10 batches of one record each, or to have waited for 500 ms; and the size of such a batch.
fn patient(broker: &Broker, partition: &Partition) -> Consumer {
    append_each(partition, &["0"]);
    let batch = partition.read(partition.log_start_offset(), 1).unwrap().bytes();
    let mut consumer = consumer_of(from_the_start(broker).fetch_min_bytes(10 * batch), 1);
    consumer.seek_to_end([&named(0)]).unwrap();
    consumer
}

#[test]
fn enough_bytes_are_waited_for_but_not_for_long() {
    for place in Place::both() {
        let (broker, partitions) = begin(&place, 1, TopicConfig::default());
        let mut consumer = patient(&broker, &partitions[0]);
        let passed = |since: Duration| (place.clock.monotonic() - since).as_millis();
        let now = place.clock.monotonic();
        assert!(consumer.poll(Duration::from_secs(2)).unwrap().is_empty());
        assert_eq!(passed(now), 2000, "nothing at all is not waited for differently");

        (0..9).for_each(|_| append_each(&partitions[0], &["x"]));
        let now = place.clock.monotonic();
        assert_eq!(consumer.poll(FOR_EVER).unwrap().len(), 9);
        assert_eq!(passed(now), 500);

        (0..10).for_each(|_| append_each(&partitions[0], &["x"]));
        let now = place.clock.monotonic();
        assert_eq!(consumer.poll(FOR_EVER).unwrap().len(), 10);
        assert_eq!(passed(now), 0);
    }
}

#[test]
fn what_was_waited_for_in_one_poll_counts_in_the_next() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let mut consumer = patient(&broker, &partitions[0]);
    append_each(&partitions[0], &["x"]);
    assert!(consumer.poll(Duration::from_millis(300)).unwrap().is_empty());
    append_each(&partitions[0], &["y"]);
    assert!(consumer.poll(Duration::from_millis(150)).unwrap().is_empty());
    assert_eq!(texts(&consumer.poll(Duration::from_millis(60)).unwrap()), ["x", "y"]);

    // A wait that is over does not shorten the next one.
    append_each(&partitions[0], &["z"]);
    assert!(consumer.poll(Duration::from_millis(499)).unwrap().is_empty());
    assert_eq!(texts(&consumer.poll(Duration::from_millis(1)).unwrap()), ["z"]);
}

#[test]
fn the_rest_of_what_was_enough_is_not_waited_for() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    (0..10).for_each(|_| append_batch(&partitions[0], 10));
    let all = partitions[0].read(partitions[0].log_start_offset(), usize::MAX).unwrap().bytes();
    let builder = from_the_start(&broker).fetch_min_bytes(all).max_poll_records(30);
    let mut consumer = consumer_of(builder, 1);
    let counts: Vec<usize> = (0..5).map(|_| consumer.poll(NO_WAIT).unwrap().len()).collect();
    assert_eq!(counts, [30, 30, 30, 10, 0]);
}

#[test]
fn bytes_that_the_bounds_do_not_let_in_are_not_waited_for() {
    for (of_one, of_all) in [(1, usize::MAX), (1000, usize::MAX), (usize::MAX, 10_000)] {
        let place = Place::memory();
        let (broker, partitions) = begin(&place, 2, TopicConfig::default());
        partitions.iter().for_each(|partition| (0..400).for_each(|_| append_batch(partition, 1)));
        let builder = from_the_start(&broker).fetch_min_bytes(10_000).max_partition_fetch_bytes(of_one);
        let mut consumer = consumer_of(builder.fetch_max_bytes(of_all), 2);
        assert!(!consumer.poll(NO_WAIT).unwrap().is_empty(), "{of_one} of one, {of_all} of all");
    }
}

#[test]
fn enough_bytes_are_what_all_partitions_have_together() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 5, TopicConfig::default());
    append_each(&partitions[0], &["0"]);
    let batch = partitions[0].read(partitions[0].log_start_offset(), 1).unwrap().bytes();
    let mut consumer = consumer_of(from_the_start(&broker).fetch_min_bytes(5 * batch), 5);
    for partition in &partitions[1..] {
        assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
        append_each(partition, &["0"]);
    }
    assert_eq!(consumer.poll(NO_WAIT).unwrap().len(), 5);
}

#[test]
fn a_future_is_woken_when_it_has_waited_for_long_enough() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let mut consumer = patient(&broker, &partitions[0]);
    append_each(&partitions[0], &["x"]);
    let (woken, waker) = Counting::new();
    let mut polled = pin!(consumer.poll_async());
    let mut context = Context::from_waker(&waker);
    assert!(polled.as_mut().poll(&mut context).is_pending());
    place.clock.advance(Duration::from_millis(499));
    assert_eq!(woken.count(), 0);
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(woken.count(), 1);
    let Poll::Ready(records) = polled.as_mut().poll(&mut context) else { panic!("not ready") };
    assert_eq!(texts(&records.unwrap()), ["x"]);
}

#[test]
fn a_wake_ends_the_wait_for_enough_bytes() {
    let place = Place::memory();
    let (broker, partitions) = begin(&place, 1, TopicConfig::default());
    let mut consumer = patient(&broker, &partitions[0]);
    append_each(&partitions[0], &["x"]);
    assert!(consumer.poll(NO_WAIT).unwrap().is_empty());
    consumer.waker().wake();
    assert_eq!(texts(&consumer.poll(NO_WAIT).unwrap()), ["x"]);
}
