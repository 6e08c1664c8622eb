//! One append-only file and its indexes.

mod names;
mod scan;

mod entries;
mod growing;
mod index;
mod index_files;

mod log_segment;

mod lookup;

mod by_time;
mod copy;
mod damage;
mod index_check;
mod read;
mod resume;
mod survey;
mod walk;

mod scrub;

mod view;

pub(crate) use index::IndexWriter;
pub(crate) use index_check::IndexCheck;
pub(crate) use log_segment::{LogSegment, SegmentEnd};
pub(crate) use names::{SegmentFile, SegmentPaths, parse_file_name};
pub(crate) use read::Span;
pub(crate) use resume::Borders;
pub(crate) use scan::{DELTA_MAX, ScannedBatch};
pub(crate) use scrub::{Finding, Piece, SegmentCheck};
pub(crate) use survey::{Damage, Sound, Stretch, Surveyor};
pub use view::{Batches, Segment, SegmentBatches};
pub(crate) use walk::Walk;
