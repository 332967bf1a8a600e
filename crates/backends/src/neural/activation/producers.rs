//! Which node makes which value, and which values are constants.
//!
//! It owns what counts as the same value: one that only moves to another shape or type. It must not know what operators say
//! of an output.

use std::collections::HashMap;
use std::rc::Rc;

use super::attributes::integer;
use super::functions::Functions;
use crate::neural::onnx_view::{AttributeView, ElementType, GraphView, NodeView, TensorView};

/// Operators that give their first input another place or another shape.
const MOVES: [&str; 6] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"];
/// Domains of the standard's operators.
const STANDARD: &[&str] = &["", "ai.onnx"];
/// Domains whose operators are known.
const KNOWN: &[&str] = &["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];
/// How deep two expressions are compared.
const DEEPEST: usize = 4;
/// Most numbers that are axes or extents; longer lists are none.
pub(super) const MOST_AXES: usize = 32;

/// What whole numbers are taken times, and which of them is 0: names of values, empty where one is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale<'n> {
    factor: &'n str,
    zero: &'n str,
    /// Along which axis there are several of them.
    axis: Option<i64>,
}

impl<'n> Scale<'n> {
    /// That which a node takes as its input number `place` and the next.
    pub(super) fn of(node: &NodeView<'n>, place: usize) -> Self {
        let input = |place: usize| node.inputs.get(place).copied().unwrap_or("");
        let has_axis = matches!(node.op, "QuantizeLinear" | "DequantizeLinear");
        let axis = has_axis.then(|| integer(node, "axis").unwrap_or(1));
        Self { factor: input(place), zero: input(place + 1), axis }
    }

    /// That which a `DynamicQuantizeLinear` makes.
    pub(super) fn computed(node: &NodeView<'n>) -> Self {
        let output = |place: usize| node.outputs.get(place).copied().unwrap_or("");
        Self { factor: output(1), zero: output(2), axis: None }
    }
}

/// The nodes of a graph by what they make.
pub(super) struct Producers<'v, 'a> {
    graph: &'v GraphView<'a>,
    made: HashMap<&'v str, (usize, usize)>,
    constants: HashMap<&'v str, &'v TensorView<'a>>,
    elements: HashMap<&'v str, ElementType>,
    functions: Rc<Functions<'v, 'a>>,
    /// Places of all nodes, each after those that make what it takes.
    order: Vec<usize>,
    /// What values were before they got another form.
    before: HashMap<&'v str, &'v str>,
    /// What values were before they got longer or shorter numbers, each in its place.
    held: HashMap<&'v str, &'v str>,
}

