//! From an output back through the graph to the operator that decides.
//!
//! It owns how the readings of a node's inputs become that of its output. It must not know names of operators beyond those
//! that it looks at in pieces.

use std::collections::HashMap;

use dede_core::backend::OutputActivation;

use super::axes::{Axes, goes_over_items};
use super::operators::{Operator, is_rectifier, joined, keeps_probabilities, operator};
use super::producers::Producers;
use super::written_out::{Quotient, is_complement, is_log_softmax, normalized};
use super::{Reading, unclear};
use crate::neural::onnx_view::NodeView;

/// Operators between an output and what decides; more of them are no head of a classifier.
const DEEPEST: usize = 200;

/// Goes from an output back to what decides, each value once.
pub(super) struct Reader<'v, 'a> {
    producers: Producers<'v, 'a>,
    axes: Axes<'v, 'a>,
    known: HashMap<&'v str, Reading>,
}

impl<'v, 'a> Reader<'v, 'a> {
    pub(super) fn new(producers: Producers<'v, 'a>, axes: Axes<'v, 'a>) -> Self {
        Self { producers, axes, known: HashMap::new() }
    }

    /// What a value holds, `depth` operators before the output.
    pub(super) fn read(&mut self, value: &str, depth: usize) -> Reading {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        let Some((node, index, value)) = self.producers.made(value) else {
            return Reading::Unclear("no operator: it is an input or a constant".to_owned());
        };
        if depth > DEEPEST {
            return unclear(node, &format!("{DEEPEST} operators before the output"));
        }
        // Stands while the value is looked at: a graph that reads what it makes ends here.
        self.known.insert(value, unclear(node, "in a loop"));
        let found = self.of_node(node, index, depth + 1);
        self.known.insert(value, found.clone());
        found
    }

