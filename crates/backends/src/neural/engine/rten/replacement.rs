//! Operators that take the place of one: their names, and how they are put together.
//!
//! It must not know which operator is replaced, nor why.

use dede_graph::onnx::{Attribute, Change, Operator};

use crate::neural::onnx_view::NodeView;

/// rten knows a node by its name, and forgets names that values or other nodes have: this, and perhaps a number, makes others of them.
pub(super) const SUFFIX: &str = "#";

/// Operators that take the place of one.
pub(super) struct Replacement<'n, 'a> {
    prefix: &'n str,
    number: usize,
    pub(super) node: &'n NodeView<'a>,
    pub(super) operators: Vec<Operator>,
}

impl<'n, 'a> Replacement<'n, 'a> {
    /// Of a node, none yet. New values have names of the prefix and the number.
    pub(super) fn of(node: &'n NodeView<'a>, prefix: &'n str, number: usize) -> Self {
        Self { prefix, number, node, operators: Vec::new() }
    }

    pub(super) fn input(&self, index: usize) -> String {
        self.node.inputs.get(index).copied().unwrap_or_default().to_owned()
    }

    pub(super) fn output(&self) -> String {
        self.node.outputs.first().copied().unwrap_or_default().to_owned()
    }

    /// The name of a value that the file does not have.
    pub(super) fn value(&self, what: &str) -> String {
        format!("{}.{}.{what}", self.prefix, self.number)
    }

    pub(super) fn push(
        &mut self,
        kind: &'static str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        let name = format!("{}{SUFFIX}{}", self.node.shown_name(), self.operators.len());
        self.operators.push(Operator { kind, name, inputs, outputs, attributes });
    }

    /// Adds an operator with one output and returns its name.
    pub(super) fn add(
        &mut self,
        kind: &'static str,
        inputs: &[&str],
        what: &str,
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        let value = self.value(what);
        self.push(kind, inputs.iter().map(|&input| input.to_owned()).collect(), vec![value.clone()], attributes);
        value
    }

    /// Adds the last operator.
    pub(super) fn finish(
        mut self,
        kind: &'static str,
        inputs: &[&str],
        output: String,
        attributes: Vec<(&'static str, Attribute)>,
    ) -> Change {
        self.push(kind, inputs.iter().map(|&input| input.to_owned()).collect(), vec![output], attributes);
        Change::Operators(self.operators)
    }

    /// Zero in the type of the input.
    pub(super) fn zero(&mut self) -> String {
        let zero = self.add("Constant", &[], "float_zero", vec![("value_float", Attribute::Float(0.0))]);
        let input = self.input(0);
        self.add("CastLike", &[&zero, &input], "zero", vec![])
    }
}
