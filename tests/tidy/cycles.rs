//! No modules need each other: not two files, and not two folders through different files of theirs.
//!
//! So in every folder, what its files and subfolders import of one another must be free of cycles, where a subfolder
//! imports what any file below it imports. Doors are looked through and so are in no cycle themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{paths, resolve};
use crate::source::{Module, Tree};

/// What the children of one folder import of one another, with one place where they do.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// The rule; tests are exempt.
pub(crate) fn cycles(tree: &Tree) -> Vec<String> {
    let mut folders: BTreeMap<Module, Imports> = BTreeMap::new();
    for source in &tree.sources {
        let Some(from) = source.module.as_ref().filter(|from| !from.is_empty() && !source.is_door()) else {
            continue;
        };
        for named in paths(tree, source).into_iter().filter(|named| !named.test) {
            for to in named.within.iter().flat_map(|within| files(tree, within)) {
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let child = |module: &Module| module.get(shared).map_or("(itself)".to_string(), Clone::clone);
                if *from != to {
                    let folder = folders.entry(from.iter().take(shared).cloned().collect()).or_default();
                    let place = format!("{}:{}", source.path, named.line);
                    folder.entry(child(from)).or_default().entry(child(&to)).or_insert(place);
                }
            }
        }
    }
    folders.iter().filter_map(|(folder, imports)| Some(describe(folder, imports, &cycle(imports)?))).collect()
}

/// The files that a path leads to; where it means a door, all that is behind it.
fn files(tree: &Tree, path: &[String]) -> Vec<Module> {
    let mut files = Vec::new();
    for module in resolve(tree, path) {
        let is_door = module.is_empty() || tree.find(&module).is_some_and(|source| source.is_door());
        if !is_door {
            files.push(module);
        } else if !module.is_empty() {
            let behind = tree.sources.iter().filter(|source| !source.is_door());
            let behind = behind.filter_map(|source| source.module.clone());
            files.extend(behind.filter(|other| other.starts_with(&module)));
        }
    }
    files
}

/// The names on some cycle, in order, the first again at the end.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|start| cycle_from(start, imports, &mut Vec::new(), &mut done))
}

fn cycle_from(
    name: &str,
    imports: &Imports,
    trail: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = trail.iter().position(|passed| passed == name) {
        return Some(trail.iter().skip(start).map(String::as_str).chain([name]).map(String::from).collect());
    }
    if done.contains(name) {
        return None;
    }
    trail.push(name.to_string());
    let mut targets = imports.get(name).into_iter().flat_map(BTreeMap::keys);
    let found = targets.find_map(|target| cycle_from(target, imports, trail, done));
    trail.pop();
    done.insert(name.to_string());
    found
}

fn describe(folder: &[String], imports: &Imports, cycle: &[String]) -> String {
    let steps = cycle.iter().zip(cycle.iter().skip(1));
    let place = |from, to| imports.get(from).and_then(|targets| targets.get(to)).map_or("", String::as_str);
    let places: Vec<_> = steps.map(|(from, to)| place(from, to)).collect();
    let folder = if folder.is_empty() { "the crate root".to_string() } else { folder.join("::") };
    format!(
        "{}: in {folder}, {} is a cycle (at {}): move what both need into a file of its own, below",
        places.first().unwrap_or(&""),
        cycle.join(" -> "),
        places.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Vec<String> {
        cycles(&Tree::new([("src/lib.rs", "pub use log::Log;")].iter().chain(files).copied()))
    }

    #[test]
    fn a_cycle_is_reported_as_a_path() {
        let found = of(&[
            ("src/a.rs", "\nuse crate::b::B;"),
            ("src/b.rs", "fn f() { crate::c::c() }"),
            ("src/c.rs", "use super::a;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("src/a.rs:2: in the crate root, a -> b -> c -> a is a cycle"),
            "{found:?}"
        );
        assert!(found[0].contains("(at src/a.rs:2, src/b.rs:1, src/c.rs:1)"), "{found:?}");
    }

    #[test]
    fn a_cycle_through_a_door_is_found() {
        let door = ("src/log/mod.rs", "mod read; mod writer; pub use read::Reader; pub use writer::Writer;");
        let writer = ("src/log/writer.rs", "use crate::log::Reader;");
        assert_eq!(of(&[door, ("src/log/read.rs", "use super::Writer;"), writer]).len(), 1);
        assert_eq!(of(&[door, ("src/log/read.rs", "use super::*;"), writer]).len(), 1);
        assert_eq!(of(&[door, ("src/log/read.rs", "use crate::error::Error;"), writer]), [""; 0]);
    }

    #[test]
    fn a_cycle_of_folders_is_found() {
        let files = [
            ("src/group/offsets.rs", ""),
            ("src/group/join.rs", "use crate::transaction::state::State;"),
            ("src/transaction/state.rs", ""),
            ("src/transaction/log.rs", "use crate::group::offsets::Offsets;"),
        ];
        let found = of(&files);
        assert!(found[0].contains("group -> transaction -> group"), "{found:?}");
        assert_eq!(of(&files[2..]), [""; 0]);
    }

    #[test]
    fn tests_and_diamonds_are_no_cycle() {
        let files = [
            ("src/a.rs", "use crate::{b, c};"),
            ("src/b.rs", "use crate::d;"),
            ("src/c.rs", "use crate::d;"),
            ("src/d.rs", "#[cfg(test)] mod tests { use crate::a; }"),
        ];
        assert_eq!(of(&files), [""; 0]);
    }
}
