//! How many operators of a network follow one another: rten finds their order by going back from the outputs, one frame of the stack for each.
//!
//! It owns the bound. It must not know what the operators do.

use std::collections::{HashMap, HashSet};

use super::refusal::refusal;
use crate::neural::engine::EngineError;
use crate::neural::onnx_view::GraphView;

/// In the 2 MiB that the stack of a thread has, rten 0.27 goes back some 6,000 operators.
const MOST_IN_A_ROW: usize = 3000;

/// # Errors
/// [`EngineError`] naming the operator that is too far from the inputs, in this graph or in one inside it.
pub(super) fn check(graph: &GraphView<'_>) -> Result<(), EngineError> {
    let mut found = Ok(());
    graph.each_graph(&mut |graph| {
        if found.is_ok() && graph.nodes.len() > MOST_IN_A_ROW {
            found = check_one(graph);
        }
    });
    found
}

fn check_one(graph: &GraphView<'_>) -> Result<(), EngineError> {
    let too_long = |name, how: &str| Err(refusal(name, &format!("more than {MOST_IN_A_ROW} operators {how}")));
    let made: HashSet<&str> = graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()).collect();
    let mut depths: HashMap<&str, usize> = HashMap::new();
    for node in &graph.nodes {
        let mut depth = 0;
        for input in node.inputs.iter().filter(|input| made.contains(*input)) {
            let Some(&before) = depths.get(input) else {
                return too_long(node.shown_name(), "in no order of execution");
            };
            depth = depth.max(before + 1);
        }
        if depth >= MOST_IN_A_ROW {
            return too_long(node.shown_name(), "follow one another");
        }
        depths.extend(node.outputs.iter().map(|&output| (output, depth)));
    }
    Ok(())
}
