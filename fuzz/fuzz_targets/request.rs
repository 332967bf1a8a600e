//! `cargo +nightly fuzz run --features libfuzzer request`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::request::run(bytes));
