//! What the benchmarks have in common: settings, rounds and their table, files, and what is put into them.

mod bare;
mod case;
mod counting;
mod settings;
mod stopwatch;
mod table;
mod workload;

pub(crate) use bare::{BLOCK_BYTES, BareFile, median_synced_write, median_write, read_and_checksum};
pub(crate) use case::{Case, Target, Unit, median, no_bare};
pub(crate) use counting::{Counting, SyncKind};
pub(crate) use settings::{Outcome, Settings};
pub(crate) use stopwatch::{Stopwatch, seconds, thread_cpu_seconds};
pub(crate) use table::Table;
pub(crate) use workload::{
    Contents, TOPIC, Values, append_all, create_partition, encoded_bytes, fill, log_files, read_pass,
};
