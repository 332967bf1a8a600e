//! Which node makes which value, and which values are constants.
//!
//! It owns what counts as the same value: one that only moves to another shape or type. It must not know what operators say
//! of an output.

use std::collections::{HashMap, HashSet};

use crate::neural::onnx_view::{AttributeView, ElementType, FunctionView, GraphView, NodeView, TensorView};

/// Operators that give their first input another place, another shape or a longer or shorter number.
const FORMS: [&str; 10] = [
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Cast",
    "Expand",
    "QuantizeLinear",
    "DequantizeLinear",
];
/// How deep two expressions are compared.
const DEEPEST: usize = 4;
/// Most numbers that are axes or extents; longer lists are none.
pub(super) const MOST_AXES: usize = 32;

/// The nodes of a graph by what they make.
pub(super) struct Producers<'v, 'a> {
    graph: &'v GraphView<'a>,
    made: HashMap<&'v str, (usize, usize)>,
    constants: HashMap<&'v str, &'v TensorView<'a>>,
    elements: HashMap<&'v str, ElementType>,
    functions: HashSet<(&'v str, &'v str)>,
    /// Places of all nodes, each after those that make what it takes.
    order: Vec<usize>,
    /// What values were before they got another form.
    before: HashMap<&'v str, &'v str>,
}

impl<'v, 'a> Producers<'v, 'a> {
    pub(super) fn of(graph: &'v GraphView<'a>, functions: &'v [FunctionView<'a>]) -> Self {
        let nodes = || graph.nodes.iter().enumerate();
        let made = nodes().flat_map(|(place, node)| {
            let named = node.outputs.iter().enumerate().filter(|(_, value)| !value.is_empty());
            named.map(move |(index, &value)| (value, (place, index)))
        });
        let held = nodes()
            .filter(|(_, node)| node.op == "Constant")
            .filter_map(|(_, node)| Some((*node.outputs.first()?, node.attribute("value")?.tensor.as_ref()?)));
        let constants = graph.initializers.iter().map(|tensor| (tensor.name, tensor)).chain(held).collect();
        let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.values);
        let elements = values.filter_map(|value| Some((value.name, value.element?))).collect();
        let functions = functions.iter().map(|function| (domain(function.domain), function.op)).collect();
        let made: HashMap<_, _> = made.collect();
        let order = ordered(&graph.nodes, &made);
        let mut producers = Self { graph, made, constants, elements, functions, order, before: HashMap::new() };
        for node in producers.in_order() {
            let is_form = FORMS.contains(&node.op) && !producers.is_foreign(node);
            if let (true, Some(&taken), Some(&made)) = (is_form, node.inputs.first(), node.outputs.first()) {
                let before = producers.before.get(taken).copied().unwrap_or(taken);
                producers.before.insert(made, before);
            }
        }
        producers
    }

    /// The node that makes a value, and which of its outputs that is.
    fn made(&self, value: &str) -> Option<(&'v NodeView<'a>, usize)> {
        let &(place, index) = self.made.get(value)?;
        Some((&self.graph.nodes[place], index))
    }

    /// The node that makes a value.
    pub(super) fn producer(&self, value: &str) -> Option<&'v NodeView<'a>> {
        self.made(value).map(|(node, _)| node)
    }

    /// Whether nothing but its name is known of the operator of a node: the file itself defines it, or others do.
    pub(super) fn is_foreign(&self, node: &NodeView<'_>) -> bool {
        !matches!(node.domain, "" | "ai.onnx" | "ai.onnx.ml" | "com.microsoft") || self.is_function(node)
    }

    /// Whether the file itself defines the operator of a node, whatever operator has that name elsewhere.
    pub(super) fn is_function(&self, node: &NodeView<'_>) -> bool {
        self.functions.contains(&(domain(node.domain), node.op))
    }

    /// All nodes, each after those that make what it takes, in whatever order the file has them.
    pub(super) fn in_order(&self) -> Vec<&'v NodeView<'a>> {
        self.order.iter().map(|&place| &self.graph.nodes[place]).collect()
    }

    /// The constant that a value is in each run.
    pub(super) fn constant(&self, value: &str) -> Option<&'v TensorView<'a>> {
        self.constants.get(self.same(value)).copied()
    }

    /// Element type of a value, as far as the file says it.
    pub(super) fn element(&self, value: &str) -> Option<ElementType> {
        let constant = self.constants.get(value).map(|constant| constant.element);
        constant.or_else(|| self.elements.get(value).copied())
    }

    /// Whether a value is the same in each run. An input that is left out is.
    pub(super) fn is_constant(&self, value: &str) -> bool {
        let value = self.same(value);
        let is_made = |node: &NodeView<'_>| matches!(node.op, "Constant" | "ConstantOfShape");
        value.is_empty() || self.constants.contains_key(value) || self.producer(value).is_some_and(is_made)
    }

    /// The number that a value is in each run, where it is a single one.
    pub(super) fn number(&self, value: &str) -> Option<f32> {
        if let Some(constant) = self.constant(value) {
            return constant.single_float();
        }
        let node = self.producer(self.same(value)).filter(|node| node.op == "Constant")?;
        match node.attributes.as_slice() {
            [only] if only.name == "value_float" => only.float,
            [only] if only.name == "value_floats" && only.floats.len() == 1 => only.floats.first().copied(),
            _ => None,
        }
    }

    /// The whole numbers that a value is in each run, where they may be axes or extents.
    pub(super) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        if let Some(constant) = self.constant(value) {
            if constant.elements() > MOST_AXES as u64 {
                return None;
            }
            let held = match constant.element {
                ElementType::I64 => constant.external.is_none().then(|| constant.longs().collect()),
                ElementType::I32 => constant.external.is_none().then(|| ints(constant)),
                ElementType::F32
                | ElementType::F64
                | ElementType::F16
                | ElementType::Bf16
                | ElementType::U8
                | ElementType::I8
                | ElementType::Bool
                | ElementType::Other(_) => None,
            };
            return held.filter(|held: &Vec<i64>| held.len() as u64 == constant.elements());
        }
        let node = self.producer(self.same(value)).filter(|node| node.op == "Constant")?;
        match node.attributes.as_slice() {
            [only] if only.name == "value_int" => only.integer.map(|value| vec![value]),
            [only] if only.name == "value_ints" => Some(only.integers.clone()),
            _ => None,
        }
    }

    /// The value that `value` is, before it got another form.
    pub(super) fn same<'s>(&self, value: &'s str) -> &'s str
    where
        'v: 's,
    {
        self.before.get(value).copied().unwrap_or(value)
    }

    /// Whether two values are the same, or computed alike from the same.
    pub(super) fn are_alike(&self, one: &str, other: &str) -> bool {
        self.alike_within(one, other, DEEPEST)
    }

    fn alike_within(&self, one: &str, other: &str, depth: usize) -> bool {
        let (one, other) = (self.same(one), self.same(other));
        if one == other {
            return true;
        }
        let (Some((one, first)), Some((other, second))) = (self.made(one), self.made(other)) else {
            return false;
        };
        depth > 0
            && first == second
            && (one.op, one.domain, one.inputs.len()) == (other.op, other.domain, other.inputs.len())
            && one.inputs.len() <= 3
            && one.attributes.iter().all(is_short)
            && one.attributes == other.attributes
            && !one.inputs.is_empty()
            && one.inputs.iter().zip(&other.inputs).all(|(one, other)| self.alike_within(one, other, depth - 1))
    }
}

