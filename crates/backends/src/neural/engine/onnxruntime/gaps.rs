//! What ONNX Runtime answers otherwise than ONNX says, without an error: found by the ONNX backend tests
//! (`tests/onnx/conformance.py`).
//!
//! A network that needs one of these is refused with the operator named. It must not know how the library is called.

use crate::neural::engine::scope::{Scope, each_operator, is_standard};
use crate::neural::engine::{EngineError, resize};
use crate::neural::onnx_view::{NodeView, OnnxView};

/// Refuses a network that the library would not compute as ONNX says.
pub(super) fn check(view: &OnnxView<'_>) -> Result<(), EngineError> {
    each_operator(&Scope::of(&view.graph, None), &mut 0, &mut |_, node, scope| match gap(node, scope) {
        Some(problem) if is_standard(node) => {
            let reason = format!("the engine onnxruntime cannot run this network: operator {} {problem}", node.op);
            Err(EngineError::at(node.shown_name(), reason))
        }
        _ => Ok(()),
    })
}

fn gap(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    match node.op {
        "MaxUnpool" if node.inputs.get(2).is_some_and(|shape| !shape.is_empty()) => {
            Some("with output_shape is computed wrongly")
        }
        _ => resize::problem(node, scope),
    }
}
