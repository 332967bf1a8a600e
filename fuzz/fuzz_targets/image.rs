//! `cargo +nightly fuzz run --features libfuzzer image`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::image::run(bytes));
