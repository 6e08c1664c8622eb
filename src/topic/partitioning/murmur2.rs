//! Kafka's hash of a key: murmur2, 32 bits wide.
//!
//! It decides in which partition the records of a key are, in every Kafka client and for ever, so it never changes. Words
//! are little-endian, and 1 to 3 bytes at the end count as one word without its upper bytes, mixed in without being
//! spread first.

const SEED: u32 = 0x9747_b28c;
const SPREAD: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The hash of `bytes`, as Kafka's clients compute it. Theirs is signed; these are the same bits.
pub(super) fn murmur2(bytes: &[u8]) -> u32 {
    // No record has a longer key than a length of 31 bits can say.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, word| {
        #[expect(clippy::little_endian_bytes, reason = "the hash is defined over little-endian words")]
        let word = u32::from_le_bytes(*word).wrapping_mul(SPREAD);
        hash.wrapping_mul(SPREAD) ^ (word ^ (word >> SHIFT)).wrapping_mul(SPREAD)
    });
    if !tail.is_empty() {
        hash ^= tail.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(SPREAD);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(SPREAD);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafkas(bytes: &[u8]) -> i32 {
        murmur2(bytes).cast_signed()
    }

    // The numbers are what Kafka's own `Utils.murmur2` (kafka-clients 3.9.1) gives.

    #[test]
    fn hashes_of_texts_are_kafkas() {
        for (key, hash) in [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("ab", 316_155_434),
            ("abc", 479_470_107),
            ("abcd", -1_323_649_548),
            ("abcde", 461_995_741),
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("ä€😀", -565_103_750),
        ] {
            assert_eq!(kafkas(key.as_bytes()), hash, "{key:?}");
        }
    }

    #[test]
    fn hashes_of_any_bytes_are_kafkas() {
        for (key, hash) in [
            (&[0][..], 375_494_588),
            (&[0xff], -311_467_685),
            (&[0xff; 2], -1_642_832_928),
            (&[0xff; 3], 1_548_199_422),
            (&[0xff; 4], 644_171_429),
            (&[0x80, 0x7f, 0x80, 0x7f, 0xff], -1_005_418_877),
            (&[0; 4], 850_957_120),
            (&[0; 8], -522_759_933),
        ] {
            assert_eq!(kafkas(key), hash, "{key:?}");
        }
    }

    #[test]
    fn hashes_of_every_length_are_kafkas() {
        let mut state: u32 = 1;
        let hashes = (0..=1000).map(|length| {
            let key: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    u8::try_from(state >> 24).unwrap()
                })
                .collect();
            kafkas(&key)
        });
        let folded = hashes.fold(0_i32, |fold, hash| fold.wrapping_mul(31).wrapping_add(hash));
        assert_eq!(folded, -521_741_354);
    }
}
