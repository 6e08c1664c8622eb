//! The fuzzer's entry to `targets/batch_decode.rs`, for batches compressed with snappy.

#![no_main]

mod allocator;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::batch_decode::run(streamlog::Compression::Snappy, data));
