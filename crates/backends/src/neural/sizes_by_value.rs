//! Refuses networks in which the values of an input decide how much is computed: no trial at creation bounds what a request makes of them.
//!
//! It follows values from the inputs to the operators that take a size, or a number of rounds, from a value. It must not know engines. What
//! is bounded by the size of an input is let through: NonZero, TopK, NonMaxSuppression and the like, and any shape.

use std::collections::{HashMap, HashSet};

use super::engine::EngineError;
use super::onnx_view::{GraphView, NodeView, OnnxView};

/// A `Loop` of no more rounds may end early by what it computes.
const FEW_ROUNDS: i64 = 1 << 16;

/// Operators whose output is as large as the values of these inputs say (ONNX operator schemas).
const SIZE_INPUTS: [(&str, &[usize]); 16] = [
    ("BlackmanWindow", &[0]),
    ("CenterCropPad", &[1]),
    ("Col2Im", &[1, 2]),
    ("ConstantOfShape", &[0]),
    ("DFT", &[1]),
    ("AffineGrid", &[1]),
    ("Expand", &[1]),
    ("HammingWindow", &[0]),
    ("HannWindow", &[0]),
    ("MaxUnpool", &[2]),
    ("MelWeightMatrix", &[0, 1]),
    ("OneHot", &[1]),
    ("Pad", &[1]),
    ("Range", &[0, 1, 2]),
    ("Tile", &[1, 2]),
    ("Upsample", &[1]),
];

/// Checks a network whose inputs are a client's.
///
/// # Errors
/// [`EngineError`] naming the operator; bytes that are no network.
pub(super) fn check(onnx: &[u8]) -> Result<(), EngineError> {
    let view = OnnxView::parse(onnx).map_err(|error| EngineError::new(error.to_string()))?;
    let decided = Decided::of(&view.graph);
    let mut found = Ok(());
    view.graph.each_graph(&mut |graph| {
        if let Some((node, what)) = graph.nodes.iter().find_map(|node| Some((node, decided.problem(node, graph)?))) {
            let reason = format!("operator {}: the values of an input decide {what}, so that it has no bound", node.op);
            found = Err(EngineError::at(node.shown_name(), reason));
        }
    });
    found
}

/// Names of the values that the values of an input decide.
struct Decided<'a>(HashSet<&'a str>);

/// Where a value goes on to.
enum Next<'g, 'a> {
    Node(&'g NodeView<'a>),
    /// It has another name further on.
    Value(&'a str),
}

impl<'a> Decided<'a> {
    fn of(main: &GraphView<'a>) -> Self {
        let mut next: HashMap<&str, Vec<Next<'_, 'a>>> = HashMap::new();
        main.each_graph(&mut |graph| {
            for node in &graph.nodes {
                node.inputs.iter().for_each(|name| next.entry(*name).or_default().push(Next::Node(node)));
                let bodies = node.attributes.iter().flat_map(|attribute| &attribute.graphs);
                for (from, to) in bodies.flat_map(|body| renamed(node, body)) {
                    next.entry(from).or_default().push(Next::Value(to));
                }
            }
        });
        let mut decided = Self(HashSet::new());
        let mut waiting: Vec<&str> = main.required_inputs().map(|input| input.name).collect();
        while let Some(name) = waiting.pop() {
            if name.is_empty() || !decided.0.insert(name) {
                continue;
            }
            for next in next.get(name).into_iter().flatten() {
                match next {
                    Next::Node(node) if matches!(node.op, "Shape" | "Size") => {}
                    Next::Node(node) => waiting.extend(&node.outputs),
                    Next::Value(name) => waiting.push(name),
                }
            }
        }
        decided
    }

    /// What has no bound, if anything has none.
    fn problem(&self, node: &NodeView<'_>, graph: &GraphView<'_>) -> Option<&'static str> {
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return None;
        }
        let is_decided = |index: &usize| node.inputs.get(*index).is_some_and(|name| self.0.contains(name));
        let sizes = match node.op {
            // The first one is what is resized; a region of it is no size.
            "Resize" if node.inputs.len() == 2 => &[1][..],
            "Resize" => &[2, 3],
            op => SIZE_INPUTS.iter().find(|(known, _)| *known == op).map_or(&[][..], |(_, sizes)| sizes),
        };
        if sizes.iter().any(is_decided) {
            return Some("how large its output is");
        }
        (node.op == "Loop" && self.is_endless(node, graph)).then_some("how many rounds it takes")
    }

    fn is_endless(&self, node: &NodeView<'_>, graph: &GraphView<'_>) -> bool {
        let rounds = node.inputs.first().copied().filter(|name| !name.is_empty());
        if rounds.is_some_and(|name| self.0.contains(name)) {
            return true;
        }
        let few = rounds.and_then(|name| graph.constant(name)).and_then(|constant| constant.first_integer());
        let is_short = few.is_some_and(|rounds| rounds <= FEW_ROUNDS);
        let bodies = node.attributes.iter().flat_map(|attribute| &attribute.graphs);
        let condition = |body: &GraphView<'_>| body.outputs.first().is_some_and(|output| self.0.contains(output.name));
        !is_short && bodies.into_iter().any(condition)
    }
}

/// How values are called inside of a body, and what comes out of it outside.
fn renamed<'a>(node: &NodeView<'a>, body: &GraphView<'a>) -> Vec<(&'a str, &'a str)> {
    let inputs = body.inputs.iter().map(|input| input.name);
    let outputs = body.outputs.iter().map(|output| output.name);
    let names: Vec<&str> = inputs.clone().collect();
    // What a round of `Loop` leaves is one place further on in the next, behind the number of the round; one of `Scan` in the same.
    let (goes_out, goes_on) = match node.op {
        "Loop" => (1, 1),
        _ => (0, 0),
    };
    let into = node.inputs.iter().copied().zip(inputs);
    let out = outputs.clone().skip(goes_out).zip(node.outputs.iter().copied());
    let on = outputs.zip(names.into_iter().skip(goes_on));
    into.chain(out).chain(on.filter(|_| matches!(node.op, "Loop" | "Scan"))).collect()
}
