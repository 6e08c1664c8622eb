//! A handle on one partition.

use std::fmt;
use std::ops::Range;

use super::shared::Shared;
use crate::error::Result;
use crate::log::Log;
use crate::offset::{Offset, PartitionId, Timestamp};
use crate::record::{Compression, EncodedBatch, Record};
use crate::segment::{Batches, Segment};
use crate::sync::Arc;
use crate::topic::check_not_internal;

/// One partition of a topic: an append-only log of records. Cheap to clone, and shared by threads: appends take turns,
/// reads wait for nobody. From [`Topic::partition`](crate::Topic::partition).
///
/// Once its topic has been deleted, every call that can fail does, with
/// [`Error::UnknownTopic`](crate::Error::UnknownTopic). What was read before stays valid.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, Offset, Record};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// let orders = broker.topic("orders")?.partition(0)?;
///
/// let offsets = orders.append(&[Record::new().value("3 apples"), Record::new().value("1 pear")])?;
/// assert_eq!(offsets, Offset::ZERO..Offset::from(2));
/// assert_eq!(orders.sync()?, 2);
/// assert_eq!(orders.durable_offset(), 2);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Partition {
    /// Keeps the broker open.
    shared: Arc<Shared>,
    log: Arc<Log>,
    compression: Compression,
}

impl Partition {
    pub(super) fn new(shared: &Arc<Shared>, log: &Arc<Log>) -> Partition {
        Partition { shared: Arc::clone(shared), log: Arc::clone(log), compression: Compression::None }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.log.name().topic()
    }

