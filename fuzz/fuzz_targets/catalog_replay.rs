//! The fuzzer's entry to `targets/catalog_replay.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::catalog_replay::run(data));
