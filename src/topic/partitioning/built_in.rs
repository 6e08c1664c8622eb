//! The partitioners that come with the crate.
//!
//! What they say of a key never changes from one version to the next: where a key's records are is part of the data.
//!
//! Invariants: every answer is below the count; a key's partition depends on the key and the count alone.

use super::choice::PartitionChoice;
use super::jump_hash::jump_hash;
use super::murmur2::murmur2;
use super::partitioner::Partitioner;

/// Records of one key go to one partition, the one that Kafka's clients choose too. Records without a key go to one partition
/// until it has had about [`batch_bytes`](crate::ProducerBuilder::batch_bytes) of them, then to another. The default.
///
/// `(murmur2(key) & 0x7fffffff) % partition_count`, over all partitions, also those that are offline. An empty key is a
/// key. Where partitions are added, most keys move: see [`ConsistentPartitioner`]. Without a key, the sticky partition.
///
/// # Examples
///
/// ```
/// use streamlog::{HashPartitioner, PartitionChoice, Partitioner, Record};
///
/// let record = Record::to("orders").key("alice");
/// assert_eq!(HashPartitioner.partition(&PartitionChoice::new(&record, 12)), 9);
///
/// let record = Record::to("orders").value("keyless");
/// assert_eq!(HashPartitioner.partition(&PartitionChoice::new(&record, 12).with_sticky(7)), 7);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HashPartitioner;

impl Partitioner for HashPartitioner {
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
        let by_key = |key| (murmur2(key) & 0x7fff_ffff) % choice.partition_count();
        choice.key().map_or(choice.sticky(), by_key)
    }
}

/// Records of one key go to one partition, and stay there when partitions are added, as far as that can be. Records without a
/// key go to one partition until it has had about [`batch_bytes`](crate::ProducerBuilder::batch_bytes) of them, then to
/// another.
///
/// Growing from n to m partitions moves a key to one of the new ones or not at all, and it moves (m - n) of m keys: what the
/// new ones need for an even share. (With [`HashPartitioner`] it is most of them.) The records that are already there
/// stay where they are: of a key that moves, the older ones are in its old partition. Jump consistent hashing over Kafka's hash of the
/// key, in time about ln(n); Kafka has no such partitioner, so its clients send a key elsewhere. An empty key is a key.
/// Without a key, the sticky partition.
///
/// # Examples
///
/// ```
/// use streamlog::{ConsistentPartitioner, PartitionChoice, Partitioner, Record};
///
/// let keys: Vec<String> = (0..1000).map(|number| format!("customer {number}")).collect();
/// let partition = |key: &str, count| {
///     ConsistentPartitioner.partition(&PartitionChoice::new(&Record::to("orders").key(key), count))
/// };
/// let moved: Vec<u32> = keys
///     .iter()
///     .filter(|key| partition(key, 10) != partition(key, 11))
///     .map(|key| partition(key, 11))
///     .collect();
/// assert!(moved.iter().all(|partition| *partition == 10));
/// assert!((60..120).contains(&moved.len()), "about 1 in 11");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ConsistentPartitioner;

impl Partitioner for ConsistentPartitioner {
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
        let by_key = |key| jump_hash(spread(murmur2(key)), choice.partition_count());
        choice.key().map_or(choice.sticky(), by_key)
    }
}

