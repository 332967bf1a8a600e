//! What the numbers of a network's output are, found from the operators that make them: probabilities, their logarithms,
//! independent scores, or scores that are nothing of these yet.
//!
//! It owns which operator says what, and what cannot be told: that is named, never guessed. It looks at the graph alone,
//! never at numbers, and must not know engines, services or how an answer is computed.

mod axes;
mod operators;
mod producers;
mod reader;
#[cfg(test)]
mod tests;
mod trees;
mod written_out;

use std::collections::HashSet;

use dede_core::backend::OutputActivation;
use dede_core::error::{Error, Result};

use super::onnx_view::{GraphView, NodeView};
use super::options::MLLIB;
use operators::{kept_inputs, makes_integers};
use producers::Producers;
use reader::Reader;

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

/// What the value `output` of the graph holds. `opset` is the version of the standard operator set.
pub(super) fn reading(graph: &GraphView<'_>, opset: i64, output: &str) -> Reading {
    Reader::new(Producers::of(graph), opset).read(output, 0)
}

/// Whether the value `output` of the graph is whole numbers that stand for others, their scale not applied.
pub(super) fn lacks_scale(graph: &GraphView<'_>, output: &str) -> bool {
    let producers = Producers::of(graph);
    let (mut seen, mut waiting) = (HashSet::new(), vec![output]);
    while let Some(value) = waiting.pop() {
        let Some((node, index, name)) = producers.made(value) else { continue };
        if makes_integers(node, index) {
            return true;
        }
        if seen.insert(name) {
            waiting.extend(kept_inputs(node, index));
        }
    }
    false
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
