//! Runs the fuzz targets over the inputs kept in `fuzz/corpus/`: seeds, and whatever once broke something.

use std::fs;
use std::path::Path;

#[path = "../fuzz/targets/batch_decode.rs"]
mod batch_decode;

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
fn batch_decode_survives_its_corpus() {
    run_corpus("batch_decode", batch_decode::run);
}
