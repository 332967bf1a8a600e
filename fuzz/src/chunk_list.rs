//! Lists of the chunks of a file, as a source of a move sends them.

use dede_bundle::chunks::ChunkList;

/// Reads the bytes as a list; what is a list is written as it was read.
pub fn run(bytes: &[u8]) {
    if let Ok(list) = ChunkList::parse(bytes) {
        let again = ChunkList::parse(&list.to_bytes()).expect("what was written is read");
        assert_eq!(again.to_bytes(), list.to_bytes());
    }
}
