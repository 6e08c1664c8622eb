//! snappy, in the two framings that are found in Kafka's logs.
//!
//! Xerial's framing is what Java clients write and all clients read, so it is what is written here, in blocks of 32 KiB.
//! A raw block, which is what librdkafka writes, is known by the missing magic.
//!
//! ```text
//! xerial    0        8         12        16
//!           +--------+---------+---------+---------+-----------+---------+-----------+--
//!           | magic  | version | lowest  | length  | raw block | length  | raw block | …   big-endian, no end mark
//!           +--------+---------+---------+---------+-----------+---------+-----------+--
//!           the 16 bytes of the header may come again between two blocks
//! raw       one snappy block from the first byte to the last
//! ```
//!
//! Invariants: a block says how large it is decompressed, and that is believed only as far as its compressed bytes could
//! hold it: a snappy element gives at most 64 bytes for 3.

use std::io;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use crate::record::room::{self, put};
use crate::storage::{Buffer, Slice};

/// What a xerial stream begins with.
const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// The version that we write, and the lowest that can read it.
const VERSION: u32 = 1;
/// Magic, version, lowest compatible version.
const HEADER_BYTES: usize = MAGIC.len() + 4 + 4;
/// How much goes into a block, as in Kafka's own writer.
const BLOCK_BYTES: usize = 32 << 10;
/// The length in front of each block.
const LENGTH_BYTES: usize = 4;
/// More bytes than any snappy element can give for each of its own: copies give at most 64 for 3.
const EXPANSION_MAX: usize = 22;

/// Compresses `input` to a xerial stream at the front of `room`, and gives its size.
pub(super) fn compress(input: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
    let mut end = 0;
    put(room, &mut end, &MAGIC);
    put(room, &mut end, &VERSION.to_be_bytes());
    put(room, &mut end, &VERSION.to_be_bytes());
    let mut encoder = Encoder::new();
    for block in input.chunks(BLOCK_BYTES) {
        let data = end + LENGTH_BYTES;
        let written = encoder.compress(block, room::at(room, data, max_compress_len(block.len())))?;
        let length = u32::try_from(written).map_err(io::Error::other)?;
        put(room, &mut end, &length.to_be_bytes());
        end = data + written;
    }
    Ok(end)
}

/// The bytes of `input`, a xerial stream or a raw block, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    let blocks = if input.starts_with(&MAGIC) && input.len() >= HEADER_BYTES {
        Blocks { rest: input, is_raw: false }
    } else {
        Blocks { rest: input, is_raw: true }
    };

    let mut total = 0_usize;
    for block in blocks {
        total = total.saturating_add(believable_len(block?)?);
        if total > limit {
            return Ok(None);
        }
    }

    let mut buffer = Buffer::take(total);
    let mut room = buffer.as_mut();
    let mut decoder = Decoder::new();
    for block in blocks {
        let written = decoder.decompress(block?, room)?;
        room = room.get_mut(written..).unwrap_or_default();
    }
    // A block gives as many bytes as it says or is refused, so nothing of the room is left.
    debug_assert!(room.is_empty());
    Ok(Some(buffer.freeze()))
}

/// How large a block is decompressed, refused where its bytes cannot possibly hold that.
fn believable_len(block: &[u8]) -> io::Result<usize> {
    let length = decompress_len(block)?;
    if length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(invalid(format!("a block of {} bytes cannot hold {length}", block.len())));
    }
    Ok(length)
}

/// The raw blocks of a stream, one after the other; ends after the first error.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    rest: &'a [u8],
    is_raw: bool,
}

impl<'a> Blocks<'a> {
    fn take_header(&mut self) -> io::Result<()> {
        while let Some(after_magic) = self.rest.strip_prefix(&MAGIC) {
            let cut = || invalid("the stream ends inside a header".to_owned());
            let (version, tail) = after_magic.split_first_chunk().ok_or_else(cut)?;
            let (_lowest, tail) = tail.split_first_chunk::<4>().ok_or_else(cut)?;
            let version = u32::from_be_bytes(*version);
            if version < VERSION {
                return Err(invalid(format!("framing version {version} is unknown")));
            }
            self.rest = tail;
        }
        Ok(())
    }

    fn take_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        self.take_header()?;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cut = || invalid("the stream ends inside a block".to_owned());
        let (length, tail) = self.rest.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
        let (block, tail) = tail.split_at_checked(length).ok_or_else(cut)?;
        self.rest = tail;
        Ok(Some(block))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = io::Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_raw {
            let whole = std::mem::take(&mut self.rest);
            return (!whole.is_empty()).then_some(Ok(whole));
        }
        let block = self.take_block();
        if block.is_err() {
            self.rest = &[];
        }
        block.transpose()
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(input: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        let bytes = compress(input, &mut stream).unwrap();
        stream.truncate(bytes);
        stream
    }

    fn read(stream: &[u8]) -> Vec<u8> {
        decompress(stream, 1 << 20).unwrap().unwrap().to_vec()
    }

    #[test]
    fn a_stream_starts_with_the_header_that_java_expects() {
        let stream = written(b"apples");
        assert_eq!(stream[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        assert_eq!(stream[16..20], 8_u32.to_be_bytes());
    }

    #[test]
    fn a_raw_block_and_a_stream_of_several_headers_are_read() {
        let raw = Encoder::new().compress_vec(b"three apples").unwrap();
        assert_eq!(read(&raw), b"three apples");
        let twice = [written(b"three "), written(b"apples")].concat();
        assert_eq!(read(&twice), b"three apples");
    }

    #[test]
    fn a_block_that_claims_more_than_it_can_hold_is_refused_before_it_is_allocated() {
        // Decompressed length 4 GiB - 1 in the first five bytes, then one literal.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'x'];
        assert!(decompress(&bomb, usize::MAX).is_err());
        // The densest that there is: copies of 64 bytes in 3 bytes each.
        let zeros = vec![0_u8; 1 << 20];
        let dense = Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(read(&dense), zeros);
    }
}
