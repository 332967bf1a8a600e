//! What holds for the source of all crates.

mod imports;
