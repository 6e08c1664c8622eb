//! What pure decoders say of bytes: they know no files, and whoever read the bytes adds the place.

use crate::offset::Offset;

/// What is wrong with bytes that should be a record batch or a record.
///
/// It knows no file: [`Error::Corrupt`](crate::Error::Corrupt) and [`Error::InvalidBatch`](crate::Error::InvalidBatch) carry it with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// Fewer bytes than what is to be read from them.
    #[error("{available} bytes where {needed} are needed")]
    Truncated {
        /// How many there must be.
        needed: u64,
        /// How many there are.
        available: u64,
    },

    /// A batch's length field that no batch can have.
    #[error("batch length {length} is outside {minimum}..={maximum}")]
    BatchLength {
        /// The field: bytes after itself.
        length: i64,
        /// The smallest possible.
        minimum: i64,
        /// The largest possible here.
        maximum: i64,
    },

    /// A format version other than 2.
    #[error("batch format version {magic}, where only 2 is known")]
    Magic {
        /// The version.
        magic: i8,
    },

    /// The checksum does not match.
    #[error("CRC-32C is {computed:#010x} where {stored:#010x} is stored")]
    Crc {
        /// The checksum in the batch.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },

    /// A codec number that Kafka has not defined.
    #[error("unknown codec {codec}")]
    UnknownCodec {
        /// The number in the attributes.
        codec: u8,
    },

    /// A header field that is negative or contradicts another.
    #[error("{field} is {value}, which cannot be")]
    Field {
        /// The field, by its name in `docs/format.md` in the repository.
        field: &'static str,
        /// Its value.
        value: i64,
    },

    /// A batch whose offsets do not follow those before it.
    #[error("batch begins at offset {found} where {expected} or more was expected")]
    OffsetOrder {
        /// The lowest offset it may begin with.
        expected: Offset,
        /// The offset with which it begins.
        found: i64,
    },

    /// Offsets that no batch holds, in a log that has no gaps.
    #[error("offsets {from}..{to} are missing")]
    MissingOffsets {
        /// The first offset that is missing.
        from: Offset,
        /// The next offset that is there.
        to: Offset,
    },

    /// A variable-length number with too many bytes, or cut short.
    #[error("malformed variable-length number at byte {position} of the records")]
    Varint {
        /// Its place in the decompressed records.
        position: u64,
    },

    /// A length inside a record that is negative or reaches past its end.
    #[error("{field} of length {length} at byte {position} of the records, where {available} bytes are left")]
    Length {
        /// What the length is of.
        field: &'static str,
        /// The length.
        length: i64,
        /// Its place in the decompressed records.
        position: u64,
        /// How many bytes are left.
        available: u64,
    },

    /// A header's name that is not UTF-8.
    #[error("a header name at byte {position} of the records is not UTF-8")]
    HeaderName {
        /// Its place in the decompressed records.
        position: u64,
    },

    /// Bytes after the last record.
    #[error("{bytes} bytes after the last of {records} records")]
    TrailingBytes {
        /// How many.
        bytes: u64,
        /// The batch's record count.
        records: u64,
    },

    /// A compressed stream that its codec refuses.
    #[error("{codec} cannot decompress the records: {reason}")]
    Decompress {
        /// The codec.
        codec: &'static str,
        /// Its answer.
        reason: String,
    },

    /// The records are larger, decompressed, than the reader's limit.
    #[error("the records decompress to more than the limit of {limit} bytes")]
    DecompressedTooLarge {
        /// The limit.
        limit: u64,
    },

    /// A zero length field, which ends a log, with something behind it.
    #[error("a zero length with data behind it")]
    ZeroLength,
}
