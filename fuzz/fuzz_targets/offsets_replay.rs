//! The fuzzer's entry to `targets/offsets_replay.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::offsets_replay::run(data));
