//! Segments in order: one partition. Append, read, sync, recover.

mod append;
mod checkpoint;
mod checkpoint_file;
mod clean_marker;
mod config;
mod create;
mod delete;
mod due;
mod durable_slots;
mod encode;
mod epochs;
mod group_commit;
mod head_room;
mod log_dir;
mod log_dirs;
mod meta_properties;
mod metadata_file;
mod partition_log;
mod quarantine;
mod read;
mod recovery;
mod report;
mod roll;
mod segments;
mod sync_round;
mod writer;

pub use config::TopicConfig;
pub(crate) use create::create;
pub(crate) use delete::is_aside;
pub(crate) use encode::recycle;
pub(crate) use log_dir::{LogDir, LogDirConfig, LogDirParts};
pub(crate) use log_dirs::LogDirs;
pub(crate) use partition_log::Log;
pub(crate) use recovery::open;
pub use report::{Cut, PartitionRecovery};
