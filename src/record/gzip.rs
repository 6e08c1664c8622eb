//! gzip streams (RFC 1952), at the usual level 6.
//!
//! One member is written; several in a row are read as one stream, as Java's reader does. The member's own CRC-32 is
//! checked by the decoder.

use std::io::{self, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::storage::{Buffer, Slice};

/// Appends `input` as one gzip member to `output`.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(output, flate2::Compression::default());
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

/// The bytes of `input`'s members, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    let read = Buffer::read_all(&mut MultiGzDecoder::new(input), input.len().saturating_mul(4), limit)?;
    Ok(read.map(Buffer::freeze))
}