    /// The partition's number in its topic.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.log.name().partition()
    }

    /// The codec with which this handle's [`append`](Partition::append) compresses batches; none by default. Other handles
    /// are not concerned. A topic with a codec of its own ([`TopicConfig::compression`](crate::TopicConfig::compression()))
    /// goes by that.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, Compression, NewTopic, Offset, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// # if !Compression::Lz4.is_available() { return Ok(()) }
    /// orders.clone().compression(Compression::Lz4).append(&[Record::new().value("3 apples")])?;
    ///
    /// let batches = orders.read(Offset::ZERO, 1 << 20)?;
    /// assert!(batches.iter().all(|batch| batch.compression() == Compression::Lz4));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Partition {
        self.compression = compression;
        self
    }

    /// Appends records and gives the offsets that they got. All of them become readable at once, or none.
    ///
    /// On return they are in the page cache: a crash of the process loses none, a power cut may, until
    /// [`sync`](Partition::sync). A record without a timestamp gets the time of the call. The records go to one segment, in
    /// batches of about 64 KiB. Where the topic asks for a sync after so many records
    /// ([`TopicConfig::flush_messages`](crate::TopicConfig::flush_messages())), the append that reaches the count waits for it.
    ///
    /// After an error nothing of it is readable, and what was stored before is. Where the disk refused and the process then
    /// crashes, batches of it may be found again at the next open.
    ///
    /// # Errors
    ///
    /// [`Error::WrongTopic`](crate::Error::WrongTopic), [`Error::WrongPartition`](crate::Error::WrongPartition),
    /// [`Error::FieldTooLarge`](crate::Error::FieldTooLarge),
    /// [`Error::InvalidTimestamp`](crate::Error::InvalidTimestamp),
    /// [`Error::TimestampOutOfBounds`](crate::Error::TimestampOutOfBounds),
    /// [`Error::BatchTooLarge`](crate::Error::BatchTooLarge) for a
    /// record over `max.message.bytes`, [`Error::AppendTooLarge`](crate::Error::AppendTooLarge) for more than a segment
    /// holds, [`Error::CodecDisabled`](crate::Error::CodecDisabled),
    /// [`Error::OffsetsExhausted`](crate::Error::OffsetsExhausted), [`Error::Poisoned`](crate::Error::Poisoned),
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Closed`](crate::Error::Closed), and [`Error::Io`](crate::Error::Io): a full disk among them, after which the
    /// same append succeeds once there is space.
    pub fn append(&self, records: &[Record<'_>]) -> Result<Range<Offset>> {
        self.shared.check_writable("append")?;
        check_not_internal(self.topic())?;
        let appended = self.log.append(records, self.compression)?;
        Ok(appended.start..appended.end)
    }

    /// Appends one batch that was encoded before, by a [`BatchBuilder`](crate::BatchBuilder) or by another
    /// implementation ([`EncodedBatch::from_bytes`]). Its bytes are stored as they are, but for base offset and leader
    /// epoch, for the timestamp where the topic stamps append time, and where the topic has another codec of its own
    /// ([`TopicConfig::compression`](crate::TopicConfig::compression())), in which its records are then compressed anew.
    ///
    /// # Errors
    ///
    /// As [`append`](Partition::append).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{BatchBuilder, Broker, Compression, NewTopic, Record, Timestamp};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    ///
    /// let mut builder = BatchBuilder::new(Compression::None);
    /// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(1_700_000_000_000))?;
    /// assert_eq!(orders.append_batch(builder.build()?)?.end, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn append_batch(&self, batch: EncodedBatch) -> Result<Range<Offset>> {
        self.shared.check_writable("append")?;
        check_not_internal(self.topic())?;
        let appended = self.log.append_batches(&mut [batch])?;
        Ok(appended.start..appended.end)
    }

    /// Reads whole batches from the one that holds `from` on, in about `max_bytes`, at least one if there is any. Their
    /// records begin at `from`. CRCs are checked. Nothing at [`log_end_offset`](Partition::log_end_offset).
    ///
    /// A read returns at most 16 MiB, or one batch where that is larger, so there may be more behind:
    /// [`Batches::next_offset`] says where to read on. Sealed segments are read without a copy.
    ///
    /// # Errors
    ///
    /// [`Error::OffsetOutOfRange`](crate::Error::OffsetOutOfRange) outside `log_start_offset()..=log_end_offset()`,
    /// [`Error::DamagedBatch`](crate::Error::DamagedBatch) where the log is damaged at `from`, with the offsets that cannot be
    /// read, file and position: what is good before it is returned first, what is good behind it by a read from there, and
    /// nothing is skipped. [`Error::Closed`](crate::Error::Closed), [`Error::Io`](crate::Error::Io).
    pub fn read(&self, from: Offset, max_bytes: usize) -> Result<Batches> {
        self.log.read(from, max_bytes).map(Batches::new)
    }

    /// Returns once everything appended before the call is on the device, with the offset up to which it is: a power cut
    /// loses none of it. Threads that wait at the same time share one fsync.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`](crate::Error::Poisoned) where an fsync failed, now or before: what lies beyond
    /// [`durable_offset`](Partition::durable_offset) may be lost then. [`Error::ReadOnly`](crate::Error::ReadOnly),
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn sync(&self) -> Result<Offset> {
        self.shared.check_writable("sync")?;
        self.log.sync()
    }

    /// The files of the log, oldest first; the last is the one that is appended to.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("3 apples")])?;
    /// for segment in orders.segments() {
    ///     assert_eq!((segment.base_offset(), segment.end_offset()?), (0_u32.into(), 1_u32.into()));
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        self.log.segment_list().into_iter().map(Segment::of_partition).collect()
    }

    /// The first record with a timestamp of at least `time`: its offset, or `None` where there is no such record.
    ///
    /// # Errors
    ///
    /// As [`read`](Partition::read), and those of decompression.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, Offset, Record, Timestamp};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("ticks"))?;
    /// let ticks = broker.topic("ticks")?.partition(0)?;
    /// for second in 0..10 {
    ///     let time = Timestamp::from_millis(1_000 * second);
    ///     ticks.append(&[Record::new().value("tick").timestamp(time)])?;
    /// }
    /// assert_eq!(ticks.offset_for_time(Timestamp::from_millis(2_500))?, Some(Offset::from(3)));
    /// assert_eq!(ticks.offset_for_time(Timestamp::from_millis(9_001))?, None);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn offset_for_time(&self, time: Timestamp) -> Result<Option<Offset>> {
        Ok(self.log.offset_for_time(time)?.map(|(offset, _)| offset))
    }

    /// The first readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log.start()
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log.end()
    }

    /// Everything below is on every in-sync replica. There are none, so this is the end offset.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.log.end()
    }

    /// Everything below is decided: no transaction that is still open began before it. The high watermark, as there are no
    /// transactions yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("3 apples")])?;
    /// assert_eq!(orders.high_watermark(), orders.log_end_offset());
    /// assert_eq!(orders.last_stable_offset(), orders.high_watermark());
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark()
    }

    /// Everything below is on the device, and survives a power cut.
    #[must_use]
    pub fn durable_offset(&self) -> Offset {
        self.log.durable()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("name", &self.log.name().to_string()).finish_non_exhaustive()
    }
}
