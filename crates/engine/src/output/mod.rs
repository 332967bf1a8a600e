//! `parameters.output`: how answers are wanted (contract.md part 5), and what rendering them takes.
//!
//! Protocols render; this module must not know any, nor networks.

mod keys;
mod listed;
mod options;
mod size;

pub use keys::KEYS;
pub use listed::{Listed, listed};
pub use options::{Binarized, OutputOptions};
pub use size::rendered_bytes;
