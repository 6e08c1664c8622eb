//! The paths that a file names: in `use` items, flattened, and inline in its code.
//!
//! `crate`, `self` and `super` are resolved, inside inline modules too. A door (`mod.rs`, `lib.rs`) is looked through:
//! `crate::storage::Slice` means the file that declares `Slice`, so going in by the door is no dependency on
//! everything behind it.

use crate::lexer::Token;
use crate::source::{Module, Source, Tree};

/// How many doors a name may pass through before it is given up.
const DOORS_MAX: usize = 16;

/// A path that a file names.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// As written: `["super", "slice", "Slice"]`; ends in `*` for a glob.
    pub(crate) written: Vec<String>,
    /// From the crate's root, or `None` for another crate's (or for what is local to the file).
    pub(crate) within: Option<Module>,
    /// The name under which a `use` brings it in; empty for an inline path.
    name: String,
    /// Where it stands.
    pub(crate) line: usize,
    /// Whether it is compiled for tests alone.
    pub(crate) test: bool,
}

impl Named {
    /// As written, with colons.
    pub(crate) fn text(&self) -> String {
        self.written.join("::")
    }

    /// Whether it leads to `path` or something in it.
    pub(crate) fn starts_with(&self, path: &[&str]) -> bool {
        self.written.len() >= path.len() && self.written.iter().zip(path).all(|(part, wanted)| part == wanted)
    }
}

/// Every path of two parts or more in `source`, and every `use`.
pub(crate) fn paths(tree: &Tree, source: &Source) -> Vec<Named> {
    let Some(root) = &source.module else { return Vec::new() };
    let tokens = &source.tokens;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut named = Vec::new();
    let mut inline_modules: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = tokens.get(at) {
        let mut found = Vec::new();
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline_modules.pop_if(|(_, opened)| *opened == depth);
            }
            "mod" if text(at + 2) == "{" => inline_modules.push((text(at + 1).to_string(), depth)),
            // `pub(in crate::log)` says who may look, and is no dependency.
            "(" if text(at + 1) == "in" => at += 1 + path_at(tokens, at + 2).len() * 2,
            "use" if text(at + 1) != "<" => at = use_tree(tokens, at + 1, &[], &mut found),
            _ if token.is_name() => {
                let written = path_at(tokens, at);
                if written.len() > 1 {
                    at += written.len() * 2 - 2;
                    found.push((written, String::new(), token.line));
                }
            }
            _ => {}
        }
        let inner = inline_modules.iter().map(|(name, _)| name);
        let here: Module = root.iter().chain(inner).cloned().collect();
        named.extend(found.into_iter().map(|(written, name, line)| {
            let within = within(tree, &here, &written);
            Named { written, within, name, line, test: token.test }
        }));
        at += 1;
    }
    named
}

/// The files that a path from the crate's root leads to, doors looked through; a door itself where it means the
/// door, or something that the door does not re-export.
pub(crate) fn resolve(tree: &Tree, path: &[String]) -> Vec<Module> {
    resolve_through(tree, path, DOORS_MAX)
}

fn resolve_through(tree: &Tree, path: &[String], doors: usize) -> Vec<Module> {
    let mut lengths = (0..=path.len()).rev();
    let found = lengths.find_map(|length| Some((tree.find(path.get(..length)?)?, path.get(length)?)));
    let whole = tree.find(path).and_then(|source| source.module.clone());
    let (Some((source, name)), None) = (found, &whole) else { return whole.into_iter().collect() };
    let module = source.module.clone().unwrap_or_default();
    if !(source.is_door() || module.is_empty()) || name == "*" || doors == 0 {
        return vec![module];
    }
    let exports = paths(tree, source);
    let through = |wanted: &str| -> Vec<Module> {
        let targets = exports.iter().filter(|export| export.name == wanted);
        let targets = targets.filter_map(|export| export.within.as_deref());
        targets
            .flat_map(|target| match target {
                [inside @ .., last] if last == "*" => vec![inside.to_vec()],
                _ => resolve_through(tree, target, doors - 1),
            })
            .collect()
    };
    let direct = through(name);
    let globbed = if direct.is_empty() { through("*") } else { direct };
    if globbed.is_empty() { vec![module] } else { globbed }
}

/// A written path from the crate's root, for code in module `here`.
fn within(tree: &Tree, here: &[String], written: &[String]) -> Option<Module> {
    let ups = written.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match written.first()?.as_str() {
        "crate" => (&[][..], written.get(1..)?),
        "super" => (here.get(..here.len().checked_sub(ups)?)?, written.get(ups..)?),
        "self" => {
            let ups = written.iter().skip(1).take_while(|part| *part == "super").count();
            (here.get(..here.len().checked_sub(ups)?)?, written.get(1 + ups..)?)
        }
        child => {
            let module: Module = here.iter().map(String::as_str).chain([child]).map(String::from).collect();
            tree.find(&module)?;
            (here, written)
        }
    };
    Some(base.iter().chain(rest).cloned().collect())
}

