//! Along which axes an operator of the end of a network works: those of the items, of the classes, or one that says nothing.
//!
//! A softmax over the items of a request makes no probabilities of classes, and its numbers depend on what else was sent. It owns the
//! defaults of the attributes, by version of the operator set. It must not know what the operators compute.

use super::producers::Producers;
use crate::neural::onnx_view::{Dimension, GraphView, NodeView};

/// First version of the operator set whose Softmax knows one axis; before, it takes all from that axis on, the second by default.
const ONE_AXIS: i64 = 13;

/// The axes of a graph's values, as far as the file says them.
pub(super) struct Axes<'v, 'a> {
    graph: &'v GraphView<'a>,
    opset: i64,
}

impl<'v, 'a> Axes<'v, 'a> {
    pub(super) fn of(graph: &'v GraphView<'a>, opset: i64) -> Self {
        Self { graph, opset }
    }

    /// Why a node of kind Softmax makes no shares of classes; `None` where it does.
    pub(super) fn softmax_problem(&self, node: &NodeView<'_>) -> Option<String> {
        let opset = node.attribute("opset").and_then(|opset| opset.integer).unwrap_or(self.opset);
        let (default, takes_rest) = match node.op {
            "BiasSoftmax" => (1, true),
            _ if opset < ONE_AXIS => (1, true),
            _ => (-1, false),
        };
        let axis = node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(default);
        self.along(node, axis, takes_rest)
    }

    /// Why a node that divides by a norm along one axis makes no shares of classes; `None` where it does.
    pub(super) fn norm_problem(&self, node: &NodeView<'_>) -> Option<String> {
        let axis = node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(-1);
        self.along(node, axis, false)
    }

    fn along(&self, node: &NodeView<'_>, axis: i64, takes_rest: bool) -> Option<String> {
        let dims = self.dims(node);
        let rank = dims.map(<[_]>::len);
        let place = match (axis, rank) {
            (0.., _) => usize::try_from(axis).ok(),
            (_, Some(rank)) => i64::try_from(rank).ok().and_then(|rank| usize::try_from(rank + axis).ok()),
            (-1, None) => return None,
            (_, None) => {
                return Some(format!("along axis {axis} of a value whose number of axes the file does not say"));
            }
        };
        match place {
            // A value of one axis has no axis of items.
            Some(0) if rank != Some(1) => Some(format!("along axis {axis}, the items of a request")),
            Some(place) if !takes_rest && dims.is_some_and(|dims| is_idle(dims, place)) => {
                Some(format!("along axis {axis}, on which there is one number alone"))
            }
            _ => None,
        }
    }

    /// Axes of what a node makes or takes.
    fn dims(&self, node: &NodeView<'_>) -> Option<&'v [Dimension<'a>]> {
        let mut values = node.outputs.first().into_iter().chain(node.inputs.first());
        values.find_map(|value| self.graph.value(value)?.dims.as_deref())
    }
}

/// Whether an axis has one place, and another behind the items has more.
fn is_idle(dims: &[Dimension<'_>], place: usize) -> bool {
    let one = Dimension::Fixed(1);
    dims.get(place) == Some(&one) && dims.iter().skip(1).any(|dim| *dim != one)
}

/// Whether a node sums, averages or compares over the items of a request: along axis 0, or along all of them.
pub(super) fn goes_over_items(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let of_attribute = node.attribute("axes").map(|axes| axes.integers.clone());
    let input = node.inputs.get(1).filter(|axes| !axes.is_empty());
    let axes = match (of_attribute, input) {
        (Some(axes), _) => Some(axes),
        // Axes that are computed, or held elsewhere, are not known.
        (None, Some(axes)) => match producers.integers(axes) {
            Some(axes) => Some(axes),
            None => return false,
        },
        (None, None) => None,
    };
    axes.filter(|axes| !axes.is_empty()).is_none_or(|axes| axes.contains(&0))
}
