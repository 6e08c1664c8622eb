//! Reusable buffers for what is read by position or decompressed.
//!
//! A buffer is taken, filled, and frozen into a [`Slice`]; when the last slice of it is dropped, the memory comes back
//! here, so that steady reading allocates nothing. Buffers come in powers of two; those over [`POOLED_BYTES_MAX`] are not
//! kept, and of each size only so many that all sizes together hold at most [`CLASS_BYTES`] times their number.
//!
//! Invariants: a buffer's memory is initialised once, when it is first allocated, and never handed to two owners.

#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::io;

use crossbeam::queue::ArrayQueue;

use super::slice::Slice;
use crate::sync::StaticOnceLock;

/// The smallest buffer.
const POOLED_BYTES_MIN: usize = 4 << 10;
/// The largest buffer that is kept for reuse; larger ones are freed.
const POOLED_BYTES_MAX: usize = 4 << 20;
/// How many bytes of each size are kept.
const CLASS_BYTES: usize = 4 << 20;
/// How many sizes there are: 4 KiB, 8 KiB, … 4 MiB.
const CLASSES: usize = (POOLED_BYTES_MAX / POOLED_BYTES_MIN).ilog2() as usize + 1;

/// Memory to fill, which returns to the pool when the last slice of it is gone.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// All initialised; `used` of it counts.
    memory: Vec<u8>,
    used: usize,
}

impl Buffer {
    /// A buffer of exactly `bytes` bytes with arbitrary contents.
    pub(crate) fn take(bytes: usize) -> Buffer {
        let memory = class_of(bytes).and_then(|class| free().get(class)?.pop());
        let memory = memory.unwrap_or_else(|| vec![0; bytes.next_power_of_two().max(POOLED_BYTES_MIN)]);
        Buffer { memory, used: bytes }
    }

    // Only streams of unknown length are read so, and these two codecs alone give such.
    /// Reads `reader` to its end into a buffer, or gives `None` if there are more than `limit` bytes.
    ///
    /// `hint` is a guess at how much will come; the buffer doubles when it was too low, never past `limit`.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn read_all(
        reader: &mut dyn io::Read,
        hint: usize,
        limit: usize,
    ) -> io::Result<Option<Buffer>> {
        let mut buffer = Buffer::take(hint.clamp(1, limit.max(1)));
        let mut filled = 0;
        loop {
            let room = buffer.memory.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                let mut larger = Buffer::take(buffer.memory.len() * 2);
                larger.memory.get_mut(..filled).unwrap_or_default().copy_from_slice(&buffer.memory);
                buffer = larger;
                continue;
            }
            match reader.read(room) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled > limit {
                return Ok(None);
            }
        }
        buffer.used = filled;
        Ok(Some(buffer))
    }

    /// Shares the buffer, unchangeable from now on.
    pub(crate) fn freeze(self) -> Slice {
        Slice::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.used).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.used).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if let Some(queue) = class_of(memory.len()).and_then(|class| free().get(class)) {
            // A full queue means that enough of this size is kept: the memory is freed.
            let _ = queue.push(memory);
        }
    }
}

/// The size class that holds `bytes`, or `None` where buffers of that size are not kept.
fn class_of(bytes: usize) -> Option<usize> {
    let size = bytes.next_power_of_two().max(POOLED_BYTES_MIN);
    (bytes > 0 && size <= POOLED_BYTES_MAX).then(|| (size / POOLED_BYTES_MIN).ilog2() as usize)
}

/// The buffers that nobody holds, by size class.
fn free() -> &'static [ArrayQueue<Vec<u8>>; CLASSES] {
    static FREE: StaticOnceLock<[ArrayQueue<Vec<u8>>; CLASSES]> = StaticOnceLock::new();
    FREE.get_or_init(|| {
        std::array::from_fn(|class| ArrayQueue::new((CLASS_BYTES / (POOLED_BYTES_MIN << class)).min(64)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_exactly_the_length_asked_for() {
        for bytes in [0, 1, 4095, 4096, 4097, POOLED_BYTES_MAX, POOLED_BYTES_MAX + 1] {
            assert_eq!(Buffer::take(bytes).freeze().len(), bytes);
        }
    }

    #[cfg(any(feature = "gzip", feature = "zstd"))]
    #[test]
    fn reading_stops_at_the_limit() {
        let data = vec![7_u8; 10_000];
        let read = |hint, limit| Buffer::read_all(&mut &data[..], hint, limit).unwrap();
        assert_eq!(read(10, 10_000).unwrap().as_ref(), &data[..]);
        assert_eq!(read(1 << 20, 10_000).unwrap().as_ref(), &data[..]);
        assert!(read(10, 9_999).is_none());
        assert!(read(10, 0).is_none());
    }

    #[test]
    fn a_held_slice_is_never_overwritten_by_a_later_buffer() {
        let mut first = Buffer::take(5000);
        first.as_mut().fill(1);
        let held = first.freeze();
        for _ in 0..100 {
            Buffer::take(5000).as_mut().fill(2);
        }
        assert!(held.iter().all(|&byte| byte == 1));
    }
}
