//! Runs the fuzz targets over the inputs kept in `fuzz/corpus/`: seeds, and whatever once broke something.

use std::fs;
use std::path::Path;

use streamlog::Compression;

#[allow(unreachable_pub, dead_code, reason = "the fuzzers have these files as a library")]
#[path = "../fuzz/targets/lib.rs"]
mod targets;

/// Runs `target` over each file in `fuzz/corpus/<name>/`.
fn run_corpus(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = std::panic::catch_unwind(|| target(&data));
        assert!(outcome.is_ok(), "{name} panicked on {}", path.display());
        count += 1;
    }
    assert!(count > 0, "no inputs in {}", folder.display());
}

#[test]
fn batches_that_are_not_compressed() {
    run_corpus("batch_decode_none", |data| targets::batch_decode::run(Compression::None, data));
}

#[test]
fn batches_compressed_with_gzip() {
    run_corpus("batch_decode_gzip", |data| targets::batch_decode::run(Compression::Gzip, data));
}

#[test]
fn batches_compressed_with_snappy() {
    run_corpus("batch_decode_snappy", |data| targets::batch_decode::run(Compression::Snappy, data));
}

#[test]
fn batches_compressed_with_lz4() {
    run_corpus("batch_decode_lz4", |data| targets::batch_decode::run(Compression::Lz4, data));
}

#[test]
fn batches_compressed_with_zstd() {
    run_corpus("batch_decode_zstd", |data| targets::batch_decode::run(Compression::Zstd, data));
}

#[test]
fn hostile_indexes() {
    run_corpus("index_open", targets::index_open::run);
}

#[test]
fn damaged_segments() {
    run_corpus("segment_recovery", targets::segment_recovery::run);
}

#[test]
fn hostile_catalogs() {
    run_corpus("catalog_replay", targets::catalog_replay::run);
}

#[test]
fn hostile_offsets_of_groups() {
    run_corpus("offsets_replay", targets::offsets_replay::run);
}

#[test]
fn what_members_say_and_are_assigned() {
    run_corpus("member_data", targets::member_data::run);
}

#[test]
fn hostile_properties() {
    run_corpus("properties", targets::properties::run);
}

#[test]
fn programs_against_a_model() {
    run_corpus("engine", targets::engine::run);
}
