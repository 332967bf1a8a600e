//! What holds for the source of all crates, and for what they depend on.

mod dependencies;
mod imports;
