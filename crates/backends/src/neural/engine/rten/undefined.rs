//! Numbers that are none (NaN), which rten's Relu and Clip turn into finite ones: an answer made of them would look like any other.
//!
//! It owns which operators make them of finite numbers. It must not know what becomes of an answer.

use std::collections::HashSet;

use dede_graph::onnx::{Attribute, Change};

use super::replacement::Replacement;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, GraphView, NodeView, TensorView};

/// Longer constants are weights, which would take time to look through.
const MOST_FLOATS: u64 = 4096;

/// Whether operators of a network make numbers that are none, or infinite ones, of finite ones.
pub(super) fn may_be_made(graph: &GraphView<'_>) -> bool {
    let mut found = false;
    graph.each_graph(&mut |graph| {
        let in_nodes = graph.nodes.iter().flat_map(|node| &node.attributes).filter_map(|one| one.tensor.as_ref());
        found |= graph.initializers.iter().chain(in_nodes).any(is_undefined);
        let divisors = divisors(graph);
        found |= graph.nodes.iter().any(|node| makes(node, &divisors));
    });
    found
}

/// Constants that numbers may be divided by.
fn divisors<'a>(graph: &GraphView<'a>) -> HashSet<&'a str> {
    let made = graph.nodes.iter().filter(|node| node.op == "Constant").filter_map(|node| {
        let attribute = node.attributes.first()?;
        Some((*node.outputs.first()?, attribute.float.or_else(|| attribute.tensor.as_ref()?.single_float())))
    });
    let held = graph.initializers.iter().map(|tensor| (tensor.name, tensor.single_float()));
    held.chain(made).filter(|(_, number)| number.is_some_and(|number| number != 0.0)).map(|(name, _)| name).collect()
}

fn makes(node: &NodeView<'_>, divisors: &HashSet<&str>) -> bool {
    match node.op {
        "Log" | "Sqrt" | "Pow" | "Reciprocal" | "Exp" | "Asin" | "Acos" | "Acosh" | "Atanh" | "Tan" | "Mod"
        | "ReduceLogSum" | "ReduceLogSumExp" | "LpNormalization" => true,
        "Div" => node.inputs.get(1).is_none_or(|divisor| !divisors.contains(divisor)),
        _ => false,
    }
}

fn is_undefined(tensor: &TensorView<'_>) -> bool {
    let stored = if tensor.raw.is_empty() { tensor.floats } else { tensor.raw };
    let mut floats = stored.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    tensor.element == ElementType::F32 && tensor.elements() <= MOST_FLOATS && floats.any(|float| !float.is_finite())
}

/// Relu or Clip by Max and Min, which keep what is no number.
pub(super) fn kept(mut new: Replacement<'_, '_>, scope: &Scope<'_, '_>) -> Option<Change> {
    let node = new.node;
    if !matches!(scope.input(node, 0), Some(ElementType::F32 | ElementType::F16) | None) {
        return None;
    }
    let (input, output) = (new.input(0), new.output());
    if node.op == "Relu" {
        let zero = new.zero();
        return Some(new.finish("Max", &[&input, &zero], output, vec![]));
    }
    let mut bound = |place: usize, name: &'static str| match node.inputs.get(place).filter(|name| !name.is_empty()) {
        Some(&given) => Some(given.to_owned()),
        None => {
            let float = node.attribute(name)?.float?;
            Some(new.add("Constant", &[], name, vec![("value_float", Attribute::Float(float))]))
        }
    };
    let (low, high) = (bound(1, "min"), bound(2, "max"));
    let above = match &low {
        Some(low) => new.add("Max", &[&input, low], "above", vec![]),
        None => input,
    };
    Some(match &high {
        Some(high) => new.finish("Min", &[&above, high], output, vec![]),
        None => new.finish("Identity", &[&above], output, vec![]),
    })
}
