//! A floor imports only what is below it.
//!
//! The list is the one in ARCHITECTURE.md; a new module of the crate root must be put into it. `lib.rs` stands above
//! all floors and may name every one; nothing in the core may import from it, so that an import says where a thing
//! lives. Modules on one floor may import each other, as far as [`cycles`](crate::cycles) lets them.

use crate::paths::paths;
use crate::source::{Source, Tree};

/// The core, bottom to top.
const FLOORS: &[&[&str]] = &[
    &["error", "acks", "offset", "uuid", "settings", "clock", "signal", "sync", "metrics"],
    &["storage"],
    &["record"],
    &["segment"],
    &["log"],
    &["topic"],
    &["group", "transaction"],
    &["broker"],
    &["producer", "consumer"],
    &["admin"],
];

/// One Cargo feature each: they may import anything, and nothing in the core imports them.
const OPTIONAL: &[&str] = &["wire", "cluster", "typed", "testing", "cli"];

/// The rule; tests are exempt, they may build what they like.
pub(crate) fn upward_imports(tree: &Tree) -> Vec<String> {
    tree.sources.iter().flat_map(|source| upward_imports_of(tree, source)).collect()
}

fn upward_imports_of(tree: &Tree, source: &Source) -> Vec<String> {
    let Some(from) = source.module.as_ref().and_then(|module| module.first()) else { return Vec::new() };
    if OPTIONAL.contains(&from.as_str()) {
        return Vec::new();
    }
    let Some(height) = height_of(from) else {
        let what = format!("`{from}` is on no floor: put it into the list in tests/tidy/floors.rs");
        return vec![source.complain(1, &what)];
    };
    let mut complaints = Vec::new();
    for named in paths(tree, source).into_iter().filter(|named| !named.test) {
        let Some(within) = &named.within else { continue };
        let target = within.first().map_or("", String::as_str);
        let what = match height_of(target) {
            Some(other) if other <= height => continue,
            Some(_) => format!(
                "`{from}` imports upward from `{target}` ({}): take a plain value as a parameter, \
                 or write this as an `impl` in {target}/",
                named.text()
            ),
            None if OPTIONAL.contains(&target) => format!(
                "`{from}` imports the optional floor `{target}` ({}): let {target}/ reach into the core instead",
                named.text()
            ),
            None => format!(
                "`{from}` imports from lib.rs, which is above all floors ({}): name the module that declares it",
                named.text()
            ),
        };
        complaints.push(source.complain(named.line, &what));
    }
    complaints
}

/// How many floors are below `module`'s; `None` where it is on none.
fn height_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        upward_imports(&Tree::new([("src/lib.rs", "pub use log::Log;"), (path, text)]))
    }

    #[test]
    fn an_upward_import_is_found() {
        for sample in [
            "use crate::log::Log;",
            "use crate::{\n error::Error, topic,\n};",
            "fn f(_: crate::broker::Broker) {}",
            "use super::super::admin::Admin;",
            "use crate::wire::Frame;",
            "use crate::Log;",
            "pub(crate) use crate::consumer::*;",
        ] {
            let found = complaints("src/storage/map.rs", sample);
            assert_eq!(found.len(), 1, "{sample}: {found:?}");
        }
        let found = complaints("src/storage/map.rs", "//! A map.\n\nuse crate::log::Log;");
        assert!(
            found[0].starts_with("src/storage/map.rs:3: `storage` imports upward from `log`"),
            "{found:?}"
        );
        assert_eq!(complaints("src/error.rs", "use super::storage::Storage;").len(), 1);
        assert_eq!(complaints("src/storage/mod.rs", "pub use crate::record::Batch;").len(), 1);
        assert_eq!(complaints("src/misplaced.rs", "").len(), 1);
    }

    #[test]
    fn a_downward_import_is_fine() {
        for (path, sample) in [
            ("src/log/read.rs", "use crate::{error::Error, log::writer::Writer, storage::*};"),
            ("src/log/read.rs", "#[cfg(test)] mod tests { use crate::broker::Broker; }"),
            ("src/log/read.rs", "/// [`crate::broker::Broker`]\nfn f() {}"),
            ("src/transaction/log.rs", "use crate::group::Offsets;"),
            ("src/wire/mod.rs", "use crate::{Log, admin::Admin, cluster};"),
            ("src/bin/tool.rs", "use crate::anything::At;"),
        ] {
            assert_eq!(complaints(path, sample), [""; 0], "{path}: {sample}");
        }
    }
}
