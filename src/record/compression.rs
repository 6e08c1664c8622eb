//! The codecs that a batch's records may be compressed with, and the one door to them.
//!
//! Each codec lives in a file of its own behind the Cargo feature of its name; this one knows their numbers and names, and
//! turns a codec that is not built in into [`Error::CodecDisabled`]. Batches of a codec that is not built in are still
//! stored, moved and checked: only their records cannot be read.
//!
//! Invariants: a level was checked before it comes to a codec; what comes out of `decompress` is never larger than the limit it was given, and no codec allocates more
//! than a small multiple of what it has really seen because of a length that it has only read.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::{Corruption, Error};
use crate::record::room;
use crate::storage::Slice;

/// How the records of a batch are compressed. Kafka's `compression.type`.
///
/// Each codec but `None` is a Cargo feature, on by default.
///
/// # Examples
///
/// ```
/// use streamlog::Compression;
///
/// let codec: Compression = "lz4".parse()?;
/// assert_eq!(codec, Compression::Lz4);
/// assert_eq!(codec.to_string(), "lz4");
/// assert!("brotli".parse::<Compression>().is_err());
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// gzip: small, and slow to write.
    Gzip,
    /// snappy: fast, and the least small.
    Snappy,
    /// lz4: the fastest to read.
    Lz4,
    /// zstd: small, and still fast.
    Zstd,
}

/// The levels of zstd, as the library and Kafka have them.
const ZSTD_LEVELS: RangeInclusive<i32> = -131_072..=22;

