//! `cargo +nightly fuzz run --features libfuzzer caffemodel`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::caffemodel::run(bytes));
