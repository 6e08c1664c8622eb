//! Why the last rebalances began, and what they changed: enough to explain them to whoever asks.
//!
//! Only bytes are kept, shared with the members'; they are decoded when somebody asks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::member_data::decode_assignment;
use super::super::rebalance_report::{RebalanceReport, Shares};
use super::effects::Now;
use crate::offset::Timestamp;
use crate::sync::Arc;

/// How many rebalances are kept.
const REBALANCES_MAX: usize = 5;
/// How many reasons of one.
const REASONS_MAX: usize = 20;
/// How much of one reason: Kafka cuts there, too.
const REASON_CHARACTERS_MAX: usize = 255;

/// Each member's assignment, encoded.
pub(super) type Shared = BTreeMap<String, Arc<Vec<u8>>>;

#[derive(Debug, Default)]
pub(super) struct History {
    begun: Option<Begun>,
    last: Arc<Shared>,
    ended: VecDeque<Ended>,
}

/// A rebalance that is going on.
#[derive(Debug, Clone)]
struct Begun {
    at: Duration,
    began: Timestamp,
    reasons: Vec<String>,
    more_reasons: usize,
}

#[derive(Debug)]
struct Ended {
    generation: i32,
    begun: Begun,
    elapsed: Duration,
    before: Arc<Shared>,
    after: Arc<Shared>,
}

impl History {
    /// Says why there is a rebalance, or one more reason for the one that goes on.
    pub(super) fn note(&mut self, reason: &str, now: Now) {
        let begun = self.begun(now);
        if begun.reasons.len() < REASONS_MAX {
            begun.reasons.push(reason.chars().take(REASON_CHARACTERS_MAX).collect());
        } else {
            begun.more_reasons += 1;
        }
    }

    /// Says that it was finished, with what each member has now.
    pub(super) fn finish(&mut self, generation: i32, now: Now, shares: Shared) {
        let begun = self.begun(now).clone();
        self.begun = None;
        let elapsed = now.monotonic.saturating_sub(begun.at);
        let (before, after) = (Arc::clone(&self.last), Arc::new(shares));
        self.last = Arc::clone(&after);
        self.ended.push_back(Ended { generation, begun, elapsed, before, after });
        while self.ended.len() > REBALANCES_MAX {
            self.ended.pop_front();
        }
    }

    /// Says that one member has taken another's place.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        let last = Arc::make_mut(&mut self.last);
        if let Some(share) = last.remove(old) {
            last.insert(new.to_owned(), share);
        }
    }

    pub(super) fn reports(&self) -> Vec<RebalanceReport> {
        let report = |ended: &Ended| {
            let mut report = RebalanceReport {
                generation: ended.generation,
                began: ended.begun.began,
                elapsed: ended.elapsed,
                reasons: ended.begun.reasons.clone(),
                more_reasons: ended.begun.more_reasons,
                members: Vec::new(),
                moves: Vec::new(),
            };
            report.compare(&decoded(&ended.before), &decoded(&ended.after));
            report
        };
        self.ended.iter().map(report).collect()
    }

    fn begun(&mut self, now: Now) -> &mut Begun {
        self.begun.get_or_insert_with(|| Begun {
            at: now.monotonic,
            began: now.wall,
            reasons: Vec::new(),
            more_reasons: 0,
        })
    }
}

/// Of bytes that are no consumer's, nothing is known.
fn decoded(shares: &Shared) -> Shares {
    let decode = |(member, bytes): (&String, &Arc<Vec<u8>>)| {
        let partitions = decode_assignment(bytes).map(|(partitions, _)| partitions).unwrap_or_default();
        (member.clone(), partitions)
    };
    shares.iter().map(decode).collect()
}
