//! What the values of a graph are used for: some uses need no more than 32 bits, whatever the number is.
//!
//! It owns which places of operators take positions and sizes. It must not know how large values are.

use std::collections::HashSet;

use super::moving::MOVING;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::NodeView;

/// The values that are used for something else, too.
pub(super) struct Uses<'a> {
    beside_slices: HashSet<&'a str>,
    beside_positions: HashSet<&'a str>,
}

impl<'a> Uses<'a> {
    pub(super) fn of(scope: &Scope<'_, 'a>) -> Self {
        Self { beside_slices: beside(scope, is_slice_place), beside_positions: beside(scope, is_position_place) }
    }

    /// Whether all that a value is used for is to say where slices start and end: there, the largest number means the end.
    pub(super) fn is_slice_bound(&self, name: &str) -> bool {
        !self.beside_slices.contains(name)
    }

    /// Whether all that a value is used for is to say where something is, or how much of it.
    pub(super) fn is_position(&self, name: &str) -> bool {
        !self.beside_positions.contains(name)
    }
}

/// Values of a graph that are used otherwise than in places of a kind, or whose uses are not seen.
fn beside<'a>(scope: &Scope<'_, 'a>, fits: fn(&NodeView<'_>, usize) -> bool) -> HashSet<&'a str> {
    /// Rounds that a file may need that keeps no order of its nodes.
    const MOST_ROUNDS: usize = 16;
    let graph = scope.graph();
    let mut beside: HashSet<&str> = HashSet::new();
    let is_beside = |name: &str, beside: &HashSet<&str>| beside.contains(name) || scope.leaves(name);
    // Nodes stand in the order in which they run, so that the first round finds all but in files that keep no order.
    for round in 0..=MOST_ROUNDS {
        let before = beside.len();
        for node in graph.nodes.iter().rev() {
            let moves = node.is_standard()
                && MOVING.contains(&node.op)
                && !node.outputs.iter().any(|output| is_beside(output, &beside));
            for (place, &input) in node.inputs.iter().enumerate() {
                let is_moved = moves && (place == 0 || node.op == "Concat");
                let is_fitting = node.is_standard() && fits(node, place);
                if round == MOST_ROUNDS || !(is_moved || is_fitting) {
                    beside.insert(input);
                }
            }
        }
        if beside.len() == before {
            break;
        }
    }
    let made = graph.nodes.iter().flat_map(|node| &node.outputs).copied();
    let held = graph.initializers.iter().map(|tensor| tensor.name);
    beside.extend(made.chain(held).filter(|name| scope.leaves(name)));
    beside
}

fn is_slice_place(node: &NodeView<'_>, place: usize) -> bool {
    node.op == "Slice" && (place == 1 || place == 2)
}

fn is_position_place(node: &NodeView<'_>, place: usize) -> bool {
    match node.op {
        "Gather" | "GatherElements" | "GatherND" | "ScatterElements" | "ScatterND" | "Scatter" => place == 1,
        "OneHot" => place < 2,
        "Slice" | "Reshape" | "Expand" | "Tile" | "TopK" | "Unsqueeze" | "Squeeze" => place > 0,
        "ConstantOfShape" => true,
        "Resize" => place == 3,
        _ => false,
    }
}
