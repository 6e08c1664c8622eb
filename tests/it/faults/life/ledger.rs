//! What a broker has been asked and has promised, and whether another one keeps it.
//!
//! A topic is as it was told last or as it was asked to become since. A partition holds a beginning of what it was asked to
//! take, in that order: all that was told as durable, and after a crash of the process alone all that was readable.

use std::collections::BTreeMap;

use streamlog::{Broker, Error, Offset, Partition, TopicConfig};

use super::commits::Commits;
use crate::faults::acknowledgement::read_all;

/// What must be left of what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// What was acknowledged as durable, and perhaps more.
    Durable,
    /// All that was readable, and perhaps what was being appended.
    Readable,
}

/// What was asked and promised; see the [module](self).
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    topics: BTreeMap<&'static str, Topic>,
    /// Tells topics of one name apart.
    made: usize,
    /// Makes values different that are written again after some were lost.
    life: usize,
    /// How many records were ever told to be durable, and are not deleted on purpose.
    pub(crate) acknowledged: u64,
    /// What groups have committed.
    pub(super) commits: Commits,
}

#[derive(Debug, Clone)]
struct Topic {
    number: usize,
    /// Told last, and asked for since.
    told: State,
    asked: Option<State>,
    partitions: BTreeMap<u32, Records>,
}

/// How many partitions there are, and their settings; `None` where there is no topic.
type State = Option<(u32, TopicConfig)>;

/// The values that one partition was asked to take, by offset.
#[derive(Debug, Clone, Default)]
struct Records {
    values: Vec<Vec<u8>>,
    readable: usize,
    durable: usize,
}

impl Ledger {
    pub(crate) fn creating(&mut self, name: &'static str, partitions: u32, config: &TopicConfig) {
        self.made += 1;
        let asked = Some(Some((partitions, config.clone())));
        let topic = Topic { number: self.made, told: None, asked, partitions: BTreeMap::new() };
        self.topics.insert(name, topic);
        self.commits.forgetting(name);
    }

    pub(crate) fn extending(&mut self, name: &str, partitions: u32) {
        let topic = self.topics.get_mut(name).unwrap();
        topic.asked = Some(topic.told.clone().map(|(_, config)| (partitions, config)));
    }

    pub(crate) fn altering(&mut self, name: &str, config: TopicConfig) {
        let topic = self.topics.get_mut(name).unwrap();
        topic.asked = Some(topic.told.clone().map(|(count, _)| (count, config)));
    }

    pub(crate) fn deleting(&mut self, name: &str) {
        self.topics.get_mut(name).unwrap().asked = Some(None);
        self.commits.forgetting(name);
    }

    /// What was asked of a topic has been done.
    pub(crate) fn done(&mut self, name: &str) {
        let topic = self.topics.get_mut(name).unwrap();
        topic.told = topic.asked.take().unwrap();
        if topic.told.is_none() {
            self.topics.remove(name);
        }
    }

