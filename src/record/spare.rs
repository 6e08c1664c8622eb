//! Buffers that batches are encoded and compressed into, kept for the next batch.
//!
//! Whoever is done with an [`EncodedBatch`](super::EncodedBatch) that is not compressed gives its buffer back. A builder that
//! compresses gives back the one it filled, and the one that the codec worked in.
//!
//! Invariants: at most [`BUFFERS`] of at most [`BYTES_MAX`] each are kept, by the whole process; what a buffer holds no longer
//! matters, and whoever takes it overwrites it.

use crossbeam::queue::ArrayQueue;

use crate::sync::StaticOnceLock;

/// How many are kept.
const BUFFERS: usize = 32;
/// Larger buffers are freed rather than kept. Twice the size at which a log closes a batch, so that what a codec may need
/// at worst for one fits too.
const BYTES_MAX: usize = 512 << 10;

/// A buffer with arbitrary contents, or an empty one if none is kept.
pub(crate) fn take() -> Vec<u8> {
    kept().pop().unwrap_or_default()
}

/// Keeps a buffer for the next who takes one.
pub(crate) fn give(buffer: Vec<u8>) {
    if (1..=BYTES_MAX).contains(&buffer.capacity()) {
        // A full queue means that enough are kept.
        let _ = kept().push(buffer);
    }
}

fn kept() -> &'static ArrayQueue<Vec<u8>> {
    static KEPT: StaticOnceLock<ArrayQueue<Vec<u8>>> = StaticOnceLock::new();
    KEPT.get_or_init(|| ArrayQueue::new(BUFFERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_in_number_and_size() {
        for _ in 0..2 * BUFFERS {
            give(Vec::with_capacity(BYTES_MAX + 1));
            give(Vec::new());
            give(vec![7; 10]);
        }
        // Other tests take and give at the same time, so only what holds at any time is asked.
        for _ in 0..2 * BUFFERS {
            assert!(take().capacity() <= BYTES_MAX);
        }
        assert!(kept().len() <= BUFFERS);
    }
}
