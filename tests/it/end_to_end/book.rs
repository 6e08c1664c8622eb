//! What was sent, what became of it, and what stands in the logs: a plain list of rows for each partition.
//!
//! The lists are read from the partitions themselves, with neither a producer nor a consumer. Each row that is new must be one
//! that was sent, as it was sent, there for the first time, and behind what its producer sent to that partition before.

use std::collections::BTreeMap;

use streamlog::{Acks, Broker, Delivery, Error, Offset, Partition, RecordMetadata, Result};

use crate::kit::{Row, START, all_rows};

/// A record that a producer took.
pub(super) struct Sent {
    /// By number, because a name may be given again.
    pub(super) topic: usize,
    pub(super) sender: usize,
    pub(super) acks: Acks,
    pub(super) partition: Option<u32>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) delivery: Option<Delivery>,
    /// Whether there was a reason that it should not be delivered.
    pub(super) may_fail: bool,
    /// What its delivery said.
    pub(super) told: Option<bool>,
    /// Where it stands.
    pub(super) place: Option<(u32, u64)>,
    /// Whether a crash came after it was refused: what was written of it may be found.
    may_appear: bool,
}

/// One life of a topic.
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) is_deleted: bool,
    /// Whether its records may have the time of the append.
    pub(super) is_stamped: bool,
    /// Whether a batch may be larger than it takes.
    pub(super) is_narrow: bool,
    pub(super) logs: Vec<Log>,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) rows: Vec<Row>,
    /// Up to where it was said that no power cut takes anything back.
    pub(super) secured: u64,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) topics: Vec<Topic>,
    pub(super) sent: Vec<Sent>,
    /// The last record of each producer in each partition of each topic.
    last: BTreeMap<(usize, u32, usize), usize>,
}

impl Sent {
    pub(super) fn new(topic: usize, sender: usize, acks: Acks, timestamp: i64) -> Sent {
        Sent {
            topic,
            sender,
            acks,
            partition: None,
            key: None,
            timestamp,
            delivery: None,
            may_fail: false,
            told: None,
            place: None,
            may_appear: false,
        }
    }
}

impl Book {
    pub(super) fn create(&mut self, name: &'static str, partitions: usize) {
        let logs = (0..partitions).map(|_| Log::default()).collect();
        self.topics.push(Topic { name, is_deleted: false, is_stamped: false, is_narrow: false, logs });
    }

    /// A topic is gone: what is on its way, and what is not on the device, has come too late.
    pub(super) fn delete(&mut self, topic: usize) {
        self.topics[topic].is_deleted = true;
        let of_topic = self.sent.iter_mut().filter(|sent| sent.topic == topic);
        of_topic.filter(|sent| sent.place.is_none() || sent.acks == Acks::All).for_each(|sent| {
            sent.may_fail = true;
        });
    }

    /// The topics that there are, by number.
    pub(super) fn alive(&self) -> Vec<usize> {
        (0..self.topics.len()).filter(|&number| !self.topics[number].is_deleted).collect()
    }

    /// The partitions that there are: topic, number, and a handle.
    pub(super) fn partitions(&self, broker: &Broker) -> Vec<(usize, u32, Partition)> {
        let mut partitions = Vec::new();
        for topic in self.alive() {
            let handle = broker.topic(self.topics[topic].name).unwrap();
            for number in 0..handle.partition_count() {
                partitions.push((topic, number, handle.partition(number).unwrap()));
            }
        }
        partitions
    }

    /// Enters what was appended since this was last called.
    pub(super) fn catch_up(&mut self, broker: &Broker) {
        for (topic, number, partition) in self.partitions(broker) {
            let known = self.topics[topic].logs[number as usize].rows.len() as u64;
            for row in all_rows(&partition, Offset::try_from(known).unwrap(), usize::MAX) {
                self.enter(topic, number, row);
            }
        }
    }

