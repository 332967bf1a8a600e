//! Refuses networks in which the values of an input decide how much is computed: no trial at creation bounds what a request makes of them.
//!
//! It follows values from the inputs to the operators that take a size, or a number of rounds, from a value. It must not know engines. What
//! is bounded by the size of an input is let through: NonZero, TopK, NonMaxSuppression and the like, and any shape.

use std::collections::{HashMap, HashSet};

use super::engine::EngineError;
use super::onnx_view::{FunctionView, GraphView, NodeView, OnnxView};

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
    let decided = Decided::of(&view);
    let mut found = Ok(());
    for (scope, graph) in scopes(&view).enumerate() {
        graph.each_graph(&mut |graph| {
            if let Some((node, what)) =
                graph.nodes.iter().find_map(|node| Some((node, decided.problem(scope, node, graph)?)))
            {
                let reason =
                    format!("operator {}: the values of an input decide {what}, so that it has no bound", node.op);
                found = Err(EngineError::at(node.shown_name(), reason));
            }
        });
    }
    found
}

/// The main graph, then what the functions of the model compute: names are of one of these each.
fn scopes<'v, 'a>(view: &'v OnnxView<'a>) -> impl Iterator<Item = &'v GraphView<'a>> {
    std::iter::once(&view.graph).chain(view.functions.iter().map(|function| &function.graph))
}

/// A value, by its name and the number of the scope that the name is of.
type Value<'a> = (usize, &'a str);

/// The functions of a model by domain and name, each with the number of its scope.
type Functions<'v, 'a> = HashMap<(&'a str, &'a str), (usize, &'v FunctionView<'a>)>;

/// The values that the values of an input decide.
struct Decided<'a>(HashSet<Value<'a>>);

/// Where a value goes on to.
enum Next<'g, 'a> {
    Node(usize, &'g NodeView<'a>),
    /// It has another name further on.
    Value(Value<'a>),
}

impl<'a> Decided<'a> {
    fn of(view: &OnnxView<'a>) -> Self {
        let functions: Functions<'_, 'a> =
            (1..).zip(&view.functions).map(|(scope, own)| ((own.domain, own.op), (scope, own))).collect();
        let mut next: HashMap<Value<'_>, Vec<Next<'_, 'a>>> = HashMap::new();
        for (scope, graph) in scopes(view).enumerate() {
            graph.each_graph(&mut |graph| {
                for node in &graph.nodes {
                    let takes = node.inputs.iter().map(|name| ((scope, *name), Next::Node(scope, node)));
                    takes.for_each(|(name, node)| next.entry(name).or_default().push(node));
                    let bodies = node.attributes.iter().flat_map(|attribute| &attribute.graphs);
                    let inside = bodies.flat_map(|body| renamed(node, body));
                    let inside = inside.map(|(from, to)| ((scope, from), (scope, to)));
                    for (from, to) in inside.chain(called(&functions, scope, node)) {
                        next.entry(from).or_default().push(Next::Value(to));
                    }
                }
            });
        }
        let mut decided = Self(HashSet::new());
        let mut waiting: Vec<Value<'_>> = view.graph.required_inputs().map(|input| (0, input.name)).collect();
        while let Some(value) = waiting.pop() {
            if value.1.is_empty() || !decided.0.insert(value) {
                continue;
            }
            for next in next.get(&value).into_iter().flatten() {
                match next {
                    Next::Node(_, node) if matches!(node.op, "Shape" | "Size") => {}
                    Next::Node(scope, node) => waiting.extend(node.outputs.iter().map(|name| (*scope, *name))),
                    Next::Value(value) => waiting.push(*value),
                }
            }
        }
        decided
    }

    /// What has no bound, if anything has none.
    fn problem(&self, scope: usize, node: &NodeView<'_>, graph: &GraphView<'_>) -> Option<&'static str> {
        if !node.is_standard() {
            return None;
        }
        let is_decided = |index: &usize| node.inputs.get(*index).is_some_and(|name| self.0.contains(&(scope, *name)));
        let sizes = match node.op {
            // The first one is what is resized; a region of it is no size.
            "Resize" if node.inputs.len() == 2 => &[1][..],
            "Resize" => &[2, 3],
            op => SIZE_INPUTS.iter().find(|(known, _)| *known == op).map_or(&[][..], |(_, sizes)| sizes),
        };
        if sizes.iter().any(is_decided) {
            return Some("how large its output is");
        }
        (node.op == "Loop" && self.is_endless(scope, node, graph)).then_some("how many rounds it takes")
    }

    fn is_endless(&self, scope: usize, node: &NodeView<'_>, graph: &GraphView<'_>) -> bool {
        let rounds = node.inputs.first().copied().filter(|name| !name.is_empty());
        if rounds.is_some_and(|name| self.0.contains(&(scope, name))) {
            return true;
        }
        let few = rounds.and_then(|name| graph.constant(name)).and_then(|constant| constant.longs().next());
        let is_short = few.is_some_and(|rounds| rounds <= FEW_ROUNDS);
        let bodies = node.attributes.iter().flat_map(|attribute| &attribute.graphs);
        let condition =
            |body: &GraphView<'_>| body.outputs.first().is_some_and(|output| self.0.contains(&(scope, output.name)));
        !is_short && bodies.into_iter().any(condition)
    }
}

/// How values are called inside of the function that a node calls, if it is one of the model's own, and what comes out of it.
fn called<'a>(functions: &Functions<'_, 'a>, scope: usize, node: &NodeView<'a>) -> Vec<(Value<'a>, Value<'a>)> {
    let Some((own, function)) = functions.get(&(node.domain, node.op)) else { return Vec::new() };
    let inputs = function.graph.inputs.iter().map(|input| (*own, input.name));
    let outputs = function.graph.outputs.iter().map(|output| (*own, output.name));
    let into = node.inputs.iter().map(|name| (scope, *name)).zip(inputs);
    into.chain(outputs.zip(node.outputs.iter().map(|name| (scope, *name)))).collect()
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
