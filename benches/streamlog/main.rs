//! What users wait for, measured in ratios: each candidate beside the bare system calls or codec that it is built on,
//! both in the same run.
//!
//! ```text
//! cargo bench                        everything
//! cargo bench -- append_one open     the benchmarks whose names contain one of these
//!
//! STREAMLOG_BENCH_QUICK=1            small sizes, two rounds: whether it works, not how fast
//! STREAMLOG_BENCH_ROUNDS=7           rounds after the one for warming up
//! STREAMLOG_BENCH_DIR=path           where the files go; under the target directory by default
//! ```
//!
//! In every round each candidate runs once and its counterpart right after it, so that both see the same machine; what is
//! reported is the median of the rounds' ratios, and their span. Every result is checked. Nothing is asserted about time:
//! a target that is missed is only shown.

mod append;
mod assign;
mod codecs;
mod consume;
mod first_record;
mod follow;
mod groups;
mod harness;
mod idle;
mod memory;
mod open;
mod read;
mod send;
mod send_sync;
mod sync;

use harness::{Outcome, Settings, Table};

type Benchmark = fn(&Settings, &mut Table) -> Outcome<()>;

const BENCHMARKS: [(&str, Benchmark); 22] = [
    ("append_bulk", append::bulk),
    ("append_calls", append::calls),
    ("append_one", append::one),
    ("append_sync_one", sync::one),
    ("group_sync", sync::group),
    ("send_bulk", send::bulk),
    ("send_one", send::one),
    ("send_sync_one", send_sync::one),
    ("send_many_threads", send_sync::many_threads),
    ("read_all", read::all),
    ("consume_all", consume::all),
    ("follow", follow::follow),
    ("first_record", first_record::first_record),
    ("group_rebalance", groups::rebalance),
    ("group_commit", groups::commit),
    ("group_reopen", groups::reopen),
    ("open", open::open),
    ("codecs", codecs::codecs),
    ("assign", assign::assign),
    ("assign_million", assign::assign_million),
    ("memory", memory::memory),
    ("idle", idle::idle),
];

fn main() -> Outcome<()> {
    if let Some(directory) = memory::child_directory() {
        return memory::child(&directory);
    }
    // `cargo bench` says --bench; `cargo test --benches` does not, and wants to know only whether it works.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let settings = Settings::from_env(!is_bench)?;
    let mut table = Table::new(&settings);
    for (name, benchmark) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            benchmark(&settings, &mut table)?;
        }
    }
    Ok(())
}