    fn of_node(&mut self, node: &'v NodeView<'_>, index: usize, depth: usize) -> Reading {
        use OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};
        let inner = |reader: &mut Self| reader.read(node.inputs.first().copied().unwrap_or(""), depth);
        match operator(node, index) {
            Operator::Activation(activation @ (Softmax | LogSoftmax)) if node.domain != "ai.onnx.ml" => {
                let problem = self.axes.softmax_problem(node);
                problem.map_or(Reading::Found(activation), |problem| unclear(node, &problem))
            }
            Operator::Activation(activation) => Reading::Found(activation),
            Operator::Label => Reading::Label,
            Operator::Passing => inner(self),
            Operator::Choosing => match inner(self) {
                // The scores of a table of constants are those of the class that chooses among them.
                Reading::Unclear(_) if self.producers.is_constant(node.inputs.first().copied().unwrap_or("")) => {
                    match self.read(node.inputs.get(1).copied().unwrap_or(""), depth) {
                        Reading::Label => Reading::Label,
                        Reading::Found(_) | Reading::Unclear(_) => unclear(node, ""),
                    }
                }
                found @ (Reading::Found(_) | Reading::Label | Reading::Unclear(_)) => found,
            },
            Operator::Renaming => match inner(self) {
                Reading::Label => Reading::Label,
                Reading::Found(_) | Reading::Unclear(_) => unclear(node, "of what is no class"),
            },
            Operator::Rounding => match inner(self) {
                Reading::Label => Reading::Label,
                Reading::Found(_) | Reading::Unclear(_) => unclear(node, "to whole numbers"),
            },
            Operator::Bounding => match inner(self) {
                Reading::Label => Reading::Label,
                found @ Reading::Found(Softmax | Sigmoid | Heads) if keeps_probabilities(node, &self.producers) => {
                    found
                }
                Reading::Found(_) | Reading::Unclear(_) => unclear(node, ""),
            },
            Operator::Weighting if self.weighs_probabilities(node) => unclear(node, "of probabilities"),
            Operator::Weighting => Reading::Found(Logits),
            Operator::Averaging | Operator::Largest if node.op.starts_with("Reduce") && self.reduces_items(node) => {
                unclear(node, "over the items of a request")
            }
            Operator::Averaging => match agreed(self.operands(node, depth)) {
                Some(found @ Reading::Found(Softmax | Sigmoid | Heads | Logits)) => found,
                Some(Reading::Unclear(_)) if self.averages_rectified(node) => Reading::Found(Logits),
                Some(Reading::Unclear(_) | Reading::Found(LogSoftmax) | Reading::Label) | None => unclear(node, ""),
            },
            Operator::Largest => match agreed(self.operands(node, depth)) {
                Some(found @ Reading::Found(Sigmoid | Logits)) => found,
                Some(_) | None => unclear(node, ""),
            },
            Operator::Affine => self.of_affine(node, depth),
            Operator::Scaled => match inner(self) {
                Reading::Found(Logits) => Reading::Found(Logits),
                Reading::Found(_) | Reading::Label | Reading::Unclear(_) => unclear(node, ""),
            },
            Operator::Quotient => self.of_quotient(node, depth),
            Operator::Normalizing => match (inner(self), self.norm_problem(node)) {
                (_, Some(problem)) => unclear(node, &problem),
                (Reading::Found(Softmax | Sigmoid), None) => Reading::Found(Softmax),
                (Reading::Found(_) | Reading::Label | Reading::Unclear(_), None) => unclear(node, ""),
            },
            Operator::Exponential => match inner(self) {
                Reading::Found(LogSoftmax) => Reading::Found(Softmax),
                Reading::Found(_) | Reading::Label | Reading::Unclear(_) => unclear(node, ""),
            },
            Operator::Logarithm => match inner(self) {
                Reading::Found(Softmax | Sigmoid | Heads) => Reading::Found(LogSoftmax),
                Reading::Found(_) | Reading::Label | Reading::Unclear(_) => unclear(node, ""),
            },
            Operator::Joining => self.of_heads(node, depth),
            Operator::Other => unclear(node, ""),
        }
    }

    /// Whether a node reduces along the items of a request, as far as its axes are known.
    fn reduces_items(&self, node: &NodeView<'_>) -> bool {
        let are_given = node.attribute("axes").is_some() || node.inputs.get(1).is_some_and(|axes| !axes.is_empty());
        are_given && goes_over_items(&self.producers, node)
    }

    /// Of the standard's LpNormalization; the classical Normalizer goes along the numbers of an item.
    fn norm_problem(&self, node: &NodeView<'_>) -> Option<String> {
        if node.op == "LpNormalization" { self.axes.norm_problem(node) } else { None }
    }

    /// Whether a softmax stands right before a node, as where classes are merged or attention is paid.
    fn weighs_probabilities(&self, node: &NodeView<'_>) -> bool {
        let is_softmax = |input: &str| match self.producers.made(self.producers.same(input)) {
            Some((node, index, _)) => {
                let made = operator(node, index);
                matches!(made, Operator::Activation(OutputActivation::Softmax | OutputActivation::LogSoftmax))
            }
            None => false,
        };
        node.inputs.iter().any(|input| is_softmax(input))
    }

    /// Whether a node is the mean over the places of what a rectifier lets through: how convolutional networks without a
    /// fully connected layer end.
    fn averages_rectified(&self, node: &NodeView<'_>) -> bool {
        let before = node.inputs.first().and_then(|input| self.producers.producer(self.producers.same(input)));
        node.op != "Mean" && before.is_some_and(is_rectifier)
    }

    /// Readings of the inputs that are computed.
    fn operands(&mut self, node: &NodeView<'_>, depth: usize) -> Vec<Reading> {
        let computed: Vec<_> = node.inputs.iter().copied().filter(|input| !self.producers.is_constant(input)).collect();
        computed.into_iter().map(|input| self.read(input, depth)).collect()
    }

    /// Sums and differences of scores are scores; of anything else they are nothing that has a name.
    fn of_affine(&mut self, node: &NodeView<'_>, depth: usize) -> Reading {
        if node.op == "Sub" && is_log_softmax(&self.producers, node) {
            return Reading::Found(OutputActivation::LogSoftmax);
        }
        let operands = self.operands(node, depth);
        let found = agreed(operands);
        if let Some(Reading::Found(OutputActivation::Softmax | OutputActivation::Sigmoid)) = &found
            && is_complement(&self.producers, node)
        {
            return Reading::Found(OutputActivation::Sigmoid);
        }
        match found {
            Some(Reading::Found(OutputActivation::Logits)) => Reading::Found(OutputActivation::Logits),
            Some(_) | None => unclear(node, ""),
        }
    }

    /// A product or quotient: a softmax or sigmoid written out, or scores times one scale for all.
    fn of_quotient(&mut self, node: &NodeView<'_>, depth: usize) -> Reading {
        match normalized(&self.producers, node) {
            Some(Quotient::Known(activation)) => return Reading::Found(activation),
            Some(Quotient::ShareOf(share)) => {
                return match self.read(share, depth) {
                    Reading::Found(OutputActivation::Softmax | OutputActivation::Sigmoid) => {
                        Reading::Found(OutputActivation::Softmax)
                    }
                    Reading::Found(_) | Reading::Label | Reading::Unclear(_) => unclear(node, ""),
                };
            }
            None => {}
        }
        let computed: Vec<_> = node.inputs.iter().copied().filter(|input| !self.producers.is_scale(input)).collect();
        match computed.as_slice() {
            &[scores] if self.read(scores, depth) == Reading::Found(OutputActivation::Logits) => {
                Reading::Found(OutputActivation::Logits)
            }
            _ => unclear(node, ""),
        }
    }

    /// Several heads beside each other: each as it is, where that needs the same of all.
    fn of_heads(&mut self, node: &NodeView<'_>, depth: usize) -> Reading {
        use OutputActivation::{Heads, LogSoftmax, Sigmoid, Softmax};
        if node.attribute("axis").and_then(|axis| axis.integer) == Some(0) {
            return unclear(node, "along axis 0, the items of a request");
        }
        let heads: Vec<_> = joined(node).map(|input| self.read(input, depth)).collect();
        let all = |wanted: &[OutputActivation]| {
            heads.iter().all(|head| matches!(head, Reading::Found(found) if wanted.contains(found)))
        };
        match heads.as_slice() {
            [only] => only.clone(),
            [] => unclear(node, ""),
            _ if all(&[Sigmoid]) => Reading::Found(Sigmoid),
            _ if all(&[LogSoftmax]) => Reading::Found(LogSoftmax),
            _ if all(&[Softmax, Sigmoid, Heads]) => Reading::Found(Heads),
            [..] => unclear(node, "of several heads that are not all probabilities"),
        }
    }
}

/// The reading that all have; what cannot be told agrees with its like.
fn agreed(readings: Vec<Reading>) -> Option<Reading> {
    let mut readings = readings.into_iter();
    let first = readings.next()?;
    let like = |other: &Reading| match (&first, other) {
        (Reading::Unclear(_), Reading::Unclear(_)) => true,
        (first, other) => first == other,
    };
    readings.all(|other| like(&other)).then_some(first)
}
