//! Rust source to tokens, just well enough to scan: names, numbers, punctuation.
//!
//! Comments and doc comments vanish; a string or character literal becomes one token, [`LITERAL`], so that nothing
//! inside it is mistaken for code. `::` is one token, every other punctuation mark is one per character.

/// What stands in the place of a string, byte string or character.
pub(crate) const LITERAL: &str = "\"\"";

/// A word or mark of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// As written; a raw name without its `r#`.
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Whether it is compiled for tests alone; see [`Source`](crate::source::Source), which finds out.
    pub(crate) test: bool,
}

impl Token {
    /// Whether this is a name or a keyword.
    pub(crate) fn is_name(&self) -> bool {
        self.text.starts_with(|first: char| first == '_' || first.is_alphabetic())
    }
}

/// The tokens of `text`, in order.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut cursor = Cursor { rest: text, line: 1 };
    let mut tokens = Vec::new();
    while let Some(first) = cursor.rest.chars().next() {
        let line = cursor.line;
        if let Some(text) = cursor.next(first) {
            tokens.push(Token { text, line, test: false });
        }
    }
    tokens
}

/// What is left to read.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl Cursor<'_> {
    /// The token that begins with `first`, or `None` for white space and comments.
    fn next(&mut self, first: char) -> Option<String> {
        if first.is_whitespace() {
            self.take(first.len_utf8());
            return None;
        }
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            return None;
        }
        if self.rest.starts_with("/*") {
            self.block_comment();
            return None;
        }
        if let Some(bytes) = string_bytes(self.rest).or_else(|| character_bytes(self.rest)) {
            self.take(bytes);
            return Some(LITERAL.to_string());
        }
        let word =
            |text: &str| text.find(|next: char| next != '_' && !next.is_alphanumeric()).unwrap_or(text.len());
        if let Some(raw) = self.rest.strip_prefix("r#") {
            let text = self.take(2 + word(raw));
            return Some(text.trim_start_matches("r#").to_string());
        }
        let bytes = match first {
            '\'' => 1 + self.rest.get(1..).map_or(0, word),
            ':' if self.rest.starts_with("::") => 2,
            _ => word(self.rest).max(first.len_utf8()),
        };
        Some(self.take(bytes).to_string())
    }

    /// Skips a block comment with those nested in it.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(first) = self.rest.chars().next() {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.take(first.len_utf8());
            }
        }
    }

    /// Consumes `bytes` bytes, or all that is left, and counts the lines in them.
    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }
}

/// The length of the string literal that `text` begins with, prefix and quotes included.
fn string_bytes(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.starts_with('"') || (prefix.ends_with('r') && rest.trim_start_matches('#').starts_with('"'))
        })
    })?;
    let body = text.strip_prefix(prefix)?;
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let open = prefix.len() + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let inside = text.get(open..)?;
        return Some(inside.find(&close).map_or(text.len(), |at| open + at + close.len()));
    }
    let mut escaped = false;
    for (at, next) in body.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of the character literal that `text` begins with; `None` for a lifetime.
fn character_bytes(text: &str) -> Option<usize> {
    let body = text.strip_prefix('b').unwrap_or(text).strip_prefix('\'')?;
    let open = text.len() - body.len();
    let mut inside = body.char_indices();
    let (_, first) = inside.next()?;
    if first == '\\' {
        let (escape, _) = inside.nth(1)?;
        return Some(open + escape + body.get(escape..)?.find('\'')? + 1);
    }
    let (close, quote) = inside.next()?;
    (quote == '\'').then_some(open + close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        for sample in
            ["a // unsafe\nb", "a /// unsafe\nb", "a /* unsafe /* unsafe */ unsafe */ b", "//! unsafe\na b"]
        {
            assert_eq!(texts(sample), ["a", "b"], "{sample}");
        }
        for sample in [
            r#"a "unsafe \" unsafe" b"#,
            r##"a r#"unsafe " unsafe"# b"##,
            r#"a br"unsafe\" b"#,
            r#"a b"unsafe" b"#,
            r"a '\'' b",
            r"a '\u{1f600}' b",
            r"a b'\\' b",
            "a '\"' b",
            "a 'é' b",
        ] {
            assert_eq!(texts(sample), ["a", LITERAL, "b"], "{sample}");
        }
    }

    #[test]
    fn lifetimes_names_and_paths_are_kept() {
        assert_eq!(texts("&'a r#type::b<'_>"), ["&", "'a", "type", "::", "b", "<", "'_", ">"]);
        assert_eq!(texts("1..0x2_u8"), ["1", ".", ".", "0x2_u8"]);
        assert_eq!(texts("break 'outer; ';'"), ["break", "'outer", ";", LITERAL]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let tokens = tokens("a /*\n*/ b\n\"\n\n\" c");
        let lines: Vec<_> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
    }
}
