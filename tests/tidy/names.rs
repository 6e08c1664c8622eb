//! One word per idea: declared names do not use another field's word for ours.
//!
//! A name is cut into its snake or camel parts, so `gc` is found in `GcPlan` and not in `debugging`. Names of tests
//! count too, they are read like the rest. What is declared is looked at, not what is used: other crates' names are
//! theirs.

use std::collections::BTreeSet;

use crate::lexer::Token;
use crate::source::{Source, Tree};

/// The words that are not ours, and ours for the same idea.
const FOREIGN: &[(&str, &str)] = &[
    ("message", "record"),
    ("event", "record"),
    ("rotate", "roll"),
    ("purge", "truncate_to, advance_start or retention"),
    ("gc", "retention or compaction"),
];

/// What the broker tells its listener are events (`BrokerBuilder::on_event`): no record, and Kafka has no word.
const EVENTS_IN: &str = "src/broker/";

/// Settings that users know by these names; a name may contain one, as in `DEFAULT_MAX_MESSAGE_BYTES`.
const KAFKA_SETTINGS: &[&str] = &[
    "flush_messages",
    "flush_interval_messages",
    "max_message_bytes",
    "message_downconversion_enable",
    "message_format_version",
    "message_max_bytes",
    "message_timestamp_after_max",
    "message_timestamp_before_max",
    "message_timestamp_difference_max",
    "message_timestamp_type",
];

/// The rule.
pub(crate) fn foreign_words(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in &tree.sources {
        for name in declared(source) {
            for (foreign, ours) in foreign_in(&source.path, &name.text) {
                let what = format!("`{}` says `{foreign}`: our word is {ours}", name.text);
                complaints.push(source.complain(name.line, &what));
            }
        }
    }
    complaints
}

/// Which of [`FOREIGN`] are in `name`.
fn foreign_in(path: &str, name: &str) -> Vec<(&'static str, &'static str)> {
    let mut spelled = format!("_{}_", words(name).join("_"));
    for setting in KAFKA_SETTINGS {
        spelled = spelled.replace(&format!("_{setting}_"), "_");
    }
    let words: BTreeSet<&str> = spelled.split('_').collect();
    let has = |foreign: &str| {
        words.iter().any(|word| word.trim_end_matches(['s', 'd']) == foreign.trim_end_matches(['s', 'd']))
    };
    let found = FOREIGN.iter().filter(|(foreign, _)| has(foreign));
    found.filter(|(foreign, _)| !(*foreign == "event" && path.starts_with(EVENTS_IN))).copied().collect()
}

/// `MaxGCPause_bytes` is max, gc, pause, bytes.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied().unwrap_or('_');
        let after = letters.get(at + 1).copied().unwrap_or('_');
        let begins = letter.is_uppercase() && (!before.is_uppercase() || after.is_lowercase());
        if *letter == '_' || begins {
            words.push(String::new());
        }
        if let (Some(word), true) = (words.last_mut(), *letter != '_') {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The names that `source` declares: items, fields, variants, macros.
fn declared(source: &Source) -> Vec<&Token> {
    let tokens = &source.tokens;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = match token.text.as_str() {
            // `*const T` is a type.
            "const" | "static" if at > 0 && text(at - 1) == "*" => continue,
            "static" if text(at + 1) == "mut" => at + 2,
            "macro_rules" if text(at + 1) == "!" => at + 2,
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" | "mod" => at + 1,
            _ => continue,
        };
        names.extend(tokens.get(name).filter(|token| token.is_name()));
        if let "struct" | "enum" | "union" = token.text.as_str() {
            names.extend(members(tokens.get(name..).unwrap_or_default(), token.text == "enum"));
        }
    }
    names
}

/// The fields, or variants and their fields, of the type whose declaration goes on with `tokens`.
fn members(tokens: &[Token], is_enum: bool) -> Vec<&Token> {
    // A tuple's type, or an empty one, ends before any brace.
    let Some(open) = tokens.iter().position(|token| matches!(token.text.as_str(), "{" | ";")) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut nesting = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map_or("", |token| token.text.as_str());
        let after = tokens.get(at + 1).map_or("", |token| token.text.as_str());
        match token.text.as_str() {
            ";" if nesting.is_empty() => break,
            "{" | "(" | "[" => nesting.push(token.text.as_str()),
            "}" | ")" | "]" => {
                nesting.pop();
                if nesting.is_empty() {
                    break;
                }
            }
            _ if !token.is_name() => {}
            _ if nesting.iter().all(|open| *open == "{") && after == ":" => names.push(token),
            _ if is_enum && nesting == ["{"] && matches!(before, "{" | "," | "]") => names.push(token),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        foreign_words(&Tree::new([(path, text)]))
    }

    #[test]
    fn every_kind_of_declaration_is_looked_at() {
        for sample in [
            "fn send_message() {}",
            "struct EventLoop;",
            "struct Log { pub(crate) gc_bytes: u64 }",
            "struct Log<T: Fn(u8)> where T: A { a: Vec<(u8, u8)>, #[b(c)] messages: T }",
            "enum Step { Roll, Rotate }",
            "enum Step { #[a] Purged { b: u8 } }",
            "enum Step { Roll { a: u8, event: [u8; 2] }, B(u8) }",
            "trait Purge {}",
            "type Message = u8;",
            "const MESSAGE_MAX: u8 = 1;",
            "static mut EVENTS: u8 = 1;",
            "mod gc;",
            "macro_rules! event { () => {} }",
            "#[cfg(test)] mod tests { fn a_message_is_kept() {} }",
        ] {
            let found = complaints("src/log/read.rs", sample);
            assert_eq!(found.len(), 1, "{sample}: {found:?}");
        }
        let found = complaints("src/log/read.rs", "\nstruct Events;");
        assert_eq!(found, ["src/log/read.rs:2: `Events` says `event`: our word is record"]);
    }

    #[test]
    fn what_is_used_or_has_a_reason_is_fine() {
        for (path, sample) in [
            (
                "src/log/read.rs",
                "fn f(message: &str) { rotate_left(purge); let event: u8 = Event { gc: 1 }; }",
            ),
            (
                "src/log/read.rs",
                "struct Debugging; fn eventual() {} const T: *const Event = 1; // struct Event",
            ),
            ("src/log/read.rs", "struct Pair(event::Event); enum Step { Roll(Event) }"),
            ("src/topic/config.rs", "fn max_message_bytes() {} enum MessageTimestampType {}"),
            ("src/topic/config.rs", "const DEFAULT_MAX_MESSAGE_BYTES: u8 = 1;"),
            ("src/broker/builder.rs", "fn on_event() {} enum BrokerEvent {}"),
        ] {
            assert_eq!(complaints(path, sample), [""; 0], "{sample}");
        }
        assert_eq!(complaints("src/broker/builder.rs", "fn on_message() {}").len(), 1);
    }

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words("MaxGCPause_bytes"), ["max", "gc", "pause", "bytes"]);
        assert_eq!(words("DEFAULT_GC"), ["default", "gc"]);
    }
}
