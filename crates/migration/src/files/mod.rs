//! The directory that a move fills: what is there before, what the move puts there, and what of it is its own.
//!
//! It must not know phases, nor where the content comes from.

pub(crate) mod contents;
pub(crate) mod destination;
pub(crate) mod ownership;

/// Name of the file that says which move made a directory; it goes when the move is over.
pub(crate) const MARKER: &str = ".dede-move";