/// Places of nodes, each after those that make what it takes.
fn ordered(nodes: &[NodeView<'_>], made: &HashMap<&str, (usize, usize)>) -> Vec<usize> {
    let (mut order, mut is_met) = (Vec::with_capacity(nodes.len()), vec![false; nodes.len()]);
    for start in 0..nodes.len() {
        let mut waiting = Vec::new();
        let mut next = Some(start);
        loop {
            if let Some(place) = next.take().filter(|&place| !std::mem::replace(&mut is_met[place], true)) {
                waiting.push((place, taken(&nodes[place]).into_iter()));
            }
            let Some((place, inputs)) = waiting.last_mut() else { break };
            match inputs.next() {
                Some(input) => next = made.get(input).map(|&(place, _)| place),
                None => {
                    order.push(*place);
                    waiting.pop();
                }
            }
        }
    }
    order
}

/// What a node takes: its inputs, and what the graphs inside it take.
pub(super) fn taken<'v>(node: &'v NodeView<'_>) -> Vec<&'v str> {
    let mut taken = node.inputs.clone();
    for graph in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
        graph.each_graph(&mut |graph| {
            taken.extend(graph.nodes.iter().flat_map(|node| &node.inputs));
            taken.extend(graph.outputs.iter().map(|output| output.name));
        });
    }
    taken
}

/// Whether an attribute is compared in no time.
fn is_short(attribute: &AttributeView<'_>) -> bool {
    let has_long = attribute.integers.len().max(attribute.floats.len()) > MOST_AXES;
    attribute.tensor.is_none() && attribute.graphs.is_empty() && !has_long
}

fn ints(tensor: &TensorView<'_>) -> Vec<i64> {
    let raw = tensor.raw.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes)));
    raw.chain(tensor.integers.iter().copied()).collect()
}

/// The standard's operator set has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}
