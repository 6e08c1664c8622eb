//! zstd frames, at zstd's own default level, 3, or at another.
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

use crate::record::room;
use crate::storage::{Buffer, Slice};

/// The largest input that a kept compressor sees: at a high level its tables grow to many times that, and stay.
const KEPT_INPUT_BYTES_MAX: usize = 1 << 20;
/// A window of 128 MiB is what level 22, the highest that Kafka allows, may ask for.
const WINDOW_LOG_MAX: u32 = 27;
/// The largest size in a frame's header for which memory is taken at once.
const BELIEVED_BYTES_MAX: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Compresses `input` to one frame at the front of `room`, at zstd's default level if none is given, and gives its size.
pub(super) fn compress(level: Option<i32>, input: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    let room = room::at(room, 0, compress_bound(input.len()));
    let mut kept = None;
    if input.len() <= KEPT_INPUT_BYTES_MAX {
        kept = COMPRESSOR.try_with(|context| context.borrow_mut().compress(room, input, level)).ok();
    }
    let written = kept.unwrap_or_else(|| CCtx::create().compress(room, input, level));
    written.map_err(|code| io::Error::other(get_error_name(code)))
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

    fn frame(level: Option<i32>, input: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let bytes = compress(level, input, &mut frame).unwrap();
        frame.truncate(bytes);
        frame
    }

    #[test]
    fn frames_with_and_without_a_size_are_read() {
        let input: Vec<u8> = b"apples ".iter().copied().cycle().take(100_000).collect();
        let known = frame(None, &input);
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
    fn the_levels_are_the_librarys() {
        assert_eq!(zstd::compression_level_range(), -131_072..=22);
        assert_eq!(zstd::DEFAULT_COMPRESSION_LEVEL, 3);
    }

    #[test]
    fn a_large_input_is_compressed_as_well() {
        let input = b"apples ".repeat(KEPT_INPUT_BYTES_MAX / 7 + 1);
        assert!(decompress(&frame(Some(1), &input), input.len()).unwrap().unwrap()[..] == input[..]);
    }

    #[test]
    fn a_window_over_the_bound_is_refused() {
        // Magic, a descriptor without a size, a window of 2^41, then an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
        assert!(decompress(&frame, 1 << 20).is_err());
    }
}
