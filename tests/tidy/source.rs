//! The sources of the crate: files, the modules that they are, and which of their tokens are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::lexer::{self, Token};

/// A module's path below the crate root: `["storage", "map"]`; empty for `lib.rs`.
pub(crate) type Module = Vec<String>;

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Where it is, from the package's root: `src/storage/map.rs`.
    pub(crate) path: String,
    /// The whole of it.
    pub(crate) text: String,
    /// Its code.
    pub(crate) tokens: Vec<Token>,
    /// The module that it is, or `None` for a program of its own (`src/main.rs`, `src/bin/`).
    pub(crate) module: Option<Module>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let mut tokens = lexer::tokens(text);
        mark_tests(&mut tokens);
        Source { path: path.to_string(), text: text.to_string(), tokens, module: module_of(path) }
    }

    /// Whether this is a folder's `mod.rs`.
    pub(crate) fn is_door(&self) -> bool {
        self.path.ends_with("/mod.rs")
    }

    /// A complaint about a line of this file.
    pub(crate) fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// The texts of the integration tests, by module path below `tests/it/`: `faults::torn_tail`.
pub(crate) fn integration_tests(root: &Path) -> BTreeMap<String, String> {
    let folder = root.join("tests/it");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    let named = |file: PathBuf| {
        let name = file.strip_prefix(&folder).expect("the file was found there").with_extension("");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let module = name.display().to_string().replace(['/', '\\'], "::");
        (module.trim_end_matches("::mod").to_owned(), text)
    };
    files.into_iter().map(named).collect()
}

/// All files, sorted by path.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The files.
    pub(crate) sources: Vec<Source>,
}

impl Tree {
    /// What this crate is built from.
    pub(crate) fn of_this_crate() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        rust_files(&root.join("src"), &mut files);
        files.sort();
        let read = |file: &PathBuf| {
            let name = file.strip_prefix(root).expect("the file was found below the root");
            let text = std::fs::read_to_string(file)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
            (name.display().to_string().replace('\\', "/"), text)
        };
        let files: Vec<_> = files.iter().map(read).collect();
        assert!(!files.is_empty(), "no sources below {}", root.display());
        Tree::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// A tree of the given paths and texts.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
        let mut tree =
            Tree { sources: files.into_iter().map(|(path, text)| Source::new(path, text)).collect() };
        tree.mark_test_files();
        tree
    }

    /// The file that is `module`.
    pub(crate) fn find(&self, module: &[String]) -> Option<&Source> {
        self.sources.iter().find(|source| source.module.as_deref() == Some(module))
    }

    /// Marks whole files that are declared with `#[cfg(test)] mod name;`, and those below them.
    fn mark_test_files(&mut self) {
        let mut tests: BTreeSet<Module> = BTreeSet::new();
        for source in &self.sources {
            for window in source.tokens.windows(3) {
                if let ([keyword, name, end], Some(module)) = (window, &source.module)
                    && keyword.test
                    && keyword.text == "mod"
                    && end.text == ";"
                {
                    tests.insert(module.iter().chain([&name.text]).cloned().collect());
                }
            }
        }
        for source in &mut self.sources {
            let Some(module) = &source.module else { continue };
            if tests.iter().any(|test| module.starts_with(test)) {
                source.tokens.iter_mut().for_each(|token| token.test = true);
            }
        }
    }
}

/// Collects the `.rs` files below `folder`.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display())).path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module that a file is.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    if inside == "main" || inside.starts_with("bin/") {
        return None;
    }
    let module = if inside == "lib" { "" } else { inside.trim_end_matches("/mod") };
    Some(module.split('/').filter(|part| !part.is_empty()).map(str::to_string).collect())
}

/// Marks each item under `#[cfg(test)]` or `#[cfg(all(test, …))]`, attribute included.
fn mark_tests(tokens: &mut [Token]) {
    let mut at = 0;
    while let Some(rest) = tokens.get_mut(at..)
        && !rest.is_empty()
    {
        let texts: Vec<&str> = rest.iter().take(7).map(|token| token.text.as_str()).collect();
        let is_test = matches!(texts[..], ["#", "[", "cfg", "(", "test", ")", ..])
            || matches!(texts[..], ["#", "[", "cfg", "(", "all", "(", "test"]);
        let count = if is_test { item_tokens(rest) } else { 1 };
        rest.iter_mut().take(count).for_each(|token| token.test |= is_test);
        at += count;
    }
}

/// How many tokens the item takes that `tokens` begins with: its attributes, then up to its `;` or closing brace.
fn item_tokens(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" if depth == 0 => return at.max(1),
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> Vec<String> {
        let source = Source::new("src/a.rs", text);
        source
            .tokens
            .into_iter()
            .filter(|token| token.test && token.is_name())
            .map(|token| token.text)
            .collect()
    }

    #[test]
    fn only_items_for_tests_are_marked() {
        assert_eq!(
            marked("fn a() {} #[cfg(test)] mod t { fn b() { if c {} } } fn d() {}"),
            ["cfg", "test", "mod", "t", "fn", "b", "if", "c"]
        );
        assert_eq!(marked("#[cfg(test)] #[path = \"x\"] mod t; mod u;"), ["cfg", "test", "path", "mod", "t"]);
        assert_eq!(marked("#[cfg(all(test, unix))] fn a() -> [u8; 2] {} fn b() {}").last().unwrap(), "u8");
        assert!(marked("#[cfg(not(test))] fn a() {} #[cfg(any(test, unix))] fn b() {}").is_empty());
    }

    #[test]
    fn a_module_for_tests_in_its_own_file_is_marked() {
        let tree = Tree::new([
            ("src/log/mod.rs", "#[cfg(test)] mod torn; mod read;"),
            ("src/log/read.rs", "x"),
            ("src/log/torn.rs", "x"),
            ("src/log/torn/deep.rs", "x"),
        ]);
        let tests: Vec<_> = tree.sources.iter().map(|source| source.tokens.last().unwrap().test).collect();
        assert_eq!(tests, [false, false, true, true]);
    }

    #[test]
    fn files_are_modules() {
        let module = |path| module_of(path).map(|module| module.join("::"));
        assert_eq!(module("src/lib.rs").as_deref(), Some(""));
        assert_eq!(module("src/error.rs").as_deref(), Some("error"));
        assert_eq!(module("src/storage/mod.rs").as_deref(), Some("storage"));
        assert_eq!(module("src/storage/disk/file.rs").as_deref(), Some("storage::disk::file"));
        assert_eq!(module("src/bin/streamlog.rs"), None);
        assert_eq!(module("src/main.rs"), None);
    }
}
