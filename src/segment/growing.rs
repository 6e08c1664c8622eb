//! A list of numbers that one thread appends to while any number of threads read it, without a lock.
//!
//! Words live in chunks that double in size and never move, so a reader's place stays valid. The writer stores a word and
//! then the new count; a reader loads the count first and so never sees a word that is not there yet.
//!
//! Invariant: one writer at a time. It is the partition's, which holds the writer lock.

use crate::sync::{Acquire, AtomicU64, AtomicUsize, OnceLock, Relaxed, Release};

/// Words in the first chunk; each further chunk holds as many as all before it.
const FIRST_CHUNK: usize = if cfg!(all(test, loom)) { 2 } else { 64 };
/// Enough chunks for 2^32 words.
const CHUNKS: usize = 27;

/// An append-only list of words; see the [module](self).
#[derive(Debug, Default)]
pub(crate) struct GrowingWords {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
    count: AtomicUsize,
}

impl GrowingWords {
    /// Appends words that belong together: a reader sees all of them or none.
    pub(crate) fn push<const N: usize>(&self, words: [u64; N]) {
        let count = self.count.load(Relaxed);
        for (index, word) in (count..).zip(words) {
            let (chunk, within) = place(index);
            let slots = self.chunks.get(chunk).expect("2^32 words are more than an index holds");
            let slots = slots.get_or_init(|| {
                std::iter::repeat_with(|| AtomicU64::new(0)).take(chunk_words(chunk)).collect()
            });
            slots.get(within).expect("place() stays inside its chunk").store(word, Relaxed);
        }
        self.count.store(count + N, Release);
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Acquire)
    }

    /// The word at `index`, or `None` past the end.
    pub(crate) fn get(&self, index: usize) -> Option<u64> {
        if index >= self.len() {
            return None;
        }
        let (chunk, within) = place(index);
        Some(self.chunks.get(chunk)?.get()?.get(within)?.load(Relaxed))
    }
}

/// The chunk that holds the word at `index`, and its place there.
fn place(index: usize) -> (usize, usize) {
    if index < FIRST_CHUNK {
        return (0, index);
    }
    let chunk = (index / FIRST_CHUNK).ilog2() as usize + 1;
    (chunk, index - chunk_words(chunk))
}

/// How many words a chunk holds; for all but the first, also the index of its first word.
fn chunk_words(chunk: usize) -> usize {
    if chunk == 0 { FIRST_CHUNK } else { FIRST_CHUNK << (chunk - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn every_word_keeps_its_place_across_chunks() {
        let words = GrowingWords::default();
        for word in 0..5_000 {
            words.push([word, word * 2]);
        }
        assert_eq!(words.len(), 10_000);
        for word in 0..5_000_usize {
            assert_eq!(words.get(2 * word), Some(word as u64));
            assert_eq!(words.get(2 * word + 1), Some(2 * word as u64));
        }
        assert_eq!(words.get(10_000), None);
    }

    #[test]
    fn a_reader_sees_only_whole_groups_while_the_writer_appends() {
        let words = Arc::new(GrowingWords::default());
        let reader = std::thread::spawn({
            let words = Arc::clone(&words);
            move || {
                let mut seen = 0;
                while seen < 20_000 {
                    seen = words.len();
                    assert_eq!(seen % 2, 0);
                    if let Some(last) = seen.checked_sub(2) {
                        assert_eq!(words.get(last), words.get(last + 1));
                    }
                }
            }
        });
        (0..10_000).for_each(|word| words.push([word, word]));
        reader.join().unwrap();
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{Arc, thread};

    #[test]
    fn a_reader_never_sees_a_word_that_is_not_there_yet() {
        loom::model(|| {
            let words = Arc::new(GrowingWords::default());
            let reader = thread::spawn({
                let words = Arc::clone(&words);
                move || {
                    let seen = words.len();
                    assert_eq!(seen % 2, 0, "a pair is seen whole or not at all");
                    for index in 0..seen {
                        assert_eq!(words.get(index), Some(index as u64 / 2 + 1));
                    }
                }
            });
            // Each pair has a chunk of its own. This thread writes, because loom compares a store with the last access alone, which
            // would be the writer's own load.
            (1..=2).for_each(|word| words.push([word, word]));
            reader.join().unwrap();
        });
    }
}
