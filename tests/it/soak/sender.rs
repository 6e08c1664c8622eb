//! Senders: one producer each, of all acknowledgements and codecs, at a rate that is kept to.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use streamlog::{Acks, Clock, Compression, Producer, Record};

use super::stage::{Live, SENDERS, Stage};
use crate::kit::Seed;

/// A sender; it outlives the brokers that it sends through.
pub(super) struct Sender {
    number: usize,
    seed: Seed,
    /// Bytes of a second.
    rate: u64,
}

/// The value of a record: who sent it, as which one, and what follows from that.
pub(super) fn value(sender: usize, number: u64, count: usize) -> Vec<u8> {
    let text = format!("{sender} {number} {count} ");
    let filler = (text.len()..count).map(|at| (at as u64 * 31 + number * 7 + sender as u64).to_be_bytes()[7]);
    let mut value = text.clone().into_bytes();
    // Half of it repeats itself, so that it can be compressed.
    value.extend(filler.map(|byte| if byte < 128 { b'-' } else { byte }));
    value
}

/// Who sent a value, as which one, where it is one that was sent.
pub(super) fn made_of(stored: &[u8]) -> Option<(usize, u64)> {
    let mut words = stored.split(|byte| *byte == b' ').take(3);
    let mut next = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
    let (sender, number, count) = (usize::try_from(next()?).ok()?, next()?, usize::try_from(next()?).ok()?);
    (sender < SENDERS && value(sender, number, count) == stored).then_some((sender, number))
}

impl Sender {
    pub(super) fn new(number: usize, rate: u64) -> Sender {
        Sender { number, seed: Seed::new(number as u64), rate: rate.max(1) }
    }

    fn producer(&self, stage: &Stage) -> Producer {
        let codec = |codec: Compression| if codec.is_available() { codec } else { Compression::None };
        let builder = stage.broker.producer();
        let builder = match self.number {
            0 => {
                builder.acks(Acks::All).compression(codec(Compression::Lz4)).linger(Duration::from_millis(1))
            }
            1 => builder.acks(Acks::Leader).compression(codec(Compression::Zstd)).batch_bytes(30_000),
            2 => builder.acks(Acks::None).compression(codec(Compression::Snappy)),
            _ => builder.acks(Acks::All).compression(codec(Compression::Gzip)).buffer_bytes(200_000),
        };
        builder.build().unwrap()
    }

    /// Sends until all is over.
    pub(super) fn run(mut self, stage: &Stage) -> Sender {
        let producer = self.producer(stage);
        let mut due = stage.clock.monotonic();
        while !stage.is_over.load(SeqCst) {
            let bytes = {
                let topics = stage.topics.read().unwrap();
                let live: Vec<_> = topics.iter().filter(|topic| topic.ends.get().is_none()).collect();
                let topic = live[self.seed.below(live.len())];
                self.send_some(&producer, topic, stage)
            };
            due += Duration::from_secs(1).mul_f64(bytes as f64 / self.rate as f64);
            stage.rest_until(due);
        }
        producer.close(Duration::from_secs(60)).unwrap();
        self
    }

    /// Sends some records, and returns once they have been appended at least.
    fn send_some(&mut self, producer: &Producer, topic: &Arc<Live>, stage: &Stage) -> u64 {
        let (mut deliveries, mut bytes) = (Vec::new(), 0);
        for _ in 0..=self.seed.below(50) {
            let partition = self.seed.below(topic.partition_count());
            let sent = &topic.sent[partition][self.number];
            let most = if self.seed.below(200) == 0 { 50_000 } else { 2_000 };
            let value = value(self.number, sent.fetch_add(1, SeqCst), self.seed.below(most));
            bytes += value.len() as u64;
            let record = Record::to(&topic.name).partition(u32::try_from(partition).unwrap());
            deliveries.push(producer.send(record.value(&value)).unwrap());
        }
        stage.counts.sent.fetch_add(deliveries.len() as u64, SeqCst);
        stage.counts.sent_bytes.fetch_add(bytes, SeqCst);
        topic.bytes.fetch_add(bytes, SeqCst);
        if self.number == 2 || self.seed.below(4) == 0 {
            drop(deliveries);
            producer.flush().unwrap();
        } else {
            for delivery in deliveries {
                delivery.wait().unwrap();
            }
        }
        bytes
    }
}
