//! `meta.properties`: whose log directory this is, and by which version of the layout.
//!
//! Java properties, as Kafka writes them: `version=1`, `cluster.id`, `node.id`, `directory.id`. Kafka's older form
//! (`version=0`, `broker.id`) is read too, and replaced by the newer one when it lacks a directory id. Properties that
//! are not known here are kept. What is written here begins with a comment that holds a checksum of the rest: partitions are
//! found by an id in it, so one bit that has flipped there would lose them all. A file without one, as Kafka's, is believed.

use std::path::Path;

use crate::error::{Error, Result};
use crate::storage::{Storage, small_file};
use crate::sync::Mutex;
use crate::uuid::Uuid;

pub(super) const FILE_NAME: &str = "meta.properties";
/// The newest version that is understood.
const VERSION: i64 = 1;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Begins the comment with the CRC-32 of all that follows it, in hexadecimal.
const CHECKSUM: &str = "# crc32=";
/// What is wrong where a directory has been used and has no file: another id would be another directory's.
const MISSING: &str = "it is missing, and the directory has been used: put a copy of it back, partitions are found by the id in it";

/// Whether a log directory has its file.
pub(crate) fn exists(storage: &dyn Storage, dir: &Path) -> Result<bool> {
    let path = dir.join(FILE_NAME);
    match storage.stat(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look for", &path)(error)),
    }
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The log directory's id.
    pub(crate) directory: Uuid,
    /// The id of the cluster, which all directories of a broker share.
    pub(crate) cluster: Option<String>,
}

/// Reads a log directory's file, making one where there is none: as a directory of `cluster`, or of a new one. Only a directory
/// that `is_new` gets an id: partitions are found by the one that it had.
pub(crate) fn open(
    storage: &dyn Storage,
    dir: &Path,
    is_new: bool,
    cluster: Option<&str>,
    random: &Mutex<fastrand::Rng>,
) -> Result<Meta> {
    let path = dir.join(FILE_NAME);
    let mut properties = match small_file::read(storage, &path, FILE_BYTES_MAX)? {
        Some(bytes) => parse(&bytes).map_err(|reason| Error::InvalidFile { path: path.clone(), reason })?,
        None if !is_new => {
            return Err(Error::InvalidFile { path, reason: MISSING.to_owned() });
        }
        None => {
            let new_cluster = || Uuid::random(&mut random.lock()).to_string();
            let cluster = cluster.map_or_else(new_cluster, str::to_owned);
            let new = [("version", VERSION.to_string()), ("cluster.id", cluster)];
            let node = ("node.id", "0".to_owned());
            new.into_iter().chain([node]).map(|(name, value)| (name.to_owned(), value)).collect()
        }
    };
    let invalid = |reason: String| Error::InvalidFile { path: path.clone(), reason };
    let value = |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let version = value("version").ok_or_else(|| invalid("it has no version".to_owned()))?;
    let version: i64 = version.parse().map_err(|_| invalid(format!("version {version:?} is no number")))?;
    if !(0..=VERSION).contains(&version) {
        return Err(Error::UnsupportedVersion { path, found: version, supported: VERSION });
    }
    let cluster = value("cluster.id").map(str::to_owned);
    if let Some(id) = value("directory.id") {
        let directory = Uuid::parse(id).ok_or_else(|| invalid(format!("directory.id {id:?} is no UUID")))?;
        return Ok(Meta { directory, cluster });
    }
    if !is_new {
        return Err(invalid("it has lost its directory.id".to_owned()));
    }
    let id = Uuid::random(&mut random.lock());
    let node = value("broker.id").or(value("node.id")).unwrap_or("0").to_owned();
    properties.retain(|(name, _)| !matches!(name.as_str(), "version" | "broker.id" | "node.id"));
    let renewed = [("version", VERSION.to_string()), ("node.id", node), ("directory.id", id.to_string())];
    properties.extend(renewed.map(|(name, value)| (name.to_owned(), value)));
    let lines: String = properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let checked = format!("{CHECKSUM}{:08x}\n{lines}", crc32fast::hash(lines.as_bytes()));
    small_file::replace(storage, &path, checked.as_bytes())?;
    Ok(Meta { directory: id, cluster })
}

/// Reads a log directory's file; nothing is changed.
pub(crate) fn read(storage: &dyn Storage, dir: &Path) -> Result<Meta> {
    // Nothing is drawn for a directory that is not new.
    open(storage, dir, false, None, &Mutex::new(fastrand::Rng::with_seed(0)))
}

/// The id in the file of a log directory that may be unusable; nothing is changed.
pub(crate) fn read_id(storage: &dyn Storage, dir: &Path) -> Option<Uuid> {
    let bytes = small_file::read(storage, &dir.join(FILE_NAME), FILE_BYTES_MAX).ok()??;
    let properties = parse(&bytes).ok()?;
    let id = properties.iter().find(|(name, _)| name == "directory.id");
    id.and_then(|(_, id)| Uuid::parse(id))
}

