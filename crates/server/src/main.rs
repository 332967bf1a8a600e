//! The `dede` binary.
fn main() {}
