//! gzip streams (RFC 1952), at the usual level 6 or at another.
//!
//! One member is written; several in a row are read as one stream, as Java's reader does. The member's own CRC-32 is
//! checked by the decoder.
//!
//! Each thread keeps an encoder of the level it used last, because the tables of a new one cost as much as a small batch.
//! A thread that is ending, and has dropped its own, makes one for the call.

use std::cell::RefCell;
use std::io;

use flate2::bufread::MultiGzDecoder;
use flate2::{Compress, FlushCompress, Status};

use crate::record::room;
use crate::storage::{Buffer, Slice};

/// What -1 stands for, and no level at all.
const LEVEL: u32 = 6;
/// The largest window that there is, 32 KiB, as the exponent of two.
const WINDOW_BITS: u8 = 15;
/// What is added to the room for the output whenever it is full.
const ROOM_BYTES_MIN: usize = 1 << 10;

thread_local! {
    static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
}

/// Compresses `input` to one gzip member at the front of `room`, and gives its size.
pub(super) fn compress(level: Option<i32>, input: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
    let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(LEVEL);
    let kept = ENCODER.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let fits = kept.take().filter(|encoder| encoder.level == level);
        kept.insert(fits.unwrap_or_else(|| Encoder::new(level))).compress(input, room)
    });
    kept.unwrap_or_else(|_| Encoder::new(level).compress(input, room))
}

/// The bytes of `input`'s members, or `None` if there are more than `limit`.
pub(super) fn decompress(input: &[u8], limit: usize) -> io::Result<Option<Slice>> {
    let read = Buffer::read_all(&mut MultiGzDecoder::new(input), input.len().saturating_mul(4), limit)?;
    Ok(read.map(Buffer::freeze))
}

struct Encoder {
    level: u32,
    state: Compress,
}

impl Encoder {
    fn new(level: u32) -> Encoder {
        Encoder { level, state: Compress::new_gzip(flate2::Compression::new(level), WINDOW_BITS) }
    }

    fn compress(&mut self, input: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
        // Before, not after: whatever the last call left.
        self.state.reset();
        loop {
            let [read, written] = [self.state.total_in(), self.state.total_out()].map(in_memory);
            let rest = input.get(read..).unwrap_or_default();
            let place = room::at(room, written, rest.len() / 2 + ROOM_BYTES_MIN);
            let status = self.state.compress(rest, place, FlushCompress::Finish).map_err(io::Error::other)?;
            if status == Status::StreamEnd {
                return Ok(in_memory(self.state.total_out()));
            }
        }
    }
}

/// A count of bytes that lie in one slice.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
