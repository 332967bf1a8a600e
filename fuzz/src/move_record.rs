//! Records of moves, as a disk gives them back.

use dede_migration::check_record;

/// Reads the bytes as a record.
pub fn run(bytes: &[u8]) {
    let _ = check_record(&String::from_utf8_lossy(bytes));
}
