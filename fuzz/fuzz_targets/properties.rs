//! The fuzzer's entry to `targets/properties.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::properties::run(data));
