//! A test that a page names is there.

use std::collections::BTreeMap;

/// The page's names of tests, `faults::torn_tail::a_tail_…` in backticks, that are in no file below `tests/it/`.
///
/// `tests` are the files, by their module paths: `faults::torn_tail`.
pub(crate) fn missing_tests(page: &str, text: &str, tests: &BTreeMap<String, String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        for name in text.split('`').skip(1).step_by(2).filter(|name| is_test_path(name)) {
            let Some((module, function)) = name.rsplit_once("::") else { continue };
            let is_there = tests.get(module).is_some_and(|test| test.contains(&format!("fn {function}(")));
            if !is_there {
                complaints.push(format!("{page}:{line}: no test {name}: name the one that executes this"));
            }
        }
    }
    complaints
}

/// Lower-case words joined by `::`; a type's method is written otherwise.
fn is_test_path(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    name.contains("::") && name.split("::").all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_named() {
        let tests = BTreeMap::from([("roll".to_owned(), "#[test]\nfn it_rolls() {}".to_owned())]);
        let missing = |text| missing_tests("page", text, &tests);
        assert!(missing("rolled (`roll::it_rolls`), by `Log::roll`, not `roll`").is_empty());
        assert_eq!(missing("a\n`roll::it_stops`").len(), 1);
        assert_eq!(missing("`other::it_rolls` and `roll::it_roll`").len(), 2);
    }
}
