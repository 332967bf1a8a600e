//! Values of attributes, by their kinds.
//!
//! It must not know operators.

use crate::neural::onnx_view::NodeView;

/// Value of an attribute that is a whole number.
pub(super) fn integer(node: &NodeView<'_>, name: &str) -> Option<i64> {
    node.attribute(name)?.integer
}

/// Value of an attribute that is a list of whole numbers.
pub(super) fn integers(node: &NodeView<'_>, name: &str) -> Option<Vec<i64>> {
    node.attribute(name).map(|attribute| attribute.integers.clone())
}
