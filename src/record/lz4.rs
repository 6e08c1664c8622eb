//! lz4 frames, the subset of the frame format that Kafka's own writer and reader keep to.
//!
//! ```text
//! 0         4     5     6    7          11
//! +---------+-----+-----+----+----------+-------+--   flags  60 is version 1, blocks independent, no checksums, no size
//! | magic   |flags| BD  | HC | length   | block | …   BD     40 is blocks of at most 64 KiB
//! +---------+-----+-----+----+----------+-------+--   HC     second byte of the xxh32 of what lies between it and the magic
//! ```
//!
//! The content's size, if the flags announce it, lies between BD and HC; it is not believed. A block's length is
//! little-endian; its top bit says that the block is stored as it is; length 0 ends the frame. If the flags say so, each
//! block has its xxh32 behind it. One frame is read, and what follows it (a checksum of the content, at most) is ignored;
//! blocks that refer to the one before them are refused: both as in Kafka. The framing is our own because the usual crate's
//! reader takes a missing end for an end, and because blocks can be read straight into their place.
//!
//! Invariants: no block is larger, decompressed, than the frame's block size, nor than 255 times its own bytes.

use std::io;

use lz4_flex::block::{DecompressError, compress_into, decompress_into, get_maximum_output_size};
use twox_hash::XxHash32;

use crate::record::room::{self, put};
use crate::storage::{Buffer, Slice};

/// What a frame begins with.
const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// The flags, the block size, and their checksum, as they are written.
const DESCRIPTOR: [u8; 3] = [VERSION | INDEPENDENT_BIT, BLOCK_CODE_MIN << BLOCK_CODE_SHIFT, 0x82];

const VERSION: u8 = 0b01 << 6;
const VERSION_BITS: u8 = 0b11 << 6;
const INDEPENDENT_BIT: u8 = 1 << 5;
const BLOCK_CHECKSUM_BIT: u8 = 1 << 4;
const CONTENT_SIZE_BIT: u8 = 1 << 3;
const RESERVED_FLAGS: u8 = 1 << 1;
const DICTIONARY_BIT: u8 = 1;

/// Block size codes are 4 to 7: 64 KiB, 256 KiB, 1 MiB, 4 MiB.
const BLOCK_CODE_MIN: u8 = 4;
const BLOCK_CODE_SHIFT: u32 = 4;
const RESERVED_BD: u8 = 0b1000_1111;
/// How much goes into a block, as in Kafka's own writer.
const BLOCK_BYTES: usize = 64 << 10;

/// The bit of a block's length that says that it is not compressed.
const STORED_BIT: u32 = 1 << 31;
const LENGTH_BYTES: usize = 4;
/// No lz4 sequence gives more than this for each of its bytes.
const EXPANSION_MAX: usize = 255;

/// Compresses `input` to one frame at the front of `room`, and gives its size.
pub(super) fn compress(input: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
    let mut end = 0;
    put(room, &mut end, &MAGIC);
    put(room, &mut end, &DESCRIPTOR);
    for block in input.chunks(BLOCK_BYTES) {
        let data = end + LENGTH_BYTES;
        let place = room::at(room, data, get_maximum_output_size(block.len()));
        let mut written = compress_into(block, place).map_err(io::Error::other)?;
        let mut flag = 0;
        if written >= block.len() {
            (written, flag) = (block.len(), STORED_BIT);
            place.get_mut(..written).unwrap_or_default().copy_from_slice(block);
        }
        let length = u32::try_from(written).map_err(io::Error::other)? | flag;
        put(room, &mut end, &in_frame(length));
        end = data + written;
    }
    put(room, &mut end, &in_frame(0));
    Ok(end)
}

/// The bytes of the frame that `input` begins with, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    let frame = Frame::parse(input)?;

    let mut bound = 0_usize;
    let mut blocks = frame.blocks;
    while let Some(block) = blocks.take()? {
        bound = bound.saturating_add(block.bytes_max(frame.block_bytes));
    }

    let mut buffer = Buffer::take(bound.min(limit));
    let mut filled = 0;
    let mut blocks = frame.blocks;
    while let Some(block) = blocks.take()? {
        let room = buffer.as_mut().get_mut(filled..).unwrap_or_default();
        let room_bytes = room.len().min(frame.block_bytes);
        let is_cut_by_limit = room_bytes < block.bytes_max(frame.block_bytes);
        let room = room.get_mut(..room_bytes).unwrap_or_default();
        match block.decompress(room) {
            Ok(written) => filled += written,
            Err(DecompressError::OutputTooSmall { .. }) if is_cut_by_limit => return Ok(None),
            Err(error) => return Err(invalid(error.to_string())),
        }
    }
    Ok(buffer.freeze().slice(0..filled))
}

/// The frame's header, and its blocks, not yet looked at.
struct Frame<'a> {
    block_bytes: usize,
    blocks: Blocks<'a>,
}

