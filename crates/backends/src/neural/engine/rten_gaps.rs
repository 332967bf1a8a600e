//! What rten 0.27 answers wrongly without an error, or lacks: found by comparing it with ONNX Runtime, operator by
//! operator.
//!
//! A network that needs one of these is refused with the operator named. It must not know how rten is run. When rten is
//! updated, the conformance suite says which entries can go.

use super::EngineError;
use crate::neural::onnx_view::{Dimension, ElementType, GraphView, NodeView, OnnxView};

/// Operators rten does not have; `OnnxView` sees them before rten complains in its own words.
const MISSING: [&str; 5] = ["LRN", "GroupNormalization", "Selu", "QLinearConv", "RoiAlign"];

/// Refuses a network that rten would not compute as ONNX says.
pub(super) fn check(view: &OnnxView<'_>) -> Result<(), EngineError> {
    let mut found = Ok(());
    view.graph.each_graph(&mut |graph| {
        if found.is_ok() {
            found = check_graph(graph, &view.graph);
        }
    });
    found
}

fn check_graph(graph: &GraphView<'_>, main: &GraphView<'_>) -> Result<(), EngineError> {
    let typed = graph.initializers.iter().map(|tensor| (tensor.name, tensor.element));
    let inputs = graph.inputs.iter().filter_map(|value| Some((value.name, value.element?)));
    for (name, element) in typed.chain(inputs) {
        if element == ElementType::Bf16 {
            return Err(refusal(name, "bfloat16 values", "are not supported"));
        }
    }
    for node in &graph.nodes {
        if let Some(problem) = gap(node, graph, main) {
            let what = format!("operator {}", node.op);
            return Err(refusal(node.shown_name(), &what, problem));
        }
    }
    Ok(())
}

fn refusal(name: &str, what: &str, problem: &str) -> EngineError {
    let advice = "use ONNX Runtime (dede engine install)";
    EngineError::at(name, format!("the engine rten cannot run this network: {what} {problem}; {advice}"))
}

/// Why rten must not run this node.
fn gap(node: &NodeView<'_>, graph: &GraphView<'_>, main: &GraphView<'_>) -> Option<&'static str> {
    if !node.domain.is_empty() && node.domain != "ai.onnx" {
        return None;
    }
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
        "Conv" | "ConvTranspose" if !says_windows(node) => Some("without strides, dilations and pads is not supported"),
        "Cast"
            if node.attribute("to").and_then(|to| to.integer).map(ElementType::from_code)
                == Some(ElementType::Bf16) =>
        {
            Some("to bfloat16 is not supported")
        }
        _ => None,
    }
}

/// rten reads the defaults of these attributes for one dimension only.
fn says_windows(node: &NodeView<'_>) -> bool {
    let says = |name| node.attribute(name).is_some();
    says("strides") && says("dilations") && (says("pads") || says("auto_pad"))
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

/// Scores are `[images, classes, boxes]`.
fn has_one_class(node: &NodeView<'_>, graph: &GraphView<'_>, main: &GraphView<'_>) -> bool {
    let Some(scores) = node.inputs.get(1) else { return false };
    let value = graph.value(scores).or_else(|| main.value(scores));
    let one = Dimension::Fixed(1);
    value
        .and_then(|value| value.dims.as_ref())
        .is_some_and(|dims| dims.first() == Some(&one) && dims.get(1) == Some(&one))
}
