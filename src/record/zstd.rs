//! zstd frames, at zstd's own default level, 3.
//!
//! Contexts are kept for each thread, because making one costs more than compressing a small batch. A frame that says how
//! large it is, and is not very large, is decompressed straight into its place; any other goes through a window. A thread
//! that is ending, and has dropped its contexts, makes one for the call.
//!
//! Invariants: what is given is bounded by the caller's limit, the window by [`WINDOW_LOG_MAX`], and what is allocated for a
//! size that was only read by [`BELIEVED_BYTES_MAX`]. The kept decompressor never has a window, so that no frame can make a
//! thread keep one.

use std::cell::RefCell;
use std::io;

use zstd::stream::read::Decoder;
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name, get_frame_content_size};

use crate::storage::{Buffer, Slice};

/// The level that Kafka takes by default.
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;
/// A window of 128 MiB is what level 22, the highest that Kafka allows, may ask for.
const WINDOW_LOG_MAX: u32 = 27;
/// The largest size in a frame's header for which memory is taken at once.
const BELIEVED_BYTES_MAX: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Appends `input` as one frame to `output`.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let start = output.len();
    output.resize(start + compress_bound(input.len()), 0);
    let room = output.get_mut(start..).unwrap_or_default();
    let kept = COMPRESSOR.try_with(|context| context.borrow_mut().compress(room, input, LEVEL));
    let written = kept.unwrap_or_else(|_| CCtx::create().compress(room, input, LEVEL));
    output.truncate(start + written.map_err(|code| io::Error::other(get_error_name(code)))?);
    Ok(())
}

/// The bytes of `input`'s frames, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    if let Some(whole) = decompress_at_once(input, limit.min(BELIEVED_BYTES_MAX)) {
        return Ok(Some(whole));
    }
    let mut decoder = Decoder::with_buffer(input)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let read = Buffer::read_all(&mut decoder, input.len().saturating_mul(4), limit)?;
    Ok(read.map(Buffer::freeze))
}

/// The bytes of a frame whose size is known and at most `limit`; `None` for any other, and for all that is wrong with it.
fn decompress_at_once(input: &[u8], limit: usize) -> Option<Slice> {
    let bytes = usize::try_from(get_frame_content_size(input).ok()??).ok()?;
    if bytes > limit {
        return None;
    }
    let mut buffer = Buffer::take(bytes);
    let kept = DECOMPRESSOR.try_with(|context| context.borrow_mut().decompress(buffer.as_mut(), input));
    let written = kept.unwrap_or_else(|_| DCtx::create().decompress(buffer.as_mut(), input)).ok()?;
    buffer.freeze().slice(0..written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_and_without_a_size_are_read() {
        let input: Vec<u8> = b"apples ".iter().copied().cycle().take(100_000).collect();
        let mut known = Vec::new();
        compress(&input, &mut known).unwrap();
        let unknown = zstd::stream::encode_all(&input[..], 19).unwrap();
        assert_eq!(get_frame_content_size(&known).unwrap(), Some(100_000));
        assert_eq!(get_frame_content_size(&unknown).unwrap(), None);
        let two = [&known[..], &unknown].concat();
        for (frames, count) in [(&known, 1), (&unknown, 1), (&two, 2)] {
            let read = decompress(frames, 1 << 20).unwrap().unwrap();
            assert!(read[..] == input.repeat(count), "{count}");
        }
    }

    #[test]
    fn a_window_over_the_bound_is_refused() {
        // Magic, a descriptor without a size, a window of 2^41, then an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
        assert!(decompress(&frame, 1 << 20).is_err());
    }
}
