//! Members of groups: what they are given is where their group had to go on, and what they commit is noted before they do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{
    Assignor, Broker, Consumer, CooperativeSticky, Offset, Range, Rebalance, RebalanceListener, Result,
    TopicPartition,
};

use super::commits::{Place, builder, named};
use super::live::Life;
use super::steps::Manner;

/// How often a member commits by itself.
const INTERVAL: Duration = Duration::from_secs(1);
/// In so many polls of each a group comes to rest.
const ROUNDS: usize = 6;

/// One member, and how far it has read.
struct Member {
    consumer: Consumer,
    next: BTreeMap<Place, u64>,
    given: Given,
    commits_by_itself: bool,
}

/// What a member was given since it was last asked.
#[derive(Debug, Clone, Default)]
struct Given(Arc<Mutex<Vec<TopicPartition>>>);

impl RebalanceListener for Given {
    fn assigned(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.0.lock().unwrap().extend(partitions.iter().cloned());
        Ok(())
    }
}

impl Member {
    fn new(
        broker: &Broker,
        group: &str,
        topics: &[&str],
        interval: Option<Duration>,
        assignor: Arc<dyn Assignor>,
    ) -> Result<Member> {
        let builder = builder(broker, group).auto_commit(interval).max_poll_records(1);
        let mut consumer = builder.assignors([assignor]).build()?;
        let given = Given::default();
        consumer.subscribe_with(topics.iter().copied(), given.clone())?;
        Ok(Member { consumer, next: BTreeMap::new(), given, commits_by_itself: interval.is_some() })
    }
}

impl Life<'_> {
    pub(super) fn share(
        &mut self,
        manner: Manner,
        group: &'static str,
        topic: &'static str,
        count: usize,
    ) -> Result<()> {
        let interval = match manner {
            Manner::Waits | Manner::Forgets => None,
            Manner::InTime | Manner::Closes | Manner::Eager | Manner::Cooperative => Some(INTERVAL),
        };
        let assignor = || -> Arc<dyn Assignor> {
            if manner == Manner::Cooperative { Arc::new(CooperativeSticky) } else { Arc::new(Range) }
        };
        let mut first = Member::new(&self.broker, group, &[topic], interval, assignor())?;
        self.read_some(&mut first, group, count)?;
        match manner {
            Manner::Waits => {
                self.commit(&mut first, group)?;
                self.read_some(&mut first, group, 1)?;
                self.commit(&mut first, group)
            }
            Manner::Forgets => {
                self.ask(&mut first, group)?;
                drop(first.consumer.commit_async()?);
                self.ledger.commits.look(&self.broker);
                Ok(())
            }
            Manner::InTime => {
                self.clock.advance(INTERVAL);
                self.poll(&mut first, group).map(drop)
            }
            Manner::Closes => self.close(&mut first, group),
            Manner::Eager | Manner::Cooperative => {
                let mut both = [first, Member::new(&self.broker, group, &[topic], interval, assignor())?];
                for _ in 0..ROUNDS {
                    for member in &mut both {
                        self.poll(member, group)?;
                    }
                }
                self.check_shares(&both.each_ref().map(|member| &member.consumer), topic);
                let [mut first, mut second] = both;
                // The one waits until its last offsets are on the device, the other ends without a word.
                self.close(&mut first, group)?;
                self.read_some(&mut second, group, count)?;
                self.check_shares(&[&second.consumer], topic);
                Ok(())
            }
        }
    }

    /// One member alone gets everything of all topics, and reads it from where its group has committed.
    pub(super) fn read_as_group(&mut self, group: &'static str) -> Result<()> {
        let mut topics = self.ledger.names();
        topics.retain(|name| self.ledger.is_told(name));
        if topics.is_empty() {
            return Ok(());
        }
        let mut member = Member::new(&self.broker, group, &topics, None, Arc::new(Range))?;
        while self.poll(&mut member, group)? > 0 {}
        for &name in &topics {
            self.check_shares(&[&member.consumer], name);
            let topic = self.broker.topic(name)?;
            for partition in topic.partitions() {
                let partition = partition?;
                let place = (name, partition.id().into());
                assert_eq!(member.next[&place], u64::from(partition.log_end_offset()), "{group}: {place:?}");
            }
        }
        self.commit(&mut member, group)
    }

    fn read_some(&mut self, member: &mut Member, group: &'static str, count: usize) -> Result<()> {
        for _ in 0..count {
            if self.poll(member, group)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Gives how many records came.
    fn poll(&mut self, member: &mut Member, group: &'static str) -> Result<usize> {
        if member.commits_by_itself {
            self.ask(member, group)?;
        }
        let polled = member.consumer.poll(Duration::ZERO);
        self.ledger.commits.look(&self.broker);
        for given in std::mem::take(&mut *member.given.0.lock().unwrap()) {
            let name = self.ledger.names().into_iter().find(|name| *name == given.topic()).unwrap();
            let place = (name, given.partition().into());
            member.next.insert(place, self.ledger.commits.begin(group, place));
        }
        let assigned = member.consumer.assignment();
        member.next.retain(|&place, _| assigned.contains(&named(place)));
        let records = polled?;
        for record in &records {
            let (topic, number) = (record.topic(), u32::from(record.partition()));
            let (place, next) =
                member.next.iter_mut().find(|((name, at), _)| *name == topic && *at == number).unwrap();
            assert_eq!(u64::from(record.offset()), *next, "{group}: of {place:?}");
            let value = self.ledger.value(topic, number, usize::try_from(*next).unwrap());
            assert!(
                self.has_faults || record.value() == value.map(Vec::as_slice),
                "{group}: at {next} of {place:?}"
            );
            *next += 1;
        }
        Ok(records.len())
    }

    /// Notes that the positions may be committed now.
    fn ask(&mut self, member: &mut Member, group: &'static str) -> Result<()> {
        for (&place, &next) in &member.next {
            // One that nothing has been read of gets its position here.
            let position = member.consumer.position(&named(place))?;
            assert_eq!(position, Offset::try_from(next).unwrap(), "{group}: {place:?}");
        }
        self.ledger.commits.asking(group, &member.next);
        Ok(())
    }

    fn commit(&mut self, member: &mut Member, group: &'static str) -> Result<()> {
        self.ask(member, group)?;
        member.consumer.commit()?;
        self.ledger.commits.durable(group, &self.broker);
        Ok(())
    }

    fn close(&mut self, member: &mut Member, group: &'static str) -> Result<()> {
        self.ask(member, group)?;
        member.consumer.close()?;
        self.ledger.commits.durable(group, &self.broker);
        Ok(())
    }

    /// Everything of a topic is somebody's, and nothing two members'.
    fn check_shares(&self, members: &[&Consumer], topic: &str) {
        let mut all: Vec<_> = members.iter().flat_map(|member| member.assignment()).collect();
        all.retain(|partition| partition.topic() == topic);
        all.sort();
        let count = self.broker.topic(topic).unwrap().partition_count();
        let expected: Vec<_> =
            (0..count).map(|number| TopicPartition::new(topic, number.try_into().unwrap())).collect();
        assert_eq!(all, expected);
    }
}
