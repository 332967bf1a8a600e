//! The one error of this crate. It owns the wording of where something is wrong (file, line, layer); it knows nothing of
//! HTTP codes, which the callers choose.

/// What is wrong with a network, its weights or the file it comes from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A layer that cannot be built, or whose inputs or weights do not fit.
    #[error("layer {layer:.64}: {message}")]
    Layer {
        /// Name of the layer; as long as the file has it, of which 64 characters are shown.
        layer: String,
        /// What was expected and what was found.
        message: String,
    },
    /// Something wrong with the network as a whole.
    #[error("network: {0}")]
    Network(String),
    /// A text file that does not follow its grammar.
    #[error("line {line}: {message}")]
    Text {
        /// Line, counted from 1.
        line: usize,
        /// What was expected and what was found.
        message: String,
    },
    /// A binary file that does not follow its format.
    #[error("{0}")]
    Format(String),
    /// An error together with the file it was found in.
    #[error("{file}: {source}")]
    File {
        /// The file as the caller named it.
        file: String,
        /// What is wrong in it.
        source: Box<Error>,
    },
}

impl Error {
    /// An error about one layer.
    pub fn layer(layer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Layer { layer: layer.into(), message: message.into() }
    }

    /// The same error, naming the file it was found in.
    #[must_use]
    pub fn in_file(self, file: impl Into<String>) -> Self {
        Self::File { file: file.into(), source: Box::new(self) }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
