//! Records to batches and back: pure bytes in Kafka's format version 2, no I/O.
//!
//! A caller's [`Record`]s are encoded one behind the other by [`BatchBuilder`], which gives an [`EncodedBatch`]: header,
//! CRC, records, compressed or not. What comes back from a file is a [`RecordBatch`], whose [`BatchRecords`] are
//! decompressed once, checked once, and then lent out as [`RecordView`]s without copies.
//!
//! Invariants: bytes never panic, whatever they are; no length in them is trusted for an allocation; a batch that was
//! checked yields all of its records without another error.

pub(crate) mod fields;
mod room;
mod varint;

mod compression;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

#[expect(clippy::module_inception, reason = "the floor is named after what it is about, and so is the file")]
mod record;

mod control;
mod header;

mod builder;
mod encoded;
mod lost;
pub(crate) mod spare;

mod batch;
mod records;
mod view;

pub use batch::RecordBatch;
pub use builder::BatchBuilder;
pub use compression::Compression;
pub use control::ControlType;
pub use encoded::EncodedBatch;
pub use header::TimestampType;
pub(crate) use header::{BATCH_HEADER_BYTES, BatchHeader, sequence_after};
pub(crate) use lost::{LOST_OFFSETS_MAX, lost};
pub use record::Record;
pub use records::{BatchRecords, BatchRecordsIter};
pub use view::{Header, Headers, RecordView};
