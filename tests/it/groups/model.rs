//! Random lives of a group, by seeds: whoever comes, goes, dies and is slow, every record is processed; once, where nobody fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamlog::{Assignor, Broker, Consumer, GroupState, NewTopic, TopicPartition};

use super::{GROUP, assignors, builder, fill, partition};
use crate::kit::{Place, Seed};

const STEPS: usize = 150;
const MEMBERS_MAX: usize = 5;
const POLL_INTERVAL: Duration = Duration::from_secs(60);
const TOPICS: [&str; 2] = ["t", "u"];

struct Life {
    place: Place,
    broker: Broker,
    assignor: Arc<dyn Assignor>,
    members: Vec<Consumer>,
    /// How often each record was returned.
    processed: BTreeMap<(TopicPartition, u64), usize>,
    /// What was last seen committed.
    committed: BTreeMap<TopicPartition, u64>,
    partitions: BTreeMap<&'static str, u32>,
}

impl Life {
    fn begin(assignor: Arc<dyn Assignor>) -> Life {
        let place = Place::memory();
        let broker = place.open();
        let partitions: BTreeMap<_, _> = [(TOPICS[0], 3), (TOPICS[1], 2)].into();
        for (&name, &count) in &partitions {
            broker.admin().create_topic(NewTopic::new(name).partitions(count)).unwrap();
        }
        let (members, processed, committed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Life { place, broker, assignor, members, processed, committed, partitions }
    }

    /// A member that commits what it has processed before it gives anything up.
    fn join(&mut self, topics: &[&str]) {
        let builder = builder(&self.broker).auto_commit(Some(Duration::from_secs(20)));
        let builder = builder.max_poll_interval(POLL_INTERVAL).max_poll_records(7);
        let mut consumer = builder.assignors([Arc::clone(&self.assignor)]).build().unwrap();
        consumer.subscribe(topics.iter().copied()).unwrap();
        self.members.push(consumer);
    }

    fn poll(&mut self, member: usize) {
        for record in &self.members[member].poll(Duration::ZERO).unwrap() {
            let partition = record.topic_partition().clone();
            *self.processed.entry((partition, record.offset().into())).or_default() += 1;
        }
    }

    fn fill(&mut self, seed: &mut Seed) {
        let topic = TOPICS[seed.below(TOPICS.len())];
        let number = seed.below(self.partitions[topic] as usize);
        fill(&self.broker, topic, u32::try_from(number).unwrap(), 1 + seed.below(10) as u64);
    }

    /// What holds after each step.
    fn check(&mut self) {
        let Ok(group) = self.broker.admin().describe_group(GROUP) else { return };
        for (partition, committed) in &group.committed {
            let offset = u64::from(committed.offset);
            let before = self.committed.insert(partition.clone(), offset);
            assert!(before.is_none_or(|before| before <= offset), "{partition} went back to {offset}");
        }
        if group.state == GroupState::Stable {
            let mut all: Vec<_> = group.members.iter().flat_map(|member| member.assigned.iter()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "two owners in generation {}", group.generation);
        }
    }

    /// Polls everybody until the group is at rest.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..50 {
            let before = self.broker.admin().describe_group(GROUP).ok().map(|group| group.generation);
            (0..self.members.len()).for_each(|member| self.poll(member));
            let group = self.broker.admin().describe_group(GROUP).unwrap();
            let is_quiet = group.state == GroupState::Stable && before == Some(group.generation);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == 3 {
                return;
            }
        }
        panic!("the group does not come to rest");
    }

    /// Polls everybody until nothing is left.
    fn finish(&mut self) {
        if self.members.is_empty() {
            self.join(&TOPICS);
        }
        self.members.iter_mut().for_each(|member| member.subscribe(TOPICS).unwrap());
        for _ in 0..60 {
            self.place.clock.advance(POLL_INTERVAL / 20);
            (0..self.members.len()).for_each(|member| self.poll(member));
            self.check();
        }
        self.members.iter_mut().for_each(|member| member.close().unwrap());
        self.check();
    }

    /// How often every record there is was returned.
    fn counts(&self) -> Vec<(TopicPartition, u64, usize)> {
        let mut counts = Vec::new();
        for (&topic, &partitions) in &self.partitions {
            for number in 0..partitions {
                let name = partition(topic, number);
                let end = self.broker.topic(topic).unwrap().partition(number).unwrap().log_end_offset();
                for offset in 0..u64::from(end) {
                    let count = self.processed.get(&(name.clone(), offset)).copied().unwrap_or(0);
                    counts.push((name.clone(), offset, count));
                }
            }
        }
        counts
    }
}

fn live(seed: &mut Seed, assignor: &Arc<dyn Assignor>, fails: bool) -> Life {
    let mut life = Life::begin(Arc::clone(assignor));
    for _ in 0..STEPS {
        let count = life.members.len();
        match seed.below(if fails { 15 } else { 11 }) {
            0 if count < MEMBERS_MAX => match seed.below(3) {
                0 => life.join(&TOPICS[..1]),
                _ => life.join(&TOPICS),
            },
            1 if count > 0 => {
                if !fails {
                    // In the middle of a rebalance the last positions could not be committed.
                    life.settle();
                }
                let closed = life.members.remove(seed.below(count)).close();
                assert!(fails || closed.is_ok(), "{closed:?}");
            }
            2 if count > 0 => {
                // It may be no member of the group yet, or not any more.
                let _ = life.members[seed.below(count)].commit();
            }
            3 if count > 0 => life.members[seed.below(count)].enforce_rebalance("at random").unwrap(),
            4 => {
                let topic = TOPICS[seed.below(2)];
                let partitions = life.partitions.get_mut(topic).unwrap();
                if *partitions < 6 && seed.below(4) == 0 {
                    *partitions += 1;
                    life.broker.admin().create_partitions(topic, *partitions).unwrap();
                }
            }
            5 => life.place.clock.advance(Duration::from_secs(1)),
            6 | 7 => life.fill(seed),
            11 if count > 0 => drop(life.members.remove(seed.below(count))),
            12 if count > 0 => std::mem::forget(life.members.remove(seed.below(count))),
            13 => life.place.clock.advance(POLL_INTERVAL * u32::try_from(seed.below(3)).unwrap() / 2),
            14 if seed.below(3) == 0 => {
                life.broker.close().unwrap();
                life.members.clear();
                life.broker = life.place.open();
            }
            _ if count > 0 => {
                let member = seed.below(count);
                life.poll(member);
            }
            _ => {}
        }
        life.check();
    }
    life.finish();
    life
}

/// How many lives; `STREAMLOG_TEST_SEEDS` says otherwise.
fn seeds() -> u64 {
    std::env::var("STREAMLOG_TEST_SEEDS").map_or(10, |seeds| seeds.parse().unwrap())
}

#[test]
fn where_nobody_fails_every_record_is_processed_once() {
    for assignor in assignors() {
        for number in 0..seeds() {
            let mut seed = Seed::new(number);
            let life = live(&mut seed, &assignor, false);
            for (partition, offset, count) in life.counts() {
                assert_eq!(count, 1, "{}, seed {number}: {partition}@{offset}", assignor.name());
            }
        }
    }
}

#[test]
fn whoever_fails_every_record_is_processed() {
    for assignor in assignors() {
        for number in 0..seeds() {
            let mut seed = Seed::new(1000 + number);
            let life = live(&mut seed, &assignor, true);
            for (partition, offset, count) in life.counts() {
                assert!(count >= 1, "{}, seed {number}: {partition}@{offset}", assignor.name());
            }
        }
    }
}
