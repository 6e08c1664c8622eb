//! How far a log goes, or how far it is on the device: a number that the one side publishes and the other goes by.
//!
//! Whoever sees an offset sees all that was written, listed and counted before it was published. So a reader loads it first,
//! and the list of segments after it: the list then holds everything below.

use crate::offset::Offset;
use crate::sync::{Acquire, AtomicU64, CachePadded, Release};

/// A published offset; see the [module](self).
#[derive(Debug)]
pub(super) struct EndOffset(CachePadded<AtomicU64>);

impl EndOffset {
    pub(super) fn new(offset: Offset) -> EndOffset {
        EndOffset(CachePadded::new(AtomicU64::new(offset.into())))
    }

    pub(super) fn load(&self) -> Offset {
        Offset::try_from(self.0.load(Acquire)).unwrap_or(Offset::MAX)
    }

    /// Shows everything below `offset`. For one who publishes alone.
    pub(super) fn publish(&self, offset: Offset) {
        self.0.store(offset.into(), Release);
    }

    /// Shows everything below `offset`, unless that much is shown already.
    pub(super) fn raise(&self, offset: Offset) {
        self.0.fetch_max(offset.into(), Release);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{Arc, ArcSwap, AtomicBool, Relaxed, thread};

    /// A log with one record in each segment; a segment is the offset that it begins with.
    fn roll_and_read(publish: fn(&EndOffset, Offset)) {
        loom::model(move || {
            let end = Arc::new(EndOffset::new(Offset::ZERO));
            let segments = Arc::new(ArcSwap::from_pointee(vec![0_u64]));
            // What is in the file, as far as a reader needs it.
            let written = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
            let writer = thread::spawn({
                let (end, segments, written) =
                    (Arc::clone(&end), Arc::clone(&segments), Arc::clone(&written));
                move || {
                    for (number, written) in (0..).zip(&*written) {
                        if number > 0 {
                            segments.store(Arc::new((0..=number).collect()));
                        }
                        written.store(true, Relaxed);
                        publish(&end, Offset::try_from(number + 1).unwrap());
                    }
                }
            });
            let seen = end.load();
            let list = segments.load_full();
            for (number, written) in (0..u64::from(seen)).zip(&*written) {
                assert!(list.contains(&number), "an end without its segment");
                assert!(written.load(Relaxed), "an end without its bytes");
            }
            assert!(end.load() >= seen, "it never goes back");
            writer.join().unwrap();
        });
    }

    #[test]
    fn an_end_is_never_seen_without_its_segment() {
        roll_and_read(EndOffset::publish);
    }

    #[test]
    fn a_durable_offset_is_never_seen_without_its_segment() {
        roll_and_read(EndOffset::raise);
    }
}
