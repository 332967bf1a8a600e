//! From outputs to the answer of a predict: sorting, thresholds, names (contract.md part 5).
//!
//! It owns `parameters.output` and the shape of predictions; it must not know networks or HTTP.

mod options;
mod render;

pub use options::OutputOptions;
pub use render::render;
