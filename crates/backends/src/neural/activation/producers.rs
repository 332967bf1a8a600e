//! Which node makes which value, and which values are constants.
//!
//! It owns what counts as the same value: one that only moves to another shape or type. It must not know what operators say
//! of an output.

use std::collections::HashMap;

use crate::neural::onnx_view::{AttributeView, Dimension, ElementType, GraphView, NodeView, TensorView, ValueView};

/// Nodes between two forms of one value.
const FARTHEST: usize = 32;
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

/// The nodes of a graph by what they make.
pub(super) struct Producers<'v, 'a> {
    made: HashMap<&'v str, (&'v NodeView<'a>, usize)>,
    constants: HashMap<&'v str, &'v TensorView<'a>>,
    values: HashMap<&'v str, &'v ValueView<'a>>,
}

impl<'v, 'a> Producers<'v, 'a> {
    pub(super) fn of(graph: &'v GraphView<'a>) -> Self {
        let made = graph.nodes.iter().flat_map(|node| {
            let named = node.outputs.iter().enumerate().filter(|(_, value)| !value.is_empty());
            named.map(move |(index, &value)| (value, (node, index)))
        });
        let constants = graph.initializers.iter().map(|tensor| (tensor.name, tensor)).collect();
        let values = graph.values.iter().chain(&graph.outputs).chain(&graph.inputs);
        let values = values.map(|value| (value.name, value)).collect();
        Self { made: made.collect(), constants, values }
    }

    /// The node that makes a value, which of its outputs that is, and the value's name as the graph has it.
    pub(super) fn made(&self, value: &str) -> Option<(&'v NodeView<'a>, usize, &'v str)> {
        let (name, (node, index)) = self.made.get_key_value(value)?;
        Some((node, *index, name))
    }

    /// The node that makes a value.
    pub(super) fn producer(&self, value: &str) -> Option<&'v NodeView<'a>> {
        self.made.get(value).map(|(node, _)| *node)
    }

    /// Whether a value is the same in each run. An input that is left out is.
    pub(super) fn is_constant(&self, value: &str) -> bool {
        let value = self.same(value);
        let is_made = |node: &NodeView<'_>| matches!(node.op, "Constant" | "ConstantOfShape");
        value.is_empty() || self.constants.contains_key(value) || self.producer(value).is_some_and(is_made)
    }

    /// Whether a value is a constant, or the scale that a run found for whole numbers, perhaps times constants.
    pub(super) fn is_scale(&self, value: &str) -> bool {
        let is_found = |value: &str| match self.made(self.same(value)) {
            Some((node, index, _)) => node.op == "DynamicQuantizeLinear" && index == 1,
            None => false,
        };
        let is_factor = |value: &str| self.is_constant(value) || is_found(value);
        let is_product = |node: &NodeView<'_>| node.op == "Mul" && node.inputs.iter().all(|input| is_factor(input));
        is_factor(value) || self.producer(self.same(value)).is_some_and(is_product)
    }

    /// The number that a value is in each run, where it is a single one.
    pub(super) fn number(&self, value: &str) -> Option<f32> {
        let value = self.same(value);
        match self.attribute(value) {
            Some(attribute) if attribute.name == "value_float" => attribute.float,
            _ => self.constant(value)?.single_float(),
        }
    }

    /// The whole numbers that a value is in each run.
    pub(super) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        let value = self.same(value);
        match self.attribute(value) {
            Some(attribute) if attribute.name == "value_ints" => Some(attribute.integers.clone()),
            Some(attribute) if attribute.name == "value_int" => Some(vec![attribute.integer?]),
            _ => {
                let constant = self.constant(value)?;
                let held = constant.element == ElementType::I64 && constant.external.is_none();
                held.then(|| constant.longs().collect())
            }
        }
    }

    fn constant(&self, value: &str) -> Option<&'v TensorView<'a>> {
        self.constants.get(value).copied().or_else(|| self.attribute(value)?.tensor.as_ref())
    }

    /// What a Constant operator holds.
    fn attribute(&self, value: &str) -> Option<&'v AttributeView<'a>> {
        self.producer(value).filter(|node| node.op == "Constant")?.attributes.first()
    }

    /// Axes of a value, where the file says them.
    pub(super) fn dims(&self, value: &str) -> Option<&'v [Dimension<'a>]> {
        self.values.get(value)?.dims.as_deref()
    }

    /// Type of a value, where the file says it.
    pub(super) fn element(&self, value: &str) -> Option<ElementType> {
        let declared = || self.values.get(value)?.element;
        self.constant(value).map(|tensor| tensor.element).or_else(declared)
    }

    /// The value that `value` is, before it got another form.
    pub(super) fn same<'s>(&self, value: &'s str) -> &'s str
    where
        'v: 's,
    {
        let mut value = value;
        for _ in 0..FARTHEST {
            let node = self.producer(value).filter(|node| FORMS.contains(&node.op));
            let Some(&before) = node.and_then(|node| node.inputs.first()) else { break };
            value = before;
        }
        value
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
        let (Some((one, first, _)), Some((other, second, _))) = (self.made(one), self.made(other)) else {
            return false;
        };
        depth > 0
            && first == second
            && (one.op, one.domain, one.inputs.len()) == (other.op, other.domain, other.inputs.len())
            && one.attributes == other.attributes
            && one.inputs.len() <= 3
            && !one.inputs.is_empty()
            && one.inputs.iter().zip(&other.inputs).all(|(one, other)| self.alike_within(one, other, depth - 1))
    }
}
