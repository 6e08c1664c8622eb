//! zstd frames, at zstd's own default level, 3.
//!
//! The decoder's memory is bounded twice: what it gives by the caller's limit, and the window that it keeps by
//! [`WINDOW_LOG_MAX`], whatever a frame's header asks for.

use std::io;

use zstd::stream::read::Decoder;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use crate::storage::{Buffer, Slice};

/// The level that Kafka takes by default.
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;
/// A window of 128 MiB is what level 22, the highest that Kafka allows, may ask for.
const WINDOW_LOG_MAX: u32 = 27;

/// Appends `input` as one frame to `output`.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let start = output.len();
    output.resize(start + compress_bound(input.len()), 0);
    let mut context = CCtx::create();
    let refused = |code| io::Error::other(get_error_name(code));
    context.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(refused)?;
    let written = context.compress2(output.get_mut(start..).unwrap_or_default(), input).map_err(refused)?;
    output.truncate(start + written);
    Ok(())
}

/// The bytes of `input`'s frames, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    let mut decoder = Decoder::with_buffer(input)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let read = Buffer::read_all(&mut decoder, input.len().saturating_mul(4), limit)?;
    Ok(read.map(Buffer::freeze))
}
