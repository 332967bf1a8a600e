//! `cargo +nightly fuzz run --features libfuzzer golden_set`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::golden_set::run(bytes));
