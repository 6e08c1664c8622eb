//! What a run is told by its environment.

use std::error::Error;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A benchmark ends at the first thing that is wrong.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROUNDS: usize = 7;
const ROUNDS_QUICK: usize = 2;
/// By how much a quick run is smaller.
const QUICK_DIVISOR: u64 = 64;

/// How much is measured, how often, and where.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) is_quick: bool,
    pub(crate) rounds: usize,
    directory: PathBuf,
}

impl Settings {
    /// Takes the settings from the environment; `is_test`: quick whatever it says.
    pub(crate) fn from_env(is_test: bool) -> Outcome<Settings> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_quick = is_test || variable("STREAMLOG_BENCH_QUICK").is_some_and(|value| value != "0");
        let rounds = match variable("STREAMLOG_BENCH_ROUNDS") {
            Some(rounds) => rounds.parse::<usize>()?.max(1),
            None if is_quick => ROUNDS_QUICK,
            None => ROUNDS,
        };
        let directory = variable("STREAMLOG_BENCH_DIR").unwrap_or(env!("CARGO_TARGET_TMPDIR").to_owned());
        std::fs::create_dir_all(&directory)?;
        Ok(Settings { is_quick, rounds, directory: PathBuf::from(directory) })
    }

    /// `full`, or in a quick run a part of it.
    pub(crate) fn sized(&self, full: u64) -> u64 {
        if self.is_quick { (full / QUICK_DIVISOR).max(1) } else { full }
    }

    /// A new directory, removed with all that is in it when it is dropped; on a file system with nothing left to write
    /// back, so that no run pays for the one before.
    pub(crate) fn scratch(&self) -> Outcome<TempDir> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::fs::syncfs(std::fs::File::open(&self.directory)?)?;
        Ok(tempfile::Builder::new().prefix("streamlog-bench-").tempdir_in(&self.directory)?)
    }

    /// Where the files go.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file system that the files are on, where the system tells.
    pub(crate) fn file_system(&self) -> String {
        let unknown = || "unknown file system".to_owned();
        let Ok(directory) = self.directory.canonicalize() else { return unknown() };
        let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else { return unknown() };
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            directory.starts_with(place).then(|| (place.len(), format!("{kind} on {device}")))
        });
        // The innermost mount, and of several at one place the last.
        mounts.max_by_key(|(length, _)| *length).map_or_else(unknown, |(_, mount)| mount)
    }
}
