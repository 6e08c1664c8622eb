//! Data that looks random and is the same in every run.

use streamlog::Compression;

/// A generator with a seed, for what tests are filled with.
pub(crate) struct Seed(fastrand::Rng);

impl Seed {
    pub(crate) fn new(seed: u64) -> Seed {
        Seed(fastrand::Rng::with_seed(seed))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// A number from `low` up to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.i64(low..=high)
    }

    /// So many bytes: half of the time noise, half of the time something that compresses well.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![self.0.u8(..); count];
        if self.0.bool() {
            self.0.fill(&mut bytes);
        }
        bytes
    }

    /// One of the codecs that this build has.
    pub(crate) fn codec(&mut self) -> Compression {
        let codecs: Vec<Compression> = Seed::codecs().collect();
        codecs[self.below(codecs.len())]
    }

    /// The codecs that this build has, no compression among them.
    pub(crate) fn codecs() -> impl Iterator<Item = Compression> {
        use Compression::{Gzip, Lz4, None, Snappy, Zstd};
        [None, Gzip, Snappy, Lz4, Zstd].into_iter().filter(|codec| codec.is_available())
    }
}
