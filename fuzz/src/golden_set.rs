//! Golden sets, as a source of a move sends them.

use dede_migration::GoldenSet;

/// Reads the bytes as a set, in either format.
pub fn run(bytes: &[u8]) {
    let _ = GoldenSet::read(&String::from_utf8_lossy(bytes));
}