impl<'a> Frame<'a> {
    fn parse(input: &'a [u8]) -> io::Result<Frame<'a>> {
        let cut = || invalid("the stream ends inside the frame's header".to_owned());
        let rest = input.strip_prefix(&MAGIC).ok_or_else(|| invalid("not an lz4 frame".to_owned()))?;
        let &[flags, bd] = rest.first_chunk().ok_or_else(cut)?;
        if flags & VERSION_BITS != VERSION
            || flags & (RESERVED_FLAGS | DICTIONARY_BIT) != 0
            || bd & RESERVED_BD != 0
        {
            return Err(invalid(format!("frame flags {flags:#04x} {bd:#04x} are unknown")));
        }
        if flags & INDEPENDENT_BIT == 0 {
            return Err(invalid("the blocks depend on each other".to_owned()));
        }
        let size_bytes = if flags & CONTENT_SIZE_BIT == 0 { 0 } else { size_of::<u64>() };
        let (descriptor, rest) = rest.split_at_checked(2 + size_bytes).ok_or_else(cut)?;
        let (&stored, rest) = rest.split_first().ok_or_else(cut)?;
        let [.., computed, _] = XxHash32::oneshot(0, descriptor).to_be_bytes();
        if stored != computed {
            return Err(invalid(format!("header checksum {computed:#04x} where {stored:#04x} is stored")));
        }
        let code = (bd >> BLOCK_CODE_SHIFT).checked_sub(BLOCK_CODE_MIN);
        let code = code.ok_or_else(|| invalid(format!("block size {bd:#04x} is unknown")))?;
        let has_checksums = flags & BLOCK_CHECKSUM_BIT != 0;
        Ok(Frame { block_bytes: BLOCK_BYTES << (2 * code), blocks: Blocks { rest, has_checksums } })
    }
}

/// The blocks of a frame, taken one after the other.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    rest: &'a [u8],
    has_checksums: bool,
}

impl<'a> Blocks<'a> {
    /// The next block, or `None` at the frame's end mark.
    fn take(&mut self) -> io::Result<Option<Block<'a>>> {
        let length = self.take_number()?;
        if length == 0 {
            return Ok(None);
        }
        let bytes = usize::try_from(length & !STORED_BIT).map_err(io::Error::other)?;
        let (data, rest) = self.rest.split_at_checked(bytes).ok_or_else(Self::cut)?;
        self.rest = rest;
        if self.has_checksums {
            let (stored, computed) = (self.take_number()?, XxHash32::oneshot(0, data));
            if stored != computed {
                return Err(invalid(format!(
                    "block checksum {computed:#010x} where {stored:#010x} is stored"
                )));
            }
        }
        Ok(Some(Block { data, is_stored: length & STORED_BIT != 0 }))
    }

    fn take_number(&mut self) -> io::Result<u32> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(Self::cut)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*number).swap_bytes())
    }

    fn cut() -> io::Error {
        invalid("the stream ends before the frame does".to_owned())
    }
}

/// One block of a frame.
struct Block<'a> {
    data: &'a [u8],
    is_stored: bool,
}

impl Block<'_> {
    /// The most bytes that the block can give.
    fn bytes_max(&self, block_bytes: usize) -> usize {
        let expansion = if self.is_stored { 1 } else { EXPANSION_MAX };
        self.data.len().saturating_mul(expansion).min(block_bytes)
    }

    fn decompress(&self, room: &mut [u8]) -> Result<usize, DecompressError> {
        if !self.is_stored {
            return decompress_block(self.data, room);
        }
        let (expected, actual) = (self.data.len(), room.len());
        let place = room.get_mut(..expected).ok_or(DecompressError::OutputTooSmall { expected, actual })?;
        place.copy_from_slice(self.data);
        Ok(expected)
    }
}

/// The codec's inner loop, in a function of its own: within a larger one the compiler no longer inlines its copies, and
/// each of a few bytes becomes a call, which halves the speed.
#[inline(never)]
fn decompress_block(data: &[u8], room: &mut [u8]) -> Result<usize, DecompressError> {
    decompress_into(data, room)
}

/// A number as frames hold it, the lowest byte first.
fn in_frame(number: u32) -> [u8; LENGTH_BYTES] {
    number.swap_bytes().to_be_bytes()
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &[u8]) -> io::Result<Vec<u8>> {
        decompress(frame, 1 << 20).map(|read| read.unwrap().to_vec())
    }

    #[test]
    fn a_frame_is_what_kafka_writes() {
        let mut frame = Vec::new();
        let bytes = compress(b"apples", &mut frame).unwrap();
        frame.truncate(bytes);
        assert_eq!(frame, *b"\x04\x22\x4d\x18\x60\x40\x82\x06\0\0\x80apples\0\0\0\0");
        assert_eq!(read(&frame).unwrap(), b"apples");
    }

    #[test]
    fn optional_fields_are_read_and_checked() {
        // Block checksums, a content size that is not believed, and blocks of up to 4 MiB.
        let mut frame = b"\x04\x22\x4d\x18\x78\x70\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec();
        frame.push(XxHash32::oneshot(0, &frame[4..]).to_be_bytes()[2]);
        frame.extend_from_slice(b"\x06\0\0\x80apples");
        frame.extend_from_slice(&in_frame(XxHash32::oneshot(0, b"apples")));
        frame.extend_from_slice(b"\0\0\0\0trailing");
        assert_eq!(read(&frame).unwrap(), b"apples");
        for at in [4, 5, 14, 20, 26] {
            let mut damaged = frame.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_block_over_the_block_size_is_refused() {
        let mut frame = b"\x04\x22\x4d\x18\x60\x40\x82".to_vec();
        let block = lz4_flex::block::compress(&vec![0; BLOCK_BYTES + 1]);
        frame.extend_from_slice(&in_frame(u32::try_from(block.len()).unwrap()));
        frame.extend_from_slice(&block);
        frame.extend_from_slice(&[0; 4]);
        assert!(read(&frame).is_err());
    }
}
