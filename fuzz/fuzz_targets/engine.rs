//! The fuzzer's entry to `targets/engine/`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::engine::run(data));