fn parse(bytes: &[u8]) -> std::result::Result<Vec<(String, String)>, String> {
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    check(text)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("line {line:?} has no '='"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Refuses a file whose rest is not what its first line was computed from.
fn check(text: &str) -> std::result::Result<(), String> {
    let Some(rest) = text.strip_prefix(CHECKSUM) else { return Ok(()) };
    let (expected, lines) = rest.split_once('\n').unwrap_or((rest, ""));
    let found = format!("{:08x}", crc32fast::hash(lines.as_bytes()));
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "it has changed since it was written: its checksum is {found}, and its first line says {expected:?}; \
         put a copy of it back, or remove that line if it was changed on purpose"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn open_with(contents: Option<&str>) -> (MemoryStorage, Result<Uuid>) {
        let storage = MemoryStorage::new();
        let dir = Path::new("d");
        storage.create_dir(dir).unwrap();
        if let Some(contents) = contents {
            small_file::replace(&storage, &dir.join(FILE_NAME), contents.as_bytes()).unwrap();
        }
        let opened = open(&storage, dir, true, None, &Mutex::new(fastrand::Rng::with_seed(1)));
        (storage, opened.map(|meta| meta.directory))
    }

    #[test]
    fn a_new_directory_gets_an_id_that_stays() {
        let (storage, id) = open_with(None);
        let random = Mutex::new(fastrand::Rng::with_seed(2));
        let again = open(&storage, Path::new("d"), false, None, &random).unwrap();
        assert_eq!(again.directory, id.unwrap());
        assert_eq!(read_id(&storage, Path::new("d")), Some(again.directory));
        // Another directory of the same broker is of the same cluster.
        storage.create_dir(Path::new("e")).unwrap();
        let other = open(&storage, Path::new("e"), true, again.cluster.as_deref(), &random).unwrap();
        assert!(other.cluster.is_some() && other.cluster == again.cluster);
        assert_ne!(other.directory, again.directory);
        // An id that is lost is not drawn again.
        let path = Path::new("e").join(FILE_NAME);
        small_file::replace(&storage, &path, b"version=1\n").unwrap();
        for _ in 0..2 {
            let error = open(&storage, Path::new("e"), false, None, &random).unwrap_err();
            assert!(matches!(&error, Error::InvalidFile { path: told, .. } if *told == path), "{error}");
            let _ = storage.remove_file(&path);
        }
        let bytes = small_file::read(&storage, Path::new("d/meta.properties"), 1000).unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("version=1\n") && text.contains("node.id=0\n"), "{text}");
    }

    #[test]
    fn kafkas_files_are_read() {
        let id = "MkU3OEVBNTcwNTJENDM2Qg";
        let (_, opened) =
            open_with(Some(&format!("#\n#Thu\nnode.id=4\ndirectory.id={id}\nversion=1\ncluster.id=x\n")));
        assert_eq!(opened.unwrap().to_string(), id);
        let (storage, opened) = open_with(Some("version=0\nbroker.id=3\ncluster.id=x\n"));
        assert!(opened.is_ok());
        let bytes = small_file::read(&storage, Path::new("d/meta.properties"), 1000).unwrap().unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("node.id=3\n"));
    }

    #[test]
    fn whatever_bit_flips_the_ids_stay_or_the_file_is_refused() {
        let (storage, id) = open_with(None);
        let path = Path::new("d").join(FILE_NAME);
        let whole = small_file::read(&storage, &path, 1000).unwrap().unwrap();
        let meta = |bytes: &[u8]| {
            small_file::replace(&storage, &path, bytes).unwrap();
            read(&storage, Path::new("d"))
        };
        let known = meta(&whole).unwrap();
        assert_eq!(known.directory, id.unwrap());
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match meta(&flipped) {
                // In the first line itself.
                Ok(meta) => assert_eq!((meta, bit / 8 < CHECKSUM.len()), (known.clone(), true), "{bit}"),
                Err(error) => assert!(matches!(error, Error::InvalidFile { .. }), "{error}"),
            }
        }
        // Changed on purpose.
        let text = String::from_utf8(whole).unwrap().replace("node.id=0", "node.id=1");
        assert!(meta(text.as_bytes()).unwrap_err().to_string().contains("remove that line"));
        let (_, lines) = text.split_once('\n').unwrap();
        assert_eq!(meta(lines.as_bytes()).unwrap(), known);
    }

    #[test]
    fn another_version_and_nonsense_are_refused() {
        let (_, opened) = open_with(Some("version=2\n"));
        assert!(matches!(opened, Err(Error::UnsupportedVersion { found: 2, supported: 1, .. })));
        for contents in ["", "version=x\n", "version\n", "version=1\ndirectory.id=short\n"] {
            let (_, opened) = open_with(Some(contents));
            assert!(matches!(opened, Err(Error::InvalidFile { .. })), "{contents:?}");
        }
    }
}
