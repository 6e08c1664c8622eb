//! The fuzzer's entry to `targets/segment_recovery.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::segment_recovery::run(data));
