//! Along which axes an operator of the end of a network works: those of the items, of the classes, or one that says nothing.
//!
//! What goes along the items of a request makes no probabilities of classes, and its numbers depend on what else was sent. It owns the
//! defaults of the attributes, by version of the operator set. It must not know what the operators compute.

use super::producers::Producers;
use crate::neural::onnx_view::{Dimension, NodeView, SOFTMAX_OF_ONE_AXIS};

/// Why a node of kind Softmax makes no shares of classes; `None` where it does. `opset` is the version of the standard operator set.
pub(super) fn softmax_problem(producers: &Producers<'_, '_>, node: &NodeView<'_>, opset: i64) -> Option<String> {
    let opset = node.attribute("opset").and_then(|opset| opset.integer).unwrap_or(opset);
    let (default, takes_rest) = match node.op {
        "BiasSoftmax" => (1, true),
        _ if opset < SOFTMAX_OF_ONE_AXIS => (1, true),
        _ => (-1, false),
    };
    let axis = node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(default);
    along(producers, node, axis, takes_rest)
}

/// Why a node that divides by a norm along one axis makes no shares of classes; `None` where it does.
pub(super) fn norm_problem(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> Option<String> {
    let axis = node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(-1);
    along(producers, node, axis, false)
}

fn along(producers: &Producers<'_, '_>, node: &NodeView<'_>, axis: i64, takes_rest: bool) -> Option<String> {
    let mut values = node.outputs.first().into_iter().chain(node.inputs.first());
    let dims = values.find_map(|value| producers.dims(value));
    let rank = dims.map(<[_]>::len);
    if is_of_items(axis, rank) {
        return Some(match (axis, rank) {
            (..0, None) => format!("along axis {axis} of a value whose number of axes the file does not say"),
            _ => format!("along axis {axis}, the items of a request"),
        });
    }
    let (dims, place) = (dims?, place(axis, rank)?);
    let last = if takes_rest { dims.len() } else { place + 1 };
    is_idle(dims, &(place..last).collect::<Vec<_>>())
        .then(|| format!("along axis {axis}, on which there is one number alone"))
}

/// Number of an axis from the first one on.
fn place(axis: i64, rank: Option<usize>) -> Option<usize> {
    let from_end = || i64::try_from(rank?).ok()?.checked_add(axis);
    usize::try_from(if axis < 0 { from_end()? } else { axis }).ok()
}

/// Whether an axis is, or may be, that of the items. A value of one axis has none.
fn is_of_items(axis: i64, rank: Option<usize>) -> bool {
    match (axis, rank) {
        (_, Some(1)) | (-1, None) => false,
        (..0, None) => true,
        _ => place(axis, rank).is_none_or(|place| place == 0),
    }
}

/// Whether axes have one place each, and another behind the items has more.
fn is_idle(dims: &[Dimension<'_>], axes: &[usize]) -> bool {
    let one = Dimension::Fixed(1);
    axes.iter().all(|&axis| dims.get(axis) == Some(&one)) && dims.iter().skip(1).any(|dim| *dim != one)
}

/// The axes that a node reduces: none where all are, `Err` where they are computed or held elsewhere.
fn reduced(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> Result<Vec<i64>, ()> {
    match (node.attribute("axes"), node.inputs.get(1).filter(|axes| !axes.is_empty())) {
        (Some(axes), _) => Ok(axes.integers.clone()),
        (None, Some(axes)) => producers.integers(axes).ok_or(()),
        (None, None) => Ok(Vec::new()),
    }
}

/// Whether a node sums, averages or compares over the items of a request, or may do so: along axis 0, or along all of them.
pub(super) fn goes_over_items(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let rank = node.inputs.first().and_then(|value| producers.dims(value)).map(<[_]>::len);
    reduced(producers, node).map_or(true, |axes| axes.is_empty() || axes.iter().any(|&axis| is_of_items(axis, rank)))
}

/// Whether the sums that a node makes are each of one number, while another axis has several.
pub(super) fn sums_one_number(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let Some(dims) = node.inputs.first().and_then(|value| producers.dims(value)) else { return false };
    let places =
        |axes: Vec<i64>| axes.into_iter().map(|axis| place(axis, Some(dims.len()))).collect::<Option<Vec<_>>>();
    reduced(producers, node).ok().and_then(places).is_some_and(|axes| !axes.is_empty() && is_idle(dims, &axes))
}

/// Whether a node that takes some of the numbers of its first input, or puts several beside each other, may take other items than those
/// that stand in the same place.
pub(super) fn mixes_items(producers: &Producers<'_, '_>, node: &NodeView<'_>) -> bool {
    let Some(&input) = node.inputs.first() else { return false };
    let rank = producers.dims(input).map(<[_]>::len);
    let axis = |default| node.attribute("axis").and_then(|axis| axis.integer).unwrap_or(default);
    match node.op {
        "Gather" => !producers.is_constant(input) && is_of_items(axis(0), rank),
        "Split" => is_of_items(axis(0), rank),
        // The axis has had no default since version 4 of the operator set; before, it was the second.
        "Concat" => is_of_items(axis(1), rank),
        "Slice" => slices_items(producers, node, rank),
        _ => false,
    }
}

/// Exporters write a slice of all items for each axis that is left as it is.
fn slices_items(producers: &Producers<'_, '_>, node: &NodeView<'_>, rank: Option<usize>) -> bool {
    let list =
        |name: &str, place: usize| match (node.attribute(name), node.inputs.get(place).filter(|one| !one.is_empty())) {
            (Some(list), _) => Some(Some(list.integers.clone())),
            (None, Some(input)) => producers.integers(input).map(Some),
            (None, None) => Some(None),
        };
    let (starts, ends) = (list("starts", 1).flatten(), list("ends", 2).flatten());
    let Some(axes) = list("axes", 3) else { return true };
    let axes = axes.or_else(|| Some((0..).take(starts.as_ref()?.len()).collect()));
    let (Some(axes), Some(steps)) = (axes, list("steps", 4)) else { return true };
    let at = |list: &Option<Vec<i64>>, place: usize| list.as_ref().and_then(|list| list.get(place).copied());
    let takes_all = |place: usize| {
        let step = steps.as_ref().map_or(Some(1), |steps| steps.get(place).copied());
        at(&starts, place) == Some(0) && at(&ends, place) >= Some(i64::from(i32::MAX)) && step == Some(1)
    };
    axes.iter().enumerate().any(|(place, &axis)| is_of_items(axis, rank) && !takes_all(place))
}
