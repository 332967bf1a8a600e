//! What is known of the values of a network before it runs: element types, extents, constants, who takes them.
//!
//! It owns the walk over operators with their numbers, and the rules by which operators pass element types on. It must not know
//! what engines do with them.

use std::collections::{HashMap, HashSet};

use super::ranks;
use crate::neural::onnx_view::{Dimension, ElementType, GraphView, NodeView, TensorView, ValueView};

/// The values that a graph sees.
pub(in crate::neural::engine) struct Scope<'s, 'a> {
    graph: &'s GraphView<'a>,
    elements: HashMap<&'a str, ElementType>,
    ranks: HashMap<&'a str, usize>,
    constants: HashMap<&'a str, &'s TensorView<'a>>,
    values: HashMap<&'a str, &'s ValueView<'a>>,
    makers: HashMap<&'a str, &'s NodeView<'a>>,
    takers: HashMap<&'a str, Vec<&'s NodeView<'a>>>,
    /// Inputs.
    given: HashSet<&'a str>,
    /// Outputs, and what graphs inside this one take.
    leaving: HashSet<&'a str>,
    outer: Option<&'s Scope<'s, 'a>>,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// Of the main graph.
    pub(in crate::neural::engine) fn of(graph: &'s GraphView<'a>) -> Self {
        let mut scope = Self::empty(graph, None);
        scope.fill();
        scope
    }

