//! What a user sees of segments and of the batches in them.

use std::fmt;
use std::path::Path;

use super::log_segment::{LogSegment, SegmentEnd};
use super::names::{SegmentFile, parse_file_name};
use super::scan::{Scan, ScannedBatch};
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch};
use crate::storage::{Access, DiskStorage, EntryKind, OpenFiles};
use crate::sync::{Arc, OnceLock};

/// Files that a segment opened alone holds at most.
const FILES_ALONE: usize = 4;

/// One file of a partition's log, with the batches in it.
///
/// [`Partition::segments`](crate::Partition::segments) lists those of a partition. [`Segment::open`] reads one file alone,
/// Kafka's own as well, without a broker: for tools that look into a file.
///
/// # Examples
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let data = directory.path().join("data");
/// use streamlog::{Broker, NewTopic, Record, Segment};
///
/// let broker = Broker::open(&data)?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
/// broker.close()?;
///
/// let segment = Segment::open(data.join("orders-0/00000000000000000000.log"))?;
/// for batch in segment.batches() {
///     for record in &batch?.records()? {
///         assert_eq!(record.value(), Some(&b"3 apples"[..]));
///     }
/// }
/// assert_eq!(segment.end_offset()?, 1);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Segment {
    inner: Arc<LogSegment>,
    /// For a segment opened alone, the end of its good batches, once it has been looked for.
    found_end: Option<Arc<OnceLock<SegmentEnd>>>,
}

impl Segment {
    /// Opens one `.log` file alone, to read. Nothing beside it is needed, locked or changed.
    ///
    /// The base offset is the file name's where it is one of Kafka's names, the first batch's otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Segment> {
        let path = path.as_ref();
        let files = OpenFiles::new(Arc::new(DiskStorage::new()), FILES_ALONE);
        let entry = files.storage().stat(path).map_err(Error::io("open", path))?;
        if entry.kind == EntryKind::Other {
            // Opening a pipe would wait for somebody to write into it.
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no file");
            return Err(Error::io("open", path)(error));
        }
        let log = files.handle(path.to_path_buf(), Access::Read);
        let bytes = log.bytes()?;
        let named = path.file_name().and_then(|name| name.to_str()).map(parse_file_name);
        let base = if let Some(SegmentFile::Log(base)) = named {
            base
        } else if bytes >= BATCH_HEADER_BYTES as u64 {
            let head = log.slice(0..BATCH_HEADER_BYTES as u64)?;
            BatchHeader::parse(&head).map_or(Offset::ZERO, |header| header.base_offset())
        } else {
            Offset::ZERO
        };
        let end = SegmentEnd { position: bytes, offset: Offset::MAX };
        let inner = Arc::new(LogSegment::open_alone(&files, log, base, end));
        Ok(Segment { inner, found_end: Some(Arc::default()) })
    }

    /// A segment of an open partition.
    pub(crate) fn of_partition(inner: Arc<LogSegment>) -> Segment {
        Segment { inner, found_end: None }
    }

    /// The offset in the file's name: no record in it has a lower one.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.inner.base()
    }

    /// One past the last record's offset. For a segment opened alone, the first call walks over the whole file, and the
    /// answer is the end of the good batches.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where a file opened alone cannot be read.
    pub fn end_offset(&self) -> Result<Offset> {
        Ok(self.end()?.offset)
    }

    /// Bytes of batches in the file, without the head room behind them. Costs what [`end_offset`](Self::end_offset) does.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where a file opened alone cannot be read.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.end()?.position)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.log().path()
    }

    /// The batches, in order, each with its CRC checked. After an error there are no more: what stands behind a damaged
    /// batch cannot be told from bytes that only look like batches.
    #[must_use]
    pub fn batches(&self) -> SegmentBatches<'_> {
        SegmentBatches { scan: self.inner.scan(), is_over: false }
    }

    fn end(&self) -> Result<SegmentEnd> {
        let Some(found) = &self.found_end else { return Ok(self.inner.end()) };
        if let Some(&end) = found.get() {
            return Ok(end);
        }
        let mut scan = self.inner.scan();
        loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Err(error) if !error.is_corruption() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(*found.get_or_init(|| SegmentEnd { position: scan.position(), offset: scan.expected() }))
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The batches of one segment, in order. From [`Segment::batches`].
#[derive(Debug)]
pub struct SegmentBatches<'a> {
    scan: Scan<'a>,
    is_over: bool,
}

impl SegmentBatches<'_> {
    /// The byte in the file at which the next batch starts; after the last one or an error, where they end.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.scan.position()
    }
}

impl Iterator for SegmentBatches<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.is_over {
            return None;
        }
        let next = self.scan.next();
        self.is_over = !matches!(next, Ok(Some(_)));
        next.map(|found| found.map(|ScannedBatch { batch, .. }| batch)).transpose()
    }
}

/// Whole batches as they are stored, from [`Partition::read`](crate::Partition::read).
///
/// They own their bytes: nothing that happens to the log invalidates them, and they may go to another thread.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Offset, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let partition = broker.topic("orders")?.partition(0)?;
/// partition.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
///
/// let mut next = partition.log_start_offset();
/// let mut values = Vec::new();
/// while let Some(end) = {
///     let batches = partition.read(next, 1 << 20)?;
///     for batch in &batches {
///         values.extend(batch.records()?.iter().map(|record| record.value().map(<[u8]>::to_vec)));
///     }
///     batches.next_offset()
/// } {
///     next = end;
/// }
/// assert_eq!(values, [Some(b"3 apples".to_vec()), Some(b"1 pear".to_vec())]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batches {
    batches: Vec<RecordBatch>,
}

impl Batches {
    pub(crate) fn new(batches: Vec<RecordBatch>) -> Batches {
        Batches { batches }
    }

    /// The batches, in the order of their offsets.
    pub fn iter(&self) -> std::slice::Iter<'_, RecordBatch> {
        self.batches.iter()
    }

    /// How many batches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there are none: the read began at the end of what is visible.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Their size, as stored.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes().len()).sum()
    }

    /// Where to read on: one past the last offset in these batches, or `None` where there are none.
    #[must_use]
    pub fn next_offset(&self) -> Option<Offset> {
        self.batches.last().map(RecordBatch::next_offset)
    }
}

impl<'a> IntoIterator for &'a Batches {
    type Item = &'a RecordBatch;
    type IntoIter = std::slice::Iter<'a, RecordBatch>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Batches {
    type Item = RecordBatch;
    type IntoIter = std::vec::IntoIter<RecordBatch>;

    fn into_iter(self) -> Self::IntoIter {
        self.batches.into_iter()
    }
}
