//! The fuzzer's entry to `targets/index_open.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::index_open::run(data));
