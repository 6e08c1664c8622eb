//! lz4 frames, the subset of the frame format that Kafka's own writer keeps to.
//!
//! ```text
//! 0         4     5     6    7
//! +---------+-----+-----+----+----------+-------+--   magic  04 22 4D 18
//! | magic   | 60  | 40  | HC | length   | block | …   60     version 1, blocks independent, no checksums, no size
//! +---------+-----+-----+----+----------+-------+--   40     blocks of 64 KiB
//!                                                     HC     second byte of the xxh32 of the two before it
//! ```
//!
//! A block's length is little-endian; its top bit says that the block is stored as it is; length 0 ends the frame. One
//! frame is read and what follows it is ignored, as in Kafka; unlike Kafka's reader, this one takes linked blocks too.

use std::io::{self, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::storage::Buffer;

/// What a frame begins with; the decoder would take older formats too, which Kafka does not know.
const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Appends `input` as one frame to `output`.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, output);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

/// The bytes of the frame that `input` begins with, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Buffer>> {
    if !input.starts_with(&MAGIC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an lz4 frame"));
    }
    Buffer::read_all(&mut FrameDecoder::new(input), input.len().saturating_mul(3), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_starts_with_the_header_that_kafka_writes() {
        let mut frame = Vec::new();
        compress(b"apples", &mut frame).unwrap();
        assert_eq!(frame[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
        assert_eq!(frame[frame.len() - 4..], [0; 4]);
    }
}