/// The path of names joined by `::` that begins at `at`.
fn path_at(tokens: &[Token], at: usize) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = tokens.get(at..).unwrap_or_default();
    while let [name, after @ ..] = rest
        && name.is_name()
    {
        path.push(name.text.clone());
        match after {
            [colons, next, ..] if colons.text == "::" && next.is_name() => {
                rest = after.get(1..).unwrap_or_default();
            }
            _ => break,
        }
    }
    path
}

/// Flattens one branch of a `use` tree into path, name and line; gives the place of the token behind it.
fn use_tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(Vec<String>, String, usize)>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or(";", |token| token.text.as_str());
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut path = prefix.to_vec();
    loop {
        match text(at) {
            "::" => {}
            "{" => {
                while text(at) != "}" && text(at) != ";" {
                    at = use_tree(tokens, at + 1, &path, found);
                }
                return at + 1;
            }
            "," | "}" | ";" => break,
            "as" => {
                found.push((path, text(at + 1).to_string(), line));
                return at + 2;
            }
            // `use a::{self}` is `use a`.
            "self" if !path.is_empty() => {}
            part => path.push(part.to_string()),
        }
        at += 1;
    }
    if path.len() > prefix.len() || text(at.saturating_sub(1)) == "self" {
        let name = path.last().cloned().unwrap_or_default();
        found.push((path, name, line));
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::new([
            ("src/lib.rs", "pub use log::Log;"),
            ("src/log/mod.rs", "mod read; mod writer;"),
            ("src/log/read.rs", text),
            ("src/log/writer.rs", ""),
        ]);
        let source = tree.find(&["log".into(), "read".into()]).unwrap();
        let within = paths(&tree, source).into_iter().filter(|named| !named.test);
        within.filter_map(|named| Some(named.within?.join("::"))).collect()
    }

    #[test]
    fn every_way_to_import_is_seen() {
        assert_eq!(found("use crate::a::B;"), ["a::B"]);
        assert_eq!(found("pub(crate) use crate::a::B as C;"), ["a::B"]);
        assert_eq!(found("use crate::{\n a::{self, B},\n c::*,\n};"), ["a", "a::B", "c::*"]);
        assert_eq!(found("use super::{writer::Writer, super::a::B};"), ["log::writer::Writer", "a::B"]);
        assert_eq!(found("use self::inner::A;"), ["log::read::inner::A"]);
        assert_eq!(
            found("fn f() -> crate::a::B<crate::c::D> { super::writer::go::<u8>() }"),
            ["a::B", "c::D", "log::writer::go"]
        );
        assert_eq!(
            found("mod inner { use super::super::writer; } use super::writer;"),
            ["log::writer", "log::writer"]
        );
        assert_eq!(found("macro_rules! m { () => { $crate::a::b() } }"), ["a::b"]);
    }

    #[test]
    fn what_is_no_import_is_not_seen() {
        assert!(found("// use crate::a::B;\n/// [`crate::a`]\nfn f() { \"crate::a::B\"; }").is_empty());
        assert!(
            found("pub(in crate::log) fn f() -> impl Iterator + use<'_> { std::iter::empty() }").is_empty()
        );
        assert!(found("#[cfg(test)] mod tests { use crate::a::B; }").is_empty());
        assert!(found("pub(super) fn f() {} pub(crate) struct S;").is_empty());
    }

    #[test]
    fn doors_are_looked_through() {
        let tree = Tree::new([
            ("src/lib.rs", "pub use storage::{Slice, Memory as Ram};"),
            ("src/storage/mod.rs", "pub use slice::Slice; pub use memory::*; use super::error as failure;"),
            ("src/storage/slice.rs", ""),
            ("src/storage/memory.rs", ""),
            ("src/error.rs", ""),
        ]);
        let lead = |path: &str| {
            let path: Vec<_> = path.split("::").map(String::from).collect();
            let found = resolve(&tree, &path);
            found.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(lead("storage::slice::Slice"), "storage::slice");
        assert_eq!(lead("storage::Slice"), "storage::slice");
        assert_eq!(lead("Slice"), "storage::slice");
        assert_eq!(lead("Ram"), "storage::memory");
        assert_eq!(lead("storage::Anything"), "storage::memory");
        assert_eq!(lead("storage::failure::Error"), "error");
        assert_eq!(lead("storage"), "storage");
        assert_eq!(lead("storage::*"), "storage");
    }
}
