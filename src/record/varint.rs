//! Kafka's variable-length numbers: zigzag, then groups of seven bits, the lowest first.
//!
//! Zigzag folds the sign into the lowest bit (0, -1, 1, -2 become 0, 1, 2, 3), so that small numbers of either sign are
//! short. Nearly all numbers in a record take one or two bytes, and these have a path of their own.
//!
//! ```text
//! 300 = zigzag 600 = 0b100_1011000
//! 0          1          2
//! +----------+----------+    top bit   1 where another byte follows
//! | 1 1011000| 0 0000100|    the rest  seven bits of the number, the lowest seven first
//! +----------+----------+
//! ```
//!
//! Invariants: a varint (32 bits) has at most 5 bytes, a varlong (64 bits) at most 10, and no bit lies beyond those 32 or
//! 64. Zero groups at the end are read, as Kafka does, but never written.

use std::mem;

/// The bit that says that another byte follows.
const MORE: u8 = 0x80;
/// The bits of a byte that belong to the number.
const GROUP: u8 = 0x7f;
/// How many those are.
const GROUP_BITS: u32 = GROUP.count_ones();
/// The first number that takes more than two bytes.
const SHORT_END: u64 = 1 << (2 * GROUP_BITS);

/// How many bytes `value` takes as a varlong; as a varint too, if it fits in 32 bits.
#[inline]
pub(super) fn varlong_bytes(value: i64) -> u64 {
    group_count(zigzag(value))
}

/// How many bytes a length takes as a varint; more than five if it is longer than the format can say.
#[inline]
pub(super) fn length_bytes(length: usize) -> u64 {
    group_count((length as u64).saturating_mul(2))
}

/// Writes a varint to the front of `room` and takes it off.
#[inline]
pub(super) fn put_varint(room: &mut &mut [u8], value: i32) {
    put_groups(room, zigzag(i64::from(value)));
}

/// Writes a varlong to the front of `room` and takes it off.
#[inline]
pub(super) fn put_varlong(room: &mut &mut [u8], value: i64) {
    put_groups(room, zigzag(value));
}

/// Writes a length, at most `i32::MAX`, as a varint to the front of `room` and takes it off.
#[inline]
pub(super) fn put_length(room: &mut &mut [u8], length: usize) {
    put_groups(room, (length as u64) << 1);
}

/// Takes a varint off the front of `rest`, or gives `None` where there is none: cut short, too long, too large.
#[inline]
pub(super) fn take_varint(rest: &mut &[u8]) -> Option<i32> {
    let (groups, tail) = match take_short(rest) {
        Some(short) => short,
        None => {
            let (groups, tail) = take_groups(rest, u32::BITS)?;
            (u32::try_from(groups).ok()?, tail)
        }
    };
    *rest = tail;
    Some(unzigzag(groups))
}

/// Takes a varlong off the front of `rest`, or gives `None` where there is none: cut short, too long, too large.
#[inline]
pub(super) fn take_varlong(rest: &mut &[u8]) -> Option<i64> {
    let (groups, tail) = match take_short(rest) {
        Some((groups, tail)) => (groups.into(), tail),
        None => take_groups(rest, u64::BITS)?,
    };
    *rest = tail;
    Some((groups >> 1).cast_signed() ^ -(groups & 1).cast_signed())
}

/// Numbers of one byte or two in a row, at most eight bytes in all, taken out of one word.
///
/// That the bytes are there is looked up once for all of them.
pub(super) struct ShortNumbers<'a> {
    bytes: &'a [u8],
    /// What is left, the next byte lowest; zeros follow.
    word: u64,
    used: usize,
}

impl<'a> ShortNumbers<'a> {
    /// The first eight of `bytes`, or `None` if there are fewer.
    #[inline(always)]
    pub(super) fn load(bytes: &'a [u8]) -> Option<ShortNumbers<'a>> {
        let word = u64::from_be_bytes(*bytes.first_chunk()?).swap_bytes();
        Some(ShortNumbers { bytes, word, used: 0 })
    }

    #[inline(always)]
    pub(super) fn skip_byte(&mut self) {
        self.word >>= u8::BITS;
        self.used += 1;
    }

    /// The groups of the next number, if it takes one byte or two. The caller takes no more than there can be in eight bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest fourteen bits are wanted")]
    pub(super) fn take(&mut self) -> Option<u32> {
        let (first, second) = (self.word as u8, (self.word >> u8::BITS) as u8);
        self.skip_byte();
        if first < MORE {
            return Some(first.into());
        }
        self.skip_byte();
        let groups = u32::from(first & GROUP) | u32::from(second) << GROUP_BITS;
        (second < MORE).then_some(groups)
    }

    /// What lies behind the last number that was taken.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }
}

/// The number that groups stand for.
#[inline]
pub(super) fn unzigzag(groups: u32) -> i32 {
    (groups >> 1).cast_signed() ^ -(groups & 1).cast_signed()
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> (i64::BITS - 1))).cast_unsigned()
}

