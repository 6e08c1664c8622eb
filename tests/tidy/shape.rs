//! What a file looks like from outside: its header, its length, its name; and `mod.rs`, which is a door.

use crate::lexer::Token;
use crate::source::Tree;

/// The most lines of a file before its tests.
const LINES_MAX: usize = 800;

/// Names of modules that say nothing, plural and singular.
const NAMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "type", "types"];

/// Every file's first line is the first of its `//!` header.
pub(crate) fn missing_headers(tree: &Tree) -> Vec<String> {
    let bare = tree.sources.iter().filter(|source| {
        let header = source.text.lines().next().and_then(|line| line.strip_prefix("//!"));
        header.is_none_or(|idea| idea.trim().is_empty())
    });
    bare.map(|source| {
        source.complain(
            1,
            "no header: open with `//!` and the file's idea in one sentence, then what always holds",
        )
    })
    .collect()
}

/// A `mod.rs` holds attributes, docs, `mod name;` and `use`.
pub(crate) fn logic_in_doors(tree: &Tree) -> Vec<String> {
    let doors = tree.sources.iter().filter(|source| source.is_door());
    let logic = doors.filter_map(|source| Some((source, first_logic(&source.tokens)?)));
    logic
        .map(|(source, token)| {
            let what = format!("`{}` in a door: move it to a file named by its idea", token.text);
            source.complain(token.line, &what)
        })
        .collect()
}

/// The first token that is part of no attribute, `mod name;` or `use`.
fn first_logic(tokens: &[Token]) -> Option<&Token> {
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let find = |text| rest.iter().position(|token| token.text == text).unwrap_or(rest.len());
        let count = match first.text.as_str() {
            "#" => attribute_tokens(rest),
            "pub" if rest.get(1).is_some_and(|next| next.text == "(") => find(")") + 1,
            "pub" => 1,
            "mod" if find(";") == 2 => 3,
            "use" => find(";") + 1,
            _ => return Some(first),
        };
        rest = rest.get(count..).unwrap_or_default();
    }
    None
}

/// How many tokens the attribute takes that `tokens` begins with.
fn attribute_tokens(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "[" => depth += 1,
            "]" if depth == 1 => return at + 1,
            "]" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// No file is longer than [`LINES_MAX`] before its module of tests.
pub(crate) fn long_files(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in &tree.sources {
        let lines = tests_line(&source.tokens).map_or(source.text.lines().count(), |line| line - 1);
        if lines > LINES_MAX {
            let what =
                format!("{lines} lines before its tests, over {LINES_MAX}: find the second idea in it");
            complaints.push(source.complain(LINES_MAX + 1, &what));
        }
    }
    complaints
}

/// The line where `#[cfg(test)] mod` begins; `None` too for a file that is tests from its first token.
fn tests_line(tokens: &[Token]) -> Option<usize> {
    let module = tokens.iter().position(|token| token.test && token.text == "mod")?;
    let code = tokens.iter().take(module).rposition(|token| !token.test)?;
    tokens.get(code + 1).map(|token| token.line)
}

/// No file or folder is named by what it is not.
pub(crate) fn nameless_modules(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in &tree.sources {
        let parts = source.path.trim_end_matches(".rs").split('/').map(|part| (part, 1));
        let keywords = source.tokens.iter().zip(source.tokens.iter().skip(1));
        let declared = keywords.filter(|(keyword, _)| keyword.text == "mod");
        let declared = declared.map(|(_, name)| (name.text.as_str(), name.line));
        for (name, line) in parts.chain(declared).filter(|(name, _)| NAMELESS.contains(name)) {
            let what = format!("a module named `{name}`: what is in it has a noun of its own, find it");
            complaints.push(source.complain(line, &what));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str) -> usize {
        rule(&Tree::new([(path, text)])).len()
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        let bare = |text| count(missing_headers, "src/a.rs", text);
        for sample in
            ["", "use std::io;", "//!\n", "// A comment.\n", "\n//! Too late.\n", "/// Not of the file.\n"]
        {
            assert_eq!(bare(sample), 1, "{sample:?}");
        }
        assert_eq!(bare("//! An idea.\n"), 0);
    }

    #[test]
    fn logic_in_a_door_is_found() {
        let logic = |text| count(logic_in_doors, "src/log/mod.rs", text);
        for sample in [
            "mod a; fn f() {}",
            "pub(crate) struct S;",
            "const A: u8 = 1;",
            "mod a { pub(crate) fn f() {} }",
            "#[cfg(test)] mod tests {}",
            "impl S {}",
            "thread_local! {}",
        ] {
            assert_eq!(logic(sample), 1, "{sample}");
        }
        assert_eq!(
            logic(
                "//! A.\n#![expect(a[0])]\n#[cfg(unix)] mod a; pub mod b; pub(in crate::log) use a::{B, c::*};"
            ),
            0
        );
        assert_eq!(count(logic_in_doors, "src/log/read.rs", "fn f() {}"), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = |text: &str| count(long_files, "src/a.rs", text);
        assert_eq!(long(&"a;\n".repeat(LINES_MAX)), 0);
        assert_eq!(long(&"a;\n".repeat(LINES_MAX + 1)), 1);
        let tests = "#[cfg(test)]\nmod tests {\n".to_string() + &"a;\n".repeat(LINES_MAX) + "}\n";
        assert_eq!(long(&("a;\n".repeat(LINES_MAX) + &tests)), 0);
        assert_eq!(long(&("a;\n".repeat(LINES_MAX + 1) + &tests)), 1);
        assert_eq!(long(&("#[cfg(test)]\nuse b;\n".to_string() + &"a;\n".repeat(LINES_MAX))), 1);
    }

    #[test]
    fn a_module_without_a_noun_is_found() {
        for path in ["src/utils.rs", "src/log/helper.rs", "src/log/common/mod.rs", "src/types/offset.rs"] {
            assert_eq!(count(nameless_modules, path, ""), 1, "{path}");
        }
        assert_eq!(count(nameless_modules, "src/a.rs", "mod misc { }"), 1);
        assert_eq!(count(nameless_modules, "src/commons.rs", "mod typed;"), 0);
    }
}