impl<'v, 'a> Producers<'v, 'a> {
    pub(super) fn of(graph: &'v GraphView<'a>, functions: Rc<Functions<'v, 'a>>) -> Self {
        let nodes = || graph.nodes.iter().enumerate();
        let made = nodes().flat_map(|(place, node)| {
            let named = node.outputs.iter().enumerate().filter(|(_, value)| !value.is_empty());
            named.map(move |(index, &value)| (value, (place, index)))
        });
        let held = nodes()
            .filter(|(_, node)| node.op == "Constant" && is_of(&functions, node, STANDARD))
            .filter_map(|(_, node)| Some((*node.outputs.first()?, node.attribute("value")?.tensor.as_ref()?)));
        let constants = graph.initializers.iter().map(|tensor| (tensor.name, tensor)).chain(held).collect();
        let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.values);
        let elements = values.filter_map(|value| Some((value.name, value.element?))).collect();
        let made: HashMap<_, _> = made.collect();
        let order = ordered(&graph.nodes, &made);
        let (before, held) = (HashMap::new(), HashMap::new());
        let mut producers = Self { graph, made, constants, elements, functions, order, before, held };
        for node in producers.in_order() {
            let Some(&made) = node.outputs.first() else { continue };
            let kept = producers.kept(node);
            let moved = node.inputs.first().filter(|_| MOVES.contains(&node.op) && producers.is_standard(node));
            if let Some(taken) = kept.or(moved.copied()) {
                producers.before.insert(made, producers.same(taken));
            }
            if let Some(taken) = kept {
                producers.held.insert(made, producers.held(taken));
            }
        }
        producers
    }

    /// A value of this graph is a constant of the graph around it.
    pub(super) fn adopt(&mut self, value: &'v str, of: &Self, outer: &str) {
        if let Some(&constant) = of.constants.get(of.held(outer)) {
            self.constants.entry(value).or_insert(constant);
        }
    }

    /// The node that makes a value, and which of its outputs that is.
    fn made(&self, value: &str) -> Option<(&'v NodeView<'a>, usize)> {
        let &(place, index) = self.made.get(value)?;
        Some((&self.graph.nodes[place], index))
    }

    /// The node that makes a value, where it is one of the standard's operators.
    pub(super) fn producer(&self, value: &str) -> Option<&'v NodeView<'a>> {
        self.made(value).map(|(node, _)| node).filter(|node| self.is_standard(node))
    }

    /// The node that makes a value, whatever its operator.
    pub(super) fn maker_of_any(&self, value: &str) -> Option<&'v NodeView<'a>> {
        self.made(self.same(value)).map(|(node, _)| node)
    }

    /// The node that makes a value, where its operator is known.
    pub(super) fn maker(&self, value: &str) -> Option<&'v NodeView<'a>> {
        self.made(value).map(|(node, _)| node).filter(|node| !self.is_foreign(node))
    }

    /// Whether a node is one of the standard's operators, and no other of that name.
    pub(super) fn is_standard(&self, node: &NodeView<'_>) -> bool {
        is_of(&self.functions, node, STANDARD)
    }

    /// Whether nothing but its name is known of the operator of a node: the file itself defines it, or others do.
    pub(super) fn is_foreign(&self, node: &NodeView<'_>) -> bool {
        !is_of(&self.functions, node, KNOWN)
    }

    /// What a node takes whose numbers are those it makes, each in its place.
    fn kept(&self, node: &'v NodeView<'a>) -> Option<&'v str> {
        let taken = node.inputs.first().copied().filter(|_| !self.is_foreign(node))?;
        match node.op {
            "Identity" if self.is_standard(node) => Some(taken),
            "Cast" if self.makes_floats(node) || self.casts_whole_numbers(node) => Some(taken),
            "DequantizeLinear" => {
                let coding = self.maker(taken).filter(|coding| coding.op == "QuantizeLinear")?;
                let coded = coding.inputs.first().copied()?;
                self.are_one_scale(Scale::of(coding, 1), Scale::of(node, 1)).then_some(coded)
            }
            _ => None,
        }
    }

    /// Whether a Cast or CastLike makes floating-point numbers, as far as the file says it.
    pub(super) fn makes_floats(&self, node: &NodeView<'_>) -> bool {
        let to = match node.op {
            "CastLike" => node.inputs.get(1).and_then(|like| self.element(like)),
            _ => integer(node, "to").map(ElementType::from_code),
        };
        matches!(to, Some(ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16))
    }

    fn casts_whole_numbers(&self, node: &NodeView<'_>) -> bool {
        let is_whole = |element| matches!(element, Some(ElementType::I32 | ElementType::I64));
        let from = node.inputs.first().and_then(|input| self.element(self.same(input)));
        is_whole(integer(node, "to").map(ElementType::from_code)) && is_whole(from)
    }

    /// Whether whole numbers stand for the same numbers by both.
    pub(super) fn are_one_scale(&self, one: Scale<'_>, other: Scale<'_>) -> bool {
        let number = |value: &str, left_out: Option<f64>| match value {
            "" => left_out,
            value => self.constants.get(self.held(value)).and_then(|constant| constant.single_number()),
        };
        let are_equal = |one: &str, other: &str, left_out: Option<f64>| {
            number(one, left_out).is_some_and(|one| number(other, left_out) == Some(one))
        };
        let are_same = |one: &str, other: &str| !one.is_empty() && self.held(one) == self.held(other);
        let are_zeros_same = are_same(one.zero, other.zero) || (one.zero.is_empty() && other.zero.is_empty());
        match are_equal(one.factor, other.factor, None) {
            true => are_zeros_same || are_equal(one.zero, other.zero, Some(0.0)),
            false => {
                are_same(one.factor, other.factor)
                    && are_zeros_same
                    && one.axis.is_none_or(|axis| other.axis.is_none_or(|other| axis == other))
            }
        }
    }

    /// Whether the file itself defines the operator of a node, whatever operator has that name elsewhere.
    pub(super) fn is_function(&self, node: &NodeView<'_>) -> bool {
        self.functions.defines(node)
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
            return constant.single_number().map(|number| number as f32);
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

    /// The value that has these numbers in these places, before they got longer or shorter.
    pub(super) fn held<'s>(&self, value: &'s str) -> &'s str
    where
        'v: 's,
    {
        self.held.get(value).copied().unwrap_or(value)
    }

    /// Whether two values are the same, or computed alike from the same.
    pub(super) fn are_alike(&self, one: &str, other: &str) -> bool {
        self.alike_within(one, other, DEEPEST)
    }

    fn alike_within(&self, one: &str, other: &str, depth: usize) -> bool {
        let (one, other) = (self.held(one), self.held(other));
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

/// Whether a node has an operator of one of these domains, which the file does not define itself.
fn is_of(functions: &Functions<'_, '_>, node: &NodeView<'_>, domains: &[&str]) -> bool {
    domains.contains(&node.domain) && !functions.defines(node)
}
