//! The end of a network, at which numbers that differ become the same: a softmax of scores far apart is 0 and 1.
//!
//! It owns which operators do so. It must not know why a network is looked at before them.

use crate::neural::onnx_view::{GraphView, OnnxView};

/// Operators at whose end numbers that differ may be the same, and those that only pass numbers on.
const LEVELLING: [&str; 17] = [
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "HardSigmoid",
    "Tanh",
    "Clip",
    "Relu",
    "ArgMax",
    "ArgMin",
    "Hardmax",
    "Cast",
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
];

/// The values that come before such operators at the end of the network, for its outputs or the values named; `None` where there are none.
pub(super) fn before_the_end(onnx: &[u8], outputs: &[String]) -> Option<Vec<String>> {
    let view = OnnxView::parse(onnx).ok()?;
    let graph = &view.graph;
    let ends: Vec<&str> = match outputs {
        [] => graph.outputs.iter().map(|output| output.name).collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut before: Vec<&str> = ends.iter().map(|end| before_end(graph, end)).collect();
    before.sort_unstable();
    before.dedup();
    let is_made = |value: &str| graph.nodes.iter().any(|node| node.outputs.contains(&value));
    let is_other = before.iter().any(|value| !ends.contains(value));
    (is_other && before.iter().all(|value| is_made(value))).then(|| before.into_iter().map(str::to_owned).collect())
}

fn before_end<'a>(graph: &GraphView<'a>, end: &'a str) -> &'a str {
    let mut value = end;
    // No longer than there are nodes, whatever a file says.
    for _ in 0..graph.nodes.len() {
        let maker = graph.nodes.iter().find(|node| node.outputs.contains(&value));
        let Some(node) = maker.filter(|node| node.domain.is_empty() && LEVELLING.contains(&node.op)) else { break };
        match node.inputs.first() {
            Some(&input) if !input.is_empty() => value = input,
            Some(_) | None => break,
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use dede_testing::onnx::{Attribute, F32, Onnx};

    use super::*;

    #[test]
    fn values_before_what_levels_them_are_found() {
        let network = Onnx::new(17)
            .input("x", F32, &[-1, 2])
            .output("p", F32, &[-1, 2])
            .output("s", F32, &[-1, 2])
            .node("Neg", &["x"], &["scores"], &[])
            .node("Identity", &["scores"], &["same"], &[])
            .node("Softmax", &["same"], &["p"], &[("axis", Attribute::Int(-1))])
            .node("Neg", &["scores"], &["s"], &[])
            .build();
        for (outputs, expected) in [
            (&[][..], Some(&["s", "scores"][..])),
            (&["p"], Some(&["scores"])),
            (&["s"], None),
            (&["same"], Some(&["scores"])),
        ] {
            let outputs: Vec<String> = outputs.iter().map(|&name| name.to_owned()).collect();
            let found = before_the_end(&network, &outputs);
            let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{outputs:?}");
        }
        let bare = Onnx::new(17)
            .input("x", F32, &[-1, 2])
            .output("p", F32, &[-1, 2])
            .node("Softmax", &["x"], &["p"], &[("axis", Attribute::Int(-1))])
            .build();
        assert_eq!(before_the_end(&bare, &[]), None, "no operator makes the input");
    }
}
