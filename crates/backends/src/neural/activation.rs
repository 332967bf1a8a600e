//! What the numbers of a network's output are, found from the operators that make them: probabilities, their logarithms,
//! independent scores, or scores that are nothing of these yet.
//!
//! It owns which operator says what, and what cannot be told: that is named, never guessed. It looks at the graph alone,
//! never at numbers, and must not know engines, services or how an answer is computed.

mod operators;
mod producers;
#[cfg(test)]
mod tests;
mod trees;
mod written_out;

use std::collections::HashMap;

use dede_core::backend::OutputActivation;
use dede_core::error::{Error, Result};

use super::onnx_view::{GraphView, NodeView};
use super::options::MLLIB;
use operators::{Operator, integers_of, operator};
use producers::Producers;
use written_out::{is_complement, is_log_softmax, normalized};

/// Operators between an output and what decides; more of them are no head of a classifier.
const DEEPEST: usize = 200;

/// What an output holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Certain.
    Found(OutputActivation),
    /// The number of a class, or whether something is so: no score, and no value.
    Label,
    /// Cannot be told, with what makes it.
    Unclear(String),
}

/// What the value `output` of the graph holds.
pub(super) fn reading(graph: &GraphView<'_>, output: &str) -> Reading {
    Reader { producers: Producers::of(graph), known: HashMap::new() }.read(output, 0)
}

/// Whether the value `output` of the graph is whole numbers that stand for others, their scale not applied.
pub(super) fn lacks_scale(graph: &GraphView<'_>, output: &str) -> bool {
    let producers = Producers::of(graph);
    producers.producer(producers.rearranged(output)).is_some_and(integers_of)
}

/// What an output is taken for: what was asked for, else what was found.
///
/// # Errors
/// [`Error::BadParameter`] naming the readings there are, where it cannot be told.
pub(super) fn decided(
    asked: Option<OutputActivation>,
    found: Reading,
    file: &str,
    output: &str,
) -> Result<OutputActivation> {
    let made_by = match (asked, found) {
        (Some(asked), _) => return Ok(asked),
        (None, Reading::Found(found)) => return Ok(found),
        (None, Reading::Unclear(made_by)) => made_by,
        (None, Reading::Label) => "operators that choose a class".to_owned(),
    };
    let reason = format!(
        "expected an output that tells whether it holds probabilities or scores, found {output} of {file} made by \
         {made_by}; say which it is: softmax or sigmoid (probabilities, answered as they are), log_softmax (their \
         logarithms) or logits (scores, answered as their softmax), or regression: true for values"
    );
    Err(Error::bad_parameter_at(format!("{MLLIB}.output_activation"), reason))
}

fn unclear(node: &NodeView<'_>, what: &str) -> Reading {
    let name = node.shown_name();
    Reading::Unclear(match what {
        "" => format!("{} (node {name})", node.op),
        what => format!("{} (node {name}), {what}", node.op),
    })
}

struct Reader<'v, 'a> {
    producers: Producers<'v, 'a>,
    known: HashMap<&'v str, Reading>,
}

impl<'v> Reader<'v, '_> {
    fn read(&mut self, value: &str, depth: usize) -> Reading {
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
                found => found,
            },
            Operator::Rounding => match inner(self) {
                Reading::Label => Reading::Label,
                Reading::Found(_) | Reading::Unclear(_) => unclear(node, "to whole numbers"),
            },
            Operator::Bounding => match inner(self) {
                found @ (Reading::Found(Softmax | Sigmoid | Heads) | Reading::Label) => found,
                Reading::Found(Logits | LogSoftmax) | Reading::Unclear(_) => unclear(node, ""),
            },
            Operator::Weighting if self.weighs_probabilities(node) => unclear(node, "of probabilities"),
            Operator::Weighting => Reading::Found(Logits),
            Operator::Averaging => match agreed(self.operands(node, depth)) {
                Some(found @ Reading::Found(Softmax | Sigmoid | Heads | Logits)) => found,
                Some(Reading::Unclear(_)) => Reading::Found(Logits),
                Some(Reading::Found(LogSoftmax) | Reading::Label) | None => unclear(node, ""),
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
            Operator::Normalizing => match inner(self) {
                Reading::Found(Softmax | Sigmoid) => Reading::Found(Softmax),
                Reading::Found(_) | Reading::Label | Reading::Unclear(_) => unclear(node, ""),
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

    /// Whether a softmax stands right before a node, as where classes are merged or attention is paid.
    fn weighs_probabilities(&self, node: &NodeView<'_>) -> bool {
        let is_softmax = |input: &&str| match self.producers.made(self.producers.same(input)) {
            Some((node, index, _)) => {
                let made = operator(node, index);
                matches!(made, Operator::Activation(OutputActivation::Softmax | OutputActivation::LogSoftmax))
            }
            None => false,
        };
        node.inputs.iter().any(|input| is_softmax(&input))
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
            Some(written_out::Quotient::Known(activation)) => return Reading::Found(activation),
            Some(written_out::Quotient::ShareOf(share)) => {
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
        let heads: Vec<_> = operators::joined(node).map(|input| self.read(input, depth)).collect();
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
