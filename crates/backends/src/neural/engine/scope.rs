//! What is known of the values of a network before it runs: element types, extents, constants, who takes them.
//!
//! It owns the walk over operators with their numbers, and the rules by which operators pass element types on. It must not know
//! what engines do with them.

use std::collections::HashMap;

use crate::neural::onnx_view::{Dimension, ElementType, GraphView, NodeView, TensorView};

/// The values that a graph sees.
pub(in crate::neural::engine) struct Scope<'s, 'a> {
    graph: &'s GraphView<'a>,
    elements: HashMap<&'a str, ElementType>,
    outer: Option<&'s Scope<'s, 'a>>,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// Of a graph, inside another where there is an outer one.
    pub(in crate::neural::engine) fn of(graph: &'s GraphView<'a>, outer: Option<&'s Scope<'s, 'a>>) -> Self {
        let mut scope = Self { graph, elements: HashMap::new(), outer };
        let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.values);
        scope.elements.extend(values.filter_map(|value| Some((value.name, value.element?))));
        scope.elements.extend(graph.initializers.iter().map(|tensor| (tensor.name, tensor.element)));
        for node in &graph.nodes {
            for (index, &output) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                if let Some(element) = scope.made_by(node, index) {
                    scope.elements.entry(output).or_insert(element);
                }
            }
        }
        scope
    }

    /// The graph itself.
    pub(in crate::neural::engine) fn graph(&self) -> &'s GraphView<'a> {
        self.graph
    }

    /// Type of a value; `None` where it is not known.
    pub(in crate::neural::engine) fn element(&self, name: &str) -> Option<ElementType> {
        self.elements.get(name).copied().or_else(|| self.outer?.element(name))
    }

    /// Type of an input of an operator.
    pub(in crate::neural::engine) fn input(&self, node: &NodeView<'_>, index: usize) -> Option<ElementType> {
        self.element(node.inputs.get(index).filter(|name| !name.is_empty())?)
    }

    /// The constant of that name.
    pub(in crate::neural::engine) fn constant(&self, name: &str) -> Option<&'s TensorView<'a>> {
        self.graph.constant(name).or_else(|| self.outer?.constant(name))
    }

    /// Extents of an input of an operator, `None` where decided at run time; `None` altogether when not even their number is known.
    pub(in crate::neural::engine) fn dims(&self, node: &NodeView<'_>, index: usize) -> Option<Vec<Option<usize>>> {
        let name = node.inputs.get(index).filter(|name| !name.is_empty())?;
        if let Some(constant) = self.constant(name) {
            return Some(constant.dims.iter().map(|&size| usize::try_from(size).ok()).collect());
        }
        let size = |dimension: &Dimension<'_>| match dimension {
            Dimension::Fixed(size) => usize::try_from(*size).ok(),
            Dimension::Symbolic(_) => None,
        };
        match self.graph.value(name) {
            Some(value) => Some(value.dims.as_ref()?.iter().map(size).collect()),
            None => self.outer?.dims(node, index),
        }
    }

    /// Operators of this graph that take a value, each with the place where it takes it.
    pub(in crate::neural::engine) fn takers(&self, name: &str) -> impl Iterator<Item = (&'s NodeView<'a>, usize)> {
        self.graph.nodes.iter().flat_map(move |node| {
            let places = node.inputs.iter().enumerate().filter(move |(_, input)| **input == name);
            places.map(move |(place, _)| (node, place))
        })
    }

    /// Whether a value leaves this graph: as its output, or because a graph inside it takes it.
    pub(in crate::neural::engine) fn leaves(&self, name: &str) -> bool {
        let inside = |node: &NodeView<'_>| {
            let mut taken = false;
            for graph in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
                graph.each_graph(&mut |graph| {
                    taken |= graph.nodes.iter().any(|node| node.inputs.contains(&name));
                    taken |= graph.outputs.iter().any(|output| output.name == name);
                });
            }
            taken
        };
        self.graph.outputs.iter().any(|output| output.name == name) || self.graph.nodes.iter().any(inside)
    }

    /// Type of an output of an operator, by the types of its inputs and its attributes.
    fn made_by(&self, node: &NodeView<'a>, output: usize) -> Option<ElementType> {
        if !is_standard(node) {
            return None;
        }
        let attribute = |name| node.attribute(name)?.integer.map(ElementType::from_code);
        let input = |index| self.input(node, index);
        match (node.op, output) {
            ("Cast" | "BitCast", _) => attribute("to"),
            ("CastLike", _) | ("DequantizeLinear", _) | ("Where", _) => input(1),
            ("Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" | "NonMaxSuppression" | "SequenceLength", _)
            | ("TopK" | "MaxPool", 1) => Some(ElementType::I64),
            ("Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual", _)
            | ("And" | "Or" | "Xor" | "Not" | "IsNaN" | "IsInf", _)
            | ("Dropout", 1) => Some(ElementType::Bool),
            ("Constant", _) => constant_element(node),
            ("ConstantOfShape", _) => match node.attribute("value") {
                Some(value) => value.tensor.as_ref().map(|tensor| tensor.element),
                None => Some(ElementType::F32),
            },
            ("EyeLike", _) => attribute("dtype").or_else(|| input(0)),
            ("OneHot", _) => input(2),
            ("QuantizeLinear", _) => {
                let declared = attribute("output_dtype").filter(|element| *element != ElementType::Other(0));
                input(2).or(declared).or(Some(ElementType::U8))
            }
            ("DynamicQuantizeLinear", 1) => Some(ElementType::F32),
            ("DynamicQuantizeLinear", _) => Some(ElementType::U8),
            ("MatMulInteger" | "ConvInteger", _) => Some(ElementType::I32),
            ("If" | "Loop" | "Scan" | "SequenceAt" | "SequenceEmpty" | "SplitToSequence", _) => None,
            _ => input(0),
        }
    }
}

fn constant_element(node: &NodeView<'_>) -> Option<ElementType> {
    let attribute = node.attributes.first()?;
    match attribute.name {
        "value" => attribute.tensor.as_ref().map(|tensor| tensor.element),
        "value_int" | "value_ints" => Some(ElementType::I64),
        "value_float" | "value_floats" => Some(ElementType::F32),
        _ => None,
    }
}

/// Whether it is one of ONNX's own operators.
pub(in crate::neural::engine) fn is_standard(node: &NodeView<'_>) -> bool {
    matches!(node.domain, "" | "ai.onnx")
}

/// Calls `visit` for each operator with its number ([`dede_graph::onnx::Rewrite`]), those of graphs inside operators included, until it
/// fails.
pub(in crate::neural::engine) fn each_operator<'a, E>(
    scope: &Scope<'_, 'a>,
    next: &mut usize,
    visit: &mut impl FnMut(usize, &NodeView<'a>, &Scope<'_, 'a>) -> Result<(), E>,
) -> Result<(), E> {
    for node in &scope.graph.nodes {
        let number = *next;
        *next += 1;
        visit(number, node, scope)?;
        for graph in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
            each_operator(&Scope::of(graph, Some(scope)), next, visit)?;
        }
    }
    Ok(())
}
