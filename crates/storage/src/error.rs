//! What the system says of a file, and about which.

use std::io;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{context}: {source}")]
pub struct Error {
    /// Verb and object, with the path: "write /models/a/config.json".
    pub context: String,
    /// What the system said.
    pub source: io::Error,
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn at(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |source| Self { context, source }
    }
}
