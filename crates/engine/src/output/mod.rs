//! From outputs to the answer of a predict: sorting, thresholds, names (contract.md part 5).
//!
//! It owns `parameters.output` and the shape of predictions; it must not know networks or HTTP.

mod answer;
mod keys;
mod options;
mod render;
mod template;

pub use answer::{through_template, whole};
pub use keys::KEYS;
pub use options::{Binarized, OutputOptions};
pub use render::{render, rendered_bytes};
