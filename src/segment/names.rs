//! The names of a segment's files: Kafka's, the base offset in 20 digits and a suffix that says what is inside.
//!
//! ```text
//! 00000000000000001000.log          batches
//! 00000000000000001000.index        offset index
//! 00000000000000001000.timeindex    time index
//! ```
//!
//! Kafka's unfinished work (`.cleaned`, `.swap`, `.deleted` behind the whole name) is recognised, so that it is
//! never taken for data.

use std::path::{Path, PathBuf};

use crate::offset::Offset;

/// Digits of the base offset in a file name.
const DIGITS: usize = 20;

/// The paths of one segment's files.
#[derive(Debug, Clone)]
pub(crate) struct SegmentPaths {
    pub(crate) log: PathBuf,
    pub(crate) offset_index: PathBuf,
    pub(crate) time_index: PathBuf,
}

impl SegmentPaths {
    /// The files of the segment in `dir` that begins at `base`.
    pub(crate) fn new(dir: &Path, base: Offset) -> SegmentPaths {
        let file = |suffix: &str| dir.join(format!("{base:0DIGITS$}{suffix}", base = u64::from(base)));
        SegmentPaths { log: file(".log"), offset_index: file(".index"), time_index: file(".timeindex") }
    }
}

/// What a file in a partition's directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    /// Batches.
    Log(Offset),
    /// Offset index.
    OffsetIndex(Offset),
    /// Time index.
    TimeIndex(Offset),
    /// A segment that Kafka was about to put in the place of others.
    Swap,
    /// Anything else: Kafka's other files, left-overs, a user's own.
    Other,
}

/// Reads a file's name.
pub(crate) fn parse_file_name(name: &str) -> SegmentFile {
    if name.ends_with(".swap") {
        return SegmentFile::Swap;
    }
    let Some((digits, suffix)) = name.split_at_checked(DIGITS) else { return SegmentFile::Other };
    let digits = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits);
    let base = digits.and_then(|digits| digits.parse::<u64>().ok());
    let Some(base) = base.and_then(|base| Offset::try_from(base).ok()) else { return SegmentFile::Other };
    match suffix {
        ".log" => SegmentFile::Log(base),
        ".index" => SegmentFile::OffsetIndex(base),
        ".timeindex" => SegmentFile::TimeIndex(base),
        _ => SegmentFile::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas_and_read_back() {
        let paths = SegmentPaths::new(Path::new("d"), Offset::from(1000));
        assert_eq!(paths.log, Path::new("d/00000000000000001000.log"));
        assert_eq!(parse_file_name("00000000000000001000.log"), SegmentFile::Log(Offset::from(1000)));
        assert_eq!(
            parse_file_name("00000000000000001000.index"),
            SegmentFile::OffsetIndex(Offset::from(1000))
        );
        assert_eq!(
            parse_file_name("00000000000000001000.timeindex"),
            SegmentFile::TimeIndex(Offset::from(1000))
        );
    }

    #[test]
    fn unfinished_work_and_strangers_are_never_data() {
        assert_eq!(parse_file_name("00000000000000001000.log.swap"), SegmentFile::Swap);
        for name in [
            "00000000000000001000.log.cleaned",
            "00000000000000001000.log.deleted",
            "0000000000000000100.log",
            "000000000000000010000.log",
            "99999999999999999999.log",
            "+0000000000000001000.log",
            "ééééééééééééé.log",
            "",
        ] {
            assert_eq!(parse_file_name(name), SegmentFile::Other, "{name}");
        }
    }
}