    fn enter(&mut self, topic: usize, partition: u32, row: Row) {
        let number = number_of(&row);
        let sent = &mut self.sent[number];
        assert_eq!(sent.topic, topic, "{number} was sent to another topic");
        assert_eq!(sent.place, None, "{number} is there twice");
        assert!(sent.may_appear || sent.told != Some(false), "{number} failed, and is there");
        assert!(sent.partition.is_none_or(|chosen| chosen == partition));
        assert_eq!(sent.key, row.key);
        let is_stamped = self.topics[topic].is_stamped && row.timestamp >= START;
        assert!(is_stamped || row.timestamp == sent.timestamp, "{number} has another time");
        sent.place = Some((partition, row.offset));
        let last = self.last.insert((topic, partition, sent.sender), number);
        assert!(last < Some(number), "{number} overtook {last:?}");
        self.topics[topic].logs[partition as usize].rows.push(row);
    }

    /// From now on there may be a reason that these are not delivered: those on their way, for which `is_meant` is true.
    pub(super) fn excuse(&mut self, is_meant: impl Fn(&Sent) -> bool) {
        self.sent.iter_mut().filter(|sent| sent.place.is_none() && is_meant(sent)).for_each(|sent| {
            sent.may_fail = true;
        });
    }

    /// Checks what a delivery says.
    pub(super) fn tell(&mut self, broker: &Broker, number: usize, told: Result<RecordMetadata>) {
        self.catch_up(broker);
        let sent = &mut self.sent[number];
        assert_eq!(sent.told, None);
        let topic = &mut self.topics[sent.topic];
        match told {
            Ok(metadata) if sent.acks == Acks::None => assert_eq!(metadata.offset, None),
            Ok(metadata) => {
                let place = (metadata.partition.into(), metadata.offset.unwrap().into());
                assert_eq!(sent.place, Some(place), "{number}");
                sent.told = Some(true);
                let log = &mut topic.logs[place.0 as usize];
                let row = &log.rows[usize::try_from(place.1).unwrap()];
                assert_eq!((metadata.timestamp.as_millis(), metadata.acks), (row.timestamp, sent.acks));
                if sent.acks == Acks::All && !topic.is_deleted {
                    let partition = broker.topic(topic.name).unwrap().partition(place.0).unwrap();
                    assert!(partition.durable_offset() > place.1, "{number} is not on the device");
                    log.secured = log.secured.max(place.1 + 1);
                }
            }
            Err(Error::DeliveryFailed { source, .. }) => {
                assert!(sent.may_fail, "{number}: {source:?}");
                assert!(topic.is_deleted || sent.place.is_none(), "{number} is there: {source:?}");
                sent.told = Some(false);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// What is secured now, before the power goes: everybody can ask a partition for it.
    pub(super) fn secure(&mut self, broker: &Broker) {
        for (topic, number, partition) in self.partitions(broker) {
            let log = &mut self.topics[topic].logs[number as usize];
            log.secured = log.secured.max(partition.durable_offset().into());
        }
    }

    /// After a power cut: nothing that was secured is lost, and of the rest there is the beginning.
    pub(super) fn cut(&mut self, broker: &Broker) {
        for (topic, number, partition) in self.partitions(broker) {
            let log = &mut self.topics[topic].logs[number as usize];
            let found = all_rows(&partition, Offset::ZERO, usize::MAX);
            let kept = found.iter().zip(&log.rows).take_while(|(found, known)| found == known).count();
            // Behind it there may be what was refused before something else was written there.
            assert!(kept as u64 >= log.secured, "{partition:?} lost what was secured");
            for row in log.rows.drain(kept..) {
                self.sent[number_of(&row)].place = None;
            }
        }
        for sent in &mut self.sent {
            (sent.delivery, sent.may_appear) = (None, true);
        }
        self.excuse(|_| true);
        self.last.clear();
        for sent in (0..self.sent.len()).filter(|&number| self.sent[number].place.is_some()) {
            let Sent { topic, sender, place, .. } = &self.sent[sent];
            self.last.insert((*topic, place.unwrap().0, *sender), sent);
        }
        self.catch_up(broker);
    }

    /// What must have been delivered by now is there.
    pub(super) fn check_all_there(&self, is_meant: impl Fn(&Sent) -> bool) {
        for (number, sent) in self.sent.iter().enumerate().filter(|(_, sent)| is_meant(sent)) {
            assert!(sent.may_fail || sent.place.is_some(), "{number} is lost");
        }
    }
}

fn number_of(row: &Row) -> usize {
    let value = String::from_utf8(row.value.clone().unwrap()).unwrap();
    value.split(' ').next().unwrap().parse().unwrap()
}
