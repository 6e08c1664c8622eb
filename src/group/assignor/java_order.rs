//! The orders in which Java's collections hand out strings: what Kafka's assignors give depends on them.

use std::cmp::Ordering;

/// The order of Java's `String.compareTo`: by UTF-16 units. It differs from Rust's beyond the basic plane only.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// The places of `keys` in the order in which a `java.util.HashMap` iterates that they were put into one after another.
///
/// Buckets in order, and in each of them the order of insertion, which growing keeps. A bucket that would have become a tree
/// (eight keys in one bucket of 64 or more) is not told apart: it keeps the order of insertion here.
pub(super) fn hash_map_order(keys: &[&str]) -> Vec<usize> {
    let mask = bucket_count(keys.len()) - 1;
    let mut places: Vec<(u32, usize)> =
        keys.iter().enumerate().map(|(place, key)| (spread(hash_code(key)) & mask, place)).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| place).collect()
}

/// 16 buckets, doubled whenever more than three quarters of them would have a key.
fn bucket_count(keys: usize) -> u32 {
    let mut buckets: u32 = 16;
    while keys > (buckets as usize / 4).saturating_mul(3) && buckets < 1 << 30 {
        buckets *= 2;
    }
    buckets
}

/// Java's `String.hashCode`.
fn hash_code(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// What a `HashMap` makes of a hash before it takes the lowest bits.
fn spread(hash: u32) -> u32 {
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_codes_are_java_s() {
        assert_eq!(hash_code(""), 0);
        assert_eq!(hash_code("abc"), 96_354);
        assert_eq!(hash_code("polygenelubricants"), 0x8000_0000, "the known one that is Integer.MIN_VALUE");
        assert_eq!(hash_code("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn strings_beyond_the_basic_plane_come_before_the_last_of_it() {
        assert_eq!(compare("\u{1F600}", "\u{FFFD}"), Ordering::Less);
        assert_eq!(compare("a", "ab"), Ordering::Less);
    }

    #[test]
    fn keys_of_one_bucket_keep_the_order_in_which_they_were_put_in() {
        // "Aa" and "BB" have one hash code, 2112: bucket 0 of 16, where "p" (112) is too; "a" (97) is in bucket 1.
        assert_eq!(hash_map_order(&["a", "BB", "p", "Aa"]), [1, 2, 3, 0]);
        assert_eq!(hash_map_order(&["Aa", "p", "BB", "a"]), [0, 1, 2, 3]);
    }

    #[test]
    fn the_thirteenth_key_doubles_the_buckets() {
        assert_eq!([0, 1, 12, 13, 24, 25, 500].map(bucket_count), [16, 16, 16, 32, 32, 64, 1024]);
    }
}
