//! ONNX files.

use dede_backends::neural::onnx_view::OnnxView;
use dede_graph::onnx::{import, inspect};

/// Looks at the bytes as every reader of this server does.
pub fn run(bytes: &[u8]) {
    let _ = inspect(bytes);
    let _ = import(bytes);
    let _ = OnnxView::parse(bytes).map(|view| view.graph.nodes.len());
}
