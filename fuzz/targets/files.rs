//! The files of a log directory as plain bytes, to be changed, put into memory, and compared.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use streamlog::{
    Access, Broker, BrokerConfig, EntryKind, ManualClock, MemoryStorage, RecoveryMode, Result, Storage,
    Timestamp,
};

/// Where a broker's log directory is.
pub const DATA: &str = "data";
/// Where the clock stands at first.
pub const START: i64 = 1_700_000_000_000;

/// Every file, by its path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All files below the log directory.
pub fn read_all(storage: &dyn Storage) -> Files {
    let mut files = Files::new();
    let mut rest = vec![PathBuf::from(DATA)];
    while let Some(directory) = rest.pop() {
        for entry in storage.list(&directory).unwrap() {
            let path = directory.join(&entry.name);
            match entry.kind {
                EntryKind::Directory => rest.push(path),
                _ => {
                    let file = storage.open(&path, Access::Read).unwrap();
                    let bytes = file.slice(0..file.bytes().unwrap()).unwrap();
                    files.insert(path, bytes.to_vec());
                }
            }
        }
    }
    files
}

/// A file system in memory that holds these files, and the directories that they are in.
pub fn storage_of(files: &Files) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for (path, bytes) in files {
        storage.create_dir(path.parent().unwrap()).unwrap();
        let file = storage.open(path, Access::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }
    storage
}

/// What a process that dies now leaves to the next.
pub fn killed(storage: &MemoryStorage) -> MemoryStorage {
    storage_of(&read_all(storage))
}

/// Opens a broker with a clock that stands still, and so without threads.
pub fn open(storage: &MemoryStorage) -> Result<(Broker, ManualClock)> {
    open_as(storage, RecoveryMode::Repair)
}

/// As [`open`], with something said about damage.
pub fn open_as(storage: &MemoryStorage, recovery: RecoveryMode) -> Result<(Broker, ManualClock)> {
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let builder =
        Broker::builder().log_dir(DATA).storage(storage.clone()).clock(clock.clone()).recovery(recovery);
    Ok((builder.config(BrokerConfig::default().seed(7)).open()?, clock))
}

/// The bytes without the zeros at their end.
pub fn without_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// The file's name, which here is always text.
pub fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
