//! `cargo +nightly fuzz run --features libfuzzer chunk_list`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dede_fuzz::chunk_list::run(bytes));
