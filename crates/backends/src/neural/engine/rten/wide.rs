//! Numbers of 64 bits, which rten computes with 32.
//!
//! It owns where that changes an answer: 64-bit floats in arithmetic, constants beyond 32 bits, and 64-bit integers made of a network's
//! input. Sizes, positions and what is computed of them always fit, and are let through.

use std::collections::HashSet;

use crate::neural::engine::scope::{Scope, is_standard};
use crate::neural::onnx_view::{ElementType, NodeView, TensorView};

/// Operators that move values and compute nothing.
const MOVING: [&str; 18] = [
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "GatherElements",
    "GatherND",
    "Expand",
    "Tile",
    "Constant",
    "ConstantOfShape",
    "Shape",
    "Size",
];

/// Operators whose result may need more bits than what they take.
const GROWING: [&str; 15] = [
    "Add",
    "Sub",
    "Mul",
    "Pow",
    "Neg",
    "Abs",
    "Sum",
    "MatMul",
    "Gemm",
    "Einsum",
    "CumSum",
    "ReduceSum",
    "ReduceProd",
    "ReduceL1",
    "ReduceSumSquare",
];

/// Why 32 bits are not enough for an operator.
pub(super) fn problem(node: &NodeView<'_>, scope: &Scope<'_, '_>, of_input: &OfInput<'_>) -> Option<&'static str> {
    let takes = |element| (0..node.inputs.len()).any(|index| scope.input(node, index) == Some(element));
    let makes = |element| node.outputs.iter().any(|output| scope.element(output) == Some(element));
    if (takes(ElementType::F64) || makes(ElementType::F64)) && !keeps_doubles(node, scope) {
        return Some("with double values is computed with single precision");
    }
    if !makes(ElementType::I64) || !node.inputs.iter().any(|input| of_input.0.contains(input)) {
        return None;
    }
    if GROWING.contains(&node.op) {
        return Some("on int64 values made of the input may need more than 32 bits");
    }
    let fits = scope
        .input(node, 0)
        .is_some_and(|element| is_small(element) || matches!(element, ElementType::I32 | ElementType::I64));
    let are_positions = || node.outputs.iter().all(|output| is_position(output, scope, 0));
    (matches!(node.op, "Cast" | "CastLike") && !fits && !are_positions())
        .then_some("of floats to int64 may need more than 32 bits")
}

/// Why 32 bits are not enough for a constant called `name`.
pub(super) fn constant_problem(name: &str, tensor: &TensorView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    if tensor.element != ElementType::I64 || is_bound(name, scope, 0) {
        return None;
    }
    if tensor.external.is_some() {
        return (!is_position(name, scope, 0)).then_some("in another file may need more than 32 bits");
    }
    tensor.longs().any(is_wide).then_some("beyond 32 bits are computed wrongly")
}

/// As [`constant_problem`], for numbers that a Constant operator holds as such.
pub(super) fn numbers_problem(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    let wide = node
        .attributes
        .iter()
        .any(|attribute| attribute.integers.iter().chain(&attribute.integer).copied().any(is_wide));
    let bound = || node.outputs.iter().all(|output| is_bound(output, scope, 0));
    (wide && !bound()).then_some("with int64 values beyond 32 bits is computed wrongly")
}

/// Whether sums of such values fit into 32 bits, as many as there may be.
fn is_small(element: ElementType) -> bool {
    matches!(element, ElementType::Bool | ElementType::U8 | ElementType::I8)
}

fn is_wide(value: i64) -> bool {
    i32::try_from(value).is_err()
}

/// Whether doubles come out as they went in, as far as singles go.
fn keeps_doubles(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let to = node.outputs.first().and_then(|output| scope.element(output));
    let is_float = matches!(to, Some(ElementType::F64 | ElementType::F32 | ElementType::F16));
    MOVING.contains(&node.op) || matches!(node.op, "Cast" | "CastLike") && is_float
}

/// Whether all that a value is used for is to say where slices start and end: there, the largest number means the end.
fn is_bound(name: &str, scope: &Scope<'_, '_>, depth: usize) -> bool {
    used_only(name, scope, depth, &|node, place| node.op == "Slice" && (place == 1 || place == 2))
}

/// Whether all that a value is used for is to say where something is, or how much of it: none of that needs more than 32 bits.
fn is_position(name: &str, scope: &Scope<'_, '_>, depth: usize) -> bool {
    used_only(name, scope, depth, &|node, place| match node.op {
        "Gather" | "GatherElements" | "GatherND" | "ScatterElements" | "ScatterND" | "Scatter" => place == 1,
        "OneHot" => place < 2,
        "Slice" | "Reshape" | "Expand" | "Tile" | "TopK" | "Unsqueeze" | "Squeeze" => place > 0,
        "ConstantOfShape" => true,
        "Resize" => place == 3,
        _ => false,
    })
}

fn used_only(name: &str, scope: &Scope<'_, '_>, depth: usize, fits: &dyn Fn(&NodeView<'_>, usize) -> bool) -> bool {
    /// Longer chains of operators that only move values are not looked through.
    const DEPTH: usize = 8;
    let is_moved = |node: &NodeView<'_>, place: usize| {
        let moves = MOVING.contains(&node.op) && (place == 0 || node.op == "Concat");
        moves && depth < DEPTH && node.outputs.iter().all(|output| used_only(output, scope, depth + 1, fits))
    };
    !scope.leaves(name)
        && scope.takers(name).all(|(node, place)| is_standard(node) && (fits(node, place) || is_moved(node, place)))
}

/// Values of a graph and those around it that depend on the network's input by more than their extents.
pub(super) struct OfInput<'a>(HashSet<&'a str>);

impl<'a> OfInput<'a> {
    /// Of the main graph and those inside it.
    pub(super) fn of(scope: &Scope<'_, 'a>) -> Self {
        let mut of_input = Self(scope.graph().required_inputs().map(|input| input.name).collect());
        of_input.follow(scope);
        of_input.0.remove("");
        of_input
    }

    fn follow(&mut self, scope: &Scope<'_, 'a>) {
        for node in &scope.graph().nodes {
            let mut depends = node.inputs.iter().any(|input| self.0.contains(input));
            for graph in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
                // The first two inputs of a loop's body are the number of the turn and whether it goes on.
                let inputs = graph.inputs.iter().skip(if node.op == "Loop" { 2 } else { 0 });
                self.0.extend(inputs.filter(|_| depends).map(|input| input.name));
                self.follow(&Scope::of(graph, Some(scope)));
                depends |= graph.outputs.iter().any(|output| self.0.contains(output.name));
            }
            let counts = match node.op {
                "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" | "SequenceLength" | "NonMaxSuppression" => true,
                "Cast" => scope.input(node, 0).is_some_and(is_small),
                _ => false,
            };
            if depends && !counts {
                // The positions that TopK and MaxPool answer beside the values always fit.
                let outputs = if matches!(node.op, "TopK" | "MaxPool") { 1 } else { usize::MAX };
                self.0.extend(node.outputs.iter().take(outputs).copied());
            }
        }
    }
}
