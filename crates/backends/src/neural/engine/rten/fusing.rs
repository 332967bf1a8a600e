//! Operators that rten joins with their neighbours into others, which compute something else: written so that it does not.
//!
//! It owns the forms that rten 0.27 takes for more than they are. It must not know how rten finds them.

use dede_graph::onnx::{Attribute, Change};

use super::replacement::Replacement;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, NodeView};

/// A mean is taken for a part of a normalisation, as if it kept the axis that it reduces; and for one of all numbers, where it has no axes
/// and says that it does nothing then.
pub(super) fn mean(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Result<Option<Change>, &'static str> {
    let node = new.node;
    let (input, output) = (new.input(0), new.output());
    let integer = |name| node.attribute(name).and_then(|attribute| attribute.integer);
    let axes = node.inputs.get(1).copied().filter(|axes| !axes.is_empty());
    if let Some(axes) = axes
        && integer("noop_with_empty_axes").is_some_and(|noop| noop != 0)
    {
        match scope.constant(axes).map(|axes| axes.elements()) {
            Some(0) => return Ok(Some(new.finish("Identity", &[&input], output, vec![]))),
            Some(_) => {}
            None => return Err("with noop_with_empty_axes and computed axes is computed wrongly"),
        }
    }
    let is_part = |taker: &&NodeView<'_>| {
        matches!(taker.op, "Sub" | "Add" | "Mul" | "Div" | "Identity" | "Cast" | "CastLike" | "Dropout")
    };
    if integer("keepdims") != Some(0) || !scope.takers(&output).iter().any(is_part) {
        return Ok(None);
    }
    let given = node.attribute("axes").map(|axes| ("axes", Attribute::Ints(axes.integers.clone())));
    let inputs: Vec<&str> = [input.as_str()].into_iter().chain(axes).collect();
    let kept = new.add("ReduceMean", &inputs, "kept", given.clone().into_iter().collect());
    let inputs: Vec<&str> = [kept.as_str()].into_iter().chain(axes).collect();
    Ok(Some(new.finish("Squeeze", &inputs, output, given.into_iter().collect())))
}

/// An Unsqueeze, an Expand and a Reshape are taken for one that repeats each number, also where they repeat all of them in turn.
pub(super) fn expanded(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Option<Change> {
    if !may_be_unsqueezed(new.node, scope) {
        return None;
    }
    let (input, shape, output) = (new.input(0), new.input(1), new.output());
    let once = new.add("Expand", &[&input, &shape], "once", vec![]);
    Some(new.finish("Expand", &[&once, &shape], output, vec![]))
}

/// Whether an Unsqueeze makes what a node takes, perhaps behind operators that may go away.
fn may_be_unsqueezed(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    /// Longer chains may be anything.
    const FARTHEST: usize = 8;
    let mut node = node;
    for _ in 0..FARTHEST {
        let mut computed = node.inputs.iter().filter(|name| scope.constant(name).is_none());
        let Some(maker) = computed.next().and_then(|name| scope.maker(name)) else { return false };
        match maker.op {
            "Unsqueeze" => return true,
            "Identity" | "Cast" | "CastLike" | "Dropout" | "Add" | "Sub" | "Mul" | "Div" => node = maker,
            _ => return false,
        }
    }
    true
}

/// Arithmetic with one constant number goes away, or into a product or a Swish, also where the constant has more axes than the other value,
/// which the result then has as well.
pub(super) fn with_number(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Result<Option<Change>, &'static str> {
    let node = new.node;
    let is_number =
        |name: &str| scope.constant(name).filter(|tensor| tensor.element == ElementType::F32 && tensor.elements() == 1);
    let found = (0..2).find_map(|place| Some((place, is_number(node.inputs.get(place)?)?)));
    let Some((place, number)) = found.filter(|(_, number)| !number.dims.is_empty()) else { return Ok(None) };
    let more = match scope.rank(node, 1 - place) {
        Some(rank) => number.dims.len().saturating_sub(rank),
        // A value without any axis is not expected.
        None if number.dims.len() == 1 || !goes_away(node, number.single_float(), scope) => 0,
        None => return Err("with a number of several axes, on a value of unknown rank, has another shape"),
    };
    if more == 0 {
        return Ok(None);
    }
    let other = new.input(1 - place);
    let axes = vec![("axes", Attribute::Ints((0..more as i64).collect()))];
    let raised = new.add("Unsqueeze", &[&other], "raised", axes);
    let (constant, output) = (new.input(place), new.output());
    let inputs = if place == 0 { [constant.as_str(), &raised] } else { [raised.as_str(), &constant] };
    let kind = match node.op {
        "Add" => "Add",
        "Sub" => "Sub",
        "Mul" => "Mul",
        _ => "Div",
    };
    Ok(Some(new.finish(kind, &inputs, output, vec![])))
}

/// A product and the sum with a constant list are taken for a product with a bias, also where the list has another length than the rows of
/// the product. A difference is taken for nothing.
pub(super) fn with_list(mut new: Replacement<'_, '_>, place: usize) -> Change {
    let (sum, list, output) = (new.input(1 - place), new.input(place), new.output());
    let negative = new.add("Neg", &[&list], "negative", vec![]);
    new.finish("Sub", &[&sum, &negative], output, vec![])
}

/// Which input of a sum is a constant list that rten takes for the bias of a product, and that is none.
pub(super) fn list_that_is_no_bias(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<usize> {
    let length = |name: &str| match scope.constant(name)?.dims.as_slice() {
        &[length] => usize::try_from(length).ok(),
        _ => None,
    };
    let (place, length) = (0..2).find_map(|place| Some((place, length(node.inputs.get(place)?)?)))?;
    let product = unchanged_maker(node.inputs.get(1 - place)?, scope).filter(|maker| maker.op == "MatMul")?;
    let columns = scope.dims(product, 1).filter(|dims| dims.len() > 1).and_then(|dims| *dims.last()?);
    let has_rows = scope.rank(product, 0).is_some_and(|rank| rank > 1);
    (!has_rows || columns != Some(length)).then_some(place)
}

/// The node that makes a value, behind those that rten takes away.
fn unchanged_maker<'s, 'a>(name: &str, scope: &Scope<'s, 'a>) -> Option<&'s NodeView<'a>> {
    /// Longer chains are none that a program writes.
    const FARTHEST: usize = 8;
    let mut maker = scope.maker(name)?;
    for _ in 0..FARTHEST {
        if !matches!(maker.op, "Identity" | "Cast" | "CastLike" | "Dropout") {
            break;
        }
        maker = scope.maker(maker.inputs.first()?)?;
    }
    Some(maker)
}

/// Whether rten joins arithmetic with that number with its neighbours.
fn goes_away(node: &NodeView<'_>, number: Option<f32>, scope: &Scope<'_, '_>) -> bool {
    let changes_nothing = if matches!(node.op, "Add" | "Sub") { 0.0 } else { 1.0 };
    let takers = node.outputs.iter().flat_map(|output| scope.takers(output));
    let mut beside = takers.copied().chain(node.inputs.iter().filter_map(|input| scope.maker(input)));
    number.is_none_or(|number| number == changes_nothing)
        || beside.any(|node| matches!(node.op, "MatMul" | "Sigmoid" | "Identity" | "Cast" | "Mul" | "Div"))
}
