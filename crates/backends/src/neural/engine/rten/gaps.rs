//! What rten 0.27 answers wrongly without an error, or lacks: found by comparing it with ONNX Runtime, operator by
//! operator, and by the ONNX backend tests (`tests/onnx/conformance.py`).
//!
//! A network that needs one of these is refused with the operator named, where [`super::lowering`] has no replacement. It must not know
//! how rten is run. When rten is updated, the conformance suite says which entries can go.

use dede_graph::onnx::Rewrite;

use super::lowering::Lowering;
use super::refusal::refusal;
use super::wide::{Problems, doubles_problem};
use super::{captures, depth, indexing};
use crate::neural::engine::scope::{Scope, each_operator};
use crate::neural::engine::{EngineError, resize};
use crate::neural::onnx_view::{ElementType, GraphView, NodeView, OnnxView};

/// Operators rten does not have; `OnnxView` sees them before rten complains in its own words.
const MISSING: [&str; 5] = ["LRN", "GroupNormalization", "Selu", "QLinearConv", "RoiAlign"];

/// What is to be changed in a network before rten computes it as ONNX says.
///
/// # Errors
/// [`EngineError`] naming the operator that cannot be changed so.
pub(super) fn check(view: &OnnxView<'_>) -> Result<Rewrite, EngineError> {
    let mut values = Ok(());
    view.graph.each_graph(&mut |graph| {
        if values.is_ok() {
            values = check_values(graph);
        }
    });
    values?;
    depth::check(&view.graph)?;
    let scope = Scope::of(&view.graph);
    let wide = Problems::of(&scope);
    if let Some((name, problem)) = wide.weights.first() {
        return Err(refusal(name, &format!("int64 values {problem}")));
    }
    let lowering = Lowering::of(view);
    let mut rewrite = Rewrite::default();
    each_operator(&scope, &mut 0, &mut |number, node, scope| {
        if !node.is_standard() {
            return Ok(());
        }
        let fail = |problem| refusal(node.shown_name(), &format!("operator {} {problem}", node.op));
        let problem = gap(node, scope)
            .or_else(|| doubles_problem(node, scope))
            .or_else(|| wide.operators.get(&number).copied())
            .or_else(|| resize::problem(node, scope))
            .or_else(|| indexing::problem(node, scope));
        if let Some(problem) = problem {
            return Err(fail(problem));
        }
        if let Some(change) = lowering.change(number, node, scope).map_err(fail)? {
            rewrite.operators.insert(number, change);
        }
        Ok(())
    })?;
    Ok(rewrite)
}

fn check_values(graph: &GraphView<'_>) -> Result<(), EngineError> {
    let typed = graph.initializers.iter().map(|tensor| (tensor.name, tensor.element));
    let inputs = graph.inputs.iter().filter_map(|value| Some((value.name, value.element?)));
    let found = typed.chain(inputs).find(|(_, element)| *element == ElementType::Bf16);
    found.map_or(Ok(()), |(name, _)| Err(refusal(name, "bfloat16 values are not supported")))
}

/// Why rten must not run this node.
fn gap(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    match node.op {
        "If" | "Loop" | "Scan" if captures::reach_too_far(node, scope) => {
            Some("inside another, with a graph that takes a value from outside of both, is not supported")
        }
        op if MISSING.contains(&op) => Some("is not supported"),
        "ConvInteger" if is_padded(node) => Some("with padding is computed wrongly"),
        "MatMulInteger" if has_signed_zero_point(node, scope) => {
            Some("with an int8 zero point other than 0 is computed wrongly")
        }
        "Resize" if node.attribute("mode").is_some_and(|mode| mode.text == Some(b"cubic")) => {
            Some("with mode cubic is computed wrongly")
        }
        "NonMaxSuppression" if !has_one_class(node, scope) => {
            Some("with several classes or images is computed wrongly")
        }
        "Expand" if is_shorter(node, scope) => Some("by a computed shape of fewer axes is not supported"),
        "LSTM" | "GRU" if node.inputs.get(4).is_some_and(|lengths| !lengths.is_empty()) => {
            Some("with sequence_lens is computed wrongly")
        }
        "SequenceInsert" if !has_position_from_the_start(node, scope) => {
            Some("at a position that may be negative is computed wrongly")
        }
        "BitCast" if !has_same_bits(node, scope) => {
            Some("of other types than those of 8 and of 32 bits is not supported")
        }
        "Cast"
            if node.attribute("to").and_then(|to| to.integer).map(ElementType::from_code)
                == Some(ElementType::Bf16) =>
        {
            Some("to bfloat16 is not supported")
        }
        _ => None,
    }
}

/// Whether the shape of an Expand has fewer axes than its value, and is not known before a run.
fn is_shorter(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let is_constant = node.inputs.get(1).is_some_and(|shape| scope.constant(shape).is_some());
    let length = scope.dims(node, 1).and_then(|dims| *dims.first()?);
    !is_constant && length.zip(scope.rank(node, 0)).is_some_and(|(length, rank)| length < rank)
}

/// Whether both types of a BitCast have in rten as many bits as in ONNX.
fn has_same_bits(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let bits = |element| match element {
        Some(ElementType::F32 | ElementType::I32) => 32,
        Some(ElementType::U8 | ElementType::I8) => 8,
        _ => 0,
    };
    let to = node.outputs.first().and_then(|output| scope.element(output));
    bits(to) != 0 && bits(to) == bits(scope.input(node, 0))
}

fn is_padded(node: &NodeView<'_>) -> bool {
    let pads = node.attribute("pads").is_some_and(|pads| pads.integers.iter().any(|&pad| pad != 0));
    let automatic = node.attribute("auto_pad").and_then(|mode| mode.text).is_some_and(|mode| mode.starts_with(b"SAME"));
    pads || automatic
}

/// Whether an int8 zero point may differ from 0: only a constant of zeros is known not to.
fn has_signed_zero_point(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    node.inputs.iter().skip(2).filter(|name| !name.is_empty()).any(|name| match scope.constant(name) {
        Some(constant) => constant.element == ElementType::I8 && constant.is_zero() != Some(true),
        None => scope.element(name) != Some(ElementType::U8),
    })
}

/// Positions before the end are negative.
fn has_position_from_the_start(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let Some(position) = node.inputs.get(2).filter(|position| !position.is_empty()) else { return true };
    scope.constant(position).is_some_and(|constant| {
        let mut values = constant.longs().peekable();
        values.peek().is_some() && values.all(|value| value >= 0)
    })
}

/// Scores are `[images, classes, boxes]`.
fn has_one_class(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    scope.dims(node, 1).is_some_and(|dims| dims.iter().take(2).eq([&Some(1), &Some(1)]))
}
