//! One append-only file and its indexes.

mod entries;
mod growing;
mod index;
mod index_files;
mod log_segment;
mod names;
mod scan;
mod view;

pub(crate) use index::IndexWriter;
pub(crate) use log_segment::{LogSegment, SegmentEnd, Walk};
pub(crate) use names::{SegmentFile, SegmentPaths, parse_file_name};
pub(crate) use scan::DELTA_MAX;
pub use view::{Batches, Segment, SegmentBatches};
