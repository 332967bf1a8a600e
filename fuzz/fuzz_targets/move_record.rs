//! `cargo +nightly fuzz run --features libfuzzer move_record`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::move_record::run(bytes));
