//! The fuzzer's entry to `targets/batch_decode.rs`.

#![no_main]

#[path = "../targets/batch_decode.rs"]
mod batch_decode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| batch_decode::run(data));
