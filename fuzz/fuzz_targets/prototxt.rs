//! `cargo +nightly fuzz run --features libfuzzer prototxt`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::prototxt::run(bytes));
