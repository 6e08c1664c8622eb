//! Members at random, by every kind of assignor: whatever they do, no partition has two owners, and every record is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamlog::{Assignor, Broker, Consumer, CooperativeSticky, Error, Range, Sticky, TopicPartition};

use super::{broker, builder, fill, shares};
use crate::kit::Place;

type Offers = Vec<Arc<dyn Assignor>>;

/// The ways of a group: of one kind, or changing from eager to cooperative.
fn offers() -> [Vec<Offers>; 4] {
    let (range, sticky): (Arc<dyn Assignor>, Arc<dyn Assignor>) = (Arc::new(Range), Arc::new(Sticky));
    let cooperative: Arc<dyn Assignor> = Arc::new(CooperativeSticky);
    [
        vec![vec![Arc::clone(&cooperative)]],
        vec![vec![Arc::clone(&range)]],
        vec![vec![sticky]],
        vec![vec![Arc::clone(&cooperative)], vec![cooperative, range]],
    ]
}

struct Turmoil {
    broker: Broker,
    random: fastrand::Rng,
    offers: Vec<Offers>,
    members: Vec<Consumer>,
    topics: Vec<&'static str>,
    partitions: BTreeMap<&'static str, u32>,
    sent: BTreeMap<TopicPartition, u64>,
    read: BTreeMap<(TopicPartition, u64), u32>,
}

impl Turmoil {
    fn join(&mut self) {
        let offered = self.offers[self.random.usize(..self.offers.len())].clone();
        let mut builder = builder(&self.broker).auto_commit(Some(Duration::MAX)).assignors(offered);
        if self.random.u8(..4) == 0 {
            let id = format!("instance {}", self.random.u8(..3));
            builder = builder.group_instance_id(id).session_timeout(Duration::from_secs(6));
        }
        let mut member = builder.max_poll_records(self.random.usize(1..9)).build().unwrap();
        member.subscribe(self.topics()).unwrap();
        self.members.push(member);
    }

    /// One topic, or all.
    fn topics(&mut self) -> Vec<&'static str> {
        let count = self.random.usize(1..=self.topics.len());
        let mut topics = self.topics.clone();
        self.random.shuffle(&mut topics);
        topics.truncate(count);
        topics
    }

    fn step(&mut self) {
        let one = self.random.usize(..self.members.len().max(1));
        match self.random.u8(..40) {
            0..=2 if self.members.len() < 6 => self.join(),
            3 if !self.members.is_empty() => drop(self.members.swap_remove(one)),
            4 if !self.members.is_empty() => drop(self.members.swap_remove(one).close()),
            5 if !self.members.is_empty() => {
                let topics = self.topics();
                self.members[one].subscribe(topics).unwrap();
            }
            6 if !self.members.is_empty() => drop(self.members[one].unsubscribe()),
            7 if !self.members.is_empty() => self.members[one].enforce_rebalance("at random").unwrap(),
            8 if !self.members.is_empty() => drop(self.members[one].commit()),
            9 => {
                let topic = self.topics[self.random.usize(..self.topics.len())];
                let count = self.partitions.get_mut(topic).unwrap();
                if *count < 6 {
                    *count += 1;
                    self.broker.admin().create_partitions(topic, *count).unwrap();
                }
            }
            10..=13 => {
                let topic = self.topics[self.random.usize(..self.topics.len())];
                let number = self.random.u32(..self.partitions[topic]);
                fill(&self.broker, topic, number, 3);
                *self.sent.entry(super::partition(topic, number)).or_default() += 3;
            }
            _ if !self.members.is_empty() => self.poll(one),
            _ => {}
        }
    }

    fn poll(&mut self, one: usize) {
        // One may be fenced by another of its name.
        let records = match self.members[one].poll(Duration::ZERO) {
            Err(Error::FencedInstance { .. }) => return,
            polled => polled.unwrap(),
        };
        for record in &records {
            let place = (record.topic_partition().clone(), u64::from(record.offset()));
            *self.read.entry(place).or_default() += 1;
        }
    }
}

#[test]
fn whatever_members_do_nothing_has_two_owners_and_nothing_is_left_unread() {
    for seed in 0..60 {
        for offers in offers() {
            let place = Place::memory();
            let mut turmoil = Turmoil {
                broker: broker(&place, &[("a", 2), ("b", 1)]),
                random: fastrand::Rng::with_seed(seed),
                offers,
                members: Vec::new(),
                topics: vec!["a", "b"],
                partitions: BTreeMap::from([("a", 2), ("b", 1)]),
                sent: BTreeMap::new(),
                read: BTreeMap::new(),
            };
            for _ in 0..250 {
                turmoil.step();
                // One that was fenced owns what it had until its next poll, and commits nothing of it.
                let fenced = |member: &mut Consumer| {
                    let commit = member.commit_async().map(drop);
                    matches!(commit, Err(Error::FencedInstance { .. }))
                };
                if turmoil.members.iter_mut().any(fenced) {
                    (0..turmoil.members.len()).for_each(|one| turmoil.poll(one));
                    turmoil.members.retain_mut(|member| !fenced(member));
                }
                shares(&turmoil.members);
            }
            turmoil.members.clear();
            place.clock.advance(Duration::from_secs(20));
            let mut rest = builder(&turmoil.broker).build().unwrap();
            rest.subscribe(["a", "b"]).unwrap();
            while let Ok(records) = rest.poll(Duration::ZERO)
                && !records.is_empty()
            {
                for record in &records {
                    let place = (record.topic_partition().clone(), u64::from(record.offset()));
                    *turmoil.read.entry(place).or_default() += 1;
                }
            }
            for (partition, &sent) in &turmoil.sent {
                for offset in 0..sent {
                    let read = turmoil.read.get(&(partition.clone(), offset));
                    assert!(read.is_some(), "{partition} at {offset} was not read, seed {seed}");
                }
            }
        }
    }
}
