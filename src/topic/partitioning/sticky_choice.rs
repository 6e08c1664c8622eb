//! The partition of a topic that takes the records without a key for the time being.
//!
//! One partition at a time fills its batch, instead of all of them a little: larger batches, and fewer. Which one comes next is
//! drawn at random, evenly over the others, so that in the long run all get the same and no two producers march in step.
//!
//! Invariant: what it answers is a partition, however the topic's count has changed since it was drawn.

use crate::sync::{AtomicU32, Relaxed};

/// A topic's sticky partition, for one producer; shared by its threads without a lock.
#[derive(Debug)]
pub(crate) struct StickyChoice(AtomicU32);

impl StickyChoice {
    /// Begins with any of `count` partitions, at least 1.
    pub(crate) fn new(count: u32, random: &mut fastrand::Rng) -> StickyChoice {
        StickyChoice(AtomicU32::new(random.u32(..count.max(1))))
    }

    /// The partition, of `count` that there are now.
    pub(crate) fn current(&self, count: u32) -> u32 {
        clamped(self.0.load(Relaxed), count)
    }

    /// Moves on from partition `from`, whose batch was closed, to any of the others of `count`. Nothing where another thread
    /// has moved on from it before, or where it was not the sticky one: only its own batch ends a partition's turn.
    pub(crate) fn advance(&self, from: u32, count: u32, random: &mut fastrand::Rng) {
        let drawn = self.0.load(Relaxed);
        if count <= 1 || clamped(drawn, count) != from {
            return;
        }
        // One of the others: those from `from` on are one further up.
        let other = random.u32(..count - 1);
        let next = other + u32::from(other >= from);
        // Whoever was faster has drawn as evenly.
        let _ = self.0.compare_exchange(drawn, next, Relaxed, Relaxed);
    }
}

/// The last partition for one that is no longer there, as after a topic was created anew with fewer.
fn clamped(partition: u32, count: u32) -> u32 {
    partition.min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_any_of_the_others_evenly() {
        const ROUNDS: u32 = 20_000;
        let mut random = fastrand::Rng::with_seed(1);
        for count in [2_u32, 3, 10] {
            let sticky = StickyChoice::new(count, &mut random);
            let mut steps = vec![vec![0_u32; count as usize]; count as usize];
            for _ in 0..ROUNDS {
                let from = sticky.current(count);
                sticky.advance(from, count, &mut random);
                steps[from as usize][sticky.current(count) as usize] += 1;
            }
            // Six deviations of the binomial distribution around an even share.
            let share = f64::from(ROUNDS) / f64::from(count * (count - 1));
            for (from, steps) in steps.iter().enumerate() {
                for (to, found) in steps.iter().enumerate() {
                    let expected = if from == to { 0.0 } else { share };
                    assert!((f64::from(*found) - expected).abs() <= 6.0 * expected.sqrt(), "{steps:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_is_any() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut found = [0; 3];
        (0..300).for_each(|_| found[StickyChoice::new(3, &mut random).current(3) as usize] += 1);
        assert!(found.iter().all(|found| (60..140).contains(found)), "{found:?}");
    }

    #[test]
    fn one_partition_stays() {
        let mut random = fastrand::Rng::with_seed(1);
        for count in [0, 1] {
            let sticky = StickyChoice::new(count, &mut random);
            sticky.advance(0, count, &mut random);
            assert_eq!(sticky.current(count), 0);
        }
    }

    #[test]
    fn partitions_that_were_added_take_part() {
        let mut random = fastrand::Rng::with_seed(1);
        let sticky = StickyChoice::new(1, &mut random);
        let mut found = [false; 4];
        for _ in 0..100 {
            sticky.advance(sticky.current(4), 4, &mut random);
            found[sticky.current(4) as usize] = true;
        }
        assert_eq!(found, [true; 4]);
    }

    #[test]
    fn one_that_is_gone_is_the_last_and_is_left_as_such() {
        let mut random = fastrand::Rng::with_seed(1);
        let sticky = StickyChoice(AtomicU32::new(9));
        assert_eq!((sticky.current(10), sticky.current(3)), (9, 2));
        sticky.advance(2, 3, &mut random);
        assert!(sticky.current(10) < 2);
    }

    #[test]
    fn only_its_own_batch_ends_a_turn() {
        let mut random = fastrand::Rng::with_seed(1);
        let sticky = StickyChoice(AtomicU32::new(3));
        for from in [0, 2, 4, u32::MAX] {
            sticky.advance(from, 5, &mut random);
            assert_eq!(sticky.current(5), 3);
        }
        sticky.advance(3, 5, &mut random);
        assert_ne!(sticky.current(5), 3);
    }
}
