//! What graphs inside operators take from outside of them, and how far rten looks for it.
//!
//! It owns the rule: rten 0.27 finds out what a graph needs by its own operators, not by those of graphs inside them.

use std::collections::HashSet;

use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{GraphView, NodeView};

/// Whether a graph inside this operator, which is itself inside another one, takes a value from outside of both that no operator beside
/// this one takes.
pub(super) fn reach_too_far(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> bool {
    let inside = || node.attributes.iter().flat_map(|attribute| &attribute.graphs);
    if !scope.is_inside() || inside().next().is_none() {
        return false;
    }
    let (mut made, mut taken) = (HashSet::new(), Vec::new());
    for graph in inside() {
        graph.each_graph(&mut |graph: &GraphView<'_>| {
            made.extend(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()));
            made.extend(graph.initializers.iter().map(|tensor| tensor.name));
            made.extend(graph.inputs.iter().map(|input| input.name));
            taken.extend(graph.nodes.iter().flat_map(|node| node.inputs.iter().copied()));
            taken.extend(graph.outputs.iter().map(|output| output.name));
        });
    }
    let is_known = |name: &str| name.is_empty() || made.contains(name) || scope.holds(name);
    taken.into_iter().any(|name| !is_known(name) && scope.takers(name).is_empty())
}
