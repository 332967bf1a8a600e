//! ONNX files (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>): written from a [`crate::Graph`], read back when we
//! wrote them, looked into and given further outputs whoever wrote them. It owns ONNX's field numbers, and how each layer
//! becomes operators that every engine computes right; it runs nothing.

mod amend;
mod export;
mod fold;
mod format;
mod inspect;
mod lower;

mod read;
mod rewrite;

pub use crate::operators::{Attribute, Operator};
pub use amend::{Outside, with_extra_output, with_weights_outside};
pub use export::{ExportOptions, export};
pub use inspect::{ModelSummary, ValueSummary, inspect};
pub use read::import;
pub use rewrite::{Change, ExternalFile, Rewrite};

#[cfg(test)]
mod tests;
