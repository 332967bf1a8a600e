//! What ONNX Runtime answers otherwise than ONNX says, without an error: found by the ONNX backend tests
//! (`tests/onnx/conformance.py`).
//!
//! A network that needs one of these is refused with the operator named. It must not know how the library is called.

use crate::neural::engine::scope::{Scope, each_operator};
use crate::neural::engine::{EngineError, resize};
use crate::neural::onnx_view::{NodeView, OnnxView};

/// Refuses a network that the library would not compute as ONNX says.
pub(super) fn check(view: &OnnxView<'_>) -> Result<(), EngineError> {
    each_operator(&Scope::of(&view.graph), &mut 0, &mut |_, node, scope| match gap(node, scope) {
        Some(problem) if node.is_standard() => {
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
        "ReduceMean" if is_centre_of_other_axis(node, scope) => {
            Some("without keepdims, taken from what it is the mean of, is computed as if it had it")
        }
        _ => resize::problem(node, scope),
    }
}

/// Whether a mean loses its axis, and is taken from its own input: what the library takes for the beginning of a normalisation.
fn is_centre_of_other_axis(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let loses = node.attribute("keepdims").and_then(|keeps| keeps.integer) == Some(0);
    let has_axes = node.attribute("axes").is_some() || node.inputs.len() > 1;
    let mut takers = node.outputs.iter().flat_map(|output| scope.takers(output));
    loses && has_axes && takers.any(|taker| taker.op == "Sub" && taker.inputs.first() == node.inputs.first())
}
