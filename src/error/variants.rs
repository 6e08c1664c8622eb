//! Every way in which an operation can fail.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::corruption::Corruption;
use crate::offset::{Offset, PartitionId, Timestamp};
use crate::uuid::Uuid;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not happen.
///
/// Match on the variants that you can act on, or ask the predicates: [`is_retriable`](Error::is_retriable),
/// [`is_corruption`](Error::is_corruption), [`is_storage_full`](Error::is_storage_full). Where Kafka has an error code
/// for the same thing, [`kafka_code`](Error::kafka_code) gives it.
///
/// Printing an error gives what failed; why it did is in its [`source`](std::error::Error::source), and that one's: walk the
/// chain, or let an error reporter do it.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, Error};
///
/// let broker = Broker::in_memory()?;
/// let error = broker.topic("orders").unwrap_err();
/// assert!(matches!(error, Error::UnknownTopic { ref topic } if topic == "orders"));
/// assert_eq!(error.kafka_code(), Some(3));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number that cannot be an offset.
    #[error("{value} is not an offset: the largest is {}", Offset::MAX)]
    InvalidOffset {
        /// The number.
        value: u64,
    },

    /// A number that cannot be a partition's.
    #[error("{value} is not a partition number: the largest is {limit}")]
    InvalidPartition {
        /// The number.
        value: u32,
        /// The largest that there is.
        limit: u32,
    },

    /// A topic's name breaks Kafka's rules: 1 to 249 characters out of `a-z A-Z 0-9 . _ -`, not `.` or `..`.
    #[error("invalid topic name {name:?}: {reason}")]
    InvalidTopicName {
        /// The name, cut after 249 characters.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// The topic exists already.
    #[error("topic {topic} already exists")]
    TopicExists {
        /// Its name.
        topic: String,
    },

    /// Two names that differ only in `.` and `_`, which Kafka refuses because their metrics would collide.
    #[error("topic {topic} collides with {existing}: names may not differ only in '.' and '_'")]
    TopicNameCollision {
        /// The name that was asked for.
        topic: String,
        /// The name that exists.
        existing: String,
    },

    /// No topic of this name.
    #[error("unknown topic {topic:?}")]
    UnknownTopic {
        /// The name that was asked for.
        topic: String,
    },

    /// The topic has no partition of this number.
    #[error("topic {topic} has no partition {partition}: its partition count is {count}")]
    UnknownPartition {
        /// The topic's name.
        topic: String,
        /// The number that was asked for.
        partition: u32,
        /// How many partitions the topic has.
        count: u32,
    },

    /// A topic needs at least one partition and takes at most so many.
    #[error("{requested} partitions for topic {topic}: must be 1 to {limit}")]
    InvalidPartitionCount {
        /// The topic's name.
        topic: String,
        /// The count that was asked for.
        requested: u32,
        /// The largest that is allowed.
        limit: u32,
    },

    /// A topic's partitions can only become more: records would have to move to another one, or be lost.
    #[error("the partition count of topic {topic} cannot go from {current} to {requested}: it can only grow")]
    PartitionsNotAdded {
        /// The topic's name.
        topic: String,
        /// How many there are.
        current: u32,
        /// How many there were to be.
        requested: u32,
    },

    /// Topics may not be deleted: [`BrokerConfig::delete_topics`](crate::BrokerConfig::delete_topics()) is off.
    #[error("topic {topic} cannot be deleted: the deletion of topics is turned off")]
    TopicDeletionDisabled {
        /// The topic's name.
        topic: String,
    },

    /// A setting's value is outside its bounds, or contradicts another setting.
    #[error("invalid value {value} for {setting}: {reason}")]
    InvalidConfig {
        /// The setting, by Kafka's name where it has one.
        setting: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        reason: String,
    },

    /// No setting has this name, neither here nor in Kafka.
    #[error("unknown setting {name:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownSetting {
        /// The name, cut after 100 characters.
        name: String,
        /// The known one that is most like it, if any is.
        nearest: Option<String>,
    },

    /// A record that names one topic was given to a partition of another.
    #[error("a record for topic {record_topic} cannot go to topic {topic}")]
    WrongTopic {
        /// The topic in the record.
        record_topic: String,
        /// The partition's topic.
        topic: String,
    },

    /// A record that names one partition was given to another.
    #[error("a record for partition {record_partition} cannot go to partition {partition} of topic {topic}")]
    WrongPartition {
        /// The topic's name.
        topic: String,
        /// The partition in the record.
        record_partition: u32,
        /// The partition that it was given to.
        partition: PartitionId,
    },

    /// A key, a value or a header is longer than the record format can say.
    #[error("a {field} of {bytes} bytes is over the format's limit of {limit}")]
    FieldTooLarge {
        /// `key`, `value`, `header name`, `header value` or `header count`.
        field: &'static str,
        /// Its length (or count).
        bytes: u64,
        /// The largest that can be encoded.
        limit: u64,
    },

    /// A record's timestamp lies before 1970, which Kafka's formats keep for "none".
    #[error("timestamp {timestamp} is negative: records are timed in milliseconds since 1970")]
    InvalidTimestamp {
        /// The timestamp.
        timestamp: Timestamp,
    },

    /// A [`Partitioner`](crate::Partitioner) chose a partition that the topic does not have.
    #[error("the partitioner chose partition {partition} of topic {topic}, which has {count}")]
    InvalidPartitioning {
        /// The topic's name.
        topic: String,
        /// Its answer.
        partition: u32,
        /// How many partitions the topic has.
        count: u32,
    },

    /// A [`Partitioner`](crate::Partitioner) panicked over a record.
    #[error("the partitioner of topic {topic} panicked: {reason}")]
    PartitionerPanicked {
        /// The topic's name.
        topic: String,
        /// What the panic said.
        reason: String,
    },

    /// A record's timestamp lies too far from the time of its append.
    #[error("timestamp {timestamp} lies {} the append, at {now}, by more than {setting}, {} ms",
        if .timestamp < .now { "before" } else { "after" }, .limit.as_millis())]
    TimestampOutOfBounds {
        /// The record's timestamp.
        timestamp: Timestamp,
        /// The time of the append.
        now: Timestamp,
        /// `message.timestamp.before.max.ms` or `message.timestamp.after.max.ms`.
        setting: &'static str,
        /// The topic's limit.
        limit: Duration,
    },

    /// A batch, or a record alone in its batch, is over `max.message.bytes`.
    #[error("a batch of {bytes} bytes is over max.message.bytes, {limit}")]
    BatchTooLarge {
        /// Its encoded size, with the 61 bytes of its header, compressed.
        bytes: u64,
        /// The topic's limit.
        limit: u64,
    },

    /// The records of one append are together over `segment.bytes`.
    #[error("an append of {bytes} bytes is over segment.bytes, {limit}")]
    AppendTooLarge {
        /// The encoded size of the whole append.
        bytes: u64,
        /// The topic's limit.
        limit: u64,
    },

    /// A record that was given to a producer names no topic.
    #[error("a record that is sent must name its topic: Record::to(topic)")]
    MissingTopic,

    /// A record is over one of the producer's own limits, before compression.
    #[error("a record of {bytes} bytes for topic {topic} is over {setting}, {limit}")]
    RecordTooLarge {
        /// The topic's name.
        topic: String,
        /// Its encoded size, at most.
        bytes: u64,
        /// `max.request.size` or `buffer.memory`.
        setting: &'static str,
        /// The setting's value.
        limit: u64,
    },

    /// The producer holds as many bytes of records as it may, and none became free in time.
    #[error("no room for {bytes} bytes of record within {} ms: buffer.memory is {limit}", .waited.as_millis())]
    BufferFull {
        /// What the record needs.
        bytes: u64,
        /// `buffer.memory`.
        limit: u64,
        /// How long was waited for it: `max.block.ms`, or nothing for `try_send`.
        waited: Duration,
        /// What keeps the producer from appending what it holds, where that is why: a full disk, for one.
        #[source]
        source: Option<Arc<Error>>,
    },

    /// A record that a producer had taken could not be appended, or not made durable.
    #[error("a record for {topic}-{partition} could not be delivered")]
    DeliveryFailed {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Why; one reason for all records of a batch.
        #[source]
        source: Arc<Error>,
    },

    /// A batch could not be appended within `delivery.timeout.ms`.
    #[error("not appended within {} ms, in {attempts} attempts", .timeout.as_millis())]
    DeliveryTimeout {
        /// `delivery.timeout.ms`.
        timeout: Duration,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt failed with.
        #[source]
        source: Arc<Error>,
    },

    /// A call did not finish in the time that it was given.
    #[error("{operation} did not finish within {} ms", .timeout.as_millis())]
    TimedOut {
        /// What was called.
        operation: &'static str,
        /// The time that it was given.
        timeout: Duration,
        /// What kept it from finishing, where that is known.
        #[source]
        source: Option<Arc<Error>>,
    },

    /// The partition has no offset left for what was to be appended.
    #[error("no offsets left: {count} records do not fit behind offset {end}")]
    OffsetsExhausted {
        /// The log's end offset.
        end: Offset,
        /// How many records were to be appended.
        count: u64,
    },

    /// Every producer id that there can be has been given away.
    #[error("no producer ids left")]
    ProducerIdsExhausted,

    /// The offset is not one of the log's: a read must start in `start..=end`.
    #[error("offset {requested} is outside {start}..{end}")]
    OffsetOutOfRange {
        /// The offset that was asked for.
        requested: Offset,
        /// The first readable offset.
        start: Offset,
        /// The next offset to be assigned.
        end: Offset,
    },

    /// The partition is not assigned to this consumer.
    #[error("partition {topic}-{partition} is not assigned to this consumer")]
    NotAssigned {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// The same partition was named twice in one assignment.
    #[error("partition {topic}-{partition} is assigned twice")]
    AssignedTwice {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// A consumer cannot both be [given](crate::Consumer::assign) its partitions and [subscribe](crate::Consumer::subscribe):
    /// unsubscribe first.
    #[error("cannot {operation}: {reason}")]
    WrongSubscription {
        /// What was asked for.
        operation: &'static str,
        /// What is in the way.
        reason: &'static str,
    },

    /// The consumer has no group, by which its subscriptions and commits are known.
    #[error("cannot {operation} without a group: set group.id")]
    MissingGroup {
        /// What was asked for.
        operation: &'static str,
    },

    /// A group's name is not a legal one.
    #[error("invalid group id {group:?}: {reason}")]
    InvalidGroupId {
        /// The name, no longer than a legal one.
        group: String,
        /// Which rule it breaks.
        reason: &'static str,
    },

    /// There is no group of this name.
    #[error("unknown group {group:?}")]
    UnknownGroup {
        /// The name.
        group: String,
    },

    /// The group has members, and what was asked for is only for groups without.
    #[error("group {group:?} is not empty: it has {members} {}", if *.members == 1 { "member" } else { "members" })]
    GroupNotEmpty {
        /// The group's name.
        group: String,
        /// How many it has.
        members: usize,
    },

    /// Members of the group subscribe to the topic, so its offsets are not deleted.
    #[error("group {group:?} subscribes to topic {topic:?}")]
    GroupSubscribed {
        /// The group's name.
        group: String,
        /// The topic's name.
        topic: String,
    },

    /// The group has as many members as `group.max.size` allows.
    #[error("group {group:?} has {limit} members already, the most that are allowed")]
    GroupFull {
        /// The group's name.
        group: String,
        /// How many members are allowed.
        limit: usize,
    },

    /// The coordinator does not know the member: it left, or was taken out because it did not poll in time.
    #[error("{} is not in group {group:?}", member(.member_id))]
    UnknownMember {
        /// The group's name.
        group: String,
        /// The member's id.
        member_id: String,
    },

    /// The group has gone on to another generation: the partitions may be others' by now.
    #[error("generation {generation} of group {group:?} is over: it is at {current}")]
    IllegalGeneration {
        /// The group's name.
        group: String,
        /// The member's generation.
        generation: i32,
        /// The group's.
        current: i32,
    },

    /// Another consumer has joined with the same `group.instance.id`.
    #[error("another member of group {group:?} has come as instance {instance_id:?}")]
    FencedInstance {
        /// The group's name.
        group: String,
        /// The id of the instance.
        instance_id: String,
    },

    /// The member offers no assignor that all others offer too, or is no consumer among consumers.
    #[error("group {group:?} cannot agree with a member that offers {offered}: it needs {needed}")]
    InconsistentProtocols {
        /// The group's name.
        group: String,
        /// What the member offers.
        offered: String,
        /// What the others have in common.
        needed: String,
    },

    /// The session timeout is outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[error("a session timeout of {timeout:?} is outside {min:?} to {max:?}")]
    InvalidSessionTimeout {
        /// What was asked for.
        timeout: Duration,
        /// The least that is allowed.
        min: Duration,
        /// The most that is allowed.
        max: Duration,
    },

    /// The group shares its partitions out anew: the same call may succeed once a poll has taken part in that.
    #[error("group {group:?} is rebalancing")]
    RebalanceInProgress {
        /// The group's name.
        group: String,
    },

    /// A member's subscription or assignment is not what Kafka's consumer protocol says.
    #[error("malformed {what} of member {member_id:?}: {reason}")]
    InvalidMemberData {
        /// Which of its bytes.
        what: &'static str,
        /// The member's id.
        member_id: String,
        /// What is wrong.
        reason: String,
    },

    /// An assignor's answer is not an assignment. Nothing was assigned by it.
    #[error("assignor {assignor:?} gave no valid assignment: {reason}")]
    InvalidAssignment {
        /// The assignor's name.
        assignor: String,
        /// What is wrong.
        reason: String,
    },

    /// A user's own code panicked; the panic went no further.
    #[error("{callback} panicked: {text}")]
    CallbackPanicked {
        /// Which code: an assignor, a listener's method, a predicate.
        callback: String,
        /// What it said.
        text: String,
    },

    /// A program's own code, run by [`Workers`](crate::Workers), has returned an error for a record or panicked. The record
    /// is not committed, nor any behind it in its partition.
    #[error("the record of partition {topic}-{partition} at offset {offset} was not processed")]
    NotProcessed {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The record's offset; of several that were given at once, the first one's.
        offset: Offset,
        /// What the code returned; [`CallbackPanicked`](Error::CallbackPanicked) where it panicked.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The text that is kept with a committed offset is longer than `offset.metadata.max.bytes`.
    #[error("metadata of {bytes} bytes for partition {topic}-{partition} is over the limit of {limit}")]
    OffsetMetadataTooLarge {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Its length.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },

    /// A consumer has no position in the partition, and `auto.offset.reset` is `none`: seek first.
    #[error("no position in partition {topic}-{partition}, and auto.offset.reset is none")]
    NoPosition {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
    },

    /// A consumer cannot go on in one of its partitions. Its position stays where it is, and the other partitions are served:
    /// seek, pause, or assign without it.
    #[error("cannot read partition {topic}-{partition} from offset {position}")]
    Fetch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The consumer's position: the first offset that it has not returned.
        position: Offset,
        /// Why.
        #[source]
        source: Box<Error>,
    },

    /// Bytes that were handed in as a record batch are not a valid one.
    #[error("invalid record batch")]
    InvalidBatch {
        /// What is wrong with them.
        #[source]
        source: Corruption,
    },

    /// A batch has the right CRC, and yet its records cannot be decoded: it was encoded wrongly, or decompresses to more
    /// than the reader's limit.
    #[error("cannot decode the batch of offsets {}..{}", .offsets.start, .offsets.end)]
    InvalidRecords {
        /// The batch's offsets.
        offsets: Range<Offset>,
        /// What is wrong with them.
        #[source]
        source: Corruption,
    },

    /// A batch uses a codec whose Cargo feature is off in this build.
    #[error("codec {codec} is not built in: turn on the Cargo feature \"{codec}\"")]
    CodecDisabled {
        /// The codec, named like its feature.
        codec: &'static str,
    },

    /// A codec failed to compress records, which only a lack of memory makes it do.
    #[error("{codec} cannot compress the records")]
    Compress {
        /// The codec.
        codec: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },

    /// Stored bytes are damaged. Nothing is skipped: reading stops here. A partition's read has it as the source of
    /// [`DamagedBatch`](Error::DamagedBatch).
    #[error("damaged batch in {} at byte {position}, expected offset {offset}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The byte in the file at which the damaged batch starts.
        position: u64,
        /// The offset that the batch there should begin with, or the lowest that it may hold.
        offset: Offset,
        /// What is wrong.
        #[source]
        source: Corruption,
    },

    /// Some of a partition's records cannot be read, because what is stored of them is damaged. Nothing is skipped: reading
    /// stops here, and whoever can do without these records goes on at the end of `offsets`, which
    /// [`unreadable_offsets`](Error::unreadable_offsets) gives as well.
    #[error("offsets {}..{} of partition {topic}-{partition} cannot be read", .offsets.start, .offsets.end)]
    DamagedBatch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// What cannot be read: from the damaged batch's first offset up to where the log can be read again, or ends. That is
        /// this one batch where its length, which its checksum does not cover, is still right; otherwise up to the next batch
        /// that the index names.
        offsets: Range<Offset>,
        /// [`Error::Corrupt`], with the file, the position in it and what is wrong there.
        #[source]
        source: Box<Error>,
    },

    /// A small file (checkpoint, metadata, properties) does not say what it must.
    #[error("cannot understand {}: {reason}", .path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The data is of a format version that this build does not know.
    #[error("{} has version {found}; this build knows versions up to {supported}", .path.display())]
    UnsupportedVersion {
        /// The file that says so.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest that is understood.
        supported: i64,
    },

    /// Acknowledged records are damaged or missing: the partition is offline, and nothing in its directory has been
    /// changed. What can still be read is served by a [read-only](crate::BrokerBuilder::read_only) open with
    /// [`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage), which changes nothing either; a copy from a backup, put in
    /// their place while no broker has the directory open, is served at the next open. Without one,
    /// [`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage) saves what is sound.
    #[error(
        "acknowledged records of partition {topic}-{partition} are damaged or missing: the first at offset {from}, of those below {durable}"
    )]
    Damaged {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The first offset that cannot be read.
        from: Offset,
        /// Every offset below this one had been acknowledged as durable.
        durable: Offset,
        /// What was found there; nothing, where the file simply ends.
        #[source]
        source: Option<Box<Error>>,
    },

    /// Records that were damaged and could not be saved ([`RecoveryMode::Salvage`](crate::RecoveryMode::Salvage)) would have been next. A
    /// reader that can do without them goes on at `offsets.end`, which [`unreadable_offsets`](Error::unreadable_offsets) gives as well.
    #[error("offsets {}..{} of partition {topic}-{partition} are lost: a salvage could not save them", .offsets.start, .offsets.end)]
    RecordsLost {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// The offsets that no record has any more.
        offsets: Range<Offset>,
    },

    /// An open in [`RecoveryMode::Strict`](crate::RecoveryMode::Strict) found more than what a crash leaves.
    #[error("not opened: RecoveryMode::Strict takes nothing but what a crash leaves")]
    RecoveryRefused {
        /// What was found.
        #[source]
        source: Arc<Error>,
    },

    /// The partition could not be opened and serves nothing.
    #[error("partition {topic}-{partition} is offline")]
    PartitionOffline {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Why.
        #[source]
        source: Arc<Error>,
    },

    /// An fsync failed, so what lies beyond the durable offset may be lost: the partition takes no more appends
    /// until it is opened again. Reading goes on.
    #[error("partition {topic}-{partition} is poisoned by a failed sync; durable up to offset {durable}")]
    Poisoned {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: PartitionId,
        /// Every offset below this one is on the device.
        durable: Offset,
        /// The sync's error.
        #[source]
        source: Arc<Error>,
    },

    /// Another process, or another broker of this one, holds the log directory.
    #[error("log directory {} is held by another broker, in this process or another", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },

    /// The log directory's path names something that is no directory.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },

    /// Nothing of ours lies in the directory, and a read-only broker makes nothing.
    #[error("there is no log directory in {} to be read", .path.display())]
    NoLogDir {
        /// The path.
        path: PathBuf,
    },

    /// The broker was opened to [look only](crate::BrokerBuilder::read_only()): nothing is changed.
    #[error("cannot {operation}: the broker was opened read-only")]
    ReadOnly {
        /// What was refused.
        operation: &'static str,
    },

    /// A partition lies in a log directory that is not among those that the broker was opened with, or that cannot be
    /// told, because it cannot be read.
    #[error("no log directory with directory.id {id} in its meta.properties is online")]
    UnknownLogDir {
        /// The directory's id, in its `meta.properties`.
        id: Uuid,
    },

    /// The handle, the broker, or the partition's log has been closed.
    #[error("closed: this handle, or the broker, was closed before")]
    Closed,

    /// The disk, or whatever stands behind [`Storage`](crate::Storage), refused.
    #[error("cannot {op} {}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// What an unknown name's error says of the one that was probably meant.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest:?}?"))
}

/// Who is not in a group: one without an id has no place in it, or has lost it.
fn member(id: &str) -> String {
    if id.is_empty() { "this consumer".to_owned() } else { format!("member {id:?}") }
}
