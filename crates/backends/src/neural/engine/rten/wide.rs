//! Numbers of 64 bits, which rten computes with 32.
//!
//! It owns where that changes an answer: 64-bit floats in arithmetic, and 64-bit integers that may not fit into 32 bits. How large those
//! may be is in [`super::bounds`], what is done with them in [`super::uses`].

use std::collections::HashMap;

use super::bounds::{Bound, Known};
use super::moving::MOVING;
use super::uses::Uses;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, NodeView, TensorView};

/// Operators whose result may need more bits than what they take.
const GROWING: [&str; 18] = [
    "Add",
    "Sub",
    "Mul",
    "Pow",
    "Neg",
    "Abs",
    "Sum",
    "Mean",
    "MatMul",
    "Gemm",
    "Einsum",
    "CumSum",
    "ReduceSum",
    "ReduceMean",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
];

/// What 32 bits are not enough for in a network.
#[derive(Default)]
pub(super) struct Problems {
    /// By the number of the operator ([`dede_graph::onnx::Rewrite`]).
    pub(super) operators: HashMap<usize, &'static str>,
    /// By the name of a weight.
    pub(super) weights: Vec<(String, &'static str)>,
}

impl Problems {
    /// Those with integers.
    pub(super) fn of(scope: &Scope<'_, '_>) -> Self {
        let mut problems = Self::default();
        problems.follow(scope, Known::of(scope.graph(), None), &mut 0);
        problems
    }

    /// The bounds of what a graph makes, given those of its inputs.
    fn follow<'a>(&mut self, scope: &Scope<'_, 'a>, mut known: Known<'_, 'a>, next: &mut usize) -> Vec<Bound> {
        let uses = Uses::of(scope);
        let weights = scope.graph().initializers.iter();
        let weights = weights.filter_map(|tensor| Some((tensor.name.to_owned(), weight_problem(tensor, &uses)?)));
        self.weights.extend(weights);
        for node in &scope.graph().nodes {
            let number = *next;
            *next += 1;
            let mut bodies = Vec::new();
            for graph in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
                let mut inside = Known::of(graph, Some(&known));
                if node.op == "Loop"
                    && let Some(round) = graph.inputs.first()
                {
                    inside.set(round.name, Bound::EXTENT);
                }
                bodies.push(self.follow(&scope.inside(node, graph), inside, next));
            }
            let problem = integers_problem(node, scope, &known, &uses);
            self.operators.extend(problem.map(|problem| (number, problem)));
            known.add(node, scope, &bodies);
        }
        scope.graph().outputs.iter().map(|output| known.bound(output.name, scope)).collect()
    }
}

fn integers_problem(
    node: &NodeView<'_>,
    scope: &Scope<'_, '_>,
    known: &Known<'_, '_>,
    uses: &Uses<'_>,
) -> Option<&'static str> {
    if !node.is_standard() {
        return None;
    }
    let made = node.outputs.first().and_then(|output| scope.element(output));
    let is_float =
        |index| matches!(scope.input(node, index), Some(ElementType::F32 | ElementType::F16 | ElementType::F64));
    let is_long = match made {
        Some(element) => element == ElementType::I64,
        None => !(0..node.inputs.len()).any(is_float),
    };
    let adds = || node.attribute("reduction").is_some_and(|reduction| reduction.text != Some(b"none"));
    if is_long && (GROWING.contains(&node.op) || node.op.starts_with("Scatter") && adds()) {
        let fits = known.made(node, 0, scope).is_some_and(Bound::fits);
        let problem = match made {
            Some(_) => "on int64 values may need more than 32 bits",
            None => "on values whose type the file does not say may need more than 32 bits",
        };
        return (!fits).then_some(problem);
    }
    if matches!(node.op, "Cast" | "CastLike") && made == Some(ElementType::I64) {
        let is_integer = matches!(scope.input(node, 0), Some(ElementType::I64 | ElementType::I32));
        let fits = is_integer || node.inputs.first().is_some_and(|input| known.bound(input, scope).fits());
        let are_positions = || node.outputs.iter().all(|output| uses.is_position(output));
        return (!fits && !are_positions()).then_some("of floats to int64 may need more than 32 bits");
    }
    let mut held = node.attributes.iter().filter_map(|attribute| attribute.tensor.as_ref());
    let are_bounds = || node.outputs.iter().all(|output| uses.is_slice_bound(output));
    let numbers = node.attributes.iter().filter(|_| node.op == "Constant");
    let mut numbers = numbers.flat_map(|attribute| attribute.integers.iter().chain(&attribute.integer));
    let is_wide = held.any(|tensor| tensor.longs().any(is_wide)) || numbers.any(|&number| is_wide(number));
    (is_wide && !are_bounds()).then_some("with int64 values beyond 32 bits is computed wrongly")
}

fn weight_problem(tensor: &TensorView<'_>, uses: &Uses<'_>) -> Option<&'static str> {
    if tensor.element != ElementType::I64 || uses.is_slice_bound(tensor.name) {
        return None;
    }
    if tensor.external.is_some() {
        return (!uses.is_position(tensor.name)).then_some("in another file may need more than 32 bits");
    }
    tensor.longs().any(is_wide).then_some("beyond 32 bits are computed wrongly")
}

fn is_wide(value: i64) -> bool {
    i32::try_from(value).is_err()
}

/// Why an operator on 64-bit floats cannot be computed with 32 bits.
pub(super) fn doubles_problem(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<&'static str> {
    let double = Some(ElementType::F64);
    let takes = (0..node.inputs.len()).any(|index| scope.input(node, index) == double);
    let makes = node.outputs.iter().any(|output| scope.element(output) == double);
    let to = node.outputs.first().and_then(|output| scope.element(output));
    let is_float = matches!(to, Some(ElementType::F64 | ElementType::F32 | ElementType::F16));
    let holds = node.attributes.iter().any(|attribute| !attribute.graphs.is_empty());
    let keeps = MOVING.contains(&node.op)
        || matches!(node.op, "Constant" | "ConstantOfShape" | "Shape" | "Size")
        || matches!(node.op, "Cast" | "CastLike") && is_float
        // Operators inside it are looked at themselves.
        || holds;
    ((takes || makes) && !keeps).then_some("with double values is computed with single precision")
}
