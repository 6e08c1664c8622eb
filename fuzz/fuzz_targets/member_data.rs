//! The fuzzer's entry to `targets/member_data.rs`.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::member_data::run(data));
