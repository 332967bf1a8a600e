//! From an output back through the graph to the operator that decides.
//!
//! It owns how the readings of a node's inputs become that of its output. It must not know names of operators beyond those
//! that it looks at in pieces.

use std::collections::HashMap;

use dede_core::backend::OutputActivation;

use super::axes::{goes_over_items, mixes_items, norm_problem, softmax_problem};
use super::operators::{Operator, is_rectifier, joined, keeps_probabilities, operator};
use super::producers::Producers;
use super::written_out::{Quotient, is_complement, is_log_softmax, normalized};
use super::{Reading, unclear};
use crate::neural::onnx_view::{ElementType, NodeView};

/// Operators between an output and what decides; more of them are no head of a classifier.
const DEEPEST: usize = 200;

/// Goes from an output back to what decides, each value once.
pub(super) struct Reader<'v, 'a> {
    producers: Producers<'v, 'a>,
    opset: i64,
    known: HashMap<&'v str, Reading>,
    stemming: HashMap<&'v str, bool>,
}

impl<'v, 'a> Reader<'v, 'a> {
    pub(super) fn new(producers: Producers<'v, 'a>, opset: i64) -> Self {
        Self { producers, opset, known: HashMap::new(), stemming: HashMap::new() }
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
        if mixes_items(&self.producers, node) {
            return unclear(node, "along axis 0, the items of a request");
        }
        match operator(node, index) {
            Operator::Activation(activation @ (Softmax | LogSoftmax)) if node.domain != "ai.onnx.ml" => {
                let problem = softmax_problem(&self.producers, node, self.opset);
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
            Operator::Converting if self.converts_to_floats(node) => inner(self),
            Operator::Rounding | Operator::Converting => match inner(self) {
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
            Operator::Weighting if self.weighs_probabilities(node, depth) => unclear(node, "of probabilities"),
            Operator::Weighting => Reading::Found(Logits),
            Operator::Averaging | Operator::Largest | Operator::Scaled
                if node.op.starts_with("Reduce") && goes_over_items(&self.producers, node) =>
            {
                unclear(node, "over the items of a request")
            }
            Operator::Averaging => match agreed(self.operands(node, depth)) {
                Some(found @ Reading::Found(Softmax | Sigmoid | Heads | Logits)) => found,
                Some(Reading::Unclear(_)) if self.averages_rectified(node, depth) => Reading::Found(Logits),
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

    /// Of the standard's LpNormalization; the classical Normalizer goes along the numbers of an item.
    fn norm_problem(&self, node: &NodeView<'_>) -> Option<String> {
        if node.op == "LpNormalization" { norm_problem(&self.producers, node) } else { None }
    }

    /// Whether a node gives its numbers the type of a float.
    fn converts_to_floats(&self, node: &NodeView<'_>) -> bool {
        let like = node.inputs.get(1).and_then(|like| self.producers.element(like));
        matches!(like, Some(ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16))
    }

    /// Whether probabilities are what is weighed, as where classes are merged or attention is paid.
    fn weighs_probabilities(&mut self, node: &'v NodeView<'_>, depth: usize) -> bool {
        node.inputs.iter().any(|input| self.stems_from_probabilities(input, depth))
    }

    /// Whether a value is made of probabilities alone, by whatever operators, as long as they learn nothing.
    fn stems_from_probabilities(&mut self, value: &str, depth: usize) -> bool {
        use OutputActivation::{Heads, LogSoftmax, Softmax};
        let Some((node, index, value)) = self.producers.made(value).filter(|_| depth <= DEEPEST) else { return false };
        if let Some(&known) = self.stemming.get(value) {
            return known;
        }
        self.stemming.insert(value, false);
        let stems = match self.read(value, depth) {
            Reading::Found(Softmax | LogSoftmax | Heads) => true,
            Reading::Found(_) | Reading::Label | Reading::Unclear(_)
                if matches!(operator(node, index), Operator::Weighting | Operator::Activation(_)) =>
            {
                false
            }
            Reading::Found(_) | Reading::Label | Reading::Unclear(_) => {
                let computed = node.inputs.iter().copied().filter(|input| !self.producers.is_constant(input));
                let computed: Vec<&str> = computed.collect();
                !computed.is_empty() && computed.iter().all(|input| self.stems_from_probabilities(input, depth + 1))
            }
        };
        self.stemming.insert(value, stems);
        stems
    }

    /// Whether a node is the mean over the places of what a rectifier lets through: how convolutional networks without a
    /// fully connected layer end. What rectifies probabilities makes no scores of them.
    fn averages_rectified(&mut self, node: &NodeView<'_>, depth: usize) -> bool {
        let before = node.inputs.first().and_then(|input| self.producers.producer(self.producers.same(input)));
        let Some(rectifier) = before.filter(|before| node.op != "Mean" && is_rectifier(before, &self.producers)) else {
            return false;
        };
        let rectified = rectifier.inputs.first().map(|input| self.read(input, depth));
        matches!(rectified, Some(Reading::Unclear(_) | Reading::Found(OutputActivation::Logits)))
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
