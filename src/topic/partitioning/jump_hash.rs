//! Jump consistent hashing (Lamping and Veach, 2014): a bucket for a hash, such that a new bucket takes its even share from
//! all others and nothing else moves.
//!
//! The hash seeds a generator whose numbers name the bucket counts at which it moves, always to the bucket just added;
//! the last of them that is not over the count tells the bucket. The numbers do not depend on the count, so growing
//! from n to n + 1 buckets moves a hash to bucket n or not at all, and it moves 1 in n + 1 of them. The division is in whole
//! numbers, where the paper has floating point: exact, and the same on every machine.

/// The bucket of `hash` among `count`, in about ln(`count`) steps; 0 where there is none.
pub(super) fn jump_hash(hash: u64, count: u32) -> u32 {
    let (mut state, mut bucket, mut next) = (hash, 0, 0);
    while next < u64::from(count) {
        bucket = next;
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // 31 random bits r: the next jump is to (bucket + 1) / ((r + 1) / 2^31), which is past `bucket`.
        next = ((bucket + 1) << 31) / ((state >> 33) + 1);
    }
    u32::try_from(bucket).expect("a bucket is below the count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_paper() {
        for (hash, count, bucket) in [
            (1, 1, 0),
            (42, 57, 43),
            (0xdead_10cc, 1, 0),
            (0xdead_10cc, 666, 361),
            (256, 1024, 520),
            (0, 1000, 0),
            (u64::MAX, 1000, 313),
            (u64::MAX, 10_000, 5934),
        ] {
            assert_eq!(jump_hash(hash, count), bucket, "{hash} of {count}");
        }
        assert_eq!(jump_hash(7, 0), 0);
        assert!(jump_hash(7, u32::MAX) < u32::MAX);
    }

    #[test]
    fn a_new_bucket_takes_its_share_and_nothing_else_moves() {
        const HASHES: u32 = 20_000;
        let mut random = fastrand::Rng::with_seed(1);
        let hashes: Vec<u64> = (0..HASHES).map(|_| random.u64(..)).collect();
        let mut buckets = vec![0; hashes.len()];
        for count in 2..=100 {
            let mut moved = 0;
            for (hash, bucket) in hashes.iter().zip(&mut buckets) {
                let now = jump_hash(*hash, count);
                assert!(now == *bucket || now == count - 1, "{hash}: {bucket} to {now} of {count}");
                moved += u32::from(now != *bucket);
                *bucket = now;
            }
            // Six deviations of the binomial distribution around 1 in `count`.
            let share = f64::from(HASHES) / f64::from(count);
            let bound = 6.0 * share.sqrt();
            assert!((f64::from(moved) - share).abs() < bound, "{moved} of {share} moved at {count}");
        }
    }
}
