//! What rten 0.27 answers wrongly without an error, or lacks: found by comparing it with ONNX Runtime, operator by
//! operator, and by the ONNX backend tests (`tests/onnx/conformance.py`).
//!
//! A network that needs one of these is refused with the operator named, where [`super::lowering`] has no replacement. It must not know
//! how rten is run. When rten is updated, the conformance suite says which entries can go.

use dede_graph::onnx::Rewrite;

use super::wide::{OfInput, constant_problem, numbers_problem};
use super::{lowering, wide};
use crate::neural::engine::scope::{Scope, each_operator, is_standard};
use crate::neural::engine::{EngineError, resize};
use crate::neural::onnx_view::{Dimension, ElementType, GraphView, NodeView, OnnxView, TensorView};

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
    let scope = Scope::of(&view.graph, None);
    let of_input = OfInput::of(&scope);
    let opset = view.opset().unwrap_or(i64::MAX);
    let mut rewrite = Rewrite::default();
    check_constants(&scope)?;
    each_operator(&scope, &mut 0, &mut |number, node, scope| {
        if !is_standard(node) {
            return Ok(());
        }
        let fail = |problem| refusal(node.shown_name(), &format!("operator {}", node.op), problem);
        let problem = gap(node, scope, &view.graph)
            .or_else(|| wide::problem(node, scope, &of_input))
            .or_else(|| resize::problem(node, scope));
        if let Some(problem) = problem.or_else(|| constant_gap(node, scope)) {
            return Err(fail(problem));
        }
        if let Some(change) = lowering::change(number, node, scope, opset).map_err(fail)? {
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
    found.map_or(Ok(()), |(name, _)| Err(refusal(name, "bfloat16 values", "are not supported")))
}

fn check_constants(scope: &Scope<'_, '_>) -> Result<(), EngineError> {
    let problem =
        |tensor: &TensorView<'_>| Some((tensor.name.to_owned(), constant_problem(tensor.name, tensor, scope)?));
    match scope.graph().initializers.iter().find_map(problem) {
        Some((name, problem)) => Err(refusal(&name, "int64 values", problem)),
        None => Ok(()),
    }
}

fn constant_gap(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    if node.op != "Constant" {
        return None;
    }
    let tensor = node.attribute("value").and_then(|value| value.tensor.as_ref());
    let name = node.outputs.first()?;
    tensor.and_then(|tensor| constant_problem(name, tensor, scope)).or_else(|| numbers_problem(node, scope))
}

fn refusal(name: &str, what: &str, problem: &str) -> EngineError {
    let advice = "use ONNX Runtime (dede engine install)";
    EngineError::at(name, format!("the engine rten cannot run this network: {what} {problem}; {advice}"))
}

/// Why rten must not run this node.
fn gap(node: &NodeView<'_>, scope: &Scope<'_, '_>, main: &GraphView<'_>) -> Option<&'static str> {
    let graph = scope.graph();
    match node.op {
        op if MISSING.contains(&op) => Some("is not supported"),
        "ConvInteger" if is_padded(node) => Some("with padding is computed wrongly"),
        "MatMulInteger" if has_signed_zero_point(node, graph, main) => {
            Some("with an int8 zero point other than 0 is computed wrongly")
        }
        "Resize" if node.attribute("mode").is_some_and(|mode| mode.text == Some(b"cubic")) => {
            Some("with mode cubic is computed wrongly")
        }
        "NonMaxSuppression" if !has_one_class(node, graph, main) => {
            Some("with several classes or images is computed wrongly")
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
fn has_signed_zero_point(node: &NodeView<'_>, graph: &GraphView<'_>, main: &GraphView<'_>) -> bool {
    node.inputs.iter().skip(2).filter(|name| !name.is_empty()).any(|name| {
        match graph.constant(name).or_else(|| main.constant(name)) {
            Some(constant) => constant.element == ElementType::I8 && constant.is_zero() != Some(true),
            None => graph.value(name).and_then(|value| value.element) != Some(ElementType::U8),
        }
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
fn has_one_class(node: &NodeView<'_>, graph: &GraphView<'_>, main: &GraphView<'_>) -> bool {
    let Some(scores) = node.inputs.get(1) else { return false };
    let value = graph.value(scores).or_else(|| main.value(scores));
    let one = Dimension::Fixed(1);
    value
        .and_then(|value| value.dims.as_ref())
        .is_some_and(|dims| dims.first() == Some(&one) && dims.get(1) == Some(&one))
}
