//! `cargo +nightly fuzz run --features libfuzzer onnx`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::onnx::run(bytes));
