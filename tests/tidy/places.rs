//! What stays in one place: unsafe code, the disk, and the machine's clock.

use crate::paths::{Named, paths};
use crate::source::{Source, Tree};

/// The one file with unsafe code: maps of sealed files.
const UNSAFE_FILE: &str = "src/storage/map.rs";

/// The floor that touches the disk.
const DISK_FOLDER: &str = "src/storage/";

/// What touches it, of the standard library and of the crates that we use.
const DISK_PATHS: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "os", "unix", "fs"],
    &["std", "os", "windows", "fs"],
    &["rustix"],
    &["memmap2"],
];

/// Where the machine is asked for the time: a file or a folder.
const CLOCK: &[&str] = &["src/clock.rs", "src/clock/"];

/// `unsafe` stands in one file only, its tests included.
pub(crate) fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path != UNSAFE_FILE) {
        for token in source.tokens.iter().filter(|token| token.text == "unsafe") {
            let what = format!("unsafe code: only {UNSAFE_FILE} may have any");
            complaints.push(source.complain(token.line, &what));
        }
    }
    complaints
}

/// Above `storage`, every byte goes through `Storage`. Tests may damage files as they like.
pub(crate) fn disk_access(tree: &Tree) -> Vec<String> {
    let touches = |named: &Named| !named.test && DISK_PATHS.iter().any(|path| named.starts_with(path));
    let sources = tree.sources.iter().filter(|source| !source.path.starts_with(DISK_FOLDER));
    sources.flat_map(|source| complain(tree, source, touches, "is the disk: go through `Storage`")).collect()
}

/// Time comes in through `Clock`, in tests too: there it is moved by hand.
pub(crate) fn clock_reads(tree: &Tree) -> Vec<String> {
    let asks = |named: &Named| {
        let parts: Vec<&str> = named.written.iter().map(String::as_str).collect();
        parts.windows(2).any(|pair| matches!(pair, ["SystemTime" | "Instant", "now"]))
    };
    let sources =
        tree.sources.iter().filter(|source| !CLOCK.iter().any(|clock| source.path.starts_with(clock)));
    sources
        .flat_map(|source| complain(tree, source, asks, "is the machine's clock: take the time from `Clock`"))
        .collect()
}

/// One complaint for each path in `source` that `is_wrong`.
fn complain(tree: &Tree, source: &Source, is_wrong: impl Fn(&Named) -> bool, what: &str) -> Vec<String> {
    let wrong = paths(tree, source).into_iter().filter(|named| is_wrong(named));
    wrong.map(|named| source.complain(named.line, &format!("`{}` {what}", named.text()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
        rule(&Tree::new([(path, text)]))
    }

    #[test]
    fn unsafe_code_elsewhere_is_found() {
        for sample in
            ["fn f() { unsafe { g() } }", "unsafe impl Send for S {}", "#[unsafe(no_mangle)] fn f() {}"]
        {
            assert_eq!(complaints(unsafe_code, "src/storage/disk.rs", sample).len(), 1, "{sample}");
            assert_eq!(complaints(unsafe_code, UNSAFE_FILE, sample), [""; 0]);
        }
        let innocent = "// unsafe\n#![deny(unsafe_code)] const A: &str = \"unsafe\";";
        assert_eq!(complaints(unsafe_code, "src/lib.rs", innocent), [""; 0]);
    }

    #[test]
    fn the_disk_above_storage_is_found() {
        for sample in [
            "use std::fs;",
            "use std::{io, fs::File};",
            "\nfn f() { std::fs::read(a) }",
            "use std::os::unix::fs::FileExt as _;",
            "use memmap2::Mmap;",
            "use ::rustix::fs::fsync;",
        ] {
            let found = complaints(disk_access, "src/segment/file.rs", sample);
            assert_eq!(found.len(), 1, "{sample}: {found:?}");
            assert_eq!(complaints(disk_access, "src/storage/disk.rs", sample), [""; 0]);
        }
        let found = complaints(disk_access, "src/log/a.rs", "\nfn f() { std::fs::read(a) }");
        assert_eq!(found, ["src/log/a.rs:2: `std::fs::read` is the disk: go through `Storage`"]);
        let innocent = "use std::io; #[cfg(test)] mod tests { use std::fs; }";
        assert_eq!(complaints(disk_access, "src/log/a.rs", innocent), [""; 0]);
    }

    #[test]
    fn the_time_outside_the_clock_is_found() {
        for sample in [
            "fn f() { Instant::now() }",
            "fn f() { a.map(std::time::SystemTime::now) }",
            "#[cfg(test)] mod tests { fn f() { Instant::now() } }",
        ] {
            assert_eq!(complaints(clock_reads, "src/log/a.rs", sample).len(), 1, "{sample}");
            for clock in ["src/clock.rs", "src/clock/system.rs"] {
                assert_eq!(complaints(clock_reads, clock, sample), [""; 0]);
            }
        }
        assert_eq!(complaints(clock_reads, "src/log/a.rs", "use std::time::Instant; fn now() {}"), [""; 0]);
    }
}