    /// Whether it was told that there is such a topic.
    pub(crate) fn is_told(&self, name: &str) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.told.is_some())
    }

    /// The topics that there must or may be.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.topics.keys().copied().collect()
    }

    /// The values to append next.
    pub(crate) fn appending(
        &mut self,
        name: &str,
        partition: u32,
        count: usize,
        bytes: usize,
    ) -> Vec<Vec<u8>> {
        let (life, topic) = (self.life, self.topics.get_mut(name).unwrap());
        let records = topic.partitions.entry(partition).or_default();
        let start = records.values.len();
        let values: Vec<Vec<u8>> = (start..start + count)
            .map(|number| {
                let text = format!("{name}/{}-{partition}/{number}/{life} ", topic.number);
                text.bytes().cycle().take(bytes.max(text.len())).collect()
            })
            .collect();
        records.values.extend(values.iter().cloned());
        values
    }

    /// All that a partition was asked to take, as numbers of records: asked, readable.
    pub(crate) fn asked(&self, name: &str, partition: u32) -> usize {
        self.topics[name].partitions.get(&partition).map_or(0, |records| records.values.len())
    }

    /// A partition has told that the records before `end` are readable.
    pub(crate) fn readable(&mut self, name: &str, partition: u32, end: usize) {
        let records = self.at(name, partition);
        assert!(end <= records.values.len(), "{name}-{partition}: {end} of {}", records.values.len());
        records.readable = records.readable.max(end);
    }

    /// A partition has told that the records before `end` are on the device.
    pub(crate) fn durable(&mut self, name: &str, partition: u32, end: usize) {
        self.readable(name, partition, end);
        let records = self.at(name, partition);
        let more = end.saturating_sub(records.durable);
        records.durable += more;
        self.acknowledged += more as u64;
    }

    /// The value of a record.
    pub(super) fn value(&self, name: &str, partition: u32, offset: usize) -> Option<&Vec<u8>> {
        self.topics.get(name)?.partitions.get(&partition)?.values.get(offset)
    }

    /// The broker was closed: everything is durable.
    pub(crate) fn closed(&mut self) {
        self.commits.closed();
        for records in self.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
            self.acknowledged += (records.readable - records.durable) as u64;
            records.durable = records.readable;
        }
    }

    /// The process has ended: what is kept is still promised, and no more.
    pub(crate) fn ended(&mut self, kept: Kept) {
        self.commits.ended(kept);
        if kept == Kept::Durable {
            let all = self.topics.values_mut().flat_map(|topic| topic.partitions.values_mut());
            all.for_each(|records| records.readable = records.durable);
        }
    }

    /// Notes what every partition shows and tells by itself.
    pub(crate) fn look(&mut self, broker: &Broker) {
        self.commits.look(broker);
        for name in self.names() {
            let Ok(topic) = broker.topic(name) else { continue };
            for partition in topic.partitions().filter_map(Result::ok) {
                let number = partition.id().into();
                let was = self.at(name, number).durable;
                let durable = index(partition.durable_offset());
                assert!(durable >= was, "{name}-{number}: what is durable stays so");
                // The end is asked for last, as it must not be before what is durable.
                self.readable(name, number, index(partition.log_end_offset()));
                self.durable(name, number, durable);
            }
        }
    }

    /// Checks that the broker has what was promised and nothing that was not asked for, and goes on from what it has.
    pub(crate) fn check(&mut self, broker: &Broker, kept: Kept) {
        for name in broker.admin().list_topics().unwrap() {
            assert!(self.topics.contains_key(&*name), "{name} was never asked for, or is deleted");
        }
        let mut topics = std::mem::take(&mut self.topics);
        let mut fresh = Vec::new();
        topics.retain(|name, topic| {
            let found = match broker.topic(name) {
                Ok(found) => Some((found.partition_count(), found.config().clone())),
                Err(Error::UnknownTopic { .. }) => None,
                Err(error) => panic!("{name}: {error}"),
            };
            let is_known = found == topic.told || topic.asked.as_ref() == Some(&found);
            assert!(is_known, "{name} is {found:?}, not {:?} nor {:?}", topic.told, topic.asked);
            if topic.told.is_none() && found.is_some() {
                fresh.push(*name);
            }
            (topic.told, topic.asked) = (found.clone(), None);
            let Some((count, _)) = found else { return false };
            for number in 0..count {
                let partition = broker.topic(name).unwrap().partition(number).unwrap();
                topic.partitions.entry(number).or_default().check(&partition, kept);
            }
            topic.partitions.retain(|number, _| *number < count);
            true
        });
        let end = |(name, number): (&str, u32)| {
            Some(topics.get(name)?.partitions.get(&number).map_or(0, |records| records.values.len() as u64))
        };
        self.commits.check(broker, kept, end, &fresh);
        self.topics = topics;
        self.life += 1;
    }

    /// Whether a partition has not taken all that it was asked to.
    pub(crate) fn is_short(&self, broker: &Broker) -> bool {
        self.topics.iter().any(|(name, topic)| {
            let Ok(found) = broker.topic(name) else { return false };
            let mut partitions = found.partitions().filter_map(Result::ok);
            partitions.any(|partition| {
                let asked =
                    topic.partitions.get(&partition.id().into()).map_or(0, |records| records.values.len());
                index(partition.log_end_offset()) < asked
            })
        })
    }

    /// Takes a failure in, in the process that had it: what was asked for last was done or not, and records of it may be missing.
    /// Nothing that was readable is, nothing is there twice, and nothing has changed its place.
    pub(crate) fn settle(&mut self, broker: &Broker) {
        for (name, topic) in &mut self.topics {
            let found =
                broker.topic(name).ok().map(|found| (found.partition_count(), found.config().clone()));
            if topic.asked.as_ref() == Some(&found) {
                (topic.told, topic.asked) = (found, None);
            } else {
                // What has failed may be done by the next open yet.
                assert_eq!(found, topic.told, "{name}");
            }
            let Ok(found) = broker.topic(name) else { continue };
            for partition in found.partitions().filter_map(Result::ok) {
                topic.partitions.entry(partition.id().into()).or_default().settle(&partition);
            }
        }
        self.commits.look(broker);
        self.life += 1;
    }

    /// Compares what a reader has got of a partition, from its beginning on, with what was appended.
    pub(crate) fn compare(&self, name: &str, partition: u32, found: &[Vec<u8>]) {
        let Some(records) = self.topics[name].partitions.get(&partition) else {
            return assert!(found.is_empty());
        };
        assert!(records.values.starts_with(found), "{name}-{partition}: another record than was appended");
    }

    fn at(&mut self, name: &str, partition: u32) -> &mut Records {
        self.topics.get_mut(name).unwrap().partitions.entry(partition).or_default()
    }
}

impl Records {
    fn settle(&mut self, partition: &Partition) {
        let (found, name) = (read_all(partition), format!("{}-{}", partition.topic(), partition.id()));
        assert!(found.len() >= self.readable, "{name}: {} records of {}", found.len(), self.readable);
        assert!(
            found[..self.readable] == self.values[..self.readable],
            "{name}: other records than were readable"
        );
        let mut asked = self.values.iter();
        let in_order = found.iter().all(|found| asked.any(|asked| asked == found));
        assert!(in_order, "{name}: records that were not asked for, or not in this order");
        self.readable = found.len();
        self.values = found;
    }

    fn check(&mut self, partition: &Partition, kept: Kept) {
        let found = read_all(partition);
        let least = if kept == Kept::Readable { self.readable } else { self.durable };
        let name = format!("{}-{}", partition.topic(), partition.id());
        assert!(found.len() >= least, "{name}: {} records of {least} that were promised", found.len());
        assert!(found.len() <= self.values.len(), "{name}: more records than were appended");
        for (number, (found, appended)) in found.iter().zip(&self.values).enumerate() {
            assert!(found == appended, "{name}: another record at offset {number}");
        }
        assert_eq!(partition.durable_offset(), partition.log_end_offset(), "after an open all is durable");
        self.values.truncate(found.len());
        (self.readable, self.durable) = (found.len(), found.len());
    }
}

pub(crate) fn index(offset: Offset) -> usize {
    usize::try_from(u64::from(offset)).unwrap()
}
