//! What is done in the life, step by step. A capability that is new gets a step here, and an arm in `live.rs`.

use streamlog::testing::Crash;
use streamlog::{Acks, Compression, IsolationLevel};

/// One thing that a program asks of a broker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A topic with so many partitions.
    Create(&'static str, u32),
    /// More partitions, to so many.
    Extend(&'static str, u32),
    /// Other settings.
    Alter(&'static str, Setting),
    Delete(&'static str),
    /// So many records in one append to a partition, each with a value of so many bytes.
    Append(&'static str, u32, usize, usize),
    Sync(&'static str, u32),
    /// By a producer of its own: so many records to a partition, each with a value of so many bytes.
    Send(Acks, Compression, Ending, &'static str, u32, usize, usize),
    /// Everything in every topic, by a consumer.
    Read(IsolationLevel),
    /// By members of a group, who read so many records of a topic and commit how far they got.
    Share(Manner, &'static str, &'static str, usize),
    /// A group without members is to go on elsewhere in a topic.
    Reset(&'static str, &'static str, To),
    /// What a group has committed of a topic is forgotten.
    Forget(&'static str, &'static str),
    /// A group without members goes, with all that it has committed.
    DeleteGroup(&'static str),
    /// Time passes: a checkpoint is due, and so is the background's work.
    Tick,
    /// A clean close, and another opening.
    Reopen,
    /// The process ends, and the next one recovers.
    End(Crash),
}

/// What becomes of the deliveries, and of the producer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Each is waited for before the next record is sent.
    WaitEach,
    /// All are sent with a linger, and then waited for.
    WaitAll,
    /// All are dropped, sent with a linger that passes.
    Linger,
    /// All are dropped, and the producer flushed.
    Flush,
    /// All are dropped, and the producer closed.
    Close,
    /// All are dropped, and so is the producer.
    Drop,
}

/// How members of a group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One, which waits for each of two commits.
    Waits,
    /// One, which lets go of its commit, and is dropped.
    Forgets,
    /// One, by the clock.
    InTime,
    /// One, in its close.
    Closes,
    /// Another one comes, and goes again; each commits what it gives up, all at once or what goes to the other.
    Eager,
    Cooperative,
}

/// Where a group is to go on, in every partition of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Earliest,
    Latest,
    /// So many offsets before what is committed.
    Back(u64),
}

/// What a topic is altered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    SegmentBytes(u32),
    FlushMessages(u64),
    Preallocate,
    Codec(Compression),
}

use Acks::{All, Leader};
use Compression::{Gzip, Lz4, Snappy, Zstd};
use Ending::{Close, Drop, Flush, Linger, WaitAll, WaitEach};
use IsolationLevel::{ReadCommitted, ReadDurable, ReadUncommitted};
use Manner::{Closes, Cooperative, Eager, Forgets, InTime, Waits};
use Step::{Alter, Append, Create, Delete, DeleteGroup, End, Extend};
use Step::{Forget, Read, Reopen, Reset, Send, Share, Sync, Tick};
use To::{Back, Earliest, Latest};

const RAW: Compression = Compression::None;
const NONE: Acks = Acks::None;

/// The life that is cut short at every step.
pub(crate) const LIFE: &[Step] = &[
    Create("a", 2),
    Append("a", 0, 1, 20),
    Append("a", 0, 3, 50),
    Sync("a", 0),
    Append("a", 0, 1, 700),
    Append("a", 1, 2, 30),
    Sync("a", 1),
    Append("a", 0, 2, 300),
    Append("a", 1, 1, 900),
    Read(ReadDurable),
    Sync("a", 0),
    Tick,
    // Rolls, of which some are synced by their round and some by the checkpoint.
    Append("a", 0, 1, 650),
    Append("a", 0, 1, 600),
    Append("a", 1, 1, 800),
    Create("b.c", 1),
    Append("b.c", 0, 1, 40),
    Sync("b.c", 0),
    Sync("a", 0),
    Append("a", 0, 1, 10),
    Read(ReadUncommitted),
    Share(Waits, "g", "a", 2),
    Tick,
    Share(Forgets, "g", "a", 3),
    Tick,
    Append("a", 0, 1, 1100),
    Append("b.c", 0, 2, 10),
    Reopen,
    Append("b.c", 0, 1, 1000),
    Append("a", 0, 2, 200),
    Sync("a", 0),
    Append("a", 0, 1, 900),
    Append("a", 0, 1, 300),
    Append("b.c", 0, 1, 1000),
    Share(Closes, "h", "b.c", 1),
    Sync("b.c", 0),
    // Producers, with each of the acks, each codec and each ending.
    Send(All, RAW, WaitEach, "a", 0, 3, 100),
    Send(Leader, RAW, WaitEach, "a", 1, 2, 100),
    Send(NONE, RAW, WaitEach, "a", 0, 2, 100),
    Send(All, Gzip, WaitAll, "a", 1, 4, 400),
    Send(Leader, Gzip, Linger, "a", 0, 4, 400),
    Send(NONE, Gzip, Close, "a", 0, 2, 100),
    Read(ReadDurable),
    Send(All, Snappy, Linger, "a", 0, 4, 200),
    Send(Leader, Snappy, Flush, "a", 1, 5, 300),
    Send(NONE, Snappy, Drop, "a", 1, 3, 100),
    Send(All, Lz4, Flush, "b.c", 0, 6, 300),
    Send(Leader, Lz4, Close, "b.c", 0, 2, 900),
    Send(NONE, Lz4, Flush, "a", 0, 2, 900),
    Send(All, Zstd, Close, "a", 1, 4, 500),
    Send(Leader, Zstd, Drop, "a", 1, 4, 500),
    Send(NONE, Zstd, Linger, "a", 0, 3, 20),
    Send(All, RAW, Drop, "a", 0, 3, 20),
    Tick,
    Read(ReadCommitted),
    // Topics grow, change, go and come again.
    Extend("a", 4),
    Append("a", 3, 2, 100),
    Send(All, Lz4, WaitAll, "a", 2, 3, 100),
    Alter("a", Setting::FlushMessages(2)),
    Append("a", 3, 1, 1000),
    Append("a", 3, 1, 1000),
    Append("a", 3, 1, 40),
    Share(Eager, "g", "a", 2),
    Reset("g", "a", Latest),
    Reset("g", "a", Back(3)),
    Alter("b.c", Setting::Codec(Zstd)),
    Append("b.c", 0, 2, 300),
    Send(All, Gzip, WaitAll, "b.c", 0, 3, 300),
    Alter("b.c", Setting::SegmentBytes(1400)),
    Append("b.c", 0, 1, 600),
    Append("b.c", 0, 1, 600),
    Share(InTime, "g", "b.c", 3),
    Forget("g", "a"),
    Delete("b.c"),
    Tick,
    Create("b.c", 2),
    Append("b.c", 1, 1, 30),
    Share(Waits, "h", "b.c", 1),
    Sync("b.c", 1),
    Append("b.c", 0, 1, 1300),
    // Gone before a checkpoint names it.
    Create("d", 1),
    Append("d", 0, 1, 10),
    Share(Waits, "h", "d", 1),
    Delete("d"),
    Create("d", 1),
    Alter("d", Setting::Preallocate),
    Append("d", 0, 1, 1000),
    Append("d", 0, 1, 1000),
    Sync("d", 0),
    // Unclean ends on the way, and a clean one behind them.
    Append("a", 1, 2, 700),
    Share(Forgets, "h", "a", 3),
    End(Crash::Kill),
    Append("a", 1, 1, 20),
    Sync("a", 1),
    Append("a", 0, 2, 700),
    Append("d", 0, 1, 100),
    Share(Waits, "h", "a", 1000),
    Append("d", 0, 1, 100),
    Share(Forgets, "h", "d", 1000),
    DeleteGroup("g"),
    Append("a", 0, 1, 50),
    // Some of what lies before these offsets goes with the power.
    Reset("g", "a", Latest),
    Append("d", 0, 1, 100),
    Reset("h", "d", Earliest),
    End(Crash::PowerCut),
    Append("a", 0, 1, 50),
    Share(Cooperative, "h", "a", 2),
    DeleteGroup("h"),
    Append("b.c", 0, 2, 600),
    Append("a", 3, 1, 50),
    End(Crash::Reordered { seed: 5 }),
    Append("b.c", 0, 1, 50),
    Share(Waits, "h", "d", 1),
    Tick,
    Send(All, Snappy, WaitAll, "a", 0, 3, 400),
    Reopen,
    Append("a", 1, 1, 30),
    Append("b.c", 0, 1, 520),
    Append("a", 0, 1, 900),
    Append("a", 0, 1, 900),
    Read(ReadDurable),
];
