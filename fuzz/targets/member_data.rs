//! What members tell their leader, and what it answers, both through Kafka's bytes.
//!
//! The input says what up to four members subscribe to, where they stand and what they add; and what the leader's assignor
//! answers, sense or nonsense. The leader sees exactly what its members said. An answer that is an assignment is what they
//! get; one that is none is refused by name, nobody is assigned anything by it, and the next one counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{
    Assignment, Assignor, Broker, Consumer, Error, NewTopic, PartitionId, PreviousAssignment,
    RebalanceProtocol, RoundRobin, Subscriptions, TopicPartition, TopicPartitions,
};

use super::files;
use super::input::Input;
use super::memory;

const MEMORY_BYTES: usize = 64 << 20;
const MEMBERS_MAX: usize = 4;
const TOPICS: [(&str, u32); 3] = [("a", 1), ("b", 2), ("c", 3)];
const ROUNDS: usize = 12;

/// What one member says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    topics: Vec<String>,
    rack: Option<String>,
    user_data: Option<Vec<u8>>,
}

/// Answers what the input says, as long as there is any; then what makes sense.
#[derive(Debug)]
struct Scripted {
    protocol: RebalanceProtocol,
    said: Said,
    script: Arc<Mutex<Vec<u8>>>,
    seen: Arc<Mutex<Vec<Vec<Said>>>>,
    given: Arc<Mutex<Assignment>>,
}

impl Assignor for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn protocol(&self) -> RebalanceProtocol {
        self.protocol
    }

    fn user_data(&self, _: PreviousAssignment<'_>) -> Option<Vec<u8>> {
        self.said.user_data.clone()
    }

    fn assign(&self, subscriptions: &Subscriptions) -> Assignment {
        let mut seen: Vec<Said> = subscriptions
            .members
            .iter()
            .map(|member| Said {
                topics: member.topics.clone(),
                rack: member.rack.clone(),
                user_data: member.user_data.clone(),
            })
            .collect();
        seen.sort();
        self.seen.lock().unwrap().push(seen);
        let script = std::mem::take(&mut *self.script.lock().unwrap());
        let mut input = Input::new(&script);
        let mut assignment = RoundRobin.assign(subscriptions);
        if self.protocol == RebalanceProtocol::Cooperative {
            withhold(subscriptions, &mut assignment);
        }
        for _ in 0..input.below(4) {
            let ids: Vec<_> = subscriptions.members.iter().map(|member| member.id.clone()).collect();
            let id = match input.byte() {
                255 => String::from_utf8_lossy(input.bytes()).into_owned(),
                number => ids[usize::from(number) % ids.len()].clone(),
            };
            let (name, _) = TOPICS[input.below(TOPICS.len())];
            let partition = PartitionId::try_from(u32::from(input.byte() % 4)).unwrap();
            let given: &mut TopicPartitions = assignment.entry(id).or_default();
            if input.flag() {
                given.insert(name, partition);
            } else {
                given.remove(name, partition);
            }
        }
        *self.given.lock().unwrap() = assignment.clone();
        assignment
    }
}

/// Leaves out what another member has to give up first.
fn withhold(subscriptions: &Subscriptions, assignment: &mut Assignment) {
    for owner in &subscriptions.members {
        for (id, given) in assignment.iter_mut().filter(|(id, _)| **id != owner.id) {
            let all = owner.owned.iter().filter(|&(topic, number)| given.contains(topic, number));
            let all: Vec<_> = all.map(|(topic, number)| (topic.to_owned(), number)).collect();
            all.iter().for_each(|(topic, number)| assert!(given.remove(topic, *number), "of {id}"));
        }
    }
}

/// Tries one input.
pub fn run(data: &[u8]) {
    memory::within(MEMORY_BYTES, || check(&mut Input::new(data)));
}

fn check(input: &mut Input<'_>) {
    let (broker, _) = files::open(&streamlog::MemoryStorage::new()).unwrap();
    for (name, partitions) in TOPICS {
        broker.admin().create_topic(NewTopic::new(name).partitions(partitions)).unwrap();
    }
    let protocol = if input.flag() { RebalanceProtocol::Cooperative } else { RebalanceProtocol::Eager };
    let all: Vec<Said> = (0..=input.below(MEMBERS_MAX)).map(|_| said(input)).collect();
    let script = Arc::new(Mutex::new(input.rest().to_vec()));
    let (seen, given) = (Arc::default(), Arc::default());
    let mut members: Vec<Consumer> = all
        .iter()
        .map(|said| {
            let (script, seen, given) = (Arc::clone(&script), Arc::clone(&seen), Arc::clone(&given));
            join(&broker, Scripted { protocol, said: said.clone(), script, seen, given })
        })
        .collect();
    for _ in 0..ROUNDS {
        for member in &mut members {
            match member.poll(Duration::ZERO) {
                Ok(records) => assert!(records.is_empty()),
                Err(Error::InvalidAssignment { assignor, .. }) => assert_eq!(assignor, "scripted"),
                Err(error) => panic!("{error:?}"),
            }
        }
        check_owners(&members);
    }
    let mut expected = all;
    expected.sort();
    assert_eq!(seen.lock().unwrap().last(), Some(&expected));
    let mut told: Vec<_> = given.lock().unwrap().values().map(names).collect();
    let mut got: Vec<_> = members.iter().map(Consumer::assignment).collect();
    for all in [&mut told, &mut got] {
        all.retain(|partitions| !partitions.is_empty());
        all.sort();
    }
    assert_eq!(got, told);
}

fn said(input: &mut Input<'_>) -> Said {
    let mut topics: Vec<String> =
        TOPICS.iter().filter(|_| input.flag()).map(|(name, _)| (*name).to_owned()).collect();
    if topics.is_empty() || input.byte() == 255 {
        // One that there is not, of any text.
        let text = String::from_utf8_lossy(input.bytes()).into_owned();
        topics.push(format!("no {text}"));
    }
    topics.sort();
    let rack = input.flag().then(|| String::from_utf8_lossy(input.bytes()).into_owned());
    let user_data = input.flag().then(|| input.bytes().to_vec());
    Said { topics, rack: rack.filter(|rack| !rack.is_empty()), user_data }
}

fn join(broker: &Broker, assignor: Scripted) -> Consumer {
    let said = assignor.said.clone();
    let builder = broker.consumer().group("g").auto_commit(None).assignors([Arc::new(assignor) as _]);
    let builder = match said.rack {
        Some(rack) => builder.client_rack(rack),
        None => builder,
    };
    let mut consumer = builder.build().unwrap();
    consumer.subscribe(said.topics).unwrap();
    consumer
}

fn names(partitions: &TopicPartitions) -> Vec<TopicPartition> {
    partitions.iter().map(|(topic, partition)| TopicPartition::new(topic, partition)).collect()
}

/// Nothing has two owners, at any moment.
fn check_owners(members: &[Consumer]) {
    let mut owners = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        for partition in member.assignment() {
            assert_eq!(owners.insert(partition, number), None);
        }
    }
}