    /// Of a graph that a node of this one holds.
    pub(in crate::neural::engine) fn inside<'i>(
        &'i self,
        node: &NodeView<'a>,
        graph: &'i GraphView<'a>,
    ) -> Scope<'i, 'a> {
        let mut scope = Scope::empty(graph, Some(self));
        // The first two inputs of a loop's body are the number of the round and whether it goes on.
        let first = [ElementType::I64, ElementType::Bool].into_iter().take(if node.op == "Loop" { 2 } else { 0 });
        let given = node.inputs.iter().skip(if node.op == "Loop" { 2 } else { 0 }).map(|name| self.element(name));
        for (input, element) in graph.inputs.iter().zip(first.map(Some).chain(given)) {
            scope.elements.extend(element.map(|element| (input.name, element)));
        }
        scope.fill();
        scope
    }

    fn empty(graph: &'s GraphView<'a>, outer: Option<&'s Scope<'s, 'a>>) -> Self {
        let (elements, ranks, constants) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (values, makers, takers) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (given, leaving) = (HashSet::new(), HashSet::new());
        Self { graph, elements, ranks, constants, values, makers, takers, given, leaving, outer }
    }

    fn fill(&mut self) {
        let graph = self.graph;
        for value in graph.values.iter().chain(&graph.outputs).chain(&graph.inputs) {
            self.values.insert(value.name, value);
            self.elements.extend(value.element.map(|element| (value.name, element)));
            self.ranks.extend(value.dims.as_ref().map(|dims| (value.name, dims.len())));
        }
        let made = graph
            .nodes
            .iter()
            .filter(|node| node.op == "Constant")
            .filter_map(|node| Some((*node.outputs.first()?, node.attribute("value")?.tensor.as_ref()?)));
        let held = graph.initializers.iter().map(|tensor| (tensor.name, tensor));
        self.constants.extend(made.chain(held));
        self.elements.extend(graph.initializers.iter().map(|tensor| (tensor.name, tensor.element)));
        self.given.extend(graph.inputs.iter().map(|input| input.name));
        self.leaving.extend(graph.outputs.iter().map(|output| output.name));
        for node in &graph.nodes {
            for &input in &node.inputs {
                self.takers.entry(input).or_default().push(node);
            }
            for inner in node.attributes.iter().flat_map(|attribute| &attribute.graphs) {
                inner.each_graph(&mut |graph| {
                    self.leaving.extend(graph.nodes.iter().flat_map(|node| &node.inputs));
                    self.leaving.extend(graph.outputs.iter().map(|output| output.name));
                });
            }
            self.made(node);
        }
    }

    /// What the outputs of a node are.
    fn made(&mut self, node: &'s NodeView<'a>) {
        let is_unknown = node.outputs.iter().any(|output| !self.elements.contains_key(output));
        let inner = node.attributes.iter().flat_map(|attribute| &attribute.graphs).filter(|_| is_unknown);
        let bodies: Vec<Vec<Option<ElementType>>> = inner
            .map(|body| {
                let inside = self.inside(node, body);
                body.outputs.iter().map(|output| inside.element(output.name)).collect()
            })
            .collect();
        // The first output of a loop's body is whether it goes on.
        let skipped = usize::from(node.op == "Loop");
        for (index, &output) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            self.makers.insert(output, node);
            let of_body = || bodies.iter().find_map(|outputs| *outputs.get(index + skipped)?);
            if let Some(element) = self.made_by(node, index).or_else(of_body) {
                self.elements.entry(output).or_insert(element);
            }
            if let Some(rank) = ranks::made_by(node, index, self) {
                self.ranks.entry(output).or_insert(rank);
            }
        }
    }

    /// Whether it is a graph inside an operator.
    pub(in crate::neural::engine) fn is_inside(&self) -> bool {
        self.outer.is_some()
    }

    /// Whether the graph itself makes a value, or holds or is given it.
    pub(in crate::neural::engine) fn holds(&self, name: &str) -> bool {
        self.makers.contains_key(name) || self.constants.contains_key(name) || self.given.contains(name)
    }

    /// The graph itself.
    pub(in crate::neural::engine) fn graph(&self) -> &'s GraphView<'a> {
        self.graph
    }

    /// Type of a value, or of the tensors of a sequence; `None` where it is not known.
    pub(in crate::neural::engine) fn element(&self, name: &str) -> Option<ElementType> {
        self.elements.get(name).copied().or_else(|| self.outer?.element(name))
    }

    /// Type of an input of an operator.
    pub(in crate::neural::engine) fn input(&self, node: &NodeView<'_>, index: usize) -> Option<ElementType> {
        self.element(node.inputs.get(index).filter(|name| !name.is_empty())?)
    }

    /// The constant of that name.
    pub(in crate::neural::engine) fn constant(&self, name: &str) -> Option<&'s TensorView<'a>> {
        self.constants.get(name).copied().or_else(|| self.outer?.constant(name))
    }

    /// The node that makes a value.
    pub(in crate::neural::engine) fn maker(&self, name: &str) -> Option<&'s NodeView<'a>> {
        self.makers.get(name).copied().or_else(|| self.outer?.maker(name))
    }

    /// Number of axes of an input of an operator, where it is known.
    pub(in crate::neural::engine) fn rank(&self, node: &NodeView<'_>, index: usize) -> Option<usize> {
        self.rank_of(node.inputs.get(index).filter(|name| !name.is_empty())?)
    }

    /// Number of axes of a value, where it is known.
    pub(in crate::neural::engine) fn rank_of(&self, name: &str) -> Option<usize> {
        let constant = || Some(self.constants.get(name)?.dims.len());
        self.ranks.get(name).copied().or_else(constant).or_else(|| self.outer?.rank_of(name))
    }

    /// Extents of an input of an operator, `None` where decided at run time; `None` altogether when not even their number is known.
    pub(in crate::neural::engine) fn dims(&self, node: &NodeView<'_>, index: usize) -> Option<Vec<Option<usize>>> {
        self.dims_of(node.inputs.get(index).filter(|name| !name.is_empty())?)
    }

    fn dims_of(&self, name: &str) -> Option<Vec<Option<usize>>> {
        if let Some(constant) = self.constants.get(name) {
            return Some(constant.dims.iter().map(|&size| usize::try_from(size).ok()).collect());
        }
        match self.values.get(name) {
            Some(value) => Some(value.dims.as_ref()?.iter().map(Dimension::size).collect()),
            None => self.outer?.dims_of(name),
        }
    }

    /// Operators of this graph that take a value.
    pub(in crate::neural::engine) fn takers(&self, name: &str) -> &[&'s NodeView<'a>] {
        self.takers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a value leaves this graph: as its output, or because a graph inside it takes it.
    pub(in crate::neural::engine) fn leaves(&self, name: &str) -> bool {
        self.leaving.contains(name)
    }

    /// Type of an output of an operator, by the types of its inputs and its attributes.
    fn made_by(&self, node: &NodeView<'a>, output: usize) -> Option<ElementType> {
        if !node.is_standard() {
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
            ("SequenceEmpty", _) => attribute("dtype").or(Some(ElementType::F32)),
            // What bodies of graphs make.
            ("If" | "Loop" | "Scan", _) => None,
            ("Range" | "Max" | "Min", _) => (0..node.inputs.len()).find_map(input),
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
            each_operator(&scope.inside(node, graph), next, visit)?;
        }
    }
    Ok(())
}
