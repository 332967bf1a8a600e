//! What a blob is, wherever it lies: its digest and its size.

use crate::digest::Digest;

/// Content by its digest and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its sha256.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}