impl Compression {
    /// Every codec, by its number in the batch's attributes.
    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// Whether this build can compress and decompress with it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Compression::None => true,
            Compression::Gzip => cfg!(feature = "gzip"),
            Compression::Snappy => cfg!(feature = "snappy"),
            Compression::Lz4 => cfg!(feature = "lz4"),
            Compression::Zstd => cfg!(feature = "zstd"),
        }
    }

    /// Kafka's name for it, which is the Cargo feature's too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// Its number in the batch's attributes.
    pub(super) fn number(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// The codec of a number in a batch's attributes.
    pub(super) fn from_number(codec: u8) -> Result<Compression, Corruption> {
        Self::ALL.get(usize::from(codec)).copied().ok_or(Corruption::UnknownCodec { codec })
    }

    /// Refuses a level that the codec does not have, by the name of Kafka's setting for it.
    pub(crate) fn check_level(self, level: i32) -> Result<(), Error> {
        let (setting, value) = match self {
            Compression::Gzip => ("compression.gzip.level", level.to_string()),
            Compression::Zstd => ("compression.zstd.level", level.to_string()),
            Compression::Lz4 | Compression::Snappy | Compression::None => {
                ("compression.type", self.name().to_owned())
            }
        };
        let refuse = |reason: &str| Error::InvalidConfig { setting, value, reason: reason.to_owned() };
        self.has_level(level).map_err(refuse)
    }

    /// Reads a level of the codec, or says what is allowed.
    pub(crate) fn level_from(self, text: &str) -> Result<i32, &'static str> {
        // Where a text is no number, the reason is that of a number that is no level.
        let level = text.parse().unwrap_or(i32::MIN);
        self.has_level(level).map(|()| level)
    }

    /// Whether the codec has this level, or what is allowed.
    fn has_level(self, level: i32) -> Result<(), &'static str> {
        match self {
            Compression::Gzip if matches!(level, -1 | 1..=9) => Ok(()),
            Compression::Gzip => Err("must be -1 or 1 to 9"),
            Compression::Zstd if ZSTD_LEVELS.contains(&level) => Ok(()),
            Compression::Zstd => Err("must be -131072 to 22"),
            Compression::Lz4 | Compression::Snappy | Compression::None => {
                Err("has no levels, and one was given")
            }
        }
    }

    /// Compresses `input` to the front of `room`, and gives how many bytes that took.
    ///
    /// The room grows where it must and never shrinks, so that one that is kept is cleared once and not for each batch. The
    /// level is one that was checked, or none for the codec's default.
    pub(super) fn compress(
        self,
        level: Option<i32>,
        input: &[u8],
        room: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        debug_assert!(level.is_none_or(|level| self.check_level(level).is_ok()));
        let done: io::Result<usize> = match self {
            Compression::None => {
                room::at(room, 0, input.len()).copy_from_slice(input);
                Ok(input.len())
            }
            #[cfg(feature = "gzip")]
            Compression::Gzip => super::gzip::compress(level, input, room),
            #[cfg(feature = "snappy")]
            Compression::Snappy => super::snappy::compress(input, room),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => super::lz4::compress(input, room),
            #[cfg(feature = "zstd")]
            Compression::Zstd => super::zstd::compress(level, input, room),
            #[allow(unreachable_patterns, reason = "reached where a codec is not built in")]
            absent => return Err(Error::CodecDisabled { codec: absent.name() }),
        };
        done.map_err(|source| Error::Compress { codec: self.name(), source })
    }

    /// Decompresses `input` if that gives at most `limit` bytes.
    pub(crate) fn decompress(self, input: &[u8], limit: usize) -> Result<Slice, Error> {
        let done: io::Result<Option<Slice>> = match self {
            Compression::None if input.len() <= limit => return Ok(Slice::from(input.to_vec())),
            Compression::None => Ok(None),
            #[cfg(feature = "gzip")]
            Compression::Gzip => super::gzip::decompress(input, limit),
            #[cfg(feature = "snappy")]
            Compression::Snappy => super::snappy::decompress(input, limit),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => super::lz4::decompress(input, limit),
            #[cfg(feature = "zstd")]
            Compression::Zstd => super::zstd::decompress(input, limit),
            #[allow(unreachable_patterns, reason = "reached where a codec is not built in")]
            absent => return Err(Error::CodecDisabled { codec: absent.name() }),
        };
        let source = match done {
            Ok(Some(records)) => return Ok(records),
            Ok(None) => Corruption::DecompressedTooLarge { limit: limit as u64 },
            Err(error) => Corruption::Decompress { codec: self.name(), reason: error.to_string() },
        };
        Err(Error::InvalidBatch { source })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Compression, Error> {
        Self::ALL.into_iter().find(|codec| codec.name() == name).ok_or_else(|| Error::InvalidConfig {
            setting: "compression.type",
            value: name.to_owned(),
            reason: "must be none, gzip, snappy, lz4 or zstd".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that compresses, noise that does not, and the sizes around every block border.
    fn inputs() -> Vec<Vec<u8>> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut inputs = vec![Vec::new(), b"a".to_vec()];
        for size in
            [100, (32 << 10) - 1, 32 << 10, (32 << 10) + 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000]
        {
            inputs.push(b"streamlog ".iter().copied().cycle().take(size).collect());
            inputs.push((0..size).map(|_| random.u8(..)).collect());
        }
        inputs
    }

    /// Compressed into a room that was used before.
    fn compressed(codec: Compression, level: Option<i32>, input: &[u8]) -> Vec<u8> {
        let mut room = vec![0xee; 100];
        let bytes = codec.compress(level, input, &mut room).unwrap();
        room.truncate(bytes);
        room
    }

    #[test]
    fn what_is_compressed_comes_back() {
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()) {
            for input in inputs() {
                let read = codec.decompress(&compressed(codec, None, &input), input.len()).unwrap();
                assert!(read[..] == input[..], "{codec}");
            }
        }
    }

    #[test]
    fn output_over_the_limit_is_refused() {
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()) {
            for input in inputs().into_iter().filter(|input| !input.is_empty()) {
                let stream = compressed(codec, None, &input);
                for limit in [0, input.len() / 2, input.len() - 1] {
                    let error = codec.decompress(&stream, limit).unwrap_err();
                    let expected = Corruption::DecompressedTooLarge { limit: limit as u64 };
                    assert!(matches!(error, Error::InvalidBatch { source } if source == expected), "{codec}");
                }
            }
        }
    }

    #[test]
    fn a_stream_cut_short_is_refused() {
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()).skip(1) {
            let input: Vec<u8> = b"streamlog ".iter().copied().cycle().take(40_000).collect();
            let stream = compressed(codec, None, &input);
            for cut in 1..stream.len() {
                let read = codec.decompress(&stream[..cut], 1 << 20);
                // Xerial streams have no end mark, so a cut between two blocks shows only as records that are missing.
                assert!(read.is_err() || read.unwrap().len() < input.len(), "{codec} at {cut}");
            }
        }
    }

    #[test]
    fn a_level_changes_the_size_and_not_what_comes_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let words = ["apples", "pears", "order", "payment", "accepted", "refused", "customer", "alice"];
        let input = (0..10_000).map(|_| words[random.usize(..words.len())]).collect::<String>().into_bytes();
        let sized = |codec: Compression, level| {
            let stream = compressed(codec, level, &input);
            assert!(codec.decompress(&stream, input.len()).unwrap()[..] == input[..], "{codec} {level:?}");
            stream.len()
        };
        // Back and forth, so that a kept encoder has to change its level.
        if Compression::Gzip.is_available() {
            let [fast, usual, small] = [1, 6, 9].map(|level| sized(Compression::Gzip, Some(level)));
            assert!(small < usual && usual < fast, "{small} {usual} {fast}");
            assert_eq!([sized(Compression::Gzip, None), sized(Compression::Gzip, Some(-1))], [usual; 2]);
            assert_eq!(sized(Compression::Gzip, Some(1)), fast);
        }
        if Compression::Zstd.is_available() {
            let [fastest, fast, usual, small] =
                [-100, 1, 3, 19].map(|level| sized(Compression::Zstd, Some(level)));
            assert!(small < usual && usual < fast && fast < fastest, "{small} {usual} {fast} {fastest}");
            assert_eq!(sized(Compression::Zstd, None), usual);
            assert_eq!(sized(Compression::Zstd, Some(-100)), fastest);
        }
    }

    #[test]
    fn a_level_that_a_codec_does_not_have_is_named_with_its_limits() {
        let known = |codec: Compression, levels: &[i32]| {
            levels.iter().for_each(|&level| codec.check_level(level).unwrap());
        };
        known(Compression::Gzip, &[-1, 1, 9]);
        known(Compression::Zstd, &[-131_072, -1, 0, 22]);
        let refused = |codec: Compression, level: i32, text: &str| {
            assert_eq!(codec.check_level(level).unwrap_err().to_string(), text);
        };
        for level in [-2, 0, 10, i32::MIN, i32::MAX] {
            let text = format!("invalid value {level} for compression.gzip.level: must be -1 or 1 to 9");
            refused(Compression::Gzip, level, &text);
        }
        for level in [-131_073, 23] {
            let text = format!("invalid value {level} for compression.zstd.level: must be -131072 to 22");
            refused(Compression::Zstd, level, &text);
        }
        for codec in [Compression::None, Compression::Snappy, Compression::Lz4] {
            let text =
                format!("invalid value {codec} for compression.type: has no levels, and one was given");
            refused(codec, 1, &text);
        }
    }

    /// Every cut and many a flipped bit of a stream, each followed by one that is good, on the same thread.
    #[test]
    fn a_damaged_stream_leaves_no_trace_for_the_next() {
        let input: Vec<u8> =
            (0..300_u32).flat_map(|line| format!("{} apples, ", line * line).into_bytes()).collect();
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()) {
            let good = compressed(codec, None, &input);
            let whole = || assert!(codec.decompress(&good, 1 << 20).unwrap()[..] == input[..], "{codec}");
            for at in 0..good.len() {
                let _ = codec.decompress(&good[..at], 1 << 20);
                whole();
                let mut damaged = good.clone();
                damaged[at] ^= 1 << (at % 8);
                let _ = codec.decompress(&damaged, 1 << 20);
                whole();
                let _ = codec.decompress(&good, at);
                whole();
            }
            assert!(compressed(codec, None, &input) == good, "{codec}");
        }
    }

    #[test]
    fn a_codec_that_is_not_built_in_says_so() {
        for codec in Compression::ALL.into_iter().filter(|codec| !codec.is_available()) {
            let disabled =
                |error: Error| matches!(error, Error::CodecDisabled { codec: name } if name == codec.name());
            assert!(disabled(codec.compress(None, b"x", &mut Vec::new()).unwrap_err()));
            assert!(disabled(codec.decompress(b"x", 1).unwrap_err()));
        }
    }

    #[test]
    fn names_and_numbers_are_kafkas() {
        for (number, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
            let codec: Compression = name.parse().unwrap();
            assert_eq!(codec.to_string(), name);
            assert_eq!(usize::from(codec.number()), number);
            assert_eq!(Compression::from_number(codec.number()).unwrap(), codec);
        }
        assert_eq!(Compression::from_number(5), Err(Corruption::UnknownCodec { codec: 5 }));
        assert!(
            matches!("LZ4".parse::<Compression>(), Err(Error::InvalidConfig { value, .. }) if value == "LZ4")
        );
    }
}
