//! Resizing with `align_corners` by scales, of which engines make sizes that are rounded, and ONNX's tests positions that are not.
//!
//! It owns the question whether both come to the same.

use super::scope::Scope;
use crate::neural::onnx_view::NodeView;

/// Why no engine may run a Resize; `None` where all agree.
pub(super) fn problem(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    let mode = node.attribute("coordinate_transformation_mode").and_then(|mode| mode.text);
    if node.op != "Resize" || mode != Some(b"align_corners") {
        return None;
    }
    let scales = node.inputs.get(2).filter(|name| !name.is_empty())?;
    let are_whole = scope.constant(scales).is_some_and(|scales| {
        let scales = scales.raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let dims = scope.dims(node, 0);
        let size = |axis: usize| dims.as_ref().and_then(|dims| dims.get(axis).copied().flatten());
        let mut whole = scales.enumerate().map(|(axis, scale)| (scale * size(axis).unwrap_or(1) as f32).fract() == 0.0);
        whole.clone().count() > 0 && whole.all(|whole| whole)
    });
    (!are_whole).then_some(
        "with coordinate_transformation_mode align_corners and scales that may make no whole sizes is computed wrongly",
    )
}
