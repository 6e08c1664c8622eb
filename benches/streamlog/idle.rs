//! What an open broker costs while nobody uses it.

use std::thread;
use std::time::Duration;

use streamlog::{Broker, TopicConfig};

use crate::harness::{
    Outcome, Settings, Table, Target, Unit, Values, append_all, create_partition, no_bare, thread_cpu_seconds,
};

const WAIT: Duration = Duration::from_secs(1);
const WAIT_QUICK: Duration = Duration::from_millis(50);

/// CPU time per second of an open broker with a partition in use, between two checkpoints.
pub(crate) fn idle(settings: &Settings, table: &mut Table) -> Outcome<()> {
    if thread_cpu_seconds().is_none() {
        table.note("idle: this system does not tell");
        return Ok(());
    }
    let wait = if settings.is_quick { WAIT_QUICK } else { WAIT };
    let idle = || {
        let scratch = settings.scratch()?;
        let broker = Broker::open(scratch.path())?;
        let partition = create_partition(&broker, TopicConfig::default())?;
        append_all(&partition, &Values::new(100, 1), 1)?;
        let cpu = || thread_cpu_seconds().ok_or("the system stopped telling");
        let before = cpu()?;
        thread::sleep(wait);
        let used = cpu()? - before;
        broker.close()?;
        Ok(used * 1e3 / wait.as_secs_f64())
    };
    table.measure(vec![no_bare(
        "idle, CPU time per second",
        Unit::Milliseconds,
        idle,
        Target::ValueAtMost(0.5),
    )])
}
