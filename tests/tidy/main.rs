//! Guards on how the sources are laid out: what STYLE and ARCHITECTURE promise and the compiler does not check.
//!
//! Every rule is a function from the tree of sources to a list of complaints, each naming file and line and saying
//! what to do. A rule's own tests, at the foot of its file, feed it a bad sample and see it complain: a guard that
//! cannot fail guards nothing.
//!
//! - [`floors`]: a floor imports only what is below it; an optional floor is imported by none.
//! - [`cycles`]: no modules that need each other, at any depth.
//! - [`shape`]: headers, doors, lengths, and modules named by an idea.
//! - [`names`]: one word per idea.
//! - [`named_tests`]: the tests that docs/durability.md names.
//! - [`places`]: unsafe code, the disk and the machine's clock stay where they belong.
//!
//! Below them, [`lexer`] and [`source`] read the files, [`paths`] finds what they name. It is no compiler: a call of
//! a method needs no import and is not seen, and what a macro writes is not expanded.

mod cycles;
mod floors;
mod lexer;
mod named_tests;
mod names;
mod paths;
mod places;
mod shape;
mod source;

use std::path::Path;

use source::Tree;

/// Fails with every complaint that `rule` has about the crate's own sources.
fn check(rule: fn(&Tree) -> Vec<String>) {
    let complaints = rule(&Tree::of_this_crate());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn floors_import_only_downward() {
    check(floors::upward_imports);
}

#[test]
fn no_modules_need_each_other() {
    check(cycles::cycles);
}

#[test]
fn every_file_opens_with_a_header() {
    check(shape::missing_headers);
}

#[test]
fn mod_rs_files_are_doors() {
    check(shape::logic_in_doors);
}

#[test]
fn files_hold_one_idea() {
    check(shape::long_files);
}

#[test]
fn modules_are_named_by_their_idea() {
    check(shape::nameless_modules);
}

#[test]
fn one_word_per_idea() {
    check(names::foreign_words);
}

#[test]
fn unsafe_code_stays_in_one_file() {
    check(places::unsafe_code);
}

#[test]
fn only_storage_touches_the_disk() {
    check(places::disk_access);
}

#[test]
fn only_the_clock_asks_for_the_time() {
    check(places::clock_reads);
}

#[test]
fn tests_that_the_durability_page_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = "docs/durability.md";
    let text = std::fs::read_to_string(root.join(page)).expect("the page is part of the repository");
    let complaints = named_tests::missing_tests(page, &text, &source::integration_tests(root));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
