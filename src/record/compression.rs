//! The codecs that a batch's records may be compressed with, and the one door to them.
//!
//! Each codec lives in a file of its own behind the Cargo feature of its name; this one knows their numbers and names, and
//! turns a codec that is not built in into [`Error::CodecDisabled`]. Batches of a codec that is not built in are still
//! stored, moved and checked: only their records cannot be read.
//!
//! Invariants: what comes out of `decompress` is never larger than the limit it was given, and no codec allocates more
//! than a small multiple of what it has really seen because of a length that it has only read.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::error::{Corruption, Error};
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

    /// Appends `input`, compressed, to `output`.
    pub(crate) fn compress(self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let done: io::Result<()> = match self {
            Compression::None => {
                output.extend_from_slice(input);
                Ok(())
            }
            #[cfg(feature = "gzip")]
            Compression::Gzip => super::gzip::compress(input, output),
            #[cfg(feature = "snappy")]
            Compression::Snappy => super::snappy::compress(input, output),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => super::lz4::compress(input, output),
            #[cfg(feature = "zstd")]
            Compression::Zstd => super::zstd::compress(input, output),
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

    #[test]
    fn what_is_compressed_comes_back() {
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()) {
            for input in inputs() {
                let mut output = b"before".to_vec();
                codec.compress(&input, &mut output).unwrap();
                let stream = output.strip_prefix(b"before").unwrap();
                let read = codec.decompress(stream, input.len()).unwrap();
                assert!(read[..] == input[..], "{codec}");
            }
        }
    }

    #[test]
    fn output_over_the_limit_is_refused() {
        for codec in Compression::ALL.into_iter().filter(|codec| codec.is_available()) {
            for input in inputs().into_iter().filter(|input| !input.is_empty()) {
                let mut stream = Vec::new();
                codec.compress(&input, &mut stream).unwrap();
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
            let mut stream = Vec::new();
            codec.compress(&input, &mut stream).unwrap();
            for cut in 1..stream.len() {
                let read = codec.decompress(&stream[..cut], 1 << 20);
                // Xerial streams have no end mark, so a cut between two blocks shows only as records that are missing.
                assert!(read.is_err() || read.unwrap().len() < input.len(), "{codec} at {cut}");
            }
        }
    }

    #[test]
    fn a_codec_that_is_not_built_in_says_so() {
        for codec in Compression::ALL.into_iter().filter(|codec| !codec.is_available()) {
            let disabled =
                |error: Error| matches!(error, Error::CodecDisabled { codec: name } if name == codec.name());
            assert!(disabled(codec.compress(b"x", &mut Vec::new()).unwrap_err()));
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