/// How many groups of seven bits hold `value`: the bits it needs, divided by seven and rounded up.
#[inline]
fn group_count(value: u64) -> u64 {
    if value < SHORT_END {
        return 1 + u64::from(value > u64::from(GROUP));
    }
    // A division by seven as a multiplication; exact for every number of bits from 1 to 64.
    u64::from((u64::BITS - value.leading_zeros()) * 9 + 64) / 64
}

#[inline]
fn put_groups(room: &mut &mut [u8], value: u64) {
    if value <= u64::from(GROUP) {
        put_byte(room, low_group(value));
    } else if value < SHORT_END
        && let Some((place, rest)) = mem::take(room).split_first_chunk_mut()
    {
        *place = [low_group(value) | MORE, low_group(value >> GROUP_BITS)];
        *room = rest;
    } else {
        put_long(room, value);
    }
}

#[cold]
fn put_long(room: &mut &mut [u8], mut value: u64) {
    while value > u64::from(GROUP) {
        put_byte(room, low_group(value) | MORE);
        value >>= GROUP_BITS;
    }
    put_byte(room, low_group(value));
}

/// Writes one byte to the front of `room` and takes it off.
#[inline]
pub(super) fn put_byte(room: &mut &mut [u8], byte: u8) {
    if let Some(place) = room.split_off_first_mut() {
        *place = byte;
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are what is wanted")]
fn low_group(value: u64) -> u8 {
    value as u8 & GROUP
}

/// The groups of a number of one byte or two, and what lies behind it; `None` where it is longer or cut short.
#[inline(always)]
pub(super) fn take_short(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, tail) = bytes.split_first()?;
    if first < MORE {
        return Some((first.into(), tail));
    }
    let (&second, tail) = tail.split_first()?;
    if second < MORE {
        let groups = u32::from(first & GROUP) | u32::from(second) << GROUP_BITS;
        return Some((groups, tail));
    }
    None
}

/// A number of any length up to `bits` bits, and what lies behind it.
///
/// By value, because a caller whose slice was lent to a call that is not inlined keeps it in memory rather than in
/// registers, and pays for that at every short number too.
#[cold]
fn take_groups(mut rest: &[u8], bits: u32) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut shift = 0;
    while shift < bits {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        let group = u64::from(byte & GROUP);
        let room_bits = bits - shift;
        if room_bits < GROUP_BITS && group >> room_bits != 0 {
            return None;
        }
        value |= group << shift;
        shift += GROUP_BITS;
        if byte < MORE {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(put: impl Fn(&mut &mut [u8])) -> Vec<u8> {
        let mut memory = [0xee; 16];
        let mut room = &mut memory[..];
        put(&mut room);
        let left = room.len();
        memory[..16 - left].to_vec()
    }

    #[test]
    fn numbers_take_the_bytes_that_kafka_writes() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (-65, &[0x81, 0x01]),
            (300, &[0xd8, 0x04]),
            (8191, &[0xfe, 0x7f]),
            (8192, &[0x80, 0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            assert_eq!(encode(|room| put_varint(room, value)), bytes, "{value}");
            assert_eq!(encode(|room| put_varlong(room, value.into())), bytes, "{value}");
            assert_eq!(varlong_bytes(value.into()), bytes.len() as u64, "{value}");
            assert_eq!(take_varint(&mut &bytes[..]), Some(value));
            if let Ok(length) = usize::try_from(value) {
                assert_eq!(encode(|room| put_length(room, length)), bytes, "{value}");
                assert_eq!(length_bytes(length), bytes.len() as u64, "{value}");
            }
        }
    }

    #[test]
    fn every_width_returns_as_it_went() {
        for shift in 0..64 {
            for near in [-1_i64, 0, 1] {
                for value in [(1_i64 << shift).wrapping_add(near), (-1_i64 << shift).wrapping_add(near)] {
                    let bytes = encode(|room| put_varlong(room, value));
                    assert_eq!(bytes.len() as u64, varlong_bytes(value));
                    let mut rest = &bytes[..];
                    assert_eq!(take_varlong(&mut rest), Some(value));
                    assert!(rest.is_empty());
                    assert_eq!(take_varint(&mut &bytes[..]), i32::try_from(value).ok(), "{value}");
                    for cut in 0..bytes.len() {
                        assert_eq!(take_varlong(&mut &bytes[..cut]), None);
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_bytes_or_bits_are_refused() {
        assert_eq!(take_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x00][..]), Some(0));
        assert_eq!(take_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]), None);
        assert_eq!(take_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), None);
        let mut eleven = [0x80_u8; 11];
        eleven[10] = 0;
        assert_eq!(take_varlong(&mut &eleven[..]), None);
        eleven[9] = 0x02;
        assert_eq!(take_varlong(&mut &eleven[..]), None);
        eleven[9] = 0x01;
        assert_eq!(take_varlong(&mut &eleven[..]), Some(1 << 62));
    }
}
