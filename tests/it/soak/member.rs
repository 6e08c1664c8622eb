//! Members of one group, who come and go: each goes on at what was told to be committed at least, reads every offset after
//! that one by one, and commits. Half of them end without a word.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{
    AutoOffsetReset, Consumer, CooperativeSticky, Error, Rebalance, RebalanceListener, Result, TopicPartition,
};

use super::stage::{Counts, Stage};
use crate::kit::Seed;

const PATIENCE: Duration = Duration::from_millis(50);

/// A member; it outlives the brokers that it reads from.
pub(super) struct Member {
    seed: Seed,
}

/// Where a member stands in what it is assigned.
type Positions = BTreeMap<TopicPartition, u64>;

struct Standing {
    positions: Arc<Mutex<Positions>>,
    counts: Arc<Counts>,
}

impl RebalanceListener for Standing {
    fn assigned(&mut self, rebalance: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        for partition in partitions {
            let begin = match rebalance.position(partition) {
                Ok(begin) => u64::from(begin),
                // Deleted meanwhile.
                Err(Error::UnknownTopic { .. }) => continue,
                Err(error) => return Err(error),
            };
            let told = self.counts.committed.of(partition).unwrap_or(0);
            assert!(begin >= told, "{partition} from {begin} on, and {told} was committed");
            self.positions.lock().unwrap().insert(partition.clone(), begin);
        }
        Ok(())
    }

    fn revoked(&mut self, _: &mut Rebalance<'_>, partitions: &[TopicPartition]) -> Result<()> {
        self.positions.lock().unwrap().retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }
}

impl Member {
    pub(super) fn new(number: u64) -> Member {
        Member { seed: Seed::new(number + 200) }
    }

    /// Lives again and again, until all is over.
    pub(super) fn run(mut self, stage: &Stage) -> Member {
        while !stage.is_over.load(SeqCst) {
            self.live(stage);
            stage.counts.lives.fetch_add(1, SeqCst);
        }
        self
    }

    fn live(&mut self, stage: &Stage) {
        let interval = (self.seed.below(2) == 0).then_some(PATIENCE);
        let builder = stage.broker.consumer().group("soak").auto_commit(interval);
        let builder = builder
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .assignors([Arc::new(CooperativeSticky) as _]);
        let mut consumer = builder.build().unwrap();
        let positions = Arc::new(Mutex::new(Positions::new()));
        let standing = Standing { positions: Arc::clone(&positions), counts: Arc::clone(&stage.counts) };
        consumer.subscribe_matching_with(|name| name.starts_with("soak-"), standing).unwrap();
        for _ in 0..20 + self.seed.below(100) {
            if stage.is_over.load(SeqCst) {
                break;
            }
            match consumer.poll(PATIENCE) {
                Ok(records) => {
                    let mut positions = positions.lock().unwrap();
                    for record in &records {
                        let next = positions.get_mut(record.topic_partition()).unwrap();
                        assert_eq!(record.offset(), *next, "{}", record.topic_partition());
                        *next += 1;
                    }
                    stage.counts.shared.fetch_add(records.len() as u64, SeqCst);
                }
                Err(error) => assert!(is_of_a_deletion(&error), "{error:?}"),
            }
            if interval.is_none() && self.seed.below(4) == 0 {
                commit(&mut consumer, &positions, stage);
            }
        }
        if self.seed.below(2) == 0 {
            drop(consumer);
        } else if let Err(error) = consumer.close() {
            assert!(is_of_a_deletion(&error) || is_of_a_rebalance(&error), "{error:?}");
        }
    }
}

fn commit(consumer: &mut Consumer, positions: &Mutex<Positions>, stage: &Stage) {
    let positions = positions.lock().unwrap().clone();
    match consumer.commit() {
        Ok(()) => {
            let names = consumer.assignment();
            let topics = stage.topics.read().unwrap();
            let is_live = |name: &TopicPartition| topics.iter().any(|topic| topic.name == name.topic());
            let told = positions.into_iter().filter(|(name, _)| names.contains(name) && is_live(name));
            stage.counts.committed.extend(told);
        }
        Err(error) => assert!(is_of_a_deletion(&error) || is_of_a_rebalance(&error), "{error:?}"),
    }
}

fn is_of_a_deletion(error: &Error) -> bool {
    match error {
        Error::UnknownTopic { .. } => true,
        Error::Fetch { source, .. } => is_of_a_deletion(source),
        _ => false,
    }
}

fn is_of_a_rebalance(error: &Error) -> bool {
    matches!(error, Error::RebalanceInProgress { .. })
}