/// A hash of 32 bits over 64, each of which depends on all (the finish of SplitMix64): jump hashing begins with the
/// highest.
fn spread(hash: u32) -> u64 {
    let mut wide = u64::from(hash).wrapping_add(0x9e37_79b9_7f4a_7c15);
    wide = (wide ^ (wide >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    wide = (wide ^ (wide >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    wide ^ (wide >> 31)
}

/// Records go to the partitions in turn, whatever their keys. Kafka's `RoundRobinPartitioner`.
///
/// The partitions get the same number of records from each producer, and each of their batches fills more slowly than
/// the one of [`StickyPartitioner`]. Records of one key are in all partitions, in no order between them. Offline partitions are not
/// left out.
///
/// # Examples
///
/// ```
/// use streamlog::{PartitionChoice, Partitioner, Record, RoundRobinPartitioner};
///
/// let record = Record::to("orders").key("alice");
/// let choice = PartitionChoice::new(&record, 3);
/// let partitions = (0..5).map(|number| RoundRobinPartitioner.partition(&choice.with_number(number)));
/// assert!(partitions.eq([0, 1, 2, 0, 1]));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RoundRobinPartitioner;

impl Partitioner for RoundRobinPartitioner {
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
        let turn = choice.number() % u64::from(choice.partition_count());
        u32::try_from(turn).expect("a remainder is below the count")
    }
}

/// Records go to one partition until it has had about [`batch_bytes`](crate::ProducerBuilder::batch_bytes) of them, then to
/// another, whatever their keys. Kafka's default with `partitioner.ignore.keys`.
///
/// Makes the largest batches. In the long run the partitions get about the same number of batches. Records of one key are in
/// all partitions, in no order between them.
///
/// # Examples
///
/// ```
/// use streamlog::{PartitionChoice, Partitioner, Record, StickyPartitioner};
///
/// let record = Record::to("orders").key("alice");
/// assert_eq!(StickyPartitioner.partition(&PartitionChoice::new(&record, 12).with_sticky(7)), 7);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StickyPartitioner;

impl Partitioner for StickyPartitioner {
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
        choice.sticky()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    const ALL: [&dyn Partitioner; 4] =
        [&HashPartitioner, &ConsistentPartitioner, &RoundRobinPartitioner, &StickyPartitioner];

    fn by_key(partitioner: &dyn Partitioner, key: &[u8], count: u32) -> u32 {
        partitioner.partition(&PartitionChoice::new(&Record::to("t").key(key), count))
    }

    /// Keys of 8 to 39 bytes, so that none comes twice.
    fn random_keys(count: usize) -> Vec<Vec<u8>> {
        let mut random = fastrand::Rng::with_seed(1);
        let mut key = || (0..random.usize(8..40)).map(|_| random.u8(..)).collect();
        (0..count).map(|_| key()).collect()
    }

    #[test]
    fn every_answer_is_a_partition() {
        let long = vec![0xff; 4097];
        let records = [
            Record::to("t"),
            Record::to("t").key(""),
            Record::to("t").key("21"),
            Record::to("t").key(&[0xff; 3]),
            Record::new().key(&long).value(""),
        ];
        for count in (0..=1000).chain([10_000, u32::MAX]) {
            for (record, partitioner) in records.iter().flat_map(|record| ALL.map(|it| (record, it))) {
                for number in [0, 1, u64::from(u32::MAX), u64::MAX] {
                    let sticky = u32::try_from(number).unwrap_or(u32::MAX);
                    let choice = PartitionChoice::new(record, count).with_number(number).with_sticky(sticky);
                    let partition = partitioner.partition(&choice);
                    assert!(partition < count.max(1), "{partitioner:?} says {partition} of {count}");
                }
            }
        }
    }

    // Kafka's own `BuiltInPartitioner.partitionForKey` (kafka-clients 3.9.1) gives these.
    #[test]
    fn keys_are_where_kafkas_clients_have_them() {
        for (key, of_3, of_12) in [
            ("", 0, 9),
            ("a", 1, 4),
            ("ab", 2, 2),
            ("abc", 0, 3),
            ("abcd", 2, 8),
            ("21", 0, 0),
            ("foobar", 0, 6),
            ("a-little-bit-long-string", 2, 8),
            ("alice", 0, 9),
            ("ä€😀", 0, 6),
        ] {
            assert_eq!(by_key(&HashPartitioner, key.as_bytes(), 3), of_3, "{key:?}");
            assert_eq!(by_key(&HashPartitioner, key.as_bytes(), 12), of_12, "{key:?}");
        }
        assert_eq!(by_key(&HashPartitioner, &[0xff], 1000), 963);
        assert_eq!(by_key(&HashPartitioner, &[0x80, 0x7f, 0x80, 0x7f, 0xff], 1000), 771);
    }

    // Data lies by these numbers: whatever changes them breaks every topic that was written with this partitioner.
    #[test]
    fn consistent_keys_stay_where_the_first_version_put_them() {
        for (key, of_3, of_12, of_1000) in [
            ("", 2, 6, 644),
            ("a", 2, 2, 842),
            ("ab", 1, 5, 577),
            ("abc", 1, 11, 870),
            ("abcd", 2, 9, 587),
            ("21", 2, 10, 558),
            ("foobar", 2, 6, 101),
            ("a-little-bit-long-string", 2, 10, 822),
            ("alice", 2, 11, 11),
            ("ä€😀", 1, 8, 480),
        ] {
            let partitions = [3, 12, 1000].map(|count| by_key(&ConsistentPartitioner, key.as_bytes(), count));
            assert_eq!(partitions, [of_3, of_12, of_1000], "{key:?}");
        }
    }

    #[test]
    fn random_keys_are_spread_evenly() {
        const KEYS: usize = 30_000;
        let keys = random_keys(KEYS);
        for count in [2_u32, 3, 7, 16, 100] {
            for partitioner in [&HashPartitioner as &dyn Partitioner, &ConsistentPartitioner] {
                let mut found = vec![0_u32; count as usize];
                keys.iter().for_each(|key| found[by_key(partitioner, key, count) as usize] += 1);
                // Six deviations of the binomial distribution around an even share.
                let share = KEYS as f64 / f64::from(count);
                let is_near = |found: &u32| (f64::from(*found) - share).abs() < 6.0 * share.sqrt();
                assert!(found.iter().all(is_near), "{partitioner:?}: {found:?}");
            }
        }
    }

    #[test]
    fn keys_move_only_to_new_partitions_and_no_more_than_those_need() {
        const KEYS: usize = 10_000;
        let keys = random_keys(KEYS);
        for (before, after) in [(1, 2), (3, 4), (10, 11), (10, 15), (12, 120), (999, 1000)] {
            let mut moved = 0;
            for key in &keys {
                let (old, new) =
                    (by_key(&ConsistentPartitioner, key, before), by_key(&ConsistentPartitioner, key, after));
                assert!(new == old || (before..after).contains(&new), "{key:?}: {old} to {new}");
                moved += u32::from(new != old);
            }
            let share = KEYS as f64 * f64::from(after - before) / f64::from(after);
            let bound = 6.0 * share.sqrt();
            assert!((f64::from(moved) - share).abs() < bound, "{moved} moved from {before} to {after}");
        }
    }

    #[test]
    fn an_empty_key_is_a_key_and_none_is_sticky() {
        let (keyless, empty) = (Record::to("t").value("v"), Record::to("t").key(""));
        for sticky in 0..12 {
            let [keyless, empty] =
                [&keyless, &empty].map(|record| PartitionChoice::new(record, 12).with_sticky(sticky));
            for partitioner in [&HashPartitioner as &dyn Partitioner, &ConsistentPartitioner] {
                assert_eq!(partitioner.partition(&keyless), sticky);
                assert_eq!(partitioner.partition(&empty), partitioner.partition(&empty.with_sticky(0)));
            }
            assert_eq!(StickyPartitioner.partition(&empty), sticky);
        }
    }

    #[test]
    fn turns_go_round_and_do_not_look_at_keys() {
        let (one, other) = (Record::to("t").key("a"), Record::to("t"));
        for number in 0..100 {
            let record = if number % 3 == 0 { &one } else { &other };
            let choice = PartitionChoice::new(record, 7).with_number(number).with_sticky(5);
            assert_eq!(u64::from(RoundRobinPartitioner.partition(&choice)), number % 7);
        }
    }
}
