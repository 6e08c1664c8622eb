//! Room that a codec writes into: a buffer that grows where it must and never shrinks.
//!
//! A codec needs more than it writes at last, and what it is given must be cleared first. Room that is kept for the next
//! batch is cleared once, so its length is all that was ever made ready; how much of it counts is said beside it.

/// `bytes` bytes of `room` from `start` on, made where they are not there yet.
pub(super) fn at(room: &mut Vec<u8>, start: usize, bytes: usize) -> &mut [u8] {
    let end = start + bytes;
    if room.len() < end {
        room.resize(end, 0);
    }
    room.get_mut(start..end).unwrap_or_default()
}

/// Writes `bytes` into `room` at `end`, and moves that.
#[cfg(any(feature = "lz4", feature = "snappy"))]
pub(super) fn put(room: &mut Vec<u8>, end: &mut usize, bytes: &[u8]) {
    at(room, *end, bytes.len()).copy_from_slice(bytes);
    *end += bytes.len();
}
